//! Limits of one connection.
//!
//! Knows: numbers. Must not know: sockets.

use std::time::Duration;

use serde::Deserialize;

use picket_core::setting::{CheckSettings, Key, SettingProblem};

/// The limits of the connections of one listener; section `limits.connection`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Open connections of one listener with peers that have proven that they may send checks.
    pub connections_max: usize,
    /// Open connections of one listener with peers that have not proven it yet.
    pub handshakes_max: usize,
    /// Calls in flight on one connection.
    pub streams_max: u32,
    /// Bytes of a request's header list.
    pub header_bytes_max: u32,
    /// Bytes of incomplete requests, of all listeners.
    pub unfinished_bytes_max: usize,
    /// Time between pings on a connection.
    #[serde(with = "humantime_serde")]
    pub keepalive_interval: Duration,
    /// Time to answer a ping.
    #[serde(with = "humantime_serde")]
    pub keepalive_timeout: Duration,
    /// Time for the TLS handshake, and again for the HTTP/2 preface.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
    /// Age at which a connection gets its GOAWAY, plus or minus a tenth.
    #[serde(with = "humantime_serde")]
    pub age_max: Duration,
    /// How long an old connection may still finish its calls.
    #[serde(with = "humantime_serde")]
    pub age_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            handshakes_max: 512,
            streams_max: 1024,
            header_bytes_max: 16384,
            unfinished_bytes_max: 16 * 1024 * 1024,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(5),
            age_max: Duration::from_secs(600),
            age_grace: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// The keys of the section.
    pub const KEYS: &'static [Key] = &[
        Key::new(
            "connections_max",
            "4096",
            "Open connections of one listener with peers that have shown an allowed certificate or, without TLS, have sent a check. \
                 One more evicts the connection with the oldest request, of the address with most connections. The number is lower \
                 if the limit of open files is too low for it; that is logged at start.",
        ),
        Key::new(
            "handshakes_max",
            "512",
            "Further connections of one listener, with peers that have shown no certificate and sent no check yet. One more \
                 evicts a silent connection, or else the oldest one, of the address with most connections.",
        ),
        Key::new(
            "streams_max",
            "1024",
            "Calls in flight on one connection. As many may be reset before Picket accepts them: a smaller \
                 number would close the whole connection of a proxy if its calls time out.",
        ),
        Key::new("header_bytes_max", "16384", "Bytes of a request's header list; at least 4096."),
        Key::new(
            "unfinished_bytes_max",
            "16777216",
            "Bytes of requests that have not arrived completely, or that are large and wait to be decoded, in the whole \
             process; a quarter of it on one connection. Each such request counts for 4 KiB more. Each connection's \
             first 16 KiB do not count. A check beyond it is denied with code `overload`. A value below four times \
             `limits.check.message_bytes_max` counts as that.",
        ),
        Key::new("keepalive_interval", "30s", "Time between pings on a connection."),
        Key::new("keepalive_timeout", "10s", "A connection is closed if a ping stays unanswered that long."),
        Key::new(
            "handshake_timeout",
            "5s",
            "Time for the TLS handshake, again for the HTTP/2 preface, and again for each request of an admin port or of \
                 health to arrive completely. A silent peer is closed.",
        ),
        Key::new(
            "age_max",
            "10m",
            "Age at which a connection gets its GOAWAY, plus or minus a tenth, so that load finds new replicas. \
                 Also bounds how long a withdrawn certificate keeps its connection, together with `age_grace`.",
        ),
        Key::new(
            "age_grace",
            "10s",
            "How long an old connection may still finish its calls; then it is closed. Responses that are processed have \
                 `age_max` once more.",
        ),
    ];
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        let mut found = Vec::new();
        let mut wrong = |key, message| found.push(SettingProblem::error(key, message));
        if self.connections_max == 0 || self.connections_max > tokio::sync::Semaphore::MAX_PERMITS {
            wrong("connections_max", "give a number from 1 to 2305843009213693951");
        }
        if self.handshakes_max == 0 || self.handshakes_max > tokio::sync::Semaphore::MAX_PERMITS {
            wrong("handshakes_max", "no client could connect; give a number of at least 1");
        }
        if self.streams_max == 0 {
            wrong("streams_max", "no call could be served; give at least 1");
        }
        if self.header_bytes_max < 4096 {
            wrong("header_bytes_max", "a check's own headers need at least 4096 bytes");
        }
        for (key, value) in [
            ("keepalive_interval", self.keepalive_interval),
            ("keepalive_timeout", self.keepalive_timeout),
            ("handshake_timeout", self.handshake_timeout),
            ("age_max", self.age_max),
        ] {
            if value.is_zero() {
                wrong(key, "`0s` would close every connection at once; give a longer time");
            }
        }
        found
    }
}
