//! Why a unit was not loaded.

use crate::problem::Problem;

/// Why a unit was not loaded.
#[derive(Debug)]
pub enum Stopped {
    /// What is wrong with it.
    Faulty(Vec<Problem>),
    /// It took longer than it might.
    Late,
}

impl Stopped {
    /// What is to be told of it.
    #[must_use]
    pub fn problems(self, unit: &str) -> Vec<Problem> {
        match self {
            Self::Faulty(problems) => problems,
            Self::Late => vec![Problem::error(unit, "loading its policies took too long")],
        }
    }
}
