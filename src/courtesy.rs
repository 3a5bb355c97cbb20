//! Long work that lets others run in between.
//!
//! Knows: the clock and the scheduler. Must not know: what the work is.
//!
//! Where all processors are busy, Linux lets a thread run on for some milliseconds before one that has just woken, even if
//! that one ranks higher. A call would wait for that long behind the reading of policies.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long work goes on before it lets others run: what a call may have to wait for it.
const TURN: Duration = Duration::from_micros(200);

thread_local! {
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Lets threads that wait run first, if this one has not for [`TURN`]. For every round of a loop that may run long.
pub(crate) fn let_others_run() {
    if is_due() {
        std::thread::yield_now();
    }
}

/// Whether this thread's turn is over; the next one begins then.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a processor was held has nothing to do with a clock that tests move"
)]
fn is_due() -> bool {
    SINCE.with(|since| {
        let now = Instant::now();
        let is_due = since.get().is_none_or(|since| now - since >= TURN);
        if is_due {
            since.set(Some(now));
        }
        is_due
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_lasts_for_its_time_and_ends_once() {
        assert!(is_due());
        let mut rounds = 0_u64;
        let begin = SINCE.get().unwrap();
        while !is_due() {
            rounds += 1;
        }
        assert!(SINCE.get().unwrap() - begin >= TURN);
        assert!(rounds > 1, "every call ended the turn");
    }
}
