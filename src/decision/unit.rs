//! One unit of policies, the mesh's or a namespace's: parsed, checked, confined, ready to evaluate.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, pst};
use cedar_policy_core::ast;

use super::annotations::{self, Annotated};
use super::cost::Cost;
use super::evaluate::Part;
use super::index::Index;
use super::lead::Lead;
use super::literals::Known;
use super::manifest::{Manifest, Mode};
use super::reach::Reach;
use super::reads::ReadsByScope;
use super::remedy::Remedy;
use super::schema::{Types, uid_of};
use super::typed::scope;
use super::{confine, footprint, lint, names, template_types, together};
use crate::courtesy::let_others_run;
use crate::obligation::{Changeable, permit};
use crate::problem::Problem;
use crate::query::{Node, Reads, Uid};
use by_id::ById;
use crowd::Crowd;
use shared::Shared;
pub use stopped::Stopped;
use written::Written;

mod by_id;
mod crowd;
mod named;
mod shared;
mod stopped;
mod written;

/// Longest policy text that is accepted, in bytes. What it costs in a call, [`super::allowance`] bounds.
pub const POLICY_BYTES_MAX: usize = 16 * 1024;
/// Deepest nesting of brackets that is accepted: bounds the stack that one evaluation needs.
pub const NESTING_MAX: usize = 48;
/// Most operators and clauses of one policy, which nest without brackets: bounds the stack that reading it needs.
pub const OPERATORS_MAX: usize = 256;
/// Stack of threads that read policies, in bytes: enough for the longest and deepest that is accepted, in a debug build
/// too (27 KiB a level; 5 KiB in a release build, rustc 1.95).
pub const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Name of the mesh's unit.
pub const MESH: &str = "mesh";

/// One policy, as it is enforced.
#[derive(Debug)]
pub struct Entry {
    /// `<unit>/<@id or file#n>`.
    pub id: String,
    /// The file it stands in.
    pub file: Arc<str>,
    /// Where in that file.
    pub span: Range<usize>,
    /// The line of that file it begins in, from 1.
    pub line: usize,
    /// Permit or forbid.
    pub effect: Effect,
    /// Whether it decides.
    pub mode: Mode,
    /// `@bridge`: opens a namespace that is only observed yet.
    pub bridge: bool,
    /// As rewritten for its unit; its id is [`Entry::id`]. Only what is evaluated: [`Entry::syntax`] has the clauses.
    pub policy: Policy,
    /// What a permit asks for.
    pub obligations: permit::Obligations,
    /// How a forbid can be lifted.
    pub remedy: Option<Remedy>,
    /// `@deny_status`.
    pub deny_status: Option<u16>,
    /// `@reason`.
    pub reason: Option<String>,
    /// What its conditions reach. Most policies of a unit reach the same, and share it.
    pub reach: Arc<Reach>,
    /// What evaluating its conditions can cost.
    pub cost: Cost,
    /// What the head of its conditions tests, which is indexed as its scope is.
    pub(super) lead: Lead,
    /// How many conditions at the head hold wherever [`Unit::speaks_of`] says so: confinement's.
    pub(super) settled: usize,
    /// All of its file; the policies of one file share it.
    text: Arc<str>,
}

impl Entry {
    /// The rewritten policy's clauses as they are written, read again from the file's text: the few that explain
    /// pay for it, and not everybody who loads.
    ///
    /// # Errors
    /// Cedar's message.
    pub fn syntax(&self) -> Result<pst::Template, String> {
        let source = self.text.get(self.span.clone()).unwrap_or_default();
        let written = Policy::parse(None, source).map_err(|error| error.to_string())?;
        let written = written.to_pst().map_err(|error| error.to_string())?;
        let (unit, _) = self.id.split_once('/').unwrap_or((&self.id, ""));
        rewritten(unit, &scope::as_enforced(written.body(), &self.policy), &self.id)
    }
}

/// A unit's policies, split as they are evaluated.
#[derive(Debug, Default)]
pub struct Unit {
    /// Every policy by its id.
    pub entries: BTreeMap<String, Arc<Entry>>,
    /// What they can read, by the calls that they can judge.
    pub(super) reads: ReadsByScope,
    /// What they can change of a call.
    pub changeable: Changeable,
    /// Tools, models and prompts that they name.
    pub(super) named: BTreeSet<Uid>,
    /// Whether a would-be verdict can differ from the enforced one: a policy is in shadow, or a bridge.
    pub watched: bool,
    /// Different for every unit that was ever loaded by this process.
    pub generation: u64,
    /// The namespace that all of its policies are confined to.
    home: Option<Uid>,
    /// Every policy again, for whom a call waits.
    by_id: ById,
    /// Whether calls that it judges may take long.
    pub(super) crowd: Crowd,
    indexes: [[Index; 2]; 2],
    plain: [[OnceLock<PolicySet>; 2]; 2],
}

/// What the checks of a unit need to know.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// The schema.
    pub types: &'a Types,
    /// What exists.
    pub known: Known<'a>,
    /// Modes and freed headers.
    pub manifest: &'a Manifest,
}

impl Unit {
    /// Checks the files of one unit (path in the tree, text). `unit` is [`MESH`] or a namespace.
    ///
    /// Warnings and notes go to `notes`; `late` is asked now and then whether to go on.
    ///
    /// # Errors
    /// Every problem of every file, or that it is late.
    pub fn load(
        unit: &str,
        files: &[(&str, &Arc<str>)],
        against: Against<'_>,
        notes: &mut Vec<Problem>,
        late: &dyn Fn() -> bool,
    ) -> Result<Self, Stopped> {
        let mut problems = Vec::new();
        let home = (unit != MESH).then(|| Uid::new("Namespace", unit));
        let mut loaded = Self { home, ..Self::default() };
        let mut shared = Shared::default();
        for (file, text) in files {
            let context = Context { unit, file, shared_file: Arc::from(*file), text, against };
            for batch in written::batches(file, text) {
                if late() {
                    return Err(Stopped::Late);
                }
                match batch {
                    Ok(batch) => loaded.take(&context, &batch, &mut shared, &mut problems),
                    Err(faults) => problems.extend(faults),
                }
            }
        }
        let (errors, mild): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|p| p.severity == crate::problem::Severity::Error);
        notes.extend(mild);
        if !errors.is_empty() {
            return Err(Stopped::Faulty(errors));
        }
        loaded.build_indexes(against.types);
        Ok(loaded)
    }

    /// Whether its policies may speak of a resource. Where not, none is satisfied and none fails.
    pub(super) fn speaks_of(&self, resource: &Node) -> bool {
        self.home.as_ref().is_none_or(|home| resource.uid == *home || resource.ancestors.contains(home))
    }

    /// The indexes of permits and of forbids.
    #[must_use]
    pub fn indexes(&self, part: Part) -> [&Index; 2] {
        let [permits, forbids] = pick(&self.indexes, part);
        [permits, forbids]
    }

    /// All permits and all forbids of one part, for the plain way. Built when first asked for: it takes as much
    /// memory again as the policies.
    ///
    /// # Errors
    /// Cedar's message.
    pub fn plain(&self, part: Part) -> Result<[&PolicySet; 2], String> {
        let [permits, forbids] = pick(&self.plain, part);
        let [permit_index, forbid_index] = self.indexes(part);
        Ok([plain(permits, permit_index)?, plain(forbids, forbid_index)?])
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
        context: &Context<'_>,
        batch: &written::Batch<'_>,
        shared: &mut Shared,
        problems: &mut Vec<Problem>,
    ) {
        problems.extend(batch.validate(context.unit, context.against.types));
        for written in &batch.policies {
            let_others_run();
            match entry(context, written, problems) {
                Ok((mut entry, reads)) => {
                    shared.share(&mut entry);
                    self.insert(entry, &reads, context.against.types, problems);
                }
                Err(faults) => problems.extend(faults),
            }
        }
    }

    fn insert(&mut self, entry: Entry, reads: &Reads, types: &Types, problems: &mut Vec<Problem>) {
        if let Some(other) = self.entries.get(&entry.id) {
            let message = format!("two policies are called `{}`; the other is in `{}`", entry.id, other.file);
            problems.push(Problem::error(entry.file.as_ref(), message).at(Some(entry.span.clone())));
            return;
        }
        self.reads.add(&entry.policy, reads, types);
        self.changeable.merge(&entry.obligations.changeable());
        self.named.extend(entry.policy.entity_literals().iter().map(uid_of).filter(names::is_chosen));
        self.watched |= entry.bridge || entry.mode == Mode::Shadow;
        self.entries.insert(entry.id.clone(), Arc::new(entry));
    }
}

fn pick<T>(all: &[[T; 2]; 2], part: Part) -> &[T; 2] {
    let [enforced, shadow] = all;
    match part {
        Part::Enforced => enforced,
        Part::Shadow => shadow,
    }
}

fn plain<'a>(set: &'a OnceLock<PolicySet>, index: &Index) -> Result<&'a PolicySet, String> {
    if let Some(set) = set.get() {
        return Ok(set);
    }
    let built = PolicySet::from_policies(index.entries().map(|entry| entry.policy.clone()));
    let built = built.map_err(|error| error.to_string())?;
    Ok(set.get_or_init(|| built))
}

/// One file of a unit, and what it is checked against.
struct Context<'a> {
    unit: &'a str,
    file: &'a str,
    shared_file: Arc<str>,
    text: &'a Arc<str>,
    against: Against<'a>,
}

/// Makes an entry of a policy, with everything Cedar's validator does not check.
fn entry(
    context: &Context<'_>,
    written: &Written<'_>,
    problems: &mut Vec<Problem>,
) -> Result<(Entry, Reads), Vec<Problem>> {
    let fault = |message: String| Problem::error(context.file, message).at(Some(written.span.clone()));
    let mut faults: Vec<Problem> = Vec::new();
    let policy = &written.policy;
    let stem = context.file.rsplit('/').next().unwrap_or(context.file);
    let id = policy.annotations().find_map(|(key, value)| (key == "id").then_some(value));
    let name = match id {
        Some(id) if lint::is_policy_name(id) => id.to_owned(),
        Some(id) => {
            faults
                .push(fault(format!("`@id(\"{id}\")` is not a name of letters, digits and -._ of at most 128 bytes")));
            id.to_owned()
        }
        None => format!("{stem}#{}", written.number),
    };
    let pst = policy.to_pst().map_err(|error| vec![fault(error.to_string())])?;
    let footprint = footprint::of(pst.body());
    faults.extend(named::check(context, written, problems));
    faults.extend(lint::patterns::faults(policy).into_iter().map(&fault));
    faults.extend(footprint.keys.iter().filter_map(lint::keys::check).map(&fault));
    faults.extend(lint::inapplicable_actions(policy, context.unit, context.against.types).into_iter().map(&fault));
    let warning = |message| Problem::warning(context.file, message).at(Some(written.span.clone()));
    problems.extend(lint::warnings(policy, pst.body()).into_iter().map(&warning));
    problems.extend(lint::parents::warnings(policy, context.against.known.catalog).into_iter().map(&warning));
    let fields = lint::fields::check(policy, &footprint.keys, context.unit, context.against.known.catalog);
    faults.extend(fields.faults.into_iter().map(&fault));
    problems.extend(fields.warnings.into_iter().map(warning));
    let note = lint::index::note(context.file, context.unit, &name, pst.body());
    problems.extend(note.map(|note| note.at(Some(written.span.clone()))));
    let annotated = match annotations::read(context.unit, policy, context.against) {
        Ok(annotated) => Some(annotated),
        Err(messages) => {
            faults.extend(messages.into_iter().map(&fault));
            None
        }
    };
    let id = format!("{}/{name}", context.unit);
    faults.extend(scope::faults(pst.body(), context.unit, context.against.types).into_iter().map(&fault));
    let rewritten = rewritten(context.unit, &scope::enforced(pst.body(), context.unit, context.against.types), &id);
    let mut reads = footprint.reads;
    match (rewritten, annotated) {
        (Ok(rewritten), Some(annotated)) if faults.is_empty() => {
            template_types::reads(annotated.obligations.templates(), &mut reads);
            together::note(&mut reads);
            let policy = evaluated(rewritten).map_err(|message| vec![fault(message)])?;
            // Of the policy as written: what confinement adds is settled for the unit as a whole.
            let (reach, lead) = (Arc::new(Reach::of(pst.body())), Lead::of(pst.body()));
            Ok((enforced(annotated, context, written, id, (policy, reach, lead)), reads))
        }
        (Err(message), _) => {
            faults.push(fault(message));
            Err(faults)
        }
        (Ok(_), _) => Err(faults),
    }
}

/// A policy as it is enforced in its unit, under its id there.
fn rewritten(unit: &str, policy: &pst::Template, id: &str) -> Result<pst::Template, String> {
    let body = if unit == MESH { policy.clone() } else { confine::confine(policy, unit)? };
    Ok(body.with_id(pst::PolicyID(id.into())))
}

/// A policy without its syntax, which is several times as large.
fn evaluated(policy: pst::Template) -> Result<Policy, String> {
    let id = PolicyId::from(policy.id.clone());
    let policy = pst::StaticPolicy::try_from(policy).map_err(|error| error.to_string())?;
    let policy = ast::Policy::try_from(pst::Policy::from(policy)).map_err(|error| error.to_string())?;
    Ok(Policy::from(policy).new_id(id))
}

fn enforced(
    annotated: Annotated,
    context: &Context<'_>,
    written: &Written<'_>,
    id: String,
    (policy, reach, lead): (Policy, Arc<Reach>, Lead),
) -> Entry {
    Entry {
        id,
        file: Arc::clone(&context.shared_file),
        span: written.span.clone(),
        line: written.line,
        effect: written.policy.effect(),
        mode: context.against.manifest.mode(context.file),
        bridge: annotated.bridge.is_some(),
        cost: Cost::of_policy(&policy),
        policy,
        obligations: annotated.obligations,
        remedy: annotated.remedy,
        deny_status: annotated.deny_status,
        reason: annotated.reason,
        reach,
        lead,
        settled: usize::from(context.unit != MESH),
        text: Arc::clone(context.text),
    }
}
