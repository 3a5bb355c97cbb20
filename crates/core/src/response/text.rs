//! Masks plain text.
//!
//! Knows: one text in pieces of bytes. Must not know: events, JSON, APIs.
//!
//! Text leaves as soon as it is decided. Bytes that are not UTF-8 are a part that could not be read; scanning goes on behind them
//! as behind any character that no pattern has.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::arguments::offset;
use super::channel::{More, Scan, ValueId};
use super::frame::regions;
use super::plan::Plan;
use super::ruling::{Body, End, Progress, Rule, Summary};
use super::settle::Tally;
use super::verdicts::{Sight, Verdicts};
use crate::content::mask::StandIns;

/// A text body.
#[derive(Debug)]
pub struct TextBody {
    plan: Arc<Plan>,
    stand_ins: StandIns,
    scan: Scan,
    /// Text that did not leave.
    held: String,
    /// Offset of `held` in the text.
    from: u64,
    /// A character that is not complete yet.
    character: Vec<u8>,
    /// Bytes that are not UTF-8, by the offset of the character that was scanned in their place.
    invalid: Vec<(u64, Vec<u8>)>,
    verdicts: Verdicts,
    tally: Tally,
    summary: Summary,
    ended: Option<End>,
}

impl TextBody {
    /// A body of which nothing was read.
    #[must_use]
    pub fn new(plan: Arc<Plan>, stand_ins: StandIns) -> Self {
        let scan = Scan::new(&plan);
        Self {
            plan,
            stand_ins,
            scan,
            held: String::new(),
            from: 0,
            character: Vec::new(),
            invalid: Vec::new(),
            verdicts: Verdicts::default(),
            tally: Tally::new(),
            summary: Summary { channels: 1, ..Summary::default() },
            ended: None,
        }
    }

    fn advance(&mut self, bytes: &[u8], more: More, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Result<(), End> {
        self.verdicts.start(rule)?;
        self.summary.frames += u64::from(!bytes.is_empty());
        let text = self.decoded(bytes);
        self.held.push_str(&text);
        let scanned = self.scan.read(&self.plan, &text, more);
        self.release(rule, out)?;
        scanned
    }

    /// The text of the next bytes; a character that is not complete waits for the next ones.
    fn decoded(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.character);
        all.extend_from_slice(bytes);
        let (mut text, mut rest) = (String::with_capacity(all.len()), all.as_slice());
        while !rest.is_empty() {
            let Err(error) = std::str::from_utf8(rest) else {
                text.push_str(std::str::from_utf8(rest).unwrap_or_default());
                break;
            };
            let (valid, broken) = rest.split_at_checked(error.valid_up_to()).unwrap_or_default();
            text.push_str(std::str::from_utf8(valid).unwrap_or_default());
            let Some(length) = error.error_len() else {
                self.character = broken.to_vec();
                break;
            };
            let (invalid, behind) = broken.split_at_checked(length).unwrap_or((broken, &[]));
            self.invalid.push((self.from + (self.held.len() + text.len()) as u64, invalid.to_vec()));
            text.push(char::REPLACEMENT_CHARACTER);
            rest = behind;
        }
        text
    }

    /// Rules about everything that is decided, and lets it out.
    fn release(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Result<(), End> {
        let to = self.scan.decided();
        let values = self.scan.values((self.from, to)).filter(|(_, value)| value.is_masked.is_none());
        let mut items: Vec<(u64, Option<ValueId>)> = values.map(|(id, value)| (value.from, Some(id))).collect();
        items.extend(self.invalid.iter().map(|(at, _)| (*at, None)));
        items.sort_unstable();
        // The passes find the same value several times.
        let mut counted = BTreeSet::new();
        for (at, id) in items.into_iter().filter(|(at, _)| *at < to) {
            let value = id.and_then(|id| self.scan.value_mut(id));
            let sight = value.as_ref().map_or(Sight::Unread, |value| Sight::Found(value.detector.clone()));
            // A value counts also if it is the reason of a refusal.
            if let Sight::Found(detector) = &sight
                && counted.insert((at, detector.clone()))
            {
                *self.tally.entry(detector.clone()).or_default() += 1;
            }
            let ruled = self.verdicts.see(&sight, rule).and_then(|is_masked| {
                let Some(value) = value else { return Ok(()) };
                value.is_masked = Some(is_masked);
                if is_masked { value.mask(&mut self.stand_ins) } else { Ok(()) }
            });
            if let Err(end) = ruled {
                // Everything before it is decided and ruled about.
                self.write(at, out);
                return Err(end);
            }
        }
        self.write(to, out);
        Ok(())
    }

    /// Lets out the text up to here.
    fn write(&mut self, to: u64, out: &mut Vec<u8>) {
        let mut at = 0;
        for (from, end, mask) in regions(self.scan.values((self.from, to)).map(|(_, value)| value), (self.from, to)) {
            self.plain(at, from, out);
            out.extend_from_slice(mask.as_bytes());
            at = end;
        }
        let end = offset(to - self.from);
        self.plain(at, end, out);
        self.held.drain(..end.min(self.held.len()));
        self.from = to;
        self.scan.forget(to);
        self.invalid.retain(|(at, _)| *at >= to);
    }

    /// Writes a part of the held text, with bytes that are not UTF-8 as they were.
    fn plain(&self, from: usize, to: usize, out: &mut Vec<u8>) {
        let mut at = from;
        for (place, bytes) in &self.invalid {
            let place = offset(place - self.from);
            if (from..to).contains(&place) {
                out.extend_from_slice(self.held.get(at..place).unwrap_or_default().as_bytes());
                out.extend_from_slice(bytes);
                at = place + char::REPLACEMENT_CHARACTER.len_utf8();
            }
        }
        out.extend_from_slice(self.held.get(at..to).unwrap_or_default().as_bytes());
    }

    fn concluded(&mut self, result: Result<Progress, End>) -> Progress {
        self.summary.held_bytes_most = self.summary.held_bytes_most.max(self.held_bytes() as u64);
        let end = match result {
            Ok(Progress::More) => return Progress::More,
            Ok(Progress::Ended(end)) | Err(end) => end,
        };
        self.ended = Some(end);
        self.held.clear();
        Progress::Ended(end)
    }
}

impl Body for TextBody {
    fn start(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress {
        self.push(b"", rule, out)
    }

    fn push(&mut self, bytes: &[u8], rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress {
        if let Some(end) = self.ended {
            return Progress::Ended(end);
        }
        let result = self.advance(bytes, More::MayFollow, rule, out).map(|()| Progress::More);
        self.concluded(result)
    }

    fn finish(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress {
        if let Some(end) = self.ended {
            return Progress::Ended(end);
        }
        let result = self.advance(b"", More::No, rule, out);
        let end = if self.character.is_empty() { End::Complete } else { End::Cut };
        self.summary.frames_withheld += u64::from(end == End::Cut);
        self.concluded(result.map(|()| Progress::Ended(end)))
    }

    fn stop(&mut self, end: End, _: &mut Vec<u8>) -> Progress {
        match self.ended {
            Some(end) => Progress::Ended(end),
            None => self.concluded(Err(end)),
        }
    }

    fn rule_again(&mut self, rule: &mut Rule<'_>, _: &mut Vec<u8>) -> Progress {
        if let Some(end) = self.ended {
            return Progress::Ended(end);
        }
        let result = self.verdicts.again(rule).map(|()| Progress::More);
        self.concluded(result)
    }

    fn summary(&self) -> Summary {
        Summary { findings: self.tally.clone(), ..self.summary.clone() }
    }

    fn held_bytes(&self) -> usize {
        self.held.len() + self.character.len()
    }
}
