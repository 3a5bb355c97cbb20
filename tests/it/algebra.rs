//! The verdict algebra, confinement and modes, from files to a verdict.

use crate::support::{call, frontend, judge, show, snapshot, token, workload};
use picket::decision::verdict::Effect;
use picket::identity::Identity;
use picket::obligation::challenge::Challenge;

const READ_ORDERS: &str = r#"@id("read") permit (principal in Group::"storefront", action in Action::"read", resource in Path::"shop/orders/v1");"#;

#[track_caller]
fn check(files: &[(&str, &str)], identity: &Identity, call: &picket::call::Call, expected: &str) {
    assert_eq!(show(&judge(&snapshot(files), identity, call)), expected);
}

#[test]
fn nothing_is_allowed_without_a_permit() {
    let orders = call().service("shop/orders").path("/v1/orders/42").0;
    check(&[], &frontend(), &orders, "deny no_permit []");
    let files = [("namespaces/shop/orders.cedar", READ_ORDERS)];
    check(&files, &frontend(), &orders, "allow policy_permit [shop/read]");
    check(&files, &workload("spiffe://cluster.local/ns/web/sa/other"), &orders, "deny no_permit []");
    check(&files, &Identity::default(), &orders, "deny no_permit []");
    check(&files, &frontend(), &call().service("shop/orders").path("/v1admin").0, "deny no_permit []");
    check(&files, &frontend(), &call().service("shop/orders").path("/v1").method("POST").0, "deny no_permit []");
}

#[test]
fn a_mesh_forbid_cannot_be_overridden() {
    let files = [
        ("namespaces/shop/orders.cedar", READ_ORDERS),
        ("mesh/guard.cedar", r#"@id("guard") forbid (principal, action in Action::"any", resource in Group::"pci");"#),
    ];
    check(&files, &frontend(), &call().service("shop/orders").path("/v1").0, "deny policy_forbid [mesh/guard]");
}

#[test]
fn policies_of_a_namespace_apply_only_to_itself() {
    let files = [("namespaces/shop/all.cedar", r#"@id("all") permit (principal, action in Action::"any", resource);"#)];
    check(&files, &frontend(), &call().service("shop/orders").path("/v1").0, "allow policy_permit [shop/all]");
    check(&files, &frontend(), &call().service("pay/billing").path("/v1").0, "challenge no_permit []");
    let forbid = [
        ("namespaces/shop/no.cedar", r#"forbid (principal, action in Action::"any", resource);"#),
        ("namespaces/pay/yes.cedar", r#"@id("yes") permit (principal, action in Action::"any", resource);"#),
    ];
    check(&forbid, &frontend(), &call().service("pay/billing").path("/v1").0, "allow policy_permit [pay/yes]");
}

#[test]
fn a_forbid_that_fails_to_evaluate_denies() {
    // Overflow is what remains of run-time errors after strict validation.
    let files = [
        ("namespaces/shop/a.cedar", READ_ORDERS),
        (
            "namespaces/shop/b.cedar",
            r#"@id("broken") forbid (principal, action == Action::"GET", resource is Path)
               when { 9223372036854775807 + (if context.http.host == "orders.shop" then 1 else 0) < 0 };"#,
        ),
    ];
    check(&files, &frontend(), &call().service("shop/orders").path("/v1").0, "deny policy_error [shop/broken]");
}

#[test]
fn a_forbid_that_fails_to_evaluate_would_deny_where_policies_are_watched() {
    // The permit is only watched, the forbid is enforced: the would-be verdict is made of both.
    let broken = r#"@id("broken") forbid (principal, action == Action::"GET", resource is Path)
        when { 9223372036854775807 + (if context.http.host == "orders.shop" then 1 else 0) < 0 };"#;
    let files = [
        ("mesh/broken.cedar", broken),
        ("namespaces/shop/a.cedar", READ_ORDERS),
        ("manifest.yaml", "modes: {namespaces/shop: shadow}"),
    ];
    let verdict = judge(&snapshot(&files), &frontend(), &call().service("shop/orders").path("/v1").0).unwrap();
    let would_be = verdict.would_be.unwrap();
    assert_eq!((would_be.decision.as_str(), would_be.reason.as_str()), ("deny", "policy_error"));
}

#[test]
fn a_permit_that_fails_grants_nothing_and_is_reported() {
    let files = [(
        "namespaces/shop/b.cedar",
        r#"@id("broken") permit (principal, action == Action::"GET", resource is Path)
           when { 9223372036854775807 + (if context.http.host == "orders.shop" then 1 else 0) > 0 };"#,
    )];
    let verdict = judge(&snapshot(&files), &frontend(), &call().service("shop/orders").0);
    assert_eq!(show(&verdict), "deny no_permit []");
    assert_eq!(verdict.unwrap().errors[0].policy, "shop/broken");
}

#[test]
fn remedies_lift_only_denials_that_all_forbids_allow_to_lift() {
    let step_up = r#"@id("fresh") @remedy("step_up") @max_age("300") @reason("login_too_old")
        forbid (principal, action == Action::"GET", resource is Path) unless { principal has token };"#;
    let files = [("namespaces/shop/a.cedar", READ_ORDERS), ("namespaces/shop/b.cedar", step_up)];
    let orders = call().service("shop/orders").path("/v1").0;
    let verdict = judge(&snapshot(&files), &frontend(), &orders).unwrap();
    let Effect::Challenge(challenge, denial) = &verdict.effect else { panic!("{verdict:?}") };
    assert_eq!(*challenge, Challenge::StepUp { acr: None, max_age_seconds: Some(300) });
    assert_eq!(denial.public_reason.as_deref(), Some("login_too_old"));
    let with_token = Identity { token: Some(token(&[]).into()), ..frontend() };
    check(&files, &with_token, &orders, "allow policy_permit [shop/read]");
    let plain = r#"@id("plain") @deny_status("404") forbid (principal, action == Action::"GET", resource is Path);"#;
    let files = [files[0], files[1], ("mesh/c.cedar", plain)];
    let verdict = judge(&snapshot(&files), &frontend(), &orders);
    assert_eq!(show(&verdict), "deny policy_forbid [mesh/plain shop/fresh]");
    let Effect::Deny(denial) = verdict.unwrap().effect else { panic!() };
    assert_eq!(denial.status, Some(404));
}

#[test]
fn no_remedy_helps_where_nothing_permits() {
    let files = [(
        "namespaces/shop/b.cedar",
        r#"@remedy("step_up") @max_age("1") forbid (principal, action == Action::"GET", resource is Path);"#,
    )];
    check(&files, &frontend(), &call().service("shop/orders").0, "deny no_permit []");
}

#[test]
fn a_caller_without_a_token_is_sent_to_the_issuer() {
    let verdict = judge(&snapshot(&[]), &frontend(), &call().service("pay/billing").0).unwrap();
    assert!(matches!(verdict.effect, Effect::Challenge(Challenge::Login { .. }, _)), "{verdict:?}");
    let with_token = Identity { token: Some(token(&[]).into()), ..frontend() };
    check(&[], &with_token, &call().service("pay/billing").0, "deny no_permit []");
}

#[test]
fn obligations_are_carried_out_or_the_call_is_denied() {
    let permit = |obligation: &str| {
        format!(
            r#"{obligation} permit (principal is Workload, action == Action::"GET", resource in Service::"shop/orders");"#
        )
    };
    let orders = call().service("shop/orders").0;
    let one = permit(r#"@id("one") @set_headers("x-caller=${principal.id}, x-sa=${principal.serviceAccount}")"#);
    let verdict = judge(&snapshot(&[("namespaces/shop/a.cedar", &one)]), &frontend(), &orders).unwrap();
    let Effect::Allow(mutations) = verdict.effect else { panic!() };
    assert_eq!(mutations.set_headers["x-caller"], "spiffe://cluster.local/ns/web/sa/frontend");
    assert_eq!(mutations.set_headers["x-sa"], "frontend");
    let odd = workload("spiffe://cluster.local/odd");
    check(&[("namespaces/shop/a.cedar", &one)], &odd, &orders, "deny obligation_unmet [shop/one]");
    let two = permit(r#"@id("two") @set_headers("X-Caller=me")"#).replace("X-Caller", "x-caller");
    let files = [("namespaces/shop/a.cedar", one.as_str()), ("namespaces/shop/b.cedar", two.as_str())];
    check(&files, &frontend(), &orders, "deny obligation_conflict [shop/one shop/two]");
    let three = permit(r#"@id("three") @remove_headers("x-caller")"#);
    let files = [("namespaces/shop/a.cedar", one.as_str()), ("namespaces/shop/b.cedar", three.as_str())];
    check(&files, &frontend(), &orders, "deny obligation_conflict [shop/one shop/three]");
}

#[test]
fn shadow_policies_never_decide() {
    let forbid = r#"@id("new") forbid (principal, action == Action::"GET", resource is Path);"#;
    let files = [
        ("namespaces/shop/a.cedar", READ_ORDERS),
        ("mesh/new.cedar", forbid),
        ("manifest.yaml", "modes: {mesh/new.cedar: shadow}"),
    ];
    let orders = call().service("shop/orders").path("/v1").0;
    let verdict = judge(&snapshot(&files), &frontend(), &orders);
    assert_eq!(show(&verdict), "allow policy_permit [shop/read]");
    let would_be = verdict.unwrap().would_be.unwrap();
    assert_eq!((would_be.decision.as_str(), would_be.determining), ("deny", vec!["mesh/new".to_owned()]));
}

#[test]
fn a_bridge_opens_a_shadow_namespace_and_is_left_out_of_the_would_be_verdict() {
    let bridge = r#"@id("bridge") @bridge permit (principal, action in Action::"any", resource in Namespace::"shop");"#;
    let files = [
        ("namespaces/shop/a.cedar", READ_ORDERS),
        ("mesh/bridge.cedar", bridge),
        ("manifest.yaml", "modes: {namespaces/shop: shadow}"),
    ];
    let admin = call().service("shop/orders").path("/admin").0;
    let verdict = judge(&snapshot(&files), &frontend(), &admin);
    assert_eq!(show(&verdict), "allow policy_permit [mesh/bridge]");
    assert_eq!(verdict.unwrap().would_be.unwrap().decision.as_str(), "deny");
}

#[test]
fn a_store_without_action_entities_would_miss_the_forbid() {
    // Watched to fail: with `Entities::new()` in place of the action's store in `lean::build`, this call is allowed.
    let files = [
        ("namespaces/shop/a.cedar", r#"permit (principal, action == Action::"POST", resource is Path);"#),
        // A scope is not evaluated again once it led to its policy, so the condition says it.
        (
            "mesh/b.cedar",
            r#"@id("no-writes") forbid (principal, action, resource) when { action in Action::"write" };"#,
        ),
    ];
    check(&files, &frontend(), &call().service("shop/orders").method("POST").0, "deny policy_forbid [mesh/no-writes]");
}

#[test]
fn captures_scopes_and_groups_are_facts_of_the_path() {
    let policy = r#"@id("own") permit (principal, action == Action::"GET", resource in Route::"shop/orders/get-order")
        when { resource.hasTag("id") && resource.getTag("id") == "42" && principal has token && resource has requiredScopes
          && principal.token.scopesProven.containsAll(resource.requiredScopes) };"#;
    let files = [("namespaces/shop/a.cedar", policy)];
    let caller = Identity { token: Some(token(&["orders:read"]).into()), ..frontend() };
    check(&files, &caller, &call().service("shop/orders").path("/v1/orders/42").0, "allow policy_permit [shop/own]");
    check(&files, &caller, &call().service("shop/orders").path("/v1/orders/43").0, "deny no_permit []");
    let poor = Identity { token: Some(token(&["openid"]).into()), ..frontend() };
    check(&files, &poor, &call().service("shop/orders").path("/v1/orders/42").0, "deny no_permit []");
}

#[test]
fn a_grpc_service_is_evaluated_by_method() {
    let policy = r#"@id("get") permit (principal, action == Action::"grpc.call", resource == Method::"shop/inventory/shop.v1.Inventory/Get");"#;
    let files = [("namespaces/shop/a.cedar", policy)];
    let grpc =
        |path| call().service("shop/inventory").method("POST").path(path).header("content-type", "application/grpc");
    check(&files, &frontend(), &grpc("/shop.v1.Inventory/Get").0, "allow policy_permit [shop/get]");
    check(&files, &frontend(), &grpc("/shop.v1.Inventory/Set").0, "deny no_permit []");
    check(&files, &frontend(), &grpc("/shop.v1.Inventory").0, "error protocol_mismatch");
    check(
        &files,
        &frontend(),
        &call().service("shop/inventory").path("/shop.v1.Inventory/Get").0,
        "error protocol_mismatch",
    );
    check(&files, &frontend(), &call().service("shop/inventory").path("/healthz").0, "deny no_permit []");
}

#[test]
fn p36_a_grpc_method_has_one_spelling() {
    let policy = r#"@id("all") permit (principal, action == Action::"grpc.call", resource);"#;
    let files = [("namespaces/shop/a.cedar", policy)];
    let grpc = |path: &str, kind: &str| {
        call().service("shop/inventory").method("POST").path(path).header("content-type", kind).header("te", "trailers")
    };
    check(&files, &frontend(), &grpc("/a.B/Get", "application/grpc").0, "allow policy_permit [shop/all]");
    check(&files, &frontend(), &grpc("/a.B/Get", "application/grpc+proto; a=b").0, "allow policy_permit [shop/all]");
    for path in ["/a.B/%47et", "/a%2eB/Get", "/a.B/Get/", "/a.B/Get?x", "/a.B/Get?", "/a.B/C/Get", "/a.B", "/"] {
        check(&files, &frontend(), &grpc(path, "application/grpc").0, "error protocol_mismatch");
    }
    for name in ["/a.B/G-t", "/a.B/G%C3%A9t", "/a.B/é", "/a B/Get", "/a.B/C.Get", "/a:B/Get"] {
        let path = name.replace(' ', "%20");
        check(&files, &frontend(), &grpc(&path, "application/grpc").0, "error protocol_mismatch");
    }
    for kind in ["application/grpc-web", "application/grpcx", "application/json", "", "text/plain;application/grpc"] {
        check(&files, &frontend(), &grpc("/a.B/Get", kind).0, "error protocol_mismatch");
    }
    let twice = grpc("/a.B/Get", "application/grpc").header("content-type", "application/grpc");
    check(&files, &frontend(), &twice.0, "error protocol_mismatch");
    check(&files, &frontend(), &grpc("/a.B/Get", "application/grpc").method("GET").0, "error protocol_mismatch");
}

#[test]
fn p43_a_service_is_named_exactly_or_unmapped() {
    let files = [("namespaces/shop/a.cedar", r#"@id("all") permit (principal, action in Action::"any", resource);"#)];
    check(&files, &frontend(), &call().service("shop/orders").0, "allow policy_permit [shop/all]");
    for id in [
        "",
        "/",
        "shop",
        "shop/",
        "shop/orders ",
        " shop/orders",
        "shop/orders/",
        "shop//orders",
        "Shop/orders",
        "shop/Orders",
        "shop/@orders",
        "shop/orders\0",
        "shop/orders\n",
        "shop\u{2215}orders",
        "shop/ord\u{435}rs",
        "../shop/orders",
        "pay/../shop/orders",
        "shop/orders,pay/billing",
    ] {
        check(&files, &frontend(), &call().service(id).0, "error unmapped");
    }
    // Any other key of the route's extensions names no service.
    let mut other = call().0;
    other.extensions.insert("Service".into(), "shop/orders".into());
    check(&files, &frontend(), &other, "error unmapped");
}

#[test]
fn p44_a_call_is_evaluated_by_its_one_reading_of_the_clock() {
    let policy = r#"@id("until") permit (principal, action == Action::"GET", resource)
        when { context.env.now < datetime("2026-11-23T00:00:01Z") };"#;
    let files = [("namespaces/shop/a.cedar", policy)];
    let at = |milliseconds: i64| {
        let mut orders = call().service("shop/orders").header("date", "Thu, 01 Jan 1970 00:00:00 GMT").0;
        orders.received_at.0 += milliseconds;
        orders
    };
    check(&files, &frontend(), &at(999), "allow policy_permit [shop/until]");
    check(&files, &frontend(), &at(1000), "deny no_permit []");
}

#[test]
fn a_federated_domain_inherits_nothing() {
    let policy = r#"@id("web") permit (principal in Namespace::"web", action == Action::"GET", resource);"#;
    let files = [("namespaces/shop/a.cedar", policy)];
    let orders = call().service("shop/orders").0;
    check(&files, &frontend(), &orders, "allow policy_permit [shop/web]");
    check(&files, &workload("spiffe://other.example/ns/web/sa/frontend"), &orders, "deny no_permit []");
}

#[test]
fn p12_a_header_that_is_read_must_be_single() {
    let policy = r#"@id("t") permit (principal, action == Action::"GET", resource)
        when { context.http.headers.hasTag("x-role") && context.http.headers.getTag("x-role") == "user" };"#;
    let files = [("namespaces/shop/a.cedar", policy)];
    let orders = || call().service("shop/orders");
    check(&files, &frontend(), &orders().header("x-role", "user").0, "allow policy_permit [shop/t]");
    check(
        &files,
        &frontend(),
        &orders().header("x-role", "user").header("x-role", "admin").0,
        "error header_duplicated",
    );
    // Raw or not: Envoy joins some headers also where it sends raw ones.
    check(&files, &frontend(), &orders().header("x-role", "user,admin").joined().0, "error header_duplicated");
    check(&files, &frontend(), &orders().header("x-role", "user,admin").0, "error header_duplicated");
    // Servers that go by CGI's rules read `_` as `-`.
    check(&files, &frontend(), &orders().header("x_role", "admin").0, "error header_duplicated");
    let both = orders().header("x-role", "user").header("x_role", "admin");
    check(&files, &frontend(), &both.0, "error header_duplicated");
    check(&files, &frontend(), &orders().header("x_other", "1").header("x-other", "2").0, "deny no_permit []");
    check(&files, &frontend(), &orders().header("x-other", "1").header("x-other", "2").0, "deny no_permit []");
    // A pattern without a wildcard is a comparison.
    let exact = policy.replace(r#"== "user""#, r#"like "user""#);
    let files = [("namespaces/shop/a.cedar", exact.as_str())];
    check(&files, &frontend(), &orders().header("x-role", "user").0, "allow policy_permit [shop/t]");
    check(&files, &frontend(), &orders().header("x-role", "user,admin").0, "error header_duplicated");
}

#[test]
fn p47_a_key_in_another_spelling_passes_only_where_every_policy_that_reads_the_one_reads_the_other() {
    let reads = |keys: &[&str]| {
        let bad =
            |key: &&str| format!(r#"context.http.query.hasTag("{key}") && context.http.query.getTag("{key}") == "x""#);
        keys.iter().map(bad).map(|bad| format!("({bad})")).collect::<Vec<_>>().join(" || ")
    };
    let open = r#"@id("open") permit (principal, action == Action::"GET", resource);"#;
    let (allowed, refused) = ("allow policy_permit [shop/open]", "error query_refused");
    for (mesh, own, query, expected) in [
        (&["role", "Role"][..], &["x"][..], "Role=user", allowed),
        (&["role", "Role"], &["x"], "Role=x", "deny policy_forbid [mesh/m]"),
        (&["role", "Role"], &["x"], "ROLE=x", refused),
        (&["role"], &["Role"], "Role=x", refused),
        (&["role"], &["Role"], "role=x", refused),
        (&["role", "Role"], &["role"], "Role=user", refused),
        (&["role"], &["role", "Role"], "Role=user", refused),
        (&["role", "Role"], &["Role", "role"], "Role=user", allowed),
        (&["filter", "filter[a]"], &["x"], "filter[a]=1&filter=2", allowed),
        (&["filter"], &["filter[a]"], "filter[a]=x", refused),
    ] {
        let forbid = |id: &str, keys| {
            format!(r#"@id("{id}") forbid (principal, action == Action::"GET", resource) when {{ {} }};"#, reads(keys))
        };
        let (mesh, own) = (forbid("m", mesh), format!("{open}\n{}", forbid("o", own)));
        let files = [("mesh/a.cedar", mesh.as_str()), ("namespaces/shop/a.cedar", &own)];
        let call = call().service("shop/orders").path(&format!("/?{query}")).0;
        check(&files, &frontend(), &call, expected);
    }
}

#[test]
fn p47_where_a_policy_computes_the_key_every_key_is_plain() {
    let policy = r#"@id("open") permit (principal, action == Action::"GET", resource);
        @id("computed") forbid (principal, action == Action::"GET", resource)
        when { context.http.query.hasTag(context.env.listener) };"#;
    let files = [("namespaces/shop/a.cedar", policy)];
    for (query, is_refused) in [
        ("a=1&b-c=2&_=3", false),
        ("a", false),
        ("A=1", true),
        ("a%62=1", true),
        ("a[]=1", true),
        ("a.b=1", true),
        ("a=1?b=2", true),
        ("a=1;b=2", true),
        ("a_b=1&a-b=2", true),
        ("\u{e9}=1", true),
    ] {
        let call = call().service("shop/orders").path(&format!("/?{query}")).0;
        let expected = if is_refused { "error query_refused" } else { "allow policy_permit [shop/open]" };
        check(&files, &frontend(), &call, expected);
    }
}

#[test]
fn a_query_key_that_is_read_has_one_reading() {
    let policy = r#"@id("q") permit (principal, action == Action::"GET", resource)
        when { context.http.query.hasTag("a b") && context.http.query.getTag("a b") == "1&2" };"#;
    let files = [("namespaces/shop/a.cedar", policy)];
    let with = |query: &str| call().service("shop/orders").path(&format!("/?{query}")).0;
    check(&files, &frontend(), &with("a+b=1%262"), "allow policy_permit [shop/q]");
    check(&files, &frontend(), &with("a%20b=1%262&x=1&x=2"), "allow policy_permit [shop/q]");
    for bad in ["a+b=1&a%20b=2", "a+b=1;x=2", "a+b=%zz", "a+b=%ff", "a+b=%00", "a+b=1%25262", "x=%"] {
        check(&files, &frontend(), &with(bad), "error query_refused");
    }
}
