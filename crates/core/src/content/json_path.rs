//! Paths of fields: RFC 9535 without filters.
//!
//! Knows: the syntax of JSONPath, the location of a value. Must not know: how a document is read.
//!
//! A path is compared with the location of each value as a reader meets it, so no document is built. A filter (`?`) or a
//! place that is counted from the end would need the rest of the document: both are errors.

mod parse;

pub use parse::PathError;

/// Longest path in bytes.
pub const BYTES_MAX: usize = 1024;

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The member of an object.
    Name(String),
    /// The element of an array, from 0 on.
    Index(usize),
}

/// A path that selects values of a document.
///
/// ```
/// use picket_core::content::json_path::{JsonPath, Step};
///
/// let path = JsonPath::parse("$..salary").unwrap();
/// let name = |name: &str| Step::Name(name.to_owned());
/// assert!(path.selects(&[name("staff"), Step::Index(3), name("salary")]));
/// assert!(!path.selects(&[name("salary"), name("currency")]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    reach: Reach,
    selectors: Vec<Selector>,
}

/// Where the selectors of a segment apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// To the value.
    Child,
    /// To the value and everything inside it.
    Descendant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Selector {
    Name(String),
    Wildcard,
    Index(usize),
    /// Every `step`th element from `start` on, before `end`.
    Slice {
        start: usize,
        end: Option<usize>,
        step: usize,
    },
}

impl JsonPath {
    /// Parses a path.
    ///
    /// # Errors
    /// [`PathError`] with the place.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        parse::path(text)
    }

    /// Whether the value at a location is selected.
    #[must_use]
    pub fn selects(&self, location: &[Step]) -> bool {
        // Segments that the steps so far have satisfied. A set, because `..` may be satisfied at several depths.
        let mut satisfied = vec![false; self.segments.len() + 1];
        if let Some(root) = satisfied.first_mut() {
            *root = true;
        }
        for step in location {
            let mut next = vec![false; satisfied.len()];
            for (number, segment) in
                self.segments.iter().enumerate().filter(|(number, _)| satisfied.get(*number) == Some(&true))
            {
                let is_met = segment.selectors.iter().any(|selector| selector.is_met(step));
                if let Some(place) = next.get_mut(number + 1) {
                    *place |= is_met;
                }
                if let Some(place) = next.get_mut(number) {
                    *place |= segment.reach == Reach::Descendant;
                }
            }
            satisfied = next;
        }
        satisfied.last() == Some(&true)
    }
}

impl Selector {
    fn is_met(&self, step: &Step) -> bool {
        match (self, step) {
            (Self::Wildcard, Step::Name(_) | Step::Index(_)) => true,
            (Self::Name(wanted), Step::Name(name)) => wanted == name,
            (Self::Index(wanted), Step::Index(index)) => wanted == index,
            (Self::Slice { start, end, step }, Step::Index(index)) => {
                index >= start && end.is_none_or(|end| *index < end) && (index - start) % step == 0
            }
            (Self::Name(_), Step::Index(_)) | (Self::Index(_) | Self::Slice { .. }, Step::Name(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests;
