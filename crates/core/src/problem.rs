//! A diagnostic of a file: its position, the problem, and a suggestion.
//!
//! A noun. Loaders collect all problems; the command line draws them with their source.

pub mod yaml;

use std::ops::Range;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is refused.
    Note,
    /// Probably not what was meant; nothing is refused.
    Warning,
    /// The file is refused.
    Error,
}

/// One problem in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Path of the file, relative to the tree it was read from.
    pub file: String,
    /// Byte range in that file, where known.
    pub span: Option<Range<usize>>,
    /// The problem, as a lower-case fragment with the input in backticks.
    pub message: String,
    /// A suggestion.
    pub help: Option<String>,
}

impl Problem {
    /// An error in `file`.
    pub fn error(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, file: file.into(), span: None, message: message.into(), help: None }
    }

    /// A warning about `file`.
    pub fn warning(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(file, message) }
    }

    /// A note about `file`.
    pub fn note(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(file, message) }
    }

    /// Says where in the file.
    #[must_use]
    pub fn at(mut self, span: Option<Range<usize>>) -> Self {
        self.span = span;
        self
    }

    /// Says what would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// An error and what it came from, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Names that were given up, each with the name in use.
const RENAMED: &[(&str, &str)] = &[
    ("Peer", "Agent"),
    ("denial_by_era", "denial_by_version"),
    ("era", "version"),
    ("era_refused", "version_refused"),
    ("eras", "versions"),
    ("fills", "target"),
    ("harmless", "acceptable"),
    ("peers", "agents"),
];

/// The known name nearest to `unknown`, for "did you mean". A name that was given up is nearest to its successor.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let successor = RENAMED.iter().find(|(old, _)| *old == unknown).map_or(unknown, |(_, new)| *new);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(successor, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_near_and_a_given_up_one_is_near_its_successor() {
        let known = ["endpoint", "versions", "denial_by_version"];
        assert_eq!(nearest("endpont", known), Some("endpoint"));
        assert_eq!(nearest("eras", known), Some("versions"));
        assert_eq!(nearest("denial_by_era", known), Some("denial_by_version"));
        // The successor is not known here.
        assert_eq!(nearest("eras", ["endpoint"]), None);
        assert_eq!(nearest("unheard", known), None);
    }
}
