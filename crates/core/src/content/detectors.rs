//! All detectors of a policy tree, built in and written.

use super::automaton::{Automaton, Extent, TooCostly};
use super::builtin;
use super::detector::Detector;
use super::json_path::{JsonPath, Step};
use super::matcher::Matcher;
use super::pattern::PatternError;
use crate::problem::{Problem, nearest};

/// Detectors of text and of fields, in the order that decides between equal values: those of the file, then the built-in.
///
/// ```
/// use picket_core::content::file;
///
/// let text = r#"detectors: {incident: {pattern: 'INC-\d{4}', mask: {fixed: "[incident]"}}}"#;
/// let detectors = file::parse("detectors.yaml", text).unwrap();
/// assert!(detectors.has("incident") && detectors.has("card") && !detectors.has("generic_secret"));
/// assert!(file::parse("detectors.yaml", "detectors: {incident: {patern: x}}").is_err());
/// ```
#[derive(Debug, Clone)]
pub struct Detectors {
    pub(super) text: Vec<Detector>,
    pub(super) fields: Vec<FieldDetector>,
    pub(super) notes: Vec<Problem>,
}

/// A detector that finds members and elements of a JSON document by their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDetector {
    /// Its name in policies.
    pub name: String,
    /// Any of these selects a value.
    pub paths: Vec<JsonPath>,
    /// How a selected value is replaced.
    pub mask: FieldMask,
}

/// How a field is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldMask {
    /// The member or element is removed.
    Drop,
    /// The value is `null`.
    Null,
    /// The value, if it is a string, is this text.
    Fixed(String),
}

impl FieldDetector {
    /// Whether the value at a location is one that this detector finds.
    #[must_use]
    pub fn finds(&self, location: &[Step]) -> bool {
        self.paths.iter().any(|path| path.selects(location))
    }
}

impl Detectors {
    /// The built-in detectors alone, as without a file.
    ///
    /// # Errors
    /// None for the built-in patterns, which a test parses.
    pub fn built_in() -> Result<Self, PatternError> {
        let always = builtin::ALL.iter().filter(|found| found.activation == builtin::Activation::Always);
        Ok(Self {
            text: always.map(builtin::Builtin::detector).collect::<Result<_, _>>()?,
            fields: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// The names of all detectors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let text = self.text.iter().map(|detector| detector.name.as_str());
        text.chain(self.fields.iter().map(|detector| detector.name.as_str()))
    }

    /// Whether a detector has this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// The detectors of fields.
    #[must_use]
    pub fn fields(&self) -> &[FieldDetector] {
        &self.fields
    }

    /// The detectors of text.
    #[must_use]
    pub fn text(&self) -> &[Detector] {
        &self.text
    }

    /// How far a value of each detector of the file reaches: what a stream holds for it.
    #[must_use]
    pub fn notes(&self) -> &[Problem] {
        &self.notes
    }

    /// The name nearest to one that no detector has, with what would make it known, as a help.
    #[must_use]
    pub fn help_for(&self, unknown: &str) -> String {
        if builtin::find(unknown).is_some() {
            return format!("it is built in, but off until `detectors.yaml` has `{unknown}: {{builtin: {unknown}}}`");
        }
        match nearest(unknown, self.names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "add it to detectors.yaml".to_owned(),
        }
    }

    /// Compiles the detectors of text that `wanted` selects by name.
    ///
    /// # Errors
    /// [`TooCostly`]. The set of all detectors is compiled when the file is read, so a part of it fits.
    pub fn matcher(&self, wanted: impl Fn(&str) -> bool) -> Result<Matcher, TooCostly> {
        let chosen: Vec<Detector> = self.text.iter().filter(|detector| wanted(&detector.name)).cloned().collect();
        Matcher::new(&chosen)
    }

    /// How far a match of each pattern reaches, with the name of its detector and the pattern, for reports.
    ///
    /// # Errors
    /// [`TooCostly`], as for [`Self::matcher`].
    pub fn extents(&self) -> Result<Vec<(&str, &str, Extent)>, TooCostly> {
        let all =
            self.text.iter().flat_map(|detector| detector.patterns.iter().map(move |pattern| (detector, pattern)));
        all.map(|(detector, pattern)| {
            Ok((detector.name.as_str(), pattern.source.as_str(), pattern.extent(&detector.mask)?))
        })
        .collect()
    }

    /// The largest table of a set, in bytes.
    pub const TABLE_BYTES_MAX: usize = Automaton::SET.table_bytes_max;
}
