//! `@log("full")`: the decision log keeps the whole query.
//!
//! Knows: log levels. Must not know: other obligations, the log's format.

use crate::obligation::Mutations;

/// The only level: all of the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log;

impl Log {
    pub(super) const ANNOTATION: &'static str = "log";

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "full" => Ok(Self),
            other => Err(format!("`{other}` is not a log level; the only one is `full`")),
        }
    }

    pub(super) fn apply(&self, all: &mut Mutations) {
        all.log_full = true;
    }
}
