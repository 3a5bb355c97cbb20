//! The release policies of a bundle: whether they can change an answer, and what they read.
//!
//! Knows: policies' scopes and read sets. Must not know: calls, responses, records.
//!
//! A policy that could apply to a response to a service counts for it. An unknown part of a scope allows every response,
//! so nothing is ever missing.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{ActionConstraint, Effect, Policy, PrincipalConstraint, ResourceConstraint};
use cedar_policy_core::ast;
use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

use super::reads::Services;
use crate::catalog::namespace_of;
use crate::decision::policy::entry::Entry;
use crate::decision::policy::mode::{Basis, Mode};
use crate::decision::policy::remedy::Remedy;
use crate::decision::read_set::{EntityReadSet, Path, ReadSet};
use crate::decision::schema::uid_of;
use crate::query::{Reads, Uid};
use crate::release::coverage::Within;
use crate::release::{Coverage, EntityCoverage};

/// The action of responses.
pub(in crate::decision) const ACTION: &str = "release";
/// The type of their resources.
const CONTENT: &str = "Content";
/// Parts of the context that follow from the body.
const BODY: [&str; 3] = ["found", "inspected", "passed"];
/// Types of what every resource of a service lies in.
const AROUND: [&str; 4] = ["Service", "Namespace", "TrustDomain", CONTENT];

/// What the release policies for one service can do, and what they read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseGuard {
    /// A permit can be satisfied.
    pub permits: bool,
    /// A permit is satisfied by every response.
    pub permits_all: bool,
    /// A forbid can be satisfied.
    pub forbids: bool,
    /// A policy reads something of the body, or masks it.
    pub reads_body: bool,
    /// A forbid of a bundle reads findings, and none of this bundle tests whether everything was inspected: a body that
    /// was not read would look like one without findings.
    pub refuses_unread: bool,
    /// Detectors with findings that forbids mask: one set for each list.
    pub masks: BTreeSet<BTreeSet<SmolStr>>,
    /// The parts of a record that the policies read.
    pub coverage: Coverage,
    /// The inputs that a check has to collect so that a record can hold them.
    pub reads: Reads,
    /// Resources and groups in which policies test membership, unless every resource of a service lies in them.
    pub below: BTreeSet<Uid>,
    /// A policy tests membership in resources that only a call names.
    pub below_unknown: bool,
    /// Digests of the policies: two guards with equal ones have the same policies.
    pub policies: BTreeSet<[u8; 32]>,
}

/// The release policies of one bundle.
#[derive(Debug, Default)]
pub struct ReleasePolicies {
    /// Enforced ones, without bridges.
    enforced: ByServices,
    /// Enforced permits that do not count in what would be.
    bridges: ByServices,
    /// Those in shadow mode.
    shadow: ByServices,
}

/// Policies by the services that their scopes allow.
type ByServices = BTreeMap<Services, Scoped>;

/// The policies of one scope.
#[derive(Debug, Default)]
struct Scoped {
    guard: ReleaseGuard,
    /// A forbid reads findings.
    forbids_found: bool,
    /// A forbid tests whether everything was inspected.
    tests_inspected: bool,
}

impl ReleaseGuard {
    /// Adds the policies of `other`.
    pub fn merge(&mut self, other: &Self) {
        // A field that is missing here does not compile.
        let Self {
            permits,
            permits_all,
            forbids,
            reads_body,
            refuses_unread,
            masks,
            coverage,
            reads,
            below,
            below_unknown,
            policies,
        } = other;
        self.permits |= permits;
        self.permits_all |= permits_all;
        self.forbids |= forbids;
        self.reads_body |= reads_body;
        self.refuses_unread |= refuses_unread;
        self.masks.extend(masks.iter().cloned());
        self.coverage.merge(coverage);
        self.reads.merge(reads);
        self.below.extend(below.iter().cloned());
        self.below_unknown |= below_unknown;
        self.policies.extend(policies);
    }

    /// Returns whether every response is released as it is: no policy has to be evaluated.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.permits_all && !self.forbids
    }

    fn of(entry: &Entry, reads: &Reads) -> Self {
        let set = entry.read_set.as_ref();
        let is_forbid = entry.effect == Effect::Forbid;
        let masks = match &entry.remedy {
            Some(Remedy::Mask { detectors }) => [detectors.iter().map(SmolStr::from).collect()].into(),
            Some(Remedy::StepUp { .. } | Remedy::AddScope { .. } | Remedy::NarrowToken | Remedy::Approve { .. })
            | None => BTreeSet::new(),
        };
        let scope = scope_of_resource(&entry.policy.resource_constraint());
        let named = set.resource.within.iter().cloned().chain(scope);
        Self {
            permits: !is_forbid,
            permits_all: !is_forbid && is_unconditional(entry),
            forbids: is_forbid,
            reads_body: BODY.iter().any(|name| has(set, name)) || !masks.is_empty(),
            refuses_unread: false,
            masks,
            coverage: coverage(&entry.policy, set),
            reads: facts_only(reads),
            below: named.filter(|uid| !AROUND.contains(&uid.kind.as_str())).collect(),
            below_unknown: set.resource.all_ancestors || set.resource.whole,
            policies: [digest(entry)].into(),
        }
    }
}

impl ReleasePolicies {
    /// Adds a policy, if it can apply to responses.
    pub fn add(&mut self, entry: &Entry, reads: &Reads) {
        let resource = entry.policy.resource_constraint();
        if !names_action(&entry.policy.action_constraint()) || !names_content(&resource) {
            return;
        }
        let part = match (entry.mode, entry.bridge) {
            (Mode::Shadow, _) => &mut self.shadow,
            (Mode::Enforce, true) => &mut self.bridges,
            (Mode::Enforce, false) => &mut self.enforced,
        };
        let guard = ReleaseGuard::of(entry, reads);
        let scoped = part.entry(Services::of(&resource)).or_default();
        scoped.forbids_found |= guard.forbids && (has(&entry.read_set, "found") || !guard.masks.is_empty());
        scoped.tests_inspected |= guard.forbids && has(&entry.read_set, "inspected");
        scoped.guard.merge(&guard);
    }

    /// Adds the enforced policies for a service to `guard`.
    pub fn add_to(&self, guard: &mut ReleaseGuard, service: &str) {
        self.add_all(guard, service, Basis::Enforced);
    }

    /// Adds the policies that would be enforced for a service to `guard`.
    pub fn add_would_be_to(&self, guard: &mut ReleaseGuard, service: &str) {
        self.add_all(guard, service, Basis::WouldBe);
    }

    fn add_all(&self, guard: &mut ReleaseGuard, service: &str, basis: Basis) {
        if self.parts(basis).iter().all(|part| part.is_empty()) {
            return;
        }
        let namespace = namespace_of(service).unwrap_or_default().to_owned();
        let scopes = [Services::All, Services::Of(namespace), Services::One(service.to_owned())];
        let (mut forbids_found, mut tests_inspected) = (false, false);
        let parts = self.parts(basis);
        for scoped in parts.iter().flat_map(|part| scopes.iter().filter_map(|services| part.get(services))) {
            forbids_found |= scoped.forbids_found;
            tests_inspected |= scoped.tests_inspected;
            guard.merge(&scoped.guard);
        }
        guard.refuses_unread |= forbids_found && !tests_inspected;
    }

    fn parts(&self, basis: Basis) -> [&ByServices; 2] {
        match basis {
            Basis::Enforced => [&self.enforced, &self.bridges],
            Basis::WouldBe => [&self.enforced, &self.shadow],
        }
    }

    /// Returns whether a permit of it is satisfied by every response to every service.
    #[must_use]
    pub fn permits_all(&self) -> bool {
        let permits_all = |part: &ByServices| part.get(&Services::All).is_some_and(|scoped| scoped.guard.permits_all);
        self.parts(Basis::Enforced).into_iter().any(permits_all)
    }

    /// Returns whether it has a forbid.
    #[must_use]
    pub fn forbids(&self) -> bool {
        self.parts(Basis::Enforced).into_iter().flat_map(BTreeMap::values).any(|scoped| scoped.guard.forbids)
    }

    /// Returns whether the result for a response can differ from what would be.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        !self.shadow.is_empty() || !self.bridges.is_empty()
    }
}

/// What all release policies of a tree have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Releases {
    /// Every response of every service is released as it is, and no list is filtered.
    pub is_everything: bool,
    /// The result for some response can differ from what would be.
    pub is_watched: bool,
}

impl Releases {
    /// Of the mesh's policies and those of each namespace; `None` for one that never loaded.
    pub fn of<'a>(mesh: &ReleasePolicies, namespaces: impl Iterator<Item = Option<&'a ReleasePolicies>>) -> Self {
        let mut releases = Self { is_everything: mesh.permits_all() && !mesh.forbids(), is_watched: mesh.is_watched() };
        for namespace in namespaces {
            releases.is_everything &= namespace.is_some_and(|policies| !policies.forbids());
            releases.is_watched |= namespace.is_some_and(ReleasePolicies::is_watched);
        }
        releases
    }
}

/// Whether a scope of actions allows responses.
pub(in crate::decision) fn names_action(scope: &ActionConstraint) -> bool {
    let is_release = |uid: &cedar_policy::EntityUid| uid.id().unescaped() == ACTION;
    match scope {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => is_release(uid),
        ActionConstraint::In(uids) => uids.iter().any(is_release),
    }
}

/// Returns whether a scope names one action and no other.
pub(super) fn names_only(scope: &ActionConstraint, action: &str) -> bool {
    let is_it = |uid: &cedar_policy::EntityUid| uid.id().unescaped() == action;
    match scope {
        ActionConstraint::Any => false,
        ActionConstraint::Eq(uid) => is_it(uid),
        ActionConstraint::In(uids) => uids.iter().all(is_it),
    }
}

/// Whether a scope of resources allows responses.
pub(in crate::decision) fn names_content(scope: &ResourceConstraint) -> bool {
    match scope {
        ResourceConstraint::Any | ResourceConstraint::In(_) => true,
        ResourceConstraint::Eq(uid) => uid.type_name().basename() == CONTENT,
        ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => kind.basename() == CONTENT,
    }
}

/// The entity that a scope compares the resource with.
fn scope_of_resource(scope: &ResourceConstraint) -> Option<Uid> {
    match scope {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            Some(uid_of(uid))
        }
    }
}

/// Returns whether a policy applies to every response to the services that its scope allows.
fn is_unconditional(entry: &Entry) -> bool {
    let core: &ast::Policy = entry.policy.as_ref();
    // The one condition of a policy of a namespace is its confinement.
    let conditions = core.non_scope_constraints().map_or(0, count_conjuncts);
    let is_of_service = scope_of_resource(&entry.policy.resource_constraint())
        .is_none_or(|uid| ["Service", "Namespace"].contains(&uid.kind.as_str()));
    conditions <= entry.settled && is_of_service && entry.policy.principal_constraint() == PrincipalConstraint::Any
}

fn count_conjuncts(expr: &ast::Expr) -> usize {
    match expr.expr_kind() {
        ast::ExprKind::And { left, right } => count_conjuncts(left) + count_conjuncts(right),
        ast::ExprKind::Lit(ast::Literal::Bool(true)) => 0,
        _ => 1,
    }
}

/// Facts and the address are the only inputs that a check collects for a record alone.
fn facts_only(reads: &Reads) -> Reads {
    Reads {
        principal_facts: reads.principal_facts,
        resource_facts: reads.resource_facts,
        call_facts: reads.call_facts.clone(),
        source_ip: reads.source_ip,
        ..Reads::default()
    }
}

/// What a policy reads of the principal.
pub(super) fn of_principal(entry: &Entry) -> EntityCoverage {
    principal(&entry.policy, &entry.read_set)
}

fn principal(policy: &Policy, set: &ReadSet) -> EntityCoverage {
    let mut principal = of_entity(&set.principal);
    if let EntityCoverage::Parts { within: Within::These(named), .. } = &mut principal {
        named.extend(scope_of_principal(&policy.principal_constraint()));
    }
    principal
}

fn coverage(policy: &Policy, set: &ReadSet) -> Coverage {
    let principal = principal(policy, set);
    let mut resource = of_entity(&set.resource);
    if let EntityCoverage::Parts { paths, within } = &mut resource {
        paths.retain(|path| path.first().is_some_and(|name| name == "facts"));
        if let Within::These(named) = within {
            named.extend(scope_of_resource(&policy.resource_constraint()));
            named.retain(|uid| !AROUND.contains(&uid.kind.as_str()));
        }
    }
    let in_env = |name: &str| {
        let is_read = |path: &Path| match path.as_slice() {
            [env] => env == "env",
            [env, part, ..] => env == "env" && part == name,
            [] => true,
        };
        set.whole_context || set.context.iter().any(is_read)
    };
    let env = ["facts", "sourceIp"].into_iter().filter(|name| in_env(name)).map(SmolStr::new_static);
    Coverage { principal, resource, env: env.collect() }
}

fn scope_of_principal(scope: &PrincipalConstraint) -> Option<Uid> {
    match scope {
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => Some(uid_of(uid)),
        // The name itself is part of every record.
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) | PrincipalConstraint::Eq(_) => None,
    }
}

fn of_entity(set: &EntityReadSet) -> EntityCoverage {
    // A field that is missing here does not compile.
    let EntityReadSet { paths, tags: _, within, all_ancestors, itself: _, whole } = set;
    if *whole {
        return EntityCoverage::Whole;
    }
    let within = if *all_ancestors { Within::Any } else { Within::These(within.clone()) };
    EntityCoverage::Parts { paths: paths.iter().map(|path| path.iter().map(SmolStr::from).collect()).collect(), within }
}

/// Digest of a policy's id and text.
fn digest(entry: &Entry) -> [u8; 32] {
    // An id has no line feed.
    Sha256::new().chain_update(&entry.id).chain_update("\n").chain_update(entry.source()).finalize().into()
}

/// Returns whether a part of the context is read.
fn has(set: &ReadSet, name: &str) -> bool {
    set.whole_context || set.context.iter().any(|path| path.first().is_none_or(|first| first == name))
}
