//! Determinizes patterns, and removes what is late or useless in the result.

use std::collections::HashMap;

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;

use super::{Cost, TooCostly};

/// States by number: 0 is dead, those that accept come last.
pub(super) struct Raw {
    /// The class of each byte.
    pub classes: [u8; 256],
    /// One byte of each class.
    pub representatives: Vec<u8>,
    /// By state and class.
    pub next: Vec<Vec<usize>>,
    /// Patterns that a state accepts, ascending.
    pub accepts: Vec<Vec<usize>>,
    pub start: usize,
}

impl Raw {
    pub fn build(patterns: &[&Hir], cost: Cost) -> Result<Self, TooCostly> {
        let table_bytes_max = cost.table_bytes_max;
        let dfa = determinized(patterns, table_bytes_max).ok_or(TooCostly { table_bytes_max })?;
        let explored = Self::explored(&dfa);
        let raw = explored.without_useless();
        let bytes = raw.next.len() * raw.representatives.len() * size_of::<super::State>();
        if bytes > table_bytes_max { Err(TooCostly { table_bytes_max }) } else { Ok(raw) }
    }

    /// The states that the start reaches.
    fn explored(dfa: &dense::DFA<Vec<u32>>) -> Self {
        let (classes, representatives) = classes(dfa);
        // No pattern holds an assertion, so the text before the start cannot matter.
        let start = dfa.universal_start_state(Anchored::Yes).unwrap_or_default();
        let mut numbers: HashMap<StateID, usize> = HashMap::new();
        let mut queue = vec![start];
        numbers.insert(start, 1);
        let (mut next, mut accepts) = (vec![vec![0; representatives.len()]], vec![Vec::new()]);
        let mut done = 0;
        while let Some(state) = queue.get(done).copied() {
            done += 1;
            let mut row = Vec::with_capacity(representatives.len());
            for byte in &representatives {
                let to = dfa.next_state(state, *byte);
                row.push(if dfa.is_dead_state(to) {
                    0
                } else {
                    *numbers.entry(to).or_insert_with(|| {
                        queue.push(to);
                        queue.len()
                    })
                });
            }
            next.push(row);
            accepts.push(accepted(dfa, state));
        }
        Self { classes, representatives, next, accepts, start: 1 }
    }

    /// Leads every transition into a state without a match ahead to the dead state, and numbers the rest again.
    fn without_useless(self) -> Self {
        let useful = self.useful();
        let mut order: Vec<usize> = (1..self.next.len()).filter(|state| useful.get(*state) == Some(&true)).collect();
        // A stable order: those that accept come last.
        order.sort_by_key(|state| self.accepts.get(*state).is_some_and(|found| !found.is_empty()));
        let mut numbers = vec![0; self.next.len()];
        for (number, state) in order.iter().enumerate() {
            if let Some(place) = numbers.get_mut(*state) {
                *place = number + 1;
            }
        }
        let number = |state: &usize| numbers.get(*state).copied().unwrap_or_default();
        let row = |state: &usize| self.next.get(*state).map(|row| row.iter().map(number).collect::<Vec<_>>());
        let dead = vec![0; self.representatives.len()];
        let next = std::iter::once(dead).chain(order.iter().filter_map(row)).collect();
        let accepts = order.iter().filter_map(|state| self.accepts.get(*state).cloned());
        let accepts = std::iter::once(Vec::new()).chain(accepts).collect();
        let start = number(&self.start);
        Self { classes: self.classes, representatives: self.representatives, next, accepts, start }
    }

    /// Whether a state accepts or leads to one that does.
    fn useful(&self) -> Vec<bool> {
        let mut before = vec![Vec::new(); self.next.len()];
        for (from, row) in self.next.iter().enumerate() {
            for to in row.iter().filter(|to| **to != 0) {
                if let Some(sources) = before.get_mut(*to) {
                    sources.push(from);
                }
            }
        }
        let mut useful = vec![false; self.next.len()];
        let mut queue: Vec<usize> =
            self.accepts.iter().enumerate().filter(|(_, found)| !found.is_empty()).map(|(state, _)| state).collect();
        while let Some(state) = queue.pop() {
            let Some(place @ false) = useful.get_mut(state) else { continue };
            *place = true;
            queue.extend(before.get(state).into_iter().flatten());
        }
        useful
    }
}

fn determinized(patterns: &[&Hir], bytes_max: usize) -> Option<dense::DFA<Vec<u32>>> {
    let nfa = thompson::Config::new().which_captures(WhichCaptures::None).nfa_size_limit(Some(bytes_max));
    let nfa = thompson::Compiler::new().configure(nfa).build_many_from_hir(patterns);
    // The table of the library has a column for the end of text, and the sets behind its states: both are larger than ours.
    let dfa = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Anchored)
        .dfa_size_limit(Some(bytes_max.saturating_mul(2)))
        .determinize_size_limit(Some(bytes_max.saturating_mul(4)));
    dense::Builder::new().configure(dfa).build_from_nfa(&nfa.ok()?).ok()
}

fn classes(dfa: &dense::DFA<Vec<u32>>) -> ([u8; 256], Vec<u8>) {
    let (mut classes, mut representatives) = ([0; 256], Vec::new());
    for (byte, class) in (0..=u8::MAX).zip(classes.iter_mut()) {
        *class = dfa.byte_classes().get(byte);
        if usize::from(*class) == representatives.len() {
            representatives.push(byte);
        }
    }
    (classes, representatives)
}

/// The patterns that match if the text ends in this state.
fn accepted(dfa: &dense::DFA<Vec<u32>>, state: StateID) -> Vec<usize> {
    let end = dfa.next_eoi_state(state);
    if !dfa.is_match_state(end) {
        return Vec::new();
    }
    let mut found: Vec<usize> = (0..dfa.match_len(end)).map(|at| dfa.match_pattern(end, at).as_usize()).collect();
    found.sort_unstable();
    found
}
