//! Scope tests: `==`, `in` and `is` on the principal or the resource of a query.
//!
//! Knows: entities' names and ancestors. Must not know: actions, attributes, the policies of a test.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use cedar_policy::{PrincipalConstraint, ResourceConstraint};

use crate::decision::schema::uid_of;
use crate::query::{Node, Uid};

/// One test, as a scope makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeTest {
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

impl ScopeTest {
    /// Returns whether the part names `node`. `in` is reflexive.
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

    /// Returns whether the part may name an entity of the node's type inside the node's ancestors: besides these, the entity may
    /// be inside another one of its type, and in any group.
    fn may_match(&self, node: &Node) -> bool {
        let may_hold = |uid: &Uid| uid.kind == node.uid.kind || uid.kind == "Group";
        match self {
            Self::Any | Self::Is(_) => self.matches(node),
            Self::Eq(uid) => uid.kind == node.uid.kind,
            Self::In(uid) => may_hold(uid) || self.matches(node),
            Self::IsIn(kind, uid) => self.matches(node) || (**kind == *node.uid.kind && may_hold(uid)),
        }
    }

    /// The narrower, the smaller. It only orders postings and never changes what is found.
    fn width(&self) -> u8 {
        match self {
            Self::Eq(_) => 0,
            // The test that confinement adds to the scope of every policy of a namespace.
            Self::In(uid) | Self::IsIn(_, uid) if uid.kind == "Namespace" => 2,
            Self::In(_) | Self::IsIn(..) => 1,
            Self::Is(_) => 3,
            Self::Any => 4,
        }
    }
}

/// All tests of one entity in a policy's scope and guards.
#[derive(Debug)]
pub struct Tests {
    scope: ScopeTest,
    /// Of each list one part must hold as well.
    guards: Box<[Box<[ScopeTest]>]>,
}

impl Tests {
    /// The scope's part, and the lists of `guards`; names are interned.
    pub fn new(scope: ScopeTest, guards: &[Vec<ScopeTest>], names: &mut InternedNames) -> Self {
        let guards = guards.iter().map(|any| any.iter().map(|test| names.test(test)).collect()).collect();
        Self { scope, guards }
    }

    /// Returns whether they all hold.
    pub fn matches(&self, node: &Node) -> bool {
        self.scope.matches(node) && self.guards.iter().all(|any| any.iter().any(|test| test.matches(node)))
    }

    /// Returns whether they may all hold of an entity of the node's type inside the node's ancestors.
    pub fn may_match(&self, node: &Node) -> bool {
        self.scope.may_match(node) && self.guards.iter().all(|any| any.iter().any(|test| test.may_match(node)))
    }

    /// The narrowest list of parts; one of them must hold.
    pub fn narrowest(&self) -> &[ScopeTest] {
        let width = |any: &&[ScopeTest]| any.iter().map(ScopeTest::width).max().unwrap_or_default();
        let scope = std::slice::from_ref(&self.scope);
        let all = std::iter::once(scope).chain(self.guards.iter().map(AsRef::as_ref));
        all.min_by_key(width).unwrap_or(scope)
    }
}

/// Names that occur in many scopes, each kept once.
#[derive(Default)]
pub struct InternedNames {
    kinds: HashSet<Arc<str>>,
    uids: HashSet<Arc<Uid>>,
}

impl InternedNames {
    /// A scope's test of the principal.
    pub fn principal(&mut self, constraint: PrincipalConstraint) -> ScopeTest {
        self.test(&match constraint {
            PrincipalConstraint::Any => ScopeTest::Any,
            PrincipalConstraint::Is(kind) => ScopeTest::Is(kind.to_string().into()),
            PrincipalConstraint::Eq(uid) => ScopeTest::Eq(Arc::new(uid_of(&uid))),
            PrincipalConstraint::In(uid) => ScopeTest::In(Arc::new(uid_of(&uid))),
            PrincipalConstraint::IsIn(kind, uid) => ScopeTest::IsIn(kind.to_string().into(), Arc::new(uid_of(&uid))),
        })
    }

    /// A scope's test of the resource.
    pub fn resource(&mut self, constraint: ResourceConstraint) -> ScopeTest {
        self.test(&match constraint {
            ResourceConstraint::Any => ScopeTest::Any,
            ResourceConstraint::Is(kind) => ScopeTest::Is(kind.to_string().into()),
            ResourceConstraint::Eq(uid) => ScopeTest::Eq(Arc::new(uid_of(&uid))),
            ResourceConstraint::In(uid) => ScopeTest::In(Arc::new(uid_of(&uid))),
            ResourceConstraint::IsIn(kind, uid) => ScopeTest::IsIn(kind.to_string().into(), Arc::new(uid_of(&uid))),
        })
    }

    fn test(&mut self, test: &ScopeTest) -> ScopeTest {
        match test {
            ScopeTest::Any => ScopeTest::Any,
            ScopeTest::Is(kind) => ScopeTest::Is(once(&mut self.kinds, kind)),
            ScopeTest::Eq(uid) => ScopeTest::Eq(once(&mut self.uids, uid)),
            ScopeTest::In(uid) => ScopeTest::In(once(&mut self.uids, uid)),
            ScopeTest::IsIn(kind, uid) => ScopeTest::IsIn(once(&mut self.kinds, kind), once(&mut self.uids, uid)),
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
