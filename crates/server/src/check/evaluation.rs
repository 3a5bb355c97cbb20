//! An evaluation: a [`Judgement`] that is ready, or a future of one.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::judgement::Judgement;
use picket_core::failure::{Code, Failure};

/// The future of a judgement.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Arc<Judgement>> + Send + 'a>>;

/// A judgement that is ready or pending.
pub enum Evaluation<'a> {
    /// It is ready.
    Ready(Arc<Judgement>),
    /// It is pending and may take long: no other call should wait for it.
    Pending(Pending<'a>),
}

impl std::fmt::Debug for Evaluation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready(judgement) => f.debug_tuple("Ready").field(judgement).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}

impl<'a> Evaluation<'a> {
    /// An evaluation that has to wait, or takes long.
    pub(super) fn pending(judged: impl Future<Output = Arc<Judgement>> + Send + 'a) -> Self {
        Self::Pending(Box::pin(judged))
    }

    /// An evaluation that never waits.
    pub(super) fn ready(judged: impl Future<Output = Arc<Judgement>>) -> Self {
        let waits = || {
            Arc::new(Judgement::failed(Failure::new(
                Code::Internal,
                "internal error: a synchronous check returned pending",
            )))
        };
        Self::Ready(Box::pin(judged).now_or_never().unwrap_or_else(waits))
    }

    /// Waits for the judgement.
    pub async fn done(self) -> Arc<Judgement> {
        match self {
            Self::Ready(judgement) => judgement,
            Self::Pending(pending) => pending.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synchronous_evaluation_that_waits_is_a_failure_and_not_an_allow() {
        let known = |judging: Evaluation<'_>| match judging {
            Evaluation::Ready(judgement) => judgement.result.as_ref().unwrap_err().code,
            Evaluation::Pending(_) => panic!("it waits"),
        };
        assert_eq!(known(Evaluation::ready(std::future::pending())), Code::Internal);
        let ready = Arc::new(Judgement::failed(Failure::new(Code::NotReady, "")));
        assert_eq!(known(Evaluation::ready(std::future::ready(ready))), Code::NotReady);
    }
}
