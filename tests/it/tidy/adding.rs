//! The table of docs/adding.md: every row is whole, and what it names exists.

use std::process::Command;

use super::{assert_none, root};

fn page() -> String {
    std::fs::read_to_string(root().join("docs/adding.md")).unwrap()
}

/// Cells of every row, without the heads of the tables.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = lines.map(|line| line.split(" | ").map(str::trim).collect::<Vec<_>>());
    rows.filter(|cells| cells[0] != "what you add").collect()
}

/// Texts between backticks that name an item: `src/file.rs::Name`, as path and name.
fn items(text: &str) -> Vec<(&str, &str)> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|quoted| quoted.split_once(".rs::").map(|_| quoted))
        .map(split)
        .collect()
}

fn split(item: &str) -> (&str, &str) {
    item.split_once("::").unwrap()
}

/// Returns whether a source file defines an item of this name, in any way.
fn defines(text: &str, name: &str) -> bool {
    ["enum", "struct", "trait", "fn", "const", "static", "type"].iter().any(|keyword| {
        let definition = format!("{keyword} {name}");
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        text.match_indices(&definition).any(|(at, found)| ends(&text[at + found.len()..]))
    })
}

#[test]
fn every_row_has_its_cells_and_a_file_to_open() {
    let page = page();
    let rows = rows(&page);
    assert!(rows.len() > 30, "{} rows: the test looks in the wrong place", rows.len());
    let mut findings = Vec::new();
    for cells in &rows {
        let is_commit = |text: &str| text.len() == 7 && text.chars().all(|c| c.is_ascii_hexdigit());
        if cells.len() != 5 {
            findings.push(format!("{}: {} cells, not 5", cells[0], cells.len()));
        } else if !(cells[1].starts_with('`') || cells[1] == "nothing") || !is_commit(cells[4]) {
            findings.push(format!("{}: no file to open first, or no commit as an example", cells[0]));
        }
    }
    assert_none(&findings, "Complete the row in docs/adding.md.");
}

#[test]
fn every_item_that_a_page_names_is_defined_in_its_file() {
    let mut findings = Vec::new();
    for name in ["adding.md", "ARCHITECTURE.md"] {
        let page = std::fs::read_to_string(root().join("docs").join(name)).unwrap();
        let items = items(&page);
        assert!(items.len() > 4, "{name} names no items: the test looks in the wrong place");
        for (path, item) in items {
            // Another test checks that all paths exist.
            let text = std::fs::read_to_string(root().join(path)).unwrap_or_default();
            if !defines(&text, item) {
                findings.push(format!("{name}: `{path}` defines no `{item}`"));
            }
        }
    }
    assert_none(&findings, "Correct the docs with the code.");
}

#[test]
fn every_example_is_a_commit() {
    let git = |arguments: &[&str]| Command::new("git").args(arguments).current_dir(root()).output();
    // Only a whole clone has all commits.
    let is_whole = git(&["rev-parse", "--is-shallow-repository"]).is_ok_and(|found| found.stdout == b"false\n");
    if !is_whole {
        return;
    }
    let page = page();
    let mut findings = Vec::new();
    for cells in rows(&page) {
        let commit = cells.last().unwrap();
        if !git(&["cat-file", "-e", &format!("{commit}^{{commit}}")]).unwrap().status.success() {
            findings.push(format!("{}: there is no commit {commit}", cells[0]));
        }
    }
    assert_none(&findings, "Name a commit of this repository.");
}

#[test]
fn items_and_definitions_are_found() {
    assert_eq!(items("`src/a.rs::B`, `src/c.rs` and `D::e`"), [("src/a.rs", "B")]);
    assert!(defines("pub enum Kind {", "Kind") && defines("    fn kind<T>(", "kind"));
    assert!(!defines("pub enum Kinds {", "Kind") && !defines("use a::Kind;", "Kind"));
    assert_eq!(rows("| what you add | b |\n|---|---|\n| c | `d` |"), [["c", "`d`"]]);
}
