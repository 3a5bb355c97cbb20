//! Names of tools, models and prompts that policies compare, and the spellings that a provider folds into them.
//!
//! Knows: how providers fold names. Must not know: calls.
//!
//! A policy compares names exactly. A provider that ignores case runs `GPT-4` as `gpt-4`, and a forbid on one name does
//! not apply to the other.

use smol_str::SmolStr;

use crate::call::alike;
use crate::catalog::Catalog;
use crate::query::Uid;
use crate::query::quick::Map;

/// Types of entities with names that a message chooses.
const CHOSEN: [&str; 3] = ["Model", "Prompt", "Tool"];

/// Returns whether a message chooses the names of such entities.
pub(in crate::decision) fn is_chosen(uid: &Uid) -> bool {
    CHOSEN.contains(&uid.kind.as_str())
}

/// Known names, by their folded form.
#[derive(Debug, Default)]
pub(in crate::decision) struct Names(Map<Uid, Vec<SmolStr>>);

impl Names {
    /// The tools and models of a catalogue.
    pub(in crate::decision) fn of_catalog(catalog: &Catalog) -> Self {
        let mut names = Self::default();
        for service in catalog.services() {
            let id = |name: &str| SmolStr::from(format!("{}/{name}", service.id));
            service.tools.keys().for_each(|name| names.add(&Uid::new("Tool", id(name))));
            service.models.keys().for_each(|name| names.add(&Uid::new("Model", id(name))));
        }
        names
    }

    /// Adds a name, if a message can choose it.
    pub(in crate::decision) fn add(&mut self, uid: &Uid) {
        if is_chosen(uid) {
            self.0.entry(folded(uid)).or_default().push(uid.id.clone());
        }
    }

    /// The known names with the same folded form as `uid`; `uid` may be one of them.
    pub(in crate::decision) fn spellings(&self, uid: &Uid) -> &[SmolStr] {
        if self.0.is_empty() { &[] } else { self.0.get(&folded(uid)).map_or(&[], Vec::as_slice) }
    }
}

fn folded(uid: &Uid) -> Uid {
    Uid { kind: uid.kind.clone(), id: alike::folded_name(&uid.id).into() }
}
