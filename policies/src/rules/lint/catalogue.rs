//! Every lint of rules: its code, what it finds, why that hurts, what helps. `docs/check.md` says the same at more length.

use firedrill_core::problem::Severity;

/// One kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Lint {
    /// Its code, stable across versions.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is found, a lowercase fragment.
    pub what: &'static str,
    /// What helps, where a finding does not know better.
    pub remedy: &'static str,
}

macro_rules! lints {
    ($($name:ident = $code:literal, $severity:ident, $what:literal, $remedy:literal;)*) => {
        $(pub(super) const $name: Lint = Lint { code: $code, severity: Severity::$severity, what: $what, remedy: $remedy };)*
        /// Every lint of rules, by code.
        pub const LINTS: &[&Lint] = &[$(&$name),*];
    };
}

lints! {
    CANNOT_FIRE = "FD0460", Warning, "a rule that cannot fire here", "expose what it asks for by a scenario (`metrics:` of a service)";
    ALWAYS_FIRES = "FD0461", Warning, "an alert that fires all the time here", "expose what it finds absent, or leave the rule out";
    PART_FINDS_NOTHING = "FD0462", Info, "a part of an expression that finds nothing here", "expose what it asks for by a scenario";
    NEVER_FIRED = "FD0463", Warning, "a rule that could fire and does in no run and no recording",
        "rehearse what it is for: a scenario with that fault, or a recording of it";
    SELECTS_NOTHING = "FD0464", Warning, "a selector that selects nothing in any run or recording",
        "compare its matchers with the series that there are, or rehearse what brings such series about";
    TOO_FEW_SAMPLES = "FD0465", Warning, "a window with fewer samples than its function needs", "look over a longer time";
    FEW_SAMPLES = "FD0466", Info, "a window that a lost scrape or two leave without enough samples", "look over a longer time";
    SHORT_HOLD = "FD0467", Warning, "a `for` shorter than the interval of its group", "write a `for` of at least the interval";
    UNEVEN_HOLD = "FD0468", Info, "a `for` that is no multiple of the interval of its group", "write a multiple of the interval";
    NO_SEVERITY = "FD0469", Warning, "an alert without a label that tells how bad it is", "add it below `labels:`";
    NO_OWNER = "FD0470", Info, "an alert without a label that tells whose it is", "add it below `labels:`";
    DUPLICATE = "FD0471", Warning, "a rule that stands twice", "remove one, or give them labels that tell them apart";
    RATE_OF_GAUGE = "FD0472", Warning, "a function for counters over a gauge", "use `deriv` or `delta`, or compare the gauge itself";
    DELTA_OF_COUNTER = "FD0473", Warning, "a function for gauges over a counter", "use `rate` or `increase`";
    RATE_OF_SUM = "FD0474", Warning, "a rate of a sum of counters", "take the rate of each series first: `sum(rate(x[5m]))`";
    RATE_OF_RATE = "FD0475", Warning, "a rate of a recorded rate", "take `deriv`, or the rate of what was counted in the first place";
    LABEL_GONE = "FD0476", Warning, "a text that names a label which the expression does not keep, without asking for it first", "keep the label, or leave it out of the text";
    ABSENT_OF_NOBODY = "FD0477", Info, "an `absent` whose result has no label", "ask for one thing, as in `absent(up{job=\"api\"})`";
    EXACT_FRACTION = "FD0478", Warning, "a fraction that is compared by `==` or `!=`", "compare by `>` or `<`, or round first";
    ONE_SCRAPE_PAGES = "FD0479", Info, "a critical alert that waits for nothing and looks at one scrape", "add `for:`, or look over some time: `max_over_time(x[5m])`";
    RARE_GROUP = "FD0480", Warning, "a group whose interval is longer than samples are seen", "evaluate it at least every 5m, better every 2m";
    SHADOWS = "FD0481", Warning, "a recording rule by the name of a scraped metric", "record by a name with a colon, as in `job:x:sum`";
    DEFAULT_WITHOUT_LABELS = "FD0482", Warning, "an `or vector(…)` that is matched by labels", "give the default to the result instead, or write it per element: `or 0 * x`";
    NOTHING_FILTERS = "FD0483", Warning, "an alert that compares nothing", "compare with a number, without `bool`";
    BROKEN_TEMPLATE = "FD0484", Warning, "a text that cannot be filled in here", "see https://prometheus.io/docs/prometheus/latest/configuration/template_reference/";
    ALLOWS_NOTHING = "FD0485", Warning, "a comment that allows nothing", "remove the comment";
    COUNTER_COMPARED = "FD0486", Info, "a counter whose value itself is compared", "ask how much it grew: `increase(x[10m]) > 0`";
    FAILS = "FD0487", Warning, "a rule that fails when it is evaluated", "say which elements belong together: `on`, `ignoring`, `group_left`, or add one side up first";
    LONG_HOLD = "FD0488", Warning, "a `for` that no run or recording here outlasts", "rehearse it in a scenario with a longer `horizon`, or hold it to a rule test";
}
