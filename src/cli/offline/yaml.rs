//! YAML that people write for the offline commands: unknown keys are errors with their place and the nearest known one.

use std::ops::Range;

use serde::de::DeserializeOwned;

use crate::problem::{Problem, nearest};

/// Reads a file's text.
///
/// # Errors
/// The first problem, with its place.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Box<Problem>> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::Reject,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Box::new(problem(file, &error)))
}

fn problem(file: &str, error: &serde_saphyr::Error) -> Problem {
    let problem = match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
            let known = format!("known keys: {}", expected.join(", "));
            let help = match nearest(field, expected.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? {known}"),
                None => known,
            };
            Problem::error(file, format!("unknown key `{field}`")).help(help)
        }
        serde_saphyr::Error::SerdeMissingField { field, .. } => {
            Problem::error(file, format!("key `{field}` is missing"))
        }
        other => {
            let message = other.to_string();
            Problem::error(file, format!("cannot be read: {}", message.lines().next().unwrap_or("not YAML")))
        }
    };
    problem.at(error.location().and_then(|location| range(&location)))
}

/// Byte range of a place in the file.
#[must_use]
pub fn range(location: &serde_saphyr::Location) -> Option<Range<usize>> {
    let span = location.span();
    let from = usize::try_from(span.byte_offset()?).ok()?;
    let bytes = usize::try_from(span.byte_len().unwrap_or_default()).ok()?;
    Some(from..from.checked_add(bytes)?)
}
