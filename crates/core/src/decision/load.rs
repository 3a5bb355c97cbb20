//! Loads a tree of files into the next snapshot: bundle by bundle, keeping the last good one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bundle::{Bundle, Pace};
use super::limits::MESH;
use super::policy::context::ValidationContext;
use super::policy::entity_literals::KnownEntities;
use super::policy::manifest::{self, Manifest};
use super::policy::mode::Mode;
use super::schema::{self, Types};
use super::snapshot::{Files, Loaded, Namespace, Platform, Snapshot, Tree, digest};
use crate::call::host::is_dns_label;
use crate::catalog::grpc;
use crate::content::{self, detector_set::DetectorSet};
use crate::problem::Problem;
pub use base::{Base, Late, Purpose, Stakes};
use namespace::LoadContext;

mod base;
mod namespace;
mod platform;
mod responses;

/// Most problems that are reported for one namespace, so that they do not hide those of others in a log.
const PROBLEMS_MAX: usize = 200;
/// Files of the mesh's unit in addition to `mesh/*.cedar`.
const PLATFORM_FILES: [&str; 6] =
    [manifest::FILE, schema::BUILT_IN_FILE, schema::FACTS_FILE, "catalog.yaml", "entities.json", content::file::FILE];

impl Snapshot {
    /// Checks a tree and makes the next snapshot of it. An invalid unit keeps its version of `previous`.
    #[must_use]
    pub fn load(tree: &Tree, previous: Option<&Arc<Snapshot>>) -> Loaded {
        Self::load_on(tree, &Base::patient(previous))
    }

    /// As [`Snapshot::load`], within the limits of the base.
    #[must_use]
    pub fn load_on(tree: &Tree, base: &Base<'_>) -> Loaded {
        load(tree, base)
    }
}

/// Makes the next snapshot of `tree`. An invalid unit keeps its active version.
fn load(tree: &Tree, base: &Base<'_>) -> Loaded {
    let previous = base.previous;
    let mut report = Report::default();
    let sorted = sort(tree, &mut report);
    let Some(platform) = next_platform(&sorted, base, &mut report) else {
        check_alone(&sorted, base.pause, &mut report);
        return report.loaded(None);
    };
    let mut parts = BTreeMap::new();
    let under = LoadContext { platform: &platform, base };
    for (name, files) in smallest_first(&sorted.namespaces) {
        (base.pause)();
        parts.insert(name.clone(), namespace::next(name, files, &under, &mut report));
    }
    let engine = previous.map(|snapshot| Arc::clone(snapshot.engine())).unwrap_or_default();
    let snapshot = Arc::new(Snapshot::assemble(platform, parts, engine));
    note_widening(previous, &snapshot, &mut report);
    report.problems.extend(responses::notes(&snapshot));
    report.loaded(Some(snapshot))
}

#[derive(Default)]
struct Report {
    problems: Vec<Problem>,
    refused: BTreeSet<String>,
    postponed: BTreeSet<String>,
}

impl Report {
    fn refuse(&mut self, unit: &str, problems: Vec<Problem>) {
        self.refused.insert(unit.to_owned());
        self.problems.extend(problems);
    }

    fn postpone(&mut self, namespace: &str) {
        if self.postponed.insert(namespace.to_owned()) {
            let message = format!("namespace `{namespace}` takes long to load, so it is loaded separately");
            let help = "use fewer or simpler policies";
            self.problems.push(Problem::error(format!("namespaces/{namespace}"), message).help(help));
        }
    }

    fn loaded(mut self, snapshot: Option<Arc<Snapshot>>) -> Loaded {
        self.problems.sort_by(|a, b| {
            b.severity.cmp(&a.severity).then_with(|| a.file.cmp(&b.file)).then_with(|| {
                let begin = |p: &Problem| p.span.as_ref().map_or(0, |span| span.start);
                begin(a).cmp(&begin(b))
            })
        });
        self.problems.dedup();
        let (refused, postponed) = (self.refused.into_iter().collect(), self.postponed.into_iter().collect());
        Loaded { snapshot, refused, postponed, problems: self.problems }
    }
}

/// The first problems of a namespace.
fn bounded(namespace: &str, mut problems: Vec<Problem>) -> Vec<Problem> {
    if let Some(more) = problems.len().checked_sub(PROBLEMS_MAX).filter(|more| *more > 0) {
        problems.truncate(PROBLEMS_MAX);
        let message = format!("and {more} further problems");
        problems.push(Problem::note(format!("namespaces/{namespace}"), message));
    }
    problems
}

/// The namespaces by size: a large one that takes all the time takes none from the smaller ones.
fn smallest_first(namespaces: &BTreeMap<String, Arc<Files>>) -> Vec<(&String, &Arc<Files>)> {
    let mut sorted: Vec<_> = namespaces.iter().collect();
    sorted.sort_by_key(|(_, files)| files.values().map(|text| text.len()).sum::<usize>());
    sorted
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
                let problem = Problem::error(path, "only `*.cedar` files are allowed here");
                report.refuse(namespace, vec![problem]);
            }
            None => report.refuse(MESH, vec![Problem::error(path, "this file does not belong in a policy tree")]),
        }
    }
    for (name, files) in namespaces {
        if is_dns_label(&name) && name != MESH {
            sorted.namespaces.insert(name, Arc::new(files));
        } else {
            let message = format!("`{name}` is not a namespace: a namespace is a DNS label other than `mesh`");
            report.refuse(&name, vec![Problem::error(format!("namespaces/{name}"), message)]);
        }
    }
    sorted
}

/// Checks the namespaces as far as possible without a valid platform, so that `picket validate` shows all problems at
/// once.
fn check_alone(sorted: &Sorted, pause: fn(), report: &mut Report) {
    let text = |name: &str| sorted.platform.get(name).map_or("", AsRef::as_ref);
    let (Ok(manifest), Ok(catalog)) =
        (Manifest::parse(text(manifest::FILE)), platform::catalog(&sorted.platform, &mut Vec::new()))
    else {
        return;
    };
    let Ok(types) = Types::of(text(schema::FACTS_FILE), &catalog) else { return };
    let Ok(detectors) = DetectorSet::of(sorted.platform.get(content::file::FILE), None) else { return };
    let declared = platform::declared(text("entities.json"), &types, &mut Vec::new()).into_keys().collect();
    let folders: Vec<String> = sorted.namespaces.keys().cloned().collect();
    let known = KnownEntities { catalog: &catalog, folders: &folders, declared: &declared };
    for (name, files) in &sorted.namespaces {
        let files: Vec<(&str, &Arc<str>)> = files.iter().map(|(path, text)| (path.as_str(), text)).collect();
        let detectors = detectors.detectors();
        let against = ValidationContext { types: &types, known, manifest: &manifest, detectors };
        if let Err(stopped) = Bundle::load(name, &files, against, &mut Vec::new(), Pace { is_late: &|| false, pause }) {
            report.refuse(name, bounded(name, stopped.problems(name)));
        }
    }
}

fn is_mesh_file(path: &str) -> bool {
    path.strip_prefix("mesh/").is_some_and(|file| file.ends_with(".cedar") && !file.contains('/'))
}

fn is_descriptor_set(path: &str) -> bool {
    path.split_once('/').is_some_and(|(folder, file)| folder == grpc::FOLDER && file.ends_with(grpc::ENDING))
}

/// The platform's next version, or the active one if the new one is invalid. Namespaces cannot block it: otherwise a
/// namespace with policies that name something the platform removes would delay new forbids for all.
fn next_platform(sorted: &Sorted, base: &Base<'_>, report: &mut Report) -> Option<Arc<Platform>> {
    let in_force = base.previous.map(|snapshot| Arc::clone(snapshot.platform()));
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
        let known = in_force.as_ref().map(|platform| &platform.detectors);
        platform::check(&sorted.platform, (folders, new_digest), known, base.pause, &mut notes)
    };
    match candidate {
        Ok(candidate) => {
            report.problems.extend(notes);
            Some(Arc::new(candidate))
        }
        Err(problems) => {
            report.refuse(MESH, problems);
            in_force
        }
    }
}

/// Moving a forbid to shadow widens access; it must not go unnoticed.
fn note_widening(previous: Option<&Arc<Snapshot>>, next: &Snapshot, report: &mut Report) {
    let Some(previous) = previous else { return };
    let enforced: BTreeSet<String> = units(previous)
        .iter()
        .flat_map(|unit| unit.entries.values())
        .filter(|e| e.mode == Mode::Enforce && e.effect == cedar_policy::Effect::Forbid)
        .map(|e| e.id.clone())
        .collect();
    for entry in units(next).iter().flat_map(|unit| unit.entries.values()) {
        if entry.mode == Mode::Shadow && enforced.contains(&entry.id) {
            let message = format!("forbid `{}` moved to shadow: calls that it denied may now be allowed", entry.id);
            report.problems.push(Problem::warning(entry.file.as_ref(), message).at(Some(entry.span.clone())));
        }
    }
}

/// The mesh, and the namespaces that loaded.
fn units(snapshot: &Snapshot) -> Vec<Arc<Bundle>> {
    let namespaces = snapshot.parts().values().filter_map(|part| match &part.state {
        Namespace::Loaded(unit) => Some(Arc::clone(unit)),
        Namespace::Invalid => None,
    });
    std::iter::once(Arc::clone(snapshot.mesh())).chain(namespaces).collect()
}
