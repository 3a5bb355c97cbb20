//! `picket validate`.

use expect_test::expect;

use super::{picket, picket_in, tree};

#[test]
fn the_shipped_policies_have_no_error_and_no_warning() {
    let run = picket(&["validate", "policies", "--deny-warnings"]).ends_with(0);
    // The probes' path is meant for every service, so no single path can stand in their scope.
    expect![[r#"
        note: mesh/probes.cedar:4: policy `mesh/health-probes` is evaluated for every call that its action names: it tests `context.http.path == "/healthz"` in its condition, where no index finds it
          help: narrow its scope to `resource == Path::"<namespace>/<service>/healthz"`, or add the routes to a group of the catalogue and write `resource in Group::"…"`
        note: mesh/probes.cedar:4: permit `mesh/health-probes` of the mesh applies to every namespace
        note: mesh/probes.cedar:10: permit `mesh/cors-preflight` of the mesh applies to every namespace
        note: mesh/release.cedar:3: permit `mesh/release` of the mesh applies to every namespace
        4 units, 22 policies, 0 errors, 0 warnings
    "#]]
    .assert_eq(&run.stdout);
}

#[test]
fn a_bad_tree_shows_every_problem_with_its_lines() {
    let bad = tree(&[
        ("mesh/a.cedar", "@id(\"a\")\nforbid (principal, action == Action::\"GETT\", resource);\n"),
        (
            "namespaces/shop/b.cedar",
            "permit (principal, action == Action::\"GET\", resource in Service::\"shop/order\");\n",
        ),
        ("namespaces/pay/c.cedar", "permit (principal, action\n"),
    ]);
    let run = picket_in(bad.path(), &["validate", "."], "").ends_with(3);
    expect![[r#"
          × policy `a`: unable to find an applicable action given the policy scope constraints
           ╭─[mesh/a.cedar:1:1]
         1 │ ╭─▶ @id("a")
         2 │ ╰─▶ forbid (principal, action == Action::"GETT", resource);
           ╰────
          × policy `a`: policy is impossible: the policy expression evaluates to false for all valid requests
           ╭─[mesh/a.cedar:1:1]
         1 │ ╭─▶ @id("a")
         2 │ ╰─▶ forbid (principal, action == Action::"GETT", resource);
           ╰────
          × policy `a`: unrecognized action `Action::"GETT"`
           ╭─[mesh/a.cedar:2:30]
         1 │ @id("a")
         2 │ forbid (principal, action == Action::"GETT", resource);
           ·                              ──────────────
           ╰────
          help: did you mean `Action::"GET"`?
          × unexpected end of input
           ╭─[namespaces/pay/c.cedar:1:26]
         1 │ permit (principal, action
           ·                          ▲
           ╰────
          × unknown service `shop/order`; did you mean `shop/orders`?
           ╭─[namespaces/shop/b.cedar:1:67]
         1 │ permit (principal, action == Action::"GET", resource in Service::"shop/order");
           ·                                                                   ──────────
           ╰────
        3 units, 0 policies, 5 errors, 0 warnings
    "#]]
    .assert_eq(&run.stdout);
}

#[test]
fn programs_get_file_line_and_column() {
    let bad =
        tree(&[("namespaces/shop/b.cedar", "\n  @what permit (principal, action == Action::\"GET\", resource);\n")]);
    let run = picket_in(bad.path(), &["validate", ".", "-o", "json"], "").ends_with(3);
    let problem = &run.json()["problems"][0];
    assert_eq!(problem["file"], "namespaces/shop/b.cedar");
    assert_eq!((&problem["line"], &problem["column"]), (&2.into(), &3.into()));
    assert_eq!(problem["severity"], "error");
    assert!(!run.stdout.contains('\u{1b}'));
}

#[test]
fn warnings_pass_unless_they_are_denied() {
    let warned =
        tree(&[("mesh/a.cedar", "@id(\"a\")\nforbid (principal is Workload, action == Action::\"GET\", resource);\n")]);
    let run = picket_in(warned.path(), &["validate", "."], "").ends_with(0);
    assert!(run.stdout.ends_with("1 unit, 1 policy, 0 errors, 1 warning\n"), "{}", run.stdout);
    picket_in(warned.path(), &["validate", ".", "--deny-warnings"], "").ends_with(3);
}

#[test]
fn the_kind_of_each_detector_of_the_file_is_shown() {
    let file = r"
detectors:
  incident: {pattern: 'INC-\d{4}-\d{5}'}
  host:     {pattern: '[a-z0-9-]+\.corp\.example'}
  bearer:   {pattern: 'hvs\.[A-Za-z0-9]{8,}'}
";
    let run = picket_in(tree(&[("detectors.yaml", file)]).path(), &["validate", "."], "").ends_with(0);
    expect![[r#"
        note: detectors.yaml:3: detector `incident`: bounded, at most 41 bytes
        note: detectors.yaml:4: detector `host`: run
        note: detectors.yaml:5: detector `bearer`: open-ended after at most 12 bytes
        1 unit, 0 policies, 0 errors, 0 warnings
    "#]]
    .assert_eq(&run.stdout);
    let wrong = tree(&[("detectors.yaml", "detectors: {incident: {patern: x}}")]);
    let run = picket_in(wrong.path(), &["validate", "."], "").ends_with(3);
    assert!(run.stdout.contains("detectors.yaml:1:24"), "{}", run.stdout);
}

#[test]
fn a_bridge_is_listed() {
    let bridge = tree(&[(
        "mesh/a.cedar",
        "@id(\"a\") @bridge permit (principal, action in Action::\"any\", resource in Namespace::\"shop\");\n",
    )]);
    let run = picket_in(bridge.path(), &["validate", "."], "").ends_with(0);
    assert!(run.stdout.contains("permit `mesh/a` of the mesh is a bridge"), "{}", run.stdout);
}

#[test]
fn a_configuration_is_checked_against_the_catalogue() {
    let good = tree(&[("picket.yaml", "policies: {dir: policies}\n")]);
    let own = tree(&[]);
    let config = own.path().join("picket.yaml");
    std::fs::write(&config, "profiles:\n  default:\n    mapping: {service: [fixed: shop/order]}\n").unwrap();
    let dir = own.path().join("policies");
    std::fs::create_dir(&dir).unwrap();
    std::fs::copy(good.path().join("catalog.yaml"), dir.join("catalog.yaml")).unwrap();
    let run = picket_in(own.path(), &["validate", "--config", "picket.yaml"], "").ends_with(3);
    assert!(run.stdout.contains("did you mean `shop/orders`?"), "{}", run.stdout);
    std::fs::write(&config, "listners: []\n").unwrap();
    let run = picket_in(own.path(), &["validate", "--config", "picket.yaml"], "").ends_with(3);
    assert!(run.stdout.contains("unknown key `listners`") && run.stdout.contains("1 │ listners"), "{}", run.stdout);
}

#[test]
fn a_policy_that_nests_without_brackets_is_refused_and_ends_no_process() {
    let chain = |tests: usize| {
        let all = vec!["true"; tests].join(" && ");
        format!("@id(\"a\") permit (principal, action in Action::\"read\", resource) when {{ {all} }};\n")
    };
    // A clause counts as one.
    for (tests, code) in [(256, 0), (257, 3), (1_700, 3)] {
        let dir = tree(&[("namespaces/shop/a.cedar", &chain(tests))]);
        let run = picket_in(dir.path(), &["validate", "."], "").ends_with(code);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(code == 3, said.contains("a policy has more than 256 operators and clauses"), "{tests}: {said}");
    }
}
