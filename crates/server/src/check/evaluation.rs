//! An evaluation: a [`Judgement`] that is ready, or a future of one.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::judgement::Judgement;
use picket_core::failure::{Code, Failure};

/// A judgement to be waited for.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Arc<Judgement>> + Send + 'a>>;

/// A judgement that is known, or to be waited for.
pub enum Evaluation<'a> {
    /// It is known already.
    Ready(Arc<Judgement>),
    /// It has to be made, which may take long: nobody should wait behind it.
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
    /// One that has to be waited for, or takes long.
    pub(super) fn pending(judged: impl Future<Output = Arc<Judgement>> + Send + 'a) -> Self {
        Self::Pending(Box::pin(judged))
    }

    /// One for which nothing has to be waited for.
    pub(super) fn ready(judged: impl Future<Output = Arc<Judgement>>) -> Self {
        let waits = || Arc::new(Judgement::failed(Failure::new(Code::Internal, "a judgement waits that must not")));
        Self::Ready(Box::pin(judged).now_or_never().unwrap_or_else(waits))
    }

    /// Waits for it.
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
    fn what_waits_though_nothing_has_to_is_a_failure_and_no_allow() {
        let known = |judging: Evaluation<'_>| match judging {
            Evaluation::Ready(judgement) => judgement.result.as_ref().unwrap_err().code,
            Evaluation::Pending(_) => panic!("it waits"),
        };
        assert_eq!(known(Evaluation::ready(std::future::pending())), Code::Internal);
        let ready = Arc::new(Judgement::failed(Failure::new(Code::NotReady, "")));
        assert_eq!(known(Evaluation::ready(std::future::ready(ready))), Code::NotReady);
    }
}
