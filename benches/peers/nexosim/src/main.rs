//! M/M/8 in NeXosim 1.0 on one thread: a model of the clients and one of the station, connected by a port.
//!
//! `peer-nexosim CUSTOMERS SEED` prints the CPU seconds that it took, the customers served and their mean wait in seconds. With `--alone` before
//! that the station schedules its own arrivals, which costs NeXosim least, because no message is ever sent.

use std::collections::VecDeque;
use std::time::Duration;

use nexosim::model::{Context, Model, schedulable};
use nexosim::ports::{EventSinkReader, Output, SinkState, event_queue};
use nexosim::simulation::{Mailbox, SimInit};
use nexosim::time::MonotonicTime;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

const SERVERS: u32 = 8;
const MEAN_SERVICE_NANOS: f64 = 10_000_000.0;
const UTILISATION: f64 = 0.8;

/// What is left at the end: customers served, and the nanoseconds that they waited together.
type Seen = (u64, u64);

/// Those who come.
#[derive(Serialize, Deserialize)]
struct Clients {
    customer: Output<()>,
    #[serde(skip, default = "luck")]
    luck: ChaCha8Rng,
    left: u64,
}

#[Model]
impl Clients {
    #[nexosim(init)]
    async fn begin(&mut self, context: &Context<Self>) {
        self.schedule(context);
    }

    fn schedule(&mut self, context: &Context<Self>) {
        if self.left > 0 {
            self.left -= 1;
            context.schedule_event(gap(&mut self.luck), schedulable!(Self::arrive), ()).expect("the future can be scheduled");
        }
    }

    #[nexosim(schedulable)]
    async fn arrive(&mut self, _: (), context: &Context<Self>) {
        self.schedule(context);
        self.customer.send(()).await;
    }
}

/// Those who serve.
#[derive(Serialize, Deserialize)]
struct Station {
    seen: Output<Seen>,
    #[serde(skip, default = "luck")]
    luck: ChaCha8Rng,
    busy: u32,
    waiting: VecDeque<u64>,
    arrivals_left: u64,
    customers: u64,
    served: u64,
    wait_nanos: u64,
}

fn luck() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(0)
}

fn nanos(time: MonotonicTime) -> u64 {
    time.duration_since(MonotonicTime::EPOCH).as_nanos() as u64
}

fn exponential(luck: &mut ChaCha8Rng, mean_nanos: f64) -> Duration {
    let unit = ((luck.next_u64() >> 11) as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64);
    // What is scheduled for the present moment is refused.
    Duration::from_nanos(((-libm::log(unit) * mean_nanos) as u64).max(1))
}

fn gap(luck: &mut ChaCha8Rng) -> Duration {
    exponential(luck, MEAN_SERVICE_NANOS / (UTILISATION * f64::from(SERVERS)))
}

#[Model]
impl Station {
    #[nexosim(init)]
    async fn begin(&mut self, context: &Context<Self>) {
        self.schedule_arrival(context);
    }

    fn schedule_arrival(&mut self, context: &Context<Self>) {
        if self.arrivals_left > 0 {
            self.arrivals_left -= 1;
            context.schedule_event(gap(&mut self.luck), schedulable!(Self::arrive_alone), ()).expect("the future can be scheduled");
        }
    }

    fn schedule_departure(&mut self, context: &Context<Self>) {
        let service = exponential(&mut self.luck, MEAN_SERVICE_NANOS);
        context.schedule_event(service, schedulable!(Self::depart), ()).expect("the future can be scheduled");
    }

    #[nexosim(schedulable)]
    fn arrive_alone(&mut self, _: (), context: &Context<Self>) {
        self.schedule_arrival(context);
        self.arrive((), context);
    }

    fn arrive(&mut self, _: (), context: &Context<Self>) {
        if self.busy < SERVERS {
            self.busy += 1;
            self.schedule_departure(context);
        } else {
            self.waiting.push_back(nanos(context.time()));
        }
    }

    #[nexosim(schedulable)]
    async fn depart(&mut self, _: (), context: &Context<Self>) {
        self.served += 1;
        match self.waiting.pop_front() {
            Some(arrived) => {
                self.wait_nanos += nanos(context.time()) - arrived;
                self.schedule_departure(context);
            }
            None => self.busy -= 1,
        }
        if self.served == self.customers {
            self.seen.send((self.served, self.wait_nanos)).await;
        }
    }
}

fn main() {
    let alone = std::env::args().any(|argument| argument == "--alone");
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let [customers, seed] = numbers[..] else { panic!("peer-nexosim [--alone] CUSTOMERS SEED") };
    let mut station = Station {
        seen: Output::default(),
        luck: ChaCha8Rng::seed_from_u64(seed),
        busy: 0,
        waiting: VecDeque::new(),
        arrivals_left: if alone { customers } else { 0 },
        customers,
        served: 0,
        wait_nanos: 0,
    };
    let (sink, mut seen) = event_queue(SinkState::Enabled);
    station.seen.connect_sink(sink);
    let mut clients =
        Clients { customer: Output::default(), luck: ChaCha8Rng::seed_from_u64(!seed), left: if alone { 0 } else { customers } };
    let mailbox = Mailbox::new();
    clients.customer.connect(Station::arrive, &mailbox);
    let bench = SimInit::with_num_threads(1).add_model(station, mailbox, "station").add_model(clients, Mailbox::new(), "clients");
    let mut simulation = bench.init(MonotonicTime::EPOCH).expect("the bench is sound");
    let cpu = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let before = cpu();
    while let Ok(()) = simulation.step() {
        if let Some((served, wait_nanos)) = seen.try_read() {
            println!("{} {served} {}", cpu() - before, wait_nanos as f64 / served as f64 / 1e9);
            return;
        }
    }
}
