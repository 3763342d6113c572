//! Templates in the labels and annotations of rules, filled in as Prometheus fills them in.
//!
//! The language is Go's `text/template`, the functions and variables are Prometheus' own (docs/decisions/templates.md).

mod bare;
mod builtins;
mod compare;
mod fault;
mod floats;
mod functions;
mod lexer;
mod literals;
mod parser;
mod run;
mod scene;
mod times;
mod tree;
mod value;
mod verbs;

use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use firedrill_core::name::Name;
use firedrill_telemetry::labels::Labels;

use fault::Fault;
use tree::Tree;
use value::{Alert, Value};

pub(super) use bare::{Bare, places};
pub use scene::Scene;

/// What Prometheus puts before every template, so that `$labels` and the like are there.
const PREAMBLE: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// A text that may hold `{{ … }}`; parsed when it is first filled in.
#[derive(Clone)]
pub struct Template {
    text: Arc<str>,
    parsed: Arc<OnceLock<Result<Tree, Fault>>>,
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
        if self.is_plain() { None } else { self.parsed().as_ref().err().map(Fault::why) }
    }

    /// The labels that it writes without having asked whether they are there.
    pub(super) fn bare_labels(&self) -> Vec<Bare> {
        bare::bare(&self.text)
    }

    /// Why Prometheus refuses to load a rule with this text; `None` if it does not, or if it is only this engine that cannot fill it in.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        match self.parsed() {
            Err(Fault::Go(why)) if !self.is_plain() => Some(why),
            _ => None,
        }
    }

    /// The text with everything filled in. A text that is no template stays as it is. A template that fails while it is filled in becomes
    /// `<error expanding template: …>`, as in Prometheus.
    #[must_use]
    pub fn fill(&self, subject: &Subject<'_>, scene: &Scene) -> String {
        if self.is_plain() {
            return self.text.to_string();
        }
        let Ok(template) = self.parsed() else { return self.text.to_string() };
        match run::fill(template, alert(subject, scene), scene) {
            Ok(text) => text,
            Err(why) => format!("<error expanding template: {why}>"),
        }
    }

    fn parsed(&self) -> &Result<Tree, Fault> {
        self.parsed.get_or_init(|| {
            let tree = parser::parse(&format!("{PREAMBLE}{}", self.text), |name| functions::named(name).is_some())?;
            match method_of_a_time(&self.text) {
                Some(method) => Err(Fault::ours(format!("a time's `.{method}` is not known here"))),
                None => Ok(tree),
            }
        })
    }
}

/// What a text asks of the moments and spans that it makes, and Go knows and this does not.
fn method_of_a_time(text: &str) -> Option<&'static str> {
    if !text.contains("toTime") && !text.contains("toDuration") {
        return None;
    }
    let is_asked = |method: &&str| {
        let asked = format!(".{method}");
        text.match_indices(&asked).any(|(at, _)| !text[at + asked.len()..].starts_with(bare::is_of_word))
    };
    times::MORE_METHODS.into_iter().find(is_asked)
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

fn alert(subject: &Subject<'_>, scene: &Scene) -> Value {
    Value::Alert(Rc::new(Alert {
        labels: Value::labels(subject.labels.iter().map(|(name, value)| (&**name, &**value))),
        external_labels: Value::labels(subject.external_labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
        external_url: scene.external_url.clone(),
        value: subject.value,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_telemetry::notation::parse_series;
    use firedrill_telemetry::promql::Sample;

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
        check(r#"{{ printf "%d %.1f" 2 3 }}"#, "2 %!f(int=3)");
        check(r#"{{ printf "%.70000f %.70000e %.70000g %.70000x %.70000d %.70000U" 0.5 0.5 0.5 0.5 1 1 | len }}"#, "350026");
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
        check(r#"{{ query "?" | first }}"#, "<error expanding template: no such query ?>");
    }

    #[test]
    fn no_template_takes_for_ever() {
        let calls = |name: usize| {
            format!(r#"{{{{ define "a{name}" }}}}{}{{{{ end }}}}"#, format!(r#"{{{{ template "a{}" }}}}"#, name + 1).repeat(2))
        };
        let defines: String = (0..60).map(calls).collect();
        let too_many = "<error expanding template: more than 1000000 steps>";
        check(&format!(r#"{defines}{{{{ define "a60" }}}}{{{{ end }}}}{{{{ template "a0" }}}}"#), too_many);
        let (open, ends) = (r#"{{ range query "two" }}"#.repeat(40), "{{ end }}".repeat(40));
        check(&format!("{open}{ends}"), too_many);
        let copies = r#"{{ $long = printf "%s%s" $long $long }}"#.repeat(23);
        let passed_on = "{{ len $long }}".repeat(100);
        check(&format!(r#"{{{{ $long := "x" }}}}{copies}{passed_on}"#), too_many);
        check(&format!("{}{}", r#"{{ range query "two" }}"#.repeat(9), "{{ $value }}{{ end }}".repeat(9)), &"0.015625".repeat(1022));
    }

    #[test]
    fn what_is_no_template_is_left_as_it_is_and_told() {
        check("{{ $labels.job", "{{ $labels.job");
        for (text, why) in [
            ("{{ (toTime $value).Weekday }}", "a time's `.Weekday` is not known here"),
            ("{{ 1i }}", "the complex number 1i"),
            ("{{ 0x1p4 }}", "the hexadecimal float 0x1p4"),
            (r#"{{ "\xff" }}"#, r#"the bytes of "\xff" are no text"#),
            (r#"{{ query "two" }}"#, "the result of a query is written whole, as addresses in memory"),
        ] {
            check(text, text);
            assert_eq!((Template::new(text).problem(), Template::new(text).fault()), (Some(why), None), "it is only missing here");
        }
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

    /// `go.jsonl` holds what Go 1.19 makes of templates with the functions of Prometheus: a text, `fails` or `refuses`.
    #[test]
    fn what_go_writes_is_written() {
        let labels = parse_series(r#"up{instance="10.0.0.1:9090", job="api"}"#).unwrap();
        let external = [(Name::new("region"), Name::new("eu"))];
        let answer = |expression: &str| match expression {
            "none" => Ok(Vec::new()),
            _ => Ok([("b", 2.0), ("a", 1.5)]
                .map(|(pod, value)| Sample { labels: parse_series(&format!(r#"{{pod="{pod}"}}"#)).unwrap(), value })
                .to_vec()),
        };
        let scene = Scene { external_url: "https://mon.example/prom".to_owned(), at_ms: 60_500, ask: Rc::new(answer) };
        let cases: Vec<serde_json::Value> =
            include_str!("template/go.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(cases.len() > 500);
        for case in &cases {
            let field = |name: &str| case[name].as_str();
            let value = field("value").unwrap().parse().unwrap();
            let template = Template::new(field("text").unwrap());
            let subject = Subject { labels: &labels, value, external_labels: &external };
            let refused = template.fault().is_some();
            assert_eq!(refused, field("refuses").is_some(), "{case} {:?}", template.problem());
            if !refused {
                let filled = template.fill(&subject, &scene);
                let fails = filled.starts_with("<error expanding template: ");
                assert_eq!(fails, field("fails").is_some(), "{case} {filled}");
                assert!(fails || field("writes") == Some(&filled), "{case} {filled}");
            }
        }
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
