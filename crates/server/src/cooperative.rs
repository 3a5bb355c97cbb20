//! Cooperative scheduling: yields the CPU during long work.
//!
//! Knows: the clock and the scheduler. Must not know: what the work is.
//!
//! While all CPUs are busy, Linux lets a thread run for some milliseconds before a thread that has just woken, even if
//! the woken one has a higher priority. A call would wait that long behind policy loading.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Time that work runs before it yields: the longest time that a call waits for it.
const SLICE_LENGTH: Duration = Duration::from_micros(200);
/// Longest time slice, used where other threads kept the CPU for long.
const SLICE_LENGTH_MAX: Duration = Duration::from_millis(5);

thread_local! {
    static SLICE: Cell<TimeSlice> = const { Cell::new(TimeSlice { since: None, length: SLICE_LENGTH }) };
}

/// Start and length of this thread's time slice.
#[derive(Clone, Copy)]
struct TimeSlice {
    since: Option<Instant>,
    length: Duration,
}

/// Yields to waiting threads if this thread has used up its time slice. Call it in every round of a long loop.
#[expect(clippy::disallowed_methods, reason = "a time slice ends by real time, not by a clock that tests move")]
pub(crate) fn maybe_yield() {
    let slice = SLICE.get();
    let now = Instant::now();
    if slice.since.is_none_or(|since| now - since >= slice.length) {
        std::thread::yield_now();
        let back = Instant::now();
        SLICE.set(TimeSlice { since: Some(back), length: next_length(back - now) });
    }
}

/// The time slice after other threads ran for `lost`. It grows with `lost`: on a busy machine a thread that yields too
/// often would hardly finish, and a policy that revokes an access would be delayed with it.
fn next_length(lost: Duration) -> Duration {
    (lost / 2).clamp(SLICE_LENGTH, SLICE_LENGTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_lasts_for_its_time_and_ends_once() {
        maybe_yield();
        let TimeSlice { since, length } = SLICE.get();
        let mut rounds = 0_u64;
        while SLICE.get().since == since {
            maybe_yield();
            rounds += 1;
        }
        assert!(SLICE.get().since.unwrap() - since.unwrap() >= length);
        assert!(rounds > 1, "every call ended the slice");
    }

    #[test]
    fn slices_grow_with_the_time_that_others_take() {
        let micros = |lost| next_length(Duration::from_micros(lost)).as_micros();
        assert_eq!([0, 400, 2_000, 40_000].map(micros), [200, 200, 1_000, 5_000]);
    }
}
