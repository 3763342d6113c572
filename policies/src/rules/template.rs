//! Templates in the labels and annotations of rules, filled in as Prometheus fills them in.
//!
//! The language is Go's `text/template`, which `gtmpl-ng` evaluates; the functions and variables are Prometheus' own and are written here
//! (docs/decisions/templates.md).

mod bare;
mod compare;
mod functions;
mod literals;
mod scene;

use std::fmt;
use std::sync::{Arc, OnceLock};

use firedrill_core::name::Name;
use firedrill_telemetry::labels::Labels;
use firedrill_telemetry::promql::Sample;
use gtmpl_ng::{Context, Value};

use functions::float;

pub(super) use bare::{Bare, places};
pub use scene::Scene;

/// What Prometheus puts before every template, so that `$labels` and the like are there.
const PREAMBLE: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// How the engine writes a value that is not there. Prometheus' label maps hold texts, so what is missing in them is the empty text.
const NO_VALUE: &str = "<no value>";

/// A text that may hold `{{ … }}`; parsed when it is first filled in.
#[derive(Clone)]
pub struct Template {
    text: Arc<str>,
    parsed: Arc<OnceLock<Result<gtmpl_ng::Template, String>>>,
}

/// What a template can speak of.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The labels of the expression's element, the metric's name among them.
    pub labels: &'a Labels,
    /// The element's value.
    pub value: f64,
    /// Labels of the whole server.
    pub external_labels: &'a [(Name, Name)],
}

impl Template {
    /// A template from its text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), parsed: Arc::default() }
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is nothing to fill in.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.text.contains("{{")
    }

    /// Whether it may ask for what series are like.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.text.contains("query")
    }

    /// Why the text is no template that can be filled in; then it is left as it is.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        if self.is_plain() { None } else { self.parsed().as_ref().err().map(String::as_str) }
    }

    /// The labels that it writes without having asked whether they are there.
    pub(super) fn bare_labels(&self) -> Vec<Bare> {
        bare::bare(&self.text)
    }

    /// Why Prometheus refuses to load a rule with this text; `None` if it does not, or if it is only this engine that cannot fill it in.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.problem().filter(|why| !why.starts_with("more than ") && !why.starts_with(NO_METHODS))
    }

    /// The text with everything filled in. A text that is no template stays as it is. A template that fails while it is filled in becomes
    /// `<error expanding template: …>`, as in Prometheus.
    #[must_use]
    pub fn fill(&self, subject: &Subject<'_>, scene: &Scene) -> String {
        if self.is_plain() {
            return self.text.to_string();
        }
        let Ok(template) = self.parsed() else { return self.text.to_string() };
        let context = Context::from(subject_value(subject, scene));
        match scene::within(scene, || template.render(&context)) {
            Ok(text) => text.replace(NO_VALUE, ""),
            Err(error) => format!("<error expanding template: {}>", first_line(&error.to_string())),
        }
    }

    fn parsed(&self) -> &Result<gtmpl_ng::Template, String> {
        self.parsed.get_or_init(|| {
            if parentheses(&self.text) > MOST_PARENTHESES {
                return Err(format!("more than {MOST_PARENTHESES} parentheses within each other"));
            }
            if let Some(method) = method_of_a_time(&self.text) {
                return Err(format!("{NO_METHODS}`{method}`"));
            }
            let mut template = gtmpl_ng::Template::default();
            template.add_funcs(functions::ALL);
            template
                .parse(format!("{PREAMBLE}{}", literals::in_go(&self.text)))
                .map_err(|error| first_line(&error.to_string()).to_owned())?;
            Ok(template)
        })
    }
}

/// What a text asks of a time is not here; the name of it follows.
const NO_METHODS: &str = "a time has no ";

/// What a text asks of the times that it makes, such as `.Format`.
fn method_of_a_time(text: &str) -> Option<&'static str> {
    const METHODS: [&str; 14] = [
        ".Add", ".After", ".Before", ".Day", ".Format", ".Hour", ".Minute", ".Month", ".Second", ".Sub", ".UTC", ".Unix", ".Weekday",
        ".Year",
    ];
    if text.contains("toTime") { METHODS.into_iter().find(|method| text.contains(method)) } else { None }
}

/// At most so many parentheses within each other: the engine bounds what else it recurses by, and not these.
const MOST_PARENTHESES: usize = 32;

/// How deep the parentheses of a template's actions go.
fn parentheses(text: &str) -> usize {
    let actions = text.split("{{").skip(1).map(|tail| tail.split("}}").next().unwrap_or_default());
    let depth = |action: &str| {
        let (mut depth, mut deepest) = (0_usize, 0);
        for c in action.chars() {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        deepest
    };
    actions.map(depth).max().unwrap_or(0)
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

fn first_line(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    // The position counts the preamble in and helps nobody.
    line.strip_prefix("template: ")
        .and_then(|rest| rest.splitn(4, ':').nth(3))
        .map_or(line, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'))
}

fn subject_value(subject: &Subject<'_>, scene: &Scene) -> Value {
    let external = subject.external_labels.iter().map(|(name, value)| (name.to_string(), Value::from(value.as_str()))).collect();
    let fields = [
        ("Labels", labels_value(subject.labels)),
        ("ExternalLabels", Value::Map(external)),
        ("ExternalURL", Value::from(scene.external_url.as_str())),
        ("Value", float(subject.value)),
    ];
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A map, not an object: a name that is not in it is no error.
fn labels_value(labels: &Labels) -> Value {
    Value::Map(labels.iter().map(|(name, value)| (name.to_string(), Value::from(&**value))).collect())
}

fn sample_value(sample: &Sample) -> Value {
    let fields = [("Labels", labels_value(&sample.labels)), ("Value", float(sample.value))];
    Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_telemetry::notation::parse_series;
    use std::rc::Rc;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        check_value(text, 0.015_625, expected);
    }

    #[track_caller]
    fn check_value(text: &str, value: f64, expected: &str) {
        let labels = parse_series(r#"up{instance="10.0.0.1:9090", job="api"}"#).unwrap();
        let external = [(Name::new("region"), Name::new("eu"))];
        let answer = |expression: &str| match expression {
            "none" => Ok(Vec::new()),
            "two" => Ok([("b", 2.0), ("a", 1.5)]
                .map(|(pod, value)| Sample { labels: parse_series(&format!(r#"x{{pod="{pod}"}}"#)).unwrap(), value })
                .to_vec()),
            _ => Err(format!("no such query {expression}")),
        };
        let scene = Scene { external_url: "https://mon.example/prom".to_owned(), at_ms: 60_500, ask: Rc::new(answer) };
        let subject = Subject { labels: &labels, value, external_labels: &external };
        assert_eq!(Template::new(text).fill(&subject, &scene), expected, "{text}");
    }

    #[test]
    fn labels_and_values_are_filled_in() {
        check("plain {text}", "plain {text}");
        check("{{ $labels.job }} is {{ $value }}", "api is 0.015625");
        check("{{$labels.job}}/{{ .Labels.instance }}={{.Value}}", "api/10.0.0.1:9090=0.015625");
        check("{{ $labels }}", "map[__name__:up instance:10.0.0.1:9090 job:api]");
        check(
            "{{ $externalLabels.region }} {{ $externalURL }} {{ externalURL }} {{ pathPrefix }}",
            "eu https://mon.example/prom https://mon.example/prom /prom",
        );
    }

    #[test]
    fn a_label_that_is_missing_is_the_empty_text_everywhere() {
        check("[{{ $labels.none }}]", "[]");
        check("{{ if $labels.none }}yes{{ else }}no{{ end }}", "no");
        check(r#"{{ if eq $labels.none "" }}same{{ end }}"#, "same");
        check(r#"{{ printf "[%s]" $labels.none }}"#, "[]");
        check(r#"{{ $labels.none | toUpper | printf "[%s]" }}"#, "[]");
        check("{{ with $labels.none -}} some {{- else -}} none {{- end }}", "none");
    }

    #[test]
    fn numbers_are_made_readable() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (1_234_567.0, "1.235M"),
            (0.12, "120m"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
            (-1500.0, "-1.5k"),
        ] {
            check_value("{{ $value | humanize }}", value, expected);
        }
        check_value("{{ humanize1024 $value }}", 1_048_576.0, "1Mi");
        check_value("{{ humanize1024 $value }}", 0.5, "0.5");
        check_value("{{ humanizePercentage $value }}", 0.959, "95.9%");
        for (value, expected) in [
            (0.0, "0s"),
            (1.0, "1s"),
            (135.3563, "2m 15s"),
            (3600.0, "1h 0m 0s"),
            (90_061.0, "1d 1h 1m 1s"),
            (-61.0, "-1m 1s"),
            (0.1, "100ms"),
            (59.25, "59.25s"),
        ] {
            check_value("{{ humanizeDuration $value }}", value, expected);
        }
        check("{{ humanizeTimestamp 1643114203 }}", "2022-01-25 12:36:43 +0000 UTC");
        check(r#"{{ "135" | humanizeDuration }}"#, "2m 15s");
        check(r#"{{ printf "%.2f %d %5.1f%%" $value 3 $value }}"#, "0.02 3   0.0%");
        check_value("{{ $value }}", 1e21, "1e+21");
        check_value("{{ $value }}", 3.0, "3");
    }

    /// What promtool 2.42 writes.
    #[test]
    fn a_value_is_a_float_and_nothing_else() {
        let bad = |why: &str| format!("<error expanding template: {why}>");
        check_value("{{ $value }} {{ .Value }}", 1e6, "1e+06 1e+06");
        check_value(r#"{{ print $value }} {{ printf "%v" $value }}"#, 16_777_216.0, "1.6777216e+07 1.6777216e+07");
        check_value("{{ $value }}", 123_456.0, "123456");
        check(r#"{{ query "two" | first | value | printf "%T" }} {{ 5000000.0 }} {{ 1e6 }} {{ 5000000 }}"#, "float64 5e+06 1e+06 5000000");
        check_value(r#"{{ printf "%d" $value }} {{ printf "%s" $value }}"#, 3.0, "%!d(float64=3) %!s(float64=3)");
        check_value(r#"{{ printf "%d" $value }} {{ printf "%.1f" $value }} {{ $value }}"#, 0.0, "%!d(float64=0) 0.0 0");
        check_value("{{ if gt $value 20 }}hi{{ end }}", 30.0, &bad("incompatible types for comparison"));
        check_value("{{ if eq $value 3 }}three{{ end }}", 3.0, &bad("incompatible types for comparison"));
        check_value("{{ if gt $value 20.0 }}hi{{ else }}lo{{ end }}", 30.0, "hi");
        check_value("{{ if eq $value 1.5 3.0 }}either{{ end }}{{ if ne $value 3.5 }}other{{ end }}", 3.0, "eitherother");
        check_value("{{ if eq $value 0.0 }}none{{ end }}{{ if $value }}some{{ end }}{{ if not $value }}no{{ end }}", 0.0, "noneno");
        check_value("{{ if $value }}some{{ end }}", -0.0, "");
        check_value("{{ if gt $value 2.0 }}hi{{ end }}{{ if lt $value 2.0 }}lo{{ end }}{{ if $value }}some{{ end }}", f64::NAN, "hisome");
        check(r#"{{ if lt 1 2 }}{{ if ge "b" "a" }}{{ if ne true false }}ok{{ end }}{{ end }}{{ end }}"#, "ok");
        check("{{ lt true false }}", &bad("invalid type for comparison"));
        check(r#"{{ printf "%d %.1f%% %*d" 2 $value 3 4 }}"#, "2 0.0%   4");
        check(r#"{{ printf "%d %.1f" 2 3 }}"#, &bad("printf of an integer by `%f`, which is for floats"));
        check_value("{{ toTime $value }}", f64::NAN, &bad("value is NaN or Inf"));
        check(r#"{{ len "abc" | printf "%d" }} {{ slice "abc" 0 2 }} {{ -0.5 | humanizePercentage }}"#, "3 ab -50%");
    }

    #[test]
    fn a_raw_text_is_what_it_is() {
        check(r#"{{ reReplaceAll `(\d+)\.(\d+)` `$2-$1` "12.34" }} {{ match `^\w+$` "abc" }}"#, "34-12 true");
        check(r#"{{ printf `%s\n` "x" }}"#, r"x\n");
    }

    #[test]
    fn texts_are_changed() {
        check(r#"{{ title "this part" }} {{ toUpper "is testing" }} {{ toLower "THE STRINGS" }}"#, "This Part IS TESTING the strings");
        check(r#"{{ stripPort "[::1]:6006" }} {{ stripPort "127.0.0.1:4004" }} {{ stripPort "host" }}"#, "::1 127.0.0.1 host");
        check(r#"{{ stripDomain "web.example.org:80" }} {{ stripDomain "10.0.0.1:80" }}"#, "web:80 10.0.0.1:80");
        check(r#"{{ parseDuration "2h10m15s" }}"#, "7815");
        check(r#"{{ if match "[0-9]+" "1234" }}{{ reReplaceAll "r.*d" "replaced" "rpld text" }}{{ end }}"#, "replaced text");
        check(r#"{{ if match "[0-9]+$" "1234a" }}WRONG{{ end }}"#, "");
        check(
            r#"{{ graphLink "up == 0" }} {{ tableLink "a{b=\"c\"}" }}"#,
            "/graph?g0.expr=up+%3D%3D+0&g0.tab=0 /graph?g0.expr=a%7Bb%3D%22c%22%7D&g0.tab=1",
        );
    }

    #[test]
    fn queries_are_answered_at_the_moment_of_the_evaluation() {
        check(r#"{{ query "two" | first | value }}"#, "2");
        check(r#"{{ with query "two" }}{{ . | sortByLabel "pod" | first | label "pod" }}{{ end }}"#, "a");
        check(r#"{{ range query "two" }}{{ .Labels.pod }}={{ .Value }};{{ end }}"#, "b=2;a=1.5;");
        check(r#"{{ with query "none" }}some{{ else }}none{{ end }}"#, "none");
        check(r#"{{ query "none" | first | value }}"#, "<error expanding template: first() called on vector with no elements>");
        check(r#"{{ query "?" }}"#, "<error expanding template: no such query ?>");
    }

    #[test]
    fn what_is_no_template_is_left_as_it_is_and_told() {
        check("{{ $labels.job", "{{ $labels.job");
        let clock = r#"{{ (toTime $value).Format "15:04" }}"#;
        check(clock, clock);
        assert_eq!(Template::new(clock).problem(), Some("a time has no `.Format`"));
        assert_eq!(Template::new(clock).fault(), None, "it is only missing here");
        assert_eq!(Template::new("{{ $value }}").problem(), None);
        for (text, why) in [
            ("{{ nofunc 1 }}", "function nofunc not defined"),
            ("{{ tmpl \"x\" . }}", "function tmpl not defined"),
            ("{{ $labels.job", "unclosed action"),
            ("{{ if $value }}x", "unexpected EOF"),
            ("{{ $nope }}", "undefined variable $nope"),
        ] {
            assert_eq!(Template::new(text).fault(), Some(why), "{text}");
        }
        let deep = format!("{{{{ {}1{} }}}}", "(".repeat(33), ")".repeat(33));
        assert_eq!(Template::new(&deep).problem(), Some("more than 32 parentheses within each other"));
        assert_eq!(Template::new(&deep.replacen("(", "", 1).replacen(")", "", 1)).problem(), None);
    }

    #[test]
    fn templates_of_the_conformance_suite_come_out_as_they_should() {
        check(
            r#"{{ define "t" }}Args are: {{.arg0}} {{.arg1}} {{.arg2}}.{{ end }}{{ template "t" (args "foo" "bar" 99) }}"#,
            "Args are: foo bar 99.",
        );
        check(
            "{{humanize 1048576}} {{humanize1024 1048576}} {{humanizeDuration 135.3563}} {{humanizePercentage 0.959}}",
            "1.049M 1Mi 2m 15s 95.9%",
        );
    }
}
