//! Schema, catalogue and policies, checked together and immutable.
//!
//! The mesh's policies, the schema, the catalogue and the manifest are one unit; each namespace is another. An invalid
//! unit keeps its active version and never blocks the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

use super::bundle::Bundle;
use super::bundle::names::{self, Names};
use super::bundle::reads::Reading;
use super::bundle::release::Releases;
use super::engine::Engine;
use super::groups::Groups;
use super::limits::MESH;
use super::policy::context::ValidationContext;
use super::policy::entity_literals::KnownEntities;
use super::policy::manifest::Manifest;
pub use super::schema::FactsType;
use super::schema::Types;
use crate::catalog::{Catalog, Service, namespace_of};
use crate::content::detector_set::DetectorSet;
use crate::failure::{Code, Failure};
use crate::obligation::Changeable;
use crate::problem::Problem;
use crate::query::quick::Map;
use crate::query::{ContentPlan, Family, Node, Reads, Uid, Value};

/// The files of one policy tree, as read: path relative to the tree's root (with `/`) to text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The files.
    pub files: BTreeMap<String, Arc<str>>,
    /// Folders that exist, also empty ones: `mesh`, `namespaces/shop`.
    pub folders: BTreeSet<String>,
}

/// Schema, catalogue and policies, checked together and immutable.
#[derive(Debug)]
pub struct Snapshot {
    platform: Arc<Platform>,
    namespaces: BTreeMap<String, NamespaceVersion>,
    reads: Arc<Reading>,
    changeable: Arc<Map<String, Changeable>>,
    /// Names in the catalogue, in the mesh's policies and in `entities.json`.
    names: Arc<Names>,
    /// Names of a namespace's own resources in its own policies.
    own_names: Arc<Map<String, Names>>,
    digests: BTreeMap<String, String>,
    engine: Arc<Engine>,
    generation: u64,
    releases: Releases,
}

/// Numbers the snapshots of this process; no number is given twice.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// A namespace's policies.
#[derive(Debug, Clone)]
pub enum Namespace {
    /// Active.
    Loaded(Arc<Bundle>),
    /// No version of them ever loaded: the namespace's calls are denied.
    Invalid,
}

/// A namespace with its files.
#[derive(Debug, Clone)]
pub(super) struct NamespaceVersion {
    pub(super) state: Namespace,
    pub(super) files: Arc<Files>,
    pub(super) digest: String,
    /// The newer text that was rejected, if one was.
    pub(super) refused: Option<Arc<Refusal>>,
}

/// A rejected text of a namespace, stored so that it is not checked again with every edit of other units.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) digest: String,
    pub(super) problems: Vec<Problem>,
}

/// Files of one unit: path to text.
pub(super) type Files = BTreeMap<String, Arc<str>>;

/// The mesh's unit with the context that all policies are checked against.
#[derive(Debug)]
pub(super) struct Platform {
    pub(super) types: Types,
    pub(super) catalog: Catalog,
    pub(super) detectors: Arc<DetectorSet>,
    pub(super) manifest: Manifest,
    pub(super) declared: Map<Uid, Node>,
    pub(super) declared_ids: BTreeSet<Uid>,
    pub(super) groups: Map<String, Groups>,
    pub(super) workload_facts: HashMap<String, Value>,
    pub(super) service_facts: HashMap<String, Value>,
    pub(super) folders: Vec<String>,
    pub(super) mesh: Arc<Bundle>,
    pub(super) digest: String,
    /// Digest of that context: the platform's files without the mesh's policies, and the namespaces' names.
    pub(super) validation_digest: String,
    pub(super) schema_digest: String,
}

/// Result of loading a tree.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The snapshot to use from now on; `None` if none ever loaded.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Units that were rejected: `mesh` or a namespace's name. Their last good version stays active.
    pub refused: Vec<String>,
    /// Namespaces that take longer to load than other units may wait. Their active version stays; if it cannot stay,
    /// their calls are denied until they are loaded.
    pub postponed: Vec<String>,
    /// All problems, errors first.
    pub problems: Vec<Problem>,
}

impl Platform {
    /// The context that a bundle's policies are validated against.
    pub(super) fn validation(&self) -> ValidationContext<'_> {
        let known = KnownEntities { catalog: &self.catalog, folders: &self.folders, declared: &self.declared_ids };
        let detectors = self.detectors.detectors();
        ValidationContext { types: &self.types, known, manifest: &self.manifest, detectors }
    }
}

impl Snapshot {
    pub(super) fn assemble(
        platform: Arc<Platform>,
        namespaces: BTreeMap<String, NamespaceVersion>,
        engine: Arc<Engine>,
    ) -> Self {
        let mut digests: BTreeMap<String, String> =
            namespaces.iter().map(|(name, part)| (name.clone(), part.digest.clone())).collect();
        digests.insert(MESH.to_owned(), platform.digest.clone());
        let loaded = || {
            namespaces.iter().filter_map(|(name, part)| match &part.state {
                Namespace::Loaded(unit) => Some((name, unit)),
                Namespace::Invalid => None,
            })
        };
        let reads = Reading::new(&platform.mesh.reads, loaded().map(|(name, unit)| (name.as_str(), &unit.reads)));
        // Compiled here, so that no call waits for it. An error would show again at the call.
        drop(platform.detectors.presences(|name| reads.tested.contains(name)));
        let mut changeable = Map::default();
        let mut names = Names::of_catalog(&platform.catalog);
        platform.mesh.named.iter().chain(&platform.declared_ids).for_each(|uid| names.add(uid));
        let mut own_names = Map::default();
        for (name, unit) in loaded() {
            let mut both = platform.mesh.changeable.clone();
            both.merge(&unit.changeable);
            changeable.insert(name.clone(), both);
            let mut own = Names::default();
            // A namespace's names for resources of others have no effect.
            let is_its_own = |uid: &&Uid| namespace_of(&uid.id) == Some(name.as_str());
            unit.named.iter().filter(is_its_own).for_each(|uid| own.add(uid));
            own_names.insert(name.clone(), own);
        }
        let policies = namespaces.values().map(|part| match &part.state {
            Namespace::Loaded(unit) => Some(&unit.releases),
            Namespace::Invalid => None,
        });
        let mut releases = Releases::of(&platform.mesh.releases, policies);
        releases.is_everything &= !platform.catalog.services().any(Service::filters_lists);
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        let (reads, changeable) = (Arc::new(reads), Arc::new(changeable));
        let (names, own_names) = (Arc::new(names), Arc::new(own_names));
        Self { platform, namespaces, reads, changeable, names, own_names, digests, engine, generation, releases }
    }

    pub(super) fn platform(&self) -> &Arc<Platform> {
        &self.platform
    }

    pub(super) fn parts(&self) -> &BTreeMap<String, NamespaceVersion> {
        &self.namespaces
    }

    /// A read-only copy: its cache and its counters are separate from those of calls.
    #[must_use]
    pub fn read_only(&self) -> Self {
        Self {
            platform: Arc::clone(&self.platform),
            namespaces: self.namespaces.clone(),
            reads: Arc::clone(&self.reads),
            changeable: Arc::clone(&self.changeable),
            names: Arc::clone(&self.names),
            own_names: Arc::clone(&self.own_names),
            digests: self.digests.clone(),
            engine: Arc::default(),
            generation: self.generation,
            releases: self.releases,
        }
    }

    /// Different for every snapshot of this process.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What all its policies about responses have in common.
    #[must_use]
    pub fn releases(&self) -> Releases {
        self.releases
    }

    /// Finds satisfied policies; all snapshots of one line share it.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The catalogue.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.platform.catalog
    }

    /// The detectors of `detectors.yaml`, and the built-in ones.
    #[must_use]
    pub fn detectors(&self) -> &Arc<DetectorSet> {
        &self.platform.detectors
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.platform.manifest
    }

    /// The schema and what is derived from it.
    #[must_use]
    pub fn types(&self) -> &Types {
        &self.platform.types
    }

    /// The mesh's policies.
    #[must_use]
    pub fn mesh(&self) -> &Arc<Bundle> {
        &self.platform.mesh
    }

    /// A namespace's policies; `None` if it has no folder, so that only the mesh's apply.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name).map(|part| &part.state)
    }

    /// Returns whether calls into a namespace are known to take long, because many policies can apply to one of them.
    #[must_use]
    pub fn is_hot(&self, namespace: &str) -> bool {
        match self.namespace(namespace) {
            Some(Namespace::Loaded(unit)) => unit.hot.is_hot(),
            Some(Namespace::Invalid) => false,
            None => self.mesh().hot.is_hot(),
        }
    }

    /// Names of all namespaces that have a folder.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespaces.keys().map(String::as_str)
    }

    /// Digest of schema and facts (hex SHA-256): cached records are valid for one such digest.
    #[must_use]
    pub fn schema_digest(&self) -> &str {
        &self.platform.schema_digest
    }

    /// Digests (hex SHA-256) of every unit: `mesh`, and each namespace by name.
    #[must_use]
    pub fn digests(&self) -> &BTreeMap<String, String> {
        &self.digests
    }

    /// The inputs of the policies that can apply to a call of this family to this service, by its id.
    #[must_use]
    pub fn reads(&self, service: &str, family: Family) -> &Reads {
        self.reads.of(service, family)
    }

    /// What the policies read of the content of such a call, or of the service's answers for [`Family::Release`].
    #[must_use]
    pub fn content(&self, service: &str, family: Family) -> &ContentPlan {
        &self.reads(service, family).content
    }

    /// The parts of a call that policies of the mesh or of `namespace` can change.
    #[must_use]
    pub fn changeable(&self, namespace: &str) -> &Changeable {
        self.changeable.get(namespace).unwrap_or(&self.platform.mesh.changeable)
    }

    /// A tool, model or prompt that the policies for `namespace` name, if some provider treats `uid` as the same and
    /// its name differs.
    #[must_use]
    pub fn known_spelling(&self, namespace: &str, uid: &Uid) -> Option<&str> {
        if !names::is_chosen(uid) {
            return None;
        }
        let own = self.own_names.get(namespace).map_or(&[][..], |names| names.spellings(uid));
        // Each list separately: a namespace's name for a resource does not cancel the mesh's name for another.
        let other = |known: &&[SmolStr]| !known.is_empty() && !known.contains(&uid.id);
        let other = [self.names.spellings(uid), own].into_iter().find(other)?;
        other.first().map(SmolStr::as_str)
    }

    /// Ids of all loaded policies of the mesh and every namespace, by unit.
    #[must_use]
    pub fn policy_ids(&self) -> BTreeMap<String, Vec<String>> {
        let ids = |bundle: &Bundle| bundle.entries.keys().cloned().collect();
        let loaded = self.namespaces.iter().filter_map(|(name, part)| match &part.state {
            Namespace::Loaded(unit) => Some((name.clone(), ids(unit))),
            Namespace::Invalid => None,
        });
        loaded.chain([(MESH.to_owned(), ids(&self.platform.mesh))]).collect()
    }

    /// The declaration of an entity in `entities.json`.
    #[must_use]
    pub fn declared(&self, uid: &Uid) -> Option<&Node> {
        self.platform.declared.get(uid)
    }

    /// The catalogue's groups of a workload; `None` if it has none.
    #[must_use]
    pub fn workload_groups(&self, spiffe_id: &str) -> Option<&Groups> {
        self.platform.groups.get(spiffe_id)
    }

    /// The catalogue's facts about a workload, typed as `WorkloadFacts`.
    #[must_use]
    pub fn workload_facts(&self, spiffe_id: &str) -> Option<&Value> {
        self.platform.workload_facts.get(spiffe_id)
    }

    /// The catalogue's facts about a service, typed as `ServiceFacts`.
    #[must_use]
    pub fn service_facts(&self, service: &str) -> Option<&Value> {
        self.platform.service_facts.get(service)
    }

    /// Parses JSON as one of the facts' record types; Cedar itself checks it.
    ///
    /// # Errors
    /// Cedar's message.
    pub fn typed(&self, kind: FactsType, json: &serde_json::Value) -> Result<Value, String> {
        self.platform.types.typed(kind, json)
    }
}

/// The bundles that apply to calls into a namespace: the mesh's and its own.
///
/// # Errors
/// [`Code::BundleInvalid`] if its policies never loaded.
pub fn applicable_bundles(snapshot: &Snapshot, namespace: &str) -> Result<Vec<Arc<Bundle>>, Failure> {
    let mut units = vec![Arc::clone(snapshot.mesh())];
    match snapshot.namespace(namespace) {
        Some(Namespace::Loaded(unit)) => units.push(Arc::clone(unit)),
        Some(Namespace::Invalid) => {
            let detail = format!("the policies of namespace `{namespace}` never loaded");
            return Err(Failure::new(Code::BundleInvalid, detail));
        }
        None => {}
    }
    Ok(units)
}

/// Hex SHA-256 over paths and texts, each with its length, so that no two sets of files share one.
#[must_use]
pub fn digest<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut hash = Sha256::new();
    for (path, text) in files {
        for part in [path, text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    hex::encode(hash.finalize())
}
