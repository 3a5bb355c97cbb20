//! From a tree of files to the next snapshot: unit by unit, last good kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::literals::Known;
use super::manifest::{self, Manifest, Mode};
use super::schema::{self, Types};
use super::snapshot::{Files, Loaded, Namespace, PLATFORM_FILES, Part, Platform, Snapshot, Tree, digest};
use super::unit::{Against, MESH, Unit};
use crate::catalog::grpc;
use crate::courtesy::let_others_run;
use crate::problem::Problem;

mod platform;

/// Makes the next snapshot of `tree`; what is bad keeps its version of `previous`.
#[must_use]
pub fn load(tree: &Tree, previous: Option<&Arc<Snapshot>>) -> Loaded {
    let mut report = Report::default();
    let sorted = sort(tree, &mut report);
    let Some(Next { platform, mut ready }) = next_platform(&sorted, previous, &mut report) else {
        check_alone(&sorted, &mut report);
        return report.loaded(None);
    };
    let mut parts = BTreeMap::new();
    for (name, files) in &sorted.namespaces {
        let_others_run();
        let old = previous.and_then(|snapshot| snapshot.parts().get(name));
        let unchanged = previous.is_some_and(|snapshot| Arc::ptr_eq(snapshot.platform(), &platform));
        let under = Under { platform: &platform, unchanged: unchanged.then_some(()), ready: ready.remove(name) };
        parts.insert(name.clone(), next_part(name, files, old, under, &mut report));
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
            None if PLATFORM_FILES.contains(&path.as_str()) || is_mesh_file(path) || is_descriptor_set(path) => {
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
    let (Ok(manifest), Ok(catalog)) =
        (Manifest::parse(text(manifest::FILE)), platform::catalog(&sorted.platform, &mut Vec::new()))
    else {
        return;
    };
    let Ok(types) = Types::of(text(schema::FACTS_FILE), &catalog) else { return };
    let declared = platform::declared(text("entities.json"), &types, &mut Vec::new()).into_keys().collect();
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

fn is_descriptor_set(path: &str) -> bool {
    path.split_once('/').is_some_and(|(folder, file)| folder == grpc::FOLDER && file.ends_with(grpc::ENDING))
}

fn is_dns_label(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(legal) && !name.starts_with('-') && !name.ends_with('-')
}

/// The platform to use from now on.
struct Next {
    platform: Arc<Platform>,
    /// Namespaces that were loaded under it already, to see whether it breaks them.
    ready: BTreeMap<String, Ready>,
}

/// A namespace under a platform that is new.
struct Ready {
    new: Result<(Unit, Vec<Problem>), Vec<Problem>>,
    /// The version in force, where the new text is bad.
    kept: Option<Unit>,
}

/// What a namespace is loaded under.
struct Under<'a> {
    platform: &'a Platform,
    /// There where it is the platform of the version before.
    unchanged: Option<()>,
    ready: Option<Ready>,
}

/// The platform's next version, or the one in force where the new one is bad or would break a namespace.
fn next_platform(sorted: &Sorted, previous: Option<&Arc<Snapshot>>, report: &mut Report) -> Option<Next> {
    let in_force = previous.map(|snapshot| Arc::clone(snapshot.platform()));
    let same = |platform| Next { platform, ready: BTreeMap::new() };
    let folders: Vec<String> = sorted.namespaces.keys().cloned().collect();
    let new_digest = digest(sorted.platform.iter().map(|(path, text)| (path.as_str(), text.as_ref())));
    if let Some(old) = &in_force
        && old.digest == new_digest
        && old.folders == folders
        && !report.refused.contains(MESH)
    {
        return in_force.map(same);
    }
    let mut notes = Vec::new();
    let candidate = if report.refused.contains(MESH) {
        Err(Vec::new())
    } else {
        platform::check(&sorted.platform, folders, new_digest, &mut notes)
    };
    let candidate = match candidate {
        Ok(candidate) => Arc::new(candidate),
        Err(problems) => {
            report.refuse(MESH, problems);
            return in_force.map(same);
        }
    };
    let ready = match previous.map_or_else(|| Ok(BTreeMap::new()), |previous| ready(&candidate, sorted, previous)) {
        Ok(ready) => ready,
        Err(broken) => {
            report.refuse(MESH, broken);
            return in_force.map(same);
        }
    };
    report.problems.extend(notes);
    Some(Next { platform: candidate, ready })
}

/// The namespaces in force under a new platform.
///
/// # Errors
/// Those that would have no valid version: neither the new text nor the old.
fn ready(candidate: &Platform, sorted: &Sorted, previous: &Snapshot) -> Result<BTreeMap<String, Ready>, Vec<Problem>> {
    let mut ready = BTreeMap::new();
    let mut broken = Vec::new();
    for (name, part) in previous.parts() {
        let (Namespace::Loaded(_), Some(files)) = (&part.state, sorted.namespaces.get(name)) else { continue };
        let mut notes = Vec::new();
        let new = unit(name, files, candidate, &mut notes).map(|unit| (unit, notes));
        let kept = match &new {
            Ok(_) => None,
            Err(_) => match unit(name, &part.files, candidate, &mut Vec::new()) {
                Ok(kept) => Some(kept),
                Err(problems) => {
                    let message = format!("namespace `{name}` in force would no longer be valid; nothing was changed");
                    broken.push(Problem::error(format!("namespaces/{name}"), message));
                    broken.extend(problems);
                    None
                }
            },
        };
        ready.insert(name.clone(), Ready { new, kept });
    }
    if broken.is_empty() { Ok(ready) } else { Err(broken) }
}

fn next_part(name: &str, files: &Arc<Files>, old: Option<&Part>, under: Under<'_>, report: &mut Report) -> Part {
    let new_digest = digest(files.iter().map(|(path, text)| (path.as_str(), text.as_ref())));
    if let (Some(old), Some(())) = (old, under.unchanged)
        && old.digest == new_digest
        && matches!(old.state, Namespace::Loaded(_))
        && !report.refused.contains(name)
    {
        return old.clone();
    }
    let Ready { new, kept } = under.ready.unwrap_or_else(|| {
        let mut notes = Vec::new();
        Ready { new: unit(name, files, under.platform, &mut notes).map(|unit| (unit, notes)), kept: None }
    });
    let loaded = if report.refused.contains(name) { Err(Vec::new()) } else { new };
    let problems = match loaded {
        Ok((unit, notes)) => {
            report.problems.extend(notes);
            return Part { state: Namespace::Loaded(Arc::new(unit)), files: Arc::clone(files), digest: new_digest };
        }
        Err(problems) => problems,
    };
    report.refuse(name, problems);
    // The version in force stays, rebuilt under the platform that is now in force.
    let old = old.filter(|old| matches!(old.state, Namespace::Loaded(_)));
    let again = |old: &Part| unit(name, &old.files, under.platform, &mut Vec::new()).ok();
    let kept = old.and_then(|old| Some((old, kept.or_else(|| again(old))?)));
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
