//! Finds a policy that would take an unread message for one without findings.
//!
//! Knows: which policies test `found` and `inspected`. Must not know: messages.

use std::collections::BTreeMap;

use crate::decision::policy::entry::Entry;

/// The tests of the content by the selected policies of each unit.
#[derive(Debug, Default)]
pub(super) struct ContentTests<'a> {
    by_unit: BTreeMap<u32, OfUnit<'a>>,
}

#[derive(Debug, Default)]
struct OfUnit<'a> {
    /// The first policy that tests findings.
    tests_findings: Option<&'a str>,
    tests_inspected: bool,
}

impl<'a> ContentTests<'a> {
    /// Adds a selected policy.
    pub fn add(&mut self, unit: u32, entry: &'a Entry) {
        if entry.tests_findings || entry.tests_inspected {
            let of_unit = self.by_unit.entry(unit).or_default();
            of_unit.tests_inspected |= entry.tests_inspected;
            if entry.tests_findings {
                of_unit.tests_findings.get_or_insert(&entry.id);
            }
        }
    }

    /// A policy that tests findings, of a unit that does not test whether everything was read.
    pub fn trusting(&self) -> Option<&'a str> {
        self.by_unit.values().filter(|unit| !unit.tests_inspected).find_map(|unit| unit.tests_findings)
    }
}
