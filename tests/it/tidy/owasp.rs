//! `docs/owasp.md` and its library: every item has a row, every row its policies and the cases that it claims.

use std::path::Path;

use picket::cli::test::expect::Expected;
use picket::cli::test::suite;
use serde_json::Value;

use super::{assert_none, root};

const CASES_MIN: usize = 5;

/// One item's row.
#[derive(Debug)]
struct Row {
    item: String,
    cover: String,
    policy: String,
    inputs: String,
    cases: String,
    residual: String,
}

/// How many cases of a suite must be allowed, and how many must be denied by one of `ids`; with the unnamed ones.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    allowed: usize,
    denied: usize,
    unnamed: Vec<String>,
}

fn rows(text: &str) -> Vec<Row> {
    let is_item = |line: &&str| line.starts_with("| NHI") || line.starts_with("| ASI");
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [item, cover, policy, inputs, cases, residual] = cells[..] else { panic!("not six cells: {line}") };
        let item = item.split(' ').next().unwrap_or_default();
        let [item, cover, policy, inputs, cases, residual] =
            [item, cover, policy, inputs, cases, residual].map(str::to_owned);
        Row { item, cover, policy, inputs, cases, residual }
    };
    text.lines().filter(is_item).map(row).collect()
}

/// `nhi01` of `NHI1`.
fn stem(item: &str) -> String {
    let (list, number) = item.split_at(3);
    format!("{}{:02}", list.to_lowercase(), number.parse::<u8>().unwrap())
}

fn ids(policies: &str) -> Vec<&str> {
    policies.split("@id(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn counts(name: &str, text: &str, ids: &[&str]) -> Counts {
    let written: Value = serde_saphyr::from_str(text).unwrap();
    let tests = written["tests"].as_array().unwrap();
    let run: Vec<&Value> = tests.iter().filter(|test| test["skip"].is_null()).collect();
    let named = |test: &Value| -> Vec<String> {
        let texts = test["expect"]["policies"].as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.filter(|id| ids.contains(id)).map(str::to_owned).collect()
    };
    let decision = |test: &&&Value| test["expect"]["decision"].as_str().unwrap_or_default().to_owned();
    let single = run.iter().filter(|test| decision(test) == "allow").count();
    let denials: Vec<Vec<String>> =
        run.iter().filter(|test| ["deny", "challenge"].contains(&&*decision(test))).map(|test| named(test)).collect();
    let cases = suite::load(Path::new(name), name, text).unwrap();
    let cells = cases.iter().filter(|case| case.skip.is_none() && case.cell.is_some());
    let picked = cells.filter(|case| matches!(case.expected, Expected::Allowed)).count();
    let unnamed = ids.iter().filter(|id| !denials.iter().flatten().any(|named| named == *id));
    Counts {
        allowed: single + picked,
        denied: denials.iter().filter(|named| !named.is_empty()).count(),
        unnamed: unnamed.map(|id| (*id).to_owned()).collect(),
    }
}

/// The problems of a row, as lines.
fn faults(row: &Row) -> Vec<String> {
    let item = &row.item;
    let mut found = Vec::new();
    let mut fault = |message: String| found.push(format!("{item}: {message}"));
    if row.inputs.is_empty() || row.residual.is_empty() {
        fault("says nothing of its inputs, or of what it does not stop".to_owned());
    }
    match row.cover.as_str() {
        "not" => return found,
        "full" | "partly" => {}
        other => fault(format!("its cover is `{other}`, neither full, partly nor not")),
    }
    let target = row.policy.split("](../").nth(1).and_then(|rest| rest.split(')').next()).unwrap_or_default();
    let path = root().join(target);
    let stem = stem(item);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (true, Ok(policies)) = (name.starts_with(&format!("{stem}-")), std::fs::read_to_string(&path)) else {
        fault(format!("`{target}` is no policy file of it"));
        return found;
    };
    let tests = path.parent().and_then(Path::parent).unwrap().join(format!("tests/{stem}_test.yaml"));
    let Ok(text) = std::fs::read_to_string(&tests) else {
        fault(format!("`{}` does not exist", tests.display()));
        return found;
    };
    let counts = counts(&tests.display().to_string(), &text, &ids(&policies));
    let Counts { allowed, denied, unnamed } = &counts;
    if *allowed < CASES_MIN || *denied < CASES_MIN {
        fault(format!("{allowed} cases are allowed and {denied} denied by its file; at least {CASES_MIN} of each"));
    }
    if row.cases != format!("{allowed}/{denied}") {
        fault(format!("its suite has {allowed}/{denied} cases, the row says {}", row.cases));
    }
    if !unnamed.is_empty() {
        fault(format!("no case is denied by {}", unnamed.join(", ")));
    }
    found
}

#[test]
fn owasp_md_has_a_row_for_every_item_with_policies_and_the_cases_it_claims() {
    let rows = rows(&std::fs::read_to_string(root().join("docs/owasp.md")).unwrap());
    let items: Vec<&str> = rows.iter().map(|row| row.item.as_str()).collect();
    let number = |list: &str, number: usize, width: usize| format!("{list}{number:0width$}");
    let expected: Vec<String> =
        (1..=10).map(|n| number("NHI", n, 1)).chain((1..=10).map(|n| number("ASI", n, 2))).collect();
    assert_eq!(items, expected, "docs/owasp.md must have one row an item, in order");
    let findings: Vec<String> = rows.iter().flat_map(faults).collect();
    assert_none(&findings, "Keep docs/owasp.md, the library's policies and their suites together.");
}

#[test]
fn only_cases_that_run_and_name_a_policy_of_the_file_count() {
    let text = r#"
suite: s
fixtures: {callers: {a: {spiffe: "spiffe://cluster.local/ns/a/sa/a"}, b: {unauthenticated: true}}}
tests:
  - {name: a, caller: a, request: {}, expect: {decision: allow}}
  - {name: b, caller: a, request: {}, expect: {decision: allow}, skip: later}
  - {name: c, caller: a, request: {}, expect: {decision: deny, policies: [x]}}
  - {name: d, caller: a, request: {}, expect: {decision: deny, policies: [other]}}
  - {name: e, caller: a, request: {}, expect: {decision: error}}
  - {name: f, matrix: {caller: [a, b], method: [GET, PUT]}, expect_allow: [{caller: a}]}
"#;
    let expected = Counts { allowed: 3, denied: 1, unnamed: vec!["y".to_owned()] };
    assert_eq!(counts("s_test.yaml", text, &["x", "y"]), expected);
    assert_eq!([stem("NHI1"), stem("NHI10"), stem("ASI01")], ["nhi01", "nhi10", "asi01"]);
}
