//! Coverage of a release record: which parts of an entity it holds.
//!
//! Knows: paths of attributes, memberships. Must not know: policies, bytes.
//!
//! An attribute that a record does not hold is either absent or not covered. Only the first may be evaluated.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

use crate::query::{Ancestors, Node, Record, Uid, Value};

/// Length of [`EntityCoverage::digest`], in bytes.
pub const DIGEST_BYTES: usize = 16;

/// What a record holds of principal, resource and environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Of the principal.
    pub principal: EntityCoverage,
    /// Of each resource.
    pub resource: EntityCoverage,
    /// Attributes of `context.env`.
    pub env: BTreeSet<SmolStr>,
}

/// What a record holds of one entity, in addition to its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityCoverage {
    /// Everything.
    Whole,
    /// Just these parts.
    Parts {
        /// Paths of attributes, each with everything below it.
        paths: BTreeSet<Vec<SmolStr>>,
        /// Memberships.
        within: Within,
    },
}

/// The entities with membership in them known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    /// Any entity.
    Any,
    /// Just these.
    These(BTreeSet<Uid>),
}

impl Default for EntityCoverage {
    fn default() -> Self {
        Self::Parts { paths: BTreeSet::new(), within: Within::These(BTreeSet::new()) }
    }
}

impl Coverage {
    /// Returns whether it has everything that `needed` has.
    #[must_use]
    pub fn covers(&self, needed: &Self) -> bool {
        self.principal.covers(&needed.principal)
            && self.resource.covers(&needed.resource)
            && self.env.is_superset(&needed.env)
    }

    /// Adds `other`.
    pub fn merge(&mut self, other: &Self) {
        self.principal.merge(&other.principal);
        self.resource.merge(&other.resource);
        self.env.extend(other.env.iter().cloned());
    }
}

impl EntityCoverage {
    /// Returns whether it has everything that `needed` has.
    #[must_use]
    pub fn covers(&self, needed: &Self) -> bool {
        match (self, needed) {
            (Self::Whole, _) => true,
            (Self::Parts { .. }, Self::Whole) => false,
            (Self::Parts { paths, within }, Self::Parts { paths: needed, within: needed_within }) => {
                let is_covered = |path: &Vec<SmolStr>| paths.iter().any(|known| path.starts_with(known));
                needed.iter().all(is_covered) && within.covers(needed_within)
            }
        }
    }

    /// Adds `other`.
    pub fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Whole, _) => {}
            (Self::Parts { .. }, Self::Whole) => *self = Self::Whole,
            (Self::Parts { paths, within }, Self::Parts { paths: more, within: more_within }) => {
                paths.extend(more.iter().cloned());
                within.merge(more_within);
            }
        }
    }

    /// A digest: equal for equal coverage, in every process.
    #[must_use]
    pub fn digest(&self) -> [u8; DIGEST_BYTES] {
        let mut hash = Sha256::new();
        // Each text with its length, and each list with how many there are, so that no two coverages are written the same.
        let number = |hash: &mut Sha256, number: usize| hash.update((number as u64).to_be_bytes());
        let text = |hash: &mut Sha256, text: &str| {
            number(hash, text.len());
            hash.update(text);
        };
        if let Self::Parts { paths, within } = self {
            number(&mut hash, paths.len());
            for path in paths {
                number(&mut hash, path.len());
                path.iter().for_each(|step| text(&mut hash, step));
            }
            if let Within::These(named) = within {
                number(&mut hash, named.len());
                for uid in named {
                    text(&mut hash, &uid.kind);
                    text(&mut hash, &uid.id);
                }
            }
        }
        let mut digest = [0; DIGEST_BYTES];
        digest.iter_mut().zip(hash.finalize()).for_each(|(to, byte)| *to = byte);
        digest
    }

    /// The covered part of an entity.
    #[must_use]
    pub fn cut(&self, node: &Node) -> Node {
        let (paths, within) = match self {
            Self::Whole => return node.clone(),
            Self::Parts { paths, within } => (paths, within),
        };
        let mut part = Node::new(node.uid.clone());
        // Shorter paths come first, so a path never narrows an attribute that is covered completely.
        paths.iter().for_each(|path| copy(&node.attributes, path, &mut part.attributes));
        part.ancestors = match within {
            Within::Any => node.ancestors.clone(),
            Within::These(named) => {
                named.iter().filter(|uid| node.ancestors.contains(uid)).cloned().collect::<Ancestors>()
            }
        };
        part
    }
}

impl Within {
    fn covers(&self, needed: &Self) -> bool {
        match (self, needed) {
            (Self::Any, _) => true,
            (Self::These(_), Self::Any) => false,
            (Self::These(known), Self::These(needed)) => known.is_superset(needed),
        }
    }

    fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Any, _) => {}
            (Self::These(_), Self::Any) => *self = Self::Any,
            (Self::These(known), Self::These(more)) => known.extend(more.iter().cloned()),
        }
    }
}

/// Copies the value at a path, with the records that lead to it.
fn copy(from: &Record, path: &[SmolStr], to: &mut Record) {
    let Some((name, rest)) = path.split_first() else { return };
    match (from.get(name), rest) {
        (None, _) => {}
        (Some(Value::Record(inner)), [_, ..]) => {
            let mut part = match to.remove(name) {
                Some(Value::Record(part)) => part,
                Some(_) | None => Record::new(),
            };
            copy(inner, rest, &mut part);
            to.insert(name.clone(), Value::Record(part));
        }
        (Some(value), _) => drop(to.insert(name.clone(), value.clone())),
    }
}
