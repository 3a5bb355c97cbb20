//! The detectors that run over a response, and its limits.
//!
//! Knows: compiled detectors. Must not know: policies, documents.

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::body::json;
use crate::content::automaton::TooCostly;
use crate::content::detectors::{Detectors, FieldDetector};
use crate::content::matcher::Matcher;

/// What is looked for in one response.
///
/// There is one pass for each distinct `@mask` list. Within it, values that overlap are all masked or none of them is, so that a
/// value that passes never hides one that is masked. A detector that is tested has a pass of its own, unless a list has
/// it alone: a value of another detector must not hide its value from a policy.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Searches of text.
    pub passes: Vec<Arc<Matcher>>,
    /// Detectors of fields.
    pub fields: Vec<FieldDetector>,
    /// Limits.
    pub limits: Limits,
}

/// How much is held of one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Text of one channel that is held because it may still become a value, in bytes.
    pub channel_bytes_max: usize,
    /// Complete events that are held, in bytes of the wire.
    pub stream_bytes_max: usize,
    /// One event, in bytes of the wire.
    pub event_bytes_max: usize,
    /// A complete document, in bytes of the wire.
    pub document_bytes_max: usize,
    /// Text channels of one response.
    pub channels_max: usize,
    /// Deepest nesting of a document.
    pub depth_max: usize,
    /// Most values of a document.
    pub values_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            channel_bytes_max: crate::content::scanner::HOLD_BYTES_MAX,
            stream_bytes_max: 1 << 20,
            event_bytes_max: 1 << 20,
            document_bytes_max: 16 << 20,
            channels_max: 4096,
            depth_max: 64,
            values_max: 1 << 20,
        }
    }
}

impl Limits {
    /// The limits of a document with at most `bytes_max` bytes.
    #[must_use]
    pub fn of_json(&self, bytes_max: usize) -> json::Limits {
        json::Limits { bytes_max, depth_max: self.depth_max, values_max: self.values_max }
    }
}

impl Plan {
    /// Compiles the passes for `@mask` lists, which are sets of names, and for detectors that are tested. Names of fields are
    /// looked for once.
    ///
    /// # Errors
    /// [`TooCostly`]. The set of all detectors is compiled when their file is read, so a part of it fits.
    pub fn new<'a>(
        detectors: &Detectors,
        masks: impl IntoIterator<Item = &'a BTreeSet<SmolStr>>,
        tested: &BTreeSet<SmolStr>,
    ) -> Result<Self, TooCostly> {
        let lists: BTreeSet<&BTreeSet<SmolStr>> = masks.into_iter().collect();
        let masked = |name: &str| lists.iter().any(|list| list.contains(name));
        let alone: Vec<BTreeSet<SmolStr>> = tested.iter().map(|name| [name.clone()].into()).collect();
        let is_text =
            |list: &BTreeSet<SmolStr>| detectors.text().iter().any(|found| list.contains(found.name.as_str()));
        let new = alone.iter().filter(|list| !lists.contains(list));
        let sets = lists.iter().copied().chain(new).filter(|list| is_text(list));
        let passes =
            sets.map(|list| detectors.matcher(|name| list.contains(name)).map(Arc::new)).collect::<Result<_, _>>()?;
        let fields =
            detectors.fields().iter().filter(|found| masked(&found.name) || tested.contains(found.name.as_str()));
        Ok(Self { passes, fields: fields.cloned().collect(), limits: Limits::default() })
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.passes.is_empty() && self.fields.is_empty()
    }
}
