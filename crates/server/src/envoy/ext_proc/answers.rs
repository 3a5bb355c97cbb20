//! The answers of one stream, and its explicit end.
//!
//! Knows: how a gRPC stream ends. Must not know: what is answered.
//!
//! To Envoy the normal end of a stream means that the rest of the response passes unread. Here a stream ends normally in
//! one case only: its exchange called [`Outgoing::finish`]. An exchange that is dropped, panics or forgets about the stream
//! ends it with an error, and then nothing unread leaves.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use envoy_types::pb::envoy::service::ext_proc::v3::ProcessingResponse;
use futures_util::Stream;
use tokio::sync::mpsc;
use tonic::Status;

/// Answers that may wait to be sent. A proxy that does not read stops the exchange.
const WAITING_MAX: usize = 4;

/// What an exchange gives to its stream.
enum Item {
    Answer(Box<ProcessingResponse>),
    Failed(Box<Status>),
    Finished,
}

/// The only way in which an exchange answers.
pub(super) struct Outgoing(mpsc::Sender<Item>);

/// The proxy reads no more answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

impl Outgoing {
    /// Sends one answer.
    pub async fn send(&self, answer: ProcessingResponse) -> Result<(), Gone> {
        self.0.send(Item::Answer(Box::new(answer))).await.map_err(|_closed| Gone)
    }

    /// Ends the stream normally.
    pub async fn finish(self) {
        // A stream that nobody reads has ended already.
        drop(self.0.send(Item::Finished).await);
    }

    /// Ends the stream with this error.
    pub async fn fail(self, status: Status) {
        drop(self.0.send(Item::Failed(Box::new(status))).await);
    }
}

/// The stream of answers, which runs its exchange.
pub struct Answers {
    exchange: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    waiting: mpsc::Receiver<Item>,
    has_ended: bool,
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").field("has_ended", &self.has_ended).finish_non_exhaustive()
    }
}

impl Answers {
    /// The stream of the exchange that `begin` makes.
    pub(super) fn of<F>(begin: impl FnOnce(Outgoing) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        Self { exchange: Some(Box::pin(begin(Outgoing(sender)))), waiting, has_ended: false }
    }

    fn end(&mut self) {
        self.has_ended = true;
        self.exchange = None;
    }
}

impl Stream for Answers {
    type Item = Result<ProcessingResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        if let Some(exchange) = &mut self.exchange
            && exchange.as_mut().poll(cx).is_ready()
        {
            self.exchange = None;
        }
        let item = std::task::ready!(self.waiting.poll_recv(cx));
        Poll::Ready(match item {
            Some(Item::Answer(answer)) => Some(Ok(*answer)),
            Some(Item::Finished) => {
                self.end();
                None
            }
            Some(Item::Failed(status)) => {
                self.end();
                Some(Err(*status))
            }
            None => {
                self.end();
                Some(Err(Status::internal("the response was not processed to its end")))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    /// What a proxy sees of a stream: the number of answers, and the code of its end.
    async fn seen(mut answers: Answers) -> (usize, Option<tonic::Code>) {
        let mut count = 0;
        loop {
            match answers.next().await {
                Some(Ok(_)) => count += 1,
                Some(Err(status)) => return (count, Some(status.code())),
                None => return (count, None),
            }
        }
    }

    async fn send(outgoing: &Outgoing, answers: usize) {
        for _ in 0..answers {
            outgoing.send(ProcessingResponse::default()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn only_a_finished_exchange_ends_its_stream_normally() {
        let finished = Answers::of(|outgoing| async move {
            send(&outgoing, 9).await;
            outgoing.finish().await;
        });
        assert_eq!(seen(finished).await, (9, None));
        // Also where the answers that wait leave no room for one more.
        for answers in [0, 1, WAITING_MAX, 9] {
            let dropped = Answers::of(|outgoing| async move { send(&outgoing, answers).await });
            assert_eq!(seen(dropped).await, (answers, Some(tonic::Code::Internal)));
        }
        let failed = Answers::of(|outgoing| async move {
            send(&outgoing, 9).await;
            outgoing.fail(Status::cancelled("")).await;
        });
        assert_eq!(seen(failed).await, (9, Some(tonic::Code::Cancelled)));
    }

    #[tokio::test]
    async fn a_stream_that_has_ended_stays_ended() {
        let mut answers = Answers::of(|outgoing| async move { drop(outgoing) });
        assert!(answers.next().await.unwrap().is_err());
        assert!(answers.next().await.is_none());
    }
}
