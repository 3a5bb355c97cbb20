//! Loads the platform's files: schema, catalogue, manifest, declared entities and the mesh's policies.
//!
//! Knows: the platform's files. Must not know: namespaces' policies, earlier versions.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::catalog::{Catalog, grpc};
use crate::content::{self, detector_set::DetectorSet};
use crate::decision::bundle::{Bundle, Pace};
use crate::decision::groups;
use crate::decision::limits::MESH;
use crate::decision::policy::confine;
use crate::decision::policy::context::ValidationContext;
use crate::decision::policy::entity_literals::KnownEntities;
use crate::decision::policy::manifest::{self, Manifest};
use crate::decision::schema::{self, FactsType, Types};
use crate::decision::snapshot::{Files, Platform};
use crate::problem::Problem;
use crate::query::quick::Map;
use crate::query::{Node, Uid, Value};

/// Checks the mesh's unit: schema, catalogue, manifest, entities and policies, as far as each allows the next.
pub(super) fn check(
    files: &Files,
    (folders, digest): (Vec<String>, String),
    known_detectors: Option<&Arc<DetectorSet>>,
    pause: fn(),
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
    let catalog = catalog(files, &mut problems);
    let catalog = keep(catalog, &mut problems);
    // Problems of the facts are reported even without a catalogue.
    let types = Types::of(text(schema::FACTS_FILE), catalog.as_ref().unwrap_or(&Catalog::default()));
    let types = keep(types, &mut problems);
    let detectors = keep(DetectorSet::of(files.get(content::file::FILE), known_detectors), &mut problems);
    let (Some(manifest), Some(catalog), Some(types), Some(detectors)) = (manifest, catalog, types, detectors) else {
        return Err(problems);
    };
    let declared = declared(text("entities.json"), &types, &mut problems);
    let workload_facts = catalog.workloads().filter_map(|w| Some((&w.id, w.facts.as_ref()?)));
    let workload_facts = typed(&types, FactsType::Workload, workload_facts, &mut problems);
    let service_facts = catalog.services().filter_map(|s| Some((&s.id, s.facts.as_ref()?)));
    let service_facts = typed(&types, FactsType::Service, service_facts, &mut problems);
    unknown_modes(&manifest, files, &folders, &mut problems);
    let declared_ids: BTreeSet<Uid> = declared.keys().cloned().collect();
    let mesh_files = files.iter().filter(|(path, _)| path.starts_with("mesh/"));
    let mesh_files: Vec<(&str, &Arc<str>)> = mesh_files.map(|(path, text)| (path.as_str(), text)).collect();
    let known = KnownEntities { catalog: &catalog, folders: &folders, declared: &declared_ids };
    let against = ValidationContext { types: &types, known, manifest: &manifest, detectors: detectors.detectors() };
    // No call waits for less than the mesh's own policies.
    let pace = Pace { is_late: &|| false, pause };
    let mesh = Bundle::load(MESH, &mesh_files, against, notes, pace).map_err(|stopped| stopped.problems(MESH));
    let mesh = keep(mesh, &mut problems);
    let validation_digest = files.iter().filter(|(path, _)| !path.starts_with("mesh/"));
    let validation_digest = validation_digest.map(|(path, text)| (path.as_str(), text.as_ref()));
    let validation_digest =
        crate::decision::snapshot::digest(validation_digest.chain(folders.iter().map(|folder| ("", folder.as_str()))));
    let schema_digest = crate::decision::snapshot::digest([("", schema::BUILT_IN), ("", text(schema::FACTS_FILE))]);
    match mesh {
        Some(mesh) if problems.is_empty() => {
            note_open_permits(&mesh, notes);
            notes.extend_from_slice(catalog.warnings());
            notes.extend_from_slice(detectors.detectors().notes());
            Ok(Platform {
                mesh: Arc::new(mesh),
                types,
                groups: groups::by_workload(&catalog, &declared),
                catalog,
                detectors,
                manifest,
                declared,
                declared_ids,
                workload_facts,
                service_facts,
                folders,
                digest,
                validation_digest,
                schema_digest,
            })
        }
        _ => Err(problems),
    }
}

/// The catalogue with the descriptor sets that it names; their problems go to `problems`.
pub(super) fn catalog(files: &Files, problems: &mut Vec<Problem>) -> Result<Catalog, Vec<Problem>> {
    let sets = grpc::Sets::of(files.iter().map(|(path, text)| (path.as_str(), text.as_ref())), problems);
    Catalog::parse_with("catalog.yaml", files.get("catalog.yaml").map_or("", AsRef::as_ref), &sets)
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

/// Parses `entities.json`: facts and groups. No entity may lie in another namespace than the one in its id.
pub(super) fn declared(text: &str, types: &Types, problems: &mut Vec<Problem>) -> Map<Uid, Node> {
    if text.trim().is_empty() {
        return Map::default();
    }
    let nodes = match types.entities(text) {
        Ok(nodes) => nodes,
        Err(message) => {
            problems.push(Problem::error("entities.json", message));
            return Map::default();
        }
    };
    for node in &nodes {
        let own = node.uid.id.split('/').next().unwrap_or_default();
        let inside = confine::INSIDE_SERVICES.contains(&node.uid.kind.as_str());
        let outside = |uid: &&Uid| match uid.kind.as_str() {
            "Namespace" => inside && uid.id != own,
            kind if confine::INSIDE_SERVICES.contains(&kind) => uid.id.split('/').next() != Some(own),
            _ => false,
        };
        if let Some(parent) = node.ancestors.iter().find(outside) {
            let message = format!("{} cannot be in {parent}; its namespace is the one its id names", node.uid);
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

/// Notes mesh permits that open every namespace: they may be intended, and `picket validate` should show them.
fn note_open_permits(mesh: &Bundle, notes: &mut Vec<Problem>) {
    use cedar_policy::{Effect, ResourceConstraint};
    for entry in mesh.entries.values().filter(|entry| entry.effect == Effect::Permit) {
        let what = match (entry.bridge, entry.policy.resource_constraint()) {
            (true, _) => "is a bridge: it allows calls now, and the would-be verdict ignores it",
            (false, ResourceConstraint::Any | ResourceConstraint::Is(_)) => "applies to every namespace",
            (false, _) => continue,
        };
        let message = format!("permit `{}` of the mesh {what}", entry.id);
        notes.push(Problem::note(entry.file.as_ref(), message).at(Some(entry.span.clone())));
    }
}
