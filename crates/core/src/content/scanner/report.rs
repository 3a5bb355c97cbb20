//! The receiver of a scan, and the one that masks text.
//!
//! Knows: parts of a text in their order. Must not know: how they were found.

use super::{Finding, Output, Stop};
use crate::content::mask::{Mask, StandIns, Tail};

/// Receives the text of a channel once, in its order, as soon as it is decided.
pub trait Report {
    /// Text outside of values.
    fn text(&mut self, text: &str);

    /// A value with its mask.
    ///
    /// # Errors
    /// [`Stop`] ends the scan.
    fn value(&mut self, finding: Finding, mask: &Mask, value: &str) -> Result<(), Stop>;

    /// The beginning of a value that is certain while its end is open. Its mask does not depend on the value.
    fn begins(&mut self, finding: Finding, mask: &Mask, part: &str);

    /// More of the value that began.
    fn continues(&mut self, part: &str);

    /// The value that began ended at this offset in the text of the channel, in bytes.
    fn ends(&mut self, at: u64);
}

/// Writes the text with masks in it.
pub(super) struct Masking<'a> {
    pub stand_ins: &'a mut StandIns,
    pub output: &'a mut Output,
}

impl Report for Masking<'_> {
    fn text(&mut self, text: &str) {
        self.output.text.push_str(text);
    }

    fn value(&mut self, finding: Finding, mask: &Mask, value: &str) -> Result<(), Stop> {
        self.output.findings.push(finding);
        match mask {
            Mask::Fixed(mask) => self.output.text.push_str(mask),
            Mask::KeepLast(count) => self.output.text.push_str(&Tail::of(value).mask(*count)),
            Mask::Pseudonym { kind, .. } => self.output.text.push_str(&self.stand_ins.of(kind, value)?),
        }
        Ok(())
    }

    fn begins(&mut self, finding: Finding, mask: &Mask, _: &str) {
        self.output.findings.push(finding);
        match mask {
            Mask::Fixed(mask) => self.output.text.push_str(mask),
            Mask::KeepLast(_) | Mask::Pseudonym { .. } => {
                unreachable!("a value with a mask that needs all of it is reported when it is complete")
            }
        }
    }

    fn continues(&mut self, _: &str) {}

    fn ends(&mut self, _: u64) {}
}
