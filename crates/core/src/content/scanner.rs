//! Scans one text channel that arrives in pieces, and reports or masks the values in it.
//!
//! Knows: a compiled set of detectors, the text so far. Must not know: frames, JSON, other channels, policies.
//!
//! Output and findings depend on the text alone, not on its pieces. Text leaves as soon as no pattern that began before its
//! end can still match; the rest is held. A value is never in the output, nor a part of it beyond what its mask keeps.
//! [`Scanner::read`] reports ranges, [`Scanner::push`] masks them.
//! Of values that overlap the leftmost wins, then the longest, then the earlier detector. A piece is a `&str`: the caller
//! joins characters that were cut, because it must reject invalid UTF-8 anyway.

mod attempt;
mod pass;
mod report;

use std::sync::Arc;

use attempt::{Attempt, Trace};
use pass::Pass;
use report::Masking;
pub use report::Report;

use super::automaton::State;
use super::mask::{StandIns, TooMany};
use super::matcher::Matcher;

/// How much of a channel is held at most, in bytes, unless configured otherwise.
pub const HOLD_BYTES_MAX: usize = 16 * 1024;

/// One value that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Number of the detector in its [`Matcher`].
    pub detector: usize,
    /// Offset of the value in the text of the channel, in bytes.
    pub at: u64,
}

/// The text that may leave, and the values that were replaced in it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Output {
    /// Text, with masks in it. The caller may take it between two pieces.
    pub text: String,
    /// Values in the order of the text.
    pub findings: Vec<Finding>,
}

/// The scan ended early. Held text never leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// A value that did not end would need more text than may be held.
    #[error("the text holds a possible value of more than {bytes_max} bytes, the limit of what is held")]
    HoldExceeded {
        /// The limit.
        bytes_max: usize,
    },
    /// Too many values were replaced by stand-ins.
    #[error(transparent)]
    StandIns(#[from] TooMany),
}

/// Whether text follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    MayFollow,
    Ended,
}

/// The scan of one text channel.
#[derive(Debug)]
pub struct Scanner {
    matcher: Arc<Matcher>,
    hold_bytes_max: usize,
    /// Text that was neither released nor replaced.
    held: String,
    /// Offset of `held` in the text of the channel.
    offset: u64,
    /// The two characters before `held`, the last one first.
    before: [Option<char>; 2],
    /// Every match that begins before this place in `held` is looked for by the automaton.
    exact_until: usize,
    /// The search for a match that begins with `held`.
    attempt: Option<Attempt>,
    suppressed: Option<Suppressed>,
    trace: Trace,
    stopped: Option<Stop>,
}

/// A value that is certain and did not end yet.
#[derive(Debug)]
struct Suppressed {
    state: State,
}

impl Scanner {
    /// A scan that has read nothing. A piece of text that may still match is held up to `hold_bytes_max`.
    #[must_use]
    pub fn new(matcher: Arc<Matcher>, hold_bytes_max: usize) -> Self {
        Self {
            matcher,
            hold_bytes_max: hold_bytes_max.max(1),
            held: String::new(),
            offset: 0,
            before: [None; 2],
            exact_until: 0,
            attempt: None,
            suppressed: None,
            trace: Trace::default(),
            stopped: None,
        }
    }

    /// Reads the next piece, and adds to `output` what may leave.
    ///
    /// # Errors
    /// [`Stop`], now and for every later call. What is in `output` may leave; nothing more will.
    pub fn push(&mut self, piece: &str, stand_ins: &mut StandIns, output: &mut Output) -> Result<(), Stop> {
        self.advance(piece, Rest::MayFollow, &mut Masking { stand_ins, output })
    }

    /// Reads the next piece, and reports what is decided.
    ///
    /// # Errors
    /// [`Stop`], now and for every later call.
    pub fn read(&mut self, piece: &str, report: &mut dyn Report) -> Result<(), Stop> {
        self.advance(piece, Rest::MayFollow, report)
    }

    /// Ends the text, and reports the rest.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn end(&mut self, report: &mut dyn Report) -> Result<(), Stop> {
        self.advance("", Rest::Ended, report)
    }

    /// Reads and ends a text of which this is the rest.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_last(&mut self, piece: &str, report: &mut dyn Report) -> Result<(), Stop> {
        self.advance(piece, Rest::Ended, report)
    }

    /// Ends the text, and adds the rest to `output`.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(&mut self, stand_ins: &mut StandIns, output: &mut Output) -> Result<(), Stop> {
        self.advance("", Rest::Ended, &mut Masking { stand_ins, output })
    }

    /// Scans a whole text: the same as one piece and the end.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn whole(
        matcher: Arc<Matcher>,
        hold_bytes_max: usize,
        text: &str,
        stand_ins: &mut StandIns,
    ) -> Result<Output, Stop> {
        let mut output = Output::default();
        let mut masking = Masking { stand_ins, output: &mut output };
        Self::new(matcher, hold_bytes_max).advance(text, Rest::Ended, &mut masking)?;
        Ok(output)
    }

    /// Bytes of text that are held now.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    fn advance(&mut self, piece: &str, rest: Rest, report: &mut dyn Report) -> Result<(), Stop> {
        if let Some(stop) = self.stopped {
            return Err(stop);
        }
        // A piece is copied only as far as it is held.
        let mut joined = std::mem::take(&mut self.held);
        let text = if joined.is_empty() {
            piece
        } else {
            joined.push_str(piece);
            &joined
        };
        let matcher = Arc::clone(&self.matcher);
        let decided = Pass::new(self, &matcher, text, rest, report).run();
        let decided = decided.inspect_err(|stop| self.stopped = Some(*stop))?;
        let (done, held) = text.split_at_checked(decided).unwrap_or((text, ""));
        self.before = last_two(done, self.before);
        self.offset += done.len() as u64;
        self.exact_until = self.exact_until.saturating_sub(decided);
        if joined.is_empty() {
            self.held.push_str(held);
        } else {
            joined.drain(..decided.min(joined.len()));
            self.held = joined;
        }
        Ok(())
    }
}

/// The last two characters of a text, the last one first, where `earlier` came before the text.
fn last_two(text: &str, earlier: [Option<char>; 2]) -> [Option<char>; 2] {
    let [last, _] = earlier;
    let mut characters = text.chars().rev();
    match (characters.next(), characters.next()) {
        (None, _) => earlier,
        (first, None) => [first, last],
        both => [both.0, both.1],
    }
}
