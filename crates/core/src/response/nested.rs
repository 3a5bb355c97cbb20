//! Finds values in a complete text, and in the strings of a JSON text.
//!
//! Knows: complete texts. Must not know: frames, which member a text is of.
//!
//! A text in a text is an escape deeper, so a value could hide behind an escape from a scan of the text alone. Values lead back
//! to the outer text, where they are replaced.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::arguments::offset;
use super::channel::Scan;
use super::map;
use super::plan::Plan;
use super::ruling::End;
use super::value::{Place, Value};
use crate::body::json::{self, Json, Refused, Value as JsonValue};

/// Texts inside texts that are followed, as in requests.
pub(super) const DEPTH_MAX: usize = 8;

/// The values of a text, by their place in it.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub values: Vec<Value>,
    /// Whether a part could not be read.
    pub is_unread: bool,
}

/// Reads a text as it is, and also the strings in it if it is JSON. `depth` is how much deeper texts in texts are followed.
///
/// JSON with two readings could not be read. The same holds for a text that begins like JSON, does not parse, and has an escape for
/// any character. Other text is read as it is: backslashes are frequent in code.
pub(super) fn text(plan: &Plan, text: &str, depth: usize) -> Result<Read, End> {
    let mut read = Read { values: Scan::complete(plan, text)?, is_unread: false };
    // Without a backslash the strings are in the text as they are.
    if !text.contains('\\') || !text.trim_start().starts_with(['{', '[', '"']) {
        return Ok(read);
    }
    let json = match json::parse(text.as_bytes(), plan.limits.of_json(text.len())) {
        Ok(json) => json,
        // A lenient reader accepts half of a surrogate pair or a last comma, and resolves the escapes behind it.
        Err(Refused::Syntax { .. }) if !text.contains("\\u") => return Ok(read),
        Err(_) => return Ok(Read { is_unread: true, ..read }),
    };
    let Some(depth) = depth.checked_sub(1) else { return Ok(Read { is_unread: true, ..read }) };
    let inner = document(plan, text, &json, depth)?;
    read.values.extend(inner.values);
    Ok(Read { values: apart(read.values), is_unread: inner.is_unread })
}

/// Reads the strings, keys and numbers of a JSON text.
pub(super) fn document(plan: &Plan, text: &str, json: &Json, depth: usize) -> Result<Read, End> {
    let mut read = Read::default();
    let mut keys = HashSet::new();
    for (place, span) in json::spans(text).into_iter().enumerate() {
        let Some(node) = json.at(place) else { continue };
        match node.value() {
            JsonValue::Object(object) => keys.extend(object.iter().map(|(_, value)| value.place().saturating_sub(1))),
            JsonValue::Number(number) => read.values.extend(numbers(plan, number.as_str(), span.start)?),
            JsonValue::Text(inner) => {
                let inside = span.start + 1..span.end.saturating_sub(1);
                let map = map::of_json_text(text.get(inside.clone()).unwrap_or_default(), inside.start);
                let is_key = keys.contains(&place);
                let Read { values, is_unread } = self::text(plan, inner, depth)?;
                read.is_unread |= is_unread;
                for mut value in values {
                    let to = value.end(inner.len() as u64);
                    let sources = map.sources(offset(value.from)..offset(to));
                    let (Some(first), Some(last)) = (sources.first(), sources.last()) else { continue };
                    (value.from, value.to) = (first.start as u64, Some(last.end as u64));
                    if is_key {
                        value.place = Place::Key;
                    }
                    read.values.push(value);
                }
            }
            JsonValue::Null | JsonValue::Bool(_) | JsonValue::List(_) => {}
        }
    }
    Ok(read)
}

/// The values in a number that begins at `from`, by its digits as they are sent.
pub(super) fn numbers(plan: &Plan, number: &str, from: usize) -> Result<Vec<Value>, End> {
    let mut values = Scan::complete(plan, number)?;
    for value in &mut values {
        value.place = Place::Number;
        value.to = Some(from as u64 + value.end(number.len() as u64));
        value.from += from as u64;
    }
    Ok(values)
}

/// The values without overlaps within a pass: the first counts, then the longer, and a later one without what an earlier one has.
fn apart(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by_key(|value| (value.pass, value.from, Reverse(value.to)));
    let mut apart: Vec<Value> = Vec::with_capacity(values.len());
    for mut value in values {
        if let Some(before) = apart.last().filter(|before| before.pass == value.pass) {
            let Some(covered) = before.to else { continue };
            value.from = value.from.max(covered);
        }
        if value.to.is_none_or(|to| to > value.from) {
            apart.push(value);
        }
    }
    apart
}
