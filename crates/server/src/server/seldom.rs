//! Log lines about peers, which must not let peers fill the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines of one kind are written at most this often.
const EVERY: Duration = Duration::from_secs(5);

/// Lets a line through now and then.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    written: Option<Instant>,
    withheld: u64,
}

impl Seldom {
    /// Whether to write a line now, and how many were withheld since the last one.
    pub fn due(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.written.is_some_and(|at| at.elapsed() < EVERY) {
            state.withheld += 1;
            return None;
        }
        state.written = Some(Instant::now());
        Some(std::mem::take(&mut state.withheld))
    }
}

/// The kinds of lines that a listener writes about its peers.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// A connection could not be accepted.
    pub accept: Seldom,
    /// A peer had to go so that another one gets in.
    pub crowd: Seldom,
    /// A peer did not do its TLS handshake, or its certificate does not let it in.
    pub handshake: Seldom,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_withheld_is_counted_in_the_next_line() {
        let seldom = Seldom::default();
        assert_eq!([seldom.due(), seldom.due(), seldom.due()], [Some(0), None, None]);
        tokio::time::advance(EVERY).await;
        assert_eq!([seldom.due(), seldom.due()], [Some(2), None]);
    }
}
