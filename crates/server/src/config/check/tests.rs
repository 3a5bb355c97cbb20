//! Every bound is held, and its error names its key and the place of the key.

use crate::config::{Sources, all_sections, load};
use picket_core::problem::Problem;
use picket_core::setting::KeyTree;

/// A good file that gives every key with a bound.
const GOOD: &str = "\
listeners:
  - name: edge
    address: 127.0.0.1:1
    profile: default
    insecure: false
    tls: {certificate: c, private_key: k, client_roots: r, clients: {spiffe_ids: ['spiffe://td/a'], namespaces: [td/b], trust_domains: [td]}}
    client_profiles:
      - {profile: gateways, clients: {spiffe_ids: ['spiffe://td/ns/edge/sa/gateway']}}
  - {name: local, address: '127.0.0.1:2'}
policies: {dir: policies, poll: 5s}
profiles:
  default:
    identity:
      sources: [{xfcc: {hops: 1, proxies: ['spiffe://td/proxy']}}, {jwt_svid: {issuer: spire}}]
      tokens:
        - metadata: {key: payload, claims: {issuer: 'https://other', audiences: [other], leeway: 10s}, from: {cookies: [session]}}
        - verified: {issuers: [idp]}
      task: {issuers: [tts]}
      home_trust_domain: home.example
      allowed_trust_domains: [allowed.example]
  gateways: {}
keys:
  refresh: 11m
  min_interval: 31s
  timeout: 6s
  ready_wait: 3m
  issuers:
    - {name: idp, jwks: {file: a}, algorithms: [ES256], claims: {issuer: 'https://idp', audiences: [idp], actors: {web: 'spiffe://td/web'}}}
    - {name: spire, jwks: {url: {address: 'https://spire/keys'}}, claims: {issuer: 'https://spire', audiences: [s], kind: jwt_svid, trust_domain: home.example}}
    - {name: tts, jwks: {file: b}, claims: {issuer: 'https://tts', audiences: [t], kind: transaction, lifetime_max: 5m}}
entity:
  lookups:
    - name: teams
      target: principal
      url: 'http://teams/'
      attributes: {team: /team}
      timeout: 51ms
      headers: {authorization: {file: token}}
      cache: {ttl: 32s, max_stale: 1s, entries_max: 101, in_flight_max: 102}
    - {name: regions, target: {call: {attribute: region}}, url: 'http://regions/', whole: true}
elicitation: {state_ttl: 12m}
responses: {record_ttl: 14m}
approvals:
  - name: changes
    system: tickets
    services: [shop/orders]
    reference: {argument: /ticket}
    url: 'http://changes/${reference}'
    fields: {id: /id, kind: {constant: change}, state: /state, requested_by: /by, approved_by: /approver, not_after: /end}
    match: {/order: /fields/order}
    ttl: 7s
    timeout: 52ms
    headers: {x-key: {file: key}}
    in_flight_max: 103
  - {name: others, reference: {header: x-other}, url: 'http://others/${reference}', match: {/a: /b},
     fields: {id: /i, kind: {constant: x}, state: /s, requested_by: /r, approved_by: /a, not_after: /n}}
approvals_store: {file: uses}
telemetry:
  log: {level: info}
  decision_log: {sink: {file: d.jsonl}, queue_events_max: 104, queue_bytes_max: 1048576, sample_allows: 0.5}
  otlp: {endpoint: 'http://127.0.0.1:4317', sample_roots: 0.25, timeout: 8s}
limits:
  in_flight_max: 105
  connection:
    {connections_max: 106, handshakes_max: 107, streams_max: 108, header_bytes_max: 8192, keepalive_interval: 33s, keepalive_timeout: 9s,
     handshake_timeout: 4s, age_max: 13m}
  responses: {deadline: 151ms, streams_max: 110, message_bytes_max: 65536, held_bytes_max: 111, hold_max: 29s}
admin: {grpc_address: 'unix:/a', hosts: [picket.svc], connections_max: 109}
shutdown: {drain_timeout: 26s}
";

/// Each bound: the key's path, a text that is once in [`GOOD`], and the text that makes it bad.
const BOUNDS: &[(&str, &str, &str)] = &[
    ("listeners[0].name", "name: edge", "name: ''"),
    ("listeners[1].name", "name: local", "name: edge"),
    ("listeners[1].address", "127.0.0.1:2", "0.0.0.0:2"),
    ("listeners[1].address", "127.0.0.1:2", "127.0.0.1:1"),
    ("listeners[0].profile", "profile: default", "profile: defualt"),
    ("listeners[0].insecure", "insecure: false", "insecure: true"),
    ("listeners[0].client_profiles[0].profile", "profile: gateways", "profile: gateway"),
    ("listeners[0].client_profiles[0].clients.spiffe_ids", "spiffe://td/ns/edge", "spiffe://other/ns/edge"),
    ("listeners[0].tls.clients.spiffe_ids", "'spiffe://td/a'", "a"),
    ("listeners[0].tls.clients.namespaces", "td/b", "b"),
    ("listeners[0].tls.clients.trust_domains", "[td]", "[T]"),
    ("policies.dir", "dir: policies", "dir: ''"),
    ("policies.poll", "poll: 5s", "poll: 99ms"),
    ("profiles.default.identity.sources[0].xfcc.hops", "hops: 1", "hops: 0"),
    ("profiles.default.identity.sources[0].xfcc.proxies", "'spiffe://td/proxy'", "proxy"),
    ("profiles.default.identity.sources[1].jwt_svid.issuer", "jwt_svid: {issuer: spire}", "jwt_svid: {issuer: idp}"),
    ("profiles.default.identity.tokens[0].metadata.key", "key: payload", "key: ''"),
    ("profiles.default.identity.tokens[0].metadata.claims.leeway", "leeway: 10s", "leeway: 6m"),
    ("profiles.default.identity.tokens[0].metadata.from.cookies", "[session]", "['a b']"),
    ("profiles.default.identity.tokens[1].verified.issuers", "issuers: [idp]", "issuers: []"),
    ("profiles.default.identity.tokens[1].verified.issuers", "issuers: [idp]", "issuers: [none]"),
    ("profiles.default.identity.task.issuers", "issuers: [tts]", "issuers: [idp]"),
    ("profiles.default.identity.home_trust_domain", "home_trust_domain: home.example", "home_trust_domain: Home"),
    ("profiles.default.identity.allowed_trust_domains", "[allowed.example]", "[Allowed]"),
    ("keys.refresh", "refresh: 11m", "refresh: 9s"),
    ("keys.min_interval", "min_interval: 31s", "min_interval: 12m"),
    ("keys.timeout", "timeout: 6s", "timeout: 99ms"),
    ("keys.ready_wait", "ready_wait: 3m", "ready_wait: 2h"),
    ("keys.issuers[0].name", "name: idp", "name: ''"),
    ("keys.issuers[1].name", "name: spire", "name: idp"),
    ("keys.issuers[0].algorithms", "[ES256]", "[]"),
    ("keys.issuers[0].claims.issuer", "'https://idp'", "''"),
    ("keys.issuers[0].claims.audiences", "audiences: [idp]", "audiences: []"),
    ("keys.issuers[0].claims.actors", "'spiffe://td/web'", "web"),
    ("keys.issuers[1].jwks.url.address", "'https://spire/keys'", "'http://spire/keys'"),
    ("keys.issuers[1].claims.trust_domain", "trust_domain: home.example}", "trust_domain: Home}"),
    ("keys.issuers[2].claims.lifetime_max", "lifetime_max: 5m", "lifetime_max: 25h"),
    ("entity.lookups[0].name", "name: teams", "name: T"),
    ("entity.lookups[1].name", "name: regions", "name: teams"),
    ("entity.lookups[1].target", "target: {call: {attribute: region}}", "target: principal"),
    ("entity.lookups[1].target.call.attribute", "attribute: region", "attribute: ''"),
    ("entity.lookups[0].url", "'http://teams/'", "'teams'"),
    ("entity.lookups[0].attributes", "{team: /team}", "{team: team}"),
    ("entity.lookups[1].whole", "whole: true", "attributes: {a: /a}, whole: true"),
    ("entity.lookups[0].timeout", "timeout: 51ms", "timeout: 0s"),
    ("entity.lookups[0].headers", "{authorization: {file: token}}", "{'a b': {file: token}}"),
    ("entity.lookups[0].cache.ttl", "ttl: 32s", "ttl: 25h"),
    ("entity.lookups[0].cache.max_stale", "max_stale: 1s", "max_stale: 25h"),
    ("entity.lookups[0].cache.entries_max", "entries_max: 101", "entries_max: 0"),
    ("entity.lookups[0].cache.in_flight_max", "in_flight_max: 102", "in_flight_max: 0"),
    ("elicitation.state_ttl", "state_ttl: 12m", "state_ttl: 59s"),
    ("responses.record_ttl", "record_ttl: 14m", "record_ttl: 25h"),
    ("approvals[0].name", "name: changes", "name: C"),
    ("approvals[1].name", "name: others", "name: changes"),
    ("approvals[0].system", "system: tickets", "system: T"),
    ("approvals[1].system", "'http://others/${reference}'", "'http://changes/${reference}', system: others"),
    ("approvals[1].services", "name: others", "name: others, services: [shop/orders]"),
    ("approvals[0].reference.argument", "/ticket", "ticket"),
    ("approvals[1].reference.header", "header: x-other", "header: ''"),
    ("approvals[0].url", "'http://changes/${reference}'", "'http://changes/'"),
    ("approvals[0].fields.id", "id: /id", "id: id"),
    ("approvals[0].fields.kind.pointer", "{constant: change}", "{pointer: kind}"),
    ("approvals[0].fields.not_after", "/end", "end"),
    ("approvals[0].match", "/fields/order", "order"),
    ("approvals[0].ttl", "ttl: 7s", "ttl: 61s"),
    ("approvals[0].timeout", "timeout: 52ms", "timeout: 6s"),
    ("approvals[0].headers", "x-key", "'x key'"),
    ("approvals[0].in_flight_max", "in_flight_max: 103", "in_flight_max: 0"),
    ("telemetry.log.level", "level: info", "level: picket=loud"),
    ("telemetry.decision_log.sink.file", "d.jsonl", "/nowhere/d.jsonl"),
    ("telemetry.decision_log.queue_events_max", "queue_events_max: 104", "queue_events_max: 3"),
    ("telemetry.decision_log.queue_bytes_max", "queue_bytes_max: 1048576", "queue_bytes_max: 4"),
    ("telemetry.decision_log.sample_allows", "sample_allows: 0.5", "sample_allows: 1.5"),
    ("telemetry.otlp.endpoint", "'http://127.0.0.1:4317'", "'https://127.0.0.1:4317'"),
    ("telemetry.otlp.sample_roots", "sample_roots: 0.25", "sample_roots: 2"),
    ("telemetry.otlp.timeout", "timeout: 8s", "timeout: 0s"),
    ("limits.in_flight_max", "in_flight_max: 105", "in_flight_max: 0"),
    ("limits.responses.deadline", "deadline: 151ms", "deadline: 61s"),
    ("limits.responses.streams_max", "streams_max: 110", "streams_max: 0"),
    ("limits.responses.message_bytes_max", "message_bytes_max: 65536", "message_bytes_max: 65535"),
    ("limits.responses.message_bytes_max", "message_bytes_max: 65536", "message_bytes_max: 8388609"),
    ("limits.responses.held_bytes_max", "held_bytes_max: 111", "held_bytes_max: 0"),
    ("limits.responses.hold_max", "hold_max: 29s", "hold_max: 0s"),
    ("limits.connection.connections_max", "connections_max: 106", "connections_max: 0"),
    ("limits.connection.handshakes_max", "handshakes_max: 107", "handshakes_max: 0"),
    ("limits.connection.streams_max", "streams_max: 108", "streams_max: 0"),
    ("limits.connection.header_bytes_max", "header_bytes_max: 8192", "header_bytes_max: 4095"),
    ("limits.connection.keepalive_interval", "keepalive_interval: 33s", "keepalive_interval: 0s"),
    ("limits.connection.keepalive_timeout", "keepalive_timeout: 9s", "keepalive_timeout: 0s"),
    ("limits.connection.handshake_timeout", "handshake_timeout: 4s", "handshake_timeout: 0s"),
    ("limits.connection.age_max", "age_max: 13m", "age_max: 0s"),
    ("admin.grpc_address", "'unix:/a'", "'0.0.0.0:1'"),
    ("admin.hosts", "picket.svc", "'a b'"),
    ("admin.connections_max", "connections_max: 109", "connections_max: 0"),
    ("shutdown.drain_timeout", "drain_timeout: 26s", "drain_timeout: 7s"),
];

/// Keys without a bound: every value that can be read is accepted, whatever the other keys are.
const UNBOUNDED: &[&str] = &[
    "listeners[].tls.certificate",
    "listeners[].tls.private_key",
    "listeners[].tls.client_roots",
    "profiles.<name>.identity.certificate",
    "profiles.<name>.identity.strict",
    "profiles.<name>.identity.foreign_tokens",
    "profiles.<name>.identity.other_credentials",
    "profiles.<name>.identity.form_tokens",
    "profiles.<name>.identity.bindings",
    "profiles.<name>.mapping.service",
    "profiles.<name>.mapping.allow_connect",
    "profiles.<name>.mapping.allow_upgrades",
    "profiles.<name>.processor.responses",
    "profiles.<name>.processor.requests",
    "elicitation.key_file",
    "responses.key_file",
    // Its absence is a warning.
    "approvals_store.file",
    "telemetry.log.format",
    "telemetry.log.color",
    "telemetry.decision_log.mask",
    "telemetry.decision_log.full_headers",
    "limits.verify_every",
    "limits.check.deadline",
    "limits.check.on_failure",
    "limits.check.message_bytes_max",
    "limits.check.body_bytes_max",
    "limits.check.every_body_attached",
    // A value that is too low counts as the least one.
    "limits.connection.unfinished_bytes_max",
    "limits.connection.age_grace",
    "admin.http_address",
    // Their bound is that of `shutdown.drain_timeout`.
    "shutdown.pre_drain",
    "shutdown.flush_timeout",
];

/// Errors and warnings of a file.
fn found(file: &str) -> Vec<Problem> {
    let file = Some(("picket.yaml".to_owned(), file.to_owned()));
    load(&Sources { file, ..Sources::default() }).map_or_else(|errors| errors, |effective| effective.warnings)
}

#[test]
fn a_value_out_of_bounds_is_reported_by_its_key_at_its_place() {
    assert_eq!(found(GOOD), []);
    for (path, good, bad) in BOUNDS {
        assert_eq!(GOOD.matches(good).count(), 1, "`{good}` is not once in the good file");
        let file = GOOD.replace(good, bad);
        let problems = found(&file);
        let Some(problem) = problems.iter().find(|problem| problem.message.starts_with(&format!("`{path}`: "))) else {
            panic!("no error begins with `{path}` where `{good}` is `{bad}`: {problems:#?}");
        };
        let place = problem.file.strip_prefix("picket.yaml:").unwrap_or_else(|| panic!("{problem}"));
        let (line, column) = place.split_once(':').unwrap();
        let (line, column): (usize, usize) = (line.parse().unwrap(), column.parse().unwrap());
        let text: String = file.lines().nth(line - 1).unwrap().chars().skip(column - 1).collect();
        let name = path.rsplit('.').next().unwrap();
        assert!(text.starts_with(name), "`{path}` is reported at `{text}`");
    }
}

#[test]
fn every_key_has_a_bound_that_is_held_or_is_known_to_have_none() {
    let bounds: Vec<String> = BOUNDS
        .iter()
        .map(|(path, ..)| path.replace("[0]", "[]").replace("[1]", "[]").replace("[2]", "[]"))
        .map(|path| path.replace("profiles.default.", "profiles.<name>."))
        .collect();
    for (key, _) in KeyTree::of(&all_sections()).leaves() {
        let below = |path: &String| {
            path.strip_prefix(key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let has_bound = bounds.iter().any(below);
        let has_none = UNBOUNDED.contains(&key.as_str());
        assert!(has_bound != has_none, "`{key}` belongs into either BOUNDS or UNBOUNDED");
    }
}
