//! One detector of text: its patterns, their validators and its mask.

use regex_syntax::hir::Hir;

use super::automaton::{Automaton, Extent, Settling, TooCostly};
use super::mask::Mask;
use super::pattern::{self, PatternError};
use super::validator::Validator;

/// A detector that searches text.
#[derive(Debug, Clone)]
pub struct Detector {
    /// Its name in policies.
    pub name: String,
    /// Any of these is a value.
    pub patterns: Vec<Pattern>,
    /// The text that replaces a value.
    pub mask: Mask,
}

/// A pattern and its second condition.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// The regular expression as written.
    pub source: String,
    pub(super) syntax: Hir,
    pub(super) validator: Validator,
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// See [`pattern::parse`].
    pub fn parse(source: &str, validator: Validator) -> Result<Self, PatternError> {
        Ok(Self { source: source.to_owned(), syntax: pattern::parse(source)?, validator })
    }

    /// Whether its match can be accepted, and replaced by `mask`, before its end is known.
    pub(super) fn settling(&self, mask: &Mask) -> Settling {
        if self.validator.may_settle() && mask.may_settle() { Settling::Allowed } else { Settling::Forbidden }
    }

    /// How far a match reaches that is replaced by `mask`.
    ///
    /// # Errors
    /// [`TooCostly`].
    pub fn extent(&self, mask: &Mask) -> Result<Extent, TooCostly> {
        Extent::of(&self.syntax, self.settling(mask), Automaton::PATTERN)
    }
}
