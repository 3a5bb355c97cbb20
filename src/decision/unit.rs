//! One unit of policies, the mesh's or a namespace's: parsed, checked, confined, ready to evaluate.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, ValidationMode, pst};

use super::annotations::{self, Annotated};
use super::evaluate::Part;
use super::index::Index;
use super::literals::{Known, Unknown};
use super::manifest::{Manifest, Mode};
use super::reach::Reach;
use super::remedy::Remedy;
use super::schema::Types;
use super::{confine, diagnostics, footprint, lint, template_types};
use crate::call::headers;
use crate::obligation::permit;
use crate::problem::Problem;
use crate::query::Reads;

/// Longest policy text that is accepted, in bytes: bounds what one evaluation can cost.
pub const POLICY_BYTES_MAX: usize = 16 * 1024;
/// Deepest nesting of brackets that is accepted: bounds the stack that one evaluation needs.
pub const NESTING_MAX: usize = 48;

/// Name of the mesh's unit.
pub const MESH: &str = "mesh";

/// One policy, as it is enforced.
#[derive(Debug)]
pub struct Entry {
    /// `<unit>/<@id or file#n>`.
    pub id: String,
    /// The file it stands in.
    pub file: String,
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
    /// As rewritten for its unit; its id is [`Entry::id`].
    pub policy: Policy,
    /// As written, for whoever explains it.
    pub source: String,
    /// What a permit asks for.
    pub obligations: permit::Obligations,
    /// How a forbid can be lifted.
    pub remedy: Option<Remedy>,
    /// `@deny_status`.
    pub deny_status: Option<u16>,
    /// `@reason`.
    pub reason: Option<String>,
    /// What its conditions reach.
    pub reach: Reach,
}

/// A unit's policies, split as they are evaluated.
#[derive(Debug, Default)]
pub struct Unit {
    /// Every policy by its id.
    pub entries: BTreeMap<String, Arc<Entry>>,
    /// Enforced permits.
    pub permits: PolicySet,
    /// Enforced forbids.
    pub forbids: PolicySet,
    /// Shadow permits.
    pub shadow_permits: PolicySet,
    /// Shadow forbids.
    pub shadow_forbids: PolicySet,
    /// What all of them can read.
    pub reads: Reads,
    /// Request headers they can set, names folded.
    pub settable: BTreeSet<String>,
    /// Whether a would-be verdict can differ from the enforced one: a policy is in shadow, or a bridge.
    pub watched: bool,
    /// Different for every unit that was ever loaded by this process.
    pub generation: u64,
    indexes: [[Index; 2]; 2],
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
    /// Warnings and notes go to `notes`.
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn load(
        unit: &str,
        files: &[(&str, &str)],
        against: Against<'_>,
        notes: &mut Vec<Problem>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut loaded = Self::default();
        for (file, text) in files {
            match parse(file, text) {
                Ok(policies) => loaded.take_file(unit, file, policies, against, &mut problems),
                Err(faults) => problems.extend(faults),
            }
        }
        let (errors, mild): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|p| p.severity == crate::problem::Severity::Error);
        notes.extend(mild);
        if !errors.is_empty() {
            return Err(errors);
        }
        loaded.build_indexes(against.types);
        Ok(loaded)
    }

    /// The indexes of permits and of forbids.
    #[must_use]
    pub fn indexes(&self, part: Part) -> [&Index; 2] {
        let [[permits, forbids], [shadow_permits, shadow_forbids]] = &self.indexes;
        match part {
            Part::Enforced => [permits, forbids],
            Part::Shadow => [shadow_permits, shadow_forbids],
        }
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
    }

    fn take_file(
        &mut self,
        unit: &str,
        file: &str,
        policies: Vec<Written>,
        against: Against<'_>,
        problems: &mut Vec<Problem>,
    ) {
        problems.extend(validate(file, &policies, against.types));
        for (number, written) in policies.iter().enumerate() {
            let context = Context { unit, file, number: number + 1, against };
            match entry(&context, written, problems) {
                Ok((entry, reads)) => self.insert(entry, &reads, problems),
                Err(faults) => problems.extend(faults),
            }
        }
    }

    fn insert(&mut self, entry: Entry, reads: &Reads, problems: &mut Vec<Problem>) {
        let set = match (entry.mode, entry.effect) {
            (Mode::Enforce, Effect::Permit) => &mut self.permits,
            (Mode::Enforce, Effect::Forbid) => &mut self.forbids,
            (Mode::Shadow, Effect::Permit) => &mut self.shadow_permits,
            (Mode::Shadow, Effect::Forbid) => &mut self.shadow_forbids,
        };
        if let Some(other) = self.entries.get(&entry.id) {
            let message = format!("two policies are called `{}`; the other is in `{}`", entry.id, other.file);
            problems.push(Problem::error(&entry.file, message).at(Some(entry.span.clone())));
            return;
        }
        if let Err(error) = set.add(entry.policy.clone()) {
            problems.push(Problem::error(&entry.file, error.to_string()).at(Some(entry.span.clone())));
            return;
        }
        self.reads.merge(reads);
        self.settable.extend(entry.obligations.settable().map(headers::folded));
        self.watched |= entry.bridge || entry.mode == Mode::Shadow;
        self.entries.insert(entry.id.clone(), Arc::new(entry));
    }
}

/// A policy as it stands in its file.
struct Written {
    policy: Policy,
    source: String,
    span: Range<usize>,
    line: usize,
}

struct Context<'a> {
    unit: &'a str,
    file: &'a str,
    number: usize,
    against: Against<'a>,
}

/// Reads a file's policies in the order they stand there.
fn parse(file: &str, text: &str) -> Result<Vec<Written>, Vec<Problem>> {
    if let Some(at) = lint::too_deep(text, NESTING_MAX) {
        let message = format!("brackets are nested deeper than {NESTING_MAX}");
        return Err(vec![Problem::error(file, message).at(Some(at..at + 1)).help("split the policy")]);
    }
    let set: PolicySet = text.parse().map_err(|e: cedar_policy::ParseErrors| diagnostics::problems(file, 0, &e))?;
    if let Some(template) = set.templates().next() {
        let message = format!("`{}` is a template; nothing links templates yet", template.id());
        return Err(vec![Problem::error(file, message).help("write the entity instead of the slot")]);
    }
    let mut policies: Vec<Policy> = set.policies().cloned().collect();
    // Cedar names them `policy0`, `policy1`, … in the order of the file.
    policies.sort_by_key(|p| p.id().to_string().trim_start_matches("policy").parse::<usize>().unwrap_or(usize::MAX));
    let mut from = 0;
    let mut written = Vec::with_capacity(policies.len());
    for policy in policies {
        let source = policy.to_string();
        let at = text.get(from..).and_then(|rest| rest.find(&source)).map_or(from, |found| from + found);
        let span = at..(at + source.len()).min(text.len());
        if source.len() > POLICY_BYTES_MAX {
            let message = format!("the policy is longer than {POLICY_BYTES_MAX} bytes");
            return Err(vec![Problem::error(file, message).at(Some(span))]);
        }
        from = span.end;
        let line = 1 + text.get(..at).map_or(0, |before| before.matches('\n').count());
        written.push(Written { policy, source, span, line });
    }
    Ok(written)
}

/// Strict validation at level 1, as written; Cedar's warnings (such as an inapplicable action) are errors.
fn validate(file: &str, policies: &[Written], types: &Types) -> Vec<Problem> {
    let mut set = PolicySet::new();
    for written in policies {
        // Ids are unique here: Cedar numbered them.
        if let Err(error) = set.add(written.policy.clone()) {
            return vec![Problem::error(file, error.to_string())];
        }
    }
    let result = types.validator().validate_with_level(&set, ValidationMode::Strict, 1);
    let errors = result.validation_errors().map(|error| diagnostics::problem(file, 0, error));
    let warnings = result.validation_warnings().map(|warning| diagnostics::problem(file, 0, warning));
    errors.chain(warnings).map(|problem| readable(problem, policies)).collect()
}

/// Cedar speaks of ``for policy `policy3` ``; the reader knows the policy by its place or its `@id`.
fn readable(mut problem: Problem, policies: &[Written]) -> Problem {
    let named = policies.iter().find_map(|written| {
        let prefix = format!("for policy `{}`, ", written.policy.id());
        problem.message.strip_prefix(&prefix).map(|rest| (rest.to_owned(), written))
    });
    if let Some((rest, written)) = named {
        problem.message = match written.policy.annotation("id") {
            Some(id) => format!("policy `{id}`: {rest}"),
            None => rest,
        };
        if problem.span.is_none() {
            problem.span = Some(written.span.clone());
        }
    }
    problem
}

/// Makes an entry of a policy, with everything Cedar's validator does not check.
fn entry(
    context: &Context<'_>,
    written: &Written,
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
        None => format!("{stem}#{}", context.number),
    };
    let pst = policy.to_pst().map_err(|error| vec![fault(error.to_string())])?;
    let footprint = footprint::of(pst.body());
    faults.extend(check_literals(context, written, problems));
    faults.extend(footprint.keys.iter().filter_map(check_key).map(&fault));
    faults.extend(lint::inapplicable_actions(policy, context.against.types).into_iter().map(&fault));
    let warning = |message| Problem::warning(context.file, message).at(Some(written.span.clone()));
    problems.extend(lint::warnings(policy, &footprint).into_iter().map(warning));
    let note = lint::index::note(context.file, context.unit, &name, pst.body());
    problems.extend(note.map(|note| note.at(Some(written.span.clone()))));
    let annotated = match annotations::read(context.unit, policy, context.against) {
        Ok(annotated) => Some(annotated),
        Err(messages) => {
            faults.extend(messages.into_iter().map(&fault));
            None
        }
    };
    let rewritten = rewrite(context.unit, pst.body(), &format!("{}/{name}", context.unit));
    let mut reads = footprint.reads;
    match (rewritten, annotated) {
        (Ok(rewritten), Some(annotated)) if faults.is_empty() => {
            template_types::reads(annotated.obligations.templates(), &mut reads);
            // Of the policy as rewritten: confinement adds a condition.
            let reach = rewritten.to_pst().map(|pst| Reach::of(pst.body()));
            let reach = reach.map_err(|error| vec![fault(error.to_string())])?;
            Ok((enforced(annotated, context, written, &name, (rewritten, reach)), reads))
        }
        (Err(message), _) => {
            faults.push(fault(message));
            Err(faults)
        }
        (Ok(_), _) => Err(faults),
    }
}

fn rewrite(unit: &str, policy: &pst::Template, id: &str) -> Result<Policy, String> {
    let body = if unit == MESH { policy.clone() } else { confine::confine(policy, unit)? };
    let body = body.with_id(pst::PolicyID(id.into()));
    let body = pst::StaticPolicy::try_from(body).map_err(|error| error.to_string())?;
    let policy = Policy::from_pst(body.into()).map_err(|error| error.to_string())?;
    Ok(policy.new_id(PolicyId::new(id)))
}

fn check_literals(context: &Context<'_>, written: &Written, problems: &mut Vec<Problem>) -> Vec<Problem> {
    let mut faults = Vec::new();
    for literal in written.policy.entity_literals() {
        let at = written.source.find(literal.id().unescaped()).map_or(written.span.clone(), |found| {
            let begin = written.span.start + found;
            begin..begin + literal.id().unescaped().len()
        });
        match context.against.known.check(&literal) {
            Ok(()) => {}
            Err(Unknown::Uncatalogued(message)) if context.against.known.catalog.is_open() => {
                problems.push(Problem::warning(context.file, message).at(Some(at)));
            }
            Err(Unknown::Impossible(message) | Unknown::Uncatalogued(message)) => {
                faults.push(Problem::error(context.file, message).at(Some(at)));
            }
        }
    }
    faults
}

/// A key that no call can have, or must not be read.
fn check_key(used: &footprint::KeyUse) -> Option<String> {
    let key = &used.key;
    match used.bag.as_str() {
        "headers" if headers::is_credential(key) => {
            Some(format!("header `{key}` carries a credential or is Picket's own; policies cannot read it"))
        }
        "headers" if *key != key.to_ascii_lowercase() => {
            Some(format!("header names are in lower case; write `{}`", key.to_ascii_lowercase()))
        }
        "args" | "numbers" | "decimals" | "kinds" if !key.is_empty() && !key.starts_with('/') => {
            Some(format!("arguments are named by JSON pointer; write `/{key}`"))
        }
        _ => None,
    }
}

fn enforced(
    annotated: Annotated,
    context: &Context<'_>,
    written: &Written,
    name: &str,
    (policy, reach): (Policy, Reach),
) -> Entry {
    Entry {
        id: format!("{}/{name}", context.unit),
        file: context.file.to_owned(),
        span: written.span.clone(),
        line: written.line,
        effect: written.policy.effect(),
        mode: context.against.manifest.mode(context.file),
        bridge: annotated.bridge.is_some(),
        policy,
        source: written.source.clone(),
        obligations: annotated.obligations,
        remedy: annotated.remedy,
        deny_status: annotated.deny_status,
        reason: annotated.reason,
        reach,
    }
}
