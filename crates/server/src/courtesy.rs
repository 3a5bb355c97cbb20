//! Long work that lets others run in between, or leaves a place where others wait.
//!
//! Knows: the clock and the scheduler. Must not know: what the work is.
//!
//! Where all processors are busy, Linux lets a thread run on for some milliseconds before one that has just woken, even if
//! that one ranks higher. A call would wait for that long behind the reading of policies.

pub(crate) mod lanes;

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long work goes on before it lets others run: what a call may have to wait for it.
const TURN: Duration = Duration::from_micros(200);
/// How long it goes on at most where others took the processor for long.
const TURN_MAX: Duration = Duration::from_millis(5);

thread_local! {
    static TURNS: Cell<Turns> = const { Cell::new(Turns { since: None, length: TURN }) };
}

/// When this thread's turn began, and how long it lasts.
#[derive(Clone, Copy)]
struct Turns {
    since: Option<Instant>,
    length: Duration,
}

/// Lets threads that wait run first, if this one has not for its turn. For every round of a loop that may run long.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a processor was held has nothing to do with a clock that tests move"
)]
pub(crate) fn let_others_run() {
    let turns = TURNS.get();
    let now = Instant::now();
    if turns.since.is_none_or(|since| now - since >= turns.length) {
        std::thread::yield_now();
        let back = Instant::now();
        TURNS.set(Turns { since: Some(back), length: next_turn(back - now) });
    }
}

/// The turn after one in which others ran for `lost`. Where they take all there is, a thread that gave every turn away
/// would hardly come to its end, and policies that shut somebody out would wait with it.
fn next_turn(lost: Duration) -> Duration {
    (lost / 2).clamp(TURN, TURN_MAX)
}

/// Whether work within somebody's turn can go on there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Went {
    /// It can.
    On,
    /// What follows is long: it belongs in a task of its own.
    Away,
}

thread_local! {
    /// How the work goes that runs within a turn now; `None` outside of turns.
    static WITHIN: Cell<Option<Went>> = const { Cell::new(None) };
}

/// Runs a part of some work within a turn of many, and says whether the rest can stay there. `part` must not panic.
pub(crate) fn in_turn<T>(part: impl FnOnce() -> T) -> (T, Went) {
    let outer = WITHIN.replace(Some(Went::On));
    let done = part();
    (done, WITHIN.replace(outer).unwrap_or(Went::On))
}

/// Waits for a task of its own, if this runs within a turn. For work that others should not wait for.
///
/// It wakes nobody: the turn's owner polls all of the work again elsewhere. So it is to be awaited itself, not beside other
/// futures in something that polls only those which were woken.
pub(crate) async fn leave_turn() {
    let leave = || match WITHIN.get() {
        None => Poll::Ready(()),
        Some(_) => {
            WITHIN.set(Some(Went::Away));
            Poll::Pending
        }
    };
    poll_fn(|_| leave()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_lasts_for_its_time_and_ends_once() {
        let_others_run();
        let Turns { since, length } = TURNS.get();
        let mut rounds = 0_u64;
        while TURNS.get().since == since {
            let_others_run();
            rounds += 1;
        }
        assert!(TURNS.get().since.unwrap() - since.unwrap() >= length);
        assert!(rounds > 1, "every call ended the turn");
    }

    #[test]
    fn turns_grow_where_others_take_long() {
        let micros = |lost| next_turn(Duration::from_micros(lost)).as_micros();
        assert_eq!([0, 400, 2_000, 40_000].map(micros), [200, 200, 1_000, 5_000]);
    }
}
