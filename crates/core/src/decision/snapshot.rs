//! Schema, catalogue and policies, checked together and immutable.
//!
//! The mesh's policies, the schema, the catalogue and the manifest are one unit; each namespace is another.
//! A unit that is bad keeps its version in force and never holds up the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

use super::bundle::Bundle;
use super::bundle::names::{self, Names};
use super::bundle::reads::Reading;
use super::engine::Engine;
use super::groups::Groups;
use super::limits::MESH;
use super::policy::context::ValidationContext;
use super::policy::entity_literals::KnownEntities;
use super::policy::manifest::{self, Manifest};
pub use super::schema::FactsType;
use super::schema::{self, Types};
use crate::catalog::{Catalog, namespace_of};
use crate::failure::{Code, Failure};
use crate::obligation::Changeable;
use crate::problem::Problem;
use crate::query::quick::Map;
use crate::query::{Family, Node, Reads, Uid, Value};

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
    namespaces: BTreeMap<String, Part>,
    reads: Arc<Reading>,
    changeable: Arc<Map<String, Changeable>>,
    /// Names that the catalogue, the mesh's policies and `entities.json` know.
    names: Arc<Names>,
    /// Names that a namespace's own policies know, of what is in it.
    own_names: Arc<Map<String, Names>>,
    digests: BTreeMap<String, String>,
    engine: Arc<Engine>,
    generation: u64,
}

/// Numbers the snapshots of this process; none is ever given twice.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// A namespace's policies.
#[derive(Debug, Clone)]
pub enum Namespace {
    /// In force.
    Loaded(Arc<Bundle>),
    /// There are some, but no version of them ever loaded: its calls are denied.
    Invalid,
}

/// A namespace with the files it was made of.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) state: Namespace,
    pub(super) files: Arc<Files>,
    pub(super) digest: String,
    /// The newer text that was refused, if one was.
    pub(super) refused: Option<Arc<Refusal>>,
}

/// A namespace's text that was refused, remembered so that it is not checked again with every edit of others.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) digest: String,
    pub(super) problems: Vec<Problem>,
}

/// Files of one unit: path to text.
pub(super) type Files = BTreeMap<String, Arc<str>>;

/// The mesh's unit with everything that all policies are checked against.
#[derive(Debug)]
pub(super) struct Platform {
    pub(super) types: Types,
    pub(super) catalog: Catalog,
    pub(super) manifest: Manifest,
    pub(super) declared: Map<Uid, Node>,
    pub(super) declared_ids: BTreeSet<Uid>,
    pub(super) groups: Map<String, Groups>,
    pub(super) workload_facts: HashMap<String, Value>,
    pub(super) service_facts: HashMap<String, Value>,
    pub(super) folders: Vec<String>,
    pub(super) mesh: Arc<Bundle>,
    pub(super) digest: String,
    /// Digest of all that namespaces' policies are checked against: the platform's files but the mesh's policies, and the
    /// namespaces' names.
    pub(super) ground: String,
    pub(super) schema_digest: String,
}

/// What became of a tree.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The snapshot to use from now on; `None` where nothing can be used and nothing was before.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Units that were refused: `mesh` or a namespace's name. Their last good version stays.
    pub refused: Vec<String>,
    /// Namespaces whose version takes longer to load than others may wait. What they have in force stays; where it cannot,
    /// their calls are denied until they are loaded.
    pub postponed: Vec<String>,
    /// Everything found, errors first.
    pub problems: Vec<Problem>,
}

impl Platform {
    /// What a bundle's policies are validated against.
    pub(super) fn validation(&self) -> ValidationContext<'_> {
        let known = KnownEntities { catalog: &self.catalog, folders: &self.folders, declared: &self.declared_ids };
        ValidationContext { types: &self.types, known, manifest: &self.manifest }
    }
}

impl Snapshot {
    pub(super) fn assemble(platform: Arc<Platform>, namespaces: BTreeMap<String, Part>, engine: Arc<Engine>) -> Self {
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
        let mut changeable = Map::default();
        let mut names = Names::of_catalog(&platform.catalog);
        platform.mesh.named.iter().chain(&platform.declared_ids).for_each(|uid| names.add(uid));
        let mut own_names = Map::default();
        for (name, unit) in loaded() {
            let mut both = platform.mesh.changeable.clone();
            both.merge(&unit.changeable);
            changeable.insert(name.clone(), both);
            let mut own = Names::default();
            // What it calls others' things is nobody's trouble.
            let is_its_own = |uid: &&Uid| namespace_of(&uid.id) == Some(name.as_str());
            unit.named.iter().filter(is_its_own).for_each(|uid| own.add(uid));
            own_names.insert(name.clone(), own);
        }
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        let (reads, changeable) = (Arc::new(reads), Arc::new(changeable));
        let (names, own_names) = (Arc::new(names), Arc::new(own_names));
        Self { platform, namespaces, reads, changeable, names, own_names, digests, engine, generation }
    }

    pub(super) fn platform(&self) -> &Arc<Platform> {
        &self.platform
    }

    pub(super) fn parts(&self) -> &BTreeMap<String, Part> {
        &self.namespaces
    }

    /// The same for whoever only looks: what is found and counted stays apart from what calls find.
    #[must_use]
    pub fn looking(&self) -> Self {
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
        }
    }

    /// Different for every snapshot that was ever made by this process.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Finds satisfied policies; shared by all snapshots of one line.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The catalogue.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.platform.catalog
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

    /// A namespace's policies; `None` where it has no folder and the mesh alone judges.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name).map(|part| &part.state)
    }

    /// Whether calls into a namespace are known to take long to judge, because many policies speak of one of them.
    #[must_use]
    pub fn is_crowded(&self, namespace: &str) -> bool {
        match self.namespace(namespace) {
            Some(Namespace::Loaded(unit)) => unit.hot.was_met(),
            Some(Namespace::Invalid) => false,
            None => self.mesh().hot.was_met(),
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

    /// What the policies that can judge a call of this family to this service can read, by its id.
    #[must_use]
    pub fn reads(&self, service: &str, family: Family) -> &Reads {
        self.reads.of(service, family)
    }

    /// What policies of the mesh or of `namespace` can change of a call.
    #[must_use]
    pub fn changeable(&self, namespace: &str) -> &Changeable {
        self.changeable.get(namespace).unwrap_or(&self.platform.mesh.changeable)
    }

    /// A tool, model or prompt that the policies which judge a call into `namespace` count on, and that some provider
    /// takes `uid` for, though it is named otherwise.
    #[must_use]
    pub fn named_otherwise(&self, namespace: &str, uid: &Uid) -> Option<&str> {
        if !names::is_chosen(uid) {
            return None;
        }
        let own = self.own_names.get(namespace).map_or(&[][..], |names| names.alike(uid));
        // Each by itself: what a namespace calls a thing takes nothing from what the mesh says of another name.
        let other = |known: &&[SmolStr]| !known.is_empty() && !known.contains(&uid.id);
        let other = [self.names.alike(uid), own].into_iter().find(other)?;
        other.first().map(SmolStr::as_str)
    }

    /// Ids of all loaded policies of the mesh and every namespace, by unit.
    #[must_use]
    pub fn policy_ids(&self) -> BTreeMap<String, Vec<String>> {
        let loaded = self.namespaces.iter().filter_map(|(name, part)| match &part.state {
            Namespace::Loaded(unit) => Some((name, unit.as_ref())),
            Namespace::Invalid => None,
        });
        ids_by_bundle(&self.platform.mesh, loaded)
    }

    /// What `entities.json` says about an entity.
    #[must_use]
    pub fn declared(&self, uid: &Uid) -> Option<&Node> {
        self.platform.declared.get(uid)
    }

    /// The catalogue's groups of a workload; `None` where it has none.
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

    /// Reads JSON as one of the facts' record types; Cedar itself checks it.
    ///
    /// # Errors
    /// Cedar's message.
    pub fn typed(&self, kind: FactsType, json: &serde_json::Value) -> Result<Value, String> {
        self.platform.types.typed(kind, json)
    }
}

/// The units whose policies judge calls into a namespace: the mesh's and its own.
///
/// # Errors
/// [`Code::BundleInvalid`] where its policies never loaded.
pub fn judging(snapshot: &Snapshot, namespace: &str) -> Result<Vec<Arc<Bundle>>, Failure> {
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

/// Ids of the policies of the mesh's bundle and the namespaces' bundles, by bundle.
fn ids_by_bundle<'a>(
    mesh: &Bundle,
    namespaces: impl Iterator<Item = (&'a String, &'a Bundle)>,
) -> BTreeMap<String, Vec<String>> {
    let ids = |bundle: &Bundle| bundle.entries.keys().cloned().collect::<Vec<_>>();
    let mut all: BTreeMap<String, Vec<String>> = namespaces.map(|(name, bundle)| (name.clone(), ids(bundle))).collect();
    all.insert(MESH.to_owned(), ids(mesh));
    all
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

/// Files that belong to the mesh's unit beside `mesh/*.cedar`.
pub(super) const PLATFORM_FILES: [&str; 5] =
    [manifest::FILE, schema::BUILT_IN_FILE, schema::FACTS_FILE, "catalog.yaml", "entities.json"];
