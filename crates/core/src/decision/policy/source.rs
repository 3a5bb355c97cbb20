//! Parses the policies of one file, records their places, and runs Cedar's validator.
//!
//! Knows: Cedar's parser and validator. Must not know: bundles, rewriting, what policies mean to Picket.

use std::borrow::Cow;
use std::ops::Range;

use cedar_policy::{Policy, PolicySet, ValidationMode};

use super::lint;
use crate::decision::limits::{MESH, NESTING_MAX, OPERATORS_MAX, POLICY_BYTES_MAX};
use crate::decision::schema::{Types, diagnostics, tool_actions};
use crate::problem::Problem;

/// Most policies that are parsed at once. Parsed policies take several times the memory of the stored ones, and a large
/// file would leave the allocator with as much again.
const BATCH: usize = 256;
/// Most bytes that are parsed at once, plus at most one policy: between two batches the time limit is checked.
const BATCH_BYTES: usize = 32 * 1024;

/// Some of one file's policies, in the file's order.
pub(in crate::decision) struct Batch<'t> {
    file: &'t str,
    /// The offset of the text that Cedar parsed.
    offset: usize,
    set: PolicySet,
    pub(in crate::decision) policies: Vec<SourcePolicy<'t>>,
}

/// A policy as written in its file.
pub(in crate::decision) struct SourcePolicy<'t> {
    pub(in crate::decision) policy: Policy,
    pub(in crate::decision) source: &'t str,
    pub(in crate::decision) span: Range<usize>,
    /// Its line, from 1.
    pub(in crate::decision) line: usize,
    /// Its number in the file, from 1.
    pub(in crate::decision) number: usize,
}

/// Parses a file's policies, some at a time. Each problem has its place in the whole file.
///
/// A problem is a syntax error, or a policy that is longer or deeper than one evaluation may cost.
pub(in crate::decision) fn batches<'t>(
    file: &'t str,
    text: &'t str,
) -> impl Iterator<Item = Result<Batch<'t>, Vec<Problem>>> {
    let deep =
        lint::too_deep(text, NESTING_MAX).map(|at| (at, format!("brackets are nested deeper than {NESTING_MAX}")));
    let long = || {
        let message = format!("a policy has more than {OPERATORS_MAX} operators and clauses");
        lint::too_long(text, OPERATORS_MAX).map(|at| (at, message))
    };
    let deep = deep
        .or_else(long)
        .map(|(at, message)| Err(vec![Problem::error(file, message).at(Some(at..at + 1)).help("split the policy")]));
    let readable = if deep.is_some() { "" } else { text };
    let (mut before, mut line) = (0, 1);
    let read = pieces(readable).map(move |piece| {
        let first_line = line;
        line += lines(text, piece.clone());
        let batch = batch(file, text, piece, before, first_line)?;
        before += batch.policies.len();
        Ok(batch)
    });
    deep.into_iter().chain(read)
}

/// Splits a text after so many policies or bytes: a semicolon ends a policy and occurs nowhere else.
fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> {
    let ends = lint::code(text).filter(|(_, character)| *character == ';').map(|(at, _)| at + 1);
    let (mut begin, mut policies) = (0, 0);
    let cuts = ends.filter(move |end| {
        policies += 1;
        let is_cut = policies == BATCH || end - begin >= BATCH_BYTES;
        if is_cut {
            (begin, policies) = (*end, 0);
        }
        is_cut
    });
    let mut from = 0;
    cuts.chain([text.len()]).map(move |to| std::mem::replace(&mut from, to)..to).filter(|piece| !piece.is_empty())
}

fn lines(text: &str, range: Range<usize>) -> usize {
    text.get(range).map_or(0, |part| part.matches('\n').count())
}

fn batch<'t>(
    file: &'t str,
    text: &'t str,
    piece: Range<usize>,
    before: usize,
    first_line: usize,
) -> Result<Batch<'t>, Vec<Problem>> {
    let parsed: Result<PolicySet, _> = text.get(piece.clone()).unwrap_or_default().parse();
    let set = parsed.map_err(|e: cedar_policy::ParseErrors| diagnostics::problems(file, piece.start, &e))?;
    if let Some(template) = set.templates().next() {
        let message = format!("`{}` is a template, and Picket does not link templates", template.id());
        return Err(vec![Problem::error(file, message).help("write the entity instead of the slot")]);
    }
    let mut policies: Vec<&Policy> = set.policies().collect();
    // Cedar names them `policy0`, `policy1`, … in the order of the text.
    let order = |p: &&Policy| p.id().to_string().trim_start_matches("policy").parse::<usize>().unwrap_or(usize::MAX);
    policies.sort_by_cached_key(order);
    let mut written = Vec::with_capacity(policies.len());
    // Both only move forward: counting from the top of the file for each policy took most of a large file's load.
    let (mut from, mut line) = (piece.start, first_line);
    for (number, policy) in (before + 1..).zip(policies) {
        let exact = policy.to_string();
        let at = text.get(from..).and_then(|rest| rest.find(&exact)).map_or(from, |found| from + found);
        let span = at..(at + exact.len()).min(text.len());
        if exact.len() > POLICY_BYTES_MAX {
            let message = format!("the policy is longer than {POLICY_BYTES_MAX} bytes");
            return Err(vec![Problem::error(file, message).at(Some(span))]);
        }
        line += lines(text, from..at);
        let source = text.get(span.clone()).unwrap_or_default();
        written.push(SourcePolicy { policy: policy.clone(), source, span: span.clone(), line, number });
        line += lines(text, span.clone());
        from = span.end;
    }
    Ok(Batch { file, offset: piece.start, policies: written, set })
}

impl Batch<'_> {
    /// Strict validation at level 1, as written; Cedar's warnings (such as an inapplicable action) are errors.
    pub(in crate::decision) fn validate(&self, unit: &str, types: &Types) -> Vec<Problem> {
        let mut problems = Vec::new();
        for policies in self.by_validator(types) {
            let Some(first) = policies.policies().next() else { continue };
            let result = types.validator(unit, first).validate_with_level(&policies, ValidationMode::Strict, 1);
            let errors = result.validation_errors().map(|error| diagnostics::problem(self.file, self.offset, error));
            problems.extend(errors);
            let warnings = result.validation_warnings().map(|e| diagnostics::problem(self.file, self.offset, e));
            problems.extend(warnings);
        }
        problems.into_iter().map(|problem| readable(problem, &self.policies)).collect()
    }

    /// The policies, grouped by their validator.
    fn by_validator(&self, types: &Types) -> Vec<Cow<'_, PolicySet>> {
        if !types.has_typed_tools(MESH) {
            return vec![Cow::Borrowed(&self.set)];
        }
        let (seeing, others): (Vec<Policy>, Vec<Policy>) =
            self.set.policies().cloned().partition(tool_actions::depends_on_tool_actions);
        let sets: Result<Vec<_>, _> = [seeing, others].into_iter().map(PolicySet::from_policies).collect();
        match sets {
            Ok(sets) => sets.into_iter().map(Cow::Owned).collect(),
            Err(_) => vec![Cow::Borrowed(&self.set)],
        }
    }
}

/// Replaces Cedar's ``for policy `policy3` `` by the policy's place or its `@id`.
fn readable(mut problem: Problem, policies: &[SourcePolicy<'_>]) -> Problem {
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
            problem.span = Some(written.span.clone());
        }
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policies of two lines each, with semicolons that do not end a policy.
    fn file(policies: usize) -> String {
        let one = |n| format!("@id(\"p{n}; \\\" ;\") // a ; here\npermit (principal, action, resource); // {n};\n");
        (0..policies).map(one).collect()
    }

    #[test]
    fn a_large_file_is_parsed_in_pieces_without_loss() {
        let text = file(3 * BATCH + 7);
        let batches: Vec<_> = batches("a.cedar", &text).map(Result::unwrap).collect();
        assert_eq!(batches.len(), 4);
        let all: Vec<&SourcePolicy<'_>> = batches.iter().flat_map(|batch| &batch.policies).collect();
        assert_eq!(all.len(), 3 * BATCH + 7);
        for (n, written) in all.into_iter().enumerate() {
            assert_eq!((written.number, written.line), (n + 1, 2 * n + 1));
            assert_eq!(&text[written.span.clone()], written.source);
            assert!(written.source.starts_with(&format!("@id(\"p{n};")), "{}", written.source);
        }
    }

    #[test]
    fn a_problem_in_a_later_piece_is_placed_in_the_file() {
        let good = file(BATCH + 3);
        let bad = "permit (principal, action, resource) when { principal.nothing };";
        let text = format!("{good}{bad}");
        let types = Types::new("").unwrap();
        let problems = batches("a.cedar", &text).flat_map(|batch| batch.unwrap().validate(MESH, &types));
        let named: Vec<Problem> = problems.filter(|problem| problem.message.contains("nothing")).collect();
        assert!(!named.is_empty());
        assert!(named.iter().all(|problem| problem.span.as_ref().unwrap().start >= good.len()), "{named:?}");
        let broken = format!("{good}permit (");
        let refused: Vec<_> = batches("a.cedar", &broken).filter_map(Result::err).flatten().collect();
        assert!(refused.iter().all(|problem| problem.span.as_ref().unwrap().start >= good.len() - 1), "{refused:?}");
        assert!(!refused.is_empty());
    }
}
