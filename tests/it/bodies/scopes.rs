//! The collected inputs of a call are those that the applicable policies read, and no more.

use std::collections::{BTreeMap, BTreeSet};

use picket::decision::Snapshot;
use picket::decision::policy::mode::Mode;
use picket::decision::snapshot::applicable_bundles;
use picket::problem::Severity;
use picket::query::{Family, Keys};
use tokio::runtime::Runtime;

use super::{ALL, Body, LENGTH, VALUES, calls, profile, with};
use crate::harness::direct::Direct;

const ACTIONS: [&str; 14] = [
    "action",
    r#"action in Action::"any""#,
    r#"action in Action::"read""#,
    r#"action in Action::"write""#,
    r#"action == Action::"HEAD""#,
    r#"action == Action::"other""#,
    r#"action in [Action::"GET", Action::"mcp.any"]"#,
    r#"action in [Action::"connect", Action::"upgrade"]"#,
    r#"action == Action::"grpc.call""#,
    r#"action == Action::"mcp.tools.call""#,
    r#"action == Action::"mcp.tools.call/t/mcp/t""#,
    r#"action in Action::"mcp.tools.call""#,
    r#"action in [Action::"a2a.any", Action::"llm.generate"]"#,
    r#"action == Action::"mcp.server.use""#,
];
const RESOURCES: [&str; 15] = [
    "resource",
    "resource is Path",
    "resource is Method",
    "resource is Tool",
    r#"resource in Namespace::"t""#,
    r#"resource in TrustDomain::"cluster.local""#,
    r#"resource in Group::"g""#,
    r#"resource in Service::"t/json""#,
    r#"resource in Service::"t/mcp""#,
    r#"resource in Path::"t/json/x""#,
    r#"resource == Path::"t/plain/x""#,
    r#"resource is Path in Service::"t/llm""#,
    r#"resource == Tool::"t/mcp/t""#,
    r#"resource in McpServer::"t/mcp""#,
    r#"resource == Agent::"t/a2a""#,
];

/// A policy for each pair of scopes, which reads a header of its own; those that the loader takes.
fn policies() -> BTreeMap<String, String> {
    let mut policies = BTreeMap::new();
    for (unit, prefix) in [("mesh", "m"), ("namespaces/t", "t")] {
        for (a, action) in ACTIONS.iter().enumerate() {
            for (r, resource) in RESOURCES.iter().enumerate() {
                let name = format!("{prefix}-{a}-{r}");
                let text = format!(
                    "@id(\"{name}\") forbid (principal, {action}, {resource})\n\
                     when {{ context.http.headers.hasTag(\"x-{name}\") }};"
                );
                policies.insert(format!("{unit}/{name}.cedar"), text);
            }
        }
    }
    let load = |policies: &BTreeMap<String, String>| {
        let files: Vec<(&str, &str)> = policies.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
        Snapshot::load(&with(&files), None).problems
    };
    let refused: BTreeSet<String> = load(&policies)
        .into_iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(|problem| problem.file.to_string())
        .collect();
    policies.retain(|file, _| !refused.contains(file));
    policies
}

#[test]
fn inputs_of_a_policy_are_collected_for_every_call_that_its_scope_allows() {
    let runtime = Runtime::new().unwrap();
    let policies = policies();
    assert!(policies.len() > 150, "the loader took {} policies only", policies.len());
    let mut files: Vec<(&str, &str)> = policies.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
    files.push(("mesh/all.cedar", ALL));
    let direct = runtime.block_on(Direct::with(with(&files), profile()));
    let (mut families, mut met) = (BTreeSet::new(), BTreeSet::new());
    for (kind, method, body) in calls::all().filter(|(_, _, body)| matches!(body, Body::NotSent | Body::Small)) {
        let (_, seen) = runtime.block_on(direct.judged(calls::call(kind, method, body).0));
        let (Some(query), Some(snapshot)) = (seen.query, seen.snapshot) else { continue };
        let family = Family::of(&query.action).unwrap();
        families.insert(family);
        let service: Vec<&str> = query.resource.uid.id.split('/').take(2).collect();
        let reads = snapshot.reads(&service.join("/"), family);
        for unit in applicable_bundles(&snapshot, &query.namespace).unwrap() {
            for index in unit.indexes(Mode::Enforce) {
                let entries = index.candidates(&query).into_iter().filter_map(|number| index.entry(number));
                for name in entries.filter_map(|entry| entry.id.rsplit('/').next()).filter(|name| *name != "all") {
                    met.insert(name.to_owned());
                    let header = format!("x-{name}");
                    assert!(reads.headers.contains(&header), "{name} is asked about {} and not read", query.action);
                }
            }
        }
    }
    assert_eq!(families.len(), Family::COUNT - 1, "every family but answers: {families:?}");
    assert!(met.len() > 150, "only {} policies were ever candidates", met.len());
}

#[test]
fn a_policy_adds_no_reads_to_calls_outside_its_scope() {
    let snapshot = |files: &[(&str, &str)]| Snapshot::load(&with(files), None).snapshot.unwrap();
    let values = snapshot(&[("mesh/all.cedar", ALL), ("mesh/read.cedar", VALUES), ("namespaces/t/a.cedar", "")]);
    for service in ["t/plain", "t/json", "t/none", "u/none"] {
        for family in Family::ALL {
            let reads = values.reads(service, family);
            let reads_arguments = matches!(
                family,
                Family::Post | Family::Put | Family::Patch | Family::Delete | Family::Other | Family::Mcp
            );
            assert_eq!(reads.body, reads_arguments || family == Family::Grpc, "{service} {family:?}");
            assert_eq!(reads.message, family == Family::Grpc, "{service} {family:?}");
            assert_eq!(reads.args != Keys::default(), reads_arguments, "{service} {family:?}");
            assert!(!reads.size, "{service} {family:?}");
        }
    }
    let one = LENGTH
        .replace("action in Action::\"any\", resource", "action == Action::\"PUT\", resource in Service::\"t/json\"");
    let one = snapshot(&[("mesh/all.cedar", ALL), ("mesh/read.cedar", &one)]);
    for service in ["t/plain", "t/json", "t/jsonp", "u/json"] {
        for family in Family::ALL {
            let expected = service == "t/json" && family == Family::Put;
            assert_eq!(one.reads(service, family).size, expected, "{service} {family:?}");
        }
    }
}

/// The schema's actions that a call can request: none is a member of one of another family.
#[test]
fn every_action_of_the_schema_is_of_one_family() {
    let snapshot = Snapshot::load(&with(&[]), None).snapshot.unwrap();
    assert!(Family::ALL.iter().enumerate().all(|(at, family)| family.index() == at));
    for (id, action) in snapshot.types().actions() {
        let applies = snapshot.types().schema().action_entities().is_ok();
        let is_group = ["any", "read", "write"].contains(&id);
        assert_eq!(Family::of(id).is_some(), applies && !is_group, "{id}");
        let above =
            action.closure.iter().filter_map(|of| Family::of(of.uid().id().unescaped()).map(|family| (of, family)));
        for (of, family) in above {
            assert_eq!(Some(family), Family::of(id), "{id} lies in {}", of.uid());
        }
    }
}

/// The context of a family's actions lacks exactly the parts that are left out for the family.
#[test]
fn only_inputs_outside_the_schema_are_left_out() {
    use picket::decision::schema::BUILT_IN;
    let (fragment, _) = cedar_policy::SchemaFragment::from_cedarschema_str(BUILT_IN).unwrap();
    let json = fragment.to_json_value().unwrap();
    let mut seen = BTreeSet::new();
    for (id, action) in json[""]["actions"].as_object().unwrap() {
        let (Some(family), Some(context)) = (Family::of(id), action["appliesTo"]["context"]["attributes"].as_object())
        else {
            continue;
        };
        seen.insert(family);
        let has = |name: &str| context.contains_key(name);
        let kinds: Vec<&str> = action["appliesTo"]["resourceTypes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|kind| kind.as_str().unwrap())
            .collect();
        assert!(kinds.iter().all(|kind| family.resources().contains(kind)), "{id}: {kinds:?}");
        assert!(!has("fields") || family.has_fields(), "{id}");
        assert_eq!(has("found"), picket::query::action::has_content(id), "{id}");
        assert_eq!(has("inspected"), has("found"), "{id}");
        assert!(!has("found") || family.has_content(), "{id}");
        assert!(!(has("args") || has("kinds")) || family.has_arguments(), "{id}");
        assert!(!(has("numbers") || has("decimals")) || family.has_arguments() || family.has_fields(), "{id}");
    }
    assert_eq!(seen.len(), Family::COUNT);
}
