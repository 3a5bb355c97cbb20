//! A judgement that is known, or still to be made.

use std::pin::Pin;
use std::sync::Arc;

use super::Judgement;

/// A judgement to be waited for.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Arc<Judgement>> + Send + 'a>>;

/// A judgement that is known, or to be waited for.
pub enum Judging<'a> {
    /// It is known already.
    Known(Arc<Judgement>),
    /// It has to be made, which takes little more than finding out did.
    Pending(Pending<'a>),
    /// It has to be made, which may take long: nobody should wait behind it.
    Long(Pending<'a>),
}

impl std::fmt::Debug for Judging<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(judgement) => f.debug_tuple("Known").field(judgement).finish(),
            Self::Pending(_) => f.write_str("Pending"),
            Self::Long(_) => f.write_str("Long"),
        }
    }
}

impl Judging<'_> {
    /// Waits for it.
    pub async fn done(self) -> Arc<Judgement> {
        match self {
            Self::Known(judgement) => judgement,
            Self::Pending(pending) | Self::Long(pending) => pending.await,
        }
    }
}
