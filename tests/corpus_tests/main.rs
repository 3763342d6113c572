//! The tests over the corpus for whoever asks for them by the feature: `FIREDRILL_CORPUS=DIR cargo test --features corpus-tests`.
//!
//! The same as `cargo test --test corpus`, which builds nothing again.

#[path = "../corpus/main.rs"]
mod corpus;
