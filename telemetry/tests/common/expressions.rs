//! Expressions from a tape of numbers: equal tapes give equal expressions, and a shorter tape a simpler one.

/// Reads choices off a tape; at its end every choice is the first, which ends all recursion.
pub struct Dice<'t> {
    tape: &'t [u32],
}

impl<'t> Dice<'t> {
    pub fn new(tape: &'t [u32]) -> Dice<'t> {
        Dice { tape }
    }

    fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.tape.split_first() else { return 0 };
        self.tape = rest;
        *first as usize % count
    }

    fn one<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.below(choices.len())]
    }
}

const RANGES: [&str; 5] = ["5m", "90s", "10m", "30s", "17m"];
const LABELS: [&str; 4] = ["job", "pod", "zone", "nothing"];

/// An expression that yields an instant vector or a scalar.
pub fn expression(dice: &mut Dice<'_>) -> String {
    if dice.below(12) == 1 { scalar(dice, 3) } else { vector(dice, 4) }
}

fn scalar(dice: &mut Dice<'_>, depth: usize) -> String {
    let choices = if depth == 0 { 3 } else { 7 };
    match dice.below(choices) {
        0 | 1 => dice.one(&["2", "0", "-1.5", "0.25", "1e3", "NaN", "Inf", "-Inf", "0x1f", "3"]).to_owned(),
        2 => dice.one(&["time()", "pi()"]).to_owned(),
        3 => format!("scalar({})", vector(dice, depth - 1)),
        4 => format!("-({})", scalar(dice, depth - 1)),
        5 => {
            let operator = dice.one(&["+", "-", "*", "/", "%", "^", "atan2"]);
            format!("({} {operator} {})", scalar(dice, depth - 1), scalar(dice, depth - 1))
        }
        _ => {
            let operator = dice.one(&["==", "!=", "<", ">", "<=", ">="]);
            format!("({} {operator} bool {})", scalar(dice, depth - 1), scalar(dice, depth - 1))
        }
    }
}

fn vector(dice: &mut Dice<'_>, depth: usize) -> String {
    if depth == 0 {
        return instant(dice);
    }
    let depth = depth - 1;
    match dice.below(13) {
        0 => instant(dice),
        1 | 2 => window(dice, depth),
        3 | 4 => aggregation(dice, depth),
        5 => mapped(dice, depth),
        6 => {
            let (operator, bool) = operator(dice);
            format!("({} {operator} {bool}{})", vector(dice, depth), scalar(dice, depth))
        }
        7 => {
            let (operator, bool) = operator(dice);
            format!("({} {operator} {bool}{})", scalar(dice, depth), vector(dice, depth))
        }
        8 | 9 => joined(dice, depth),
        10 => {
            let operator = dice.one(&["and", "or", "unless"]);
            let matching = matching(dice);
            format!("({} {operator} {matching}{})", vector(dice, depth), vector(dice, depth))
        }
        11 => relabelled(dice, depth),
        _ => format!("-({})", vector(dice, depth)),
    }
}

fn instant(dice: &mut Dice<'_>) -> String {
    format!("{}{}", series(dice), moment(dice))
}

fn series(dice: &mut Dice<'_>) -> String {
    let name = dice.one(&["gauge", "requests_total", "latency_bucket", "other", "absent_one", ""]);
    let matchers = [
        "",
        r#"{job="a"}"#,
        r#"{pod=~"1|2"}"#,
        r#"{job!="b",pod!~"3.*"}"#,
        r#"{zone="",job=~".+"}"#,
        r#"{job="a",job=~"a|b",pod="1"}"#,
        r#"{job!="b",job="a"}"#,
    ];
    match (name, dice.one(&matchers)) {
        ("", "") => r#"{__name__=~"gauge|other"}"#.to_owned(),
        ("", matcher) => format!(r#"{{__name__=~"gauge|requests_total",{}"#, &matcher[1..]),
        (name, matcher) => format!("{name}{matcher}"),
    }
}

fn moment(dice: &mut Dice<'_>) -> &'static str {
    const MOMENTS: [&str; 14] = [
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        " offset 1m",
        " offset -45s",
        " @ 1767572400.5",
        " @ start()",
        " @ end() offset 2m",
        " offset 1m @ 1767572700.5",
    ];
    MOMENTS[dice.below(MOMENTS.len())]
}

fn range(dice: &mut Dice<'_>, depth: usize) -> String {
    let length = dice.one(&RANGES);
    if depth > 0 && dice.below(5) == 1 {
        let step = dice.one(&["1m", "30s", "", "7s"]);
        return format!("({})[{length}:{step}]{}", vector(dice, depth - 1), moment(dice));
    }
    format!("{}[{length}]{}", series(dice), moment(dice))
}

fn window(dice: &mut Dice<'_>, depth: usize) -> String {
    let functions = [
        "rate",
        "increase",
        "delta",
        "irate",
        "idelta",
        "avg_over_time",
        "min_over_time",
        "max_over_time",
        "sum_over_time",
        "count_over_time",
        "stddev_over_time",
        "stdvar_over_time",
        "last_over_time",
        "present_over_time",
        "absent_over_time",
        "changes",
        "resets",
        "deriv",
    ];
    match dice.below(functions.len() + 2) {
        0 => format!("quantile_over_time({}, {})", quantile(dice), range(dice, depth)),
        1 => format!("predict_linear({}, {})", range(dice, depth), dice.one(&["60", "-60", "3600"])),
        other => format!("{}({})", functions[other - 2], range(dice, depth)),
    }
}

fn quantile(dice: &mut Dice<'_>) -> &'static str {
    const QUANTILES: [&str; 8] = ["0.5", "0.9", "0", "1", "-1", "2", "NaN", "0.333"];
    QUANTILES[dice.below(QUANTILES.len())]
}

fn aggregation(dice: &mut Dice<'_>, depth: usize) -> String {
    let grouping = match dice.below(5) {
        0 => String::new(),
        1 | 2 => format!(" by ({}) ", dice.one(&LABELS)),
        3 => format!(" by ({}, {}) ", dice.one(&LABELS), dice.one(&LABELS)),
        _ => format!(" without ({}) ", dice.one(&LABELS)),
    };
    match dice.below(11) {
        0 => format!("quantile{grouping}({}, {})", quantile(dice), vector(dice, depth)),
        1 => format!("count_values{grouping}(\"value\", {})", vector(dice, depth)),
        2 => format!("{}{grouping}({}, {})", dice.one(&["topk", "bottomk"]), dice.one(&["1", "2", "0", "100", "1.9"]), vector(dice, depth)),
        _ => {
            let operator = dice.one(&["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"]);
            format!("{operator}{grouping}({})", vector(dice, depth))
        }
    }
}

fn mapped(dice: &mut Dice<'_>, depth: usize) -> String {
    let plain = [
        "abs",
        "ceil",
        "floor",
        "sqrt",
        "exp",
        "ln",
        "log2",
        "log10",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "asinh",
        "acosh",
        "atanh",
        "deg",
        "rad",
        "sgn",
        "timestamp",
        "sort",
        "sort_desc",
        "absent",
        "minute",
        "hour",
        "day_of_week",
        "day_of_month",
        "day_of_year",
        "days_in_month",
        "month",
        "year",
    ];
    match dice.below(plain.len() + 7) {
        0 => format!("histogram_quantile({}, {})", quantile(dice), dice.one(&["latency_bucket", "rate(latency_bucket[5m])", "gauge"])),
        1 => format!("round({})", vector(dice, depth)),
        2 => format!("round({}, {})", vector(dice, depth), dice.one(&["0.1", "5", "0", "-2"])),
        3 => format!("clamp({}, {}, {})", vector(dice, depth), dice.one(&["0", "-5", "NaN"]), dice.one(&["10", "-9", "Inf"])),
        4 => format!("clamp_min({}, {})", vector(dice, depth), scalar(dice, depth)),
        5 => format!("clamp_max({}, {})", vector(dice, depth), scalar(dice, depth)),
        6 => format!("vector({})", scalar(dice, depth)),
        other => format!("{}({})", plain[other - 7], vector(dice, depth)),
    }
}

fn operator(dice: &mut Dice<'_>) -> (&'static str, &'static str) {
    const OPERATORS: [&str; 13] = ["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", ">", "<=", ">="];
    let operator = OPERATORS[dice.below(OPERATORS.len())];
    let compares = operator.contains(['=', '<', '>']);
    (operator, if compares && dice.below(2) == 1 { "bool " } else { "" })
}

fn matching(dice: &mut Dice<'_>) -> String {
    match dice.below(6) {
        0..=2 => String::new(),
        3 => format!("on ({}) ", dice.one(&LABELS)),
        4 => format!("on ({}, {}) ", dice.one(&LABELS), dice.one(&LABELS)),
        _ => format!("ignoring ({}) ", dice.one(&LABELS)),
    }
}

fn joined(dice: &mut Dice<'_>, depth: usize) -> String {
    let (operator, bool) = operator(dice);
    let mut matching = matching(dice);
    if !matching.is_empty() {
        matching.push_str(dice.one(&["", "", "group_left () ", "group_right () ", "group_left (zone) ", "group_right (nothing) "]));
    }
    format!("({} {operator} {bool}{matching}{})", vector(dice, depth), vector(dice, depth))
}

fn relabelled(dice: &mut Dice<'_>, depth: usize) -> String {
    let (to, from) = (dice.one(&["zone", "new", "pod"]), dice.one(&LABELS));
    if dice.below(3) == 1 {
        return format!(r#"label_join({}, "{to}", "-", "{from}", "job")"#, vector(dice, depth));
    }
    let (replacement, pattern) = (dice.one(&["$1", "x-${1}", "", "fixed"]), dice.one(&["(.*)", "(.).*", "b", ".+"]));
    format!(r#"label_replace({}, "{to}", "{replacement}", "{from}", "{pattern}")"#, vector(dice, depth))
}
