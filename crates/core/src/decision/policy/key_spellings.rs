//! Query keys that one policy reads in several spellings.
//!
//! Knows: how servers read keys. Must not know: what is done with them.

use std::collections::BTreeSet;

use crate::call::parameters::Reading;
use crate::query::{Keys, Reads};

/// Says of each query key which others, that some server takes for it, the same policy reads too.
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
