//! Skips text in which no pattern can match.
//!
//! Knows: syntax trees of patterns. Must not know: automata, detectors.
//!
//! Every match of a pattern holds a byte of its *anchor*, and only bytes of its *approach* come before that byte: an email
//! address holds `@`, with a local part before it. The anchors of all patterns are chosen to be rare together. The scanner
//! jumps to the next byte of any anchor, goes back over the approaches, and only there runs the automaton.

mod anchor;

use anchor::{Anchor, ByteSet};
use regex_syntax::hir::Hir;

/// Bytes of an approach that are counted exactly; a longer one counts as endless.
const REACH_MAX: usize = 96;
/// Patterns share this many lanes. Two in one lane cost time, never a match.
const LANES: usize = 64;

/// Bytes behind an anchor that are read to find out for which patterns it can matter.
const AHEAD_MAX: usize = 128;

/// The anchors of a set of patterns.
#[derive(Debug)]
pub struct Prefilter {
    /// Lanes with an anchor that holds the byte.
    anchors: [u64; 256],
    /// Lanes with an approach that holds the byte.
    approaches: [u64; 256],
    /// Lanes with an approach of more than this many bytes.
    longer_than: [u64; REACH_MAX],
    /// Lanes with an approach of at least [`REACH_MAX`] bytes.
    endless: u64,
}

impl Prefilter {
    /// Chooses the anchors of patterns, of which none matches the empty text.
    pub fn new(patterns: &[&Hir]) -> Self {
        let mut filter = Self { anchors: [0; 256], approaches: [0; 256], longer_than: [0; REACH_MAX], endless: 0 };
        let alone: Vec<u32> = patterns.iter().map(|pattern| Anchor::of(pattern, &ByteSet::EMPTY).cost).collect();
        let mut order: Vec<usize> = (0..patterns.len()).collect();
        // A pattern without a rare byte decides first; the others then use its bytes at no further cost.
        order.sort_by_key(|at| std::cmp::Reverse(alone.get(*at).copied()));
        let mut taken = ByteSet::EMPTY;
        for (lane, pattern) in order.iter().filter_map(|at| patterns.get(*at)).enumerate() {
            let anchor = Anchor::of(pattern, &taken);
            taken.add(&anchor.bytes);
            filter.add(&anchor, 1 << (lane % LANES));
        }
        filter
    }

    fn add(&mut self, anchor: &Anchor, lane: u64) {
        for (byte, lanes) in (0..=u8::MAX).zip(self.approaches.iter_mut()) {
            *lanes |= if anchor.approach.has(byte) { lane } else { 0 };
        }
        for (byte, lanes) in (0..=u8::MAX).zip(self.anchors.iter_mut()) {
            *lanes |= if anchor.bytes.has(byte) { lane } else { 0 };
        }
        let reach = anchor.approach_bytes_max.unwrap_or(usize::MAX);
        self.longer_than.iter_mut().take(reach).for_each(|lanes| *lanes |= lane);
        if reach >= REACH_MAX {
            self.endless |= lane;
        }
    }

    /// The first place in `text` at which a byte of an anchor is.
    #[inline]
    pub fn next(&self, text: &[u8]) -> Option<usize> {
        text.iter().position(|byte| lanes_of(&self.anchors, *byte) != 0)
    }

    /// The first place in `before` at which a match can begin that holds its anchor behind `before`, in `ahead` or later.
    ///
    /// Reads at most `ahead_bytes_max` bytes of `ahead`; what it cannot see counts as possible.
    pub fn earliest(&self, before: &[u8], ahead: &[u8], ahead_bytes_max: usize) -> usize {
        let (mut lanes, mut start) = (self.anchored(ahead, ahead_bytes_max.min(AHEAD_MAX)), before.len());
        for (count, byte) in before.iter().rev().enumerate() {
            lanes &= lanes_of(&self.approaches, *byte);
            lanes &= self.longer_than.get(count).copied().unwrap_or(self.endless);
            if lanes == 0 {
                break;
            }
            start -= 1;
        }
        start
    }

    /// Lanes whose anchor comes in `ahead`, with nothing but their approach before it.
    fn anchored(&self, ahead: &[u8], bytes_max: usize) -> u64 {
        let (mut open, mut found) = (u64::MAX, 0);
        for byte in ahead.iter().take(bytes_max) {
            found |= open & lanes_of(&self.anchors, *byte);
            open &= lanes_of(&self.approaches, *byte) & !found;
            if open == 0 {
                return found;
            }
        }
        found | open
    }

    /// The bytes of all anchors.
    pub fn anchors(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).zip(self.anchors).filter(|(_, lanes)| *lanes != 0).map(|(byte, _)| byte)
    }
}

fn lanes_of(table: &[u64; 256], byte: u8) -> u64 {
    table.get(usize::from(byte)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::pattern::parse;

    fn filter(patterns: &[&str]) -> Prefilter {
        let parsed: Vec<Hir> = patterns.iter().map(|pattern| parse(pattern).unwrap()).collect();
        Prefilter::new(&parsed.iter().collect::<Vec<_>>())
    }

    #[test]
    fn anchors_are_rare_bytes_that_patterns_share() {
        let anchors = |patterns: &[&str]| filter(patterns).anchors().map(char::from).collect::<String>();
        assert_eq!(anchors(&["[a-z.]+@[a-z]+\\.[a-z]+"]), "@");
        assert_eq!(anchors(&["the_one", "[0-9]{3}-[0-9]{2}", "[0-9]{9}"]), "0123456789_");
        assert_eq!(anchors(&["(?:ab|c)_?x"]), "x");
    }

    #[test]
    fn the_earliest_start_lies_within_the_approach() {
        let mail = filter(&["[a-z.]+@[a-z]+"]);
        assert_eq!(mail.next(b"to bob@b"), Some(6));
        assert_eq!(mail.earliest(b"to bob", b"@", 9), 3);
        let short = filter(&["[a-z]{2}_"]);
        assert_eq!(short.earliest(b"to bob", b"", 9), 4);
        assert_eq!(short.earliest(b"to bob ", b"", 9), 7);
    }

    #[test]
    fn an_anchor_of_another_pattern_does_not_lead_back() {
        let both = filter(&["[a-z_]+@[a-z]+", "b_b"]);
        assert_eq!(both.next(b"to bob_b"), Some(6));
        assert_eq!(both.earliest(b"to bob", b"_b ", 9), 5, "no address follows");
        assert_eq!(both.earliest(b"to bob", b"_b@", 9), 3);
        assert_eq!(both.earliest(b"to bob", b"_b", 9), 3, "an address may follow");
        assert_eq!(both.earliest(b"to bob", b"_b ", 2), 3, "no more may be read");
    }
}
