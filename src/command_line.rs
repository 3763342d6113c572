//! Commands written out to be pasted: a shell reads each word as it was meant.

use std::borrow::Cow;
use std::fmt;

/// A `firedrill` command under construction.
#[derive(Clone, Debug)]
pub struct CommandLine(String);

impl CommandLine {
    /// `firedrill COMMAND`.
    #[must_use]
    pub fn new(command: &str) -> Self {
        Self(format!("firedrill {command}"))
    }

    /// With one more word, quoted where a shell would take it apart.
    #[must_use]
    pub fn word(self, word: &str) -> Self {
        // A shell cannot pass a NUL at all, so no argument that came from one holds any.
        let quoted = shlex::try_quote(word).unwrap_or(Cow::Borrowed(word));
        Self(format!("{} {quoted}", self.0))
    }

    /// With an option and its value.
    #[must_use]
    pub fn option(self, option: &str, value: &str) -> Self {
        Self(format!("{} {option}", self.0)).word(value)
    }

    /// With an option for each of several values.
    #[must_use]
    pub fn options<S: AsRef<str>>(self, option: &str, values: &[S]) -> Self {
        values.iter().fold(self, |line, value| line.option(option, value.as_ref()))
    }

    /// With words that are written as they are, such as places to be filled in.
    #[must_use]
    pub fn verbatim(self, words: &str) -> Self {
        Self(format!("{} {words}", self.0))
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_written() {
        let line =
            CommandLine::new("run").word("my scenarios/it's bad.yaml").option("--policy", "a.yaml").options("--rules", &["$x", "b c"]);
        let words = shlex::split(&line.to_string()).unwrap();
        assert_eq!(words, ["firedrill", "run", "my scenarios/it's bad.yaml", "--policy", "a.yaml", "--rules", "$x", "--rules", "b c"]);
        assert_eq!(CommandLine::new("run").word("blip").verbatim("--seed {seed}").to_string(), "firedrill run blip --seed {seed}");
    }
}
