//! A Prometheus asked over its HTTP API: instant and range queries, series, rules, alerts, its version. It reads only, blocks its thread, and can be
//! shared between threads.
//!
//! Thanos, Mimir, VictoriaMetrics and Grafana's proxies speak the same API.

mod answer;
mod transport;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use firedrill_telemetry::labels::Labels;
use serde::de::DeserializeOwned;

pub use answer::{Answer, AnswerKind, KnownAlert, KnownGroup, KnownRule, RuleKind, Samples};
pub use transport::{Exchange, Reply, agent, token};
pub use trouble::Trouble;

use answer::{AlertsDocument, BuildDocument, Data, Envelope, RulesDocument};
use transport::Http;

/// How warnings begin that are about an expression, and say nothing of what is missing in its value.
const OF_EXPRESSION: &str = "PromQL ";

/// How the version of a rehearsal's Prometheus begins.
pub const REHEARSED: &str = "firedrill-";

/// What a Prometheus noticed while it evaluated.
struct Noticed {
    warnings: Vec<String>,
    infos: Vec<String>,
}

/// How a Prometheus is reached.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where it is, without `/api/v1`: `http://prometheus:9090`, `https://mimir/prometheus`.
    pub url: String,
    /// A file with a bearer token, read anew for every request, for tokens are renewed; `None`: nothing is shown.
    pub token_file: Option<PathBuf>,
    /// How long one answer may take, from the connection to the last byte.
    pub timeout: Duration,
    /// How large one answer may be, bytes.
    pub largest: u64,
}

impl Access {
    /// What is usual: 30 seconds and 256 MiB an answer.
    #[must_use]
    pub fn to(url: &str) -> Self {
        Self { url: url.to_owned(), token_file: None, timeout: Duration::from_secs(30), largest: 256 << 20 }
    }
}

/// A Prometheus that can be asked. Cloning shares its connections.
#[derive(Clone, Debug)]
pub struct Prometheus {
    url: String,
    exchange: Arc<dyn Exchange>,
}

impl Prometheus {
    /// Over HTTP or HTTPS; nothing is sent yet. A certificate must be signed by an authority of the system's, or of the file that the variable
    /// `SSL_CERT_FILE` names.
    ///
    /// # Errors
    /// The URL is none, or has a user in it; or the system has no authorities for `https`.
    pub fn at(access: &Access) -> Result<Self, Trouble> {
        let http = Http::new(access)?;
        Ok(Self { url: http.url().to_owned(), exchange: Arc::new(http) })
    }

    /// Over anything that takes requests, such as a function in a test. `url` is what messages call it.
    #[must_use]
    pub fn over(url: &str, exchange: Arc<dyn Exchange>) -> Self {
        Self { url: url.to_owned(), exchange }
    }

    /// Where it is, as messages call it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What an expression is at one instant, milliseconds since 1970; `None`: now, by its own clock. With a range selector it is the raw samples.
    ///
    /// # Errors
    /// No answer, or a refusal. None of that says anything about the expression's value.
    pub fn query(&self, expression: &str, at_ms: Option<i64>) -> Result<Answer, Trouble> {
        let mut form = vec![("query", expression.to_owned())];
        form.extend(at_ms.map(|at_ms| ("time", seconds(at_ms))));
        self.evaluated("query", &form)
    }

    /// What an expression is from one instant to another, both included, every `step_ms` milliseconds.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn query_range(&self, expression: &str, (from_ms, to_ms): (i64, i64), step_ms: i64) -> Result<Answer, Trouble> {
        let form =
            [("query", expression.to_owned()), ("start", seconds(from_ms)), ("end", seconds(to_ms)), ("step", seconds(step_ms.max(1)))];
        self.evaluated("query_range", &form)
    }

    /// The series that a selector finds between two instants.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn series(&self, selector: &str, (from_ms, to_ms): (i64, i64)) -> Result<Vec<Labels>, Trouble> {
        let form = [("match[]", selector.to_owned()), ("start", seconds(from_ms)), ("end", seconds(to_ms))];
        Ok(self.ask::<Vec<answer::LabelsDocument>>("series", &form)?.into_iter().map(|document| document.0).collect())
    }

    /// The rule groups that it evaluates.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn rules(&self) -> Result<Vec<KnownGroup>, Trouble> {
        Ok(self.ask::<RulesDocument>("rules", &[])?.groups.into_iter().map(KnownGroup::from).collect())
    }

    /// The alerts that are pending or firing now.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn alerts(&self) -> Result<Vec<KnownAlert>, Trouble> {
        Ok(self.ask::<AlertsDocument>("alerts", &[])?.alerts.into_iter().map(KnownAlert::from).collect())
    }

    /// Its version, such as `3.5.0`.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn version(&self) -> Result<String, Trouble> {
        Ok(self.ask::<BuildDocument>("status/buildinfo", &[])?.version)
    }

    /// Whether it plays a simulation, by what it says of its build; one that says nothing of it is none of ours.
    #[must_use]
    pub fn is_rehearsed(&self) -> bool {
        self.version().is_ok_and(|version| version.starts_with(REHEARSED))
    }

    fn evaluated(&self, what: &str, form: &[(&str, String)]) -> Result<Answer, Trouble> {
        let (data, noticed) = self.ask_noticing::<Data>(what, form)?;
        let answer = data.answer().map_err(|reason| self.unreadable(what, &reason))?;
        let Noticed { warnings, infos } = noticed;
        let missing = warnings.iter().find(|told| !told.starts_with(OF_EXPRESSION)).cloned();
        Ok(Answer { warnings: warnings.into_iter().chain(infos).collect(), missing, ..answer })
    }

    fn ask<T: DeserializeOwned>(&self, what: &str, form: &[(&str, String)]) -> Result<T, Trouble> {
        self.ask_noticing(what, form).map(|(data, _)| data)
    }

    /// Asks, and reads the envelope: what is in it, and what Prometheus noticed.
    fn ask_noticing<T: DeserializeOwned>(&self, what: &str, form: &[(&str, String)]) -> Result<(T, Noticed), Trouble> {
        let path = format!("/api/v1/{what}");
        let reply = self.exchange.exchange(&path, form)?;
        let read = serde_json::from_slice::<Envelope<T>>(&reply.body);
        let is_json = matches!(reply.body.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{'));
        match read {
            // What comes with another status is no answer, whatever stands in it.
            Ok(Envelope { status, data: Some(data), warnings, infos, .. }) if status == "success" && reply.status == 200 => {
                Ok((data, Noticed { warnings, infos }))
            }
            // Prometheus says in JSON why it refuses, whatever the status.
            Ok(Envelope { error_type, error: Some(error), .. }) => Err(Trouble::Refused {
                url: self.whole(&path),
                kind: error_type.unwrap_or_else(|| "error".to_owned()),
                reason: error,
                asked: form.first().map(|(_, asked)| asked.clone()).unwrap_or_default(),
            }),
            _ if matches!(reply.status, 401 | 403) => Err(Trouble::NotAllowed { url: self.whole(&path), status: reply.status }),
            _ if reply.status != 200 => Err(Trouble::Status { url: self.whole(&path), status: reply.status }),
            Ok(_) => Err(self.unreadable(what, "there is no `data` in it")),
            Err(error) if is_json => Err(self.unreadable(what, &error.to_string())),
            Err(_) => Err(self.unreadable(what, "it is no JSON")),
        }
    }

    fn unreadable(&self, what: &str, reason: &str) -> Trouble {
        Trouble::Unreadable { url: self.whole(&format!("/api/v1/{what}")), reason: reason.to_owned() }
    }

    fn whole(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

/// Milliseconds as the seconds that the API takes, exact.
fn seconds(millis: i64) -> String {
    let (sign, millis) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
    format!("{sign}{}.{:03}", millis / 1_000, millis % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Gives one answer to all, and keeps what was asked.
    #[derive(Debug)]
    struct Canned {
        reply: Reply,
        asked: Mutex<Vec<String>>,
    }

    impl Exchange for Canned {
        fn exchange(&self, path: &str, form: &[(&str, String)]) -> Result<Reply, Trouble> {
            let form: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
            self.asked.lock().unwrap().push(format!("{path}?{}", form.join("&")));
            Ok(self.reply.clone())
        }
    }

    fn canned(status: u16, body: &str) -> (Prometheus, Arc<Canned>) {
        let exchange = Arc::new(Canned { reply: Reply { status, body: body.as_bytes().to_vec() }, asked: Mutex::default() });
        let shared: Arc<dyn Exchange> = Arc::clone(&exchange) as _;
        (Prometheus::over("http://p", shared), exchange)
    }

    fn shown(answer: &Answer) -> Vec<String> {
        answer.series.iter().map(|series| format!("{} {:?}", series.labels, series.samples)).collect()
    }

    #[test]
    fn an_instant_vector_has_one_sample_a_series() {
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"a\n"},"value":[1435781451.781,"1"]},{"metric":{},"value":[1435781451,"+Inf"]}]},
            "warnings":["careful"],"infos":["by the way"]}"#;
        let (prometheus, exchange) = canned(200, body);
        let answer = prometheus.query("up", Some(1_435_781_451_781)).unwrap();
        assert_eq!(answer.kind, AnswerKind::Vector);
        assert_eq!(shown(&answer), ["up{job=\"a\\n\"} [(1435781451781, 1.0)]", "{} [(1435781451000, inf)]"]);
        assert_eq!(answer.warnings, ["careful", "by the way"]);
        assert_eq!(answer.missing.as_deref(), Some("careful"));
        assert_eq!(*exchange.asked.lock().unwrap(), ["/api/v1/query?query=up&time=1435781451.781"]);
    }

    #[test]
    fn raw_samples_scalars_and_texts_are_told_apart() {
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1,"1"],[1.5,"NaN"],[2,"-Inf"]]},
            {"metric":{"a":"c"},"histograms":[[1,{"count":"1","sum":"2"}]]}]}}"#;
        let answer = canned(200, matrix).0.query("x[5m]", None).unwrap();
        assert_eq!((&answer.kind, answer.histograms), (&AnswerKind::Matrix, 1));
        assert_eq!(shown(&answer), ["{a=\"b\"} [(1000, 1.0), (1500, NaN), (2000, -inf)]"]);
        let scalar =
            canned(200, r#"{"status":"success","data":{"resultType":"scalar","result":[7.25,"3e2"]}}"#).0.query("300", None).unwrap();
        assert_eq!((&scalar.kind, shown(&scalar)), (&AnswerKind::Scalar, vec!["{} [(7250, 300.0)]".to_owned()]));
        let text =
            canned(200, r#"{"status":"success","data":{"resultType":"string","result":[7,"hello"]}}"#).0.query("\"hello\"", None).unwrap();
        assert_eq!((text.kind, text.series.len()), (AnswerKind::Text("hello".to_owned()), 0));
        let none = canned(200, r#"{"data":{"result":[],"resultType":"vector"},"status":"success"}"#).0.query("none", None).unwrap();
        assert_eq!((none.kind, none.series.len()), (AnswerKind::Vector, 0));
    }

    #[test]
    fn rules_alerts_series_and_the_version_are_read() {
        let rules = r#"{"status":"success","data":{"groups":[{"name":"g","file":"r.yml","interval":15,"limit":0,"rules":[
            {"type":"alerting","name":"A","query":"up == 0","duration":60,"keepFiringFor":5,"labels":{"severity":"page"},"annotations":{},"alerts":[],
             "health":"ok","lastEvaluation":"2026-01-05T09:00:01.5Z","evaluationTime":0.1,"state":"inactive"},
            {"type":"recording","name":"j:r","query":"sum(up)","health":"ok"}],"lastEvaluation":"2026-01-05T09:00:01.5Z","evaluationTime":0.2}]}}"#;
        let groups = canned(200, rules).0.rules().unwrap();
        assert_eq!((groups[0].name.as_str(), groups[0].file.as_str(), groups[0].interval_ms), ("g", "r.yml", 15_000));
        let told: Vec<_> = groups[0].rules.iter().map(|rule| (rule.kind, rule.name.as_str(), rule.query.as_str(), rule.hold_ms)).collect();
        assert_eq!(told, [(RuleKind::Alerting, "A", "up == 0", 60_000), (RuleKind::Recording, "j:r", "sum(up)", 0)]);
        let alerts = r#"{"status":"success","data":{"alerts":[{"labels":{"alertname":"A"},"annotations":{},"state":"firing",
            "activeAt":"2026-01-05T09:00:00.123456789Z","value":"1e+00"}]}}"#;
        let alerts = canned(200, alerts).0.alerts().unwrap();
        assert_eq!(
            (alerts[0].is_firing, alerts[0].since_ms, alerts[0].labels.get("alertname")),
            (true, Some(1_767_603_600_123), Some("A"))
        );
        let series = canned(200, r#"{"status":"success","data":[{"__name__":"up","job":"a"}]}"#).0.series("up", (0, 1_500)).unwrap();
        assert_eq!(series, [Labels::named("up", &[("job", "a")])]);
        assert_eq!(canned(200, r#"{"status":"success","data":{"version":"3.5.0","goVersion":"go1.24"}}"#).0.version().unwrap(), "3.5.0");
    }

    #[track_caller]
    fn check_trouble(status: u16, body: &str, expected: &str) {
        assert_eq!(canned(status, body).0.query("up ==", None).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_wrong_is_told_with_the_url() {
        let refused = r#"{"status":"error","errorType":"bad_data","error":"1:6: parse error: unexpected end of input"}"#;
        check_trouble(400, refused, "http://p/api/v1/query refuses `up ==`: bad_data: 1:6: parse error: unexpected end of input");
        check_trouble(401, "Unauthorized", "http://p/api/v1/query does not let us in: status 401");
        let success = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        check_trouble(500, success, "http://p/api/v1/query answers with status 500");
        check_trouble(302, "", "http://p/api/v1/query answers with status 302");
        check_trouble(200, "<html>", "what http://p/api/v1/query answers cannot be read: it is no JSON");
        check_trouble(200, r#"{"status":"success"}"#, "what http://p/api/v1/query answers cannot be read: there is no `data` in it");
        check_trouble(
            200,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}"#,
            "what http://p/api/v1/query answers cannot be read: `x` is no sample's value at line 1 column 88",
        );
    }

    #[test]
    fn times_are_written_exactly() {
        assert_eq!([seconds(0), seconds(1_767_603_600_001), seconds(-1_500)], ["0.000", "1767603600.001", "-1.500"]);
    }
}
