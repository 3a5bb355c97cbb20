//! The sections of settings that other modules define: their types, keys, defaults and documentation.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use picket_core::setting::{CheckSettings, Key, Section, SettingProblem};

/// Where policies come from: section `policies`.
pub type Policies = crate::policy::Settings;
/// How calls of one kind of listener are read: section `profiles.<name>`.
pub type Profile = crate::check::Profile;
/// Issuers of tokens and their keys: section `keys`.
pub type Keys = crate::keys::Settings;
/// Where facts come from: section `entity`.
pub type Entity = crate::entity::Settings;
/// A source of approvals: an element of `approvals`.
pub type Approvals = crate::approval::Settings;
/// The store of used approvals: section `approvals_store`.
pub type ApprovalsStore = crate::approval::Store;
/// Metrics, traces and the decision log: section `telemetry`.
pub type Telemetry = crate::telemetry::Settings;
/// Limits of one check: section `limits.check`.
pub type CheckLimits = crate::envoy::authz::AuthzSettings;
/// Limits of responses: section `limits.responses`.
pub type ResponseLimits = crate::envoy::ext_proc::ProcessorSettings;

/// Most checks in evaluation at once in the whole process, by default.
pub const IN_FLIGHT_MAX: usize = 1024;

/// Elicitation of approvals from MCP clients: section `elicitation`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Elicitation {
    /// File of the key that seals what clients bring back.
    pub key_file: Option<PathBuf>,
    /// How long they may take to come back.
    #[serde(with = "humantime_serde")]
    pub state_ttl: Duration,
}

impl Default for Elicitation {
    fn default() -> Self {
        Self { key_file: None, state_ttl: Duration::from_secs(600) }
    }
}

impl CheckSettings for Elicitation {
    fn problems(&self) -> Vec<SettingProblem> {
        // The file is read when the server starts.
        let Self { key_file: _, state_ttl } = self;
        if (Duration::from_secs(60)..=Duration::from_secs(3600)).contains(state_ttl) {
            return Vec::new();
        }
        let message = "must be from 1m to 1h: people need time, and a leaked state must expire";
        vec![SettingProblem::error("state_ttl", message)]
    }
}

/// Evaluation of responses: section `responses`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Responses {
    /// File of the key that seals release records.
    pub key_file: Option<PathBuf>,
    /// How long after its check the headers of a response may arrive.
    #[serde(with = "humantime_serde")]
    pub record_ttl: Duration,
}

impl Default for Responses {
    fn default() -> Self {
        Self { key_file: None, record_ttl: Duration::from_secs(15 * 60) }
    }
}

impl CheckSettings for Responses {
    fn problems(&self) -> Vec<SettingProblem> {
        // The file is read when the server starts.
        let Self { key_file: _, record_ttl } = self;
        if (Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(record_ttl) {
            return Vec::new();
        }
        let message = "must be from 1s to 24h: services need time, and a leaked record must expire";
        vec![SettingProblem::error("record_ttl", message)]
    }
}

const POLICIES: &[Key] = &[
    Key::new("dir", "policies", "The policy directory, relative to the working directory."),
    Key::new(
        "poll",
        "5s",
        "How often the folder is read in addition to watching it; watches lose events on some file systems. At least \
         100ms.",
    ),
];

const IDENTITY: &[Key] = &[
    Key::tree(
        "sources",
        "[peer]",
        "Sources of a workload's identity, in order: `peer`, `xfcc: {hops, proxies}`, `jwt_svid: {issuer}`. A \
         credential that is present and invalid ends the search. Empty: every caller is unauthenticated.",
    ),
    Key::new(
        "certificate",
        "checked",
        "`checked`: the peer's certificate is checked where the proxy sends it. `required`: a principal without a \
         certificate is rejected.",
    ),
    Key::tree(
        "tokens",
        "[]",
        "Sources of tokens, in order: `metadata: {key, claims}` (Envoy's jwt_authn verified it) or `verified: \
         {issuers}` (Picket verifies it against section `keys`). `metadata` may have `from: {headers, cookies, \
         query}`: further places where the filter, or a service, finds a token. One token a call: a credential in \
         `authorization`, in `access_token` or in those places must be the verified token, or the call is denied. \
         Empty: tokens are ignored.",
    ),
    Key::tree(
        "task",
        "{issuers: []}",
        "Issuers of kind `transaction` that sign task tokens in the header `txn-token`, which limit what a call's \
         task allows. An invalid token is rejected. Empty: the header is ignored.",
    ),
    Key::new("strict", "false", "Rejects an `authorization` header that is not a JWT Bearer instead of ignoring it."),
    Key::new(
        "foreign_tokens",
        "rejected",
        "Handling of tokens from issuers that are not configured: `rejected`, or `absent` where services check such \
         tokens themselves.",
    ),
    Key::new(
        "other_credentials",
        "refused",
        "Handling of an `authorization` header next to the verified token with another scheme, an opaque Bearer, or a \
         token that counts as absent: `refused`, or `passed` where services check it themselves.",
    ),
    Key::new(
        "form_tokens",
        "judged",
        "`judged`: `access_token` in a form body is a token, and a form that the proxy did not send completely is \
         rejected. `not_read`: no service behind the listener reads tokens from forms, so forms are ignored. Without \
         effect where tokens are ignored.",
    ),
    Key::new(
        "bindings",
        "checked",
        "Handling of a token with a binding that cannot be compared: `checked` rejects it, `unchecked` accepts it and \
         sets `token.binding` to that word. A mismatch is always rejected.",
    ),
    Key::new("home_trust_domain", "cluster.local", "The trust domain of workloads in plain namespaces."),
    Key::tree("allowed_trust_domains", "[]", "Further trust domains with workloads that may call."),
];

const MAPPING: &[Key] = &[
    Key::tree(
        "service",
        "[context_extension]",
        "How the called service is found, in order: `fixed: <ns>/<name>`, `context_extension`, `destination_account: \
         {host_within_account}`, `host`. A value that is present but unknown ends the search: `unmapped`. Use `host` \
         only where Envoy's virtual host pins it.",
    ),
    Key::new("allow_connect", "false", "Evaluates CONNECT as action `connect`; without it CONNECT is rejected."),
    Key::tree(
        "allow_upgrades",
        "[]",
        "Protocols such as `websocket` with upgrades that are evaluated; others are rejected.",
    ),
];

const KEYS: &[Key] = &[
    Key::new("refresh", "10m", "How often each issuer's keys are fetched."),
    Key::new(
        "min_interval",
        "30s",
        "At most one fetch per issuer in this time, however many tokens name unknown keys.",
    ),
    Key::new("timeout", "5s", "How long one fetch may take; never part of a check's time."),
    Key::new(
        "ready_wait",
        "2m",
        "How long Picket stays not ready while it has never had an issuer's keys, so that a roll-out during an outage \
         does not replace replicas that have keys. Afterwards it is ready without them, and rejects those tokens. \
         `0s`: no wait; at most 1h.",
    ),
    Key::tree(
        "issuers",
        "[]",
        "Issuers of tokens that Picket verifies: `{name, jwks: {file: path} or {url: {address, ca_file}}, algorithms, \
         allow_untyped, claims: {issuer, audiences, kind, users, leeway, trust_domain, lifetime_max, actors}}`. \
         `kind` is `access`, `jwt_svid`, `kubernetes` or `transaction`; `lifetime_max` bounds `exp - iat` \
         (`transaction`: 10m); `actors: {name: spiffe-id}` maps a name in `act.sub` to a workload. `users: true`: the \
         issuer logs people in. Only then is a subject a user, and do `acr`, `amr` and `auth_time` count.",
    ),
];

const ENTITY: &[Key] = &[Key::tree(
    "lookups",
    "[]",
    "Facts that are looked up over HTTP: `{name, target, url, slashes, attributes or whole: true, missing, \
         optional, timeout, headers, ca_file, cache: {ttl, max_stale, entries_max, in_flight_max}}`. `attributes` \
         selects members of the answer, `whole: true` uses the answer unchanged; each look-up has exactly one of the \
         two.",
)];

const APPROVALS: &[Key] = &[
    Key::tree(
        "approvals",
        "[]",
        "Change and ticket systems with approvals that policies read as `context.approval`, see docs/approvals.md: \
         `{name, services, reference: {argument} or {header}, url, fields: {id, kind, state, requested_by, \
         approved_by, not_before, not_after, used, one_use, digest}, slashes, match, system, ttl, timeout, headers, \
         ca_file, in_flight_max}`.",
    ),
    Key::tree(
        "approvals_store.file",
        "null",
        "File that records used approvals; only one process may use it. Without it the records are lost at a restart.",
    )
    .example("/var/lib/picket/approvals"),
];

const TELEMETRY: &[Key] = &[
    Key::new("log.format", "text", "Format of Picket's own log on standard error: `text` or `json`."),
    Key::new("log.level", "info", "A level, or directives for modules (`info,picket_server::policy=debug`)."),
    Key::new("log.color", "never", "`always` colours text lines."),
    Key::tree("decision_log.sink", "stdout", "Destination of the decision log: `stdout`, `none` or `file: <path>`."),
    Key::new(
        "decision_log.queue_events_max",
        "10000",
        "Most records in the queue; further ones are dropped and counted.",
    ),
    Key::new("decision_log.queue_bytes_max", "16777216", "Most bytes in the queue."),
    Key::new("decision_log.sample_allows", "1.0", "Share of allows that is logged, 0 to 1. Denies are always logged."),
    Key::tree("decision_log.mask", "[]", "Further header names that are never logged."),
    Key::tree(
        "decision_log.full_headers",
        "[accept, content-type, content-length, user-agent]",
        "Headers that a permit's `@log(\"full\")` logs.",
    ),
    Key::tree("otlp", "null", "Export of spans by OTLP/gRPC; off by default.")
        .example("{endpoint: \"http://127.0.0.1:4317\", sample_roots: 0.0, timeout: 5s}"),
];

const ELICITATION: &[Key] = &[
    Key::tree(
        "key_file",
        "null",
        "File of the key that seals the state an MCP client returns from an approval page: 32 to 1024 bytes, the same \
         for all replicas. Read at start; an unusable file ends the start. Without it each process generates a key, \
         and a client that returns to another replica is rejected.",
    )
    .example("/etc/picket/elicitation.key"),
    Key::new("state_ttl", "10m", "How long such a client may take to return. From 1m to 1h."),
];

const PROCESSOR: &[Key] = &[
    Key::new(
        "responses",
        "false",
        "States that the proxies send responses to be evaluated (ext_proc). Then every answer to a check has a release record, \
         and guarded services are requested without compression and ranges. A response that is sent without a record is refused.",
    ),
    Key::new(
        "requests",
        "false",
        "States that on every route an ext_proc filter behind the check sends requests with the mode `BUFFERED`. Then requests can \
         be masked, every allowed call has a release record, and a request without a record is refused. True where a route has no \
         such filter lets requests that have to be masked PASS as they came.",
    ),
];

const RESPONSES: &[Key] = &[
    Key::tree(
        "key_file",
        "null",
        "File of the key that seals release records: 32 to 1024 bytes, the same for all replicas. Read at start; an unusable \
         file ends the start. Without it each process generates a key, and a response that the proxy sends to another replica \
         than its check is refused.",
    )
    .example("/etc/picket/responses.key"),
    Key::new(
        "record_ttl",
        "15m",
        "How long after its check the headers of a response may arrive; later ones are refused. From 1s to 24h.",
    ),
];

const CHECK: &[Key] = &[
    Key::new(
        "deadline",
        "150ms",
        "How long one check may take; below Envoy's timeout (200ms by default, 600s under Istio), so that the answer \
         is ours. A shorter `grpc-timeout`, less 10 ms, has priority.",
    ),
    Key::new(
        "on_failure",
        "deny",
        "`deny` answers internal failures with 503. `defer_to_proxy` lets the filter's `failure_mode_allow` decide, \
         which may ALLOW the call.",
    ),
    Key::new(
        "message_bytes_max",
        "1048576",
        "Largest check. It must hold the filter's `max_request_bytes` and all headers: a larger one is denied with code \
         `too_large`.",
    ),
    Key::tree(
        "body_bytes_max",
        "null",
        "The filter's `max_request_bytes`: a body of that size counts as truncated. Without it only `content-length` \
         proves that a body is complete.",
    )
    .example("65536"),
    Key::new(
        "every_body_attached",
        "false",
        "States that every proxy attaches every body: `with_request_body` on every route, `disable_request_body_buffering` \
         on none. Then a check without a body proves that the call has none; by default only `content-length: 0` or an \
         attached empty body does.",
    ),
];

const RESPONSE_LIMITS: &[Key] = &[
    Key::new(
        "deadline",
        "150ms",
        "How long the verdict over the headers of a response may take; then it is refused with reason `deadline`. The filter \
         has no timeout for it. From 1ms to 60s.",
    ),
    Key::new(
        "streams_max",
        "8192",
        "Most responses that are processed at once in the whole process; further ones are refused with reason `overload`. \
         A stream counts until its end. At least 1.",
    ),
    Key::new(
        "message_bytes_max",
        "4194304",
        "Largest message of the proxy; a larger one ends the response. Envoy sends what it has buffered, at most \
         `per_connection_buffer_limit_bytes`. From 65536 to 8388608.",
    ),
    Key::new(
        "held_bytes_max",
        "134217728",
        "Most bytes of responses that are held in the whole process; the response that would hold more is refused. At \
         least 1.",
    ),
    Key::new(
        "hold_max",
        "30s",
        "How long bytes of a response may be held; then it is refused, and what is held does not leave. From 1ms to 1h.",
    ),
];

const LIMITS: &[Key] = &[
    Key::new(
        "in_flight_max",
        "1024",
        "Most checks in evaluation at once in the whole process; further ones are denied with code `overload`.",
    ),
    Key::new(
        "verify_every",
        "0",
        "Plain Cedar evaluates every Nth decision again, off the request path, and compares; \
         `picket_decision_mismatches_total` must stay 0. 0: off.",
    ),
];

/// The keys of these sections.
pub const SECTIONS: &[Section] = &[
    Section { prefix: "policies", keys: POLICIES },
    Section { prefix: "profiles.<name>.identity", keys: IDENTITY },
    Section { prefix: "profiles.<name>.mapping", keys: MAPPING },
    Section { prefix: "profiles.<name>.processor", keys: PROCESSOR },
    Section { prefix: "keys", keys: KEYS },
    Section { prefix: "entity", keys: ENTITY },
    Section { prefix: "elicitation", keys: ELICITATION },
    Section { prefix: "responses", keys: RESPONSES },
    Section { prefix: "", keys: APPROVALS },
    Section { prefix: "telemetry", keys: TELEMETRY },
    Section { prefix: "limits", keys: LIMITS },
    Section { prefix: "limits.check", keys: CHECK },
    Section { prefix: "limits.responses", keys: RESPONSE_LIMITS },
];
