//! An index of policies by their scopes: finds the candidates for a query without a scan.
//!
//! A policy's scope is three tests, on principal, action and resource. Each becomes a posting. A query looks up its own
//! keys in all three, walks the shortest list, and tests the other two parts of each policy in it. The guards of a
//! condition (`guards.rs`) count as part of the scope. A policy that is left out has a false scope or guard, so Cedar
//! would have found it neither satisfied nor failing: decision, reasons and errors are those of the whole set.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{ActionConstraint, EntityUid};

use crate::decision::policy::entry::Entry;
use crate::decision::policy::scope_test::{InternedNames, ScopeTest, Tests};
use crate::decision::schema::{Action, Types};
use crate::query::quick::Map;
use crate::query::{Node, Query, Uid};

/// With so few candidates in one part of the scope, a shorter list is not searched for.
const FEW: usize = 4;

/// The actions a scope names, closed over the schema's groups.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Actions {
    Any,
    /// Ascending. Policies that name the same actions share one list.
    These(Arc<[Arc<str>]>),
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
    principal: Tests,
    actions: Actions,
    resource: Tests,
}

/// Policies of one bundle and one effect, in a fixed order, with their postings.
#[derive(Debug, Default)]
pub struct Index {
    entries: Vec<Arc<Entry>>,
    scopes: Vec<Scope>,
    principals: Postings,
    resources: Postings,
    actions: Map<Arc<str>, Vec<u32>>,
    any_action: Vec<u32>,
}

/// Policies by one part of their scope.
#[derive(Debug, Default)]
struct Postings {
    any: Vec<u32>,
    is: Map<Arc<str>, Vec<u32>>,
    eq: Map<Arc<Uid>, Vec<u32>>,
    within: Map<Arc<Uid>, Vec<u32>>,
}

impl Postings {
    /// Posts a policy under each of several parts; one of them must hold.
    fn add(&mut self, tests: &Tests, number: u32) {
        tests.narrowest().iter().for_each(|part| self.post(part, number));
    }

    fn post(&mut self, part: &ScopeTest, number: u32) {
        match part {
            ScopeTest::Any => self.any.push(number),
            ScopeTest::Is(kind) => self.is.entry(Arc::clone(kind)).or_default().push(number),
            ScopeTest::Eq(uid) => self.eq.entry(Arc::clone(uid)).or_default().push(number),
            ScopeTest::In(uid) | ScopeTest::IsIn(_, uid) => {
                self.within.entry(Arc::clone(uid)).or_default().push(number)
            }
        }
    }

    /// Adds every list that may hold policies that name `node`.
    fn lists<'a>(&'a self, node: &Node, lists: &mut Vec<&'a [u32]>) {
        let mut add = |list: Option<&'a Vec<u32>>| lists.extend(list.map(Vec::as_slice));
        add(Some(&self.any));
        add(self.is.get(node.uid.kind.as_str()));
        add(self.eq.get(&node.uid));
        add(self.within.get(&node.uid));
        if self.within.len() < node.ancestors.len_max() {
            // A principal may be in a thousand groups: if policies name three groups, this takes three lookups.
            let named = self.within.iter().filter(|(uid, _)| ***uid != node.uid && node.ancestors.contains(uid));
            named.for_each(|(_, list)| add(Some(list)));
        } else {
            let others = node.ancestors.unsorted().filter(|uid| **uid != node.uid);
            others.for_each(|uid| add(self.within.get(uid)));
        }
    }
}

impl Index {
    /// Indexes policies; their order here is the order of all candidate lists.
    #[must_use]
    pub fn new(entries: Vec<Arc<Entry>>, types: &Types) -> Self {
        let mut index = Self::default();
        let mut names = InternedNames::default();
        let mut closures = Closures { types, single: HashMap::new(), groups: HashMap::new() };
        for (number, entry) in entries.iter().enumerate() {
            let Ok(number) = u32::try_from(number) else { break };
            let principal = names.principal(entry.policy.principal_constraint());
            let resource = names.resource(entry.policy.resource_constraint());
            let scope = Scope {
                principal: Tests::new(principal, &entry.guards.principal, &mut names),
                actions: closures.of(entry.policy.action_constraint()),
                resource: Tests::new(resource, &entry.guards.resource, &mut names),
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

    /// Returns whether it has no policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The policy with this number.
    #[must_use]
    pub fn entry(&self, number: u32) -> Option<&Arc<Entry>> {
        self.entries.get(usize::try_from(number).ok()?)
    }

    /// All policies, in order of their numbers.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.iter()
    }

    /// Numbers of all policies with a scope that names the query, ascending.
    #[must_use]
    pub fn candidates(&self, query: &Query) -> Vec<u32> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        let mut lists: Vec<&[u32]> = Vec::with_capacity(16);
        self.principals.lists(&query.principal, &mut lists);
        let length = |lists: &[&[u32]]| lists.iter().map(|list| list.len()).sum::<usize>();
        let parted = lists.len();
        // Comparing so few is as quick as finding lists that might be shorter.
        let shortest = if length(&lists) <= FEW {
            lists
        } else {
            self.resources.lists(&query.resource, &mut lists);
            let named = self.actions.get(query.action.as_str()).map_or(&[][..], Vec::as_slice);
            let actions = [self.any_action.as_slice(), named];
            let (principals, resources) = lists.split_at(parted);
            let all = [resources, principals, &actions];
            all.into_iter().min_by_key(|lists| length(lists)).unwrap_or_default().to_vec()
        };
        let mut found: Vec<u32> = shortest
            .into_iter()
            .flat_map(|list| list.iter().copied())
            .filter(|number| self.names(*number, query))
            .collect();
        found.sort_unstable();
        // A policy that is posted under several parts may be found several times.
        found.dedup();
        found
    }

    /// Numbers of all policies with a scope that may name the query if its resource is any entity of its type inside its
    /// ancestors, ascending.
    #[must_use]
    pub fn possible_candidates(&self, query: &Query) -> Vec<u32> {
        let is_by = |scope: &&Scope| scope.principal.matches(&query.principal) && scope.actions.matches(&query.action);
        let may_name =
            |scope: &Scope| Some(scope).filter(is_by).is_some_and(|of| of.resource.may_match(&query.resource));
        let numbers = self.scopes.iter().zip(0_u32..).filter(|(scope, _)| may_name(scope));
        numbers.map(|(_, number)| number).collect()
    }

    fn names(&self, number: u32, query: &Query) -> bool {
        self.scope(number).is_some_and(|scope| {
            scope.actions.matches(&query.action)
                && scope.resource.matches(&query.resource)
                && scope.principal.matches(&query.principal)
        })
    }

    fn scope(&self, number: u32) -> Option<&Scope> {
        self.scopes.get(usize::try_from(number).ok()?)
    }
}

/// The concrete actions of constraints: an action itself, or all members of a named group.
struct Closures<'a> {
    types: &'a Types,
    single: HashMap<EntityUid, Arc<[Arc<str>]>>,
    groups: HashMap<Vec<EntityUid>, Arc<[Arc<str>]>>,
}

impl Closures<'_> {
    fn of(&mut self, constraint: ActionConstraint) -> Actions {
        let named = match constraint {
            ActionConstraint::Any => return Actions::Any,
            ActionConstraint::Eq(uid) => {
                let alone = || [uid.id().unescaped().into()].into();
                return Actions::These(Arc::clone(self.single.entry(uid.clone()).or_insert_with(alone)));
            }
            ActionConstraint::In(uids) => uids,
        };
        let actions = self.types.actions();
        let closed = || {
            let inside = |action: &Action| action.closure.iter().any(|entity| named.contains(&entity.uid()));
            let mut ids: Vec<Arc<str>> =
                actions.filter(|(_, action)| inside(action)).map(|(id, _)| id.into()).collect();
            ids.sort();
            ids.into()
        };
        Actions::These(Arc::clone(self.groups.entry(named.clone()).or_insert_with(closed)))
    }
}
