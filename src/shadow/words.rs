//! What people's words tell of what they did. Words are guessed at; who wants to be sure writes `did: ACTION TARGET`, or `did: nothing`. What is not
//! understood says nothing: neither that they did something nor that they did not.

use firedrill_core::action::{Action, Target};

/// What words tell of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// That they did this: an action, and its target if it is named.
    Did(String),
    /// That they did nothing.
    Nothing,
    /// Nothing that is understood.
    Unclear,
}

/// What people do and policies do not: it takes back what was done.
const OF_PEOPLE: [&str; 4] = ["undo", "revert", "reverted", "deploy"];

/// Beginnings of words, and the action that they tell of. The first that is found counts.
const TOLD: [(&str, &str); 26] = [
    ("roll back", "rollback"),
    ("rolled back", "rollback"),
    ("rolling back", "rollback"),
    ("rollback", "rollback"),
    ("reverted the deploy", "rollback"),
    ("fail over", "fail_over"),
    ("failed over", "fail_over"),
    ("failover", "fail_over"),
    ("restart", "restart"),
    ("bounced", "restart"),
    ("reboot", "reboot_node"),
    ("scaled", "scale"),
    ("scale up", "scale"),
    ("scale out", "scale"),
    ("added replicas", "scale"),
    ("drained", "drain"),
    ("draining", "drain"),
    ("cordon", "cordon"),
    ("purged", "purge_queue"),
    ("flushed", "flush_cache"),
    ("killed", "kill"),
    ("turned off the flag", "revert_flag"),
    ("flag off", "revert_flag"),
    ("shed load", "shed_load"),
    ("rate limit", "rate_limit"),
    ("expanded the volume", "expand_volume"),
];

/// Words that, shortly before a deed in its clause, say that it was not done.
const NOT_DONE: [&str; 9] = ["not", "never", "no", "nobody", "none", "nothing", "without", "cannot", "refused"];

/// Words that say that it was not done yet, or not at all, or that somebody thinks of it: whether it was done later nobody knows.
const NOT_YET: [&str; 47] = [
    "before",
    "instead",
    "avoid",
    "avoided",
    "unable",
    "will",
    "shall",
    "should",
    "could",
    "would",
    "may",
    "might",
    "must",
    "can",
    "let's",
    "lets",
    "plan",
    "plans",
    "planning",
    "planned",
    "going",
    "about",
    "consider",
    "considering",
    "if",
    "whether",
    "want",
    "wants",
    "agreed",
    "agree",
    "decided",
    "decide",
    "asked",
    "suggest",
    "suggested",
    "propose",
    "proposed",
    "recommend",
    "recommended",
    "need",
    "needs",
    "gets",
    "tried",
    "try",
    "attempted",
    "scheduled",
    "hope",
];

/// Who acts and is no person.
const MACHINES: [&str; 13] = [
    "kubernetes",
    "k8s",
    "kubelet",
    "autoscaler",
    "autoscaling",
    "hpa",
    "argo",
    "argocd",
    "flux",
    "systemd",
    "watchdog",
    "itself",
    "automatically",
];

/// How people use what acts: `with Argo`, and no machine by itself.
const BY_MEANS_OF: [&str; 5] = ["in", "with", "via", "using", "through"];

/// What, in the clause of a deed, says that nobody did it.
const OF_OTHERS: [&str; 10] = [
    "by itself",
    "by themselves",
    "on its own",
    "on their own",
    "automatically",
    "by kubernetes",
    "by the kubelet",
    "by the autoscaler",
    "by the hpa",
    "by the watchdog",
];

/// What, in the clause of a deed, says that it was done on another day; `yesterday's release` and `the version of last week` do not.
const OTHER_DAYS: [&str; 12] = [
    "yesterday",
    "tomorrow",
    "last week",
    "last month",
    "last night",
    "last time",
    "next week",
    "next time",
    "the other day",
    "earlier this week",
    "days ago",
    "weeks ago",
];

/// Words before such a day that make it one of something else.
const OF_ANOTHER: [&str; 3] = ["of", "from", "since"];

/// How a sentence begins that tells what would be done.
const CONDITIONS: [&str; 4] = ["if ", "unless ", "in case ", "should "];

/// What says, in the clause of a deed or as what came of it, that it could not be done.
const FORBIDDEN: [&str; 5] = ["permission denied", "access denied", "forbidden", "not permitted", "not authorized"];

/// Words that, right after a deed, say that it was not done.
const NOT_DONE_AFTER: [&str; 9] =
    ["not needed", "not necessary", "unnecessary", "nothing", "nobody", "none", "was not needed", "was not done", "did not happen"];

/// The same of what may come yet.
const NOT_YET_AFTER: [&str; 10] = [
    "planned",
    "pending",
    "is planned",
    "is pending",
    "was considered",
    "attempted",
    "was attempted",
    "failed",
    "has failed",
    "did not work",
];

/// The one of them that is said of something else where it follows what was done: `restarted failed pods`.
const FAILED: &str = "failed";

/// What says by itself that nothing was done.
const IDLE: [&str; 6] = ["did nothing", "nothing was done", "nothing done", "no action", "acknowledged", "resolved"];

/// So many words before a deed say what became of it.
const NEAR: usize = 6;

/// Where one clause ends and another begins.
const CLAUSES: [&str; 14] = [". ", ", ", "; ", ": ", "! ", "? ", "\n", " and ", " but ", " so ", " then ", " because ", " after ", " - "];

/// Those after which stands what came of it, and not why.
const OUTCOMES: [&str; 5] = [", ", ": ", " and ", " but ", " - "];

/// Where one sentence ends and another begins.
const SENTENCES: [&str; 5] = [". ", "; ", "! ", "? ", "\n"];

/// What words tell of.
#[must_use]
pub fn told_of(words: &str) -> Told {
    let lower = words.to_lowercase();
    let sentences = SENTENCES.iter().fold(lower.clone(), |text, end| text.replace(end, "\n"));
    if let Some(told) = sentences.lines().find_map(|line| line.trim().strip_prefix("did:")) {
        return said(told.trim().trim_end_matches(['.', '!']));
    }
    // An action as it is written everywhere else.
    if let Told::Did(told) = said(lower.trim()) {
        return Told::Did(told);
    }
    let (mut done, mut is_denied, mut is_open): (Option<(usize, &str)>, bool, bool) = (None, false, false);
    for (beginning, action) in TOLD {
        for at in starts_of(&lower, beginning) {
            match came_of(&lower, (at, beginning)) {
                Deed::Done if done.is_none_or(|(first, _)| at < first) => done = Some((at, action)),
                Deed::Done => {}
                Deed::Denied => is_denied = true,
                Deed::Open => is_open = true,
            }
        }
    }
    match done {
        Some((_, action)) => Told::Did(action.to_owned()),
        None if is_open => Told::Unclear,
        None if is_denied || IDLE.iter().any(|idle| mentions(&lower, idle)) => Told::Nothing,
        None => Told::Unclear,
    }
}

/// What is said in so many words: an action with the target that it has, or that it was nothing.
fn said(told: &str) -> Told {
    if told == "nothing" {
        return Told::Nothing;
    }
    let mut parts = told.split_whitespace();
    let is_action = parts.next().is_some_and(|word| Action::WORDS.contains(&word) || OF_PEOPLE.contains(&word));
    // What stands between is what the action needs beside its target, such as `restart (rolling) service/cart`.
    let is_whole = parts.next_back().is_none_or(|last| last.parse::<Target>().is_ok());
    if is_action && is_whole { Told::Did(told.to_owned()) } else { Told::Unclear }
}

/// What an action that is told in so many words was aimed at; `None`: it is not said.
#[must_use]
pub fn target_of(told: &str) -> Option<Target> {
    told.split_whitespace().next_back()?.parse().ok()
}

/// What became of a deed that is told of.
enum Deed {
    Done,
    /// It was not done.
    Denied,
    /// It is asked for, planned, or thought of.
    Open,
}

/// What became of a deed that is told of at a place.
fn came_of(text: &str, (at, beginning): (usize, &str)) -> Deed {
    let (before, after) = (&text[..at], &text[at + beginning.len()..]);
    let clause = CLAUSES.iter().filter_map(|end| before.rfind(end).map(|from| from + end.len())).max().unwrap_or(0);
    let near = before[clause..].split_whitespace().rev().take(NEAR);
    let words: Vec<&str> = near.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).collect();
    let ends = |word: &&str, end: &str| word.ends_with(&format!("'{end}")) || word.ends_with(&format!("\u{2019}{end}"));
    let is_to_be = words.windows(2).any(|pair| pair == ["be", "to"]);
    let is_open = is_to_be || words.iter().any(|word| NOT_YET.contains(word) || *word == "yet" || ends(word, "d") || ends(word, "ll"));
    let is_denied = words.iter().any(|word| NOT_DONE.contains(word) || word.ends_with("n't") || word.ends_with("n\u{2019}t"));
    let is_asked = after.find(['.', '!', '?', '\n']).is_some_and(|end| after[end..].starts_with('?'));
    // The rest of the word itself does not count.
    let rest = after.trim_start_matches(is_of_word).trim_start();
    let is_past = text[at..].split(|c| !is_of_word(c)).next().is_some_and(|word| word.ends_with("ed") && word != "shed");
    let is_next =
        |told: &&str| rest.strip_prefix(*told).is_some_and(|after| !after.starts_with(is_of_word)) && !(is_past && *told == FAILED);
    let follows = |all: &[&str]| all.iter().any(is_next);
    let whole = around(text, (at, beginning.len()), &CLAUSES);
    let sentence = around(text, (at, beginning.len()), &SENTENCES);
    let is_of_others =
        is_of_machine(&words) || OF_OTHERS.iter().any(|told| mentions(whole, told)) || OTHER_DAYS.iter().any(|day| is_on(whole, day));
    let outcome = outcome(after);
    let is_barred =
        FORBIDDEN.iter().any(|told| mentions(whole, told) || mentions(outcome, told)) || mentions(&before[clause..], "failed to");
    let is_thought = CONDITIONS.iter().any(|told| sentence.starts_with(told));
    if is_asked || is_of_others || is_barred || is_thought || is_open && !is_denied || follows(&NOT_YET_AFTER) {
        Deed::Open
    } else if is_denied || follows(&NOT_DONE_AFTER) {
        Deed::Denied
    } else {
        Deed::Done
    }
}

/// Whether words before a deed, the nearest first, say that it is a machine's: one that nobody uses.
fn is_of_machine(words: &[&str]) -> bool {
    let is_used = |place: usize| words[place + 1..].iter().find(|word| **word != "the").is_some_and(|word| BY_MEANS_OF.contains(word));
    words.iter().enumerate().any(|(place, word)| MACHINES.contains(word) && !is_used(place))
}

/// Whether what a clause tells of was on another day.
fn is_on(clause: &str, day: &str) -> bool {
    let of_something = |at: usize| {
        let is_whose = ["'s", "\u{2019}s"].iter().any(|own| clause[at + day.len()..].starts_with(own));
        let before = clause[..at].split_whitespace().next_back();
        is_whose || before.is_some_and(|word| OF_ANOTHER.contains(&word))
    };
    let is_word = |at: &usize| !clause[at + day.len()..].starts_with(is_of_word);
    starts_of(clause, day).filter(is_word).any(|at| !of_something(at))
}

/// Of what follows a deed the clause after its own, where that tells what came of it.
fn outcome(after: &str) -> &str {
    let end = |text: &str| CLAUSES.iter().filter_map(|end| text.find(end)).min().unwrap_or(text.len());
    let next = &after[end(after)..];
    let told = OUTCOMES.iter().find_map(|begin| next.strip_prefix(begin)).unwrap_or_default();
    &told[..end(told)]
}

/// What stands around a place between two of these ends.
fn around<'t>(text: &'t str, (at, length): (usize, usize), ends: &[&str]) -> &'t str {
    let (before, after) = (&text[..at], &text[at + length..]);
    let from = ends.iter().filter_map(|end| before.rfind(end).map(|from| from + end.len())).max().unwrap_or(0);
    let until = ends.iter().filter_map(|end| after.find(end)).min().unwrap_or(after.len());
    text[from..at + length + until].trim_start()
}

/// The values that a text gives a label, as alerts are printed: `pod = api-1`, `pod="api-1"`, `pod: api-1`.
pub(super) fn values_of(text: &str, label: &str) -> Vec<String> {
    let after = starts_of(text, label).filter_map(|at| {
        let rest = text[at + label.len()..].trim_start_matches(' ').strip_prefix(['=', ':'])?;
        let value = rest.trim_start_matches([' ', '"', '\'']);
        let end = value.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '}' | ')' | ';')).unwrap_or(value.len());
        Some(value[..end].to_owned())
    });
    after.filter(|value| !value.is_empty()).collect()
}

/// Whether a text, in lower case, has a word, as a word of its own.
pub(super) fn mentions(text: &str, word: &str) -> bool {
    let word = word.to_lowercase();
    !word.is_empty() && starts_of(text, &word).any(|at| !text[at + word.len()..].starts_with(is_of_word))
}

/// Where words that begin so begin.
fn starts_of<'t>(text: &'t str, beginning: &'t str) -> impl Iterator<Item = usize> + 't {
    text.match_indices(beginning).map(|(at, _)| at).filter(|at| !text[..*at].ends_with(is_of_word))
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn did(action: &str) -> Told {
        Told::Did(action.to_owned())
    }

    #[track_caller]
    fn check(words: &str, expected: Told) {
        assert_eq!(told_of(words), expected, "{words}");
    }

    #[test]
    fn deeds_are_told_by_words_and_surely_by_the_form() {
        check("Restarted api-1, looks better", did("restart"));
        check("I rolled back to v41 and then restarted", did("rollback"));
        check("did: drain node/blue-0", did("drain node/blue-0"));
        check("did: restart (rolling) service/api", did("restart (rolling) service/api"));
        check("drain node/blue-0", did("drain node/blue-0"));
        check("did: undo", did("undo"));
        check("looked at it\ndid: nothing", Told::Nothing);
        check("Down, service/cart. did: nothing.", Told::Nothing);
        check("did: rollback service/cart. It helped; thanks", did("rollback service/cart"));
        assert_eq!(target_of("drain node/blue-0").map(|target| target.to_string()).as_deref(), Some("node/blue-0"));
        assert_eq!(target_of("restart"), None);
    }

    #[test]
    fn what_is_not_understood_says_nothing() {
        for words in ["did: fly to moon", "did:", "did: restart everything", "did: moon service/api", "had a look", "", "prestarted"] {
            check(words, Told::Unclear);
        }
    }

    #[test]
    fn talk_is_no_deed() {
        for words in [
            "acknowledged",
            "did not restart it, it came back",
            "no need to roll back",
            "have not yet rolled back",
            "haven't rolled back yet",
            "decided not to roll back",
            "rollback not needed",
            "nobody rolled back",
            "restarted nothing",
            "We did nothing",
        ] {
            check(words, Told::Nothing);
        }
        for words in [
            "Should we roll back?",
            "rolled back already?",
            "we will restart it tomorrow",
            "planning to fail over",
            "let's drain it if it gets worse, or restart?",
            "I'd restart it",
            "I\u{2019}d restart it",
            "we'll roll back",
            "rollback pending",
            // By nobody, at another time, or in vain.
            "Kubernetes restarted the pod",
            "It restarted by itself",
            "the autoscaler scaled up, I only watched",
            "If it comes back, the deploy is rolled back",
            "Last week we rolled back; today nothing",
            "We agreed it gets rolled back tomorrow",
            "Rollback attempted, permission denied",
            "deploy was restarted yesterday, unrelated",
            "tried to drain it",
            "failed to roll back",
        ] {
            check(words, Told::Unclear);
        }
        check("could not find the cause, so restarted api-1", did("restart"));
        check("the failed deploy was rolled back", did("rollback"));
        check("if only I knew. Restarted the failed pod", did("restart"));
        check("restarted the Kubernetes node, which came back by itself", did("restart"));
        check("Should we roll back? Rolled back.", did("rollback"));
        check("did not restart it, but rolled back", did("rollback"));
        check("restarted, which did not help", did("restart"));
    }

    #[test]
    fn a_deed_is_one_whatever_is_said_of_its_object_its_reason_and_its_means() {
        for words in [
            "rolled back yesterday's release",
            "rolled back to last week\u{2019}s version",
            "rolled back to the build from last night",
            "users saw 403 Forbidden, so rolled back",
            "access denied from S3 since the deploy, rolled back",
            "rolled back because users saw access denied",
            "in Argo rolled back",
            "with the argocd UI rolled back",
        ] {
            check(words, did("rollback"));
        }
        for words in ["restarted failed pods", "restarted failed replicas", "to get it back up restarted api-1"] {
            check(words, did("restart"));
        }
        for words in [
            "rolled back, permission denied",
            "rollback failed with a timeout",
            "rollback failed",
            "two days ago we rolled back",
            "rolled back last week by Ben",
            "the deploy is to be rolled back",
            "Argo rolled back",
        ] {
            check(words, Told::Unclear);
        }
    }

    #[test]
    fn values_of_labels_are_read_as_alerts_are_printed() {
        assert_eq!(values_of("Labels:\n - pod = api-1\n - pod=\"api-2\", x{pod: api-3}", "pod"), ["api-1", "api-2", "api-3"]);
        assert!(values_of("the pod is down, mypod = x", "pod").is_empty());
    }

    #[test]
    fn a_name_is_mentioned_as_a_word_of_its_own() {
        assert!(mentions("[firing:1] down (api-1)", "Down") && mentions("on api-1.", "api-1"));
        assert!(!mentions("downtime", "Down") && !mentions("api-12", "api-1"));
    }
}
