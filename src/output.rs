//! Where words go: data to stdout, talk to stderr, files whole or not at all.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use firedrill_core::problem::{Problem, Severity};

use crate::cli::{Color, Common, Format};

/// How this invocation talks.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Text or JSON.
    pub format: Format,
    color: bool,
    quiet: bool,
}

impl Output {
    /// From the common options and the terminal.
    #[must_use]
    pub fn new(common: &Common) -> Self {
        let color = match common.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        Self { format: common.format, color, quiet: common.quiet }
    }

    /// Whether text is coloured.
    #[must_use]
    pub const fn color(self) -> bool {
        self.color
    }

    /// Whether talk is unwanted.
    #[must_use]
    pub const fn is_quiet(self) -> bool {
        self.quiet
    }

    /// Data, to stdout. A closed pipe is the reader's choice and no error.
    pub fn data(self, text: &str) {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { stdout.write_all(b"\n") });
        // Nothing sensible is left to do when stdout is gone.
        let _ = written.and_then(|()| stdout.flush());
    }

    /// Talk, to stderr, unless told to be quiet.
    pub fn talk(self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Problems, to stderr, with a closing count.
    pub fn problems(self, problems: &[Problem]) {
        let color = self.color && io::stderr().is_terminal();
        let mut stderr = io::stderr().lock();
        for problem in problems {
            let _ = writeln!(stderr, "{}\n", problem.render(color));
        }
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        if errors > 0 {
            let _ = writeln!(stderr, "{errors} problem{}; nothing was written", if errors == 1 { "" } else { "s" });
        }
    }
}

/// Writes files into a folder, each to a temporary name and then renamed, so that none is ever half-written.
///
/// # Errors
/// The folder or a file cannot be written.
pub fn write_files<N: AsRef<str>>(folder: &Path, files: &[(N, String)]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (name, text) in files {
        let path = folder.join(name.as_ref());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
        }
        let temporary = path.with_extension("part");
        fs::write(&temporary, text).with_context(|| format!("cannot write {}", temporary.display()))?;
        fs::rename(&temporary, &path).with_context(|| format!("cannot rename {} to {}", temporary.display(), path.display()))?;
    }
    Ok(())
}
