//! Time series and the language that asks about them: store, exposition formats, PromQL.
