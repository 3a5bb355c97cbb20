//! One bundle of policies, the mesh's or a namespace's: parsed, checked, confined, ready to evaluate.

mod by_id;
mod error;
pub(super) mod hot;
pub mod index;
pub(super) mod names;
pub mod reads;
pub mod release;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use cedar_policy::{Effect, PolicySet};

use super::limits::MESH;
use super::policy::context::ValidationContext;
use super::policy::entry::{Entry, FileContext};
use super::policy::interner::Interner;
use super::policy::mode::Mode;
use super::policy::{entry, source};
use super::schema::{Types, uid_of};
use crate::obligation::Changeable;
use crate::problem::Problem;
use crate::query::{Node, Reads, Uid};
use by_id::ById;
pub use error::BundleError;
use hot::Hot;
use index::Index;
use reads::ReadsByScope;
use release::ReleasePolicies;
use requests::RequestPolicies;

/// How fast a bundle is loaded.
#[derive(Clone, Copy)]
pub struct Pace<'a> {
    /// Says whether time is up.
    pub is_late: &'a dyn Fn() -> bool,
    /// Called before each policy, so that whoever loads can let calls run first.
    pub pause: fn(),
}

/// The policies of one bundle, split as they are evaluated.
#[derive(Debug, Default)]
pub struct Bundle {
    /// Every policy by its id.
    pub entries: BTreeMap<String, Arc<Entry>>,
    /// The inputs that its policies read, by the calls that they can apply to.
    pub(super) reads: ReadsByScope,
    /// Its policies about responses.
    pub(super) releases: ReleasePolicies,
    /// Its policies about requests.
    pub(super) requests: RequestPolicies,
    /// The parts of a call that its policies can change.
    pub changeable: Changeable,
    /// Tools, models and prompts that its policies name.
    pub(super) named: BTreeSet<Uid>,
    /// A would-be verdict can differ from the enforced one: a policy is in shadow mode, or a bridge.
    pub watched: bool,
    /// Different for every bundle that this process ever loaded.
    pub generation: u64,
    /// The namespace that all of its policies are confined to.
    home: Option<Uid>,
    /// The same policies in a hash map: lookups on the request path.
    by_id: ById,
    /// Calls that it applies to may take long.
    pub(super) hot: Hot,
    indexes: [[Index; 2]; 2],
    policy_sets: [[OnceLock<PolicySet>; 2]; 2],
}

impl Bundle {
    /// Checks the files of one bundle (path in the tree, text). `unit` is [`MESH`] or a namespace.
    ///
    /// Warnings and notes go to `notes`; `pace` returns now and then whether to stop.
    ///
    /// # Errors
    /// Every problem of every file, or that it is late.
    pub fn load(
        unit: &str,
        files: &[(&str, &Arc<str>)],
        validation: ValidationContext<'_>,
        notes: &mut Vec<Problem>,
        pace: Pace<'_>,
    ) -> Result<Self, BundleError> {
        let mut problems = Vec::new();
        let home = (unit != MESH).then(|| Uid::new("Namespace", unit));
        let mut loaded = Self { home, ..Self::default() };
        let mut interner = Interner::default();
        for (file, text) in files {
            let context = FileContext { unit, file, shared_file: Arc::from(*file), text, validation };
            for batch in source::batches(file, text) {
                if (pace.is_late)() {
                    return Err(BundleError::Late);
                }
                match batch {
                    Ok(batch) => loaded.take(&context, &batch, pace.pause, &mut interner, &mut problems),
                    Err(faults) => problems.extend(faults),
                }
            }
        }
        let (errors, mild): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|p| p.severity == crate::problem::Severity::Error);
        notes.extend(mild);
        if !errors.is_empty() {
            return Err(BundleError::Faulty(errors));
        }
        loaded.build_indexes(validation.types);
        Ok(loaded)
    }

    /// Returns whether its policies may apply to a resource. If not, none is satisfied and none fails.
    pub(super) fn applies_to(&self, resource: &Node) -> bool {
        self.home.as_ref().is_none_or(|home| resource.uid == *home || resource.ancestors.contains(home))
    }

    /// The indexes of permits and of forbids.
    #[must_use]
    pub fn indexes(&self, mode: Mode) -> [&Index; 2] {
        let [permits, forbids] = pick(&self.indexes, mode);
        [permits, forbids]
    }

    /// All permits and all forbids of one mode, for the reference. Built at the first use: it takes as much memory
    /// again as the policies.
    ///
    /// # Errors
    /// Cedar's message.
    pub fn policy_sets(&self, mode: Mode) -> Result<[&PolicySet; 2], String> {
        let [permits, forbids] = pick(&self.policy_sets, mode);
        let [permit_index, forbid_index] = self.indexes(mode);
        Ok([policy_set(permits, permit_index)?, policy_set(forbids, forbid_index)?])
    }

    /// The policy with this id.
    #[must_use]
    pub fn entry(&self, id: &str) -> Option<&Arc<Entry>> {
        self.by_id.get(id)
    }

    fn build_indexes(&mut self, types: &Types) {
        static GENERATIONS: AtomicU64 = AtomicU64::new(1);
        self.generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        let of = |mode: Mode, effect: Effect| {
            let chosen = self.entries.values().filter(|entry| entry.mode == mode && entry.effect == effect);
            Index::new(chosen.cloned().collect(), types)
        };
        let both = |mode| [of(mode, Effect::Permit), of(mode, Effect::Forbid)];
        self.indexes = [both(Mode::Enforce), both(Mode::Shadow)];
        self.by_id = self.entries.values().cloned().collect();
    }

    fn take(
        &mut self,
        context: &FileContext<'_>,
        batch: &source::Batch<'_>,
        pause: fn(),
        interner: &mut Interner,
        problems: &mut Vec<Problem>,
    ) {
        problems.extend(batch.validate(context.unit, context.validation.types));
        for written in &batch.policies {
            pause();
            match entry::entry(context, written, problems) {
                Ok((mut entry, reads)) => {
                    interner.share(&mut entry);
                    self.insert(entry, &reads, context.validation.types, problems);
                }
                Err(faults) => problems.extend(faults),
            }
        }
    }

    fn insert(&mut self, entry: Entry, reads: &Reads, types: &Types, problems: &mut Vec<Problem>) {
        if let Some(other) = self.entries.get(&entry.id) {
            let message = format!("two policies have the id `{}`; the other is in `{}`", entry.id, other.file);
            problems.push(Problem::error(entry.file.as_ref(), message).at(Some(entry.span.clone())));
            return;
        }
        self.reads.add(&entry.policy, reads, types);
        self.releases.add(&entry, reads);
        self.requests.add(&entry);
        self.changeable.merge(&entry.obligations.changeable());
        self.named.extend(entry.policy.entity_literals().iter().map(uid_of).filter(names::is_chosen));
        self.watched |= entry.bridge || entry.mode == Mode::Shadow;
        self.entries.insert(entry.id.clone(), Arc::new(entry));
    }
}

fn pick<T>(all: &[[T; 2]; 2], mode: Mode) -> &[T; 2] {
    let [enforced, shadow] = all;
    match mode {
        Mode::Enforce => enforced,
        Mode::Shadow => shadow,
    }
}

fn policy_set<'a>(set: &'a OnceLock<PolicySet>, index: &Index) -> Result<&'a PolicySet, String> {
    if let Some(set) = set.get() {
        return Ok(set);
    }
    let built = PolicySet::from_policies(index.entries().map(|entry| entry.policy.clone()));
    let built = built.map_err(|error| error.to_string())?;
    Ok(set.get_or_init(|| built))
}
