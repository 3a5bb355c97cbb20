use super::*;

/// A tree of empty files; a path that ends in `/` is a folder.
fn tree(paths: &[&str]) -> Tree {
    let mut tree = Tree::default();
    for path in paths {
        match path.split_once(" = ") {
            Some((path, text)) => drop(tree.files.insert(path.to_owned(), text.into())),
            None if path.ends_with('/') => drop(tree.folders.insert(path.trim_end_matches('/').to_owned())),
            None => drop(tree.files.insert((*path).to_owned(), "".into())),
        }
        if let Some((folder, _)) = path.rsplit_once('/')
            && !folder.contains(" = ")
        {
            tree.folders.insert(folder.to_owned());
        }
    }
    tree
}

fn reading(paths: &[&str]) -> Reading {
    Reading { tree: tree(paths), ..Reading::default() }
}

fn refused(paths: &[&str], in_force: &[&str]) -> Vec<String> {
    settle(reading(paths), Some(&tree(in_force))).unwrap().refused.into_keys().collect()
}

const FULL: [&str; 6] = [
    "catalog.yaml = 1",
    "facts.cedarschema",
    "entities.json",
    "detectors.yaml",
    "mesh/a.cedar = 1",
    "namespaces/shop/a.cedar = 1",
];

#[test]
fn a_missing_part_is_rejected_unless_the_manifest_allows_it() {
    let rows: [(&str, &[&str], &[&str]); 10] = [
        ("nothing changed", &FULL, &[]),
        (
            "catalogue",
            &["facts.cedarschema", "entities.json", "detectors.yaml", "mesh/", "namespaces/shop/"],
            &["mesh"],
        ),
        ("facts", &["catalog.yaml", "entities.json", "detectors.yaml", "mesh/", "namespaces/shop/"], &["mesh"]),
        ("entities", &["catalog.yaml", "facts.cedarschema", "detectors.yaml", "mesh/", "namespaces/shop/"], &["mesh"]),
        ("detectors", &["catalog.yaml", "facts.cedarschema", "entities.json", "mesh/", "namespaces/shop/"], &["mesh"]),
        (
            "mesh",
            &["catalog.yaml", "facts.cedarschema", "entities.json", "detectors.yaml", "namespaces/shop/"],
            &["mesh"],
        ),
        ("namespace", &["catalog.yaml", "facts.cedarschema", "entities.json", "detectors.yaml", "mesh/"], &["shop"]),
        ("everything", &[], &["mesh", "shop"]),
        (
            "emptied folders",
            &["catalog.yaml", "facts.cedarschema", "entities.json", "detectors.yaml", "mesh/", "namespaces/shop/"],
            &[],
        ),
        (
            "declared absent",
            &[
                "manifest.yaml = parts: {mesh: absent, catalog: absent, facts: absent, entities: absent, detectors: absent, namespaces: []}",
            ],
            &[],
        ),
    ];
    for (name, paths, expected) in rows {
        assert_eq!(refused(paths, &FULL), expected, "{name}");
    }
}

#[test]
fn a_tree_that_contradicts_its_manifest_is_refused() {
    let rows: [(&str, &[&str], &[&str]); 8] = [
        ("present but missing", &["manifest.yaml = parts: {entities: present}"], &["mesh"]),
        ("absent but here", &["manifest.yaml = parts: {entities: absent}", "entities.json"], &["mesh"]),
        ("no detectors", &["manifest.yaml = parts: {detectors: present}"], &["mesh"]),
        ("listed but missing", &["manifest.yaml = parts: {namespaces: [web]}"], &["web"]),
        ("here but unlisted", &["manifest.yaml = parts: {namespaces: []}", "namespaces/web/"], &["web"]),
        ("unknown part", &["manifest.yaml = parts: {meshes: present}"], &["mesh"]),
        ("other keys are not ours", &["manifest.yaml = modes: {mesh/a.cedar: shadow}"], &[]),
        ("no YAML", &["manifest.yaml = parts: {"], &["mesh"]),
    ];
    for (name, paths, expected) in rows {
        assert_eq!(refused(paths, &[]), expected, "{name}");
    }
}

#[test]
fn a_manifest_that_vanished_is_refused_because_shadow_permits_would_be_enforced() {
    assert_eq!(refused(&["mesh/"], &["mesh/", "manifest.yaml = modes: {mesh/a.cedar: shadow}"]), ["mesh"]);
}

#[test]
fn a_refused_platform_keeps_all_its_files_while_namespaces_move_on() {
    let in_force = tree(&FULL);
    let settled = settle(reading(&["mesh/a.cedar = 2", "namespaces/shop/a.cedar = 2"]), Some(&in_force)).unwrap();
    assert_eq!(&*settled.tree.files["mesh/a.cedar"], "1");
    assert_eq!(&*settled.tree.files["catalog.yaml"], "1");
    assert_eq!(&*settled.tree.files["namespaces/shop/a.cedar"], "2");
}

#[test]
fn a_vanished_namespace_keeps_its_files_and_is_reported() {
    let in_force = tree(&FULL);
    let rest = ["catalog.yaml = 1", "facts.cedarschema", "entities.json", "detectors.yaml", "mesh/a.cedar = 1"];
    let settled = settle(reading(&rest), Some(&in_force)).unwrap();
    assert_eq!(settled.tree, in_force);
    assert_eq!(settled.problems.len(), 1);
}

#[test]
fn a_namespace_without_a_version_to_keep_gets_a_stand_in_that_cannot_load() {
    let mut reading = reading(&["mesh/"]);
    reading.withheld.insert("shop".to_owned(), vec![Problem::error("namespaces/shop/x", "bad")]);
    let settled = settle(reading, None).unwrap();
    assert_eq!(settled.stand_ins, BTreeSet::from(["namespaces/shop/refused.cedar".to_owned()]));
    for (path, text) in &settled.tree.files {
        assert!(text.parse::<cedar_policy::PolicySet>().is_err(), "{path} must not parse");
    }
}

#[test]
fn a_namespace_that_never_loaded_cannot_vanish_unnoticed_either() {
    let new = tree(&["mesh/", "namespaces/shop/a.cedar = bad"]);
    let in_force = accepted(&new, None, &BTreeSet::from(["shop".to_owned()]));
    let settled = settle(reading(&["mesh/"]), Some(&in_force)).unwrap();
    assert!(settled.refused.contains_key("shop"));
    assert!(settled.stand_ins.contains("namespaces/shop/refused.cedar"));
}

#[test]
fn a_bad_platform_without_a_version_to_keep_is_an_error_that_names_everything() {
    let mut reading = reading(&[]);
    reading.withheld.insert(PLATFORM.to_owned(), vec![Problem::error("stray", "bad")]);
    reading.withheld.insert("shop".to_owned(), vec![Problem::error("namespaces/shop/x", "bad")]);
    assert_eq!(settle(reading, None).unwrap_err().len(), 2);
}

#[test]
fn an_accepted_tree_has_the_old_files_of_rejected_units() {
    let old = tree(&["mesh/a.cedar = 1", "namespaces/shop/a.cedar = 1", "namespaces/web/a.cedar = 1"]);
    let new = tree(&["mesh/a.cedar = 2", "namespaces/shop/b.cedar = 2", "namespaces/web/a.cedar = 2"]);
    let tree = accepted(&new, Some(&old), &BTreeSet::from(["shop".to_owned()]));
    let files: Vec<(&str, &str)> = tree.files.iter().map(|(path, text)| (path.as_str(), &**text)).collect();
    assert_eq!(files, [("mesh/a.cedar", "2"), ("namespaces/shop/a.cedar", "1"), ("namespaces/web/a.cedar", "2")]);
}
