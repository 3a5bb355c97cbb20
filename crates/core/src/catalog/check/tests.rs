use super::*;
use crate::call::Host;
use crate::catalog::Protocol;

const FILE: &str = "catalog.yaml";

fn good(text: &str) -> Catalog {
    match Catalog::parse(FILE, text) {
        Ok(catalog) => catalog,
        Err(problems) => panic!("{problems:#?}"),
    }
}

fn problems(text: &str) -> Vec<Problem> {
    Catalog::parse(FILE, text).expect_err("the catalogue must be refused")
}

/// Messages of everything wrong with one service, whose other keys are good.
fn in_service(keys: &str) -> Vec<String> {
    problems(&format!("services: [{{id: shop/a, {keys}}}]")).into_iter().map(|p| p.message).collect()
}

const SHOP: &str = r#"
services:
  - id: shop/orders
    hosts: [Orders.shop., "[::1]", orders.shop.svc.cluster.local]
    service_accounts: [orders]
    protocol: http
    groups: [pci]
    labels: [internal]
    facts: {tier: 1}
    routes:
      - {name: get-order, match: "/v1/orders/{id}", methods: [GET], scopes: {required: [orders:read], acceptable: [openid]}}
      - {name: put-order, match: "/v1/orders/{id}", methods: [PUT], groups: [changes]}
    token: {resource_metadata: "https://auth.example/x", realm: shop}
  - id: shop/audit
    service_accounts: [orders]
  - id: shop/stock
    protocol: grpc
    http_paths: [/healthz]
    methods:
      shop.v1.Stock/Take: {scopes: {required: [stock:write]}}
  - id: agents/deploy-mcp
    protocol: mcp
    mcp: {endpoint: /mcp, versions: [2025-06-18]}
    tools: {deploy.production: {effect: destructive, groups: [needs-change]}}
workloads:
  - {id: "spiffe://cluster.local/ns/web/sa/frontend", groups: [storefront], facts: {team: web}}
  - {id: "spiffe://partner.example/gateway"}
namespaces: [spare, partner.example/shop]
groups: [later]
catalog: {open: true}
"#;

#[test]
fn a_service_is_found_by_id_host_and_account() {
    let catalog = good(SHOP);
    for host in ["orders.shop", "ORDERS.shop:8080", "[0:0::1]:80"] {
        let found = catalog.service_by_host(&Host::parse(host).unwrap());
        assert_eq!(found.map(|s| s.id.as_str()), Some("shop/orders"), "{host}");
    }
    assert!(catalog.service_by_host(&Host::parse("shop").unwrap()).is_none());
    let of =
        |namespace, account| catalog.services_of_account(namespace, account).map(|s| s.id.as_str()).collect::<Vec<_>>();
    assert_eq!(of("shop", "orders"), ["shop/audit", "shop/orders"]);
    assert_eq!(of("web", "orders"), Vec::<&str>::new());
}

#[test]
fn everything_written_is_kept() {
    let catalog = good(SHOP);
    let orders = catalog.service("shop/orders").unwrap();
    assert_eq!(orders.namespace(), "shop");
    assert_eq!(orders.routes.len(), 2);
    assert_eq!(orders.facts, Some(serde_json::json!({"tier": 1})));
    assert_eq!(orders.token.as_ref().unwrap().realm.as_deref(), Some("shop"));
    let stock = catalog.service("shop/stock").unwrap();
    assert_eq!(stock.protocol, Protocol::Grpc);
    assert!(stock.methods.contains_key("shop.v1.Stock/Take"));
    assert_eq!(stock.http_paths.len(), 1);
    let deploy = catalog.service("agents/deploy-mcp").unwrap();
    let mcp = deploy.mcp.as_ref().unwrap();
    assert_eq!(
        (mcp.endpoint.as_str(), &mcp.versions),
        ("/mcp", &[crate::catalog::mcp::ProtocolVersion::June2025].into())
    );
    assert!(deploy.tools.contains_key("deploy.production"));
    let frontend = catalog.workload("spiffe://cluster.local/ns/web/sa/frontend").unwrap();
    assert_eq!(frontend.facts, Some(serde_json::json!({"team": "web"})));
    assert!(catalog.is_open() && !catalog.is_implicit());
}

#[test]
fn every_group_and_namespace_that_is_named_is_known() {
    let catalog = good(SHOP);
    let groups: Vec<&str> = catalog.groups().iter().map(String::as_str).collect();
    assert_eq!(groups, ["changes", "later", "needs-change", "pci", "storefront"]);
    let namespaces: Vec<&str> = catalog.namespaces().iter().map(String::as_str).collect();
    assert_eq!(namespaces, ["agents", "cluster.local/web", "partner.example/shop", "shop", "spare", "web"]);
}

#[test]
fn an_empty_file_is_an_empty_catalogue() {
    for text in ["", "# nothing yet\n", "{}", "services: []"] {
        let catalog = good(text);
        assert_eq!(catalog.services().count(), 0, "{text:?}");
        assert!(!catalog.is_open() && !catalog.is_implicit());
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let text = "services:\n  - {id: shop/a, hots: [a]}\n";
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].message, "unknown key `hots`");
    assert!(problems[0].help.as_deref().unwrap().starts_with("did you mean `hosts`?"), "{problems:?}");
    let at = problems[0].span.clone().expect("the place is known");
    assert_eq!(text.get(at.start..at.start + 4), Some("hots"));
}

#[test]
fn a_file_that_is_not_a_catalogue_is_refused() {
    for text in [
        "services: {",
        "- a",
        "services: 1",
        "services: [{id: shop/a, hosts: a}]",
        "services: []\nservices: []",
        "services: [{hosts: [a]}]",
        "catalog: {open: maybe}",
        "catalog: {open: yes}",
        "a: 1\n---\nb: 2",
    ] {
        assert_eq!(problems(text).len(), 1, "{text:?}");
    }
}

#[test]
fn a_file_that_expands_itself_is_refused() {
    let mut text = String::from("groups:\n");
    text.push_str("  - &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let before = format!("*a{}", level - 1);
        text.push_str(&format!("  - &a{level} [{}]\n", [before.as_str(); 9].join(", ")));
    }
    assert_eq!(problems(&text).len(), 1);
    let deep = format!("services: [{{id: shop/a, facts: {}1{}}}]", "[".repeat(40), "]".repeat(40));
    assert_eq!(problems(&deep).len(), 1);
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = r#"
services:
  - {id: Shop/a, hosts: ["a:80", "b c"], protocol: gprc}
  - {id: mesh/b, http_paths: [/a//b]}
workloads:
  - {id: "spiffe://x"}
namespaces: [mesh]
"#;
    let found = problems(text);
    assert_eq!(found.len(), 8, "{found:#?}");
    for problem in &found {
        assert!(problem.span.is_some() && problem.help.is_some(), "{problem:?}");
    }
    assert_eq!(found[2].help.as_deref().map(|h| h.starts_with("did you mean `grpc`?")), Some(true), "{found:#?}");
}

#[test]
fn a_bad_id_is_refused() {
    for id in
        ["a", "/a", "shop/", "shop/a/b", "mesh/a", "Shop/a", "shop/A", "shop/@a", "-s/a", "s_p/a", "shop/a b", "shop/é"]
    {
        assert_eq!(problems(&format!("services: [{{id: {id:?}}}]")).len(), 1, "{id}");
    }
    let long = format!("services: [{{id: shop/{}}}]", "a".repeat(254));
    assert_eq!(problems(&long).len(), 1);
    good(&format!("services: [{{id: shop/{}}}]", "a".repeat(253)));
}

#[test]
fn a_bad_value_is_refused() {
    for keys in [
        "hosts: ['a:80']",
        "hosts: [a..b]",
        "hosts: [a, A]",
        "hosts: ['*.shop']",
        "service_accounts: [A]",
        "service_accounts: [a, a]",
        "protocol: HTTP",
        "groups: ['a b']",
        "groups: [a, a]",
        "groups: ['']",
        "labels: ['']",
        "facts: 1",
        "facts: [1]",
        "http_paths: [a]",
        "http_paths: [/a/]",
        "http_paths: [/%61]",
        "routes: [{name: r, match: a}]",
        "routes: [{name: R, match: /a}]",
        "routes: [{name: a/b, match: /a}]",
        "routes: [{name: r, match: /a, methods: [get]}]",
        "routes: [{name: r, match: /a, methods: [GET, GET]}]",
        "routes: [{name: r, match: /a, scopes: {required: ['a b']}}]",
        "routes: [{name: r, match: /a}, {name: r, match: /b}]",
        "methods: {p.S/M: {scopes: {}}}",
        "protocol: grpc, methods: {S/M/N: {scopes: {}}}",
        "protocol: grpc, methods: {/S/M: {scopes: {}}}",
        "token: {resource_metadata: 'ftp://a/b'}",
        "token: {resource_metadata: '/b'}",
        "token: {resource_metadata: 'https://a/b#c'}",
        "token: {realm: 'a\"b'}",
        "token: {serve_metadata: true, authorization_servers: ['https://i']}",
        "token: {serve_metadata: true, resource: 'https://a'}",
        "token: {serve_metadata: true, resource: 'https://a?x', authorization_servers: ['https://i']}",
        "token: {serve_metadata: true, resource: 'https://a#x', authorization_servers: ['https://i']}",
        "token: {serve_metadata: true, resource: 'https://a/b/', authorization_servers: ['https://i']}",
        "token: {serve_metadata: true, resource: 'https://a/../b', authorization_servers: ['https://i']}",
        "token: {serve_metadata: true, resource: '/mcp', authorization_servers: ['https://i']}",
        "token: {serve_metadata: true, resource: 'https://a', authorization_servers: [idp]}",
        "token: {serve_metadata: true, resource: 'https://a', authorization_servers: ['https://i'], scopes_supported: ['a b']}",
        "token: {serve_metadata: true, resource: 'https://a', authorization_servers: ['https://i'], scopes_supported: [offline_access]}",
        "token: {resource_metadata: 'https://a/b', resource: 'https://a'}",
        "token: {resource_metadata: 'https://a/b', scopes_supported: [a]}",
        "mcp: {endpoint: /mcp}",
        "tools: {t: {}}",
        "protocol: mcp, mcp: 1",
        "protocol: mcp, tools: {t: 1}",
        "protocol: mcp, tools: {t: {groups: g}}",
        "protocol: mcp, tools: {t: {groups: ['a b']}}",
        "protocol: mcp, tools: {'a/b': {}}",
        "protocol: mcp, mcp: {versions: [2024-11-05]}",
        "protocol: mcp, mcp: {endpoint: mcp}",
        "protocol: mcp, mcp: {versions: [2025-06-18], denial_by_version: {2026-07-28: hidden}}",
        "protocol: mcp, tools: {t: {headers: {a: X, b: x}}}",
        "protocol: mcp, body: {json: true}",
        "protocol: http, a2a: {}",
        "protocol: http, models: {m: {}}",
    ] {
        assert_eq!(in_service(keys).len(), 1, "{keys}");
    }
}

#[test]
fn equally_specific_routes_that_share_a_method_are_refused() {
    let refused = [
        "{name: a, match: '/v/{x}'}, {name: b, match: '/v/{y}'}",
        "{name: a, match: '/v/{x}', methods: [GET]}, {name: b, match: '/v/{y}', methods: [HEAD]}",
        "{name: a, match: '/{x}/b/{y...}'}, {name: b, match: '/{p}/b/{q...}', methods: [PUT]}",
        "{name: a, match: /}, {name: b, match: /}",
    ];
    for routes in refused {
        let found = in_service(&format!("routes: [{routes}]"));
        assert_eq!(found.len(), 1, "{routes}");
        assert!(found[0].contains("`a` and `b`"), "{found:?}");
    }
    for routes in [
        "{name: a, match: '/v/{x}', methods: [GET]}, {name: b, match: '/v/{y}', methods: [PUT]}",
        "{name: a, match: '/v/{x}'}, {name: b, match: '/v/{y...}'}",
        "{name: a, match: '/{x}/b'}, {name: b, match: '/a/{x}'}",
        "{name: a, match: /a}, {name: b, match: /b}",
    ] {
        good(&format!("services: [{{id: shop/a, routes: [{routes}]}}]"));
    }
}

#[test]
fn nothing_is_listed_twice() {
    for (text, message) in [
        ("services: [{id: shop/a}, {id: shop/a}]", "service `shop/a` is listed twice"),
        ("services: [{id: shop/a, hosts: [h]}, {id: shop/b, hosts: [H.]}]", "host `h` already belongs to `shop/a`"),
        ("workloads: [{id: 'spiffe://a/b'}, {id: 'spiffe://a/b'}]", "workload `spiffe://a/b` is listed twice"),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].message, message);
    }
}

#[test]
fn a_catalogue_that_is_too_large_is_refused() {
    let service = |n| format!("- {{id: shop/s{n}}}\n");
    let text = |count| format!("services:\n{}", (0..count).map(service).collect::<String>());
    assert_eq!(good(&text(ENTRIES_MAX)).services().count(), ENTRIES_MAX);
    assert_eq!(problems(&text(ENTRIES_MAX + 1)).len(), 1);
}

#[test]
fn a_token_without_a_login_place_is_a_warning() {
    let warnings = |token: &str| {
        let catalog = good(&format!("services: [{{id: shop/a, token: {{{token}}}}}]"));
        catalog.warnings().iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(warnings("realm: a"), ["challenges of this service name no login"]);
    assert_eq!(warnings("resource_metadata: 'https://a/b'"), [""; 0]);
    assert_eq!(warnings("serve_metadata: true, resource: 'https://a', authorization_servers: ['https://i']"), [""; 0]);
}
