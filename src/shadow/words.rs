//! What people's words tell of what they did. Words are guessed at; who wants to be sure writes `did: ACTION TARGET`, or `did: nothing`.

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

/// Words that, shortly before a deed in its clause, say that it was not done, or not yet.
const NOT_DONE: [&str; 34] = [
    "not",
    "never",
    "no",
    "without",
    "cannot",
    "before",
    "instead",
    "avoid",
    "avoided",
    "refused",
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
];

/// Words that, right after a deed, say the same.
const NOT_DONE_AFTER: [&str; 8] =
    ["not needed", "not necessary", "unnecessary", "planned", "pending", "is planned", "is pending", "was considered"];

/// So many words before a deed say what became of it.
const NEAR: usize = 6;

/// Where one clause ends and another begins.
const CLAUSES: [&str; 14] = [". ", ", ", "; ", ": ", "! ", "? ", "\n", " and ", " but ", " so ", " then ", " because ", " after ", " - "];

/// The action that words tell of; `None`: none.
#[must_use]
pub fn deed_of(words: &str) -> Option<String> {
    let lower = words.to_lowercase();
    if let Some(told) = lower.lines().find_map(|line| line.trim().strip_prefix("did:")) {
        let told = told.trim();
        return (!told.is_empty() && told != "nothing").then(|| told.to_owned());
    }
    let found = |(beginning, action): &(&str, &str)| {
        let at = starts_of(&lower, beginning).find(|at| is_done(&lower, (*at, beginning)))?;
        Some((at, (*action).to_owned()))
    };
    TOLD.iter().filter_map(found).min_by_key(|(at, _)| *at).map(|(_, action)| action)
}

/// Whether a deed that is told of at a place was done: it is not negated, asked for or planned.
fn is_done(text: &str, (at, beginning): (usize, &str)) -> bool {
    let (before, after) = (&text[..at], &text[at + beginning.len()..]);
    let clause = CLAUSES.iter().filter_map(|end| before.rfind(end).map(|from| from + end.len())).max().unwrap_or(0);
    let words = before[clause..].split_whitespace().rev().take(NEAR).map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    let is_not = |word: &str| NOT_DONE.contains(&word) || word.ends_with("n't") || word.ends_with("n\u{2019}t");
    let ends = after.find(['.', '!', '?', '\n']);
    let is_asked = ends.is_some_and(|end| after[end..].starts_with('?'));
    // The rest of the word itself does not count.
    let rest = after.trim_start_matches(is_of_word).trim_start();
    !is_asked && !words.into_iter().any(is_not) && !NOT_DONE_AFTER.iter().any(|told| rest.starts_with(told))
}

/// Whether a text has a word, as a word of its own.
pub(super) fn mentions(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    starts_of(&text, &word).any(|at| !text[at + word.len()..].starts_with(is_of_word))
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

    #[track_caller]
    fn check(words: &str, action: Option<&str>) {
        assert_eq!(deed_of(words).as_deref(), action, "{words}");
    }

    #[test]
    fn deeds_are_told_by_words_and_surely_by_the_form() {
        check("Restarted api-1, looks better", Some("restart"));
        check("I rolled back to v41 and then restarted", Some("rollback"));
        check("did: drain node/blue-0", Some("drain node/blue-0"));
        check("looked at it\ndid: nothing", None);
    }

    #[test]
    fn talk_is_no_deed() {
        check("acknowledged", None);
        check("did not restart it, it came back", None);
        check("no need to roll back", None);
        check("prestarted", None);
        for words in [
            "have not yet rolled back",
            "haven't rolled back yet",
            "Should we roll back?",
            "rolled back already?",
            "we will restart it tomorrow",
            "planning to fail over",
            "decided not to roll back",
            "rollback not needed",
            "let's drain it if it gets worse, or restart?",
        ] {
            check(words, None);
        }
        check("could not find the cause, so restarted api-1", Some("restart"));
        check("Should we roll back? Rolled back.", Some("rollback"));
        check("did not restart it, but rolled back", Some("rollback"));
        check("restarted, which did not help", Some("restart"));
    }

    #[test]
    fn a_name_is_mentioned_as_a_word_of_its_own() {
        assert!(mentions("[FIRING:1] Down (api-1)", "down") && mentions("on api-1.", "api-1"));
        assert!(!mentions("Downtime", "Down") && !mentions("api-12", "api-1"));
    }
}
