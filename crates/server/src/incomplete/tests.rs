//! What counts, for whom, and until when.

use std::future::poll_fn;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::sync::mpsc;

use super::*;

/// A body whose frames the test sends.
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

fn request(part: &Arc<Part>) -> Request {
    let (feed, fed) = mpsc::unbounded_channel();
    Request { body: Counted::new(Fed(fed), 0, Duration::from_secs(5), Arc::clone(part)), feed }
}

impl Request {
    /// Reads what came, until it has to wait (`None`), or is given up.
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
async fn a_request_that_comes_whole_at_once_never_counts() {
    let account = Account::new(FREE_BYTES);
    let part = account.part();
    let mut whole = request(&part);
    whole.feed.send(Bytes::from(vec![0; 10 * FREE_BYTES])).unwrap();
    drop(std::mem::replace(&mut whole.feed, mpsc::unbounded_channel().0));
    assert_eq!((whole.read(), *part.held()), (None, 0));
}

#[tokio::test]
async fn what_is_held_by_one_leaves_room_for_the_small_checks_of_others() {
    let account = Account::new(8 * FREE_BYTES);
    let greedy: Vec<_> = (0..20).map(|_| account.part()).collect();
    let mut held: Vec<_> = greedy.iter().flat_map(|part| [request(part), request(part)]).collect();
    for request in &mut held {
        request.feed(FREE_BYTES - 1);
    }
    let mut late = request(&account.part());
    assert_eq!(late.feed(FREE_BYTES), None, "a small check is given up for want of room");
    assert_eq!(late.feed(FREE_BYTES), Some(GivenUp::Full));
    drop(held);
    let mut next = request(&account.part());
    assert_eq!(next.feed(2 * FREE_BYTES), None, "the room did not come back");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_keeps_its_reader_waiting_is_given_up() {
    let part = Account::new(1 << 20).part();
    let mut slow = request(&part);
    let read = poll_fn(|cx| Pin::new(&mut slow.body).poll_frame(cx)).await;
    assert_eq!(GivenUp::find(&*read.unwrap().unwrap_err()), Some(GivenUp::Late));
}

/// A connection, a stream of it, how many bytes come on it, and whether it ends then.
type Step = (usize, usize, usize, bool);

/// Whatever comes and goes: no connection holds more than its part, all of them no more than the account and what is free,
/// and in the end nothing is held.
#[tokio::test]
async fn no_order_of_requests_holds_more_than_the_account() {
    let wanted = std::env::var_os("PROPS_SEED").and_then(|seed| seed.to_str()?.parse().ok());
    let seed: u64 = wanted.unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1);
    println!("PROPS_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { failure_persistence: None, ..Config::default() };
    let step = (0_usize..6, 0_usize..4, 0_usize..3 * FREE_BYTES, prop::bool::weighted(0.2));
    let ran = TestRunner::new_with_rng(config, rng).run(&prop::collection::vec(step, 1..120), |steps| {
        play(&steps);
        Ok(())
    });
    assert!(ran.is_ok(), "PROPS_SEED={seed}: {ran:?}");
}

fn play(steps: &[Step]) {
    let account = Account::new(10 * FREE_BYTES);
    let parts: Vec<_> = (0..6).map(|_| account.part()).collect();
    let mut open: Vec<Vec<Option<Request>>> = (0..6).map(|_| (0..4).map(|_| None).collect()).collect();
    for (connection, stream, bytes, ends) in steps {
        let place = &mut open[*connection][*stream];
        let given_up = place.get_or_insert_with(|| request(&parts[*connection])).feed(*bytes);
        if given_up.is_some() || *ends {
            *place = None;
        }
        let held: Vec<usize> = parts.iter().map(|part| *part.held()).collect();
        assert!(held.iter().all(|held| *held <= account.bytes_max / CONNECTION_PART), "{held:?}");
        let sum: usize = held.iter().map(|held| counted(*held)).sum();
        assert_eq!(sum, account.held.load(Ordering::Relaxed));
        assert!(sum <= account.bytes_max, "{held:?}");
        let of = |streams: &Vec<Option<Request>>| streams.iter().flatten().map(|request| request.body.held).sum();
        assert_eq!(held, open.iter().map(of).collect::<Vec<usize>>());
    }
    drop(open);
    assert_eq!(account.held.load(Ordering::Relaxed), 0);
    assert!(parts.iter().all(|part| *part.held() == 0));
}
