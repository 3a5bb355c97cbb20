//! Selects the candidate policies of a query, and names a selection in keys.
//!
//! Knows: units, their indexes. Must not know: conditions, decisions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::decision::bundle::Bundle;
use crate::decision::policy::mode::Mode;
use crate::query::Query;

/// Most candidates that a key lists. Larger sets are in the key by the number of their prepared set, which is as exact
/// and shorter. A list stays valid when a set is evicted and prepared again, which happens if very many small ones are
/// in use.
const LISTED_MAX: usize = 64;

/// The candidates of every side, and a key for exactly these policies of exactly these versions.
pub(super) fn select(units: &[Arc<Bundle>], mode: Mode, query: &Query) -> (Vec<u32>, Vec<(u32, Vec<u32>)>) {
    let mut key = Vec::with_capacity(32);
    let mut lists = Vec::with_capacity(4);
    for (number, unit) in (0_u32..).zip(units) {
        let [high, low] = halves(unit.generation);
        key.extend([high, low]);
        let is_spoken_of = unit.applies_to(&query.resource);
        for (effect, index) in (0_u32..).zip(unit.indexes(mode)) {
            let list = if is_spoken_of { index.candidates(query) } else { Vec::new() };
            key.push(u32::try_from(list.len()).unwrap_or(u32::MAX));
            key.extend_from_slice(&list);
            lists.push((side(number, effect, mode), list));
        }
    }
    key.push(match mode {
        Mode::Enforce => 0,
        Mode::Shadow => 1,
    });
    (key, lists)
}

/// Bytes that are unique to the selection: the versions and the policies of each side, or a number that is never given
/// twice.
pub(super) fn identity(units: &[Arc<Bundle>], lists: &[(u32, Vec<u32>)]) -> Box<[u8]> {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    let candidates: usize = lists.iter().map(|(_, list)| list.len()).sum();
    if candidates > LISTED_MAX {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        return [1].into_iter().chain(number).collect();
    }
    let mut identity = vec![0];
    units.iter().for_each(|unit| identity.extend_from_slice(&unit.generation.to_be_bytes()));
    for (side, list) in lists {
        identity.extend_from_slice(&side.to_be_bytes());
        identity.extend_from_slice(&(list.len() as u64).to_be_bytes());
        list.iter().for_each(|number| identity.extend_from_slice(&number.to_be_bytes()));
    }
    identity.into()
}

/// The number of a side: one unit, one effect, one mode.
pub(super) fn side(unit: u32, effect: u32, mode: Mode) -> u32 {
    let mode = match mode {
        Mode::Enforce => 0,
        Mode::Shadow => 1,
    };
    unit * 4 + effect * 2 + mode
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are kept")]
fn halves(number: u64) -> [u32; 2] {
    [(number >> 32) as u32, number as u32]
}

/// The number of the unit of a side.
pub(super) fn unit_of(side: u32) -> u32 {
    side / 4
}
