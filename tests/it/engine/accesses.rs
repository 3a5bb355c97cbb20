//! Accesses of policies that are drawn: the inputs that are collected cover those that are evaluated.

use cedar_policy::pst::{Clause, Expr, Var};
use cedar_policy::{Policy, PolicySet, pst};
use picket::decision::accesses::Accesses;
use picket::decision::policy::required_inputs::RequiredInputs;
use picket::decision::read_set::ReadSet;
use picket::query::{Keys, Reads};
use proptest::prelude::*;

use super::drawn::CONDITIONS;

/// Paths of every part of the context, into entities, and to where nothing is.
const PATHS: &[&str] = &[
    "principal",
    "principal.token",
    "principal.facts",
    "principal.facts.team",
    "resource",
    "resource.facts",
    "resource.labels",
    "context",
    "context.env",
    "context.env.now",
    "context.env.sourceIp",
    "context.env.facts",
    "context.env.facts.approver",
    "context.env.facts.approver.facts",
    "context.env.facts.ticket.approver.facts.team",
    "context.http",
    "context.http.path",
    "context.http.headers",
    "context.http.query",
    "context.http.bodyBytes",
    "context.args",
    "context.kinds",
    "context.numbers",
    "context.decimals",
    "context.fields",
    "context.input",
    "context.input.amount",
    "context.approval",
    "context.approval.state",
    "context.found",
    "context.inspected",
    "context.taskParams",
    "context.rpcMethod",
    "action",
    "action.x",
];
const NAMES: &[&str] =
    &["facts", "facts.team", "token", "env.facts", "env.sourceIp", "http.bodyBytes", "approval", "approver.facts", "a"];
const LITERALS: &[&str] =
    &[r#""/a""#, r#""**/id""#, r#""x-a""#, "1", "true", r#"Group::"a""#, r#"[Group::"a", Group::"b"]"#, "[]", "{}"];
const OPERATORS: &[&str] = &["==", "!=", "in", "<", "&&", "||", "+"];

/// Expressions as Cedar writes them, whether or not they have a type.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        6 => prop::sample::select(PATHS).prop_map(str::to_owned),
        2 => prop::sample::select(LITERALS).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let name = || prop::sample::select(NAMES);
        let pair = || (inner.clone(), inner.clone());
        prop_oneof![
            4 => (inner.clone(), name()).prop_map(|(of, name)| format!("(({of}) has {name})")),
            2 => (inner.clone(), name()).prop_map(|(of, name)| format!("({of}).{name}")),
            3 => (prop::sample::select(PATHS), name()).prop_map(|(of, name)| format!("({of} has {name})")),
            4 => (pair(), any::<bool>()).prop_map(|((map, key), has)| {
                format!("({map}).{}({key})", if has { "hasTag" } else { "getTag" })
            }),
            2 => pair().prop_map(|(map, key)| format!("(({map}).getTag({key}) like \"a*\")")),
            5 => (pair(), prop::sample::select(OPERATORS)).prop_map(|((a, b), op)| format!("(({a}) {op} ({b}))")),
            1 => (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
            1 => pair().prop_map(|(a, b)| format!("[{a}].contains({b})")),
            2 => pair().prop_map(|(a, b)| format!("{{p: {a}, facts: {b}}}")),
            1 => pair().prop_map(|(a, b)| format!("(({a}) is Workload in ({b}))")),
            1 => inner.clone().prop_map(|a| format!("(({a}) is Workload)")),
            1 => inner.clone().prop_map(|a| format!("!({a}).isEmpty()")),
            1 => pair().prop_map(|(a, b)| format!("ip({a}).isInRange({b})")),
        ]
    })
}

fn parsed(condition: &str) -> Option<pst::Policy> {
    let text = format!("permit (principal, action, resource) when {{ {condition} }};");
    Policy::parse(None, text).ok()?.to_pst().ok()
}

/// All policies of the tree, its tests and its documents.
fn written() -> Vec<pst::Policy> {
    fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                files(&entry, found);
            } else if entry.extension().is_some_and(|name| name == "cedar") {
                found.push(entry);
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["policies", "tests", "examples", "docs"] {
        files(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    let of_conditions = CONDITIONS.iter().map(|condition| format!("permit (principal, action, resource) {condition};"));
    let texts = found.iter().map(|path| std::fs::read_to_string(path).unwrap()).chain(of_conditions);
    let sets = texts.filter_map(|text| text.parse::<PolicySet>().ok()).collect::<Vec<_>>();
    sets.iter().flat_map(PolicySet::policies).map(|policy| policy.to_pst().unwrap()).collect()
}

/// A part of the reads that a read set needs and that is not collected.
fn uncovered(set: &ReadSet, reads: &Reads, condition: &str) -> Vec<String> {
    let mut missing = Vec::new();
    let mut need = |is_there: bool, name: String| {
        if !is_there {
            missing.push(name);
        }
    };
    let facts = |paths: &std::collections::BTreeSet<Vec<String>>| paths.iter().any(|path| path[0] == "facts");
    need(!facts(&set.principal.paths) || reads.principal_facts, "principal.facts".to_owned());
    need(!facts(&set.resource.paths) || reads.resource_facts, "resource.facts".to_owned());
    if set.whole_context {
        let all =
            [&reads.headers, &reads.headers_compared, &reads.query, &reads.call_facts, &reads.args, &reads.fields];
        need(all.into_iter().all(|keys| *keys == Keys::All), "all keys of the context".to_owned());
        let flags = [reads.body, reads.message, reads.numbers, reads.size, reads.approval, reads.source_ip];
        need(!flags.contains(&false), "all parts of the context".to_owned());
        let content = &reads.content.enforced;
        need(content.tested == Keys::All && content.inspected, "all of the content".to_owned());
    }
    for path in &set.context {
        let steps: Vec<&str> = path.iter().map(String::as_str).collect();
        let is_there = match steps.as_slice() {
            ["env", "sourceIp", ..] => reads.source_ip,
            ["env", "facts", name, ..] => reads.call_facts.contains(name),
            ["http", "bodyBytes", ..] => reads.size,
            ["approval", ..] => reads.approval,
            ["input" | "args" | "kinds", ..] => reads.body,
            ["numbers" | "decimals" | "fields", ..] => reads.body && reads.message,
            // A record may be there for its presence alone, which every call has.
            _ => true,
        };
        need(is_there, format!("context.{}", path.join(".")));
    }
    for (path, keys) in &set.bags {
        let steps: Vec<&str> = path.iter().map(String::as_str).collect();
        let of: &[&Keys] = match steps.as_slice() {
            ["http", "headers"] => &[&reads.headers],
            ["http", "query"] => &[&reads.query],
            ["args" | "kinds"] => &[&reads.args],
            ["fields"] => &[&reads.fields],
            ["numbers" | "decimals"] => &[&reads.args, &reads.fields],
            _ => &[],
        };
        let is_body = !of.is_empty() && steps[0] != "http";
        let is_there = |keys: &Keys| match keys {
            Keys::All => of.iter().all(|of| **of == Keys::All),
            Keys::Some(keys) => keys.iter().all(|key| match key.strip_prefix("**/").filter(|_| is_body) {
                Some(name) => reads.names.contains(name),
                None => of.iter().all(|of| of.contains(key)),
            }),
        };
        need(is_there(keys), format!("{keys:?} of {}", path.join(".")));
        need(!is_body || reads.body, format!("the body for {}", path.join(".")));
        need(!["numbers", "decimals"].contains(&steps[0]) || reads.numbers, "numbers".to_owned());
    }
    if condition.contains("**/id") && [&reads.args, &reads.fields].contains(&&Keys::All) {
        need(reads.names.contains("id"), "**/id".to_owned());
    }
    missing
}

/// Whether a condition reads an attribute `facts` of an entity that is none of the query's variables.
fn reads_facts_of_another(policy: &pst::Policy) -> bool {
    fn is_path(expr: &Expr) -> bool {
        match expr {
            Expr::Var(var) => *var != Var::Action,
            Expr::GetAttr { expr, .. } => is_path(expr),
            _ => false,
        }
    }
    let is_another = |of: &Expr, below: &str| {
        let path = format!("{of}.{below}");
        !is_path(of) || path.strip_prefix("context.env.facts.").is_some_and(|name| !name.trim_matches('.').is_empty())
    };
    let visit = |node: &Expr| match node {
        Expr::GetAttr { expr, attr } if attr == "facts" && is_another(expr, "") => Some(true),
        Expr::HasAttr { expr, attrs } => {
            let steps: Vec<&str> = attrs.iter().map(|step| step.as_str()).collect();
            let mut facts = (0..steps.len()).filter(|at| steps[*at] == "facts");
            facts.any(|at| is_another(expr, &steps[..at].join("."))).then_some(true)
        }
        _ => None,
    };
    let of = |clause: &Clause| {
        let (Clause::When(expr) | Clause::Unless(expr)) = clause;
        expr.reduce(&visit, &|a, b| a || b, false)
    };
    policy.body().clauses().iter().any(of)
}

fn assert_covered(policy: &pst::Policy) {
    let text = policy.to_string();
    let accesses = Accesses::of(policy.body());
    let (set, reads) = (ReadSet::of(&accesses), RequiredInputs::of(&accesses).reads);
    let missing = uncovered(&set, &reads, &text);
    assert!(missing.is_empty(), "{missing:?} of {text}");
    if set.principal.whole && reads_facts_of_another(policy) {
        assert!(reads.principal_facts && reads.resource_facts, "facts of {text}");
    }
}

#[test]
fn the_inputs_of_every_policy_of_the_tree_cover_its_read_set() {
    let policies = written();
    policies.iter().for_each(assert_covered);
    assert!(policies.len() > 150, "only {} policies", policies.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_inputs_of_a_policy_cover_its_read_set(condition in expression()) {
        if let Some(policy) = parsed(&condition) {
            assert_covered(&policy);
        }
    }
}
