//! Modes: whether policies decide, or only take part in the would-be verdict.

/// The mode of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They decide.
    #[default]
    Enforce,
    /// They take part in the would-be verdict only.
    Shadow,
}

/// The policies that an evaluation takes into account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Basis {
    /// The enforced ones: the result counts.
    Enforced,
    /// The enforced ones without bridges, and those in shadow mode: the result that would be.
    WouldBe,
}
