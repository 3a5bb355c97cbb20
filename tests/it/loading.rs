//! The valid content of a tree, and the handling of an invalid one.

mod responses;

use crate::support::{call, frontend, judge, problems, show, snapshot, tree};
use std::sync::Arc;

use picket::decision::Snapshot;
use picket::decision::load::{Base, Late, Purpose, Stakes};

const PERMIT: &str = r#"@id("all") permit (principal, action in Action::"any", resource);"#;

#[track_caller]
fn refused(files: &[(&str, &str)], unit: &str, message: &str) {
    let loaded = Snapshot::load(&tree(files), None);
    let text = problems(&loaded);
    assert!(loaded.refused.iter().any(|name| name == unit), "`{unit}` was accepted: {text}");
    assert!(text.contains(message), "expected `{message}` in:\n{text}");
}

/// A policy of namespace `shop`, and its problem.
const REFUSED: &[(&str, &str)] = &[
    (
        r#"permit (principal, action == Action::"GET", resource in Service::"shop/order");"#,
        "did you mean `shop/orders`",
    ),
    (
        r#"permit (principal, action == Action::"GET", resource in Route::"shop/orders/get-orders");"#,
        "did you mean `get-order`",
    ),
    (r#"permit (principal in Group::"storefronts", action == Action::"GET", resource);"#, "did you mean `storefront`"),
    (r#"permit (principal in Namespace::"webb", action == Action::"GET", resource);"#, "did you mean `web`"),
    (r#"permit (principal == Workload::"web/frontend", action == Action::"GET", resource);"#, "is not a SPIFFE id"),
    (
        r#"permit (principal, action == Action::"GET", resource == Path::"shop/orders/v1/");"#,
        "every call has it as `/v1`",
    ),
    (r#"permit (principal, action == Action::"GET", resource == Path::"shop/orders/v1//x");"#, "no call has the path"),
    (r#"permit (principal, action == Action::"GET", resource == Path::"shop/orders");"#, "is written `shop/orders/`"),
    (
        r#"permit (principal, action == Action::"GET", resource in Service::"pay/billing");"#,
        "is outside namespace `shop`",
    ),
    (r#"permit (principal, action == Action::"GETT", resource);"#, "GETT"),
    (r#"permit (principal, action == Action::"GET", resource is Tool);"#, "unable to find an applicable action"),
    (
        r#"permit (principal, action in [Action::"GET", Action::"grpc.call"], resource is Path);"#,
        "action `grpc.call` of the list can never apply",
    ),
    (r#"permit (principal, action == Action::"GET", resource) when { context.nothing };"#, "nothing"),
    (
        r#"permit (principal, action == Action::"GET", resource) when { context.http.headers.hasTag("authorization") };"#,
        "carries a credential",
    ),
    (
        r#"permit (principal, action == Action::"GET", resource) when { context.http.headers.hasTag("x-envoy-external-address") };"#,
        "any caller can set header",
    ),
    (
        r#"permit (principal, action == Action::"GET", resource) when { context.http.headers.hasTag("X_Envoy-Peer") };"#,
        "any caller can set header",
    ),
    (
        r#"permit (principal, action == Action::"GET", resource) when { context.http.headers.hasTag("X-A") };"#,
        "write `x-a`",
    ),
    (r#"permit (principal == ?principal, action == Action::"GET", resource);"#, "is a template"),
    (r#"@remdy("step_up") forbid (principal, action == Action::"GET", resource);"#, "did you mean `@remedy`"),
    (r#"@remedy("step_up") forbid (principal, action == Action::"GET", resource);"#, "needs `@acr` or `@max_age`"),
    (r#"@remedy("mask") permit (principal, action == Action::"GET", resource);"#, "belongs on a forbid"),
    (r#"@set_headers("x-a=1") forbid (principal, action == Action::"GET", resource);"#, "belongs on a permit"),
    (r#"@set_headers("host=1") permit (principal, action == Action::"GET", resource);"#, "frames or addresses"),
    (
        r#"@set_headers("x-a=${principal.facts.team}") permit (principal, action == Action::"GET", resource);"#,
        "does not name a text",
    ),
    (
        r#"@set_headers("x-a=${principal.token}") permit (principal, action == Action::"GET", resource);"#,
        "does not name a text",
    ),
    (r#"@deny_status("200") forbid (principal, action == Action::"GET", resource);"#, "400 to 499"),
    (r#"@bridge permit (principal, action == Action::"GET", resource);"#, "permit of the mesh"),
    ("permit (principal, action", "unexpected end"),
];

#[test]
fn policies_that_would_silently_never_match_are_rejected() {
    for (policy, message) in REFUSED {
        refused(&[("namespaces/shop/a.cedar", policy)], "shop", message);
    }
    refused(
        &[("namespaces/shop/a.cedar", PERMIT), ("namespaces/shop/b.cedar", PERMIT)],
        "shop",
        "two policies have the id `shop/all`",
    );
    refused(&[("namespaces/shop/a.txt", "")], "shop", "only `*.cedar` files");
    refused(&[("namespaces/Shop/a.cedar", PERMIT)], "Shop", "is not a namespace");
    refused(&[("mesh/sub/a.cedar", PERMIT)], "mesh", "does not belong in a policy tree");
    refused(&[("schema.cedarschema", "entity A;")], "mesh", "differs from the types built into");
    refused(&[("facts.cedarschema", "type WorkloadFacts = {")], "mesh", "facts.cedarschema");
    refused(&[("manifest.yaml", "mode: {}")], "mesh", "manifest.yaml");
    refused(&[("manifest.yaml", "modes: {mesh/none.cedar: shadow}")], "mesh", "which does not exist");
}

#[test]
fn templates_of_optional_attributes_validate() {
    let policy = r#"@set_headers("x-a=${principal.facts.team}, x-b=${principal.token.subject}, x-c=${principal.token.roles}")
        permit (principal, action == Action::"GET", resource);"#;
    snapshot(&[("namespaces/shop/a.cedar", policy), ("facts.cedarschema", "type WorkloadFacts = { team: String };")]);
}

#[test]
fn all_problems_are_reported_at_once() {
    let files = [
        (
            "namespaces/shop/a.cedar",
            r#"permit (principal in Group::"x", action == Action::"GET", resource in Service::"shop/y");"#,
        ),
        ("namespaces/pay/b.cedar", r#"@what permit (principal, action == Action::"GET", resource);"#),
    ];
    let loaded = Snapshot::load(&tree(&files), None);
    assert_eq!(loaded.problems.len(), 3, "{}", problems(&loaded));
    assert_eq!(loaded.refused, ["pay", "shop"]);
    let span = loaded.problems[1].span.clone().unwrap();
    assert_eq!(&files[0].1[span], "x");
}

#[test]
fn an_open_catalogue_warns_instead() {
    let files = [
        ("namespaces/shop/a.cedar", r#"permit (principal, action == Action::"GET", resource in Service::"shop/new");"#),
        ("catalog.yaml", "catalog: {open: true}\nnamespaces: [shop]\n"),
    ];
    let loaded = Snapshot::load(&tree(&files), None);
    assert!(loaded.refused.is_empty(), "{}", problems(&loaded));
    assert!(problems(&loaded).starts_with("Warning"));
}

#[test]
fn a_bad_namespace_keeps_its_policies_and_does_not_stop_a_mesh_forbid() {
    let orders = call().service("shop/orders").0;
    let good = [("namespaces/shop/a.cedar", PERMIT)];
    let first = snapshot(&good);
    let bad = [
        ("namespaces/shop/a.cedar", "permit ("),
        (
            "mesh/stop.cedar",
            r#"@id("stop") forbid (principal, action in Action::"any", resource in Service::"pay/billing");"#,
        ),
        ("namespaces/pay/a.cedar", PERMIT),
    ];
    let second = Snapshot::load(&tree(&bad), Some(&first));
    assert_eq!(second.refused, ["shop"]);
    let second = second.snapshot.unwrap();
    assert_eq!(show(&judge(&second, &frontend(), &orders)), "allow policy_permit [shop/all]");
    assert_eq!(second.digests()["shop"], first.digests()["shop"]);
    let billing = call().service("pay/billing").0;
    assert_eq!(show(&judge(&second, &frontend(), &billing)), "deny policy_forbid [mesh/stop]");
    let fresh = Snapshot::load(&tree(&bad), None).snapshot.unwrap();
    assert_eq!(show(&judge(&fresh, &frontend(), &orders)), "error bundle_invalid");
}

#[test]
fn a_change_of_the_platform_denies_only_the_namespace_that_no_longer_fits() {
    let uses = r#"@id("t") permit (principal is Workload, action == Action::"GET", resource) when { principal has facts && principal.facts.team == "a" };"#;
    let facts = ("facts.cedarschema", "type WorkloadFacts = { team: String };");
    let first = snapshot(&[("namespaces/shop/a.cedar", uses), facts]);
    let without = [("namespaces/shop/a.cedar", uses), ("namespaces/pay/a.cedar", PERMIT)];
    let loaded = Snapshot::load(&tree(&without), Some(&first));
    assert_eq!(loaded.refused, ["shop"], "{}", problems(&loaded));
    assert!(problems(&loaded).contains("the active version of `shop` no longer fits"), "{}", problems(&loaded));
    let second = loaded.snapshot.unwrap();
    assert_ne!(second.digests()["mesh"], first.digests()["mesh"]);
    let (orders, billing) = (call().service("shop/orders").0, call().service("pay/billing").0);
    assert_eq!(show(&judge(&second, &frontend(), &orders)), "error bundle_invalid");
    assert_eq!(show(&judge(&second, &frontend(), &billing)), "allow policy_permit [pay/all]");
    // The names that it uses are back, and so is it.
    let back = Snapshot::load(&tree(&[without[0], without[1], facts]), Some(&second));
    assert!(back.refused.is_empty(), "{}", problems(&back));
    // One that never loaded does not block.
    let never = [("namespaces/shop/a.cedar", PERMIT), ("namespaces/pay/b.cedar", "permit (")];
    let third = Snapshot::load(&tree(&never), Some(&first));
    assert_eq!(third.refused, ["pay"], "{}", problems(&third));
}

#[test]
fn moving_a_forbid_to_shadow_is_reported() {
    let forbid = ("mesh/stop.cedar", r#"@id("stop") forbid (principal, action == Action::"GET", resource);"#);
    let first = snapshot(&[forbid]);
    let second = Snapshot::load(&tree(&[forbid, ("manifest.yaml", "modes: {mesh/stop.cedar: shadow}")]), Some(&first));
    assert!(problems(&second).contains("moved to shadow"), "{}", problems(&second));
}

#[test]
fn an_unchanged_namespace_is_not_loaded_again() {
    let first = snapshot(&[("namespaces/shop/a.cedar", PERMIT), ("namespaces/pay/a.cedar", PERMIT)]);
    let next = [
        ("namespaces/shop/a.cedar", "permit (principal, action == Action::\"GET\", resource);"),
        ("namespaces/pay/a.cedar", PERMIT),
    ];
    let second = Snapshot::load(&tree(&next), Some(&first)).snapshot.unwrap();
    let unit = |snapshot: &Snapshot, name: &str| match snapshot.namespace(name) {
        Some(picket::decision::snapshot::Namespace::Loaded(unit)) => std::sync::Arc::as_ptr(unit),
        other => panic!("{other:?}"),
    };
    assert_eq!(unit(&first, "pay"), unit(&second, "pay"));
    assert_ne!(unit(&first, "shop"), unit(&second, "shop"));
}

#[test]
fn entities_cannot_leave_their_namespace() {
    let entities = r#"[{"uid": {"type": "Service", "id": "shop/orders"}, "attrs": {}, "parents": [{"type": "Namespace", "id": "pay"}]}]"#;
    refused(&[("entities.json", entities)], "mesh", "cannot be in Namespace::\"pay\"");
    refused(&[("entities.json", "[{")], "mesh", "entities.json");
}

#[test]
fn the_sample_policies_of_the_specification_validate() {
    let files = [(
        "mesh/a.cedar",
        r#"@id("probe") permit (principal, action == Action::"GET", resource is Path) when { context.http.path == "/healthz" };
           @id("release-all") permit (principal, action == Action::"release", resource);
           @id("excess") @remedy("narrow_token")
           forbid (principal, action in Action::"any", resource is Path)
           when { principal has token && !principal.token.isUser && resource has acceptableScopes && !resource.acceptableScopes.containsAll(principal.token.scopesClaimed) };"#,
    )];
    snapshot(&files);
}

/// A policy's condition in a scope that is open, and the scope it is advised to have.
const UNINDEXED: &[(&str, &str)] = &[
    (
        r#"when { context.http.method == "GET" && resource in Service::"shop/orders" }"#,
        r#"narrow its scope to `resource in Service::"shop/orders"`"#,
    ),
    (
        r#"when { context.http.method == "GET" && principal == Workload::"spiffe://cluster.local/ns/web/sa/frontend" }"#,
        r#"`principal == Workload::"spiffe://cluster.local/ns/web/sa/frontend"`"#,
    ),
    (
        r#"unless { context.http.method == "PUT" || !(principal in Group::"storefront") }"#,
        r#"`principal in Group::"storefront"`"#,
    ),
    (
        r#"when { context.http.method == "GET" && principal is Workload in Group::"storefront" }"#,
        r#"`principal is Workload in Group::"storefront"`"#,
    ),
    (r#"when { "/healthz" == context.http.path }"#, r#"`resource == Path::"shop/<service>/healthz"`"#),
    (
        r#"when { ["/a", "/b"].contains(context.http.path) }"#,
        r#"`resource == Path::"shop/<service>/a"` and `resource == Path::"shop/<service>/b"` (a policy for each)"#,
    ),
    (r#"when { context.http.path like "/v1/o*" }"#, r#"`resource in Path::"shop/<service>/v1"`"#),
    (
        r#"when { context.http.method == "GET" && (resource in Service::"shop/orders" || resource in Service::"shop/inventory") }"#,
        r#"`resource in Service::"shop/orders"` and `resource in Service::"shop/inventory"` (a policy for each)"#,
    ),
    (
        r#"when { context.http.method == "GET" && principal in Group::"storefront" && resource in Group::"pci" }"#,
        r#"`principal in Group::"storefront"`, or to `resource in Group::"pci"`"#,
    ),
];

#[test]
fn a_test_that_belongs_in_an_open_scope_is_noted_with_the_scope() {
    let scopes = ["resource", "resource is Path", r#"resource in Namespace::"shop""#];
    for (condition, advice) in UNINDEXED {
        for scope in scopes {
            let policy = format!(r#"@id("slow") permit (principal, action == Action::"GET", {scope}) {condition};"#);
            let loaded = Snapshot::load(&tree(&[("namespaces/shop/a.cedar", &policy)]), None);
            let text = problems(&loaded);
            assert!(loaded.refused.is_empty(), "{policy}: {text}");
            let said = text.starts_with("Note") && text.contains("policy `shop/slow` is evaluated for every call");
            assert!(said && text.contains(advice), "{policy}: expected `{advice}` in:\n{text}");
        }
    }
}

#[test]
fn a_test_that_a_scope_cannot_replace_is_not_noted() {
    let open = "principal, action == Action::\"GET\", resource";
    let quiet = [
        (open, r#"when { resource in Service::"shop/orders" && context.http.method == "GET" }"#),
        (open, r#"unless { !(principal in Group::"storefront") || context.http.method == "PUT" }"#),
        (open, r#"when { resource in Service::"shop/orders" || resource in Service::"shop/inventory" }"#),
        (open, r#"unless { resource in Service::"shop/orders" }"#),
        (open, r#"when { context.http.path != "/healthz" }"#),
        (open, r#"when { context.http.path like "/*" }"#),
        (open, r#"when { resource in Service::"shop/orders" || context.http.method == "GET" }"#),
        (open, r#"when { if context.http.method == "GET" then resource in Group::"pci" else false }"#),
        (open, r#"when { context.http.host == "orders.shop" }"#),
        (
            r#"principal in Group::"storefront", action == Action::"GET", resource"#,
            r#"when { resource in Group::"pci" }"#,
        ),
        (
            r#"principal, action == Action::"GET", resource in Service::"shop/orders""#,
            r#"when { context.http.path == "/healthz" }"#,
        ),
    ];
    for (scope, condition) in quiet {
        let policy = format!("permit ({scope}) {condition};");
        let loaded = Snapshot::load(&tree(&[("namespaces/shop/a.cedar", &policy)]), None);
        assert_eq!(problems(&loaded), "", "{policy}");
    }
}

#[test]
fn a_mesh_policy_that_names_a_namespace_is_indexed_by_it() {
    let policy = |resource: &str| {
        format!(
            r#"@id("a") forbid (principal, action == Action::"GET", {resource}) when {{ context.http.path == "/x" }};"#
        )
    };
    let said = |resource: &str| problems(&Snapshot::load(&tree(&[("mesh/a.cedar", &policy(resource))]), None));
    assert_eq!(said(r#"resource in Namespace::"shop""#), "");
    let text = said("resource");
    assert!(text.contains(r#"`resource == Path::"<namespace>/<service>/x"`, or add the routes to a group"#), "{text}");
}

/// The base of a load in which every started namespace is late at once.
fn hurried<'a>(previous: &'a Arc<Snapshot>, donors: &'a [Arc<Snapshot>]) -> Base<'a> {
    Base {
        previous: Some(previous),
        donors,
        purpose: Purpose::Activate,
        begin: &|_, _| Box::new(|| true),
        pause: || {},
    }
}

#[test]
fn an_edit_of_the_mesh_loads_no_namespace_again_good_or_bad() {
    let stop = (
        "mesh/stop.cedar",
        r#"@id("stop") forbid (principal, action in Action::"any", resource in Service::"pay/billing");"#,
    );
    let namespaces = [
        ("namespaces/shop/a.cedar", PERMIT),
        ("namespaces/pay/a.cedar", PERMIT),
        ("namespaces/web/a.cedar", "permit ("),
    ];
    let first = Snapshot::load(&tree(&namespaces), None).snapshot.unwrap();
    let nothing = |_: &str, _: Stakes| -> Late { panic!("a namespace is loaded again") };
    let base = Base { previous: Some(&first), donors: &[], purpose: Purpose::Activate, begin: &nothing, pause: || {} };
    let second = Snapshot::load_on(&tree(&[stop, namespaces[0], namespaces[1], namespaces[2]]), &base);
    // The problems of the invalid one are reported all the same.
    assert_eq!(second.refused, ["web"]);
    assert!(problems(&second).contains("namespaces/web/a.cedar"), "{}", problems(&second));
    let second = second.snapshot.unwrap();
    let billing = call().service("pay/billing").0;
    assert_eq!(show(&judge(&second, &frontend(), &billing)), "deny policy_forbid [mesh/stop]");
    assert_eq!(show(&judge(&second, &frontend(), &call().service("shop/orders").0)), "allow policy_permit [shop/all]");
}

#[test]
fn a_slow_namespace_keeps_its_version_until_the_new_one_is_loaded() {
    let orders = call().service("shop/orders").0;
    let first = snapshot(&[("namespaces/shop/a.cedar", PERMIT)]);
    let edited = r#"@id("other") permit (principal, action in Action::"any", resource);"#;
    let new = tree(&[("namespaces/shop/a.cedar", edited), ("mesh/a.cedar", "// news")]);
    let second = Snapshot::load_on(&new, &hurried(&first, &[]));
    assert_eq!((second.refused.len(), &second.postponed[..]), (0, &["shop".to_owned()][..]));
    let second = second.snapshot.unwrap();
    assert_ne!(second.digests()["mesh"], first.digests()["mesh"]);
    assert_eq!(show(&judge(&second, &frontend(), &orders)), "allow policy_permit [shop/all]");
    // A load took the time for it.
    let donor = Snapshot::load(&new, Some(&first)).snapshot.unwrap();
    let third = Snapshot::load_on(&new, &hurried(&second, &[donor]));
    assert!(third.postponed.is_empty() && third.refused.is_empty(), "{}", problems(&third));
    assert_eq!(show(&judge(&third.snapshot.unwrap(), &frontend(), &orders)), "allow policy_permit [shop/other]");
    // A donor of another catalogue does not count.
    let other = Snapshot::load(
        &tree(&[("namespaces/shop/a.cedar", edited), ("facts.cedarschema", "type CallFacts = {};")]),
        None,
    );
    let fourth = Snapshot::load_on(&new, &hurried(&second, &[other.snapshot.unwrap()]));
    assert_eq!(fourth.postponed, ["shop"]);
}

#[test]
fn a_namespace_that_takes_long_under_a_new_catalogue_is_denied_until_it_is_loaded() {
    let orders = call().service("shop/orders").0;
    let first = snapshot(&[("namespaces/shop/a.cedar", PERMIT)]);
    let new = tree(&[("namespaces/shop/a.cedar", PERMIT), ("facts.cedarschema", "type CallFacts = {};")]);
    let second = Snapshot::load_on(&new, &hurried(&first, &[]));
    assert_eq!(second.postponed, ["shop"]);
    let second = second.snapshot.unwrap();
    assert_eq!(show(&judge(&second, &frontend(), &orders)), "error bundle_invalid");
    let donor = Snapshot::load(&new, Some(&second)).snapshot.unwrap();
    let third = Snapshot::load_on(&new, &hurried(&second, &[donor])).snapshot.unwrap();
    assert_eq!(show(&judge(&third, &frontend(), &orders)), "allow policy_permit [shop/all]");
}
