//! The allowed imports between modules.

use super::{assert_none, production};

/// Every module from the bottom up, with the modules that it may import. A target is above its user in this table, so
/// that the arrows have no circle; [`EXCEPTIONS`] lists the others.
const ARROWS: &[(&str, &[&str])] = &[
    // L0, nouns
    ("call", &[]),
    ("failure", &[]),
    ("problem", &[]),
    ("setting", &["problem"]),
    ("query", &[]),
    ("release", &["call", "query"]),
    ("doorkeeper", &[]),
    ("cooperative", &[]),
    ("inline_task", &[]),
    ("lanes", &[]),
    ("incomplete", &[]),
    // A workload's id has one grammar, and it is identity's; nothing else of identity is known here.
    ("catalog", &["call", "problem", "identity::spiffe_id"]),
    ("denial_format", &["catalog"]),
    // L1, pure
    ("content", &["problem"]),
    ("obligation", &["call", "failure", "problem", "query", "catalog", "denial_format"]),
    ("identity", &["call", "failure", "problem", "setting", "query", "catalog"]),
    ("body", &["call", "failure", "problem", "query", "catalog"]),
    ("inspection", &["body", "content"]),
    ("response", &["catalog", "body", "content"]),
    ("mapping", &["call", "failure", "problem", "setting", "query", "release", "catalog", "identity", "body"]),
    (
        "decision",
        &[
            "call",
            "failure",
            "problem",
            "query",
            "release",
            "catalog",
            "content",
            "obligation",
            "doorkeeper",
            "identity::spiffe_id",
        ],
    ),
    // L2, ports. Facts are typed by the schema, which is the snapshot's: entity knows decision.
    ("entity", &["call", "failure", "problem", "setting", "query", "catalog", "decision"]),
    // An approval is fetched as a fact is, by the same machinery.
    ("approval", &["call", "failure", "problem", "setting", "query", "entity"]),
    ("policy", &["call", "failure", "problem", "setting", "query", "catalog", "content", "decision", "cooperative"]),
    ("keys", &["call", "failure", "problem", "setting", "query", "identity"]),
    // L3, order
    (
        "check",
        &[
            "call",
            "failure",
            "problem",
            "setting",
            "query",
            "release",
            "catalog",
            "denial_format",
            "obligation",
            "identity",
            "content",
            "body",
            "inspection",
            "response",
            "mapping",
            "decision",
            "entity",
            "approval",
            "policy",
            "keys",
            "lanes",
            "doorkeeper",
        ],
    ),
    // L4, edges. Telemetry observes judgements, which are check's.
    (
        "telemetry",
        &[
            "call",
            "failure",
            "problem",
            "setting",
            "query",
            "response",
            "catalog",
            "obligation",
            "identity",
            "inspection",
            "decision",
            "check",
        ],
    ),
    (
        "envoy",
        &[
            "call",
            "failure",
            "problem",
            "setting",
            "query",
            "release",
            "catalog",
            "denial_format",
            "obligation",
            "identity",
            "decision",
            "check",
            "inline_task",
            "lanes",
            "incomplete",
            "telemetry",
        ],
    ),
    // L5, assembly. The server knows sockets and its own settings; the wiring above it knows everything.
    ("server", &["problem", "setting", "inline_task", "lanes", "incomplete", "identity"]),
    ("config", EVERYTHING_BELOW),
    ("app", EVERYTHING_BELOW),
    // What `picket demo` runs, in a crate of its own.
    ("demo", EVERYTHING_BELOW),
    ("cli", EVERYTHING_BELOW),
];

/// Means every module above a row in [`ARROWS`].
const EVERYTHING_BELOW: &[&str] = &["*"];

/// The modules that the module of a row may import, by name.
fn may_know(module: &str) -> Option<Vec<&'static str>> {
    let at = ARROWS.iter().position(|(name, _)| *name == module)?;
    let (above, (_, targets)) = (&ARROWS[..at], &ARROWS[at]);
    let everything = || above.iter().map(|(name, _)| *name).collect();
    Some(if *targets == EVERYTHING_BELOW { everything() } else { targets.to_vec() })
}

/// Arrows that do not point down in the order of [`ARROWS`].
const EXCEPTIONS: &[(&str, &str)] = &[("catalog", "identity::spiffe_id")];

/// What a path to a module begins with: its own crate, or one below.
const ROOTS: &[&str] = &["crate::", "picket_core::", "picket_server::"];

/// Paths after `crate::` or a crate below in code, groups taken apart: `crate::{a, b::{c, d}}` gives `a`, `b::c`, `b::d`.
pub(super) fn crate_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for root in ROOTS {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            expand("", &code[at + root.len()..], &mut paths);
        }
    }
    paths
}

/// Paths after a chain of `super::`, each with the length of the chain; groups taken apart.
pub(super) fn climbs(code: &str) -> Vec<(usize, String)> {
    const STEP: &str = "super::";
    let mut found = Vec::new();
    for (at, _) in code.match_indices(STEP) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let (mut rest, mut levels, mut paths) = (&code[at..], 0, Vec::new());
        while let Some(next) = rest.strip_prefix(STEP) {
            (rest, levels) = (next, levels + 1);
        }
        expand("", rest, &mut paths);
        found.extend(paths.into_iter().map(|path| (levels, path)));
    }
    found
}

/// Reads one use tree at the front of `rest`; gives what is left after it.
fn expand<'a>(prefix: &str, rest: &'a str, paths: &mut Vec<String>) -> &'a str {
    let rest = rest.trim_start();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            inside = expand(prefix, inside, paths).trim_start();
            match inside.strip_prefix(',') {
                Some(next) if !next.trim_start().starts_with('}') => inside = next,
                Some(next) => return next.trim_start().strip_prefix('}').unwrap_or(next),
                None => return inside.strip_prefix('}').unwrap_or(inside),
            }
        }
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '*')).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    let path = if prefix.is_empty() { word.to_owned() } else { format!("{prefix}::{word}") };
    let after = after.trim_start();
    if let Some(deeper) = after.strip_prefix("::") {
        let is_path = deeper.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '{' | '*'));
        if is_path {
            return expand(&path, deeper, paths);
        }
    }
    paths.push(path);
    match after.strip_prefix("as ") {
        Some(name) => name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
        None => after,
    }
}

/// The path of a file below the sources of its crate.
fn in_crate(path: &str) -> &str {
    path.split_once("src/").map_or(path, |(_, inside)| inside)
}

/// The module of a file. The crate of the demo counts as one.
fn module_of(path: &str) -> &str {
    let inside = in_crate(path);
    if path.starts_with("crates/demo/") {
        return "demo";
    }
    inside.split('/').next().map_or(inside, |first| first.strip_suffix(".rs").unwrap_or(first))
}

fn is_allowed(path: &str, allowed: &[&str]) -> bool {
    allowed.iter().any(|target| path.strip_prefix(target).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

#[test]
fn every_arrow_points_down() {
    let mut findings = Vec::new();
    for file in production() {
        let module = module_of(&file.path);
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(allowed) = may_know(module) else {
            findings.push(format!("{}: module `{module}` is not in the table", file.path));
            continue;
        };
        for path in crate_paths(&file.text) {
            let inside = is_allowed(&path, &[module]);
            if !inside && !is_allowed(&path, &allowed) {
                findings.push(format!("{}: `{module}` may not know `{path}`", file.path));
            }
        }
    }
    assert_none(&findings, "Move the code to a module that may know it, or change ARROWS and say why.");
}

#[test]
fn no_module_leaves_its_parent_by_super() {
    let mut findings = Vec::new();
    for file in production() {
        let depth = in_crate(&file.path).split('/').count();
        let is_root = matches!(module_of(&file.path), "lib" | "main" | "demo");
        if !is_root && file.text.contains(&"super::".repeat(depth)) {
            findings.push(format!("{}: reaches the crate's root by `super::`", file.path));
        }
    }
    assert_none(&findings, "Write `crate::…`, so that the arrow shows.");
}

#[test]
fn the_table_has_no_circle() {
    let place = |name: &str| ARROWS.iter().position(|(module, _)| *module == name.split("::").next().unwrap());
    let mut findings = Vec::new();
    for (module, _) in ARROWS {
        for target in may_know(module).unwrap_or_default() {
            let down = place(target).is_some_and(|at| Some(at) < place(module));
            if !down && !EXCEPTIONS.contains(&(*module, target)) {
                findings.push(format!("`{module}` -> `{target}` points up"));
            }
        }
    }
    assert_none(&findings, "Order ARROWS from the bottom up.");
}

/// The heads of all crates.
fn maps() -> String {
    let read = |folder: &&str| std::fs::read_to_string(super::root().join(folder).join("lib.rs")).unwrap();
    let crates = super::SOURCES.iter().filter(|folder| !folder.starts_with("crates/demo"));
    crates.map(read).collect()
}

#[test]
fn every_module_of_the_map_is_in_the_table() {
    let map = maps();
    let listed = map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let missing: Vec<String> =
        listed.filter(|name| ARROWS.iter().all(|(module, _)| module != name)).map(str::to_owned).collect();
    assert_none(&missing, "Add the module to ARROWS, at its level.");
}

#[test]
fn the_map_describes_every_module() {
    let map = maps();
    let modules =
        map.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    let described =
        |name: &str| map.contains(&format!("//! - [`{name}`]: ")) || map.contains(&format!("//! - `{name}`: "));
    let missing: Vec<String> = modules.filter(|name| !described(name)).map(str::to_owned).collect();
    assert_none(&missing, "Give the module its line in the map at the head of its crate's lib.rs.");
}

#[test]
fn use_trees_are_taken_apart() {
    let cases: [(&str, &[&str]); 7] = [
        ("use crate::a;", &["a"]),
        ("use picket_core::a::B;", &["a::B"]),
        ("use crate::a::{self, B, c::D};", &["a::self", "a::B", "a::c::D"]),
        ("use crate::{\n    a::B as C,\n    d,\n};", &["a::B", "d"]),
        ("pub(in crate::a) fn x(y: &crate::b::C<crate::d::E>)", &["a", "b::C", "d::E"]),
        ("picket_crate::a(); mycrate::b", &[]),
        ("crate::a::f::<T>()", &["a::f"]),
    ];
    for (code, expected) in cases {
        assert_eq!(crate_paths(code), expected, "{code}");
    }
}
