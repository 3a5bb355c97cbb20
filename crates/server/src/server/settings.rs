//! Settings of the listeners, the admin port and the shutdown.
//!
//! Knows: values and their problems. Must not know: sockets, how a drain is done.

use std::time::Duration;

use serde::Deserialize;

use super::hosts::Hosts;
use super::socket::Address;
use super::{hosts, peers, tls};
use picket_core::identity::SpiffeId;
use picket_core::setting::{CheckSettings, Key, Section, SettingProblem, of_parts};

/// One gRPC listener; section `listeners[]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Its name in logs and metrics.
    pub name: String,
    /// The address that it listens on.
    pub address: Address,
    /// How its calls are read.
    #[serde(default = "default_profile")]
    pub profile: String,
    /// How the calls of some clients are read instead; the first element that names the client counts.
    #[serde(default)]
    pub client_profiles: Vec<ClientProfile>,
    /// Mutual TLS.
    #[serde(default)]
    pub tls: Option<tls::Settings>,
    /// Accepts any client that reaches the address.
    #[serde(default)]
    pub insecure: bool,
}

/// How the calls of some of a listener's clients are read; section `listeners[].client_profiles[]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientProfile {
    /// The profile.
    pub profile: String,
    /// The clients.
    pub clients: peers::Settings,
}

fn default_profile() -> String {
    "default".to_owned()
}

impl Listener {
    /// The keys of the section.
    pub const SECTIONS: &'static [Section] = &[
        Section {
            prefix: "listeners[]",
            keys: &[
                Key::required("name", "ext_authz", "Name of the listener in logs and metrics; must be unique."),
                Key::required(
                    "address",
                    "127.0.0.1:9191",
                    "Where it listens: `127.0.0.1:9191` or `unix:/path`. Anything but loopback and unix sockets \
                         needs `tls`, or `insecure: true`.",
                ),
                Key::new("profile", "default", "Name of the profile by which its calls are read."),
                Key::tree(
                    "client_profiles",
                    "[]",
                    "List of `{profile, clients}`: the profile by which calls of those clients are read. They are listed as in \
                     `tls.clients`. The first element that names the client's certificate counts. It separates gateways \
                     from sidecars that share a listener, and no caller can choose its profile. Needs `tls`.",
                ),
                Key::new(
                    "insecure",
                    "false",
                    "Accepts checks from any client without authentication; a client can then claim any caller. Logged at every start.",
                ),
            ],
        },
        Section { prefix: "listeners[].tls", keys: tls::Settings::KEYS },
        Section { prefix: "listeners[].tls.clients", keys: peers::Settings::KEYS },
    ];
}

impl CheckSettings for Listener {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { name, address, profile: _, client_profiles, tls, insecure } = self;
        let mut found = of_parts(&[("client_profiles", client_profiles), ("tls", tls)]);
        if name.is_empty() {
            found.push(SettingProblem::error("name", "the name is empty; give one such as `ext_authz`"));
        }
        for (index, row) in client_profiles.iter().enumerate() {
            let below = format!("client_profiles.{index}.clients");
            found.extend(row.unknown_to(tls.as_ref()).into_iter().map(|problem| problem.below(&below)));
        }
        match tls {
            None if !address.is_local() && !insecure => {
                let message = format!(
                    "`{address}` can be reached from other machines and has no TLS; add `tls`, listen on loopback or a \
                     unix socket, or set `insecure: true`"
                );
                found.push(SettingProblem::error("address", message));
            }
            Some(_) if *insecure => {
                let message = "`insecure` and `tls` exclude each other; remove one of them";
                found.push(SettingProblem::error("insecure", message));
            }
            None | Some(_) => {}
        }
        found
    }
}

impl CheckSettings for ClientProfile {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { profile: _, clients } = self;
        of_parts(&[("clients", clients)])
    }
}

impl ClientProfile {
    /// Clients that no connection can have. `tls` is the listener's.
    fn unknown_to(&self, tls: Option<&tls::Settings>) -> Vec<SettingProblem> {
        let Some(tls) = tls else {
            let message =
                "clients are identified by their certificates; give the listener `tls`, or remove this element";
            return vec![SettingProblem::error("", message)];
        };
        let admitted = peers::AllowedClients::new(&tls.clients);
        let is_refused = |text: &&String| SpiffeId::parse(text).is_ok_and(|id| !admitted.names(&id));
        let refused = self.clients.spiffe_ids.iter().filter(is_refused);
        let message = |text| format!("`{text}` may not connect; name it in `tls.clients` too");
        refused.map(|text| SettingProblem::error("spiffe_ids", message(text))).collect()
    }
}

/// The ports for operators; section `admin`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Metrics and health, by HTTP.
    pub http_address: Address,
    /// Status and explain, by gRPC.
    pub grpc_address: Address,
    /// Host names of both ports.
    pub hosts: Vec<String>,
    /// Open connections of each port that have sent a request, and as many that have not.
    pub connections_max: usize,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            http_address: Address::Tcp(([127, 0, 0, 1], 9192).into()),
            grpc_address: Address::Tcp(([127, 0, 0, 1], 9193).into()),
            hosts: Vec::new(),
            connections_max: 32,
        }
    }
}

impl Admin {
    /// The keys of the section.
    pub const KEYS: &'static [Key] = &[
        Key::new(
            "http_address",
            "127.0.0.1:9192",
            "Address of `/metrics`, `/livez` and `/readyz`, without TLS; may be any address. `/readyz?verbose` shows \
                 details of the policies on loopback and `unix:/path` only.",
        ),
        Key::new(
            "grpc_address",
            "127.0.0.1:9193",
            "Address of status and explain: loopback or `unix:/path` only, since explain shows policies. Any process that can \
                 connect may use them, so choose `unix:/path` if not every process of the machine or pod may.",
        ),
        Key::new(
            "hosts",
            "[]",
            "Host names of these ports, in addition to any address and `localhost`. Other names are rejected, so that \
                 no page in a browser can send requests by a name of its own.",
        )
        .example("[picket.picket-system.svc]"),
        Key::new(
            "connections_max",
            "32",
            "Open connections of each of these ports that have sent a request, and as many that have not. One more evicts \
                 the connection with the oldest request.",
        ),
    ];

    /// The host names of the port at `address`.
    #[must_use]
    pub fn hosts(&self, address: &Address) -> Hosts {
        match address {
            Address::Tcp(_) => Hosts::Named(self.hosts.as_slice().into()),
            Address::Unix(_) => Hosts::Any,
        }
    }
}

impl CheckSettings for Admin {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { http_address: _, grpc_address, hosts, connections_max } = self;
        let mut found = Vec::new();
        if !grpc_address.is_local() {
            let message = "the admin service shows policies; give a loopback address or `unix:/path`";
            found.push(SettingProblem::error("grpc_address", message));
        }
        if *connections_max == 0 {
            let message = "no client could send a request; give a number of at least 1";
            found.push(SettingProblem::error("connections_max", message));
        }
        found.extend(hosts.iter().filter_map(|name| Some(SettingProblem::error("hosts", hosts::problem(name)?))));
        found
    }
}

/// How the server stops; section `shutdown`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long the server keeps serving after it reports not ready.
    #[serde(with = "humantime_serde")]
    pub pre_drain: Duration,
    /// When the server has ended, counted from the signal.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// The part of that time that is reserved for writing out logs.
    #[serde(with = "humantime_serde")]
    pub flush_timeout: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            pre_drain: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(25),
            flush_timeout: Duration::from_secs(2),
        }
    }
}

impl Shutdown {
    /// The keys of the section.
    pub const KEYS: &'static [Key] = &[
        Key::new(
            "pre_drain",
            "5s",
            "How long Picket keeps serving after SIGTERM while it is already not ready: proxies notice late that an \
                 endpoint is gone. Large clusters need 10s to 30s.",
        ),
        Key::new(
            "drain_timeout",
            "25s",
            "When Picket has ended, counted from SIGTERM; calls still in flight are aborted then. Keep the pod's \
                 `terminationGracePeriodSeconds` above it.",
        ),
        Key::new("flush_timeout", "2s", "How much of `drain_timeout` is reserved for writing out the decision log."),
    ];
}

impl CheckSettings for Shutdown {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { pre_drain, drain_timeout, flush_timeout } = self;
        if pre_drain.saturating_add(*flush_timeout) < *drain_timeout {
            return Vec::new();
        }
        let message = "no time is left to drain; give more than `pre_drain` and `flush_timeout` together";
        vec![SettingProblem::error("drain_timeout", message)]
    }
}
