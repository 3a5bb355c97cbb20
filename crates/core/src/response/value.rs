//! Values that were found in a text, with what replaces them.
//!
//! Knows: ranges of a text, masks. Must not know: where the text is from.

use std::collections::VecDeque;

use smol_str::SmolStr;

use super::ruling::End;
use crate::content::mask::{Mask, StandIns, Tail};
use crate::content::matcher::Matcher;
use crate::content::scanner::{Finding, Report, Stop};

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    /// Number of the pass that found it.
    pub pass: usize,
    pub detector: SmolStr,
    /// Offset in the text of its channel, in bytes.
    pub from: u64,
    /// Where it ends; `None` while its end is open.
    pub to: Option<u64>,
    pub replacement: Replacement,
    /// Whether it can be masked where it is.
    pub place: Place,
    /// The ruling: `None` before it was asked for.
    pub is_masked: Option<bool>,
}

/// Where a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Text,
    /// A key of an object, which cannot be changed without changing what the document means.
    Key,
    /// A number, which a mask would turn into a value of another type.
    Number,
}

/// What replaces a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Replacement {
    Text(String),
    /// A stand-in, which gets its number when the value is masked: numbers follow the order of the document.
    StandIn {
        kind: String,
        value: String,
    },
}

impl Value {
    /// The text that replaces the value.
    pub fn mask(&mut self, stand_ins: &mut StandIns) -> Result<(), End> {
        if let Replacement::StandIn { kind, value } = &self.replacement {
            self.replacement = Replacement::Text(stand_ins.of(kind, value).map_err(|_| End::TooManyStandIns)?);
        }
        Ok(())
    }

    /// Where it ends, no later than `limit`.
    pub fn end(&self, limit: u64) -> u64 {
        self.to.map_or(limit, |to| to.min(limit))
    }
}

/// Collects the values of one pass.
pub(super) struct Marks<'a> {
    pub pass: usize,
    pub matcher: &'a Matcher,
    pub values: &'a mut VecDeque<Value>,
    /// How much of the text is decided, in bytes.
    pub decided: &'a mut u64,
}

impl Marks<'_> {
    fn add(&mut self, finding: Finding, bytes: Option<usize>, replacement: Replacement) {
        self.values.push_back(Value {
            pass: self.pass,
            detector: SmolStr::new(self.matcher.name(finding.detector).unwrap_or_default()),
            from: finding.at,
            to: bytes.map(|bytes| finding.at + bytes as u64),
            replacement,
            place: Place::Text,
            is_masked: None,
        });
    }

    fn decide(&mut self, text: &str) {
        *self.decided += text.len() as u64;
    }
}

impl Report for Marks<'_> {
    fn text(&mut self, text: &str) {
        self.decide(text);
    }

    fn value(&mut self, finding: Finding, mask: &Mask, value: &str) -> Result<(), Stop> {
        let replacement = match mask {
            Mask::Fixed(text) => Replacement::Text(text.clone()),
            Mask::KeepLast(count) => Replacement::Text(Tail::of(value).mask(*count)),
            Mask::Pseudonym { kind, .. } => Replacement::StandIn { kind: kind.clone(), value: value.to_owned() },
        };
        self.add(finding, Some(value.len()), replacement);
        self.decide(value);
        Ok(())
    }

    fn begins(&mut self, finding: Finding, mask: &Mask, part: &str) {
        let replacement = match mask {
            Mask::Fixed(text) => text.clone(),
            Mask::KeepLast(_) | Mask::Pseudonym { .. } => {
                unreachable!("a value with a mask that needs all of it is reported when it is complete")
            }
        };
        self.add(finding, None, Replacement::Text(replacement));
        self.decide(part);
    }

    fn continues(&mut self, part: &str) {
        self.decide(part);
    }

    fn ends(&mut self, at: u64) {
        if let Some(open) = self.values.back_mut().filter(|value| value.to.is_none()) {
            open.to = Some(at);
        }
    }
}
