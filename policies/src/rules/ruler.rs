//! When rule groups are evaluated, and what the rest of a run hears of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use firedrill_core::journal::{AlertStatus, Event, LabelSet, Notification};
use firedrill_core::name::Name;
use firedrill_core::random::hash64;
use firedrill_core::time::{Span, Start, Time};
use firedrill_core::transcript::Desk;
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::{
    Aged, Condition, EvalError, Formula, JudgedElement, Judgement, PreparedCondition, PreparedFormula, Sample,
};
use firedrill_telemetry::store::{SeriesId, Store};

use super::compiled::RuleMachine;
use super::cycle::{AlertState, Change, ChangeKind, Cycle, GroupState, Pace, SentAlert, Surroundings, annotations};
use super::{Group, RuleSet};

/// How a ruler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulerSettings {
    /// From one evaluation of a group to the next, where the group does not say; whole milliseconds, positive. Prometheus' own default is
    /// one minute; 30 s is what the rule sets that people publish are written for, and is the default here.
    pub evaluation_interval: Span,
    /// Where in its interval a group is evaluated.
    pub phase: Phase,
    /// An alert that goes on is sent again when more than this has passed since it was sent; Prometheus' default, one minute, is the default.
    pub resend_delay: Span,
}

/// Where in its interval a group is evaluated, counted from the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Each group by a hash of its file's name and its own, as Prometheus spreads its load; whole milliseconds.
    #[default]
    Hashed,
    /// All groups at so many milliseconds; the remainder by the interval is taken.
    Fixed(u64),
}

impl Default for RulerSettings {
    fn default() -> Self {
        Self { evaluation_interval: Span::from_seconds(30), phase: Phase::Hashed, resend_delay: Span::from_seconds(60) }
    }
}

/// From one evaluation to the next over what was seen before the start, or the longest multiple of a group's interval below it. Five minutes is
/// as long as a sample is seen, so that no recorded series has gaps.
pub const RECALL_STEP: Span = Span::from_minutes(5);

/// What recording rules made of the time before the start.
#[derive(Clone, Debug)]
pub struct Memory {
    derived: Store,
    /// By group and rule, the series that were written last.
    written: Vec<Vec<Vec<SeriesId>>>,
}

impl Memory {
    /// The recorded series.
    #[must_use]
    pub const fn derived(&self) -> &Store {
        &self.derived
    }
}

/// Evaluates the groups of a rule set over raw series and its own.
#[derive(Clone, Debug)]
pub struct Ruler {
    rules: Arc<RuleSet>,
    start: Start,
    resend_ms: i64,
    surroundings: Surroundings,
    groups: Vec<Scheduled>,
    /// The group that is due next, and when.
    next: Option<(Time, usize)>,
    derived: Store,
    machine: RuleMachine,
    sent: Vec<SentAlert>,
}

#[derive(Clone, Debug)]
struct Scheduled {
    interval_ms: i64,
    /// Unix milliseconds of the next evaluation.
    next_ms: i64,
    state: GroupState,
}

impl Ruler {
    /// A ruler whose first evaluations lie within one interval of the start.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, start: Start, settings: RulerSettings) -> Self {
        let groups = rules.groups.iter().map(|group| schedule(group, start, settings)).collect();
        let machine = RuleMachine::new(&rules);
        let mut ruler = Self {
            rules,
            start,
            resend_ms: millis(settings.resend_delay),
            surroundings: Surroundings::default(),
            groups,
            next: None,
            derived: Store::new(),
            machine,
            sent: Vec::new(),
        };
        ruler.next = ruler.earliest();
        ruler
    }

    /// The same with what the whole server adds to its alerts.
    #[must_use]
    pub fn surrounded_by(mut self, surroundings: Surroundings) -> Self {
        self.surroundings = surroundings;
        self
    }

    /// Evaluates the recording rules over what was seen before the start, every [`RECALL_STEP`], from the oldest sample on. Alerts are not
    /// evaluated: none fires before a run begins. The ruler itself must not have been advanced, and is used up.
    ///
    /// The result depends on the rules, the samples and the start alone, so that it can be worked out once for many runs.
    #[must_use]
    pub fn recall(mut self, raw: &Store) -> Memory {
        let start_ms = self.start.unix_millis();
        let oldest_ms = raw.ids().filter_map(|id| raw.times(id).first().copied()).min().unwrap_or(start_ms);
        let rules = Arc::clone(&self.rules);
        let step = |scheduled: &Scheduled| scheduled.interval_ms * millis(RECALL_STEP).div_euclid(scheduled.interval_ms).max(1);
        let first = |scheduled: &Scheduled| {
            let before_ms = (scheduled.next_ms - oldest_ms).max(0);
            scheduled.next_ms - before_ms.div_euclid(step(scheduled)) * step(scheduled)
        };
        let mut due: BTreeSet<(i64, usize)> = self.groups.iter().enumerate().map(|(index, own)| (first(own), index)).collect();
        while let Some((at_ms, index)) = due.pop_first() {
            let (group, scheduled) = (&rules.groups[index], &mut self.groups[index]);
            if at_ms >= scheduled.next_ms {
                continue;
            }
            let pace_ms = Pace { interval: scheduled.interval_ms, resend: self.resend_ms };
            let (changes, sent, surroundings) = (Vec::new(), Vec::new(), &self.surroundings);
            let mut cycle = Cycle { group, number: index, at_ms, pace_ms, surroundings, raw, changes, sent };
            cycle.recall(&mut scheduled.state, &mut self.derived, &mut self.machine);
            due.insert((at_ms + step(scheduled), index));
        }
        let written = self.groups.into_iter().map(|group| group.state.rules.into_iter().map(|rule| rule.written).collect()).collect();
        Memory { derived: self.derived, written }
    }

    /// Takes up what was recalled with the same rules and start. It must not have been advanced.
    pub fn remember(&mut self, memory: &Memory) {
        assert!(self.derived.is_empty() && memory.written.len() == self.groups.len(), "a memory of the same rules, before anything else");
        self.derived = memory.derived.clone();
        for (group, written) in self.groups.iter_mut().zip(&memory.written) {
            for (rule, written) in group.state.rules.iter_mut().zip(written) {
                rule.written.clone_from(written);
            }
        }
    }

    /// When the next group is evaluated; `None` if there is no group.
    #[must_use]
    pub const fn due(&self) -> Option<Time> {
        match self.next {
            Some((at, _)) => Some(at),
            None => None,
        }
    }

    /// Recorded series, ALERTS and ALERTS_FOR_STATE.
    #[must_use]
    pub const fn derived(&self) -> &Store {
        &self.derived
    }

    /// Evaluates the one group that is due, and tells which alerts began to fire and which are over.
    pub fn advance(&mut self, raw: &Store, desk: &mut Desk<'_>) -> Vec<Notification> {
        let Some((now, index)) = self.next else { return Vec::new() };
        let rules = Arc::clone(&self.rules);
        let (group, scheduled) = (&rules.groups[index], &mut self.groups[index]);
        let mut cycle = Cycle {
            group,
            number: index,
            at_ms: scheduled.next_ms,
            pace_ms: Pace { interval: scheduled.interval_ms, resend: self.resend_ms },
            surroundings: &self.surroundings,
            raw,
            changes: Vec::new(),
            sent: std::mem::take(&mut self.sent),
        };
        cycle.sent.clear();
        cycle.run(&mut scheduled.state, &mut self.derived, &mut self.machine);
        scheduled.next_ms += scheduled.interval_ms;
        let Cycle { changes, sent, .. } = cycle;
        self.sent = sent;
        self.next = self.earliest();
        changes.into_iter().filter_map(|change| self.tell(group, change, now, desk)).collect()
    }

    /// Lets the one group that is due go without its evaluation, because Prometheus does not run.
    pub fn miss(&mut self) {
        let Some((_, index)) = self.next else { return };
        let scheduled = &mut self.groups[index];
        scheduled.next_ms += scheduled.interval_ms;
        self.next = self.earliest();
    }

    /// Prometheus has started again. Alerts that were pending begin anew; those that fire go on firing or are over at the next evaluation, as
    /// Alertmanager would have it. The series that rules wrote last have no markers: whoever wrote them does not know of them any more.
    pub fn restart(&mut self) {
        for rule in self.groups.iter_mut().flat_map(|group| &mut group.state.rules) {
            rule.alerts.retain(|_, alert| alert.state != AlertState::Pending);
            rule.written.clear();
        }
    }

    /// Gets a condition ready to be judged over the same series as the rules.
    pub fn prepare(&mut self, condition: &Condition) -> PreparedCondition {
        condition.prepare(&mut self.machine.machine)
    }

    /// Gets a formula ready to be evaluated over the same series as the rules.
    pub fn prepare_formula(&mut self, formula: &Formula) -> PreparedFormula {
        formula.prepare(&mut self.machine.machine)
    }

    /// The elements of a formula that this ruler has prepared and not forgotten, at a moment in Unix milliseconds, over the raw series and its own.
    ///
    /// # Errors
    /// As [`EvalError`] says.
    pub fn evaluate(&mut self, formula: PreparedFormula, at_ms: i64, raw: &Store) -> Result<Vec<Sample>, EvalError> {
        formula.evaluate(&mut self.machine.machine, at_ms, &[raw, &self.derived])
    }

    /// Forgets all conditions and formulas that were prepared.
    pub fn forget_conditions(&mut self) {
        self.machine.machine.forget_added();
    }

    /// Judges a condition that this ruler has prepared and not forgotten, at a moment in Unix milliseconds, over the raw series and its own.
    ///
    /// # Errors
    /// As [`EvalError`] says; nothing is judged then.
    pub fn judge(&mut self, condition: &PreparedCondition, at_ms: i64, raw: &Store) -> Result<Judgement, EvalError> {
        condition.judge(&mut self.machine.machine, at_ms, &[raw, &self.derived])
    }

    /// Of the series that a condition reads at a moment, the one that has been silent for longest; `None` if it reads none.
    #[must_use]
    pub fn oldest(&self, condition: &PreparedCondition, at_ms: i64, raw: &Store) -> Option<Aged> {
        condition.oldest(at_ms, &[raw, &self.derived])
    }

    /// The elements of a condition, each with whether it holds, as [`Self::judge`] judges it.
    ///
    /// # Errors
    /// As [`EvalError`] says; nothing is told then.
    pub fn elements(&mut self, condition: &PreparedCondition, at_ms: i64, raw: &Store) -> Result<Vec<JudgedElement>, EvalError> {
        condition.elements(&mut self.machine.machine, at_ms, &[raw, &self.derived])
    }

    /// What Prometheus would hand to Alertmanager after the last evaluation: what is new, and what is sent again.
    #[must_use]
    pub fn sent(&self) -> &[SentAlert] {
        &self.sent
    }

    /// The annotations of an alert that is there, templates filled in as of the last evaluation that saw its element; empty if it is not there.
    #[must_use]
    pub fn annotations(&self, sent: &SentAlert, raw: &Store) -> Vec<(Name, String)> {
        let rule = &self.rules.groups[sent.group].rules[sent.rule];
        let Some(alert) = self.groups[sent.group].state.rules[sent.rule].alerts.get(&sent.labels) else { return Vec::new() };
        annotations(rule, alert, &self.surroundings, &[raw, &self.derived])
    }

    /// The alerts that fire now, with the name first.
    pub fn firing(&self) -> impl Iterator<Item = (&Name, &Labels)> {
        self.firing_values().map(|(name, labels, _)| (name, labels))
    }

    /// The alerts that fire now, each with the value of its expression at the last evaluation.
    pub fn firing_values(&self) -> impl Iterator<Item = (&Name, &Labels, f64)> {
        let states = self.rules.groups.iter().zip(&self.groups);
        let rules = states.flat_map(|(group, scheduled)| group.rules.iter().zip(&scheduled.state.rules));
        rules.flat_map(|(rule, state)| {
            let firing = state.alerts.iter().filter(|(_, alert)| alert.state == AlertState::Firing);
            firing.map(move |(labels, alert)| (&rule.name, labels, alert.value))
        })
    }

    /// Writes a change down; gives the notification if it is one to notify about.
    fn tell(&self, group: &Group, change: Change, now: Time, desk: &mut Desk<'_>) -> Option<Notification> {
        let name = group.rules[change.rule].name.clone();
        let notification = |labels: &Labels, status, fired_ms| {
            let starts_at = self.start.time_of(fired_ms).expect("no rule is evaluated before the start");
            Some(Notification { alert: name.clone(), status, labels: label_set(labels), starts_at, receiver: None })
        };
        let (event, notification) = match change.kind {
            ChangeKind::Pending { labels, value } => (Event::AlertPending { alert: name, labels: label_set(&labels), value }, None),
            ChangeKind::Dropped { .. } => return None,
            ChangeKind::Firing { labels, value } => {
                let at_ms = self.start.prometheus_millis(now);
                let told = notification(&labels, AlertStatus::Firing, at_ms);
                (Event::AlertFiring { alert: name, labels: label_set(&labels), value }, told)
            }
            ChangeKind::Resolved { labels, fired_ms } => {
                let told = notification(&labels, AlertStatus::Resolved, fired_ms);
                (Event::AlertResolved { alert: name, labels: label_set(&labels) }, told)
            }
            ChangeKind::Failed { message } => (Event::RuleFailed { rule: name, message }, None),
        };
        desk.write(now, event);
        notification
    }

    fn earliest(&self) -> Option<(Time, usize)> {
        let (next_ms, index) = self.groups.iter().enumerate().map(|(index, scheduled)| (scheduled.next_ms, index)).min()?;
        let at = self.start.time_of(next_ms).expect("no group is due before the start");
        Some((at, index))
    }
}

fn schedule(group: &Group, start: Start, settings: RulerSettings) -> Scheduled {
    let interval = group.interval.unwrap_or(settings.evaluation_interval);
    let interval_ms = millis(interval).max(1);
    let file = group.file.rsplit(['/', '\\']).next().unwrap_or(&group.file);
    let phase = match settings.phase {
        // Without the folder, so that one rule set has one schedule wherever it lies.
        Phase::Hashed => hash64(&format!("{file};{}", group.name)),
        Phase::Fixed(millis) => millis,
    };
    let phase_ms = (phase % interval_ms.unsigned_abs()) as i64;
    // The first moment at or after the start that lies at the phase. A start within a millisecond counts from the next one.
    let first_ms = start.unix_millis() + i64::from(start.time_of(start.unix_millis()).is_none());
    let next_ms = first_ms + (phase_ms - first_ms).rem_euclid(interval_ms);
    Scheduled { interval_ms, next_ms, state: GroupState::new(group) }
}

fn millis(span: Span) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn label_set(labels: &Labels) -> LabelSet {
    labels.iter().map(|(name, value)| (Name::new(name), Name::new(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::journal::Journal;
    use firedrill_telemetry::notation::parse_series;

    /// One raw series that is scraped every 5 s with values that change at given seconds; `None` ends it.
    struct Bench {
        ruler: Ruler,
        raw: Store,
        scraped: u64,
        journal: Journal,
        start: Start,
    }

    impl Bench {
        fn new(rules: &str) -> Self {
            let rules = RuleSet::read([("rules.yml", rules)]).unwrap_or_else(|problems| panic!("{problems:?}"));
            let start = Start::default();
            let settings = RulerSettings { phase: Phase::Fixed(0), ..RulerSettings::default() };
            Self { ruler: Ruler::new(rules, start, settings), raw: Store::new(), scraped: 0, journal: Journal::new(), start }
        }

        /// Scrapes `series` until a second, with one value.
        fn scrape(&mut self, until: u64, samples: &[(&str, f64)]) {
            while self.scraped <= until {
                for (series, value) in samples {
                    let id = self.raw.series(&parse_series(series).unwrap());
                    self.raw.append(id, self.start.unix_millis() + 1000 * self.scraped as i64, *value).unwrap();
                }
                self.scraped += 5;
            }
        }

        /// Runs the ruler up to and including a second; tells what happened to alerts.
        fn run(&mut self, until: u64) -> Vec<String> {
            let mut told = Vec::new();
            while self.ruler.due().is_some_and(|due| due <= Time::from_seconds(until)) {
                let before = self.journal.records().len();
                let mut commands = Vec::new();
                let mut desk = Desk { journal: &mut self.journal, commands: &mut commands };
                self.ruler.advance(&self.raw, &mut desk);
                for record in &self.journal.records()[before..] {
                    let what = match &record.event {
                        Event::AlertPending { alert, .. } => format!("{alert} pending"),
                        Event::AlertFiring { alert, value, .. } => format!("{alert} fires at {value}"),
                        Event::AlertResolved { alert, .. } => format!("{alert} over"),
                        Event::RuleFailed { rule, message } => format!("{rule} failed: {message}"),
                        other => panic!("{other:?}"),
                    };
                    told.push(format!("{} {what}", record.at.as_seconds()));
                }
            }
            told
        }

        fn derived(&self, series: &str) -> Vec<(i64, f64)> {
            let store = self.ruler.derived();
            let Some(id) = store.find(&parse_series(series).unwrap()) else { return Vec::new() };
            let seconds = store.times(id).iter().map(|at| (at - self.start.unix_millis()) / 1000);
            seconds.zip(store.values(id).iter().copied()).collect()
        }
    }

    fn one_rule(rule: &str) -> String {
        format!("groups: [{{ name: g, rules: [{rule}] }}]\n")
    }

    #[test]
    fn an_alert_waits_out_its_for_fires_and_resolves() {
        let mut bench = Bench::new(&one_rule("{ alert: A, expr: 'x > 1', for: 1m }"));
        bench.scrape(30, &[("x", 0.0)]);
        bench.scrape(130, &[("x", 2.0)]);
        bench.scrape(200, &[("x", 0.0)]);
        assert_eq!(bench.run(200), ["60 A pending", "120 A fires at 2", "150 A over"]);
        assert_eq!(bench.derived(r#"ALERTS{alertname="A",alertstate="firing"}"#)[0], (120, 1.0));
        let pending = bench.derived(r#"ALERTS{alertname="A",alertstate="pending"}"#);
        assert_eq!(pending[..2], [(60, 1.0), (90, 1.0)]);
        assert!(pending[2].0 == 120 && firedrill_telemetry::store::is_stale(pending[2].1));
        let since = 60.0 + Start::default().unix_millis() as f64 / 1000.0;
        assert_eq!(bench.derived(r#"ALERTS_FOR_STATE{alertname="A"}"#)[..3], [(60, since), (90, since), (120, since)]);
    }

    #[test]
    fn a_label_whose_template_comes_to_nothing_stands_in_alerts_as_it_is_written() {
        let mut bench =
            Bench::new(&one_rule("{ alert: A, expr: x, labels: { no: '{{ $labels.no }}', job: '{{ $labels.job }}', none: '' } }"));
        bench.scrape(30, &[(r#"x{job="a"}"#, 1.0)]);
        assert_eq!(bench.run(60), ["0 A fires at 1"]);
        assert_eq!(bench.derived(r#"ALERTS{alertname="A",alertstate="firing",job="a",no="{{ $labels.no }}"}"#)[0], (0, 1.0));
        assert_eq!(bench.derived(r#"ALERTS_FOR_STATE{alertname="A",job="a",no="{{ $labels.no }}"}"#)[0].0, 0);
    }

    const LEARNED: &str = "
groups:
  - name: slow
    interval: 2m
    rules:
      - { record: 'x:mean', expr: 'avg_over_time(x[1h] offset 10m)' }
      - { alert: Above, expr: 'x > x:mean * 2' }
  - name: quick
    interval: 30s
    rules:
      - { record: 'x:spread', expr: 'x - x:mean' }
      - { record: broken, expr: 'x + on () (x or label_replace(x, \"a\", \"b\", \"\", \"\"))' }
";

    /// Scrapes every five minutes for two hours before the start, the last one at the start.
    fn with_a_past(bench: &mut Bench) {
        let id = bench.raw.series(&parse_series("x").unwrap());
        for step in -24..=0_i64 {
            bench.raw.append(id, bench.start.unix_millis() + step * 300_000, if step % 2 == 0 { 3.0 } else { 1.0 }).unwrap();
        }
        bench.scraped = 5;
    }

    #[test]
    fn recording_rules_recall_the_time_before_the_start_and_the_run_goes_on_from_there() {
        let mut bench = Bench::new(LEARNED);
        with_a_past(&mut bench);
        let memory = bench.ruler.clone().recall(&bench.raw);
        let learned = |series: &str| {
            let store = memory.derived();
            let id = store.find(&parse_series(series).unwrap()).unwrap();
            let seconds = store.times(id).iter().map(|at| (at - bench.start.unix_millis()) / 1000).collect::<Vec<_>>();
            seconds.into_iter().zip(store.values(id).iter().copied()).collect::<Vec<_>>()
        };
        // Every 4 minutes, the longest multiple of 2 below 5, and every 5; nothing at the start itself.
        let means = learned("x:mean");
        assert!(means.windows(2).all(|pair| pair[1].0 - pair[0].0 == 240), "{means:?}");
        assert_eq!((means.first(), means.last()), (Some(&(-6480, 3.0)), Some(&(-240, 2.0))));
        let spreads = learned("x:spread");
        assert!(spreads.windows(2).all(|pair| pair[1].0 - pair[0].0 == 300), "{spreads:?}");
        assert_eq!(spreads.last().map(|(at, _)| *at), Some(-300));
        assert!(memory.derived().select(&[]).iter().all(|id| !memory.derived().labels(*id).to_string().contains("ALERTS")));
        // Without a memory the mean at the start is that of one sample; with it, that of an hour, and the run goes on with it.
        bench.ruler.remember(&memory);
        bench.scrape(150, &[("x", 9.0)]);
        let told = bench.run(120);
        assert!(told[0].starts_with("0 broken failed: "), "what failed over the past fails anew, and is told: {told:?}");
        assert_eq!(told[1..], ["120 Above fires at 9"]);
    }

    #[test]
    fn a_recorded_series_whose_source_is_gone_at_the_start_ends_there() {
        let mut bench = Bench::new(&one_rule("{ record: r, expr: x }"));
        let id = bench.raw.series(&parse_series("x").unwrap());
        for step in -24..=-1_i64 {
            bench.raw.append(id, bench.start.unix_millis() + step * 300_000, 1.0).unwrap();
        }
        bench.raw.append(id, bench.start.unix_millis() - 1, firedrill_telemetry::store::STALE).unwrap();
        let memory = bench.ruler.clone().recall(&bench.raw);
        bench.ruler.remember(&memory);
        bench.run(0);
        let recorded = bench.derived("r");
        assert_eq!(recorded[recorded.len() - 2], (-300, 1.0));
        assert!(recorded.last().is_some_and(|(at, value)| *at == 0 && firedrill_telemetry::store::is_stale(*value)), "{recorded:?}");
    }

    #[test]
    fn without_samples_before_the_start_nothing_is_recalled() {
        let mut bench = Bench::new(LEARNED);
        bench.scrape(60, &[("x", 1.0)]);
        assert!(bench.ruler.clone().recall(&bench.raw).derived().is_empty());
        assert!(bench.ruler.clone().recall(&Store::new()).derived().is_empty());
    }

    #[test]
    fn one_false_cycle_resets_a_pending_alert() {
        let mut bench = Bench::new(&one_rule("{ alert: A, expr: 'x > 1', for: 1m }"));
        bench.scrape(40, &[("x", 2.0)]);
        bench.scrape(70, &[("x", 0.0)]);
        bench.scrape(160, &[("x", 2.0)]);
        assert_eq!(bench.run(160), ["0 A pending", "90 A pending", "150 A fires at 2"]);
    }

    #[test]
    fn without_a_for_it_fires_in_the_cycle_that_sees_it() {
        let mut bench = Bench::new(&one_rule("{ alert: A, expr: 'x > 1' }"));
        bench.scrape(10, &[("x", 2.0)]);
        assert_eq!(bench.run(0), ["0 A fires at 2"]);
    }

    #[test]
    fn keep_firing_for_counts_from_the_first_miss_and_starts_anew_when_the_element_is_back() {
        let mut bench = Bench::new(&one_rule("{ alert: A, expr: 'x > 1', keep_firing_for: 1m }"));
        bench.scrape(10, &[("x", 2.0)]);
        bench.scrape(70, &[("x", 0.0)]);
        bench.scrape(100, &[("x", 2.0)]);
        bench.scrape(300, &[("x", 0.0)]);
        // Missing at 30 and 60, back at 90, missing from 120 on: kept until 120 + 60.
        assert_eq!(bench.run(300), ["0 A fires at 2", "180 A over"]);
    }

    #[test]
    fn later_rules_of_a_cycle_see_what_earlier_ones_recorded() {
        let mut bench = Bench::new(&one_rule("{ record: y, expr: 'sum(x) + 1' }, { alert: A, expr: 'y > 2' }"));
        bench.scrape(10, &[("x", 2.0)]);
        assert_eq!(bench.run(0), ["0 A fires at 3"]);
    }

    #[test]
    fn a_recorded_series_that_is_gone_ends_with_a_marker() {
        let mut bench = Bench::new(&one_rule("{ record: y, expr: 'x > 1', labels: { a: b } }"));
        bench.scrape(20, &[(r#"x{a="c",d="e"}"#, 2.0)]);
        bench.scrape(60, &[(r#"x{a="c",d="e"}"#, 0.0)]);
        bench.run(60);
        let samples = bench.derived(r#"y{a="b",d="e"}"#);
        assert_eq!((samples.len(), samples[0], samples[1].0), (2, (0, 2.0), 30));
        assert!(firedrill_telemetry::store::is_stale(samples[1].1));
    }

    #[test]
    fn an_error_leaves_the_state_untouched_and_is_told_once() {
        let mut bench = Bench::new(&one_rule("{ alert: A, expr: 'x > 1', labels: { i: '' } }"));
        bench.scrape(20, &[(r#"x{i="1"}"#, 2.0)]);
        bench.scrape(80, &[(r#"x{i="1"}"#, 2.0), (r#"x{i="2"}"#, 2.0)]);
        bench.scrape(100, &[(r#"x{i="1"}"#, 2.0), (r#"x{i="2"}"#, 0.0)]);
        let twins = r#"30 A failed: two elements have the same labels {alertname="A"} after the rule's labels were applied"#;
        assert_eq!(bench.run(90), ["0 A fires at 2", twins]);
        assert_eq!(bench.ruler.firing().count(), 1);
    }

    #[test]
    fn beyond_its_limit_a_rule_drops_its_alerts() {
        let rules = "groups: [{ name: g, limit: 1, rules: [{ alert: A, expr: 'x > 1' }] }]\n";
        let mut bench = Bench::new(rules);
        bench.scrape(20, &[(r#"x{i="1"}"#, 2.0), (r#"x{i="2"}"#, 2.0)]);
        bench.scrape(60, &[(r#"x{i="1"}"#, 2.0), (r#"x{i="2"}"#, 0.0)]);
        let fired = "0 A fires at 2";
        assert_eq!(bench.run(30), [fired, fired, "0 A failed: 2 alerts, and the limit is 1: all are dropped", "30 A fires at 2"]);
    }

    #[test]
    fn an_offset_asks_and_writes_in_the_past() {
        let rules = "groups: [{ name: g, query_offset: 20s, rules: [{ record: y, expr: x }] }]\n";
        let mut bench = Bench::new(rules);
        bench.scrape(10, &[("x", 1.0)]);
        bench.scrape(40, &[("x", 2.0)]);
        bench.run(30);
        assert_eq!(bench.derived("y"), [(10, 1.0)]);
    }

    #[test]
    fn labels_of_the_rule_override_and_the_name_is_dropped() {
        let mut bench = Bench::new(&one_rule("{ alert: A, expr: 'x > 1', labels: { severity: page, job: '' } }"));
        bench.scrape(10, &[(r#"x{job="j",severity="low",pod="p"}"#, 2.0)]);
        bench.run(0);
        let (_, labels) = bench.ruler.firing().next().unwrap();
        assert_eq!(labels.to_string(), r#"{alertname="A", pod="p", severity="page"}"#);
    }

    #[test]
    fn groups_are_spread_over_their_interval_by_their_names_and_stay_on_whole_milliseconds() {
        let names: Vec<String> = (0..20).map(|index| format!("{{ name: g{index}, rules: [] }}")).collect();
        let text = format!("groups: [{}]\n", names.join(", "));
        let at = |path: &str| {
            let rules = RuleSet::read([(path, &*text)]).unwrap();
            let ruler = Ruler::new(rules, Start::default(), RulerSettings::default());
            ruler.groups.iter().map(|group| group.next_ms - Start::default().unix_millis()).collect::<Vec<_>>()
        };
        let phases = at("rules/a.yml");
        assert!(phases.iter().all(|phase| (0..30_000).contains(phase)));
        assert!(phases.iter().max() > Some(&20_000) && phases.iter().min() < Some(&10_000), "{phases:?}");
        assert_eq!(phases, at("/elsewhere/a.yml"));
        assert_ne!(phases, at("b.yml"));
    }

    #[test]
    fn a_start_within_an_interval_keeps_the_schedule_of_the_epoch() {
        let rules = RuleSet::read([("a.yml", "groups: [{ name: g, rules: [] }]\n")]).unwrap();
        let settings = RulerSettings { phase: Phase::Fixed(7_000), ..RulerSettings::default() };
        let due = |start| Ruler::new(Arc::clone(&rules), start, settings).due();
        assert_eq!(due(Start::from_unix_seconds(1_000_000_010)), Some(Time::from_seconds(17)));
        assert_eq!(due(Start::from_unix_seconds(1_000_000_027)), Some(Time::ZERO));
    }
}
