//! The results of past reads, for the readiness text, the admin service and the metrics.
//!
//! A noun. Knows: units, problems, counts. Must not know: how anything is read or loaded.

use std::collections::BTreeMap;
use std::time::Duration;

use picket_core::call::UnixMillis;
use picket_core::problem::Problem;

/// The result of one attempt to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadOutcome {
    /// Everything read is in force.
    Ok,
    /// Something was refused and keeps the version it had; the rest is in force.
    Refused,
    /// Nothing has changed since the last attempt.
    Unchanged,
}

impl LoadOutcome {
    /// The text used in logs and as a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Why a unit's newest version is not in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Its files cannot be read, do not belong there, or are too many.
    Unreadable,
    /// Its files did not hold still while they were read.
    Changing,
    /// It is gone, or is not what the manifest says.
    Missing,
    /// Its policies are wrong, or no longer fit the catalogue, schema and facts.
    Invalid,
    /// It loads slowly and is not ready yet.
    Loading,
}

impl Why {
    /// The text used as a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Changing => "changing",
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Loading => "loading",
        }
    }
}

/// How many attempts came to what, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Loaded whole.
    pub ok: u64,
    /// Refused, in whole or in part.
    pub refused: u64,
    /// Read and found unchanged.
    pub unchanged: u64,
}

/// The state of the policy store. Immutable; the store publishes a new one after each attempt.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Whether any snapshot is in force.
    pub ready: bool,
    /// Digest of the last reading that was tried, in force or not (hex SHA-256).
    pub digest: Option<String>,
    /// When the source was last read, regardless of the result.
    pub attempted_at: Option<UnixMillis>,
    /// When a reading last agreed whole with what is in force.
    pub succeeded_at: Option<UnixMillis>,
    /// Units with a version on disk that is not active, with the reason: `mesh` or a namespace's name.
    pub refused: BTreeMap<String, Why>,
    /// Everything found in the last reading that was tried: refused files, warnings, notes.
    pub problems: Vec<Problem>,
    /// Why the source could not be read at all, where the last attempt ended so.
    pub unreadable: Vec<Problem>,
    /// How many attempts came to what.
    pub counts: Counts,
    /// How long the last load took, reading aside. Unchanged readings are not loaded.
    pub loading: Duration,
}

impl Status {
    /// Whether a reading soon may find more than this one did.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        !self.unreadable.is_empty() || self.refused.values().any(|why| *why == Why::Changing)
    }

    /// Whether what is on disk is, whole, what is in force.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.ready && self.refused.is_empty() && self.unreadable.is_empty()
    }
}

/// For people: one line on the state, then one for each problem.
impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.ready, self.is_current()) {
            (false, _) => writeln!(f, "policies: none active")?,
            (true, true) => writeln!(f, "policies: active as on disk")?,
            (true, false) => writeln!(f, "policies: the last good ones are active")?,
        }
        if !self.refused.is_empty() {
            let units: Vec<String> =
                self.refused.iter().map(|(unit, why)| format!("{unit} ({})", why.as_str())).collect();
            writeln!(f, "refused: {}", units.join(", "))?;
        }
        for problem in self.unreadable.iter().chain(&self.problems) {
            writeln!(f, "- {problem}")?;
        }
        Ok(())
    }
}
