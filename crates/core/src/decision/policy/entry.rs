//! One policy as its bundle enforces it, with every check that Cedar's validator does not make.

use std::ops::Range;
use std::sync::Arc;

use cedar_policy::{Effect, Policy, PolicyId, pst};
use cedar_policy_core::ast;

use super::annotations::{self, Annotated};
use super::context::ValidationContext;
use super::cost::Cost;
use super::guards::Guards;
use super::mode::Mode;
use super::remedy::Remedy;
use super::required_inputs::RequiredInputs;
use super::source::SourcePolicy;
use super::{confine, found, key_spellings, lint, named, template_types, tool_scope};
use crate::decision::accesses::Accesses;
use crate::decision::limits::MESH;
use crate::decision::read_set::ReadSet;
use crate::obligation::permit;
use crate::problem::Problem;
use crate::query::{Keys, Reads};

/// One policy in its enforced form.
#[derive(Debug)]
pub struct Entry {
    /// `<bundle>/<@id or file#n>`.
    pub id: String,
    /// Its file.
    pub file: Arc<str>,
    /// Its place in that file.
    pub span: Range<usize>,
    /// Its first line in that file, from 1.
    pub line: usize,
    /// Permit or forbid.
    pub effect: Effect,
    /// Enforced or shadow.
    pub mode: Mode,
    /// `@bridge`: opens a namespace with policies in shadow mode.
    pub bridge: bool,
    /// The policy as rewritten for its bundle; its id is [`Entry::id`]. It has only the evaluated parts:
    /// [`Entry::syntax`] has the clauses.
    pub policy: Policy,
    /// The obligations of a permit.
    pub obligations: permit::Obligations,
    /// The remedy of a forbid.
    pub remedy: Option<Remedy>,
    /// `@deny_status`.
    pub deny_status: Option<u16>,
    /// `@reason`.
    pub reason: Option<String>,
    /// The read set of its conditions. Most policies of a bundle have the same one, and share it.
    pub read_set: Arc<ReadSet>,
    /// Its conditions test findings in the content.
    pub tests_findings: bool,
    /// Its conditions test whether all of the content was read.
    pub tests_inspected: bool,
    /// Estimated cost of its conditions.
    pub cost: Cost,
    /// The guards of its conditions, which are indexed as its scope is.
    pub(in crate::decision) guards: Guards,
    /// Number of leading conditions that hold if [`Bundle::applies_to`] does: those of the confinement.
    pub(in crate::decision) settled: usize,
    /// The text of its file; the policies of one file share it.
    text: Arc<str>,
}

impl Entry {
    /// The policy as its file has it.
    #[must_use]
    pub fn source(&self) -> &str {
        self.text.get(self.span.clone()).unwrap_or_default()
    }

    /// The clauses of the rewritten policy, parsed again from the file's text: only explanations need them, so a load
    /// does not keep them.
    ///
    /// # Errors
    /// Cedar's message.
    pub fn syntax(&self) -> Result<pst::Template, String> {
        let written = Policy::parse(None, self.source()).map_err(|error| error.to_string())?;
        let written = written.to_pst().map_err(|error| error.to_string())?;
        let (unit, _) = self.id.split_once('/').unwrap_or((&self.id, ""));
        rewritten(unit, &tool_scope::as_enforced(written.body(), &self.policy), &self.id)
    }
}

/// One file of a bundle, and its validation context.
pub(in crate::decision) struct FileContext<'a> {
    pub(in crate::decision) unit: &'a str,
    pub(in crate::decision) file: &'a str,
    pub(in crate::decision) shared_file: Arc<str>,
    pub(in crate::decision) text: &'a Arc<str>,
    pub(in crate::decision) validation: ValidationContext<'a>,
}

/// Makes an entry of a policy, with every check that Cedar's validator does not make.
pub(in crate::decision) fn entry(
    context: &FileContext<'_>,
    written: &SourcePolicy<'_>,
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
    let accesses = Accesses::of(pst.body());
    let required = RequiredInputs::of(&accesses);
    faults.extend(named::check(context, written, problems));
    faults.extend(lint::patterns::faults(policy).into_iter().map(&fault));
    faults.extend(required.keys.iter().filter_map(lint::keys::check).map(&fault));
    faults.extend(lint::inapplicable_actions(policy, context.unit, context.validation.types).into_iter().map(&fault));
    let warning = |message| Problem::warning(context.file, message).at(Some(written.span.clone()));
    problems.extend(lint::warnings(policy, pst.body()).into_iter().map(&warning));
    problems.extend(lint::parents::warnings(policy, context.validation.known.catalog).into_iter().map(&warning));
    let fields = lint::fields::check(policy, &required.keys, context.unit, context.validation.known.catalog);
    faults.extend(fields.faults.into_iter().map(&fault));
    problems.extend(fields.warnings.into_iter().map(warning));
    let note = lint::index::note(context.file, context.unit, &name, pst.body());
    problems.extend(note.map(|note| note.at(Some(written.span.clone()))));
    let annotated = match annotations::read(context.unit, policy, context.validation) {
        Ok(annotated) => Some(annotated),
        Err(messages) => {
            faults.extend(messages.into_iter().map(&fault));
            None
        }
    };
    let remedy = annotated.as_ref().and_then(|annotated| annotated.remedy.as_ref());
    faults.extend(found::check(context, written, pst.body(), &required.reads.content.enforced, remedy));
    let id = format!("{}/{name}", context.unit);
    faults.extend(tool_scope::faults(pst.body(), context.unit, context.validation.types).into_iter().map(&fault));
    let rewritten =
        rewritten(context.unit, &tool_scope::enforced(pst.body(), context.unit, context.validation.types), &id);
    let mut reads = required.reads;
    let tested = reads.content.enforced.tested.clone();
    match (rewritten, annotated) {
        (Ok(rewritten), Some(annotated)) if faults.is_empty() => {
            template_types::reads(annotated.obligations.templates(), &mut reads);
            by_mode(&mut reads, annotated.remedy.as_ref(), context.validation.manifest.mode(context.file));
            key_spellings::note(&mut reads);
            let policy = evaluated(rewritten).map_err(|message| vec![fault(message)])?;
            // Taken from the policy as written: the added confinement is settled for the bundle as a whole.
            let taken = Taken {
                read_set: Arc::new(ReadSet::of(&accesses)),
                guards: Guards::of(pst.body()),
                tests_findings: tested != Keys::default(),
                tests_inspected: found::tests_inspected(&accesses),
            };
            Ok((enforced(annotated, context, written, id, policy, taken), reads))
        }
        (Err(message), _) => {
            faults.push(fault(message));
            Err(faults)
        }
        (Ok(_), _) => Err(faults),
    }
}

/// What is taken from a policy as written.
struct Taken {
    read_set: Arc<ReadSet>,
    guards: Guards,
    tests_findings: bool,
    tests_inspected: bool,
}

/// Adds the mask, and moves what is read of the content to the policy's mode.
fn by_mode(reads: &mut Reads, remedy: Option<&Remedy>, mode: Mode) {
    let content = &mut reads.content;
    if let Some(Remedy::Mask { detectors }) = remedy {
        content.enforced.masks.insert(detectors.clone());
    }
    match mode {
        Mode::Enforce => {}
        Mode::Shadow => std::mem::swap(&mut content.enforced, &mut content.shadow),
    }
}

/// A policy as its bundle enforces it, under its id there.
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
    context: &FileContext<'_>,
    written: &SourcePolicy<'_>,
    id: String,
    policy: Policy,
    taken: Taken,
) -> Entry {
    Entry {
        id,
        file: Arc::clone(&context.shared_file),
        span: written.span.clone(),
        line: written.line,
        effect: written.policy.effect(),
        mode: context.validation.manifest.mode(context.file),
        bridge: annotated.bridge.is_some(),
        cost: Cost::of_policy(&policy),
        policy,
        obligations: annotated.obligations,
        remedy: annotated.remedy,
        deny_status: annotated.deny_status,
        reason: annotated.reason,
        tests_findings: taken.tests_findings,
        tests_inspected: taken.tests_inspected,
        read_set: taken.read_set,
        guards: taken.guards,
        settled: usize::from(context.unit != MESH),
        text: Arc::clone(context.text),
    }
}
