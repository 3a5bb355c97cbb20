//! Converts Cedar's diagnostics into problems.

use miette::Diagnostic;

use crate::problem::Problem;

/// One problem of a diagnostic; `offset` is the start in the file of the text that Cedar parsed.
#[must_use]
pub fn problem(file: &str, offset: usize, error: &dyn Diagnostic) -> Problem {
    let span = error.labels().into_iter().flatten().next().map(|label| {
        let begin = offset + label.offset();
        begin..begin + label.len()
    });
    let mut problem = Problem::error(file, chain(error)).at(span);
    problem.help = error.help().map(|help| help.to_string());
    problem
}

/// One problem for each diagnostic in `error`: itself and those related to it.
#[must_use]
pub fn problems(file: &str, offset: usize, error: &dyn Diagnostic) -> Vec<Problem> {
    let related = error.related().into_iter().flatten().map(|other| problem(file, offset, other));
    std::iter::once(problem(file, offset, error)).chain(related).collect()
}

/// The message with those of its causes.
#[must_use]
pub fn chain(error: &dyn Diagnostic) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
