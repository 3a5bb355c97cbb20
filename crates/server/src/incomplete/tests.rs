//! Counting of incomplete requests: the bytes, the connection, the end.

use std::future::poll_fn;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;

/// A body with frames that the test sends.
struct Fed(mpsc::UnboundedReceiver<Bytes>);

impl Body for Fed {
    type Data = Bytes;
    type Error = Source;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Source>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

struct Request {
    body: Counted<Fed>,
    feed: mpsc::UnboundedSender<Bytes>,
}

fn request(share: &Arc<Share>) -> Request {
    let (feed, fed) = mpsc::unbounded_channel();
    Request { body: Counted::new(Fed(fed), 0, Duration::from_secs(5), Arc::clone(share)), feed }
}

impl Request {
    /// Reads until the body is pending (`None`) or given up.
    fn read(&mut self) -> Option<GivenUp> {
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
            let next = tokio::task::unconstrained(frame).now_or_never();
            match next? {
                Some(Ok(_)) => {}
                Some(Err(error)) => return GivenUp::find(&*error),
                None => return None,
            }
        }
    }

    fn feed(&mut self, bytes: usize) -> Option<GivenUp> {
        self.feed.send(Bytes::from(vec![0; bytes])).unwrap();
        self.read()
    }
}

#[tokio::test]
async fn a_request_that_arrives_complete_never_counts() {
    let budget = Budget::new(FREE_BYTES);
    let share = budget.share();
    let mut whole = request(&share);
    whole.feed.send(Bytes::from(vec![0; 10 * FREE_BYTES])).unwrap();
    drop(std::mem::replace(&mut whole.feed, mpsc::unbounded_channel().0));
    assert_eq!((whole.read(), *share.held()), (None, 0));
}

#[tokio::test]
async fn a_connection_at_its_limit_leaves_room_for_small_checks_of_others() {
    let budget = Budget::new(8 * FREE_BYTES);
    let greedy: Vec<_> = (0..20).map(|_| budget.share()).collect();
    let mut held: Vec<_> = greedy.iter().flat_map(|share| [request(share), request(share)]).collect();
    for request in &mut held {
        request.feed(FREE_BYTES - 1);
    }
    let mut late = request(&budget.share());
    assert_eq!(late.feed(FREE_BYTES), None, "a small check is given up although it is free");
    assert_eq!(late.feed(FREE_BYTES), Some(GivenUp::Full));
    drop(held);
    let mut next = request(&budget.share());
    assert_eq!(next.feed(2 * FREE_BYTES), None, "the bytes were not given back");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_keeps_its_reader_waiting_is_given_up() {
    let share = Budget::new(1 << 20).share();
    let mut slow = request(&share);
    let read = poll_fn(|cx| Pin::new(&mut slow.body).poll_frame(cx)).await;
    assert_eq!(GivenUp::find(&*read.unwrap().unwrap_err()), Some(GivenUp::Late));
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_messages_counts_only_while_a_message_is_incomplete() {
    let share = Budget::new(8 * FREE_BYTES).share();
    let (caught_up, Request { body, feed }) = (CaughtUp::default(), request(&share));
    let mut stream = Request { body: body.streamed(caught_up.clone()), feed };
    for _ in 0..100 {
        assert_eq!((stream.feed(FREE_BYTES), *share.held()), (None, FREE_BYTES));
        caught_up.set();
        assert_eq!((stream.read(), *share.held()), (None, 0));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(stream.read(), None, "a stream without an incomplete message was given up");
    }
    assert_eq!(stream.feed(3 * FREE_BYTES), Some(GivenUp::Full));
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_stream_that_does_not_arrive_completely_is_given_up() {
    let share = Budget::new(1 << 20).share();
    let (caught_up, Request { body, feed }) = (CaughtUp::default(), request(&share));
    let mut stream = Request { body: body.streamed(caught_up.clone()), feed };
    assert_eq!(stream.feed(1), None);
    caught_up.set();
    assert_eq!((stream.read(), stream.feed(1)), (None, None));
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(stream.read(), None);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(stream.read(), Some(GivenUp::Late));
}

/// A connection, a stream of it, how many bytes arrive on it, and whether it ends then.
type Step = (usize, usize, usize, bool);

/// In any order of requests, no connection holds more than its share, all of them hold no more than the limit and the
/// free bytes, and in the end nothing is held.
#[tokio::test]
async fn no_order_of_requests_holds_more_than_the_account() {
    let step = (0_usize..6, 0_usize..4, 0_usize..3 * FREE_BYTES, prop::bool::weighted(0.2));
    picket_properties::holds(256, prop::collection::vec(step, 1..120), |steps| play(&steps));
}

fn play(steps: &[Step]) {
    let budget = Budget::new(10 * FREE_BYTES);
    let parts: Vec<_> = (0..6).map(|_| budget.share()).collect();
    let mut open: Vec<Vec<Option<Request>>> = (0..6).map(|_| (0..4).map(|_| None).collect()).collect();
    for (connection, stream, bytes, ends) in steps {
        let place = &mut open[*connection][*stream];
        let given_up = place.get_or_insert_with(|| request(&parts[*connection])).feed(*bytes);
        if given_up.is_some() || *ends {
            *place = None;
        }
        let held: Vec<usize> = parts.iter().map(|share| *share.held()).collect();
        assert!(held.iter().all(|held| *held <= budget.bytes_max / CONNECTION_PART), "{held:?}");
        let sum: usize = held.iter().map(|held| counted(*held)).sum();
        assert_eq!(sum, budget.held.load(Ordering::Relaxed));
        assert!(sum <= budget.bytes_max, "{held:?}");
        let of = |streams: &Vec<Option<Request>>| streams.iter().flatten().map(|request| request.body.held).sum();
        assert_eq!(held, open.iter().map(of).collect::<Vec<usize>>());
    }
    drop(open);
    assert_eq!(budget.held.load(Ordering::Relaxed), 0);
    assert!(parts.iter().all(|share| *share.held() == 0));
}
