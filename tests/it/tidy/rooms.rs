//! The allowed imports between the modules of `decision`.

use super::arrows::{climbs, crate_paths};
use super::{Source, assert_none, production};

/// The modules from the bottom up, with those that each may import. A target is above its user in this table, so that
/// the arrows have no circle and none points up.
const ROOMS: &[(&str, &[&str])] = &[
    // Nouns.
    ("limits", &[]),
    ("groups", &[]),
    ("verdict", &[]),
    ("allowance", &[]),
    // The one walk over conditions. It is below all that derive from it: read sets, the inputs to collect (`policy`),
    // whether typed arguments are read (`schema`).
    ("accesses", &[]),
    ("read_set", &["accesses"]),
    // Loading: from one type to all active policies.
    ("schema", &["limits", "accesses"]),
    ("policy", &["limits", "accesses", "read_set", "schema"]),
    // What policies read of a release record follows from their read sets.
    ("bundle", &["limits", "read_set", "schema", "policy"]),
    ("engine", &["allowance", "read_set", "verdict", "schema", "policy", "bundle"]),
    ("snapshot", &["limits", "groups", "schema", "policy", "bundle", "engine"]),
    ("load", &["limits", "groups", "schema", "policy", "bundle", "snapshot"]),
    // Decisions.
    ("reference", &["schema", "policy", "bundle", "engine", "snapshot"]),
    ("decide", &["allowance", "verdict", "schema", "policy", "bundle", "engine", "snapshot"]),
    ("release", &["bundle", "snapshot"]),
    ("reachable", &["allowance", "read_set", "policy", "bundle", "engine", "snapshot", "decide"]),
    ("explain", &["accesses", "allowance", "schema", "policy", "engine", "snapshot"]),
];

/// The room a file of `decision` belongs to; none for the module's own file.
fn room_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("crates/core/src/decision/")?;
    inside.split('/').next().map(|first| first.strip_suffix(".rs").unwrap_or(first))
}

/// The rooms that a file of `decision` names, by the crate's paths and by `super::`.
fn rooms_known(file: &Source) -> Vec<String> {
    let by_crate =
        crate_paths(&file.text).into_iter().filter_map(|path| path.strip_prefix("decision::").map(str::to_owned));
    let depth = file.path.trim_start_matches("crates/core/src/decision/").split('/').count();
    let by_super = climbs(&file.text).into_iter().filter(|(levels, _)| *levels == depth).map(|(_, path)| path);
    let first = |path: String| path.split("::").next().unwrap_or(&path).to_owned();
    by_crate.chain(by_super).map(first).collect()
}

fn is_room(name: &str) -> bool {
    ROOMS.iter().any(|(room, _)| *room == name)
}

#[test]
fn every_arrow_inside_decision_points_down() {
    let mut findings = Vec::new();
    for file in production() {
        let Some(room) = room_of(&file.path) else { continue };
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            findings.push(format!("{}: room `{room}` is not in the table", file.path));
            continue;
        };
        // `decision` re-exports a few items; a room names them by the room that has them.
        for known in rooms_known(&file) {
            if known != room && !allowed.contains(&known.as_str()) {
                findings.push(format!("{}: `{room}` may not know `{known}`", file.path));
            }
        }
    }
    assert_none(&findings, "Move the code to a room that may know it, or change ROOMS and say why.");
}

#[test]
fn the_table_of_rooms_has_no_circle_and_no_arrow_that_is_not_used() {
    let files = production();
    let mut findings = Vec::new();
    for (at, (room, targets)) in ROOMS.iter().enumerate() {
        let used: Vec<String> =
            files.iter().filter(|file| room_of(&file.path) == Some(room)).flat_map(rooms_known).collect();
        for target in *targets {
            if !ROOMS[..at].iter().any(|(below, _)| below == target) {
                findings.push(format!("`{room}` -> `{target}` points up"));
            }
            if !used.iter().any(|known| known == target) {
                findings.push(format!("`{room}` -> `{target}` is not used"));
            }
        }
    }
    assert_none(&findings, "Order ROOMS from the bottom up, and keep only what is needed.");
}

#[test]
fn every_room_of_decision_is_in_the_table() {
    let text = std::fs::read_to_string(super::root().join("crates/core/src/decision.rs")).unwrap();
    let listed = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let missing: Vec<String> = listed.filter(|name| !is_room(name)).map(str::to_owned).collect();
    assert_none(&missing, "Add the room to ROOMS, at its level.");
}

#[test]
fn climbs_are_counted() {
    let found = climbs("use super::a;\nuse super::super::{b, c::D};\nfn x(y: super::Z) {}\nmysuper::q();");
    let found: Vec<(usize, &str)> = found.iter().map(|(levels, path)| (*levels, path.as_str())).collect();
    assert_eq!(found, [(1, "a"), (2, "b"), (2, "c::D"), (1, "Z")]);
}
