//! `picket mask`.

use super::{picket_in, tree};

const DETECTORS: &str = "detectors: {incident: {pattern: 'INC-[0-9]{4}'}}\n";
const CATALOG: &str = "
services:
  - {id: shop/pages}
  - {id: agents/tools, protocol: mcp, mcp: {versions: ['2025-06-18']}, tools: {read: {}}}
workloads: [{id: 'spiffe://cluster.local/ns/web/sa/frontend'}]
";
const POLICIES: &str = r#"
@id("calls") permit (principal is Workload, action in Action::"any", resource);
@id("answers") permit (principal, action == Action::"release", resource);
@id("hide") @remedy("mask") @mask("incident")
forbid (principal, action == Action::"release", resource) when { context.found.contains("incident") };
@id("read-all") forbid (principal, action == Action::"release", resource) unless { context.inspected };
"#;
const CALLER: &str = "spiffe://cluster.local/ns/web/sa/frontend";

fn mask(arguments: &[&str], body: &str) -> super::Run {
    let dir = tree(&[("catalog.yaml", CATALOG), ("detectors.yaml", DETECTORS), ("mesh/a.cedar", POLICIES)]);
    let mut all = vec!["mask", "--policies", "."];
    all.extend(arguments);
    all.push("-");
    picket_in(dir.path(), &all, body)
}

fn page(more: &[&str], body: &str) -> super::Run {
    mask(&[&["--as", CALLER, "--service", "shop/pages"][..], more].concat(), body)
}

#[test]
fn what_leaves_is_on_standard_output_and_the_findings_are_names() {
    let run = page(&[], "INC-0042, INC-0043\n").ends_with(0);
    assert_eq!(run.stdout, "[incident], [incident]\n");
    assert_eq!(run.stderr, "masked, status 200\nfindings: incident 2\npolicies: mesh/answers, mesh/hide\n");
    let run = page(&["--status", "404"], "nothing\n").ends_with(0);
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("nothing\n", "released, status 404\npolicies: mesh/answers\n")
    );
}

#[test]
fn a_refused_response_has_an_exit_code_of_its_own_and_leaves_nothing() {
    let run = page(&["--content-type", "image/png"], "INC-0042").ends_with(5);
    assert!(run.stderr.starts_with("refused (policy_forbid), status 403\n"), "{}", run.stderr);
    assert!(!run.stdout.contains("INC"), "{}", run.stdout);
    let run = page(&["--content-encoding", "gzip"], "INC-0042").ends_with(5);
    assert!(run.stderr.starts_with("refused (undecodable)"), "{}", run.stderr);
    let run = page(&["-o", "json", "--content-type", "image/png"], "INC-0042").ends_with(5).json();
    assert_eq!((&run["outcome"], &run["replaced"]), (&"refused".into(), &true.into()));
}

#[test]
fn a_denied_call_has_no_response() {
    let run = mask(&["--as", "spiffe://other.domain/ns/web/sa/x", "--service", "shop/pages"], "a").ends_with(5);
    assert!(run.stderr.contains("so no service answers it") && run.stdout.is_empty(), "{}", run.stderr);
}

#[test]
fn a_stream_answers_the_request_of_its_id() {
    let body = "data: {\"jsonrpc\":\"2.0\",\"id\":\"a7\",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"INC-0042\"}]}}\n\n";
    let run = mask(&["--as", CALLER, "--service", "agents/tools"], body).ends_with(0);
    assert_eq!(run.stdout, body.replace("INC-0042", "[incident]"));
}

#[test]
fn a_call_file_replaces_the_flags() {
    let dir = tree(&[
        ("catalog.yaml", CATALOG),
        ("detectors.yaml", DETECTORS),
        ("mesh/a.cedar", POLICIES),
        ("tests/call.yaml", &format!("caller: {{spiffe: '{CALLER}'}}\nrequest: {{service: shop/pages, path: /a}}\n")),
    ]);
    let run =
        picket_in(dir.path(), &["mask", "--policies", ".", "--call", "tests/call.yaml", "-"], "INC-0042").ends_with(0);
    assert_eq!(run.stdout, "[incident]");
    picket_in(dir.path(), &["mask", "--policies", ".", "--call", "tests/call.yaml", "--as", CALLER, "-"], "")
        .ends_with(2);
}

#[test]
fn a_mistake_is_an_error_with_a_hint() {
    let run = mask(&["--as", CALLER, "--service", "shop/page"], "a").ends_with(3);
    assert!(run.stderr.contains("did you mean `shop/pages`?"), "{}", run.stderr);
    let run = page(&["--action", "PSOT"], "a").ends_with(3);
    assert!(run.stderr.contains("did you mean `POST`?"), "{}", run.stderr);
    mask(&["--service", "shop/pages"], "a").ends_with(2);
}
