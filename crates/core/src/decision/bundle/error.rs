//! The error of a bundle that does not load.

use crate::problem::Problem;

/// Why a bundle does not load.
#[derive(Debug)]
pub enum BundleError {
    /// Its problems.
    Faulty(Vec<Problem>),
    /// It took longer than it may.
    Late,
}

impl BundleError {
    /// The problems to report.
    #[must_use]
    pub fn problems(self, unit: &str) -> Vec<Problem> {
        match self {
            Self::Faulty(problems) => problems,
            Self::Late => vec![Problem::error(unit, "loading its policies took too long")],
        }
    }
}
