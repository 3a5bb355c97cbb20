//! The inputs that policies read, by action family and service, so that a policy that reads arguments makes no other
//! call read bodies.
//!
//! Knows: policies' scopes. Must not know: calls, conditions.
//!
//! A policy can apply to a call if its scope allows the family of the action and the service. An unknown part of a
//! scope allows every call, so inputs are never missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid, Policy, ResourceConstraint};
use smol_str::SmolStr;

use crate::catalog::namespace_of;
use crate::decision::schema::{Types, uid_of};
use crate::query::quick::Map;
use crate::query::{Family, Keys, Reads, Uid};

/// Types of resources and of their ancestors with ids that begin with `<namespace>/<service>`. No source of facts can
/// move a resource into one of another service, so a scope that names one allows calls to that service only.
const OF_ONE_SERVICE: [&str; 10] =
    ["Service", "Route", "Path", "Method", "McpServer", "McpResource", "Tool", "Prompt", "Agent", "Model"];

/// A set of action families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Families([bool; Family::COUNT]);

impl Families {
    const NONE: Self = Self([false; Family::COUNT]);
    const ALL: Self = Self([true; Family::COUNT]);

    fn those(is_one: impl Fn(Family) -> bool) -> Self {
        Self(Family::ALL.map(is_one))
    }

    fn has(self, family: Family) -> bool {
        self.0.get(family.index()).copied().unwrap_or(true)
    }

    fn or(self, other: Self) -> Self {
        Self::those(|family| self.has(family) || other.has(family))
    }

    fn and(self, other: Self) -> Self {
        Self::those(|family| self.has(family) && other.has(family))
    }

    /// The families with resources of the type that a scope names.
    fn of_resources(scope: &ResourceConstraint) -> Self {
        let of = |kind: &EntityTypeName| {
            let kind = kind.to_string();
            Self::those(|family| family.resources().contains(&kind.as_str()))
        };
        match scope {
            ResourceConstraint::Any | ResourceConstraint::In(_) => Self::ALL,
            ResourceConstraint::Eq(uid) => of(uid.type_name()),
            ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => of(kind),
        }
    }
}

/// The services that a scope allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Services {
    All,
    Of(String),
    One(String),
}

impl Services {
    pub(super) fn of(scope: &ResourceConstraint) -> Self {
        match scope {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => Self::All,
            // A compared entity is the resource itself, and its id names its service for every type.
            ResourceConstraint::Eq(uid) => service_of(&uid_of(uid)).map_or(Self::All, Self::One),
            ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
                let uid = uid_of(uid);
                match uid.kind.as_str() {
                    "Namespace" => Self::Of(uid.id.to_string()),
                    kind if OF_ONE_SERVICE.contains(&kind) => service_of(&uid).map_or(Self::All, Self::One),
                    _ => Self::All,
                }
            }
        }
    }
}

/// The first two segments of an id.
fn service_of(uid: &Uid) -> Option<String> {
    let mut parts = uid.id.splitn(3, '/');
    match (parts.next(), parts.next()) {
        (Some(namespace), Some(name)) if !namespace.is_empty() && !name.is_empty() => {
            Some(format!("{namespace}/{name}"))
        }
        (_, _) => None,
    }
}

/// The inputs that the policies of one bundle read, by their scopes.
#[derive(Debug, Default)]
pub struct ReadsByScope {
    by_services: BTreeMap<Services, BTreeMap<Families, Reads>>,
    /// The families of action groups that scopes name.
    groups: BTreeMap<SmolStr, Families>,
}

impl ReadsByScope {
    /// Adds the inputs of a policy, in its enforced form.
    pub fn add(&mut self, policy: &Policy, reads: &Reads, types: &Types) {
        // Most policies read nothing that has to be collected.
        if *reads == Reads::default() {
            return;
        }
        let resource = policy.resource_constraint();
        let families = self.of_actions(&policy.action_constraint(), types).and(Families::of_resources(&resource));
        let by_families = self.by_services.entry(Services::of(&resource)).or_default();
        by_families.entry(families).or_default().merge(reads);
    }

    /// The families of the actions that a scope names.
    fn of_actions(&mut self, scope: &ActionConstraint, types: &Types) -> Families {
        match scope {
            ActionConstraint::Any => Families::ALL,
            ActionConstraint::Eq(uid) => self.under(uid, types),
            ActionConstraint::In(uids) => uids.iter().fold(Families::NONE, |all, uid| all.or(self.under(uid, types))),
        }
    }

    /// The families of an action and of all its members.
    fn under(&mut self, uid: &EntityUid, types: &Types) -> Families {
        let id = uid.id().unescaped();
        if let Some(family) = Family::of(id) {
            return Families::those(|known| known == family);
        }
        *self.groups.entry(id.into()).or_insert_with(|| {
            let lies_in = |id: &str| types.action(id).is_some_and(|one| one.closure.iter().any(|of| of.uid() == *uid));
            let members: BTreeSet<Family> =
                types.actions().filter(|(id, _)| lies_in(id)).filter_map(|(id, _)| Family::of(id)).collect();
            Families::those(|family| members.contains(&family))
        })
    }

    fn of<'a>(&'a self, services: &Services) -> impl Iterator<Item = (&'a Families, &'a Reads)> + use<'a> {
        self.by_services.get(services).into_iter().flatten()
    }

    /// The detectors with findings that some policy may test.
    fn tested(&self) -> Keys {
        let mut tested = Keys::default();
        for reads in self.by_services.values().flat_map(BTreeMap::values) {
            tested.merge(&reads.content.enforced.tested);
            tested.merge(&reads.content.shadow.tested);
        }
        tested
    }

    fn named(&self) -> impl Iterator<Item = &Services> {
        self.by_services.keys()
    }
}

/// The inputs of calls to one service, by the family of their action.
#[derive(Debug, Clone, Default)]
struct Table([Arc<Reads>; Family::COUNT]);

impl Table {
    fn of(&self, family: Family) -> &Arc<Reads> {
        match self.0.get(family.index()) {
            Some(reads) => reads,
            None => unreachable!("every family has an entry"),
        }
    }

    /// The same with the inputs of more policies; equal sets are stored once.
    fn with<'a>(&self, more: impl Iterator<Item = (&'a Families, &'a Reads)>) -> Self {
        let more: Vec<_> = more.collect();
        let mut done: Vec<Arc<Reads>> = Vec::new();
        Self(Family::ALL.map(|family| {
            let before = self.of(family);
            let mut reads = Arc::clone(before);
            for (_, added) in more.iter().filter(|(families, _)| families.has(family)) {
                let mut added = Reads::clone(added);
                added.cut_to(family);
                Arc::make_mut(&mut reads).merge(&added);
            }
            let known = std::iter::once(before).chain(&done).find(|known| **known == reads);
            let kept = Arc::clone(known.unwrap_or(&reads));
            done.push(Arc::clone(&kept));
            kept
        }))
    }
}

/// The inputs that the policies of the mesh and of all namespaces read, ready for lookups by calls.
#[derive(Debug)]
pub struct Reading {
    mesh: Table,
    namespaces: Map<String, Table>,
    services: Map<String, Table>,
    /// The detectors with findings that any policy may test.
    pub(in crate::decision) tested: Keys,
}

impl Reading {
    /// Combines the inputs of the mesh's policies and of each namespace's.
    pub fn new<'a>(mesh: &'a ReadsByScope, units: impl Iterator<Item = (&'a str, &'a ReadsByScope)>) -> Self {
        let units: BTreeMap<&str, &ReadsByScope> = units.collect();
        let mut tested = mesh.tested();
        units.values().for_each(|unit| tested.merge(&unit.tested()));
        let mut named: BTreeSet<&str> = units.keys().copied().collect();
        let mut services: BTreeSet<&str> = BTreeSet::new();
        for unit in std::iter::once(&mesh).chain(units.values()) {
            for scope in unit.named() {
                match scope {
                    Services::All => {}
                    Services::Of(namespace) => drop(named.insert(namespace)),
                    Services::One(service) => drop(services.insert(service)),
                }
            }
        }
        named.extend(services.iter().filter_map(|service| namespace_of(service)));
        let of_all = Table::default().with(mesh.of(&Services::All));
        let of_namespace = |name: &str| {
            let here = Services::Of(name.to_owned());
            let own = units.get(name).into_iter();
            let own = own.flat_map(|unit| unit.of(&Services::All).chain(unit.of(&here)));
            of_all.with(mesh.of(&here).chain(own))
        };
        let namespaces: Map<String, Table> =
            named.into_iter().map(|name| (name.to_owned(), of_namespace(name))).collect();
        let of_service = |id: &str| {
            let namespace = namespace_of(id).unwrap_or_default();
            let here = Services::One(id.to_owned());
            let own = units.get(namespace).into_iter().flat_map(|unit| unit.of(&here));
            namespaces.get(namespace).unwrap_or(&of_all).with(mesh.of(&here).chain(own))
        };
        let services = services.into_iter().map(|id| (id.to_owned(), of_service(id))).collect();
        Self { mesh: of_all, services, namespaces, tested }
    }

    /// The inputs of calls of this family to this service.
    #[must_use]
    pub fn of(&self, service: &str, family: Family) -> &Reads {
        let of_namespace = || self.namespaces.get(namespace_of(service).unwrap_or_default());
        self.services.get(service).or_else(of_namespace).unwrap_or(&self.mesh).of(family)
    }
}
