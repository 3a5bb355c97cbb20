//! Detectors compiled for scanning: one automaton, one prefilter.

use regex_syntax::hir::Hir;

use super::automaton::{Automaton, Settling, TooCostly};
use super::detector::Detector;
use super::mask::Mask;
use super::prefilter::Prefilter;
use super::validator::Validator;

/// A set of detectors, ready to scan; immutable and shared by all streams.
#[derive(Debug)]
pub struct Matcher {
    pub(super) automaton: Automaton,
    pub(super) prefilter: Prefilter,
    patterns: Vec<CompiledPattern>,
    detectors: Vec<(String, Mask)>,
}

/// One pattern of a [`Matcher`].
#[derive(Debug)]
pub(super) struct CompiledPattern {
    /// Number of its detector.
    pub detector: usize,
    pub validator: Validator,
}

impl Matcher {
    /// Compiles detectors. Of values that begin at the same place and are equally long the earlier detector wins.
    ///
    /// # Errors
    /// [`TooCostly`].
    pub fn new(detectors: &[Detector]) -> Result<Self, TooCostly> {
        let all = || {
            let numbered = detectors.iter().enumerate();
            numbered
                .flat_map(|(number, detector)| detector.patterns.iter().map(move |pattern| (number, detector, pattern)))
        };
        let syntax: Vec<&Hir> = all().map(|(_, _, pattern)| &pattern.syntax).collect();
        let settling: Vec<Settling> = all().map(|(_, detector, pattern)| pattern.settling(&detector.mask)).collect();
        let compiled =
            all().map(|(detector, _, pattern)| CompiledPattern { detector, validator: pattern.validator.clone() });
        Ok(Self {
            automaton: Automaton::build(&syntax, &settling, Automaton::SET)?,
            prefilter: Prefilter::new(&syntax),
            patterns: compiled.collect(),
            detectors: detectors.iter().map(|detector| (detector.name.clone(), detector.mask.clone())).collect(),
        })
    }

    /// The name of a detector by its number.
    #[must_use]
    pub fn name(&self, detector: usize) -> Option<&str> {
        self.detectors.get(detector).map(|(name, _)| name.as_str())
    }

    pub(super) fn mask(&self, detector: usize) -> Option<&Mask> {
        self.detectors.get(detector).map(|(_, mask)| mask)
    }

    pub(super) fn pattern(&self, number: usize) -> Option<&CompiledPattern> {
        self.patterns.get(number)
    }

    /// Bytes of the automaton's table, which is most of the memory.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.automaton.table_bytes()
    }
}
