//! `picket explain`.

use expect_test::expect;

use super::{picket_in, root};

fn explain(call: &str, more: &[&str]) -> super::Run {
    let mut arguments = vec!["explain", "--policies", "policies", "--call", "-"];
    arguments.extend(more);
    picket_in(&root(), &arguments, call)
}

#[test]
fn an_unmapped_call_shows_every_key_that_was_tried() {
    let run = explain("{request: {host: nowhere.example, path: /}}", &[]).ends_with(5);
    expect![[r#"
        ERROR  unmapped
          no service has the host `nowhere.example`

          searched for the called service by
            context extension `service` (not sent): no source of the profile names a service
            host `nowhere.example`: no service has the host `nowhere.example`
    "#]]
    .assert_eq(&run.stdout);
}

#[test]
fn a_denied_call_shows_near_matches_and_other_callers() {
    let call = "
caller: {spiffe: spiffe://cluster.local/ns/web/sa/other}
request: {service: shop/orders, path: /v1/orders/7}
";
    let run = explain(call, &[]).ends_with(5);
    expect![[r#"
        DENY  no_permit
          no permit is satisfied

          principal  Workload::"spiffe://cluster.local/ns/web/sa/other"
                     in Namespace::"web"
          action     Action::"GET"
          resource   Path::"shop/orders/v1/orders/7"
                     in Namespace::"shop", Route::"shop/orders/one-order"
          policies   17 of mesh and shop can apply

          in scope, but not satisfied
            permit mesh/health-probes  mesh/probes.cedar:4
              when { context.http.path == "/healthz" }
                context.http.path = "/v1/orders/7"

          also in scope, but not satisfied: mesh/enough-scopes, mesh/home-domain-only, mesh/no-excess-scopes

          for other callers
            permit shop/storefront-reads  namespaces/shop/orders.cedar:4
              principal in Group::"storefront"
    "#]]
    .assert_eq(&run.stdout);
}

#[test]
fn an_allowed_call_shows_which_forbids_did_not_hold() {
    let call = "
caller: {spiffe: spiffe://cluster.local/ns/pay/sa/backoffice, token: {sub: alice, client_id: desk, scope: 'refunds:read'}}
request: {service: pay/billing, path: /v1/refunds/7}
now: 2026-01-01T00:00:00Z
";
    let run = explain(call, &[]).ends_with(0);
    expect![[r#"
        ALLOW  policy_permit

          principal  Workload::"spiffe://cluster.local/ns/pay/sa/backoffice"
                     in Namespace::"pay", Group::"refund-desk"
          action     Action::"GET"
          resource   Path::"pay/billing/v1/refunds/7"
                     in Group::"cardholder-data", Namespace::"pay", Route::"pay/billing/one-refund", Group::"refund-reads"
          policies   14 of mesh and pay can apply

          decided by
            permit pay/desk-reads-refunds  namespaces/pay/billing.cedar:28

          in scope, but not satisfied
            forbid mesh/enough-scopes     mesh/tokens.cedar:4
              unless { (principal has token) && principal.token.scopesProven.containsAll(resource.requiredScopes) }
                principal.token is present
                principal.token.scopesProven = ["refunds:read"]
                resource.requiredScopes = ["refunds:read"]
            forbid mesh/home-domain-only  mesh/guardrails.cedar:3
              when { principal.trustDomain != "cluster.local" }
                principal.trustDomain = "cluster.local"
            forbid mesh/no-excess-scopes  mesh/tokens.cedar:15
              when { !principal.token.isUser }
                principal.token.isUser = true

          also in scope, but not satisfied: mesh/health-probes
    "#]]
    .assert_eq(&run.stdout);
}

#[test]
fn a_recorded_check_is_read_as_the_server_reads_it() {
    let check = r#"{"attributes": {
        "source": {"principal": "spiffe://cluster.local/ns/web/sa/frontend"},
        "request": {"http": {"method": "GET", "path": "/v1/orders/7", "host": "orders.shop.svc.cluster.local"}},
        "contextExtensions": {"service": "shop/orders"}
    }}"#;
    let run = explain(check, &["-o", "json"]).ends_with(0);
    let explained = run.json();
    assert_eq!(explained["decision"], "allow");
    assert_eq!(explained["policies"], serde_json::json!(["shop/storefront-reads"]));
    assert_eq!(explained["query"]["action"], "GET");
    // A path with two readings ends before anything is asked.
    let run = explain(&check.replace("/v1/orders/7", "/v1//orders"), &["-o", "json"]).ends_with(5);
    assert_eq!(run.json()["reason"], "path_refused");
}

#[test]
fn an_invalid_call_file_is_an_error_with_its_place() {
    let run = explain("{request: {metod: GET}}", &[]).ends_with(3);
    assert!(
        run.stderr.contains("unknown key `metod`") && run.stderr.contains("did you mean `method`?"),
        "{}",
        run.stderr
    );
    explain("{}", &[]).ends_with(3);
    explain("{request: {}}", &["--profile", "edge"]).ends_with(3);
}

#[test]
fn a_profile_without_a_token_source_does_not_read_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("picket.yaml");
    std::fs::write(&config, "policies: {dir: policies}\n").unwrap();
    let call = "
caller: {spiffe: spiffe://cluster.local/ns/pay/sa/backoffice, token: {sub: alice, client_id: desk, scope: 'refunds:read'}}
request: {service: pay/billing, path: /v1/refunds/7}
";
    let run = explain(call, &["-o", "json", "--config", config.to_str().unwrap()]).ends_with(5);
    assert_eq!(run.json()["decision"], "challenge");
    assert!(run.json()["query"]["principal"]["attributes"].get("token").is_none());
}

#[test]
fn an_unreachable_server_is_a_failure_of_its_own() {
    // Port 0 is nobody's.
    let run = picket_in(&root(), &["explain", "--live", "127.0.0.1:0", "--call", "-"], "{request: {}}").ends_with(1);
    assert!(run.stderr.contains("could not query `127.0.0.1:0`"), "{}", run.stderr);
}

#[test]
fn keys_that_a_running_server_never_gets_are_rejected_by_name() {
    let rows = [
        ("token", "{caller: {token: {sub: a}}, request: {}}"),
        ("task", "{caller: {task: {txn: a}}, request: {}}"),
        ("proof", "{caller: {spiffe: 'spiffe://a/b', proof: xfcc}, request: {}}"),
        ("facts", "{facts: {call: {a: 1}}, request: {}}"),
        ("approval", "{approval: {}, request: {}}"),
        ("trust_domain", "{trust_domain: prod.example, request: {}}"),
        ("now", "{now: '2026-01-01T00:00:00Z', request: {}}"),
        ("message", "{grpc: {method: a.B/C, message: {a: 1}}}"),
    ];
    for (key, call) in rows {
        let run = picket_in(&root(), &["explain", "--live", "127.0.0.1:0", "--call", "-"], call).ends_with(1);
        assert!(run.stderr.starts_with(&format!("`{key}` cannot be given with --live: ")), "{}", run.stderr);
    }
}

#[test]
fn an_invalid_or_foreign_trust_domain_is_rejected_with_its_reason() {
    let call = "trust_domain: Not A Domain\nrequest: {service: shop/orders}\n";
    let run = explain(call, &[]).ends_with(3);
    assert!(
        run.stderr.contains("has the `trust_domain` `Not A Domain`, which is not a valid trust domain"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("such as `prod.example`") && run.stderr.contains(":1:15"), "{}", run.stderr);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("picket.yaml");
    std::fs::write(&config, "policies: {dir: policies}\n").unwrap();
    let with = |domain: &str| {
        let call = format!("{{trust_domain: {domain}, request: {{service: shop/orders}}}}");
        explain(&call, &["--config", config.to_str().unwrap()])
    };
    let run = with("prod.example").ends_with(3);
    assert!(run.stderr.contains("the call has the `trust_domain` `prod.example`"), "{}", run.stderr);
    with("cluster.local").ends_with(5);
}

#[test]
fn no_explanation_shows_a_secret_of_a_header_or_query_or_its_expected_value() {
    const POLICIES: &str = r#"
@id("key") permit (principal, action == Action::"GET", resource)
        when { context.http.headers.hasTag("x-role") && context.http.headers.getTag("x-role") == "s3cret-a" };
        @id("keys") permit (principal, action == Action::"GET", resource)
        when { context.http.headers.hasTag("x-role") && ["s3cret-b", "s3cret-c"].contains(context.http.headers.getTag("x-role")) };
        @id("pattern") permit (principal, action == Action::"GET", resource)
        unless { context.http.query.hasTag("key") && !(context.http.query.getTag("key") like "s3cret-*") };
        @id("query") permit (principal, action == Action::"GET", resource)
        when { context.http.query.hasTag("key") && context.http.query.getTag("key") == "s3cret-e" };
        @id("either") permit (principal, action == Action::"GET", resource)
        when { (if principal is Workload then context.http.query else context.http.headers).hasTag("x-role")
            && (if principal is Workload then context.http.query else context.http.headers).getTag("x-role") == "s3cret-f" };
        @id("overflow") permit (principal, action == Action::"GET", resource)
        when { context.http.query.hasTag("n") && context.http.query.getTag("n") == "wr0ng-n" && 9223372036854775807 + 1 > 2 };
        @id("plain") permit (principal, action == Action::"GET", resource) when { context.http.path == "/shown" };
    "#;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("namespaces/shop")).unwrap();
    std::fs::create_dir_all(dir.path().join("mesh")).unwrap();
    std::fs::write(dir.path().join("catalog.yaml"), "services: [{id: shop/orders}]\n").unwrap();
    std::fs::write(dir.path().join("namespaces/shop/a.cedar"), POLICIES).unwrap();
    let call = "{request: {service: shop/orders, path: '/v1?key=wr0ng-q&n=wr0ng-n', headers: {x-role: wr0ng-h}}}";
    for output in ["text", "json"] {
        let arguments = ["explain", "--policies", dir.path().to_str().unwrap(), "--call", "-", "-o", output];
        let run = picket_in(&root(), &arguments, call).ends_with(5);
        for hidden in ["s3cret", "wr0ng"] {
            assert!(!run.stdout.contains(hidden), "`{hidden}` is shown as {output}:\n{}", run.stdout);
        }
        for shown in ["x-role", "***", "/shown", "shop/either", "shop/overflow", "shop/pattern"] {
            assert!(run.stdout.contains(shown), "`{shown}` is missing as {output}:\n{}", run.stdout);
        }
    }
}
