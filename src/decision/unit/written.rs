//! The policies of one file as they are written: parsed, placed, and checked by Cedar's validator.
//!
//! Knows: Cedar's parser and validator. Must not know: units, rewriting, what policies mean to Picket.

use std::ops::Range;

use cedar_policy::{Policy, PolicySet, ValidationMode};

use super::super::schema::Types;
use super::super::{diagnostics, lint};
use super::{NESTING_MAX, POLICY_BYTES_MAX};
use crate::problem::Problem;

/// Most policies that are held as parsed at once. What is parsed takes several times the memory of what is kept
/// of it, and a large file would leave the allocator with as much again.
const BATCH: usize = 256;

/// Where a policy stands.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) span: Range<usize>,
    /// From 1.
    pub(super) line: usize,
    /// Its number in the file, from 1.
    pub(super) number: usize,
}

/// Some of one file's policies, in the order they stand there.
pub(super) struct Batch<'t> {
    file: &'t str,
    /// Where the first begins.
    offset: usize,
    set: PolicySet,
    pub(super) policies: Vec<Written<'t>>,
}

/// A policy as it stands in its file.
pub(super) struct Written<'t> {
    pub(super) policy: Policy,
    pub(super) source: &'t str,
    pub(super) place: Place,
}

/// Finds a file's policies.
///
/// # Errors
/// What does not parse, and what is longer or deeper than one evaluation may cost.
pub(super) fn places(file: &str, text: &str) -> Result<Vec<Place>, Vec<Problem>> {
    if let Some(at) = lint::too_deep(text, NESTING_MAX) {
        let message = format!("brackets are nested deeper than {NESTING_MAX}");
        return Err(vec![Problem::error(file, message).at(Some(at..at + 1)).help("split the policy")]);
    }
    let set = parse(file, 0, text)?;
    if let Some(template) = set.templates().next() {
        let message = format!("`{}` is a template; nothing links templates yet", template.id());
        return Err(vec![Problem::error(file, message).help("write the entity instead of the slot")]);
    }
    let mut places = Vec::new();
    // Both only ever move on: counting from the top of the file for each policy took most of a large file's load.
    let (mut from, mut line) = (0, 1);
    for (number, policy) in (1..).zip(in_order(&set)) {
        let exact = policy.to_string();
        let at = text.get(from..).and_then(|rest| rest.find(&exact)).map_or(from, |found| from + found);
        let span = at..(at + exact.len()).min(text.len());
        if exact.len() > POLICY_BYTES_MAX {
            let message = format!("the policy is longer than {POLICY_BYTES_MAX} bytes");
            return Err(vec![Problem::error(file, message).at(Some(span))]);
        }
        let lines = |range: Range<usize>| text.get(range).map_or(0, |part| part.matches('\n').count());
        line += lines(from..at);
        let begins = line;
        line += lines(span.clone());
        from = span.end;
        places.push(Place { span, line: begins, number });
    }
    Ok(places)
}

/// Reads the policies at `places` of a file, some at a time.
pub(super) fn batches<'t>(
    file: &'t str,
    text: &'t str,
    places: &[Place],
) -> impl Iterator<Item = Result<Batch<'t>, Vec<Problem>>> {
    places.chunks(BATCH).map(move |places| {
        let offset = places.first().map_or(0, |place| place.span.start);
        let end = places.last().map_or(offset, |place| place.span.end);
        let set = parse(file, offset, text.get(offset..end).unwrap_or_default())?;
        let parsed = in_order(&set);
        if parsed.len() != places.len() {
            return Err(vec![Problem::error(file, "a part of the file reads differently from the whole")]);
        }
        let written = parsed.into_iter().zip(places).map(|(policy, place)| Written {
            policy: policy.clone(),
            source: text.get(place.span.clone()).unwrap_or_default(),
            place: place.clone(),
        });
        Ok(Batch { file, offset, policies: written.collect(), set })
    })
}

fn parse(file: &str, offset: usize, text: &str) -> Result<PolicySet, Vec<Problem>> {
    text.parse().map_err(|error: cedar_policy::ParseErrors| diagnostics::problems(file, offset, &error))
}

/// Cedar names a file's policies `policy0`, `policy1`, … in its order.
fn in_order(set: &PolicySet) -> Vec<&Policy> {
    let mut policies: Vec<&Policy> = set.policies().collect();
    let number = |p: &&Policy| p.id().to_string().trim_start_matches("policy").parse::<usize>().unwrap_or(usize::MAX);
    policies.sort_by_cached_key(number);
    policies
}

impl Batch<'_> {
    /// Strict validation at level 1, as written; Cedar's warnings (such as an inapplicable action) are errors.
    pub(super) fn validate(&self, types: &Types) -> Vec<Problem> {
        let result = types.validator().validate_with_level(&self.set, ValidationMode::Strict, 1);
        let errors = result.validation_errors().map(|error| diagnostics::problem(self.file, self.offset, error));
        let warnings = result.validation_warnings().map(|error| diagnostics::problem(self.file, self.offset, error));
        errors.chain(warnings).map(|problem| readable(problem, &self.policies)).collect()
    }
}

/// Cedar speaks of ``for policy `policy3` ``; the reader knows the policy by its place or its `@id`.
fn readable(mut problem: Problem, policies: &[Written<'_>]) -> Problem {
    let named = problem.message.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, "));
    let named = named.and_then(|(id, rest)| {
        // Every policy of a large file may have a problem, and each is looked up here.
        let number: usize = id.strip_prefix("policy")?.parse().ok()?;
        let written = policies.get(number).filter(|written| written.policy.id().to_string() == id)?;
        Some((rest.to_owned(), written))
    });
    if let Some((rest, written)) = named {
        problem.message = match written.policy.annotation("id") {
            Some(id) => format!("policy `{id}`: {rest}"),
            None => rest,
        };
        if problem.span.is_none() {
            problem.span = Some(written.place.span.clone());
        }
    }
    problem
}
