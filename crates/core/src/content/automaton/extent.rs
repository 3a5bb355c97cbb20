//! Computes how far a match of one pattern can reach.

use regex_syntax::hir::Hir;

use super::raw::Raw;
use super::{Automaton, Cost, Settling, TooCostly, settled};

/// How far a match of a pattern reaches, and so how much text a stream has to hold for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// A match has at most this many bytes.
    Bounded {
        /// The longest match.
        bytes_max: usize,
    },
    /// A match is certain after this many bytes and ends later: text is held up to there, and suppressed from there on.
    OpenEnded {
        /// The longest text that does not yet decide.
        prefix_bytes_max: usize,
    },
    /// A part without limit comes before the text that decides: a run is held as long as it lasts, up to the limit of the hold.
    Run,
}

impl Extent {
    /// Computes the extent of one pattern.
    ///
    /// # Errors
    /// [`TooCostly`].
    pub fn of(pattern: &Hir, settling: Settling, cost: Cost) -> Result<Self, TooCostly> {
        let raw = Raw::build(&[pattern], cost)?;
        let settled = settled::settled(&raw, &[settling]);
        if let Some(bytes_max) = longest_path(&raw, |_| true) {
            return Ok(Self::Bounded { bytes_max });
        }
        let is_open = |state: usize| settled.get(state) != Some(&true);
        let prefix = longest_path(&raw, is_open);
        Ok(prefix.map_or(Self::Run, |bytes| Self::OpenEnded { prefix_bytes_max: bytes + 1 }))
    }
}

impl std::fmt::Display for Extent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bounded { bytes_max } => write!(f, "bounded, at most {bytes_max} bytes"),
            Self::OpenEnded { prefix_bytes_max } => write!(f, "open-ended after at most {prefix_bytes_max} bytes"),
            Self::Run => f.write_str("run"),
        }
    }
}

/// The longest path from the start through states that `counts`, in bytes; `None` if there is a circle among them.
fn longest_path(raw: &Raw, counts: impl Fn(usize) -> bool) -> Option<usize> {
    let live = |state: usize| -> Vec<usize> {
        let row = raw.next.get(state).into_iter().flatten().copied();
        let mut to: Vec<usize> = row.filter(|to| *to != 0 && counts(*to)).collect();
        to.sort_unstable();
        to.dedup();
        to
    };
    let mut entries = vec![0_usize; raw.next.len()];
    let (mut queue, mut is_seen) = (vec![raw.start], vec![false; raw.next.len()]);
    let mut reached = 0;
    while let Some(state) = queue.pop() {
        if std::mem::replace(is_seen.get_mut(state)?, true) {
            continue;
        }
        reached += 1;
        for to in live(state) {
            *entries.get_mut(to)? += 1;
            queue.push(to);
        }
    }
    // Kahn's order: a state is done when all its entries are; a circle is never done.
    let mut longest = vec![0_usize; raw.next.len()];
    let mut ready = if entries.get(raw.start) == Some(&0) { vec![raw.start] } else { Vec::new() };
    let (mut done, mut deepest) = (0, 0);
    while let Some(state) = ready.pop() {
        done += 1;
        let depth = longest.get(state).copied()?;
        deepest = deepest.max(depth);
        for to in live(state) {
            let place = longest.get_mut(to)?;
            *place = (*place).max(depth + 1);
            let left = entries.get_mut(to)?;
            *left -= 1;
            if *left == 0 {
                ready.push(to);
            }
        }
    }
    (done == reached).then_some(deepest)
}

impl Automaton {
    /// The limit for one pattern alone, which is checked before the set so that the message names the pattern.
    pub const PATTERN: Cost = Cost { table_bytes_max: 4 * 1024 * 1024 };
    /// The limit for a set.
    pub const SET: Cost = Cost { table_bytes_max: 16 * 1024 * 1024 };
}
