//! From a tree of files to the next snapshot: unit by unit, last good kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::literals::Known;
use super::manifest::{self, Manifest, Mode};
use super::schema::{self, FactsType, Types};
use super::snapshot::{Files, Loaded, Namespace, PLATFORM_FILES, Part, Platform, Snapshot, Tree, digest};
use super::unit::{Against, MESH, Unit};
use crate::catalog::Catalog;
use crate::problem::Problem;
use crate::query::{Node, Uid, Value};

/// Makes the next snapshot of `tree`; what is bad keeps its version of `previous`.
#[must_use]
pub fn load(tree: &Tree, previous: Option<&Arc<Snapshot>>) -> Loaded {
    let mut report = Report::default();
    let sorted = sort(tree, &mut report);
    let platform = next_platform(&sorted, previous, &mut report);
    let Some(platform) = platform else {
        check_alone(&sorted, &mut report);
        return report.loaded(None);
    };
    let mut parts = BTreeMap::new();
    for (name, files) in &sorted.namespaces {
        let old = previous.and_then(|snapshot| snapshot.parts().get(name));
        let unchanged = previous.is_some_and(|snapshot| Arc::ptr_eq(snapshot.platform(), &platform));
        parts.insert(name.clone(), next_part(name, files, old, unchanged.then_some(()), &platform, &mut report));
    }
    let engine = previous.map(|snapshot| Arc::clone(snapshot.engine())).unwrap_or_default();
    let snapshot = Arc::new(Snapshot::assemble(platform, parts, engine));
    note_widening(previous, &snapshot, &mut report);
    report.loaded(Some(snapshot))
}

#[derive(Default)]
struct Report {
    problems: Vec<Problem>,
    refused: BTreeSet<String>,
}

impl Report {
    fn refuse(&mut self, unit: &str, problems: Vec<Problem>) {
        self.refused.insert(unit.to_owned());
        self.problems.extend(problems);
    }

    fn loaded(mut self, snapshot: Option<Arc<Snapshot>>) -> Loaded {
        self.problems.sort_by(|a, b| {
            b.severity.cmp(&a.severity).then_with(|| a.file.cmp(&b.file)).then_with(|| {
                let begin = |p: &Problem| p.span.as_ref().map_or(0, |span| span.start);
                begin(a).cmp(&begin(b))
            })
        });
        self.problems.dedup();
        Loaded { snapshot, refused: self.refused.into_iter().collect(), problems: self.problems }
    }
}

/// A tree's files, by unit.
struct Sorted {
    platform: Files,
    namespaces: BTreeMap<String, Arc<Files>>,
}

fn sort(tree: &Tree, report: &mut Report) -> Sorted {
    let mut sorted = Sorted { platform: Files::new(), namespaces: BTreeMap::new() };
    let mut namespaces: BTreeMap<String, Files> = BTreeMap::new();
    for folder in &tree.folders {
        if let Some(name) = folder.strip_prefix("namespaces/") {
            namespaces.entry(name.to_owned()).or_default();
        }
    }
    for (path, text) in &tree.files {
        let in_namespace = path.strip_prefix("namespaces/").and_then(|rest| rest.split_once('/'));
        match in_namespace {
            Some((namespace, file)) if file.ends_with(".cedar") && !file.contains('/') => {
                namespaces.entry(namespace.to_owned()).or_default().insert(path.clone(), Arc::clone(text));
            }
            None if PLATFORM_FILES.contains(&path.as_str()) || is_mesh_file(path) => {
                sorted.platform.insert(path.clone(), Arc::clone(text));
            }
            Some((namespace, _)) => {
                let problem = Problem::error(path, "only `*.cedar` files may lie here");
                report.refuse(namespace, vec![problem]);
            }
            None => report.refuse(MESH, vec![Problem::error(path, "this file has no place in a policy tree")]),
        }
    }
    for (name, files) in namespaces {
        if is_dns_label(&name) && name != MESH {
            sorted.namespaces.insert(name, Arc::new(files));
        } else {
            let message = format!("`{name}` cannot be a namespace; it is a DNS label other than `mesh`");
            report.refuse(&name, vec![Problem::error(format!("namespaces/{name}"), message)]);
        }
    }
    sorted
}

/// With no platform to load them under, the namespaces are checked all the same as far as they can be: whoever
/// validates sees all problems at once.
fn check_alone(sorted: &Sorted, report: &mut Report) {
    let text = |name: &str| sorted.platform.get(name).map_or("", AsRef::as_ref);
    let (Ok(manifest), Ok(catalog), Ok(types)) = (
        Manifest::parse(text(manifest::FILE)),
        Catalog::parse("catalog.yaml", text("catalog.yaml")),
        Types::new(text(schema::FACTS_FILE)),
    ) else {
        return;
    };
    let declared = declared(text("entities.json"), &types, &mut Vec::new()).into_keys().collect();
    let folders: Vec<String> = sorted.namespaces.keys().cloned().collect();
    let known = Known { catalog: &catalog, folders: &folders, declared: &declared };
    for (name, files) in &sorted.namespaces {
        let files: Vec<(&str, &Arc<str>)> = files.iter().map(|(path, text)| (path.as_str(), text)).collect();
        let against = Against { types: &types, known, manifest: &manifest };
        if let Err(problems) = Unit::load(name, &files, against, &mut Vec::new()) {
            report.refuse(name, problems);
        }
    }
}

fn is_mesh_file(path: &str) -> bool {
    path.strip_prefix("mesh/").is_some_and(|file| file.ends_with(".cedar") && !file.contains('/'))
}

fn is_dns_label(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(legal) && !name.starts_with('-') && !name.ends_with('-')
}

/// The platform's next version, or the one in force where the new one is bad or would break a namespace.
fn next_platform(sorted: &Sorted, previous: Option<&Arc<Snapshot>>, report: &mut Report) -> Option<Arc<Platform>> {
    let in_force = previous.map(|snapshot| Arc::clone(snapshot.platform()));
    let folders: Vec<String> = sorted.namespaces.keys().cloned().collect();
    let new_digest = digest(sorted.platform.iter().map(|(path, text)| (path.as_str(), text.as_ref())));
    if let Some(old) = &in_force
        && old.digest == new_digest
        && old.folders == folders
        && !report.refused.contains(MESH)
    {
        return in_force;
    }
    let mut notes = Vec::new();
    let candidate = if report.refused.contains(MESH) {
        Err(Vec::new())
    } else {
        platform(&sorted.platform, folders, new_digest, &mut notes)
    };
    let candidate = match candidate {
        Ok(candidate) => Arc::new(candidate),
        Err(problems) => {
            report.refuse(MESH, problems);
            return in_force;
        }
    };
    if let Some(previous) = previous {
        let broken = broken_by(&candidate, sorted, previous);
        if !broken.is_empty() {
            report.refuse(MESH, broken);
            return in_force;
        }
    }
    report.problems.extend(notes);
    Some(candidate)
}

/// Namespaces in force that would have no valid version under a new platform: neither the new text nor the old.
fn broken_by(candidate: &Platform, sorted: &Sorted, previous: &Snapshot) -> Vec<Problem> {
    let mut broken = Vec::new();
    for (name, part) in previous.parts() {
        let (Namespace::Loaded(_), Some(new)) = (&part.state, sorted.namespaces.get(name)) else { continue };
        let check = |files: &Files| unit(name, files, candidate, &mut Vec::new());
        if check(new).is_err()
            && let Err(problems) = check(&part.files)
        {
            let message = format!("namespace `{name}` in force would no longer be valid; nothing was changed");
            broken.push(Problem::error(format!("namespaces/{name}"), message));
            broken.extend(problems);
        }
    }
    broken
}

fn next_part(
    name: &str,
    files: &Arc<Files>,
    old: Option<&Part>,
    same_platform: Option<()>,
    platform: &Platform,
    report: &mut Report,
) -> Part {
    let new_digest = digest(files.iter().map(|(path, text)| (path.as_str(), text.as_ref())));
    if let (Some(old), Some(())) = (old, same_platform)
        && old.digest == new_digest
        && matches!(old.state, Namespace::Loaded(_))
        && !report.refused.contains(name)
    {
        return old.clone();
    }
    let mut notes = Vec::new();
    let loaded = if report.refused.contains(name) { Err(Vec::new()) } else { unit(name, files, platform, &mut notes) };
    let problems = match loaded {
        Ok(unit) => {
            report.problems.extend(notes);
            return Part { state: Namespace::Loaded(Arc::new(unit)), files: Arc::clone(files), digest: new_digest };
        }
        Err(problems) => problems,
    };
    report.refuse(name, problems);
    // The version in force stays, rebuilt under the platform that is now in force.
    let kept = old.filter(|old| matches!(old.state, Namespace::Loaded(_)));
    let kept = kept.and_then(|old| unit(name, &old.files, platform, &mut Vec::new()).ok().map(|unit| (old, unit)));
    match kept {
        Some((old, unit)) => {
            Part { state: Namespace::Loaded(Arc::new(unit)), files: Arc::clone(&old.files), digest: old.digest.clone() }
        }
        None => Part { state: Namespace::Invalid, files: Arc::clone(files), digest: new_digest },
    }
}

fn unit(name: &str, files: &Files, platform: &Platform, notes: &mut Vec<Problem>) -> Result<Unit, Vec<Problem>> {
    let files: Vec<(&str, &Arc<str>)> = files.iter().map(|(path, text)| (path.as_str(), text)).collect();
    Unit::load(name, &files, platform.against(), notes)
}

/// Checks the mesh's unit: schema, catalogue, manifest, entities and policies, as far as each allows the next.
fn platform(
    files: &Files,
    folders: Vec<String>,
    digest: String,
    notes: &mut Vec<Problem>,
) -> Result<Platform, Vec<Problem>> {
    let text = |name: &str| files.get(name).map_or("", AsRef::as_ref);
    let mut problems = Vec::new();
    if files.get(schema::BUILT_IN_FILE).is_some_and(|text| text.as_ref() != schema::BUILT_IN) {
        let message = "this file differs from the types built into this version of Picket";
        let help = "keep your additions in facts.cedarschema, and take this file from `policies/` of the release";
        problems.push(Problem::error(schema::BUILT_IN_FILE, message).help(help));
    }
    let manifest = keep(Manifest::parse(text(manifest::FILE)), &mut problems);
    let catalog = keep(Catalog::parse("catalog.yaml", text("catalog.yaml")), &mut problems);
    let types = keep(Types::new(text(schema::FACTS_FILE)), &mut problems);
    let (Some(manifest), Some(catalog), Some(types)) = (manifest, catalog, types) else { return Err(problems) };
    let declared = declared(text("entities.json"), &types, &mut problems);
    let workload_facts = catalog.workloads().filter_map(|w| Some((&w.id, w.facts.as_ref()?)));
    let workload_facts = typed(&types, FactsType::Workload, workload_facts, &mut problems);
    let service_facts = catalog.services().filter_map(|s| Some((&s.id, s.facts.as_ref()?)));
    let service_facts = typed(&types, FactsType::Service, service_facts, &mut problems);
    unknown_modes(&manifest, files, &folders, &mut problems);
    let declared_ids: BTreeSet<Uid> = declared.keys().cloned().collect();
    let mesh_files = files.iter().filter(|(path, _)| path.starts_with("mesh/"));
    let mesh_files: Vec<(&str, &Arc<str>)> = mesh_files.map(|(path, text)| (path.as_str(), text)).collect();
    let known = Known { catalog: &catalog, folders: &folders, declared: &declared_ids };
    let against = Against { types: &types, known, manifest: &manifest };
    let mesh = keep(Unit::load(MESH, &mesh_files, against, notes), &mut problems);
    let schema_digest = super::snapshot::digest([("", schema::BUILT_IN), ("", text(schema::FACTS_FILE))]);
    match mesh {
        Some(mesh) if problems.is_empty() => {
            note_open_permits(&mesh, notes);
            Ok(Platform {
                mesh: Arc::new(mesh),
                types,
                catalog,
                manifest,
                declared,
                declared_ids,
                workload_facts,
                service_facts,
                folders,
                digest,
                schema_digest,
            })
        }
        _ => Err(problems),
    }
}

fn keep<T>(result: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}

fn typed<'a>(
    types: &Types,
    kind: FactsType,
    facts: impl Iterator<Item = (&'a String, &'a serde_json::Value)>,
    problems: &mut Vec<Problem>,
) -> HashMap<String, Value> {
    let mut typed = HashMap::new();
    for (id, json) in facts {
        match types.typed(kind, json) {
            Ok(value) => {
                typed.insert(id.clone(), value);
            }
            Err(message) => {
                let message = format!("the facts of `{id}` do not fit the schema: {message}");
                problems.push(Problem::error("catalog.yaml", message));
            }
        }
    }
    typed
}

/// `entities.json`: facts and groups, but no place in another namespace than the id's own.
fn declared(text: &str, types: &Types, problems: &mut Vec<Problem>) -> HashMap<Uid, Node> {
    if text.trim().is_empty() {
        return HashMap::new();
    }
    let nodes = match types.entities(text) {
        Ok(nodes) => nodes,
        Err(message) => {
            problems.push(Problem::error("entities.json", message));
            return HashMap::new();
        }
    };
    for node in &nodes {
        let own = node.uid.id.split('/').next().unwrap_or_default();
        let inside = super::confine::INSIDE_SERVICES.contains(&node.uid.kind.as_str());
        let outside = |uid: &&Uid| match uid.kind.as_str() {
            "Namespace" => inside && uid.id != own,
            kind if super::confine::INSIDE_SERVICES.contains(&kind) => uid.id.split('/').next() != Some(own),
            _ => false,
        };
        if let Some(parent) = node.ancestors.iter().find(outside) {
            let message = format!("{} cannot lie in {parent}; its namespace is the one its id names", node.uid);
            problems.push(Problem::error("entities.json", message));
        }
    }
    nodes.into_iter().map(|node| (node.uid.clone(), node)).collect()
}

fn unknown_modes(manifest: &Manifest, files: &Files, folders: &[String], problems: &mut Vec<Problem>) {
    for key in manifest.modes.keys() {
        let exists = match key.strip_prefix("namespaces/") {
            Some(namespace) => folders.iter().any(|folder| folder == namespace),
            None => files.contains_key(key),
        };
        if !exists {
            let message = format!("`modes` names `{key}`, which does not exist");
            problems.push(Problem::error(manifest::FILE, message));
        }
    }
}

/// Mesh permits that open every namespace are by design; whoever validates should see them.
fn note_open_permits(mesh: &Unit, notes: &mut Vec<Problem>) {
    use cedar_policy::{Effect, ResourceConstraint};
    for entry in mesh.entries.values().filter(|entry| entry.effect == Effect::Permit) {
        let what = match (entry.bridge, entry.policy.resource_constraint()) {
            (true, _) => "is a bridge: what it opens is only observed",
            (false, ResourceConstraint::Any | ResourceConstraint::Is(_)) => "opens every namespace",
            (false, _) => continue,
        };
        let message = format!("permit `{}` of the mesh {what}", entry.id);
        notes.push(Problem::note(entry.file.as_ref(), message).at(Some(entry.span.clone())));
    }
}

/// Moving a forbid to shadow widens access; it must not go unnoticed.
fn note_widening(previous: Option<&Arc<Snapshot>>, next: &Snapshot, report: &mut Report) {
    let Some(previous) = previous else { return };
    let units = |snapshot: &Snapshot| {
        let namespaces = snapshot.parts().values().filter_map(|part| match &part.state {
            Namespace::Loaded(unit) => Some(Arc::clone(unit)),
            Namespace::Invalid => None,
        });
        std::iter::once(Arc::clone(snapshot.mesh())).chain(namespaces).collect::<Vec<_>>()
    };
    let enforced: BTreeSet<String> = units(previous)
        .iter()
        .flat_map(|unit| unit.entries.values())
        .filter(|e| e.mode == Mode::Enforce && e.effect == cedar_policy::Effect::Forbid)
        .map(|e| e.id.clone())
        .collect();
    for entry in units(next).iter().flat_map(|unit| unit.entries.values()) {
        if entry.mode == Mode::Shadow && enforced.contains(&entry.id) {
            let message = format!("forbid `{}` moved to shadow: calls it stopped may now pass", entry.id);
            report.problems.push(Problem::warning(entry.file.as_ref(), message).at(Some(entry.span.clone())));
        }
    }
}
