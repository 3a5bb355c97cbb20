//! Tests on one entity of a query, principal or resource, by names alone.
//!
//! Knows: entities' names and ancestors. Must not know: actions, attributes, which policy makes a test.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use cedar_policy::{PrincipalConstraint, ResourceConstraint};

use crate::decision::schema::uid_of;
use crate::query::{Node, Uid};

/// One test, as a scope makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Any entity.
    Any,
    /// An entity of this type.
    Is(Arc<str>),
    /// This entity.
    Eq(Arc<Uid>),
    /// This entity or anything inside it.
    In(Arc<Uid>),
    /// An entity of this type that is, or is inside, this entity.
    IsIn(Arc<str>, Arc<Uid>),
}

impl Part {
    /// Whether the part names `node`. `in` is reflexive.
    fn matches(&self, node: &Node) -> bool {
        let inside = |uid: &Uid| *uid == node.uid || node.ancestors.contains(uid);
        match self {
            Self::Any => true,
            Self::Is(kind) => **kind == *node.uid.kind,
            Self::Eq(uid) => **uid == node.uid,
            Self::In(uid) => inside(uid),
            Self::IsIn(kind, uid) => **kind == *node.uid.kind && inside(uid),
        }
    }

    /// The narrower, the smaller. Only a choice between postings hangs on it, never what is found.
    fn width(&self) -> u8 {
        match self {
            Self::Eq(_) => 0,
            // What confinement adds to the scope of every policy of a namespace.
            Self::In(uid) | Self::IsIn(_, uid) if uid.kind == "Namespace" => 2,
            Self::In(_) | Self::IsIn(..) => 1,
            Self::Is(_) => 3,
            Self::Any => 4,
        }
    }
}

/// Everything that a policy's scope and the head of its condition test of one entity.
#[derive(Debug)]
pub struct Tests {
    scope: Part,
    /// Of each list one must hold as well.
    lead: Box<[Box<[Part]>]>,
}

impl Tests {
    /// The scope's part, and of each list of `lead` one; names are kept once.
    pub fn new(scope: Part, lead: &[Vec<Part>], names: &mut Names) -> Self {
        let lead = lead.iter().map(|any| any.iter().map(|part| names.part(part)).collect()).collect();
        Self { scope, lead }
    }

    /// Whether they all hold.
    pub fn matches(&self, node: &Node) -> bool {
        self.scope.matches(node) && self.lead.iter().all(|any| any.iter().any(|part| part.matches(node)))
    }

    /// Parts of which one must hold: the narrowest that are tested.
    pub fn narrowest(&self) -> &[Part] {
        let width = |any: &&[Part]| any.iter().map(Part::width).max().unwrap_or_default();
        let scope = std::slice::from_ref(&self.scope);
        let all = std::iter::once(scope).chain(self.lead.iter().map(AsRef::as_ref));
        all.min_by_key(width).unwrap_or(scope)
    }
}

/// Names that occur in many scopes, each kept once.
#[derive(Default)]
pub struct Names {
    kinds: HashSet<Arc<str>>,
    uids: HashSet<Arc<Uid>>,
}

impl Names {
    /// A scope's part about the principal.
    pub fn principal(&mut self, constraint: PrincipalConstraint) -> Part {
        self.part(&match constraint {
            PrincipalConstraint::Any => Part::Any,
            PrincipalConstraint::Is(kind) => Part::Is(kind.to_string().into()),
            PrincipalConstraint::Eq(uid) => Part::Eq(Arc::new(uid_of(&uid))),
            PrincipalConstraint::In(uid) => Part::In(Arc::new(uid_of(&uid))),
            PrincipalConstraint::IsIn(kind, uid) => Part::IsIn(kind.to_string().into(), Arc::new(uid_of(&uid))),
        })
    }

    /// A scope's part about the resource.
    pub fn resource(&mut self, constraint: ResourceConstraint) -> Part {
        self.part(&match constraint {
            ResourceConstraint::Any => Part::Any,
            ResourceConstraint::Is(kind) => Part::Is(kind.to_string().into()),
            ResourceConstraint::Eq(uid) => Part::Eq(Arc::new(uid_of(&uid))),
            ResourceConstraint::In(uid) => Part::In(Arc::new(uid_of(&uid))),
            ResourceConstraint::IsIn(kind, uid) => Part::IsIn(kind.to_string().into(), Arc::new(uid_of(&uid))),
        })
    }

    fn part(&mut self, part: &Part) -> Part {
        match part {
            Part::Any => Part::Any,
            Part::Is(kind) => Part::Is(once(&mut self.kinds, kind)),
            Part::Eq(uid) => Part::Eq(once(&mut self.uids, uid)),
            Part::In(uid) => Part::In(once(&mut self.uids, uid)),
            Part::IsIn(kind, uid) => Part::IsIn(once(&mut self.kinds, kind), once(&mut self.uids, uid)),
        }
    }
}

fn once<T: ?Sized + Eq + Hash>(known: &mut HashSet<Arc<T>>, name: &Arc<T>) -> Arc<T> {
    if let Some(known) = known.get(name) {
        return Arc::clone(known);
    }
    known.insert(Arc::clone(name));
    Arc::clone(name)
}
