//! Query keys that one policy reads in several spellings.
//!
//! Knows: how servers read keys. Must not know: how their values are used.

use std::collections::BTreeSet;

use crate::call::parameters::Reading;
use crate::query::{Keys, Reads};

/// Records, for each query key, other keys of the same policy that some server treats as equal.
pub(in crate::decision) fn note(reads: &mut Reads) {
    let Keys::Some(names) = &reads.query else { return };
    let read: Vec<(&String, Reading)> = names.iter().map(|name| (name, Reading::of(name))).collect();
    for (name, reading) in &read {
        let alike = read.iter().filter(|(other, of)| other != name && reading.likeness(of).is_some());
        let alike: BTreeSet<String> = alike.map(|(other, _)| (*other).clone()).collect();
        if !alike.is_empty() {
            reads.query_together.insert((*name).clone(), alike);
        }
    }
}
