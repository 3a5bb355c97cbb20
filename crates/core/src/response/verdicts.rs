//! The rulings about one response, in the order of the document.
//!
//! Knows: names of detectors, the verdict function. Must not know: text, frames.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::ruling::{End, Rule, Ruling, Seen};

/// What was seen so far, and the ruling about it.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    seen: Seen,
    masks: BTreeSet<SmolStr>,
    has_started: bool,
}

impl Verdicts {
    /// Calls the verdict function once, with what was seen so far.
    pub fn start(&mut self, rule: &mut Rule<'_>) -> Result<(), End> {
        if self.has_started { Ok(()) } else { self.again(rule) }
    }

    /// Calls the verdict function with what was seen so far.
    pub fn again(&mut self, rule: &mut Rule<'_>) -> Result<(), End> {
        self.has_started = true;
        match rule(&self.seen) {
            Ruling::Release { masks } => {
                self.masks = masks;
                Ok(())
            }
            Ruling::Refuse => Err(End::Refused),
        }
    }

    /// Adds to what was seen, and calls the verdict function if it is new. Returns whether it is masked.
    pub fn see(&mut self, sight: &Sight, rule: &mut Rule<'_>) -> Result<bool, End> {
        if self.add(sight) {
            self.again(rule)?;
        }
        self.is_masked(sight)
    }

    /// Adds to what was seen; whether it is new.
    pub fn add(&mut self, sight: &Sight) -> bool {
        match sight {
            Sight::Found(detector) => self.seen.found.insert(detector.clone()),
            Sight::Unread => std::mem::replace(&mut self.seen.inspected, false),
            Sight::Media(media_type) => self.seen.passed.insert(media_type.clone()),
        }
    }

    /// Whether the last ruling masks it. A part that was not read may hold any value, so it passes only where nothing is masked.
    pub fn is_masked(&self, sight: &Sight) -> Result<bool, End> {
        match sight {
            Sight::Found(detector) => Ok(self.masks.contains(detector)),
            Sight::Unread if !self.masks.is_empty() => Err(End::NotMaskable),
            Sight::Unread | Sight::Media(_) => Ok(false),
        }
    }
}

/// Anything that policies may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    Found(SmolStr),
    Unread,
    Media(SmolStr),
}
