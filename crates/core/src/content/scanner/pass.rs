//! Scans the text at hand once: skips, searches and reports.

use super::attempt::{Attempt, Found, Place};
use super::report::Report;
use super::{Finding, Rest, Scanner, Stop, Suppressed, last_two};
use crate::content::automaton::{DEAD, State};
use crate::content::matcher::Matcher;

/// One pass over the text that is held and the piece that arrived.
pub(super) struct Pass<'a> {
    scanner: &'a mut Scanner,
    matcher: &'a Matcher,
    text: &'a str,
    rest: Rest,
    report: &'a mut dyn Report,
    /// Everything before is decided.
    at: usize,
    /// Everything before was reported.
    written: usize,
}

impl<'a> Pass<'a> {
    pub fn new(
        scanner: &'a mut Scanner,
        matcher: &'a Matcher,
        text: &'a str,
        rest: Rest,
        report: &'a mut dyn Report,
    ) -> Self {
        Self { scanner, matcher, text, rest, report, at: 0, written: 0 }
    }

    /// Returns how much of the text is decided; the rest is to be held.
    pub fn run(mut self) -> Result<usize, Stop> {
        loop {
            self.suppress();
            if self.scanner.suppressed.is_some() {
                return Ok(self.text.len());
            }
            while self.at < self.scanner.exact_until {
                match self.attempt() {
                    Ok(Found::Nothing) => self.at += 1,
                    Ok(Found::Value { detector, bytes }) => self.replace(detector, bytes)?,
                    Ok(Found::Settled { detector, bytes, state }) => {
                        self.begin_suppressing(detector, bytes, state);
                        break;
                    }
                    Ok(Found::Undecided) => {
                        self.release();
                        return Ok(self.at);
                    }
                    Err(stop) => {
                        self.release();
                        return Err(stop);
                    }
                }
            }
            if self.scanner.suppressed.is_none() && !self.skip() {
                self.release();
                return Ok(self.at);
            }
        }
    }

    /// Goes to the next place where a match can begin; `false` at the end of the text.
    ///
    /// Skips at most half of what may be held and reads at most the other half ahead, so that a run that is longer than the
    /// limit is met in a long text as it is in pieces.
    fn skip(&mut self) -> bool {
        let half = (self.scanner.hold_bytes_max / 2).max(1);
        let block_end = self.text.len().min(self.at.saturating_add(half));
        let Some(block) = self.text.as_bytes().get(self.at..block_end).filter(|block| !block.is_empty()) else {
            return false;
        };
        let anchor = self.matcher.prefilter.next(block);
        let (before, exact) = match anchor {
            Some(anchor) => (block.get(..anchor).unwrap_or_default(), anchor + 1),
            None if self.rest == Rest::Ended && block_end == self.text.len() => {
                self.at = block_end;
                return false;
            }
            None => (block, block.len()),
        };
        self.scanner.exact_until = self.at + exact;
        let ahead = self.text.as_bytes().get(self.at + before.len()..).unwrap_or_default();
        self.at += self.matcher.prefilter.earliest(before, ahead, half);
        true
    }

    /// Searches for a match at this place, or goes on with the search that was interrupted.
    fn attempt(&mut self) -> Result<Found, Stop> {
        let automaton = &self.matcher.automaton;
        let first = self.text.as_bytes().get(self.at).copied().unwrap_or_default();
        let interrupted = self.scanner.attempt.take();
        if interrupted.is_none() && automaton.next(automaton.start(), first) == DEAD {
            return Ok(Found::Nothing);
        }
        let Some((done, text)) = self.text.split_at_checked(self.at) else {
            // The middle of a character, which begins no match.
            return Ok(Found::Nothing);
        };
        let place = Place {
            text,
            before: last_two(done, self.scanner.before),
            offset: self.scanner.offset + self.at as u64,
            rest: self.rest,
        };
        let mut attempt = interrupted.unwrap_or_else(|| Attempt::new(automaton));
        let found = attempt.run(place, self.matcher, &mut self.scanner.trace, self.scanner.hold_bytes_max)?;
        if found == Found::Undecided {
            self.scanner.attempt = Some(attempt);
        }
        Ok(found)
    }

    /// Reports the text that is decided.
    fn release(&mut self) {
        let text = self.text.get(self.written..self.at).unwrap_or_default();
        if !text.is_empty() {
            self.report.text(text);
        }
        self.written = self.at;
    }

    /// The finding of a value that begins at this place.
    fn found(&mut self, detector: usize) -> Finding {
        self.release();
        Finding { detector, at: self.scanner.offset + self.at as u64 }
    }

    /// Reports a value that begins at this place.
    fn replace(&mut self, detector: usize, bytes: usize) -> Result<(), Stop> {
        let finding = self.found(detector);
        let end = self.at + bytes;
        let value = self.text.get(self.at..end).unwrap_or_default();
        if let Some(mask) = self.matcher.mask(detector) {
            self.report.value(finding, mask, value)?;
        }
        (self.at, self.written) = (end, end);
        Ok(())
    }

    /// Reports a value that begins at this place and is certain, while its end is open.
    fn begin_suppressing(&mut self, detector: usize, bytes: usize, state: State) {
        let finding = self.found(detector);
        let end = self.at + bytes;
        if let Some(mask) = self.matcher.mask(detector) {
            self.report.begins(finding, mask, self.text.get(self.at..end).unwrap_or_default());
        }
        self.scanner.suppressed = Some(Suppressed { state });
        (self.at, self.written) = (end, end);
    }

    /// Reads a value that began up to its end.
    fn suppress(&mut self) {
        let Some(mut suppressed) = self.scanner.suppressed.take() else { return };
        let automaton = &self.matcher.automaton;
        let (mut state, mut end, mut is_over) = (suppressed.state, self.at, self.rest == Rest::Ended);
        for (count, byte) in self.text.as_bytes().get(self.at..).unwrap_or_default().iter().enumerate() {
            state = automaton.next(state, *byte);
            if state == DEAD {
                is_over = true;
                break;
            }
            if automaton.is_accepting(state) {
                (suppressed.state, end) = (state, self.at + count + 1);
            }
        }
        let part = self.text.get(self.at..end).unwrap_or_default();
        if !part.is_empty() {
            self.report.continues(part);
        }
        (self.at, self.written) = (end, end);
        if is_over {
            self.report.ends(self.scanner.offset + end as u64);
        } else {
            self.scanner.suppressed = Some(suppressed);
        }
    }
}
