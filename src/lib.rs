//! firedrill put together: what a person at a terminal, a CI job, or a live watcher uses.
