//! Parses one pattern, and rejects those that a stream cannot be searched for.
//!
//! Knows: the syntax of the `regex` crate. Must not know: automata, detectors, YAML.
//!
//! A match is always the longest one at its place. An assertion (`^`, `\b`) would depend on text that has left or has not
//! arrived, and a lazy repetition asks for a shorter match, so both are errors.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

/// Longest pattern in bytes.
pub const BYTES_MAX: usize = 4 * 1024;
/// Deepest nesting of groups.
const NESTING_MAX: u32 = 50;

/// Why a pattern is rejected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PatternError {
    /// It is too long.
    #[error("the pattern has {bytes} bytes, at most {BYTES_MAX} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is not a regular expression.
    #[error("the pattern does not parse at byte {at}: {reason}")]
    Syntax {
        /// Byte offset in the pattern.
        at: usize,
        /// The parser's reason.
        reason: String,
    },
    /// It holds an assertion.
    #[error("the pattern has an assertion such as `^`, `$` or `\\b`")]
    Assertion,
    /// It holds a lazy repetition.
    #[error("the pattern has a lazy repetition such as `*?`, but a match is always the longest")]
    Lazy,
    /// It matches the empty text.
    #[error("the pattern matches the empty text")]
    Empty,
    /// No text matches it.
    #[error("no text matches the pattern")]
    Never,
}

impl PatternError {
    /// A suggestion for whoever wrote the pattern.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "split it into several detectors",
            Self::Syntax { .. } => "the syntax is that of Rust's `regex` crate",
            Self::Assertion => "remove it; use `words` for whole words",
            Self::Lazy => "remove the `?`, and exclude the end from the repeated class: `[^;]*;`",
            Self::Empty => "require at least one character: `+` instead of `*`",
            Self::Never => "remove the detector, or correct the class that excludes every character",
        }
    }
}

/// Parses a pattern.
///
/// # Errors
/// The first reason why it cannot be used.
pub fn parse(pattern: &str) -> Result<Hir, PatternError> {
    if pattern.len() > BYTES_MAX {
        return Err(PatternError::TooLong { bytes: pattern.len() });
    }
    let parsed = ParserBuilder::new().nest_limit(NESTING_MAX).build().parse(pattern).map_err(|error| syntax(&error))?;
    if !parsed.properties().look_set().is_empty() {
        return Err(PatternError::Assertion);
    }
    if has_lazy_repetition(&parsed) {
        return Err(PatternError::Lazy);
    }
    match parsed.properties().minimum_len() {
        None => Err(PatternError::Never),
        Some(0) => Err(PatternError::Empty),
        Some(_) => Ok(parsed),
    }
}

fn syntax(error: &regex_syntax::Error) -> PatternError {
    match error {
        regex_syntax::Error::Parse(error) => {
            PatternError::Syntax { at: error.span().start.offset, reason: error.kind().to_string() }
        }
        regex_syntax::Error::Translate(error) => {
            PatternError::Syntax { at: error.span().start.offset, reason: error.kind().to_string() }
        }
        other => {
            PatternError::Syntax { at: 0, reason: other.to_string().lines().next().unwrap_or_default().to_owned() }
        }
    }
}

/// Whether a repetition prefers fewer rounds. One that has a fixed number of rounds does not.
fn has_lazy_repetition(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            let is_fixed = repetition.max == Some(repetition.min);
            (!repetition.greedy && !is_fixed) || has_lazy_repetition(&repetition.sub)
        }
        HirKind::Capture(capture) => has_lazy_repetition(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(has_lazy_repetition),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_a_stream_cannot_be_searched_for_is_rejected_with_its_reason() {
        for (pattern, expected) in [
            ("INC-(", "the pattern does not parse at byte 4: unclosed group"),
            (
                "(?=a)b",
                "the pattern does not parse at byte 0: look-around, including look-ahead and look-behind, is not supported",
            ),
            (r"\bINC\b", r"the pattern has an assertion such as `^`, `$` or `\b`"),
            ("^a", r"the pattern has an assertion such as `^`, `$` or `\b`"),
            ("a.*?b", "the pattern has a lazy repetition such as `*?`, but a match is always the longest"),
            ("a*", "the pattern matches the empty text"),
            ("|a", "the pattern matches the empty text"),
            (r"[a&&b]", "no text matches the pattern"),
        ] {
            let error = parse(pattern).unwrap_err();
            assert_eq!(error.to_string(), expected, "{pattern}");
            assert!(!error.help().is_empty());
        }
        assert_eq!(parse(&"a".repeat(5000)), Err(PatternError::TooLong { bytes: 5000 }));
        assert!(parse(r"INC-\d{4}-\d{5}").is_ok() && parse("a{3}?").is_ok());
    }
}
