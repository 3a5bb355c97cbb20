//! The path of one call; the only place where order is decided.

use std::sync::Arc;

use crate::catalog::Protocol;
use crate::decision::{Snapshot, Verdict};
use crate::failure::Failure;
use crate::identity::Identity;
use crate::query::Query;

/// Everything that became of one call, for the answer, the log and the metrics.
#[derive(Debug)]
pub struct Judgement {
    /// Id of the decision: a UUID of version 7.
    pub decision_id: uuid::Uuid,
    /// The verdict, or why there is none.
    pub result: Result<Verdict, Failure>,
    /// Who called, as far as it was found out.
    pub identity: Option<Identity>,
    /// The called service's id, as far as it was found out.
    pub service: Option<String>,
    /// What the service speaks.
    pub protocol: Option<Protocol>,
    /// What was asked, as far as it was found out.
    pub query: Option<Query>,
    /// What it was judged by.
    pub snapshot: Option<Arc<Snapshot>>,
}

/// Judges calls: the seam between the edge that speaks a proxy's protocol and everything behind it.
pub trait Judge: Send + Sync {
    /// Judges one call. Never fails and never panics on purpose: what cannot be judged is a
    /// [`Failure`] inside the [`Judgement`]. Returns by `deadline`.
    fn judge<'a>(
        &'a self,
        call: &'a crate::call::Call,
        deadline: tokio::time::Instant,
    ) -> std::pin::Pin<Box<dyn Future<Output = Judgement> + Send + 'a>>;
}
