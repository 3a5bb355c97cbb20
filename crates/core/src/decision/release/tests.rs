//! Guards of services.

use super::*;
use crate::decision::snapshot::Tree;
use crate::failure::Code;
use crate::query::Keys;
use crate::release::coverage::Within;
use crate::release::{Coverage, EntityCoverage};

const CATALOG: &str = "
services:
  - {id: shop/orders, groups: [guarded]}
  - {id: shop/pages, routes: [{name: home, match: /, groups: [pages]}]}
  - {id: pay/billing}
  - id: agents/tickets
    protocol: mcp
    mcp: {versions: ['2025-06-18'], lists: unfiltered}
    tools: {read: {groups: [readers]}, write: {}}
";
const PERMIT: &str = r#"@id("release") permit (principal, action == Action::"release", resource);"#;

fn snapshot(files: &[(&str, &str)]) -> Arc<Snapshot> {
    let all = [("catalog.yaml", CATALOG)].into_iter().chain(files.iter().copied());
    let files: std::collections::BTreeMap<String, Arc<str>> =
        all.map(|(path, text)| (path.to_owned(), Arc::from(text))).collect();
    let folders = files.keys().filter_map(|path| path.rsplit_once('/')).map(|(folder, _)| folder.to_owned()).collect();
    let loaded = Snapshot::load(&Tree { files, folders }, None);
    assert!(loaded.snapshot.is_some(), "{:?}", loaded.problems);
    loaded.snapshot.unwrap()
}

fn of(policies: &str, service: &str) -> ReleaseGuard {
    guard(&snapshot(&[("mesh/a.cedar", policies)]), service).unwrap()
}

fn forbid(scope: &str, condition: &str) -> String {
    format!("{PERMIT}\n@id(\"x\") forbid (principal, {scope}) when {{ {condition} }};")
}

#[test]
fn a_service_is_open_with_a_permit_for_all_and_no_forbid() {
    for (policies, expected) in [
        (PERMIT, true),
        (r#"@id("a") permit (principal, action, resource);"#, true),
        (r#"@id("a") permit (principal, action == Action::"release", resource in Namespace::"shop");"#, true),
        (r#"@id("a") permit (principal, action == Action::"release", resource) when { true };"#, true),
        ("", false),
        (r#"@id("a") permit (principal, action in Action::"any", resource);"#, false),
        (r#"@id("a") permit (principal is Workload, action == Action::"release", resource);"#, false),
        (r#"@id("a") permit (principal, action == Action::"release", resource in Namespace::"pay");"#, false),
        (r#"@id("a") permit (principal, action == Action::"release", resource in Group::"guarded");"#, false),
        (r#"@id("a") permit (principal, action == Action::"release", resource) when { context.inspected };"#, false),
        (&forbid(r#"action == Action::"release", resource"#, "!context.inspected"), false),
        (&forbid("action, resource in Service::\"shop/orders\"", "principal is Unauthenticated"), false),
        (&forbid(r#"action == Action::"release", resource in Service::"pay/billing""#, "!context.inspected"), true),
        (&forbid(r#"action in Action::"any", resource"#, "principal is Unauthenticated"), true),
        (&forbid(r#"action == Action::"GET", resource is Path"#, "principal is Unauthenticated"), true),
    ] {
        assert_eq!(of(policies, "shop/orders").is_open(), expected, "{policies}");
    }
}

#[test]
fn policies_of_a_namespace_count_for_its_services_only() {
    let files = [("mesh/a.cedar", ""), ("namespaces/shop/a.cedar", PERMIT)];
    let snapshot = snapshot(&files);
    assert!(guard(&snapshot, "shop/orders").unwrap().is_open());
    assert!(!guard(&snapshot, "pay/billing").unwrap().permits);
}

#[test]
fn a_namespace_that_never_loaded_has_no_guard() {
    let snapshot = snapshot(&[("mesh/a.cedar", PERMIT), ("namespaces/shop/a.cedar", "nonsense")]);
    assert_eq!(guard(&snapshot, "shop/orders").map_err(|failure| failure.code), Err(Code::BundleInvalid));
    assert!(guard(&snapshot, "pay/billing").unwrap().is_open());
}

#[test]
fn a_policy_in_shadow_mode_does_not_guard() {
    let forbid = r#"@id("x") forbid (principal, action == Action::"release", resource) when { !context.inspected };"#;
    let files = [("mesh/a.cedar", PERMIT), ("mesh/b.cedar", forbid)];
    assert!(!guard(&snapshot(&files), "shop/orders").unwrap().is_open());
    let shadow = [("manifest.yaml", "modes: {mesh/b.cedar: shadow}"), files[0], files[1]];
    assert!(guard(&snapshot(&shadow), "shop/orders").unwrap().is_open());
}

#[test]
fn a_guard_says_what_its_policies_read() {
    let guard = of(
        &forbid(
            r#"action == Action::"release", resource in Group::"guarded""#,
            r#"principal in Group::"readers" && principal has token.acr && principal.token.acr == "low"
               && context.env has sourceIp && context.env.sourceIp.isLoopback() && context.found.contains("card")"#,
        ),
        "shop/orders",
    );
    let group = |name: &str| Within::These([Uid::new("Group", name)].into());
    let parts = |paths: &[&[&str]], within| EntityCoverage::Parts {
        paths: paths.iter().map(|path| path.iter().map(|step| (*step).into()).collect()).collect(),
        within,
    };
    let coverage = Coverage {
        principal: parts(&[&["token", "acr"]], group("readers")),
        resource: parts(&[], group("guarded")),
        env: ["sourceIp".into()].into(),
    };
    assert_eq!(guard.coverage, coverage);
    assert!(guard.reads_body && guard.refuses_unread && guard.reads.source_ip);
    let guard = of(
        &forbid(
            r#"action == Action::"release", resource"#,
            "context.env == context.env || principal == resource || !context.inspected",
        ),
        "shop/orders",
    );
    assert_eq!(guard.coverage.env, ["facts".into(), "sourceIp".into()].into());
    assert_eq!(guard.reads.call_facts, Keys::All);
    assert!(guard.reads_body && !guard.refuses_unread);
    let masked = format!(
        "{PERMIT} @id(\"m\") @remedy(\"mask\") @mask(\"card,iban\") forbid (principal, action == Action::\"release\", resource);"
    );
    assert_eq!(of(&masked, "shop/orders").masks, [["card".into(), "iban".into()].into()].into());
}

#[test]
fn lists_need_what_policies_about_requests_read_of_the_caller() {
    let condition = r#"principal has token && principal.token has acr && principal.token.acr == "low""#;
    let policies = format!(
        r#"@id("a") permit (principal in Group::"guarded", action == Action::"mcp.tools.call", resource);
        @id("b") forbid (principal, action in Action::"any", resource in Service::"agents/tickets") when {{ {condition} }};
        @id("c") forbid (principal in Group::"pages", action, resource in Service::"shop/orders");
        @id("d") forbid (principal in Group::"readers", action == Action::"release", resource);"#
    );
    let snapshot = snapshot(&[("mesh/a.cedar", &policies)]);
    let path = |path: &[&str]| path.iter().map(|step| (*step).into()).collect::<Vec<_>>();
    let parts = |paths: &[&[&str]], groups: &[&str]| EntityCoverage::Parts {
        paths: paths.iter().map(|steps| path(steps)).collect(),
        within: Within::These(groups.iter().map(|group| Uid::new("Group", *group)).collect()),
    };
    let of = |service| list_coverage(&snapshot, service).unwrap();
    // Whether there is a token decides whether a login could help.
    assert_eq!(of("agents/tickets"), parts(&[&["token"], &["token", "acr"], &["token", "kind"]], &["guarded"]));
    assert_eq!(of("shop/orders"), parts(&[&["token", "kind"]], &["guarded", "pages"]));
}

#[test]
fn not_everything_is_released_where_lists_are_filtered() {
    let filtered = CATALOG.replace(", lists: unfiltered", "");
    for (catalog, expected) in [(CATALOG, true), (&filtered, false)] {
        let tree = [("mesh/a.cedar", PERMIT), ("catalog.yaml", catalog)];
        assert_eq!(snapshot(&tree).releases().is_everything, expected, "{catalog}");
    }
}

#[test]
fn an_unread_body_is_refused_unless_the_unit_with_the_forbid_tests_for_it() {
    const FOUND: &str = r#"@id("f") forbid (principal, action == Action::"release", resource)
        when { context.found.contains("card") };"#;
    const UNREAD: &str = r#"@id("u") forbid (principal, action == Action::"release", resource in Service::"shop/orders")
        unless { context.inspected };"#;
    const STATUS: &str = r#"@id("s") forbid (principal, action == Action::"release", resource)
        when { context.status == 500 };"#;
    let both = format!("{FOUND}{UNREAD}");
    for (mesh, shop, reads_body, refuses_unread) in [
        (PERMIT, STATUS, false, false),
        (PERMIT, FOUND, true, true),
        (FOUND, UNREAD, true, true),
        (&both, "", true, false),
        ("", &both, true, false),
        (&both, FOUND, true, true),
        (PERMIT, UNREAD, true, false),
    ] {
        let snapshot = snapshot(&[("mesh/a.cedar", mesh), ("namespaces/shop/a.cedar", shop)]);
        let found = guard(&snapshot, "shop/orders").unwrap();
        assert_eq!((found.reads_body, found.refuses_unread), (reads_body, refuses_unread), "{mesh} {shop}");
    }
}

#[test]
fn all_services_are_open_only_without_any_forbid() {
    let forbid = r#"@id("x") forbid (principal, action == Action::"release", resource) when { !context.inspected };"#;
    for (mesh, shop, expected) in [
        (PERMIT, "", true),
        (PERMIT, PERMIT, true),
        (PERMIT, forbid, false),
        (forbid, PERMIT, false),
        ("", PERMIT, false),
        ("", "", false),
        (PERMIT, "nonsense", false),
    ] {
        let snapshot = snapshot(&[("mesh/a.cedar", mesh), ("namespaces/shop/a.cedar", shop)]);
        assert_eq!(snapshot.releases().is_everything, expected, "{mesh} {shop}");
    }
}

#[test]
fn a_guard_changes_with_the_text_of_its_policies_and_with_nothing_else() {
    let policies = |mesh: &str, shop: &str, pay: &str| {
        let files = [("mesh/a.cedar", mesh), ("namespaces/shop/a.cedar", shop), ("namespaces/pay/a.cedar", pay)];
        guard(&snapshot(&files), "shop/orders").unwrap().policies
    };
    let forbid = |name: &str| {
        format!(
            "@id(\"x\") forbid (principal, action == Action::\"release\", resource) when {{ context.found.contains(\"{name}\") }};"
        )
    };
    let (card, iban) = (forbid("card"), forbid("iban"));
    let before = policies(PERMIT, &card, "");
    assert_eq!(policies(&format!("// moved\n{PERMIT}"), &card, &iban), before);
    assert_ne!(policies(PERMIT, &iban, ""), before);
    assert_ne!(policies(&format!("{PERMIT}{card}"), "", ""), before);
    assert!(policies(PERMIT, "", "").is_subset(&before) && !before.is_subset(&policies(PERMIT, "", "")));
}

#[test]
fn a_policy_below_the_service_is_noticed_for_that_service() {
    for (scope, service, expected) in [
        ("resource", "agents/tickets", false),
        (r#"resource in Service::"agents/tickets""#, "agents/tickets", false),
        (r#"resource in Namespace::"agents""#, "agents/tickets", false),
        (r#"resource in McpServer::"agents/tickets""#, "agents/tickets", false),
        (r#"resource in Tool::"agents/tickets/read""#, "agents/tickets", true),
        (r#"resource in Tool::"agents/tickets/read""#, "shop/orders", false),
        (r#"resource in Path::"shop/pages/admin""#, "shop/pages", true),
        (r#"resource in Route::"shop/pages/home""#, "shop/pages", true),
        (r#"resource in Group::"guarded""#, "shop/orders", false),
        (r#"resource in Group::"guarded""#, "agents/tickets", false),
        (r#"resource in Group::"readers""#, "agents/tickets", true),
        (r#"resource in Group::"readers""#, "shop/orders", false),
        (r#"resource in Group::"pages""#, "shop/pages", true),
    ] {
        let scoped = forbid(&format!(r#"action == Action::"release", {scope}"#), "!context.inspected");
        let tested = forbid(r#"action == Action::"release", resource"#, scope);
        let policies = [scoped, tested].into_iter().filter(|text| !text.contains("{ resource }"));
        for policies in policies {
            let snapshot = snapshot(&[("mesh/a.cedar", &policies)]);
            let found = guard(&snapshot, service).unwrap();
            assert_eq!(is_scoped_below(&found, &snapshot, service), expected, "{service}: {policies}");
        }
    }
    let by_task = forbid(
        r#"action == Action::"release", resource"#,
        "!(principal is Workload && principal has task && resource in principal.task.tools)",
    );
    let snapshot = snapshot(&[("mesh/a.cedar", &by_task)]);
    assert!(is_scoped_below(&guard(&snapshot, "shop/orders").unwrap(), &snapshot, "shop/orders"));
}

#[test]
fn policies_in_shadow_mode_are_part_only_of_the_guard_that_would_be() {
    let shadow = r#"@id("x") @remedy("mask") @mask("card")
forbid (principal, action == Action::"release", resource in Service::"shop/orders") when { context.found.contains("card") };"#;
    let modes = ("manifest.yaml", "modes: {mesh/s.cedar: shadow}");
    let snapshot = snapshot(&[("mesh/a.cedar", PERMIT), ("mesh/s.cedar", shadow), modes]);
    assert!(snapshot.releases().is_everything && snapshot.releases().is_watched);
    let enforced = guard(&snapshot, "shop/orders").unwrap();
    assert!(enforced.is_open() && enforced.masks.is_empty() && !enforced.reads_body);
    let would_be = would_be_guard(&snapshot, "shop/orders").unwrap().unwrap();
    assert!(would_be.reads_body && would_be.refuses_unread && would_be.permits_all && would_be.masks.len() == 1);
    assert_eq!(would_be_guard(&snapshot, "shop/pages").unwrap(), None, "no policy in shadow mode is about it");
}

#[test]
fn a_bridge_is_no_part_of_the_guard_that_would_be() {
    let bridge = r#"@id("b") @owner("o") @bridge permit (principal, action == Action::"release", resource);"#;
    let snapshot = snapshot(&[("mesh/a.cedar", bridge)]);
    assert!(guard(&snapshot, "shop/pages").unwrap().is_open());
    let would_be = would_be_guard(&snapshot, "shop/pages").unwrap().unwrap();
    assert!(!would_be.permits && !would_be.is_open());
}
