//! The trees of `policies/library`: each is valid without a warning, and passes its own suites.
//!
//! Every folder there is a tree; who adds one adds nothing here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn trees() -> Vec<PathBuf> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/library");
    let entries = std::fs::read_dir(library).unwrap().map(|entry| entry.unwrap().path());
    let mut trees: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    trees.sort();
    assert!(trees.len() >= 3, "the library has lost trees: {trees:?}");
    trees
}

fn picket(arguments: &[&str], tree: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picket"));
    command.args(arguments).arg(tree).env_clear().env("NO_COLOR", "1").output().unwrap()
}

#[test]
fn every_tree_is_valid_without_a_warning() {
    for tree in trees() {
        let run = picket(&["validate", "--deny-warnings"], &tree);
        assert!(run.status.success(), "{}:\n{}", tree.display(), String::from_utf8_lossy(&run.stdout));
    }
}

#[test]
fn every_tree_passes_its_own_suites() {
    for tree in trees() {
        // Another exit code means a failing test, or no test at all.
        let run = picket(&["test", "-o", "json", "--policies"], &tree);
        let (said, complained) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        let report: Value = serde_json::from_str(&said).unwrap_or_default();
        let failed: Vec<_> =
            report["tests"].as_array().into_iter().flatten().filter(|test| test["result"] == "failed").collect();
        assert!(run.status.success(), "{}: {complained}{failed:#?}", tree.display());
        assert_eq!(report["skipped"], 0, "{}: a test that is not run proves nothing", tree.display());
    }
}

/// How often each tool is called by the suites of the argument rules: calls that must pass, calls that must not.
fn calls_by_tool() -> BTreeMap<String, [usize; 2]> {
    let suites = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/library/arguments/tests");
    let mut calls: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for suite in std::fs::read_dir(suites).unwrap() {
        let text = std::fs::read_to_string(suite.unwrap().path()).unwrap();
        let suite: Value = serde_saphyr::from_str(&text).unwrap();
        for test in suite["tests"].as_array().unwrap() {
            let Some(tool) = test["mcp"]["tool"].as_str() else { continue };
            let count = calls.entry(tool.to_owned()).or_default();
            let arguments = test["matrix"]["arguments"].as_array().map_or(1, Vec::len);
            let passes = test["expect_allow"] == json!([{}]) || test["expect"]["decision"] == "allow";
            // Where only some of a matrix pass, the others are many more than those; none of them is counted.
            if passes || test["expect_allow"].is_null() {
                count[usize::from(!passes)] += arguments;
            }
        }
    }
    calls
}

#[test]
fn every_tool_under_an_argument_rule_has_five_calls_that_pass_and_five_that_do_not() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/library/arguments/catalog.yaml"));
    let catalog: Value = serde_saphyr::from_str(&text.unwrap()).unwrap();
    let calls = calls_by_tool();
    let tools = catalog["services"][0]["tools"].as_object().unwrap();
    assert_eq!(tools.len(), 16);
    for tool in tools.keys() {
        let [pass, fail] = calls[tool];
        assert!(pass >= 5 && fail >= 5, "{tool}: {pass} pass, {fail} do not");
    }
}

#[test]
fn the_loader_warns_of_a_forbid_that_leaves_out_the_parent() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = |parent: &str| {
        format!(
            "services: [{{id: web/a, routes: [{parent}{{name: admin, match: '/admin/{{rest...}}', groups: [admin]}}]}}]\n"
        )
    };
    let validated = |text: &str| {
        std::fs::write(folder.path().join("catalog.yaml"), text).unwrap();
        std::fs::create_dir_all(folder.path().join("mesh")).unwrap();
        let forbid = "forbid (principal, action in Action::\"any\", resource in Group::\"admin\");";
        std::fs::write(folder.path().join("mesh/a.cedar"), forbid).unwrap();
        picket(&["validate", "--deny-warnings"], folder.path())
    };
    let warned = validated(&catalog(""));
    let said = String::from_utf8_lossy(&warned.stdout).into_owned() + &String::from_utf8_lossy(&warned.stderr);
    assert!(!warned.status.success() && said.contains("applies below `/admin` of `web/a`"), "{said}");
    assert!(validated(&catalog("{name: home, match: /admin, groups: [admin]}, ")).status.success());
}
