//! The detectors of one policy tree, each compiled alone for tests of presence.
//!
//! Knows: the detectors of a file. Must not know: policies, JSON documents.
//!
//! Within one automaton overlapping values exclude each other: the leftmost wins, then the longest. A caller could hide a
//! key behind an address that begins at the same place. So the question *does this detector find anything?* is answered
//! for each detector alone.

use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use super::automaton::TooCostly;
use super::detector::Detector;
use super::detectors::{Detectors, FieldDetector};
use super::mask::{Mask, StandIns};
use super::matcher::Matcher;
use super::scanner::{Finding, Output, Report, Scanner, Stop};
use super::{file, json_path::Step};
use crate::problem::Problem;

/// Text that is scanned before the result is read: a value near the beginning of a long text ends the scan.
const PIECE_BYTES: usize = 64 * 1024;

/// The detectors of one policy tree. Immutable; shared by all calls of all snapshots with the same `detectors.yaml`.
#[derive(Debug)]
pub struct DetectorSet {
    /// The text of the file; `None` without a file.
    text: Option<Arc<str>>,
    detectors: Detectors,
    /// One place for each detector of text, in the order of [`Detectors::text`].
    alone: Vec<OnceLock<Arc<Matcher>>>,
}

/// One detector, ready to answer whether it finds anything.
#[derive(Debug, Clone)]
pub enum Presence<'a> {
    /// It searches texts.
    Text(&'a str, Arc<Matcher>),
    /// It selects values by their place.
    Field(&'a FieldDetector),
}

impl DetectorSet {
    /// The built-in detectors, as without a file.
    #[must_use]
    pub fn built_in() -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<DetectorSet>> = LazyLock::new(|| match Detectors::built_in() {
            Ok(detectors) => Arc::new(DetectorSet::new(None, detectors)),
            Err(_) => unreachable!("a test parses the built-in patterns"),
        });
        Arc::clone(&BUILT_IN)
    }

    /// The detectors of a file's text; those of `known` where the text is the same, so that nothing is compiled again.
    ///
    /// # Errors
    /// As [`file::parse`].
    pub fn of(text: Option<&Arc<str>>, known: Option<&Arc<Self>>) -> Result<Arc<Self>, Vec<Problem>> {
        if let Some(known) = known.filter(|known| known.text.as_ref() == text) {
            return Ok(Arc::clone(known));
        }
        match text {
            None => Ok(Self::built_in()),
            Some(written) => Self::read(written),
        }
    }

    /// The detectors of a text. The set that was read last is kept: a program that loads one tree many times, as suites do,
    /// compiles it once.
    fn read(written: &Arc<str>) -> Result<Arc<Self>, Vec<Problem>> {
        static LAST: Mutex<Option<Arc<DetectorSet>>> = Mutex::new(None);
        let last = || LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last().as_ref().filter(|known| known.text.as_ref() == Some(written)).map(Arc::clone);
        if let Some(known) = known {
            return Ok(known);
        }
        let read = Arc::new(Self::new(Some(Arc::clone(written)), file::parse(file::FILE, written)?));
        *last() = Some(Arc::clone(&read));
        Ok(read)
    }

    fn new(text: Option<Arc<str>>, detectors: Detectors) -> Self {
        let alone = detectors.text().iter().map(|_| OnceLock::new()).collect();
        Self { text, detectors, alone }
    }

    /// The detectors themselves.
    #[must_use]
    pub fn detectors(&self) -> &Detectors {
        &self.detectors
    }

    /// How many detectors were compiled so far.
    #[must_use]
    pub fn compiled_count(&self) -> usize {
        self.alone.iter().filter(|place| place.get().is_some()).count()
    }

    /// The detectors that `wanted` selects by name. Each is compiled at its first use, which takes milliseconds: a loader
    /// calls this once, so that no call waits for it.
    ///
    /// # Errors
    /// [`TooCostly`]. The set of all detectors is compiled when the file is read, so each of them fits.
    pub fn presences(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Presence<'_>>, TooCostly> {
        let text = self.detectors.text().iter().zip(&self.alone).filter(|(detector, _)| wanted(&detector.name));
        let fields = self.detectors.fields().iter().filter(|detector| wanted(&detector.name));
        text.map(|(detector, place)| Ok(Presence::Text(&detector.name, compiled(detector, place)?)))
            .chain(fields.map(|detector| Ok(Presence::Field(detector))))
            .collect()
    }
}

fn compiled(detector: &Detector, place: &OnceLock<Arc<Matcher>>) -> Result<Arc<Matcher>, TooCostly> {
    if let Some(known) = place.get() {
        return Ok(Arc::clone(known));
    }
    // Nothing is replaced, and a stand-in could run out.
    let unmasked = Detector { mask: Mask::Fixed(String::new()), ..detector.clone() };
    let matcher = Arc::new(Matcher::new(&[unmasked])?);
    Ok(Arc::clone(place.get_or_init(|| matcher)))
}

impl Presence<'_> {
    /// Its name in policies.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Text(name, _) => name,
            Self::Field(detector) => &detector.name,
        }
    }

    /// Whether it finds a value in a text, which is scanned as a whole.
    #[must_use]
    pub fn finds_in(&self, text: &str) -> bool {
        let matcher = match self {
            Self::Text(_, matcher) => matcher,
            Self::Field(_) => return false,
        };
        // The text is at hand, so nothing is held for a stream, and no value is too long.
        let mut scanner = Scanner::new(Arc::clone(matcher), text.len() + 1);
        let (mut stand_ins, mut output) = (StandIns::new([0; 8]), Output::default());
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES.min(rest.len())));
            // A scan that stops has met a value that it cannot finish: it counts as found.
            if scanner.push(piece, &mut stand_ins, &mut output).is_err() || !output.findings.is_empty() {
                return true;
            }
            output.text.clear();
            rest = behind;
        }
        scanner.finish(&mut stand_ins, &mut output).is_err() || !output.findings.is_empty()
    }

    /// The places of its values in a text, which is scanned as a whole, in bytes and ascending.
    ///
    /// # Errors
    /// [`Stop`]: none is expected, because the text is complete.
    pub fn values_in(&self, text: &str) -> Result<Vec<Range<usize>>, Stop> {
        let matcher = match self {
            Self::Text(_, matcher) => matcher,
            Self::Field(_) => return Ok(Vec::new()),
        };
        let mut places = Places(Vec::new());
        Scanner::new(Arc::clone(matcher), text.len() + 1).read_last(text, &mut places)?;
        Ok(places.0.into_iter().map(|place| place.start..place.end.min(text.len())).collect())
    }

    /// Whether it selects the value at this place.
    #[must_use]
    pub fn finds_at(&self, location: &[Step]) -> bool {
        match self {
            Self::Text(..) => false,
            Self::Field(detector) => detector.finds(location),
        }
    }
}

/// Collects the places of values; one without an end reaches to the end of the text.
struct Places(Vec<Range<usize>>);

fn offset(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

impl Report for Places {
    fn text(&mut self, _: &str) {}

    fn value(&mut self, finding: Finding, _: &Mask, value: &str) -> Result<(), Stop> {
        let from = offset(finding.at);
        self.0.push(from..from + value.len());
        Ok(())
    }

    fn begins(&mut self, finding: Finding, _: &Mask, _: &str) {
        self.0.push(offset(finding.at)..usize::MAX);
    }

    fn continues(&mut self, _: &str) {}

    fn ends(&mut self, at: u64) {
        if let Some(open) = self.0.last_mut().filter(|place| place.end == usize::MAX) {
            open.end = offset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let set = DetectorSet::built_in();
        let presences = set.presences(|_| true).unwrap();
        presences.iter().filter(|one| one.finds_in(text)).map(|one| one.name().to_owned()).collect()
    }

    #[test]
    fn a_value_never_hides_one_of_another_detector() {
        let key = ["AKIA", "IOSFODNN7EXAMPLE"].concat();
        assert_eq!(found(&key), ["aws_key"]);
        // The address begins at the same place and is longer.
        assert_eq!(found(&format!("{key}@corp.example")), ["email", "aws_key"]);
        assert_eq!(found("nothing to see"), Vec::<String>::new());
    }

    #[test]
    fn a_value_is_found_at_every_place_of_a_long_text() {
        let key = ["AKIA", "IOSFODNN7EXAMPLE"].concat();
        let set = DetectorSet::built_in();
        let presences = set.presences(|name| name == "aws_key").unwrap();
        for before in [0, PIECE_BYTES - 10, PIECE_BYTES, 3 * PIECE_BYTES - 1] {
            let text = format!("{}é {key} {}", "a ".repeat(before / 2), "b ".repeat(100));
            assert!(presences[0].finds_in(&text), "{before}");
        }
    }

    #[test]
    fn the_places_of_values_are_complete_also_without_an_end() {
        let key = ["AKIA", "IOSFODNN7EXAMPLE"].concat();
        let set = DetectorSet::built_in();
        let places = |name: &str, text: &str| set.presences(|one| one == name).unwrap()[0].values_in(text).unwrap();
        assert_eq!(places("aws_key", &format!("é {key}, {key}")), [3..23, 25..45]);
        let open = "a -----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ";
        assert_eq!(places("private_key", open), vec![2..open.len()]);
        assert_eq!(places("card", "nothing"), Vec::<Range<usize>>::new());
    }

    #[test]
    fn a_set_is_compiled_again_only_for_another_text() {
        let text = |text: &str| Some(Arc::<str>::from(text));
        let first = DetectorSet::of(text("detectors: {a: {words: [bluebird]}}").as_ref(), None).unwrap();
        let same = DetectorSet::of(text("detectors: {a: {words: [bluebird]}}").as_ref(), Some(&first)).unwrap();
        assert!(Arc::ptr_eq(&first, &same));
        let other = DetectorSet::of(text("detectors: {a: {words: [heron]}}").as_ref(), Some(&first)).unwrap();
        assert!(other.presences(|name| name == "a").unwrap()[0].finds_in("a heron"));
        assert!(Arc::ptr_eq(&DetectorSet::of(None, Some(&first)).unwrap(), &DetectorSet::built_in()));
    }
}
