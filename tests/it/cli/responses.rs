//! Responses in the suites of `picket test`.

use super::{picket_in, tree};

const DETECTORS: &str = "detectors: {incident: {pattern: 'INC-[0-9]{4}'}}\n";
const POLICIES: &str = r#"
@id("read") permit (principal, action == Action::"GET", resource);
@id("answers") permit (principal, action == Action::"release", resource);
@id("hide") @remedy("mask") @mask("incident")
forbid (principal, action == Action::"release", resource) when { context.found.contains("incident") };
@id("read-all") forbid (principal, action == Action::"release", resource) unless { context.inspected };
"#;

/// Policies that mask, and one suite with a test for each response and expectation.
fn respond(tests: &[(&str, &str)]) -> super::Run {
    let mut suite = "suite: s\ntests:\n".to_owned();
    for (number, (response, expect)) in tests.iter().enumerate() {
        let request = "request: {service: shop/orders, path: /v1/x}";
        let response = if response.is_empty() { String::new() } else { format!("response: {response}, ") };
        suite += &format!("  - {{name: t{number}, {request}, {response}expect: {expect}}}\n");
    }
    let files = [("mesh/a.cedar", POLICIES), ("detectors.yaml", DETECTORS), ("tests/s_test.yaml", &suite)];
    picket_in(tree(&files).path(), &["test", "--policies", ".", "--coverage"], "")
}

/// A response, and what it is expected to be.
const RESPONSES: &[(&str, &str)] = &[
    (
        "{body: {a: INC-0042}}",
        "{decision: allow, response: {outcome: masked, body: {a: '[incident]'}, findings: {incident: 1}}}",
    ),
    (
        "{events: [{data: INC-00}, {data: x}]}",
        "{decision: allow, response: {outcome: released, events: [{data: INC-00}, {data: x}]}}",
    ),
    (
        "{body: 'INC-0042', cuts: [3], headers: {content-type: text/plain}}",
        "{decision: allow, response: {outcome: masked, body: '[incident]'}}",
    ),
    (
        "{body: 'INC-0042', cuts: 2, headers: {content-type: text/plain}}",
        "{decision: allow, response: {outcome: masked, policies: [hide]}}",
    ),
    (
        "{status: 404, body: x}",
        "{decision: allow, response: {outcome: refused, status: 403, reason: policy_forbid, policies: [mesh/read-all]}}",
    ),
    ("{status: 204}", "{decision: allow, response: {outcome: released, status: 204, body: ''}}"),
];

#[test]
fn a_response_is_evaluated_after_its_call() {
    let run = respond(RESPONSES).ends_with(0);
    assert!(run.stdout.contains("6 passed") && !run.stdout.contains("never held"), "{}", run.stdout);
}

const LISTS: &str = r#"
@id("use") permit (principal, action == Action::"mcp.server.use", resource);
@id("read") permit (principal, action == Action::"mcp.tools.call", resource == Tool::"desk/tools/read");
@id("answers") permit (principal, action == Action::"release", resource);
"#;
const LIST: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"},{"name":"write"}],"cacheScope":"public"}}"#;
const LEFT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"}],"cacheScope":"private"}}"#;

#[test]
fn a_list_is_filtered_for_the_caller() {
    let suite = format!(
        "suite: s\ntests:\n  - name: t\n    mcp: {{service: desk/tools, method: tools/list}}\n    response: {{body: '{LIST}', headers: {{content-type: application/json}}}}\n    expect: {{decision: allow, response: {{outcome: filtered, dropped: 1, body: '{LEFT}'}}}}\n"
    );
    let wrong = suite.replace("dropped: 1", "dropped: 2");
    for (suite, exit) in [(&suite, 0), (&wrong, 4)] {
        let files = [("mesh/a.cedar", LISTS), ("catalog.yaml", TOOLS), ("tests/s_test.yaml", suite)];
        let run = picket_in(tree(&files).path(), &["test", "--policies", "."], "").ends_with(exit);
        assert_eq!(run.stdout.contains("dropped entries: expected 2, got 1"), exit == 4, "{}", run.stdout);
    }
    let files = tree(&[("mesh/a.cedar", LISTS), ("catalog.yaml", TOOLS)]);
    let call = ["--as", "spiffe://cluster.local/ns/a/sa/b", "--service", "desk/tools", "--action", "mcp.server.use"];
    let arguments = [&["mask", "--policies", "."][..], &call, &["--resource", "tools/list", "-"]].concat();
    let run = picket_in(files.path(), &arguments, LIST).ends_with(0);
    assert_eq!(run.stdout, LEFT);
    assert!(
        run.stderr.contains("filtered, status 200\n") && run.stderr.contains("dropped: 1 entries"),
        "{}",
        run.stderr
    );
}

const TOOLS: &str = "services: [{id: desk/tools, protocol: mcp, tools: {read: {}, write: {}}}]";

/// Expectations of `{body: {a: INC-0042}}`, and what the failure says.
const FAILING_RESPONSES: &[(&str, &str)] = &[
    ("{outcome: released}", "response's outcome: expected released, got masked"),
    ("{outcome: refused, reason: policy_forbid}", "response's reason: expected policy_forbid, got none"),
    ("{outcome: masked, status: 403}", "response's status: expected 403, got 200"),
    ("{outcome: masked, findings: {}}", "response's findings: expected [], got [incident 1]"),
    ("{outcome: masked, body: {a: b}}", r#"expected `{"a":"b"}`, got `{"a":"[incident]"}`"#),
    ("{outcome: masked, body: '{}'}", "response's body: expected `{}`"),
    ("{outcome: masked, events: [{data: a}]}", "response's body: expected `data: a"),
    ("{outcome: masked, contains: [INC]}", "`INC` is missing in"),
    ("{outcome: masked, absent: [incident]}", "`incident` is in"),
    ("{outcome: masked, policies: [read-all]}", "policy `read-all` did not decide the response"),
    ("{outcome: masked, policies: [hid]}", "there is no policy `hid`; did you mean `hide`?"),
];

#[test]
fn every_expectation_of_a_response_can_fail() {
    let expectations: Vec<String> =
        FAILING_RESPONSES.iter().map(|(expect, _)| format!("{{decision: allow, response: {expect}}}")).collect();
    let tests: Vec<_> = expectations.iter().map(|expect| ("{body: {a: INC-0042}}", expect.as_str())).collect();
    let run = respond(&tests).ends_with(4);
    for (expect, message) in FAILING_RESPONSES {
        assert!(run.stdout.contains(message), "{expect}: `{message}` is missing in:\n{}", run.stdout);
    }
    assert!(run.stdout.contains("0 passed, 11 failed"), "{}", run.stdout);
}

/// Responses and expectations that do not parse, and their problems.
const UNREADABLE_RESPONSES: &[(&str, &str, &str)] = &[
    ("{boddy: a}", "{decision: allow, response: {outcome: masked}}", "did you mean `body`?"),
    ("{body: a, events: []}", "{decision: allow, response: {outcome: masked}}", "one of `body` and `events`"),
    ("{body: a, cuts: 0}", "{decision: allow, response: {outcome: masked}}", "a size above 0"),
    ("{body: a, cuts: [9]}", "{decision: allow, response: {outcome: masked}}", "ascending places in the 1 bytes"),
    ("{body: a}", "{decision: allow}", "expects nothing of it"),
    ("{body: a}", "{decision: allow, response: {outcome: maskd}}", "masked"),
    (
        "{body: a}",
        "{decision: allow, response: {outcome: masked, reason: x}}",
        "only a response with the outcome `refused`",
    ),
    ("{body: a}", "{decision: allow, response: {outcome: masked, absent: ['']}}", "an empty one is in every body"),
    ("{body: a}", "{decision: allow, response: {outcome: masked, body: a, events: []}}", "one of `body` and `events`"),
];

#[test]
fn a_response_with_a_mistake_is_refused_with_a_hint() {
    for (response, expect, message) in UNREADABLE_RESPONSES {
        let run = respond(&[(response, expect)]).ends_with(3);
        assert!(run.stderr.contains(message), "`{message}` is missing in:\n{}", run.stderr);
    }
    let alone = respond(&[("", "{decision: allow, response: {outcome: masked}}")]).ends_with(3);
    assert!(alone.stderr.contains("needs a `response`"), "{}", alone.stderr);
}

#[test]
fn a_denied_call_has_no_response_to_expect() {
    let suite = "suite: s\ntests:\n  - {name: a, request: {service: shop/orders, method: POST}, response: {body: a}, expect: {decision: deny, response: {outcome: refused}}}\n";
    let dir = tree(&[("mesh/a.cedar", POLICIES), ("detectors.yaml", DETECTORS), ("tests/s_test.yaml", suite)]);
    let run = picket_in(dir.path(), &["test", "--policies", "."], "").ends_with(4);
    assert!(run.stdout.contains("the call is not allowed (deny, no_permit), so no service"), "{}", run.stdout);
}
