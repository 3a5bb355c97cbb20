//! Arguments of a tool call: JSON inside a text.
//!
//! Knows: complete arguments. Must not know: frames, which call they are of.

use super::channel::Scan;
use super::nested::{self, Read};
use super::plan::Plan;
use super::ruling::End;
use crate::body::json;

/// Reads complete arguments. If they are not JSON they are a text; with a backslash in it a lenient reader could still find
/// JSON there, so that it counts as unread too.
pub(super) fn read(plan: &Plan, text: &str) -> Result<Read, End> {
    match json::parse(text.as_bytes(), plan.limits.of_json(text.len())) {
        Ok(json) => nested::document(plan, text, &json, nested::DEPTH_MAX),
        Err(_) => Ok(Read { values: Scan::complete(plan, text)?, is_unread: text.contains('\\') }),
    }
}

/// An offset in memory.
pub(super) fn offset(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
