//! Evidence for other programs: an in-toto Statement with the test-result predicate, as supply-chain tools read it.
//!
//! Source: in-toto attestation framework, Statement v1 (<https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>) and the predicate
//! <https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md>, v0.1.

use firedrill_core::name::Name;
use firedrill_policies::guard::stage::Stage;
use serde::Serialize;
use serde_json::{Value, json};

use super::needs::Need;
use crate::ledger::Hashes;

/// The type of the statement.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// The type of what it states.
pub const PREDICATE: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// Whether a file's bytes are a statement of this kind.
#[must_use]
pub fn is_statement(bytes: &[u8]) -> bool {
    let read: Option<Value> = serde_json::from_slice(bytes).ok();
    let says = |key: &str, what: &str| read.as_ref().is_some_and(|read| read[key] == what);
    says("_type", STATEMENT) && says("predicateType", PREDICATE)
}

/// What a statement is made of.
#[derive(Clone, Debug, Serialize)]
pub struct Stated<'a> {
    /// The policy.
    pub policy: &'a Name,
    /// What it is.
    pub hashes: &'a Hashes,
    /// The head of its chain: everything that the statement rests on is before it; `None`: nothing is.
    pub head: Option<&'a str>,
    /// The stage that it would leave.
    pub from: Stage,
    /// The stage that it would enter.
    pub to: Stage,
    /// What that asks for.
    pub needs: &'a [Need],
    /// What the project asks less of than its profile, a sentence each.
    pub weakened: &'a [String],
    /// How many entries are in the name of people who have a key, and not signed by it: they do not count.
    pub unverified: usize,
    /// How many entries are by people whom the project does not name, though it names people: they do not count.
    pub strangers: usize,
}

/// The statement.
#[must_use]
pub fn statement(stated: &Stated<'_>) -> Value {
    // What is nothing to be had, but something to know, is no test that was passed.
    let is_test = |need: &&Need| !need.is_remark();
    let of =
        |is_met: bool| stated.needs.iter().filter(is_test).filter(|need| need.is_met == is_met).map(|need| need.what).collect::<Vec<_>>();
    let (passed, failed) = (of(true), of(false));
    let mut warned: Vec<String> = stated.weakened.iter().map(|told| format!("weakened: {told}")).collect();
    if stated.unverified > 0 {
        warned.push(format!("unverified: {} without the signature of those in whose name they are", counted_entries(stated.unverified)));
    }
    if stated.strangers > 0 {
        warned.push(format!("strangers: {} by nobody among the people of the project", counted_entries(stated.strangers)));
    }
    let result = match (failed.is_empty(), warned.is_empty()) {
        (false, _) => "FAILED",
        (true, false) => "WARNED",
        (true, true) => "PASSED",
    };
    let subject = |part: &str, hash: &str| json!({ "name": format!("{}/{part}", stated.policy), "digest": { "blake3": hash } });
    // A descriptor needs more than a name: a URI, a digest or its content.
    let head = stated.head.and_then(|head| head.strip_prefix("blake3:"));
    let mut configuration = vec![json!({ "uri": format!("urn:firedrill:promotion:{}:{}", stated.from.word(), stated.to.word()) })];
    if let Some(head) = head {
        configuration.push(json!({ "name": format!("ledger/{}.jsonl", stated.policy), "digest": { "blake3": head } }));
    }
    json!({
        "_type": STATEMENT,
        "subject": [
            subject("policy", &stated.hashes.policy),
            subject("rules", &stated.hashes.rules),
            subject("guards", &stated.hashes.guards),
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "result": result,
            "configuration": configuration,
            "passedTests": passed,
            "warnedTests": warned,
            "failedTests": failed,
        },
    })
}

/// So many entries, as people say it.
#[must_use]
pub fn counted_entries(count: usize) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}
