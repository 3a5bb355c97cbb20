//! The context of validation: the schema, the known entities, the manifest, the detectors.

use super::entity_literals::KnownEntities;
use super::manifest::Manifest;
use crate::content::detectors::Detectors;
use crate::decision::schema::Types;

/// The context that the policies of a bundle are validated against.
#[derive(Debug, Clone, Copy)]
pub struct ValidationContext<'a> {
    /// The schema.
    pub types: &'a Types,
    /// The entities that exist.
    pub known: KnownEntities<'a>,
    /// Modes and allowed headers.
    pub manifest: &'a Manifest,
    /// The detectors that policies can name.
    pub detectors: &'a Detectors,
}
