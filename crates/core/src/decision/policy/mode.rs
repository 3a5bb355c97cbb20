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
