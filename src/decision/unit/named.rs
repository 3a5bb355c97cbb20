//! What a policy names must exist.

use super::super::literals::Unknown;
use super::Context;
use super::written::Written;
use crate::problem::Problem;

/// Faults of a policy's literals. Where the catalogue is open, what it does not know is a warning in `problems`.
pub(super) fn check(context: &Context<'_>, written: &Written<'_>, problems: &mut Vec<Problem>) -> Vec<Problem> {
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
