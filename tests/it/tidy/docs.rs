//! Docs that are true: paths exist, every code and reason has its row, every pitfall its tests.

use std::collections::{BTreeMap, BTreeSet};

use picket::decision::policy::annotations::PLAIN_ANNOTATIONS;
use picket::decision::policy::remedy;
use picket::decision::verdict::Reason;
use picket::failure::Code;
use picket::obligation::permit;

use super::{Source, assert_none, files, root};

/// Tops of the tree: a quoted text that begins with one of them is meant as a path.
const TOPS: &[&str] = &[
    "src/",
    "crates/",
    "tests/",
    "docs/",
    "policies/",
    "deploy/",
    "benches/",
    "proto/",
    "examples/",
    "xtask/",
    ".ci/",
    ".cargo/",
    ".github/",
];

const PITFALLS: u8 = 47;

fn prose() -> Vec<Source> {
    let mut all = files(&["docs"], "md");
    for name in ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"] {
        if let Ok(text) = std::fs::read_to_string(root().join(name)) {
            all.push(Source { path: name.to_owned(), text });
        }
    }
    all
}

/// Texts between backticks, outside of code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// Targets of `[text](target)` that are files.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .map(|target| target.split('#').next().unwrap_or(target))
        .filter(|t| !t.is_empty() && !t.contains("://"))
        .collect()
}

/// Returns whether a text names one certain path: no placeholder in it.
fn is_path(text: &str) -> bool {
    TOPS.iter().any(|top| text.starts_with(top))
        && !text.contains(['<', '>', '*', '{', '…', ' '])
        && !text.contains("NAME")
        && !text.contains("NNNN")
}

/// First cell of every table row, without backticks.
fn first_cells(text: &str) -> Vec<String> {
    let cells = text.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
}

fn doc(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

#[test]
fn every_path_named_in_the_docs_exists() {
    let mut findings = Vec::new();
    for file in prose() {
        for path in quoted(&file.text).into_iter().filter(|text| is_path(text)) {
            let path = path.split(':').next().unwrap_or(path);
            if !root().join(path).exists() {
                findings.push(format!("{}: `{path}` does not exist", file.path));
            }
        }
        let folder = root().join(&file.path);
        for target in links(&file.text) {
            if !folder.parent().unwrap().join(target).exists() {
                findings.push(format!("{}: the link to `{target}` is broken", file.path));
            }
        }
    }
    assert_none(&findings, "Correct the docs with the code.");
}

#[test]
fn operating_md_has_a_row_for_every_code_in_their_order() {
    let cells = first_cells(&doc("operating.md"));
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let rows: Vec<&str> = cells.iter().map(String::as_str).filter(|cell| codes.contains(cell)).collect();
    assert_eq!(
        rows, codes,
        "docs/operating.md must explain every code of crates/core/src/failure.rs once, in its order"
    );
}

#[test]
fn operating_md_has_a_row_for_every_reason_in_their_order() {
    let cells = first_cells(&doc("operating.md"));
    let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let rows: Vec<&str> = cells.iter().map(String::as_str).filter(|cell| reasons.contains(cell)).collect();
    assert_eq!(
        rows, reasons,
        "docs/operating.md must explain every reason of crates/core/src/decision/verdict.rs once, in its order"
    );
}

#[test]
fn annotations_md_has_a_row_for_every_annotation_in_their_order() {
    let cells = first_cells(&doc("annotations.md"));
    let rows: Vec<&str> = cells.iter().filter_map(|cell| cell.strip_prefix('@')).collect();
    let known = PLAIN_ANNOTATIONS.into_iter().chain(permit::annotations()).chain(remedy::ANNOTATIONS);
    assert_eq!(
        rows,
        known.collect::<Vec<_>>(),
        "docs/annotations.md must explain every annotation once, in this order"
    );
}

/// Pitfalls that tests carry in their names (`p1_`, `p3_p4_`), with one such name each.
fn pinned() -> BTreeMap<u8, String> {
    let mut found = BTreeMap::new();
    for file in files(&["src", "crates", "tests"], "rs") {
        for rest in file.text.split("fn p").skip(1) {
            let name = format!("p{}", rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or(""));
            for number in name.split('_').map_while(|part| part.strip_prefix('p')?.parse().ok()) {
                found.insert(number, name.clone());
            }
        }
    }
    found
}

#[test]
fn security_md_has_a_row_for_every_pitfall() {
    let rows: Vec<String> = first_cells(&doc("security.md")).into_iter().filter(|cell| is_pitfall(cell)).collect();
    let expected: Vec<String> = (1..=PITFALLS).map(|number| format!("P{number}")).collect();
    assert_eq!(rows, expected, "docs/security.md must have one row a pitfall, in order");
}

fn is_pitfall(cell: &str) -> bool {
    cell.strip_prefix('P').is_some_and(|number| number.parse::<u8>().is_ok())
}

#[test]
fn security_md_and_the_tests_name_the_same_pitfalls() {
    let text = doc("security.md");
    let claimed: BTreeSet<u8> =
        quoted(&text).into_iter().filter_map(|word| word.strip_prefix('p')?.strip_suffix("_*")?.parse().ok()).collect();
    let pinned = pinned();
    let mut findings = Vec::new();
    for number in claimed.iter().filter(|number| !pinned.contains_key(number)) {
        findings.push(format!("`p{number}_*` is claimed, but no test has such a name"));
    }
    for (number, name) in pinned.iter().filter(|(number, _)| !claimed.contains(number)) {
        findings.push(format!("`{name}` is a test, but the row of P{number} does not name `p{number}_*`"));
    }
    assert_none(&findings, "Keep docs/security.md and the names of the tests together.");
}

#[test]
fn architecture_md_stays_short() {
    let lines = doc("ARCHITECTURE.md").lines().count();
    assert!(lines <= 150, "docs/ARCHITECTURE.md has {lines} lines, at most 150");
}

#[test]
fn the_index_of_decisions_has_every_number_once_and_every_page() {
    let index = doc("decisions/README.md");
    let cells = first_cells(&index).into_iter().filter_map(|cell| cell.trim_start_matches('[').get(..4)?.parse().ok());
    let listed: Vec<usize> = cells.collect();
    assert_eq!(
        listed,
        (1..=listed.len()).collect::<Vec<_>>(),
        "docs/decisions/README.md must list every number, in order"
    );
    let linked: BTreeSet<&str> = links(&index).into_iter().collect();
    for page in files(&["docs/decisions"], "md") {
        let name = page.path.rsplit('/').next().unwrap();
        assert!(name == "README.md" || linked.contains(name), "docs/decisions/README.md does not list {name}");
    }
}

#[test]
fn paths_are_told_from_other_quoted_texts() {
    assert_eq!(quoted("a `b` c `d`\n```\n`e`\n```\n`f`"), ["b", "d", "f"]);
    assert_eq!(links("[a](b.md#c) [d](https://e) [f](#g)"), ["b.md"]);
    assert!(
        is_path("crates/core/src/call.rs")
            && !is_path("crates/core/src/identity/NAME.rs")
            && !is_path("/v1/orders")
            && !is_path("src/*.rs")
    );
    assert_eq!(first_cells("| `a` | b |\nc | d |"), ["a"]);
}
