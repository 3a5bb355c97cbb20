//! Converts YAML parse errors into problems.

use std::ops::Range;

use super::{Problem, nearest};

/// The library's error as a problem of `file`; `whole` begins the message where the file as a whole is at fault.
#[must_use]
pub fn problem(file: &str, whole: &str, error: &serde_saphyr::Error) -> Problem {
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
        serde_saphyr::Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            Problem::error(file, format!("key `{key}` is written twice")).help("write it once")
        }
        other => {
            let message = other.to_string();
            Problem::error(file, format!("{whole}: {}", message.lines().next().unwrap_or("not YAML")))
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
