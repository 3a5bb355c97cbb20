//! Limits the descriptors that connections may take.
//!
//! Knows: the process's limit. Must not know: who connects, policies.
//!
//! Policies, certificates and lookups need descriptors as connections do. If peers held the last one, a new policy that
//! forbids could not be loaded. So connections never get the last ones.

use super::limits::Settings;
use super::slots::ENDING_MAX;

/// Descriptors that connections never get.
const RESERVE: usize = 128;
/// A listener has room for at least so many connections of each kind, however low the limit is.
const LEAST: usize = 16;

/// Raises the soft limit of open descriptors to the hard one. The old default of 1024 exists for programs that fail
/// with more; Picket does not.
#[cfg(target_os = "linux")]
pub fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
}

/// Other systems keep their limit.
#[cfg(not(target_os = "linux"))]
pub fn raise() {}

/// Most descriptors of the process; `None` if that is unknown or unlimited.
#[cfg(target_os = "linux")]
pub(super) fn limit() -> Option<usize> {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current.map(|current| usize::try_from(current).unwrap_or(usize::MAX))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn limit() -> Option<usize> {
    None
}

/// Shares of `limit` descriptors for `listeners` of these limits and for the `operators`' ports: the limits as they
/// are, or less of each, in proportion.
pub(super) fn fitted(listeners: usize, limits: &Settings, operators: &[Settings], limit: Option<usize>) -> Settings {
    let Some(limit) = limit else { return limits.clone() };
    let of_operators: usize = operators.iter().map(taken).sum();
    let left = limit.saturating_sub(RESERVE).saturating_sub(of_operators);
    let wanted = taken(limits).saturating_mul(listeners);
    if wanted <= left {
        return limits.clone();
    }
    let each = (left / listeners.max(1)).saturating_sub(ENDING_MAX);
    let all = limits.connections_max.saturating_add(limits.handshakes_max).max(1);
    // Nothing is lost below 2^32 connections, and no system has as many descriptors.
    let part = limits.connections_max.min(1 << 32).saturating_mul(each.min(1 << 30)) / all;
    let least = LEAST.min(limits.handshakes_max);
    let part = part.min(each.saturating_sub(least));
    let connections_max = part.clamp(LEAST.min(limits.connections_max), limits.connections_max);
    let handshakes_max = each.saturating_sub(connections_max).clamp(least, limits.handshakes_max);
    let fitted = Settings { connections_max, handshakes_max, ..limits.clone() };
    tracing::warn!(
        limit,
        wanted = wanted.saturating_add(of_operators).saturating_add(RESERVE),
        connections_max = fitted.connections_max,
        handshakes_max = fitted.handshakes_max,
        "the limit of open files, {limit}, is too low for `limits.connection`: each listener takes at most {} connections; \
         raise the limit",
        fitted.connections_max
    );
    fitted
}

/// Descriptors that a port of these limits can take.
fn taken(limits: &Settings) -> usize {
    limits.connections_max.saturating_add(limits.handshakes_max).saturating_add(ENDING_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_never_take_the_last_descriptors() {
        let operators = [
            Settings { connections_max: 32, handshakes_max: 32, ..Settings::default() },
            Settings { connections_max: 32, handshakes_max: 32, ..Settings::default() },
        ];
        let of_operators: usize = operators.iter().map(taken).sum();
        for connections_max in [1, 16, 100, 4096, 1 << 20, usize::MAX >> 3] {
            for handshakes_max in [1, 64, 512, 1 << 20] {
                let wanted = Settings { connections_max, handshakes_max, ..Settings::default() };
                for listeners in 1..=4 {
                    for limit in [600, 1024, 4096, 5000, 20_000, 1 << 20, 1 << 30] {
                        let got = fitted(listeners, &wanted, &operators, Some(limit));
                        let least = listeners * (2 * LEAST + ENDING_MAX);
                        let all = listeners * taken(&got) + of_operators;
                        let room = limit - RESERVE;
                        assert!(all <= room.max(of_operators + least), "{limit} {listeners} {wanted:?} {got:?}");
                        assert!(got.connections_max <= wanted.connections_max.max(LEAST));
                        let fits = listeners.saturating_mul(taken(&wanted)).saturating_add(of_operators) <= room;
                        assert!(!fits || got == wanted, "{limit} {listeners} {wanted:?} {got:?}");
                    }
                }
                assert_eq!(fitted(1, &wanted, &operators, None), wanted);
            }
        }
    }
}
