//! One deterministic automaton for all patterns of a set, as a table.
//!
//! Knows: syntax trees of patterns, by number. Must not know: detectors, masks, text in pieces.
//!
//! The table comes from `regex-automata`, which reports a match one byte late. Here a state accepts as soon as its text
//! matches, and a state from which no match can be reached is [`DEAD`]: so a text can still match exactly if its state is
//! not dead. `docs/decisions/0026-one-automaton-for-content.md` has the reasons.

mod extent;
mod raw;
mod settled;

pub use extent::Extent;
use regex_syntax::hir::Hir;

/// A state: the beginning of its row in the table.
pub type State = u32;
/// No match can be reached.
pub const DEAD: State = 0;

/// Limits of the work and the memory of one automaton, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Size of the table.
    pub table_bytes_max: usize,
}

/// The patterns need a larger table than [`Cost`] allows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("needs a table of more than {table_bytes_max} bytes")]
pub struct TooCostly {
    /// The limit.
    pub table_bytes_max: usize,
}

/// Whether the match of a pattern may be accepted before its end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settling {
    /// Yes: nothing but the pattern decides whether the text matches.
    Allowed,
    /// No: the whole match is needed.
    Forbidden,
}

/// The automaton. It begins at a place in the text and reads on from there.
#[derive(Debug)]
pub struct Automaton {
    classes: [u8; 256],
    stride: u32,
    /// By state and class of the byte.
    next: Vec<State>,
    start: State,
    /// States from here on accept.
    first_accepting: State,
    /// Patterns that match, by row from `first_accepting` on.
    accepts: Vec<Vec<usize>>,
    /// Whether some byte leads on, by row.
    extends: Vec<bool>,
    /// Whether every continuation is accepted by the same patterns, by row.
    settled: Vec<bool>,
}

impl Automaton {
    /// Builds the automaton of patterns; pattern `n` settles as `settling[n]` says.
    ///
    /// # Errors
    /// [`TooCostly`].
    pub fn build(patterns: &[&Hir], settling: &[Settling], cost: Cost) -> Result<Self, TooCostly> {
        let raw = raw::Raw::build(patterns, cost)?;
        let settled = settled::settled(&raw, settling);
        let stride = u32::try_from(raw.representatives.len()).unwrap_or(u32::MAX);
        let row = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).saturating_mul(stride);
        let next = raw.next.iter().flatten().map(|to| row(*to)).collect();
        let first_accepting = row(raw.accepts.iter().position(|found| !found.is_empty()).unwrap_or(raw.accepts.len()));
        let extends = raw.next.iter().map(|row| row.iter().any(|to| *to != 0)).collect();
        let accepts = raw.accepts.into_iter().filter(|found| !found.is_empty()).collect();
        Ok(Self {
            classes: raw.classes,
            stride,
            next,
            start: row(raw.start),
            first_accepting,
            accepts,
            extends,
            settled,
        })
    }

    /// The state before the first byte.
    pub fn start(&self) -> State {
        self.start
    }

    /// The state after one more byte.
    #[inline]
    pub fn next(&self, state: State, byte: u8) -> State {
        let class = self.classes.get(usize::from(byte)).copied().unwrap_or_default();
        let at = state as usize + usize::from(class);
        self.next.get(at).copied().unwrap_or(DEAD)
    }

    /// Whether the text up to here matches a pattern.
    #[inline]
    pub fn is_accepting(&self, state: State) -> bool {
        state >= self.first_accepting
    }

    /// The patterns that the text up to here matches, ascending.
    pub fn accepted(&self, state: State) -> &[usize] {
        let row = state.checked_sub(self.first_accepting).map(|rest| rest / self.stride.max(1));
        row.and_then(|row| self.accepts.get(row as usize)).map_or(&[], Vec::as_slice)
    }

    /// Whether more text can match.
    pub fn extends(&self, state: State) -> bool {
        self.extends.get((state / self.stride.max(1)) as usize).copied().unwrap_or_default()
    }

    /// Whether the match is certain and only its end is open.
    pub fn is_settled(&self, state: State) -> bool {
        self.settled.get((state / self.stride.max(1)) as usize).copied().unwrap_or_default()
    }

    /// Bytes of the table.
    pub fn table_bytes(&self) -> usize {
        self.next.len() * size_of::<State>()
    }
}

#[cfg(test)]
mod tests;
