//! Promises of the configuration.

use super::*;
use picket_core::setting::{KeyTree, Shape};

fn sources(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Sources {
    Sources {
        file: Some(("picket.yaml".to_owned(), file.to_owned())),
        environment: environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        flags: flags.iter().map(|text| ((*text).to_owned(), format!("--set {text}"))).collect(),
    }
}

fn problems(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Vec<String> {
    load(&sources(file, environment, flags)).unwrap_err().iter().map(ToString::to_string).collect()
}

fn config(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Config {
    load(&sources(file, environment, flags)).unwrap().config
}

#[test]
fn unknown_keys_are_all_reported_with_place_and_did_you_mean() {
    let file = "shutdown:\n  pre_drian: 5s\nlisteners:\n  - name: a\n    adress: \"127.0.0.1:1\"\nzzz: 1\n";
    let found = problems(file, &[], &[]);
    assert_eq!(
        found,
        [
            "picket.yaml:2:3: unknown key `shutdown.pre_drian` (did you mean `pre_drain`?)",
            "picket.yaml:5:5: unknown key `listeners[0].adress` (did you mean `address`?)",
            "picket.yaml:6:1: unknown key `zzz` (known: listeners, policies, profiles, keys, entity, elicitation, responses, approvals, approvals_store, telemetry, limits, admin, shutdown)",
        ]
    );
}

#[test]
fn a_profile_with_a_dot_in_its_name_is_rejected_instead_of_replaced_by_the_default() {
    let file = |name: &str| {
        format!("profiles:\n  {name}:\n    identity: {{sources: [{{xfcc: {{hops: 1}}}}]}}\n  default: {{}}\n")
    };
    for name in ["a.b", ".", "\"\"", "a/b", "a[0]"] {
        let found = problems(&file(name), &[], &[]);
        let said = format!("`profiles.{}`: a name consists of letters, digits, `-` and `_`", name.trim_matches('"'));
        assert_eq!(found, [format!("picket.yaml:2:3: {said}")]);
    }
    let read = config(&file("a-b_1"), &[], &[]);
    assert_eq!(read.profiles["a-b_1"].identity.sources.len(), 1);
}

/// File, environment, flags, and how the problem begins.
type Given<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str], &'a str);

#[test]
fn a_wrong_value_is_named_with_its_path_and_origin() {
    let cases: [Given<'_>; 5] = [
        ("shutdown:\n  pre_drain: soon\n", &[], &[], "picket.yaml:2:3: `shutdown.pre_drain`: "),
        (
            "",
            &[("PICKET_SHUTDOWN__PRE_DRAIN", "soon")],
            &[],
            "environment variable PICKET_SHUTDOWN__PRE_DRAIN: `shutdown.pre_drain`: ",
        ),
        (
            "",
            &[],
            &["limits.connection.streams_max=-1"],
            "flag --set limits.connection.streams_max=-1: `limits.connection.streams_max`: ",
        ),
        (
            "listeners:\n  - name: a\n    address: here\n",
            &[],
            &[],
            "picket.yaml:3:5: `listeners[0].address`: `here` is not an address",
        ),
        (
            "",
            &[],
            &["listeners.5.name=a"],
            "flag --set listeners.5.name=a: could not set `listeners.5.name`: there is no element 5; the list has 1",
        ),
    ];
    for (file, environment, flags, expected) in cases {
        let found = problems(file, environment, flags);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:#?} do not begin with {expected}");
    }
}

#[test]
fn every_section_reports_its_problem_at_once() {
    let file =
        "shutdown: {pre_drain: soon}\nadmin: 3\npolicies: {poll: x}\nlisteners: {name: a}\nprofiles: [a]\nissuers: 1\n";
    let found = problems(file, &[], &[]);
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "shutdown: {pre_drain: 1s, drain_timeout: 31s, flush_timeout: 1s}\n";
    let variables = [("PICKET_SHUTDOWN__PRE_DRAIN", "2s"), ("PICKET_SHUTDOWN__DRAIN_TIMEOUT", "32s")];
    let shutdown = config(file, &variables, &["shutdown.pre_drain=3s"]).shutdown;
    let seconds = [shutdown.pre_drain, shutdown.drain_timeout, shutdown.flush_timeout].map(|d| d.as_secs());
    assert_eq!(seconds, [3, 32, 1]);
}

#[test]
fn elements_of_lists_can_be_set_from_outside() {
    let changed = config("", &[("PICKET_LISTENERS__0__NAME", "edge")], &["listeners.0.address=unix:/run/p.sock"]);
    assert_eq!(changed.listeners[0].name, "edge");
    assert_eq!(changed.listeners[0].address.to_string(), "unix:/run/p.sock");
    let second = ["listeners.1.name=b", "listeners.1.address=127.0.0.1:2"];
    assert_eq!(config("", &[], &second).listeners.len(), 2);
    let clients = "listeners.0.tls={certificate: a, private_key: b, client_roots: c, clients: {trust_domains: [td]}}";
    assert!(config("", &[], &[clients, "listeners.0.address=0.0.0.0:1"]).listeners[0].tls.is_some());
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_are_passed_over() {
    let variables =
        ["PICKET_PORT", "PICKET_SERVICE_HOST", "PICKET_ADMIN_SERVICE_PORT_GRPC", "PICKET_PORT_9191_TCP_ADDR"];
    let given: Vec<_> = variables.iter().map(|name| (*name, "x")).collect();
    assert_eq!(load(&sources("", &given, &[])).unwrap().warnings, []);
    let warnings = load(&sources("", &[("PICKET_POLICIES_DIR", "x")], &[])).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    let unknown = problems("", &[("PICKET_POLICIES__DRI", "x")], &[]);
    assert_eq!(
        unknown,
        ["environment variable PICKET_POLICIES__DRI: unknown key `policies.dri` (did you mean `dir`?)"]
    );
}

#[test]
fn a_listener_beyond_this_machine_needs_tls_or_an_explicit_insecure() {
    for (address, flag, good) in [
        ("127.0.0.1:1", "insecure=false", true),
        ("[::1]:1", "insecure=false", true),
        ("unix:/run/picket.sock", "insecure=false", true),
        ("0.0.0.0:1", "insecure=false", false),
        ("[::]:1", "insecure=false", false),
        ("10.0.0.1:1", "insecure=false", false),
        ("0.0.0.0:1", "insecure=true", true),
    ] {
        let file = format!("listeners: [{{name: a, address: \"{address}\"}}]");
        let result = load(&sources(&file, &[], &[&format!("listeners.0.{flag}")]));
        assert_eq!(result.is_ok(), good, "{address} {flag}: {result:?}");
    }
}

#[test]
fn p35_tls_without_an_allowed_client_is_an_error() {
    let file = "listeners:\n  - name: a\n    address: 0.0.0.0:1\n    tls: {certificate: a, private_key: b, client_roots: c, clients: {}}\n";
    let found = problems(file, &[], &[]);
    assert!(found.len() == 1 && found[0].contains("no client may connect"), "{found:#?}");
}

#[test]
fn p35_profiles_of_clients_are_for_clients_that_a_certificate_names() {
    let file = |tls: &str, row: &str| {
        format!(
            "listeners:\n  - name: a\n    address: 127.0.0.1:1\n{tls}    client_profiles: [{row}]\nprofiles: {{default: {{}}, \
             gateways: {{}}}}\n"
        )
    };
    let tls = "    tls: {certificate: a, private_key: b, client_roots: c, clients: {trust_domains: [td]}}\n";
    let good = "{profile: gateways, clients: {spiffe_ids: ['spiffe://td/ns/edge/sa/gateway']}}";
    assert_eq!(config(&file(tls, good), &[], &[]).listeners[0].client_profiles[0].profile, "gateways");
    for (tls, row, expected) in [
        ("", good, "`listeners[0].client_profiles[0].clients`: clients are identified by their certificates"),
        (tls, "{profile: gateways, clients: {}}", "no client may connect"),
        (tls, "{profile: gatways, clients: {namespaces: [td/edge]}}", "no profile `gatways`; did you mean `gateways`?"),
        (tls, "{profile: gateways, clients: {spiffe_ids: ['spiffe://other/a']}}", "`spiffe://other/a` may not connect"),
        (tls, "{profile: gateways, clients: {namespaces: [edge]}}", "`edge` is not `<trust domain>/<namespace>`"),
        (tls, "{profile: gateways, client: {}}", "did you mean `clients`?"),
        (tls, "{clients: {trust_domains: [td]}}", "missing field `profile`"),
    ] {
        let found = problems(&file(tls, row), &[], &[]).join("\n");
        assert!(found.contains(expected), "`{expected}` is missing in:\n{found}");
    }
}

#[test]
fn settings_that_contradict_others_are_all_reported_at_once() {
    let file = "\
listeners:
  - {name: a, address: '0.0.0.0:1', profile: defualt}
  - {name: a, address: '127.0.0.1:2'}
admin: {grpc_address: '0.0.0.0:3'}
shutdown: {pre_drain: 30s}
limits: {connection: {streams_max: 0, handshake_timeout: 0s}}
";
    let found = problems(file, &[], &[]).join("\n");
    for expected in [
        "`listeners[0].address`: `0.0.0.0:1` can be reached from other machines",
        "there is no profile `defualt`; did you mean `default`?",
        "`listeners[1].name`: `a` is the name of another listener too",
        "`admin.grpc_address`: the admin service shows policies",
        "`shutdown.drain_timeout`: no time is left to drain",
        "`limits.connection.streams_max`: no call could be served",
        "`limits.connection.handshake_timeout`: `0s` would close",
    ] {
        assert!(found.contains(expected), "`{expected}` is missing in:\n{found}");
    }
}

#[test]
fn invalid_yaml_or_a_value_that_is_not_a_map_is_rejected_with_its_place() {
    for text in ["a: [", "- 1\n", "word\n", "a: 1\na: 2\n"] {
        assert!(load(&sources(text, &[], &[])).is_err(), "`{text}` is accepted");
    }
    for text in ["", "# nothing\n", "shutdown:\n", "shutdown: {pre_drain: }\n"] {
        assert_eq!(config(text, &[], &[]), config("", &[], &[]), "`{text}` is not the default");
    }
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let none = config("", &[], &[]);
    for (path, key) in KeyTree::of(&all_sections()).leaves() {
        let (Some(default), Shape::Value) = (key.default, key.shape) else { continue };
        let path = path.replace("[]", ".0").replace("<name>", "default");
        // TLS is absent by default; its own defaults have no server without files to show themselves.
        if path.contains(".tls.") || path.starts_with("profiles.") {
            continue;
        }
        assert_eq!(config("", &[], &[&format!("{path}={default}")]), none, "`{path}` does not default to `{default}`");
    }
}

#[test]
fn print_config_names_the_origin_of_each_value_and_reads_back() {
    let given =
        sources("shutdown:\n  pre_drain: 1s\n", &[("PICKET_POLICIES__DIR", "/p")], &["admin.http_address=0.0.0.0:1"]);
    let effective = load(&given).unwrap();
    let text = print::effective(&effective.tree);
    for line in [
        "  pre_drain: 1s  # file, line 2",
        "  dir: /p  # environment, PICKET_POLICIES__DIR",
        "  http_address: \"0.0.0.0:1\"  # flag, --set admin.http_address=0.0.0.0:1",
        "  drain_timeout: 25s  # default",
        "  - name: ext_authz  # default",
    ] {
        assert!(text.contains(line), "`{line}` is missing in:\n{text}");
    }
    let again = config(&text, &[], &[]);
    assert_eq!((again.shutdown, again.admin, again.policies), {
        let config = effective.config;
        (config.shutdown, config.admin, config.policies)
    });
}

/// Compares a generated file with what is in the repository, or writes it.
fn golden(path: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::vars_os().any(|(name, _)| name == "UPDATE") {
        std::fs::write(&path, text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "`{}` is not what the keys say; if you meant this: UPDATE=1 cargo test --lib config",
        path.display()
    );
}

#[test]
fn the_reference_is_generated_from_the_keys() {
    golden("docs/config.md", &print::reference());
}

#[test]
fn the_example_spells_every_key_and_is_the_default() {
    let text = print::example();
    golden("deploy/config.yaml", &text);
    for (path, _) in KeyTree::of(&all_sections()).leaves() {
        let name = path.rsplit(['.', ']']).next().unwrap();
        assert!(text.contains(&format!("{name}:")), "`{path}` is not spelled");
    }
    let (example, none) = (config(&text, &[], &[]), config("", &[], &[]));
    assert_eq!((example.listeners, example.admin, example.shutdown), (none.listeners, none.admin, none.shutdown));
    // What is commented out must be right as well.
    let uncommented = text.lines().map(|line| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        let commented = rest.strip_prefix("# ").filter(|rest| {
            let key = rest.trim_start().split(':').next().unwrap();
            rest.contains(':') && key.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
        });
        commented.map_or_else(|| format!("{line}\n"), |rest| format!("{indent}{rest}\n"))
    });
    let uncommented: String = uncommented.collect();
    assert!(uncommented.contains("\n    tls:\n"), "{uncommented}");
    let unknown = load(&sources(&uncommented, &[], &[])).map_or_else(|e| e, |_| Vec::new());
    assert!(unknown.is_empty(), "{unknown:#?}\n{uncommented}");
}
