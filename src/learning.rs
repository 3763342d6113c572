//! What incidents teach: journals, replays and the ledger, looked at afterwards. It tells and drafts, and changes no file.

mod lesson;
mod together;
mod diff;
mod draft;
mod level;
mod told;
mod heard;

pub use diff::{Change, unified};
pub use draft::{Draft, drafts};
pub use heard::of_watch;
pub use lesson::{Failed, Lesson, Prevention, Resolution, lessons, once};
pub use level::{Level, levels};
pub use together::{Automate, IdleStep, Together, Uncovered, together};
pub use told::{Deed, IncidentId, Kind, Said, Seen, Told, of_chain, of_incident, of_journal};
