//! Checks that the entities a policy names exist.

use super::entity_literals::LiteralError;
use super::entry::FileContext;
use super::source::SourcePolicy;
use crate::problem::Problem;

/// Faults of a policy's literals. If the catalogue is open, an unknown entity is a warning in `problems`.
pub(in crate::decision) fn check(
    context: &FileContext<'_>,
    written: &SourcePolicy<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Problem> {
    let mut faults = Vec::new();
    for literal in written.policy.entity_literals() {
        let at = written.source.find(literal.id().unescaped()).map_or(written.span.clone(), |found| {
            let begin = written.span.start + found;
            begin..begin + literal.id().unescaped().len()
        });
        match context.validation.known.check(&literal) {
            Ok(()) => {}
            Err(LiteralError::Uncatalogued(message)) if context.validation.known.catalog.is_open() => {
                problems.push(Problem::warning(context.file, message).at(Some(at)));
            }
            Err(LiteralError::Impossible(message) | LiteralError::Uncatalogued(message)) => {
                faults.push(Problem::error(context.file, message).at(Some(at)));
            }
        }
    }
    faults
}
