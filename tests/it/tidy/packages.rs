//! Packages of the workspace and what they depend on: licences, sources, bans, and the oldest compiler.
//!
//! The rules are those of `deny.toml`, held by what manifests say, so that they hold where cargo-deny is not installed.

use std::process::Command;

use serde_json::Value;

use super::{assert_none, root};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All packages that a build for this machine takes, tests included. Other platforms' are not downloaded here.
fn metadata() -> Value {
    let version = printed("rustc", &["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", host];
    serde_json::from_str(&printed(env!("CARGO"), &arguments)).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Strings of a list in `deny.toml`, one a line: `after` is the line that opens it.
fn listed(after: &str) -> Vec<String> {
    let deny = read("deny.toml");
    let rest = deny.split_once(&format!("\n{after}\n")).unwrap().1;
    let lines = rest.lines().take_while(|line| *line != "]").filter_map(|line| line.split('"').nth(1));
    lines.map(str::to_owned).collect()
}

/// Returns whether `allowed` satisfies a licence expression of SPDX. `/` is how old manifests write `OR`.
fn is_licensed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ").replace(" WITH ", "-WITH-");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    let is_met = any(&mut rest, allowed);
    assert!(rest.is_empty(), "`{expression}` does not parse");
    is_met
}

fn any(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut is_met = all(rest, allowed);
    while let ["OR", tail @ ..] = *rest {
        *rest = tail;
        is_met |= all(rest, allowed);
    }
    is_met
}

fn all(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut is_met = one(rest, allowed);
    while let ["AND", tail @ ..] = *rest {
        *rest = tail;
        is_met &= one(rest, allowed);
    }
    is_met
}

fn one(rest: &mut &[&str], allowed: &[String]) -> bool {
    match *rest {
        ["(", tail @ ..] => {
            *rest = tail;
            let is_met = any(rest, allowed);
            assert_eq!(rest.first(), Some(&")"));
            *rest = &rest[1..];
            is_met
        }
        [name, tail @ ..] => {
            *rest = tail;
            allowed.iter().any(|known| known.replace(" WITH ", "-WITH-") == *name)
        }
        [] => false,
    }
}

#[test]
fn every_dependency_has_a_licence_that_deny_toml_allows() {
    let allowed = listed("allow = [");
    assert!(allowed.len() > 4, "{allowed:?}");
    let mut findings = Vec::new();
    for package in metadata()["packages"].as_array().unwrap() {
        let licence = text(package, "license");
        if !is_licensed(licence, &allowed) {
            findings.push(format!("{}: `{licence}`", text(package, "name")));
        }
    }
    assert_none(&findings, "Choose another library, or add the licence to deny.toml and say why.");
}

#[test]
fn every_dependency_comes_from_crates_io_and_none_is_banned() {
    let (metadata, banned) = (metadata(), listed("deny = ["));
    assert!(banned.len() > 2, "{banned:?}");
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let (name, source) = (text(package, "name"), &package["source"]);
        if !source.is_null() && source != CRATES_IO {
            findings.push(format!("{name}: from {source}"));
        }
        if banned.iter().any(|banned| banned == name) {
            findings.push(format!("{name}: banned by deny.toml"));
        }
    }
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let has = |feature: &str| node["features"].as_array().unwrap().iter().any(|found| found == feature);
        if text(node, "id").contains("cedar-policy-core") && has("tolerant-ast") {
            findings.push("cedar-policy-core: feature `tolerant-ast` is banned by deny.toml".to_owned());
        }
    }
    assert_none(&findings, "Choose another library, or change deny.toml and say why.");
}

#[test]
fn packages_of_the_workspace_are_not_published_and_have_metadata() {
    for package in metadata()["packages"].as_array().unwrap().iter().filter(|package| package["source"].is_null()) {
        let name = text(package, "name");
        assert_eq!(package["publish"], Value::Array(Vec::new()), "{name} could be published by mistake");
        assert_eq!(text(package, "license"), "Apache-2.0", "{name}");
        assert!(!text(package, "description").is_empty(), "{name} has no description");
    }
}

#[test]
fn the_oldest_compiler_is_the_images_and_new_enough_for_every_dependency() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let own = packages.iter().find(|package| text(package, "name") == "picket").unwrap();
    let oldest = text(own, "rust_version");
    let number = |version: &str| -> Vec<u32> { version.split('.').map(|part| part.parse().unwrap()).collect() };
    for package in packages {
        let needed = package["rust_version"].as_str().unwrap_or("1.0");
        assert!(number(needed) <= number(oldest), "{} needs rustc {needed}", text(package, "name"));
    }
    assert!(
        read("deploy/Dockerfile").contains(&format!("\nFROM rust:{oldest}-")),
        "the image builds with another rustc"
    );
    assert!(read("CONTRIBUTING.md").contains(&format!("Rust {oldest}")), "CONTRIBUTING.md names another rustc");
}

#[test]
fn licence_expressions_are_evaluated() {
    let allowed = ["MIT".to_owned(), "Zlib".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("MIT AND (GPL-3.0 OR Zlib)", true),
        ("(MIT OR Zlib) AND GPL-3.0", false),
        ("GPL-3.0 AND Zlib OR MIT", true),
        ("Apache-2.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
    ] {
        assert_eq!(is_licensed(expression, &allowed), expected, "{expression}");
    }
}

/// The crates behind `package` on this platform, in builds that ship, as `name feature,feature`.
fn behind(package: &str) -> Vec<String> {
    let arguments =
        ["tree", "--locked", "--offline", "-p", package, "-e", "normal", "--prefix", "none", "-f", "{p} {f}"];
    let lines = printed(env!("CARGO"), &arguments);
    lines.lines().map(|line| line.replace(" (*)", "")).collect()
}

/// What the engine must be able to do without: `docs/decisions/0023-a-workspace-cut-at-io.md`.
const NOT_IN_THE_ENGINE: &[&str] = &[
    "tokio",
    "tonic",
    "hyper",
    "hyper-util",
    "reqwest",
    "axum",
    "rustls",
    "socket2",
    "mio",
    "async-lock",
    "futures-util",
    "tracing",
    "notify",
    "redb",
    "envoy-types",
    "opentelemetry",
    "clap",
];

#[test]
fn the_engine_is_built_without_a_runtime_a_socket_or_the_wire() {
    let crates = behind("picket-core");
    let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    assert!(crates.iter().any(|line| name(line) == "cedar-policy"), "{crates:?}");
    let mut findings: Vec<String> =
        crates.iter().filter(|line| NOT_IN_THE_ENGINE.contains(&name(line).as_str())).cloned().collect();
    let moka = crates.iter().find(|line| name(line) == "moka").unwrap();
    if moka.split(' ').next_back().is_some_and(|features| features.split(',').any(|feature| feature == "future")) {
        findings.push(moka.clone());
    }
    assert_none(&findings, "Do it in picket-server, and give the engine the result.");
}

#[test]
fn what_a_server_depends_on_is_seen() {
    let crates = behind("picket-server");
    let has = |wanted: &str| crates.iter().any(|line| line.starts_with(&format!("{wanted} ")));
    assert!(["tokio", "tonic", "hyper", "reqwest", "async-lock"].iter().all(|wanted| has(wanted)), "{crates:?}");
    assert!(!has("picket-demo") && !has("clap") && !has("rcgen"), "{crates:?}");
}
