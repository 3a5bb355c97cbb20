//! Finds the states in which a match is certain and only its end is open.

use std::collections::BTreeSet;

use super::Settling;
use super::raw::Raw;

/// Whether a state is settled, by number: it accepts, and after every further character the text is either accepted by the
/// same patterns in a settled state again, or can match no more.
///
/// Characters count and not bytes, because a state in the middle of a character accepts nothing.
pub(super) fn settled(raw: &Raw, settling: &[Settling]) -> Vec<bool> {
    let may_settle = |found: &[usize]| {
        !found.is_empty() && found.iter().all(|pattern| settling.get(*pattern) == Some(&Settling::Allowed))
    };
    let mut settled: Vec<bool> = raw.accepts.iter().map(|found| may_settle(found)).collect();
    let after: Vec<BTreeSet<usize>> = settled
        .iter()
        .enumerate()
        .map(|(state, may)| if *may { characters(raw, state) } else { BTreeSet::new() })
        .collect();
    loop {
        let lost: Vec<usize> = after
            .iter()
            .enumerate()
            .filter(|(state, after)| {
                let accepts = |to: &usize| raw.accepts.get(*to) == raw.accepts.get(*state);
                settled.get(*state) == Some(&true)
                    && !after.iter().all(|to| accepts(to) && settled.get(*to) == Some(&true))
            })
            .map(|(state, _)| state)
            .collect();
        if lost.is_empty() {
            return settled;
        }
        for state in lost {
            if let Some(place) = settled.get_mut(state) {
                *place = false;
            }
        }
    }
}

/// The live states after one whole character.
fn characters(raw: &Raw, state: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for (leads, continuations) in [(0x00..=0x7f, 0), (0xc2..=0xdf, 1), (0xe0..=0xef, 2), (0xf0..=0xf4_u8, 3)] {
        let mut states = step(raw, &BTreeSet::from([state]), leads);
        for _ in 0..continuations {
            states = step(raw, &states, 0x80..=0xbf);
        }
        found.append(&mut states);
    }
    found
}

/// The live states after one byte of a range.
fn step(raw: &Raw, states: &BTreeSet<usize>, bytes: std::ops::RangeInclusive<u8>) -> BTreeSet<usize> {
    let classes: BTreeSet<u8> = bytes.filter_map(|byte| raw.classes.get(usize::from(byte)).copied()).collect();
    let to = |state: &usize| {
        let row = raw.next.get(*state);
        let to = classes.iter().filter_map(move |class| row?.get(usize::from(*class)).copied());
        to.collect::<Vec<_>>()
    };
    states.iter().flat_map(to).filter(|to| *to != 0).collect()
}
