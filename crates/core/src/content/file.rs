//! The syntax of `detectors.yaml`: its keys, with the position of each value.
//!
//! Knows: YAML, the keys. Must not know: which values make sense together (`check.rs`).

use std::fmt;
use std::ops::Range;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_saphyr::Spanned;

use super::check;
use super::detectors::Detectors;
use crate::problem::{Problem, yaml};

/// Name of the file in a policy tree.
pub const FILE: &str = "detectors.yaml";
/// Longest file in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;
/// Deepest nesting of lists and mappings.
const DEPTH_MAX: usize = 16;
/// Most parser events and nodes.
const EVENTS_MAX: usize = 200_000;

/// Reads the file's text. An empty file has the built-in detectors alone.
///
/// # Errors
/// Every problem found. Text that is not YAML, an unknown key or a value of the wrong kind ends the reading at the first
/// such place; everything else is reported at once.
pub fn parse(file: &str, text: &str) -> Result<Detectors, Vec<Problem>> {
    if text.len() > BYTES_MAX {
        let problem = Problem::error(file, format!("the detectors have {} bytes", text.len()));
        return Err(vec![problem.help(format!("at most {BYTES_MAX} bytes are read"))]);
    }
    let written: Option<DetectorsFile> = serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| vec![yaml::problem(file, "the detectors do not parse", &error)])?;
    check::detectors(file, written.unwrap_or_default())
}

fn options() -> serde_saphyr::Options {
    let budget = serde_saphyr::budget! {
        max_events: EVENTS_MAX,
        max_nodes: EVENTS_MAX,
        max_depth: DEPTH_MAX,
        max_documents: 1,
    };
    serde_saphyr::options! {
        budget: budget,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// Byte range of a value in the file.
pub(super) fn span_of<T>(value: &Spanned<T>) -> Option<Range<usize>> {
    yaml::range(&value.referenced)
}

/// A text and where it is.
pub(super) type Text = Spanned<String>;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DetectorsFile {
    pub detectors: Entries,
}

/// Detectors in the order of the file, which decides between equal values.
#[derive(Debug, Default)]
pub(super) struct Entries(pub Vec<(Text, Entry)>);

/// One of `detectors:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub pattern: Option<Text>,
    pub email: Option<Email>,
    pub words: Option<Spanned<Vec<Text>>>,
    pub fields: Option<Spanned<Vec<Text>>>,
    pub builtin: Option<Text>,
    #[serde(default, deserialize_with = "present")]
    pub mask: Option<Spanned<MaskForm>>,
}

/// A detector's `email:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Email {
    pub domains: Spanned<Vec<Text>>,
}

/// A detector's `mask:` as written.
#[derive(Debug)]
pub(super) enum MaskForm {
    /// `null`
    Null,
    /// One word, such as `drop`.
    Word(String),
    /// A mapping.
    Mapping(MaskMapping),
}

/// A `mask:` with keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaskMapping {
    pub fixed: Option<String>,
    pub keep_last: Option<usize>,
    pub pseudonym: Option<String>,
    pub restore: Option<bool>,
}

/// A value that is present, `null` included.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("detectors by name")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Entries, E> {
                Ok(Entries::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_any(InOrder)
    }
}

impl<'de> Deserialize<'de> for MaskForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyForm;

        impl<'de> Visitor<'de> for AnyForm {
            type Value = MaskForm;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`drop`, `null` or a mapping such as `{fixed: \"[name]\"}`")
            }

            fn visit_unit<E: de::Error>(self) -> Result<MaskForm, E> {
                Ok(MaskForm::Null)
            }

            fn visit_none<E: de::Error>(self) -> Result<MaskForm, E> {
                Ok(MaskForm::Null)
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<MaskForm, E> {
                Ok(MaskForm::Word(word.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MaskForm, A::Error> {
                MaskMapping::deserialize(MapAccessDeserializer::new(map)).map(MaskForm::Mapping)
            }
        }

        deserializer.deserialize_any(AnyForm)
    }
}
