//! Which policies can apply to a query, found without looking at the others.
//!
//! A policy's scope is three tests, on principal, action and resource. Each becomes a posting; a query looks
//! up its own keys in all three and walks the shortest, testing the other two parts of each policy it meets.
//! A policy that is left out has a false scope, so Cedar would have found it neither satisfied nor failing:
//! decision, reasons and errors are those of the whole set.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{ActionConstraint, PrincipalConstraint, ResourceConstraint};

use super::schema::{Types, uid_of};
use super::unit::Entry;
use crate::query::{Node, Query, Uid};

/// One part of a scope, for principals and resources alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Any entity.
    Any,
    /// An entity of this type.
    Is(String),
    /// This entity.
    Eq(Uid),
    /// This entity or anything inside it.
    In(Uid),
    /// An entity of this type that is, or is inside, this entity.
    IsIn(String, Uid),
}

impl Part {
    /// Whether the part names `node`. `in` is reflexive.
    #[must_use]
    pub fn matches(&self, node: &Node) -> bool {
        let inside = |uid: &Uid| *uid == node.uid || node.ancestors.contains(uid);
        match self {
            Self::Any => true,
            Self::Is(kind) => *kind == node.uid.kind,
            Self::Eq(uid) => *uid == node.uid,
            Self::In(uid) => inside(uid),
            Self::IsIn(kind, uid) => *kind == node.uid.kind && inside(uid),
        }
    }
}

impl From<PrincipalConstraint> for Part {
    fn from(constraint: PrincipalConstraint) -> Self {
        match constraint {
            PrincipalConstraint::Any => Self::Any,
            PrincipalConstraint::Is(kind) => Self::Is(kind.to_string()),
            PrincipalConstraint::Eq(uid) => Self::Eq(uid_of(&uid)),
            PrincipalConstraint::In(uid) => Self::In(uid_of(&uid)),
            PrincipalConstraint::IsIn(kind, uid) => Self::IsIn(kind.to_string(), uid_of(&uid)),
        }
    }
}

impl From<ResourceConstraint> for Part {
    fn from(constraint: ResourceConstraint) -> Self {
        match constraint {
            ResourceConstraint::Any => Self::Any,
            ResourceConstraint::Is(kind) => Self::Is(kind.to_string()),
            ResourceConstraint::Eq(uid) => Self::Eq(uid_of(&uid)),
            ResourceConstraint::In(uid) => Self::In(uid_of(&uid)),
            ResourceConstraint::IsIn(kind, uid) => Self::IsIn(kind.to_string(), uid_of(&uid)),
        }
    }
}

/// The actions a scope names, closed over the schema's groups.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Actions {
    Any,
    These(Vec<Arc<str>>),
}

impl Actions {
    fn matches(&self, action: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(actions) => actions.binary_search_by(|known| known.as_ref().cmp(action)).is_ok(),
        }
    }
}

#[derive(Debug)]
struct Scope {
    principal: Part,
    actions: Actions,
    resource: Part,
}

/// Policies of one unit and one effect, in a fixed order, with their postings.
#[derive(Debug, Default)]
pub struct Index {
    entries: Vec<Arc<Entry>>,
    scopes: Vec<Scope>,
    principals: Postings,
    resources: Postings,
    actions: HashMap<Arc<str>, Vec<u32>>,
    any_action: Vec<u32>,
}

/// Policies by one part of their scope.
#[derive(Debug, Default)]
struct Postings {
    any: Vec<u32>,
    is: HashMap<String, Vec<u32>>,
    eq: HashMap<Uid, Vec<u32>>,
    within: HashMap<Uid, Vec<u32>>,
}

impl Postings {
    fn add(&mut self, part: &Part, number: u32) {
        match part {
            Part::Any => self.any.push(number),
            Part::Is(kind) => self.is.entry(kind.clone()).or_default().push(number),
            Part::Eq(uid) => self.eq.entry(uid.clone()).or_default().push(number),
            Part::In(uid) | Part::IsIn(_, uid) => self.within.entry(uid.clone()).or_default().push(number),
        }
    }

    /// Every list that may hold policies naming `node`.
    fn lists<'a>(&'a self, node: &Node) -> Vec<&'a [u32]> {
        let mut lists: Vec<&[u32]> = Vec::with_capacity(8);
        let mut add = |list: Option<&'a Vec<u32>>| lists.extend(list.map(Vec::as_slice));
        add(Some(&self.any));
        add(self.is.get(&node.uid.kind));
        add(self.eq.get(&node.uid));
        add(self.within.get(&node.uid));
        if self.within.len() < node.ancestors.len() {
            // A principal in a thousand groups of which policies name three costs three look-ups.
            let named = self.within.iter().filter(|(uid, _)| **uid != node.uid && node.ancestors.contains(uid));
            named.for_each(|(_, list)| add(Some(list)));
        } else {
            node.ancestors.iter().filter(|uid| **uid != node.uid).for_each(|uid| add(self.within.get(uid)));
        }
        lists
    }
}

impl Index {
    /// Indexes policies; their order here is the order of all candidate lists.
    #[must_use]
    pub fn new(entries: Vec<Arc<Entry>>, types: &Types) -> Self {
        let mut index = Self::default();
        let mut names = HashMap::new();
        for (number, entry) in entries.iter().enumerate() {
            let Ok(number) = u32::try_from(number) else { break };
            let scope = Scope {
                principal: entry.policy.principal_constraint().into(),
                actions: closed(&entry.policy.action_constraint(), types, &mut names),
                resource: entry.policy.resource_constraint().into(),
            };
            index.principals.add(&scope.principal, number);
            index.resources.add(&scope.resource, number);
            match &scope.actions {
                Actions::Any => index.any_action.push(number),
                Actions::These(actions) => {
                    actions.iter().for_each(|a| index.actions.entry(Arc::clone(a)).or_default().push(number));
                }
            }
            index.scopes.push(scope);
        }
        index.entries = entries;
        index
    }

    /// How many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The policy with this number.
    #[must_use]
    pub fn entry(&self, number: u32) -> Option<&Arc<Entry>> {
        self.entries.get(usize::try_from(number).ok()?)
    }

    /// Numbers of all policies whose scope names the query, ascending.
    #[must_use]
    pub fn candidates(&self, query: &Query) -> Vec<u32> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        let actions: Vec<&[u32]> = [Some(&self.any_action), self.actions.get(query.action.as_str())]
            .into_iter()
            .flatten()
            .map(Vec::as_slice)
            .collect();
        let resources = self.resources.lists(&query.resource);
        let principals = self.principals.lists(&query.principal);
        let length = |lists: &[&[u32]]| lists.iter().map(|list| list.len()).sum::<usize>();
        let shortest = [&resources, &principals, &actions].into_iter().min_by_key(|lists| length(lists));
        let mut found: Vec<u32> = shortest
            .into_iter()
            .flatten()
            .flat_map(|list| list.iter().copied())
            .filter(|number| self.names(*number, query))
            .collect();
        found.sort_unstable();
        found
    }

    fn names(&self, number: u32, query: &Query) -> bool {
        let scope = usize::try_from(number).ok().and_then(|number| self.scopes.get(number));
        scope.is_some_and(|scope| {
            scope.actions.matches(&query.action)
                && scope.resource.matches(&query.resource)
                && scope.principal.matches(&query.principal)
        })
    }
}

/// The concrete actions that a constraint names: an action itself, or any group above it.
fn closed(constraint: &ActionConstraint, types: &Types, names: &mut HashMap<String, Arc<str>>) -> Actions {
    let named: Vec<&cedar_policy::EntityUid> = match constraint {
        ActionConstraint::Any => return Actions::Any,
        ActionConstraint::Eq(uid) => {
            let id = uid.id().unescaped();
            return Actions::These(vec![Arc::clone(names.entry(id.to_owned()).or_insert_with(|| id.into()))]);
        }
        ActionConstraint::In(uids) => uids.iter().collect(),
    };
    let inside = |closure: &[cedar_policy::Entity]| closure.iter().any(|entity| named.contains(&&entity.uid()));
    let mut actions: Vec<Arc<str>> = types
        .actions()
        .filter(|(_, action)| inside(&action.closure))
        .map(|(id, _)| Arc::clone(names.entry(id.to_owned()).or_insert_with(|| id.into())))
        .collect();
    actions.sort();
    Actions::These(actions)
}
