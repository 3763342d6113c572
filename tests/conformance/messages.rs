//! What does not wait for its answer: asynchronous calls, and messages in topics.

use firedrill_core::journal::Event;
use firedrill_core::ledger::TopicTotals;
use firedrill_sim::{Automation, Finished, Idle};

use crate::support::{case, good_share, told, totals};

#[test]
fn an_asynchronous_call_holds_no_worker_and_a_synchronous_one_does() {
    // Two visits to four workers, each an M/M/4 of its own: the flow between them is Poisson, as a wait of one length only moves it (Burke).
    // With a load of 2 from 200 visits a second of 10 ms, Erlang C is 0.173913, and each visit waits 0.173913 / (4 - 2) * 10 ms.
    let visit = 0.010 + 0.173_913 / 2.0 * 0.010;
    let all = case("async");
    all.check("mean response", 6, 1.0 + 2.0 * visit, |finished| totals(finished, "front").mean_response_seconds);
    all.check("share of worker time", 6, 0.5, |finished| totals(finished, "front").utilisation);
    // The same call with a worker in hand: four in 1.02 s, and the rest of a hundred a second waits.
    let held = case("async").with("async: true", "async: false").play(0);
    let served = totals(&held, "front").completed as f64 / 600.0;
    assert!((served - 4.0 / 1.02).abs() < 0.05, "{served}");
    assert!(good_share(&held, 300, 590) < 0.001);
}

/// What became of the messages that one service takes.
fn topic<A: Automation>(finished: &Finished<A>) -> TopicTotals {
    finished.ledger.topics[0].totals
}

/// When the consumers of a topic were told of, and what.
fn groups<A: Automation>(finished: &Finished<A>) -> Vec<(f64, String)> {
    told(finished, |event| match event {
        Event::ConsumersChanged { state, .. } => Some(state.to_string()),
        _ => None,
    })
}

#[test]
fn a15_a_backlog_drains_in_its_length_over_what_is_left_of_the_rate() {
    // 40 minutes of 30/s against 15/s leave 36000; 15/s against 10/s take 7200 s for them.
    let drained = |finished: &Finished<Idle>| {
        let worker = finished.ledger.services.iter().find(|service| &*service.service == "worker").unwrap();
        let empty = worker.bins.iter().skip(240).position(|bin| bin.queued <= 1).unwrap();
        empty as f64 * 10.0
    };
    case("a15-drain").check("seconds until it is empty", 12, 7200.0, drained);
    let totals = topic(&case("a15-drain").play(0));
    assert!(totals.processed > 100_000 && totals.waiting < 10 && totals.dead + totals.dropped + totals.repeated == 0, "{totals:?}");
}

#[test]
fn consumers_beyond_the_partitions_have_nothing_to_do() {
    let busy = case("messages").with("rate: 20/s", "rate: 100/s");
    let processed = |replicas: u32| {
        let finished = busy.with("replicas: 4", &format!("replicas: {replicas}")).play(0);
        topic(&finished).processed as f64 / 600.0
    };
    for (replicas, rate) in [(1, 10.0), (2, 20.0), (4, 40.0), (8, 40.0)] {
        assert!((processed(replicas) - rate).abs() < 0.2, "{replicas} consumers: {}", processed(replicas));
    }
    // One of them can have several in hand, one of each partition.
    let parallel = busy.with("replicas: 4", "replicas: 1").with("batch: 10 }", "batch: 10, at_once: 4 }").play(0);
    assert!(topic(&parallel).processed as f64 / 600.0 > 33.0);
}

#[test]
fn a_consumer_that_dies_stops_its_group_until_its_session_is_over() {
    let crash = case("messages").with("horizon: 10m", "horizon: 10m\nfaults:\n  - crash: { replica: worker-1 }\n    at: 60s");
    let finished = crash.play(0);
    // Its next process joins after 10 s, and all wait for the dead one, whose session of 45 s began with its last breath.
    assert_eq!(groups(&finished), [(70.0, "rebalancing".to_owned()), (105.0, "assigned".to_owned())]);
    let totals = topic(&finished);
    assert!(totals.waiting < 20 && totals.dead == 0, "{totals:?}");
    let repeated = |seed| topic(&crash.with("rate: 20/s", "rate: 60/s").play(seed)).repeated;
    assert!((0..5).all(|seed| repeated(seed) < 10) && (0..5).any(|seed| repeated(seed) > 0), "what it had done of its batch is done twice");
    // Before Kafka 3.0 that took 10 s, so the group is whole when the new one comes.
    let before = crash.with("jobs: { partitions: 4 }", "jobs: { preset: kafka-2, partitions: 4 }").play(0);
    assert_eq!(groups(&before)[0], (70.0, "rebalancing".to_owned()));
    assert!(groups(&before)[1].0 < 75.0, "{:?}", groups(&before));
}

#[test]
fn a_consumer_that_is_restarted_leaves_in_order_and_nobody_waits_for_its_session() {
    let cure = "horizon: 10m\nfaults:\n  - slow: { service: front, factor: x2 }\n    at: 50s\noracle:\n  - restart: { replica: worker-1 }\n    at: 60s";
    let finished = case("messages").with("horizon: 10m", cure).play_cured(0);
    let [(left, _), (shared, _), (joined, _), (whole, _)] = groups(&finished)[..] else { panic!("{:?}", groups(&finished)) };
    assert_eq!((left, joined), (60.0, 70.0));
    // The others learn of it with a heartbeat within 3 s, and end their batch of at most 10 before.
    assert!(shared > 60.0 && shared < 64.1 && whole > 70.0 && whole < 74.1, "{:?}", groups(&finished));
}

#[test]
fn one_that_takes_too_long_is_out_of_its_group_and_what_it_did_is_done_again() {
    let slow = case("messages")
        .with("jobs: { partitions: 4 }", "jobs: { partitions: 4, poll_interval: 20s }")
        .with("sleep: 100ms", "sleep: 3s")
        .with("rate: 20/s", "rate: 1/s")
        .with("replicas: 4", "replicas: 1");
    let totals = topic(&slow.play(0));
    assert!(totals.processed < 60 && totals.repeated > totals.processed, "ten of 3 s do not fit into 20 s: {totals:?}");
    let smaller = topic(&slow.with("batch: 10", "batch: 5").play(0));
    assert!(smaller.processed > 190 && smaller.repeated == 0, "{smaller:?}");
    // A message that cannot be done is not done again either, however often that takes too long.
    let poisoned = case("messages")
        .with("jobs: { partitions: 4 }", "jobs: { partitions: 1, poll_interval: 20s }")
        .with("sleep: 100ms", "sleep: 30s")
        .with("rate: 20/s", "rate: 1/m")
        .with("replicas: 4", "replicas: 1")
        .with("batch: 10", "batch: 1")
        .with("horizon: 10m", "horizon: 10m\nfaults:\n  - poison: { topic: jobs, partition: 0, kills: false }\n    at: 1ms");
    let totals = topic(&poisoned.play(0));
    assert_eq!((totals.processed, totals.repeated), (0, 0), "{totals:?}");
}

#[test]
fn a_poisoned_message_blocks_its_partition_until_it_is_parked() {
    let poison = case("messages")
        .with("horizon: 10m", "horizon: 10m\nfaults:\n  - poison: { topic: jobs, partition: 2, kills: false }\n    at: 60s");
    let blocked = topic(&poison.play(0));
    // A quarter of 20/s for 9 minutes.
    assert!((2500..2900).contains(&blocked.waiting) && blocked.dead == 0, "{blocked:?}");
    let parked = poison.with("at: 60s", "at: 60s\noracle:\n  - park_messages: { service: worker }\n    at: 2m");
    let finished = parked.play_cured(0);
    let totals = topic(&finished);
    assert!(totals.waiting < 20 && totals.dead == 1 && totals.repeated == 0, "{totals:?}");
    assert_eq!(groups(&finished), [(120.0, "parked".to_owned())]);
    let over = told(&finished, |event| matches!(event, Event::FaultEnded { .. }).then_some(()));
    assert_eq!(over, [(120.0, ())]);
    // With a bound on deliveries nobody has to do anything: the tenth comes after nine pauses of a second.
    let bounded = poison.with("jobs: { partitions: 4 }", "jobs: { partitions: 4, dead_letters_after: 10 }").play(0);
    assert_eq!((topic(&bounded).dead, groups(&bounded).len()), (1, 1));
    assert!((69.0..72.0).contains(&groups(&bounded)[0].0), "{:?}", groups(&bounded));
}

#[test]
fn a_message_that_kills_stops_all_partitions_again_and_again() {
    let poison = case("messages").with("horizon: 10m", "horizon: 10m\nfaults:\n  - poison: { topic: jobs, partition: 2 }\n    at: 60s");
    let finished = poison.play(0);
    let died = told(&finished, |event| match event {
        Event::ReplicaChanged { reason, .. } if reason == "a message killed it" => Some(()),
        _ => None,
    });
    assert!(died.len() >= 4, "{died:?}");
    assert!(topic(&finished).waiting > blocked_share(&poison), "the others wait for each rebalance too");
    let parked = poison.with("at: 60s", "at: 60s\noracle:\n  - park_messages: { service: worker }\n    at: 2m").play_cured(0);
    assert!(topic(&parked).dead == 1 && topic(&parked).waiting < 20, "{:?}", topic(&parked));
}

/// What would wait if the message only failed.
fn blocked_share(poison: &crate::support::Case) -> u64 {
    topic(&poison.with("partition: 2 }", "partition: 2, kills: false }").play(0)).waiting
}

#[test]
fn a_queue_hides_what_is_taken_and_shows_it_again_when_its_consumer_is_gone() {
    let queue = case("messages").with("jobs: { partitions: 4 }", "jobs: { preset: sqs }");
    let totals = topic(&queue.play(0));
    assert!(totals.waiting < 60 && totals.repeated == 0, "{totals:?}");
    let wait = |case: &crate::support::Case| {
        let finished = case.with("horizon: 10m", "horizon: 10m\nfaults:\n  - crash: { service: worker }\n    at: 60s").play(0);
        let worker = finished.ledger.services.iter().find(|service| &*service.service == "worker").unwrap();
        (worker.bins[8].queued, topic(&finished))
    };
    // What it had is there again 30 s after it was taken; RabbitMQ gives it back when the connection ends.
    let (_, sqs) = wait(&queue);
    let (_, rabbit) = wait(&case("messages").with("jobs: { partitions: 4 }", "jobs: { preset: rabbitmq }"));
    for totals in [sqs, rabbit] {
        assert!(totals.waiting < 300 && totals.dead == 0 && totals.published == totals.processed + totals.waiting, "{totals:?}");
    }
    // Work that takes longer than a message is hidden is done again by others.
    let slow = queue.with("preset: sqs", "preset: sqs, visibility: 1s").with("sleep: 100ms", "sleep: 2s").with("rate: 20/s", "rate: 1/s");
    let totals = topic(&slow.play(0));
    assert!(totals.repeated > 50, "{totals:?}");
}

#[test]
fn a_message_that_fails_often_enough_is_a_dead_letter() {
    let queue = case("messages").with("jobs: { partitions: 4 }", "jobs: { preset: sqs, visibility: 5s, dead_letters_after: 3 }");
    let failing = queue.with("work: [sleep: 100ms]", "error: 50%\n    work: [sleep: 100ms]");
    // A message is delivered anew with luck of its own, so one in eight fails three times.
    failing.check_figures(
        "share of dead letters",
        0.125,
        &(0..6)
            .map(|seed| {
                let totals = topic(&failing.play(seed));
                totals.dead as f64 / (totals.dead + totals.processed) as f64
            })
            .collect::<Vec<f64>>(),
    );
}

/// A queue that gives back at once what its consumer loses, and workers that take one message at a time.
fn queue() -> crate::support::Case {
    case("messages").with("jobs: { partitions: 4 }", "jobs: { preset: rabbitmq }").with("batch: 10", "batch: 1")
}

#[test]
fn a_consumer_that_hangs_does_not_keep_others_from_a_queue() {
    let hang =
        queue().with("rate: 20/s", "rate: 5/s").with("horizon: 10m", "horizon: 10m\nfaults:\n  - hang: { replica: worker-1 }\n    at: 60s");
    for seed in 0..5 {
        let totals = topic(&hang.play(seed));
        assert!(totals.waiting <= 3 && totals.mean_wait_seconds < 0.2, "{totals:?}");
    }
}

#[test]
fn what_a_dead_consumer_of_a_queue_had_goes_to_another_at_once() {
    let crash = queue().with("rate: 20/s", "rate: 1/s").with("100ms", "1s").with("start_up: 10s", "start_up: 9m");
    let crash = crash.with("horizon: 10m", "horizon: 10m\nfaults:\n  - crash: { replica: worker-1 }\n    at: 60s");
    for seed in 0..8 {
        let totals = topic(&crash.play(seed));
        assert!(totals.mean_wait_seconds < 1.5, "seed {seed}: {totals:?}");
    }
}

#[test]
fn a_message_that_waits_to_be_seen_again_can_be_parked() {
    let poison = "horizon: 10m\nfaults:\n  - poison: { topic: jobs, kills: false }\n    at: 60s\noracle:\n  - park_messages: { service: worker }\n    at: 75s";
    let parked = case("messages").with("jobs: { partitions: 4 }", "jobs: { preset: sqs }").with("horizon: 10m", poison);
    let finished = parked.play_cured(0);
    assert_eq!(groups(&finished), [(75.0, "parked".to_owned())]);
    assert_eq!(topic(&finished).dead, 1);
}
