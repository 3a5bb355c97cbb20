//! Rate-limits log lines about peers, so that peers cannot fill the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// PeerLog of one kind are written at most this often.
const EVERY: Duration = Duration::from_secs(5);

/// Limits the lines of one kind.
#[derive(Debug, Default)]
pub(super) struct LogLimiter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    written: Option<Instant>,
    withheld: u64,
}

impl LogLimiter {
    /// Returns, if a line may be written now, how many lines were withheld since the last one.
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
pub(super) struct PeerLog {
    /// A connection could not be accepted.
    pub accept: LogLimiter,
    /// A peer was evicted so that another one could connect.
    pub evicted: LogLimiter,
    /// A peer failed its TLS handshake, or its certificate does not admit it.
    pub handshake: LogLimiter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn withheld_lines_are_counted_in_the_next_line() {
        let seldom = LogLimiter::default();
        assert_eq!([seldom.due(), seldom.due(), seldom.due()], [Some(0), None, None]);
        tokio::time::advance(EVERY).await;
        assert_eq!([seldom.due(), seldom.due()], [Some(2), None]);
    }
}
