//! Finds and masks secrets and personal data in text that arrives in pieces.
//!
//! Knows: patterns, validators, masks, `detectors.yaml`. Must not know: JSON documents, event streams, policies, the wire.
//!
//! [`mod@file`] reads `detectors.yaml` into [`detectors::Detectors`], which compiles a [`matcher::Matcher`] for the detectors that
//! are needed. One [`scanner::Scanner`] a text channel then masks what passes, or reports ranges; a
//! [`detector_set::DetectorSet`] answers which detectors find anything at all. [`builtin`] has the detectors that every
//! installation has, one file a family.
//!
//! ```
//! use std::sync::Arc;
//!
//! use picket_core::content::{detectors::Detectors, mask::StandIns, scanner};
//!
//! let matcher = Arc::new(Detectors::built_in().unwrap().matcher(|name| name == "email").unwrap());
//! let (mut stand_ins, mut output) = (StandIns::new([0; 8]), scanner::Output::default());
//! let mut scanner = scanner::Scanner::new(matcher, scanner::HOLD_BYTES_MAX);
//! scanner.push("Write to bob@co", &mut stand_ins, &mut output).unwrap();
//! assert_eq!(output.text, "Write to ");
//! scanner.push("rp.example.", &mut stand_ins, &mut output).unwrap();
//! scanner.finish(&mut stand_ins, &mut output).unwrap();
//! assert_eq!(output.text, "Write to [email].");
//! ```

pub mod automaton;
pub mod builtin;
mod check;
pub mod detector;
pub mod detector_set;
pub mod detectors;
pub mod file;
pub mod json_path;
pub mod mask;
pub mod matcher;
pub mod pattern;
pub mod prefilter;
pub mod scanner;
pub mod validator;
pub mod words;

#[cfg(test)]
mod tests;
