//! YAML of the offline commands: an unknown key is an error with its position and the nearest known key.

use serde::de::DeserializeOwned;

use picket_core::problem::{Problem, yaml};

/// Reads a file's text.
///
/// # Errors
/// The first problem, with its place.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Box<Problem>> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::Reject,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| Box::new(yaml::problem(file, "cannot be read", &error)))
}
