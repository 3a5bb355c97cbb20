//! The required parts of a tree, and the replacement of parts that are missing or unreadable. Pure.
//!
//! Knows: parts, units and `parts:` of the manifest. Must not know: Cedar, the file system, `modes:`.
//!
//! A folder that is gone looks exactly like one that was never there, and with it go its forbids. So a
//! part may vanish only where the manifest says so; otherwise its unit keeps the files it had.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::namespace_of;
use super::status::Why;
use super::{PLATFORM, Reading};
use picket_core::content;
use picket_core::decision::snapshot::Tree;
use picket_core::problem::Problem;

const MANIFEST: &str = "manifest.yaml";
/// Name and text of the file that stands for a namespace with nothing to fall back on. It is no Cedar,
/// so the loader refuses the namespace and its calls are denied. Left out, the namespace would count as
/// one that has no policies, and its forbids be forgotten.
const STAND_IN: (&str, &str) = ("refused.cedar", "this namespace could not be read");

/// A tree that is fit to be loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// The tree; a refused unit's files are the ones it had.
    pub tree: Tree,
    /// Units that were refused here, with the reason in full in `problems`.
    pub refused: BTreeMap<String, Why>,
    /// Why they were refused.
    pub problems: Vec<Problem>,
    /// Files that replace namespaces without a last good version; the loader's problems about them are
    /// redundant.
    pub stand_ins: BTreeSet<String>,
}

/// What the manifest says about parts; its other keys are the loader's.
#[derive(Debug, Default, serde::Deserialize)]
struct Manifest {
    #[serde(default)]
    parts: DeclaredParts,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredParts {
    mesh: Option<Presence>,
    #[serde(alias = "catalog.yaml")]
    catalog: Option<Presence>,
    #[serde(alias = "facts.cedarschema")]
    facts: Option<Presence>,
    #[serde(alias = "entities.json")]
    entities: Option<Presence>,
    #[serde(alias = "detectors.yaml")]
    detectors: Option<Presence>,
    namespaces: Option<BTreeSet<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Presence {
    Present,
    Absent,
}

/// Fits a reading to the manifest and to the tree in force.
///
/// # Errors
/// The platform's files are not acceptable and there are none to fall back on.
pub fn settle(reading: Reading, in_force: Option<&Tree>) -> Result<Settled, Vec<Problem>> {
    let Reading { tree, mut withheld, changing } = reading;
    let mut settled = Settled { tree, ..Settled::default() };
    let unread: BTreeSet<String> = withheld.keys().cloned().collect();
    let why = |unit: &str| match (changing.contains(unit), unread.contains(unit)) {
        (true, _) => Why::Changing,
        (false, true) => Why::Unreadable,
        (false, false) => Why::Missing,
    };

    let mut platform_problems = withheld.remove(PLATFORM).unwrap_or_default();
    if platform_problems.is_empty() {
        platform_problems = match manifest(&settled.tree) {
            Ok(manifest) => platform_contradictions(&manifest.parts, &settled.tree, in_force),
            Err(problem) => vec![problem],
        };
    }
    if !platform_problems.is_empty() {
        let Some(in_force) = in_force else {
            platform_problems.extend(withheld.into_values().flatten());
            return Err(platform_problems);
        };
        settled.restore(PLATFORM, Some(in_force));
        settled.refuse(PLATFORM, why(PLATFORM), platform_problems);
    }
    // The tree in force had a readable manifest, or it would not be in force.
    let listed = manifest(&settled.tree).unwrap_or_default().parts.namespaces;
    for (namespace, problems) in namespace_problems(&settled.tree, in_force, listed.as_ref(), withheld) {
        settled.restore(&namespace, in_force);
        settled.refuse(&namespace, why(&namespace), problems);
    }
    settled.stand_ins = stand_ins(&settled.tree);
    Ok(settled)
}

/// The tree now in force: `new`, with the files of refused units as they were in `old`. A refused
/// namespace that was not in `old` stays known, so that its folder cannot vanish unnoticed either.
#[must_use]
pub fn accepted(new: &Tree, old: Option<&Tree>, refused: &BTreeSet<String>) -> Tree {
    let mut tree = new.clone();
    for unit in refused {
        drop_unit(&mut tree, unit);
        fall_back(&mut tree, old, unit);
    }
    tree
}

/// The tree in force with one unit as it is in `new`.
#[must_use]
pub fn with_unit(in_force: Option<&Tree>, new: &Tree, unit: &str) -> Tree {
    let mut tree = in_force.cloned().unwrap_or_default();
    drop_unit(&mut tree, unit);
    copy_unit(&mut tree, new, unit);
    tree
}

/// Removes a unit's files and folders.
pub fn drop_unit(tree: &mut Tree, unit: &str) {
    tree.files.retain(|path, _| unit_of(path) != unit);
    tree.folders.retain(|path| unit_of(path) != unit);
}

fn copy_unit(tree: &mut Tree, from: &Tree, unit: &str) {
    let files = from.files.iter().filter(|(path, _)| unit_of(path) == unit);
    tree.files.extend(files.map(|(path, text)| (path.clone(), text.clone())));
    tree.folders.extend(from.folders.iter().filter(|path| unit_of(path) == unit).cloned());
}

fn unit_of(path: &str) -> &str {
    namespace_of(path).unwrap_or(PLATFORM)
}

fn namespaces(tree: &Tree) -> BTreeSet<&str> {
    tree.folders.iter().filter_map(|path| namespace_of(path)).collect()
}

impl Settled {
    fn refuse(&mut self, unit: &str, why: Why, problems: Vec<Problem>) {
        self.refused.insert(unit.to_owned(), why);
        self.problems.extend(problems);
    }

    /// Gives a unit the files it has in force, a namespace without any a stand-in.
    fn restore(&mut self, unit: &str, in_force: Option<&Tree>) {
        drop_unit(&mut self.tree, unit);
        fall_back(&mut self.tree, in_force, unit);
    }
}

fn fall_back(tree: &mut Tree, in_force: Option<&Tree>, unit: &str) {
    match in_force {
        Some(in_force) if unit == PLATFORM || namespaces(in_force).contains(unit) => copy_unit(tree, in_force, unit),
        Some(_) | None if unit == PLATFORM => {}
        Some(_) | None => {
            tree.folders.insert(format!("namespaces/{unit}"));
            tree.files.insert(format!("namespaces/{unit}/{}", STAND_IN.0), STAND_IN.1.into());
        }
    }
}

fn stand_ins(tree: &Tree) -> BTreeSet<String> {
    let is_stand_in = |path: &str, text: &str| path.rsplit('/').next() == Some(STAND_IN.0) && text == STAND_IN.1;
    tree.files.iter().filter(|(path, text)| is_stand_in(path, text)).map(|(path, _)| path.clone()).collect()
}

fn manifest(tree: &Tree) -> Result<Manifest, Problem> {
    let Some(text) = tree.files.get(MANIFEST) else { return Ok(Manifest::default()) };
    // An empty file says nothing, which is not the same as being wrong.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Manifest::default());
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        Problem::error(MANIFEST, format!("`parts` cannot be read: {first}"))
            .help("for example `parts: {mesh: present, entities: absent, namespaces: [shop, web]}`")
    })
}

fn platform_contradictions(parts: &DeclaredParts, tree: &Tree, in_force: Option<&Tree>) -> Vec<Problem> {
    let is_file = |tree: &Tree, name: &str| tree.files.contains_key(name);
    let is_folder = |tree: &Tree, name: &str| tree.folders.contains(name);
    type Has<'a> = &'a dyn Fn(&Tree, &str) -> bool;
    let rows: [(&str, Option<Presence>, Has<'_>); 6] = [
        (PLATFORM, parts.mesh, &is_folder),
        ("catalog.yaml", parts.catalog, &is_file),
        ("facts.cedarschema", parts.facts, &is_file),
        ("entities.json", parts.entities, &is_file),
        // Without it, names of the operator's own detectors would be gone, and another mask would apply.
        (content::file::FILE, parts.detectors, &is_file),
        // Without it, shadow policies would be enforced: a shadow permit would begin to allow.
        (MANIFEST, None, &is_file),
    ];
    let mut problems = Vec::new();
    for (name, declared, has) in rows {
        let here = has(tree, name);
        let was = in_force.is_some_and(|tree| has(tree, name));
        match declared {
            Some(Presence::Present) if !here => problems.push(
                Problem::error(name, format!("`{name}` is missing, but manifest.yaml lists it as present"))
                    .help("restore it, or change `parts` in manifest.yaml"),
            ),
            Some(Presence::Absent) if here => problems.push(
                Problem::error(name, format!("`{name}` exists, but manifest.yaml lists it as absent"))
                    .help("remove it, or change `parts` in manifest.yaml"),
            ),
            None if was && !here => {
                problems.push(Problem::error(name, format!("`{name}` has vanished")).help(match name {
                    MANIFEST => "restore it; one that says nothing is left empty",
                    _ => "restore it, or list it as `absent` under `parts` in manifest.yaml",
                }))
            }
            Some(Presence::Present | Presence::Absent) | None => {}
        }
    }
    problems
}

fn namespace_problems(
    tree: &Tree,
    in_force: Option<&Tree>,
    listed: Option<&BTreeSet<String>>,
    withheld: BTreeMap<String, Vec<Problem>>,
) -> BTreeMap<String, Vec<Problem>> {
    let mut problems = withheld;
    let here = namespaces(tree);
    let was = in_force.map(namespaces).unwrap_or_default();
    match listed {
        Some(listed) => {
            for namespace in listed.iter().filter(|name| !here.contains(name.as_str())) {
                problems.entry(namespace.clone()).or_insert_with(|| vec![missing(namespace)]);
            }
            for namespace in here.iter().filter(|name| !listed.contains(**name)) {
                problems.entry((*namespace).to_owned()).or_insert_with(|| vec![unlisted(namespace)]);
            }
        }
        None => {
            for namespace in was.difference(&here) {
                problems.entry((*namespace).to_owned()).or_insert_with(|| vec![vanished(namespace)]);
            }
        }
    }
    problems
}

fn missing(namespace: &str) -> Problem {
    Problem::error(
        format!("namespaces/{namespace}"),
        format!("namespace `{namespace}` has no folder, and manifest.yaml lists it"),
    )
    .help("restore the folder, or take it off `parts.namespaces` in manifest.yaml")
}

fn unlisted(namespace: &str) -> Problem {
    Problem::error(
        format!("namespaces/{namespace}"),
        format!("namespace `{namespace}` has a folder, and manifest.yaml does not list it"),
    )
    .help("add it to `parts.namespaces` in manifest.yaml, or remove the folder")
}

fn vanished(namespace: &str) -> Problem {
    Problem::error(format!("namespaces/{namespace}"), format!("the folder of namespace `{namespace}` has vanished"))
        .help("restore it, leave it empty, or list the other namespaces under `parts.namespaces` in manifest.yaml")
}

#[cfg(test)]
mod tests;
