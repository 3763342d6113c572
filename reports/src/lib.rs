//! What it came to: outcomes, statistics, verdicts, charts, pages.
