//! Parses `manifest.yaml`: the parts of the tree, their modes, and the headers that the platform frees.

use std::collections::BTreeMap;

use super::mode::Mode;
use crate::problem::{Problem, yaml};

/// Name of the file.
pub const FILE: &str = "manifest.yaml";

/// The manifest as written.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    /// The parts that exist; `policy::parts` reads and enforces them. If absent, the active parts must stay.
    pub parts: Option<serde_json::Value>,
    /// Modes of `namespaces/<ns>` and `mesh/<file>`; a part without a mode is enforced.
    pub modes: BTreeMap<String, Mode>,
    /// Guarded header names (`authorization`, `x-forwarded-*`, …) that `@set_headers` may use.
    pub allow_headers: Vec<String>,
    /// `acr` values, weakest first: how several `@acr` merge.
    pub acr_order: Vec<String>,
}

impl Manifest {
    /// Parses the file's text.
    ///
    /// # Errors
    /// Its problems.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let manifest: Self = serde_saphyr::from_str(text)
            .map_err(|error| vec![yaml::problem(FILE, "the manifest does not parse", &error)])?;
        let known = |key: &str| {
            key.strip_prefix("namespaces/").is_some_and(|ns| !ns.contains('/') && !ns.is_empty())
                || key.strip_prefix("mesh/").is_some_and(|file| file.ends_with(".cedar"))
        };
        let wrong: Vec<Problem> = manifest
            .modes
            .keys()
            .filter(|key| !known(key))
            .map(|key| {
                Problem::error(FILE, format!("`{key}` in `modes` is neither a namespace nor a file of the mesh"))
                    .help("write `namespaces/<ns>` or `mesh/<file>.cedar`")
            })
            .collect();
        if wrong.is_empty() { Ok(manifest) } else { Err(wrong) }
    }

    /// The mode of a policy file, by its path in the tree.
    #[must_use]
    pub fn mode(&self, path: &str) -> Mode {
        let folder = path.strip_prefix("namespaces/").and_then(|rest| rest.split_once('/'));
        let key = folder.map_or_else(|| path.to_owned(), |(namespace, _)| format!("namespaces/{namespace}"));
        self.modes.get(&key).copied().unwrap_or_default()
    }
}
