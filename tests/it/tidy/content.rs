//! `docs/content-cases.md`: every case has one row, and every test that a row names exists.

use super::{files, root};

/// Cases of frames, texts, protocols and operation.
const CASES: [(&str, usize); 4] = [("FE", 14), ("TX", 20), ("PR", 11), ("OP", 5)];
/// Beginnings of a row without a test.
const REASONS: [&str; 2] = ["Cannot happen", "Not built"];

#[test]
fn every_case_of_content_has_a_row_with_tests_that_exist() {
    let page = std::fs::read_to_string(root().join("docs/content-cases.md")).unwrap();
    let rows: Vec<[&str; 3]> = page.lines().filter_map(row).collect();
    let expected: Vec<String> =
        CASES.iter().flat_map(|(kind, count)| (1..=*count).map(move |number| format!("{kind}{number}"))).collect();
    assert_eq!(rows.iter().map(|[id, ..]| *id).collect::<Vec<_>>(), expected);
    let sources = files(&["src", "crates", "tests"], "rs");
    let mut findings = Vec::new();
    for [id, _, tests] in rows {
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if names.is_empty() && !REASONS.iter().any(|reason| tests.starts_with(reason)) {
            findings.push(format!("{id} has neither a test nor a reason"));
        }
        for name in names {
            let definition = format!("fn {name}(");
            if !sources.iter().any(|source| source.text.contains(&definition)) {
                findings.push(format!("{id}: there is no test `{name}`"));
            }
        }
    }
    super::assert_none(&findings, "Name the test that shows the case, or say why there is none.");
}

/// The cells of a row of the table; `None` for its head and for any other line.
fn row(line: &str) -> Option<[&str; 3]> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.trim_end_matches('|').split(" | ").map(str::trim).collect();
    let is_id = |id: &str| CASES.iter().any(|(kind, _)| id.starts_with(kind));
    <[&str; 3]>::try_from(cells).ok().filter(|[id, ..]| is_id(id))
}
