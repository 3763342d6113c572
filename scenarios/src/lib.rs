//! What is rehearsed: scenario files, recorded incidents, importers; the library of scenarios.
