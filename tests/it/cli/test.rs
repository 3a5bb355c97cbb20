//! `picket test`.

use super::{picket, picket_in, tree};

const PERMIT: &str = r#"@id("read") permit (principal in Group::"storefront", action == Action::"GET", resource in Path::"shop/orders/v1");"#;

/// Runs one suite's tests over [`PERMIT`].
fn run(tests: &str, more: &[&str]) -> super::Run {
    let suite = format!(
        "suite: s\nfixtures:\n  callers:\n    web: {{spiffe: spiffe://cluster.local/ns/web/sa/frontend}}\n    nobody: {{unauthenticated: true}}\ntests:\n{tests}"
    );
    let dir = tree(&[("namespaces/shop/a.cedar", PERMIT), ("tests/s_test.yaml", &suite)]);
    let mut arguments = vec!["test", "--policies", "."];
    arguments.extend(more);
    picket_in(dir.path(), &arguments, "")
}

#[test]
fn the_shipped_policies_pass_and_nearly_all_hold_somewhere() {
    let run = picket(&["test", "--policies", "policies", "--coverage", "-o", "json"]).ends_with(0);
    let report = run.json();
    assert_eq!((&report["failed"], &report["skipped"]), (&0.into(), &0.into()));
    // The first needs a profile with a second trust domain, the second a response hook.
    assert_eq!(report["coverage"]["never_held"], serde_json::json!(["mesh/home-domain-only", "mesh/release"]));
}

#[test]
fn a_run_without_a_test_is_an_error() {
    let empty = tree(&[]);
    let run = picket_in(empty.path(), &["test", "--policies", "."], "").ends_with(4);
    assert!(run.stderr.contains("no test was run"), "{}", run.stderr);
    let skipped = "  - {name: a, request: {service: shop/orders}, expect: {decision: deny}, skip: later}\n";
    self::run(skipped, &[]).ends_with(4);
}

#[test]
fn a_failing_test_shows_the_difference_and_its_cause() {
    let tests = "  - {name: a, caller: nobody, request: {service: shop/orders, path: /v1/x}, expect: {decision: allow, status: 200}}\n";
    let run = run(tests, &[]).ends_with(4);
    for part in ["FAIL  a", "decision: expected allow, got deny", "status: expected 200, got 403", "| DENY  no_permit"]
    {
        assert!(run.stdout.contains(part), "`{part}` is missing in:\n{}", run.stdout);
    }
    assert!(run.stdout.contains(r#"principal in Group::"storefront""#), "{}", run.stdout);
    assert!(run.stdout.ends_with("0 passed, 1 failed, 0 skipped\n"), "{}", run.stdout);
}

/// One test each, and what the failure says.
const FAILING: &[(&str, &str)] = &[
    ("{decision: allow, reason: no_permit}", "reason: expected no_permit, got policy_permit"),
    ("{decision: allow, policies: [reed]}", "there is no policy `reed`; did you mean `read`?"),
    ("{decision: allow, headers: {set: {x-a: '1'}}}", "request header `x-a`: expected `1`, got `nothing`"),
    ("{decision: allow, headers: {remove: [x-a]}}", "request header `x-a` is not removed"),
    ("{decision: allow, challenge: x}", "challenge: expected `x`, got none"),
    ("{decision: allow, errors: 1}", "policies that failed to evaluate: expected 1, got 0"),
    ("{decision: allow, would_be: deny}", "would be: expected deny, got allow"),
    ("{decision: challenge}", "decision: expected challenge, got allow"),
];

#[test]
fn every_expectation_can_fail() {
    for (expect, message) in FAILING {
        let test =
            format!("  - {{name: a, caller: web, request: {{service: shop/orders, path: /v1/x}}, expect: {expect}}}\n");
        let run = run(&test, &[]).ends_with(4);
        assert!(run.stdout.contains(message), "`{message}` is missing in:\n{}", run.stdout);
    }
}

#[test]
fn a_matrix_denies_every_unlisted_cell_and_a_typo_proves_nothing() {
    let matrix = |service: &str, allow: &str| {
        format!(
            "  - name: m\n    request: {{service: {service}}}\n    matrix: {{caller: [web, nobody], path: [/v1/x, /x]}}\n    expect_allow: [{allow}]\n"
        )
    };
    run(&matrix("shop/orders", "{caller: web, path: /v1/x}"), &[]).ends_with(0);
    let missed = run(&matrix("shop/orders", ""), &[]).ends_with(4);
    assert!(missed.stdout.contains("FAIL  m [caller=web, path=/v1/x]"), "{}", missed.stdout);
    let typo = run(&matrix("shop/order", ""), &[]).ends_with(4);
    assert!(typo.stdout.contains("expected deny, got no verdict (unmapped)"), "{}", typo.stdout);
}

/// Suites that do not parse, and their problems.
const UNREADABLE: &[(&str, &str)] = &[
    ("  - {name: a, reqest: {}, expect: {decision: deny}}\n", "did you mean `request`?"),
    ("  - {name: a, request: {servce: x}, expect: {decision: deny}}\n", "did you mean `service`?"),
    ("  - {name: a, caller: wob, request: {}, expect: {decision: deny}}\n", "did you mean `web`?"),
    ("  - {name: a, request: {}, expect: {decision: deny, reason: no_permits}}\n", "did you mean `no_permit`?"),
    ("  - {name: a, request: {}}\n", "expects nothing"),
    ("  - {name: a, expect: {decision: deny}}\n", "one of `request`, `grpc`, `mcp` and `check_request`"),
    ("  - {request: {}, expect: {decision: deny}}\n", "a test has no `name`"),
    ("  - {name: a, check_request: none.json, expect: {decision: deny}}\n", "could not read"),
    ("  - {matrix: {path: [/a]}, expect_allow: [{path: /b}]}\n", "no cell of the matrix has the path `/b`"),
    ("  - {name: a, now: noon, request: {}, expect: {decision: deny}}\n", "`noon` is not a time"),
    ("  - {name: a, request: {}, matrix: {arguments: ['{}']}}\n", "an HTTP request has no `arguments`"),
    ("  - {name: a, grpc: {method: a.B/C}, matrix: {tool: [t]}}\n", "a gRPC call has no `tool`"),
    ("  - {name: a, request: {}, expect: {decision: deny}}\ntrust_domain: 'A b'\n", "`A b` is not a trust domain"),
];

#[test]
fn a_suite_with_a_mistake_is_refused_with_a_hint() {
    for (tests, message) in UNREADABLE {
        let run = run(tests, &[]).ends_with(3);
        assert!(run.stderr.contains(message), "`{message}` is missing in:\n{}", run.stderr);
    }
}

#[test]
fn policies_that_do_not_load_are_not_tested() {
    let dir = tree(&[("namespaces/shop/a.cedar", "permit (")]);
    picket_in(dir.path(), &["test", "--policies", "."], "").ends_with(3);
}

#[test]
fn build_servers_get_xml_and_fail_fast_stops() {
    let two = "  - {name: a, request: {service: shop/orders}, expect: {decision: allow}}\n  - {name: b, request: {service: shop/orders}, expect: {decision: allow}}\n";
    let xml = run(two, &["-o", "junit"]).ends_with(4).stdout;
    assert!(xml.contains(r#"tests="2" failures="2""#) && xml.contains("<failure message="), "{xml}");
    let fast = run(two, &["--fail-fast", "-o", "json"]).ends_with(4);
    assert_eq!(fast.json()["tests"].as_array().unwrap().len(), 1);
    let filtered = run(two, &["--filter", "b", "-o", "json"]).ends_with(4);
    assert_eq!(filtered.json()["tests"][0]["name"], "b");
}

#[test]
fn a_given_fact_without_a_type_is_rejected_as_a_fetched_one() {
    let tests = "  - name: a\n    caller: web\n    request: {service: shop/orders, path: /v1/x}\n    facts: {principal: {team: web}}\n    expect: {decision: error, reason: entities_unavailable}\n";
    // Without a type for it in facts.cedarschema, a fact does not fit.
    run(tests, &[]).ends_with(0);
}

#[test]
fn a_given_approval_is_the_one_that_policies_see_and_its_gaps_open_nothing() {
    let policy = r#"@id("approved") permit (principal, action == Action::"POST", resource)
                    when { context has approval && context.approval.state == "approved" && context.approval.matchesAction
                           && !context.approval.selfApproved && !context.approval.used
                           && context.approval.notBefore <= context.env.now && context.env.now <= context.approval.notAfter };"#;
    let good = [
        "state: approved",
        "requested_by: ana",
        "approved_by: [lee]",
        "not_before: -1h",
        "not_after: +1h",
        "matches_action: true",
    ];
    let mut suite = "suite: s\ntests:\n".to_owned();
    let mut test = |name: &str, fields: &[&str], decision: &str| {
        let (approval, request) = (fields.join(", "), "{service: shop/orders, method: POST}");
        suite += &format!(
            "  - {{name: {name}, request: {request}, approval: {{{approval}}}, expect: {{decision: {decision}}}}}\n"
        );
    };
    test("good", &good, "allow");
    for without in 0..good.len() {
        // The requester matters only if a person of that name approved.
        if without != 1 {
            let fields: Vec<&str> = good.iter().copied().filter(|field| *field != good[without]).collect();
            test(&format!("without {without}"), &fields, "deny");
        }
    }
    test("used", &[&good[..], &["used: true"]].concat(), "deny");
    suite += "  - {name: none, request: {service: shop/orders, method: POST}, expect: {decision: deny}}\n";
    let dir = tree(&[("namespaces/shop/a.cedar", policy), ("tests/s_test.yaml", &suite)]);
    let run = picket_in(dir.path(), &["test", "--policies", "."], "").ends_with(0);
    assert!(run.stdout.contains("8 passed, 0 failed"), "{}", run.stdout);
}

#[test]
fn a_bridge_opens_a_namespace_and_the_would_be_verdict_is_the_shadow_policies() {
    let bridge = r#"@id("watch") @bridge permit (principal, action in Action::"any", resource in Namespace::"shop");"#;
    let suite = "
suite: roll-out
fixtures: {callers: {web: {spiffe: spiffe://cluster.local/ns/web/sa/frontend}}}
tests:
  - {name: open, request: {service: shop/orders, path: /v1/x}, expect: {decision: allow, policies: [watch], would_be: deny}}
  - {name: kept, caller: web, request: {service: shop/orders, path: /v1/x}, expect: {decision: allow, would_be: allow}}
";
    let dir = tree(&[
        ("mesh/bridge.cedar", bridge),
        ("namespaces/shop/a.cedar", PERMIT),
        ("manifest.yaml", "modes: {namespaces/shop: shadow}\n"),
        ("tests/s_test.yaml", suite),
    ]);
    picket_in(dir.path(), &["test", "--policies", "."], "").ends_with(0);
}

#[test]
fn a_recorded_check_lies_beside_its_suite() {
    let check = r#"{"attributes": {"source": {"principal": "spiffe://cluster.local/ns/web/sa/frontend"},
        "request": {"http": {"method": "GET", "path": "/v1/x", "host": "orders.shop"}},
        "contextExtensions": {"service": "shop/orders"}}}"#;
    let suite = "suite: s\ntests: [{name: a, check_request: recorded.json, expect: {decision: allow, status: 200}}]\n";
    let dir =
        tree(&[("namespaces/shop/a.cedar", PERMIT), ("tests/s_test.yaml", suite), ("tests/recorded.json", check)]);
    picket_in(dir.path(), &["test", "--policies", "."], "").ends_with(0);
}

/// Lets calls of tools by where they come from and by one argument.
const TOOLS: &str = r#"@id("tools") permit (principal in Namespace::"web", action == Action::"mcp.tools.call", resource)
                       when { context.numbers.hasTag("/n") && context.numbers.getTag("/n") == 1000 };"#;

#[test]
fn arguments_are_sent_as_they_are_written_and_a_matrix_varies_them() {
    let suite = r#"
suite: tools
fixtures: {callers: {web: {spiffe: spiffe://cluster.local/ns/web/sa/frontend}}}
tests:
  - name: by mapping
    caller: web
    mcp: {service: agents/tools, tool: t, arguments: {n: 1000}}
    expect: {decision: allow}
  - name: without any
    caller: web
    mcp: {service: agents/tools, tool: t}
    expect: {decision: deny}
  - name: no mapping
    caller: web
    mcp: {service: agents/tools, tool: t, arguments: [1000]}
    expect: {decision: error, reason: message_refused}
  - name: a doubled key arrives doubled
    caller: web
    mcp: {service: agents/tools, tool: t, arguments: '{"n": 1000, "n": 1}'}
    expect: {decision: error, reason: body_refused}
  - name: a matrix
    caller: web
    mcp: {service: agents/tools, arguments: '{"n": 1}'}
    matrix: {tool: [t, u], arguments: ['{"n": 1000}', '{"n": 1e3}', '{"n": 1001}', '{"n": "1000"}']}
    expect_allow:
      - {arguments: ['{"n": 1000}', '{"n": 1e3}']}
"#;
    let dir = tree(&[("namespaces/agents/a.cedar", TOOLS), ("tests/s_test.yaml", suite)]);
    let run = picket_in(dir.path(), &["test", "--policies", "."], "").ends_with(0);
    assert!(run.stdout.contains("12 passed"), "{}", run.stdout);
}

#[test]
fn a_suite_names_its_home_unless_a_configuration_does() {
    let suite = r#"
suite: tools
trust_domain: prod.example
fixtures:
  callers:
    home: {spiffe: spiffe://prod.example/ns/web/sa/frontend}
    abroad: {spiffe: spiffe://cluster.local/ns/web/sa/frontend}
tests:
  - {name: home, caller: home, mcp: {service: agents/tools, tool: t, arguments: {n: 1000}}, expect: {decision: allow}}
  - {name: abroad, caller: abroad, mcp: {service: agents/tools, tool: t, arguments: {n: 1000}}, expect: {decision: error, reason: trust_domain_refused}}
"#;
    let config = "profiles: {default: {identity: {home_trust_domain: cluster.local}}}\n";
    let files = [("namespaces/agents/a.cedar", TOOLS), ("tests/s_test.yaml", suite)];
    let dir = tree(&files);
    picket_in(dir.path(), &["test", "--policies", "."], "").ends_with(0);
    let own = dir.path().join("tests/picket.yaml");
    std::fs::write(&own, config).unwrap();
    let run = picket_in(dir.path(), &["test", "--policies", ".", "--config", "tests/picket.yaml"], "").ends_with(4);
    assert!(run.stdout.contains("0 passed, 2 failed"), "{}", run.stdout);
}

#[test]
fn a_grpc_message_is_written_by_its_names_and_sent_as_a_client_would() {
    let policy = r#"@id("small") permit (principal, action == Action::"grpc.call", resource)
when { context has fields && context has numbers && context.fields.hasTag("/order_id") && context.fields.getTag("/order_id") == "o-1"
       && context.numbers.hasTag("/amount/units") && context.numbers.getTag("/amount/units") < 100 };"#;
    let catalog = "services: [{id: shop/refunds, protocol: grpc, grpc: {descriptors: orders.binpb}}, {id: shop/plain, protocol: grpc}]";
    let grpc =
        |service: &str, message: &str| format!("grpc: {{service: {service}, method: shop.v1.Orders/Refund{message}}}");
    let full = r#", message: {order_id: o-1, amount: {units: "99"}, reason: LATE, items: [{sku: a}], labels: {x: {}}, receipt: AA==, flags: {true: y}}"#;
    let run = |call: &str, decision: &str| {
        let suite = format!("suite: s\ntests:\n  - {{name: a, {call}, expect: {{decision: {decision}}}}}\n");
        let files = [("catalog.yaml", catalog), ("namespaces/shop/a.cedar", policy), ("tests/s_test.yaml", &suite)];
        let dir = tree(&files);
        std::fs::create_dir(dir.path().join("descriptors")).unwrap();
        std::fs::write(dir.path().join("descriptors/orders.binpb"), crate::grpc::set("orders.proto")).unwrap();
        picket_in(dir.path(), &["test", "--policies", "."], "")
    };
    run(&grpc("shop/refunds", full), "allow").ends_with(0);
    run(&grpc("shop/refunds", &full.replace("99", "100")), "deny").ends_with(0);
    run(&grpc("shop/refunds", ""), "deny").ends_with(0);
    for (call, message) in [
        (grpc("shop/refunds", ", message: {order: o-1}"), "`shop.v1.RefundRequest` has no field `order`"),
        (
            grpc("shop/refunds", ", message: {amount: {units: 1.5}}"),
            "`1.5` is not a value of field `shop.v1.Money.units`",
        ),
        (grpc("shop/refunds", ", message: {reason: SOON}"), "is not a value of field `shop.v1.RefundRequest.reason`"),
        (grpc("shop/plain", ", message: {}"), "`message` needs a descriptor set"),
    ] {
        let run = run(&call, "deny");
        assert!(
            run.code != 0 && format!("{}{}", run.stdout, run.stderr).contains(message),
            "{message}: {}{}",
            run.stdout,
            run.stderr
        );
    }
}
