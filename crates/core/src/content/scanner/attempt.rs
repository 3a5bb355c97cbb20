//! Searches for a match that begins at one place.

use super::{Rest, Stop};
use crate::content::automaton::{Automaton, DEAD, State};
use crate::content::matcher::Matcher;
use crate::content::validator::Candidate;

/// Bytes that are read before an attempt is compared with the one before it.
const SHORT_BYTES: usize = 24;

/// The state of a search; lengths count from its place.
#[derive(Debug)]
pub(super) struct Attempt {
    state: State,
    read: usize,
    /// Patterns that matched, each with its longest match.
    accepted: Vec<(usize, usize)>,
    /// States after [`SHORT_BYTES`], for the next attempt.
    states: Vec<State>,
}

/// How a search ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No value begins here.
    Nothing,
    /// A value of this length.
    Value { detector: usize, bytes: usize },
    /// A value is certain; its end is open.
    Settled { detector: usize, bytes: usize, state: State },
    /// More text is needed.
    Undecided,
}

/// The states of the last long attempt that matched nothing, by offset in the channel.
///
/// A later attempt that reaches the same state at the same offset matches nothing more either. Without this a run of
/// characters, each of which could begin a match, would be read once for each of them.
#[derive(Debug, Default)]
pub(super) struct Trace {
    from: u64,
    states: Vec<State>,
}

impl Trace {
    fn has(&self, at: u64, state: State) -> bool {
        let index = at.checked_sub(self.from).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.states.get(index)) == Some(&state)
    }

    fn end(&self) -> u64 {
        self.from + self.states.len() as u64
    }
}

/// The text at the place of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'t> {
    /// The text from the place on.
    pub text: &'t str,
    /// The two characters before it, the last one first.
    pub before: [Option<char>; 2],
    /// Offset in the channel.
    pub offset: u64,
    pub rest: Rest,
}

/// Why reading ended.
enum End {
    Dead,
    OutOfText,
    Settled,
}

impl Attempt {
    pub fn new(automaton: &Automaton) -> Self {
        Self { state: automaton.start(), read: 0, accepted: Vec::new(), states: Vec::new() }
    }

    /// Reads on. An attempt that was [`Found::Undecided`] goes on with the same place and more text.
    pub fn run(
        &mut self,
        place: Place<'_>,
        matcher: &Matcher,
        trace: &mut Trace,
        hold_bytes_max: usize,
    ) -> Result<Found, Stop> {
        let end = self.read_on(place, &matcher.automaton, trace, hold_bytes_max)?;
        match end {
            End::Settled => {
                if let Some(detector) = self.settled(place, matcher) {
                    let (bytes, state) = (self.read, self.state);
                    return Ok(Found::Settled { detector, bytes, state });
                }
            }
            End::OutOfText if place.rest == Rest::MayFollow && self.needs_more(matcher) => return Ok(Found::Undecided),
            End::OutOfText | End::Dead => {}
        }
        let is_long = place.offset + self.read as u64 > trace.end() && !self.states.is_empty();
        if is_long && self.accepted.is_empty() {
            let states = std::mem::take(&mut self.states);
            *trace = Trace { from: place.offset + SHORT_BYTES as u64 + 1, states };
        }
        Ok(self.longest(place, matcher))
    }

    fn read_on(
        &mut self,
        place: Place<'_>,
        automaton: &Automaton,
        trace: &Trace,
        hold_bytes_max: usize,
    ) -> Result<End, Stop> {
        for byte in place.text.as_bytes().get(self.read..).unwrap_or_default() {
            let next = automaton.next(self.state, *byte);
            if next == DEAD {
                return Ok(End::Dead);
            }
            self.state = next;
            self.read += 1;
            if automaton.is_accepting(next) {
                self.accept(automaton.accepted(next));
                if automaton.is_settled(next) {
                    return Ok(End::Settled);
                }
            }
            if self.read > SHORT_BYTES {
                if trace.has(place.offset + self.read as u64, next) {
                    return Ok(End::Dead);
                }
                self.states.push(next);
            }
            if self.read > hold_bytes_max {
                return Err(Stop::HoldExceeded { bytes_max: hold_bytes_max });
            }
        }
        Ok(End::OutOfText)
    }

    fn accept(&mut self, patterns: &[usize]) {
        for pattern in patterns {
            match self.accepted.iter_mut().find(|(known, _)| known == pattern) {
                Some((_, bytes)) => *bytes = self.read,
                None => self.accepted.push((*pattern, self.read)),
            }
        }
    }

    /// Whether the next character can change the result.
    fn needs_more(&self, matcher: &Matcher) -> bool {
        let reads_next = |pattern: usize| matcher.pattern(pattern).is_some_and(|found| found.validator.reads_next());
        matcher.automaton.extends(self.state)
            || self.accepted.iter().any(|(pattern, bytes)| *bytes == self.read && reads_next(*pattern))
    }

    /// The detector of a settled match. If its validators reject it, its patterns are out of the attempt.
    fn settled(&mut self, place: Place<'_>, matcher: &Matcher) -> Option<usize> {
        let patterns = matcher.automaton.accepted(self.state);
        let value = patterns.iter().find(|pattern| accepted_bytes(place, matcher, **pattern, self.read).is_some());
        if value.is_none() {
            self.accepted.retain(|(pattern, _)| !patterns.contains(pattern));
            // The states before led to a match, if not to a value: they say nothing about the next attempt.
            self.states.clear();
        }
        matcher.pattern(*value?).map(|pattern| pattern.detector)
    }

    /// The longest value, of equally long ones that of the first pattern.
    fn longest(&self, place: Place<'_>, matcher: &Matcher) -> Found {
        let values = self.accepted.iter().filter_map(|(pattern, bytes)| {
            Some((accepted_bytes(place, matcher, *pattern, *bytes)?, std::cmp::Reverse(*pattern)))
        });
        let best = values.max().and_then(|(bytes, pattern)| Some((bytes, matcher.pattern(pattern.0)?.detector)));
        best.map_or(Found::Nothing, |(bytes, detector)| Found::Value { detector, bytes })
    }
}

/// How much of a match is a value.
fn accepted_bytes(place: Place<'_>, matcher: &Matcher, pattern: usize, bytes: usize) -> Option<usize> {
    let validator = &matcher.pattern(pattern)?.validator;
    let (text, behind) = place.text.split_at_checked(bytes)?;
    let after = if validator.reads_next() { behind.chars().next() } else { None };
    let [before, before_that] = place.before;
    validator.accepted(&Candidate { text, before, before_that, after })
}
