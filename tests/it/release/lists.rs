//! Lists of MCP in responses: an entry leaves only if some call of the caller could use it.

use std::fmt::Write as _;
use std::time::Duration;

use picket::check::response::{EntryFilter, Outcome, ResponseChecker};
use picket::check::response_phase::{
    Begin, Content, Ending, Guard, HeadRelease, Progress, ResponseHead, ResponsePhase as _,
};
use picket::query::{Node, Uid};
use picket::response::format::lists::{Choice, ListKind};
use tokio::time::Instant;

use super::bench::{Bench, mcp, phase, posted, resumed};
use crate::harness::{Check, said};
use crate::support::NOW;

const RELEASE: &str = r#"@id("release") permit (principal, action == Action::"release", resource);"#;
const SERVER: &str = r#"@id("server") permit (principal, action == Action::"mcp.server.use", resource);"#;
const READ: &str = r#"@id("read") permit (principal in Group::"storefront", action == Action::"mcp.tools.call", resource)
when { resource.name == "read" || (resource.name == "args" && context.args.hasTag("/id")) };"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"write","x":1}, {"name":"read", "x":1e3},{"name":"args"},{"name":"other"}],"nextCursor":"c2"}}"#;
const FILTERED: &str =
    r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"read", "x":1e3},{"name":"args"}],"nextCursor":"c2"}}"#;

fn tools() -> Check {
    mcp("tools/list", "{}")
}

/// A response as the edge sees it.
struct Sent<'a> {
    status: u16,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const EVENTS: &[(&str, &str)] = &[("content-type", "text/event-stream")];

fn json(body: &str) -> Sent<'_> {
    Sent { status: 200, headers: JSON, body }
}

fn events(body: &str) -> Sent<'_> {
    Sent { status: 200, headers: EVENTS, body }
}

fn head(record: Option<String>, sent: &Sent<'_>) -> ResponseHead {
    let headers = sent.headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    ResponseHead {
        record,
        proxy: None,
        status: sent.status,
        headers,
        code_details: Some("via_upstream".to_owned()),
        content: Content::Follows,
        received_at: NOW,
    }
}

/// What leaves of a response, or the reason of the denial in its place.
async fn answered(checker: &ResponseChecker, record: Option<String>, sent: &Sent<'_>) -> String {
    let responses = phase(checker.clone());
    let mut reading = match responses.begin(head(record, sent), Instant::now() + Duration::from_secs(30)).await {
        Begin::Pass => return format!("passes: {}", sent.body),
        Begin::Release => return sent.body.to_owned(),
        Begin::Watch(..) => panic!("no policy is in shadow mode"),
        Begin::Refuse(denial) => return denial.reason.to_owned(),
        Begin::Read(reading) => reading,
    };
    assert!(reading.body.takes_long(1), "an entry each may take long");
    let mut out = Vec::new();
    for piece in sent.body.as_bytes().chunks(31) {
        if let Progress::Ended(ending) = reading.body.push(piece, &mut out) {
            return ended(reading.head, &ending, out);
        }
    }
    let ending = reading.body.finish(&mut out);
    ended(reading.head, &ending, out)
}

fn ended(head: HeadRelease, ending: &Ending, out: Vec<u8>) -> String {
    match ending {
        Ending::Refused(denial) if head == HeadRelease::WithBody => denial.reason.to_owned(),
        Ending::Refused(_) | Ending::Complete => String::from_utf8(out).unwrap(),
    }
}

async fn leaves(bench: &Bench, call: Check, sent: &Sent<'_>) -> String {
    let record = bench.record(call).await;
    answered(&bench.responses, Some(record), sent).await
}

async fn bench() -> Bench {
    Bench::new(&[RELEASE, SERVER, READ]).await
}

#[tokio::test]
async fn a_list_holds_only_entries_that_the_caller_could_call() {
    let bench = bench().await;
    assert_eq!(leaves(&bench, tools(), &json(LIST)).await, FILTERED);
    let last = bench.last();
    assert_eq!((last.outcome, last.summary.lists.entries, last.summary.lists.dropped), (Outcome::Filtered, 4, 2));
    // Another caller has other tools.
    let other = tools().by("spiffe://cluster.local/ns/web/sa/batch");
    let left = leaves(&bench, other, &json(LIST)).await;
    assert_eq!(left, r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[],"nextCursor":"c2"}}"#);
    // What leaves is what could be called: the same policies decide both.
    for (name, expected) in [("read", "policy_permit"), ("write", "no_permit"), ("other", "no_permit")] {
        let call = mcp("tools/call", &format!(r#"{{"name":"{name}","arguments":{{}}}}"#));
        assert_eq!(said(&bench.direct.ask(call.0).await).reason, expected, "{name}");
    }
}

#[tokio::test]
async fn a_list_on_a_stream_is_filtered_among_notifications() {
    let bench = bench().await;
    let told = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}"#;
    let stream = |list: &str| format!("id: 1\ndata: \n\ndata: {told}\n\nevent: message\ndata: {list}\n\n");
    assert_eq!(leaves(&bench, tools(), &events(&stream(LIST))).await, stream(FILTERED));
    assert_eq!(bench.last().outcome, Outcome::Filtered);
    // A second answer to the same request is filtered too.
    let twice = |list: &str| format!("data: {list}\n\ndata: {list}\n\n");
    assert_eq!(leaves(&bench, tools(), &events(&twice(LIST))).await, twice(FILTERED));
    // An answer to another request, with a list that was not requested, does not leave at all.
    let foreign = LIST.replace("\"id\":7", "\"id\":8");
    let left = leaves(&bench, tools(), &events(&format!("data: {foreign}\n\n"))).await;
    assert!(!left.contains("write") && left.contains("\"id\":7,\"error\""), "{left}");
}

#[tokio::test]
async fn every_list_of_every_version_is_filtered() {
    let policies = r#"@id("prompt") permit (principal, action == Action::"mcp.prompts.get", resource == Prompt::"agents/tickets/a");
        @id("resource") permit (principal, action == Action::"mcp.resources.read", resource in McpResource::"agents/tickets/ticket://1");
        @id("subscribe") permit (principal, action == Action::"mcp.resources.subscribe", resource == McpResource::"agents/tickets/ticket://2/a");"#;
    let bench = Bench::new(&[RELEASE, SERVER, READ, policies]).await;
    for version in ["2025-06-18", "2025-11-25", "2026-07-28"] {
        for (method, list, expected) in [
            ("tools/list", r#""tools":[{"name":"read"},{"name":"write"}]"#, r#""tools":[{"name":"read"}]"#),
            ("prompts/list", r#""prompts":[{"name":"b"},{"name":"a"}]"#, r#""prompts":[{"name":"a"}]"#),
            (
                "resources/list",
                r#""resources":[{"uri":"ticket://1/a"},{"uri":"ticket://2/a"},{"uri":"ticket://2/b"},{"uri":"Ticket://1"}]"#,
                r#""resources":[{"uri":"ticket://1/a"},{"uri":"ticket://2/a"}]"#,
            ),
            (
                "resources/templates/list",
                r#""resourceTemplates":[{"uriTemplate":"ticket://1/{x}"},{"uriTemplate":"ticket://{x}"}],"cacheScope":"public""#,
                r#""resourceTemplates":[{"uriTemplate":"ticket://1/{x}"},{"uriTemplate":"ticket://{x}"}],"cacheScope":"private""#,
            ),
        ] {
            let request = request(version, method);
            let of = |list: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{{list}}}}}"#);
            assert_eq!(leaves(&bench, request, &json(&of(list))).await, of(expected), "{version} {method}");
        }
    }
}

/// A list request of a version. The newest one names the method in headers and the version in the message.
fn request(version: &str, method: &str) -> Check {
    let meta = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}"#;
    let params = if version == "2026-07-28" { meta } else { "{}" };
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
    let sent = posted(&body, version).header("accept", "application/json, text/event-stream");
    if version == "2026-07-28" { sent.header("mcp-method", method) } else { sent }
}

#[tokio::test]
async fn every_list_of_a_batch_is_filtered() {
    let bench = bench().await;
    let of = |id: &str, method: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{}}}}"#);
    let answer = |id: &str, list: &str| LIST.replace("\"id\":7", &format!("\"id\":{id}")).replace("tools", list);
    let filtered = FILTERED.replace("\"id\":7", "\"id\":1");
    let request = posted(&format!("[{},{}]", of("1", "tools/list"), of("\"a\"", "prompts/list")), "2025-03-26");
    let sent = format!("[{},{}]", answer("\"a\"", "prompts"), answer("1", "tools"));
    let left = leaves(&bench, request, &json(&sent)).await;
    let prompts = r#"{"jsonrpc":"2.0","id":"a","result":{"prompts":[],"nextCursor":"c2"}}"#;
    assert_eq!(left, format!("[{prompts},{filtered}]"));
    // Two requests with one id: no answer to it is awaited, since it might be the list.
    let request = posted(&format!("[{},{}]", of("1", "tools/list"), of("1", "ping")), "2025-03-26");
    assert_eq!(leaves(&bench, request, &json(&format!("[{}]", answer("1", "tools")))).await, "[]");
}

#[tokio::test]
async fn a_list_that_cannot_be_read_does_not_leave() {
    let bench = bench().await;
    let text: &[(&str, &str)] = &[("content-type", "text/plain")];
    let none: &[(&str, &str)] = &[];
    let coded: &[(&str, &str)] = &[("content-type", "application/json"), ("content-encoding", "compress")];
    let binary: &[(&str, &str)] = &[("content-type", "application/octet-stream")];
    let doubled = LIST.replace("\"nextCursor\"", "\"tools\"");
    let with = |headers| Sent { status: 200, headers, body: LIST };
    for (case, sent) in [
        ("text", with(text)),
        ("no type", with(none)),
        ("an unknown coding", with(coded)),
        ("binary", with(binary)),
        ("not JSON", json("{\"tools\":")),
        ("a doubled key", json(&doubled)),
    ] {
        assert_eq!(leaves(&bench, tools(), &sent).await, "list_refused", "{case}");
        let last = bench.last();
        let reason = last.refusal.map(|refusal| refusal.reason.as_str());
        assert_eq!((last.outcome, reason), (Outcome::Refused, Some("list_refused")), "{case}");
    }
    // On a stream: nothing of the event leaves, and the request has an error.
    let left = leaves(&bench, tools(), &events(&format!("data: {doubled}\n\n"))).await;
    assert!(!left.contains("read") && left.contains("\"id\":7,\"error\""), "{left}");
    // Another spelling is a list to some clients.
    let left = leaves(&bench, tools(), &json(&LIST.replace("tools", "Tools"))).await;
    assert!(!left.contains("read") && left.contains("\"id\":7,\"error\""), "{left}");
    assert_eq!(bench.last().refusal.unwrap().reason.as_str(), "list_refused");
    // Not a list to any client: an error page of the server.
    let gone = Sent { status: 404, headers: text, body: "no such session" };
    assert_eq!(leaves(&bench, tools(), &gone).await, "no such session");
}

#[tokio::test]
async fn a_stream_without_a_request_has_its_lists_filtered_by_what_they_look_like() {
    let bench = bench().await;
    let foreign = |list: &str| format!("data: {}\n\n", list.replace("\"id\":7", "\"id\":41"));
    assert_eq!(leaves(&bench, resumed(), &events(&foreign(LIST))).await, foreign(FILTERED));
    let result = "data: {\"jsonrpc\":\"2.0\",\"id\":42,\"result\":{\"content\":[]}}\n\n";
    assert_eq!(leaves(&bench, resumed(), &events(result)).await, result);
}

#[tokio::test]
async fn only_calls_that_may_have_a_list_are_read() {
    let bench = bench().await;
    let responses = phase(bench.responses.clone());
    let call = mcp("tools/call", r#"{"name":"read","arguments":{}}"#);
    for (call, expected) in [(tools(), Guard::Guarded), (resumed(), Guard::Guarded), (call, Guard::Open)] {
        let record = bench.record(call).await;
        assert_eq!(responses.guard(Some(&record), None, NOW), expected);
        let left = answered(&bench.responses, Some(record), &json(LIST)).await;
        assert_eq!(left.starts_with("passes"), expected == Guard::Open);
    }
    // A list without a record might be any list.
    assert_eq!(answered(&bench.responses, None, &json(LIST)).await, "release_unbound");
}

#[tokio::test]
async fn lists_leave_as_they_are_where_the_catalogue_says_so() {
    let bench = bench().await;
    bench.recatalogue(&[RELEASE, SERVER, READ], "batches: each", "batches: each, lists: unfiltered").await;
    let answer = bench.direct.ask(tools().0).await;
    assert_eq!(super::bench::record(&answer), None, "nothing is about any response");
    assert_eq!(answered(&bench.responses, None, &json(LIST)).await, format!("passes: {LIST}"));
    // With a policy about responses they are read, and no entry is dropped.
    let mask = super::MASK.replace("shop/orders", "agents/tickets");
    bench.recatalogue(&[RELEASE, SERVER, READ, &mask], "batches: each", "batches: each, lists: unfiltered").await;
    let record = bench.record(tools()).await;
    let reading = phase(bench.responses.clone());
    let begun = reading.begin(head(Some(record), &json(LIST)), Instant::now() + Duration::from_secs(30)).await;
    let Begin::Read(mut reading) = begun else { panic!("not read") };
    let mut out = Vec::new();
    reading.body.push(LIST.as_bytes(), &mut out);
    reading.body.finish(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), LIST);
}

#[tokio::test]
async fn values_in_entries_that_stay_are_masked_and_those_in_dropped_ones_do_not_count() {
    let mask = super::MASK.replace("shop/orders", "agents/tickets").replace("unless", "when { true } unless");
    let mask = mask.replace("&& context.status == 201", "&& context.status == 201 && false");
    let bench = Bench::new(&[RELEASE, SERVER, READ, &mask]).await;
    let list = |tools: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"tools":[{tools}]}}}}"#);
    let (card, masked) = ("4111 1111 1111 1111", "[card]");
    let entry = |name: &str, text: &str| format!(r#"{{"name":"{name}","description":"{text}"}}"#);
    let sent = list(&format!("{},{}", entry("write", card), entry("read", "x")));
    assert_eq!(leaves(&bench, tools(), &json(&sent)).await, list(&entry("read", "x")));
    assert_eq!(bench.last().outcome, Outcome::Filtered);
    let sent = list(&format!("{},{}", entry("write", "x"), entry("read", card)));
    assert_eq!(leaves(&bench, tools(), &json(&sent)).await, list(&entry("read", masked)));
    assert_eq!(bench.last().outcome, Outcome::Masked);
}

#[tokio::test]
async fn the_policies_at_the_begin_of_the_response_decide() {
    let bench = bench().await;
    let record = bench.record(tools()).await;
    let writes = READ.replace("\"read\" ||", "\"write\" ||");
    bench.reload(&[RELEASE, SERVER, &writes]).await;
    let left = answered(&bench.responses, Some(record.clone()), &json(LIST)).await;
    assert!(left.contains("write") && !left.contains("\"read\""), "{left}");
    // The record does not hold whether the caller is in this group.
    let other = READ.replace("storefront", "others");
    bench.reload(&[RELEASE, SERVER, &other]).await;
    assert_eq!(answered(&bench.responses, Some(record.clone()), &json(LIST)).await, "release_unbound");
    // A server that the catalogue lost has no tool that could be called.
    bench.recatalogue(&[RELEASE, SERVER, READ], "agents/tickets, protocol: mcp", "agents/others, protocol: mcp").await;
    let left = answered(&bench.responses, Some(record), &json(LIST)).await;
    assert_eq!(left, r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[],"nextCursor":"c2"}}"#);
}

#[tokio::test]
async fn a_long_list_has_one_evaluation_for_each_name() {
    let bench = bench().await;
    let mut principal = Node::new(Uid::new("Workload", crate::harness::FRONTEND));
    principal.ancestors = [Uid::new("Group", "storefront")].into();
    let snapshot = bench.direct.store.current().unwrap();
    let mut filter = EntryFilter::new(&bench.responses, snapshot, "agents/tickets", principal);
    let mut kept = 0;
    for round in 0..2 {
        for number in 0..10_000 {
            let name = if number % 100 == 0 { "read".to_owned() } else { format!("t{number}") };
            kept += usize::from(filter.choose(ListKind::Tools, &name) == Choice::Keep);
        }
        assert_eq!(filter.evaluated(), 9_901, "round {round}");
    }
    assert_eq!(kept, 200);
}

#[tokio::test]
async fn a_list_that_takes_too_long_does_not_leave() {
    let bench = bench().await;
    let checker = ResponseChecker { evaluation_max: Duration::from_nanos(1), ..bench.responses.clone() };
    let snapshot = bench.direct.store.current().unwrap();
    let principal = Node::new(Uid::new("Workload", crate::harness::FRONTEND));
    let mut filter = EntryFilter::new(&checker, snapshot, "agents/tickets", principal);
    assert_eq!(filter.choose(ListKind::Tools, "read"), Choice::Fail);
}

#[tokio::test]
async fn a_long_list_of_ten_thousand_tools_leaves_filtered() {
    let bench = bench().await;
    let mut list = String::new();
    for number in 0..10_000 {
        let _ = write!(list, r#"{{"name":"t{number}"}},"#);
    }
    let of = |tools: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"tools":[{tools}{{"name":"read"}}]}}}}"#);
    assert_eq!(leaves(&bench, tools(), &json(&of(&list))).await, of(""));
    assert_eq!(bench.last().summary.lists.dropped, 10_000);
}

#[tokio::test]
async fn an_entry_in_another_spelling_of_a_known_name_is_dropped_as_its_call_is_denied() {
    let all = r#"@id("all") permit (principal, action == Action::"mcp.tools.call", resource);"#;
    let bench = Bench::new(&[RELEASE, SERVER, all]).await;
    let list = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"READ"},{"name":"read"}]}}"#;
    let left = leaves(&bench, tools(), &json(list)).await;
    assert_eq!(left, r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"read"}]}}"#);
    let call = mcp("tools/call", r#"{"name":"READ","arguments":{}}"#);
    assert_eq!(said(&bench.direct.ask(call.0).await).reason, "message_refused");
}

#[tokio::test]
async fn an_entry_has_its_declared_groups() {
    let policies = [
        RELEASE,
        SERVER,
        r#"@id("g") permit (principal, action == Action::"mcp.tools.call", resource in Group::"storefront");"#,
    ];
    let bench = Bench::new(&policies).await;
    let entities = r#"[{"uid": {"type": "Tool", "id": "agents/tickets/other"}, "attrs": {"name": "other", "effect": "unknown", "external": true, "labels": []}, "parents": [{"type": "Group", "id": "storefront"}]}]"#;
    bench.declare(&policies, entities).await;
    let list = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"read"},{"name":"other"}]}}"#;
    let left = leaves(&bench, tools(), &json(list)).await;
    assert_eq!(left, r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"other"}]}}"#);
    let call = mcp("tools/call", r#"{"name":"other","arguments":{}}"#);
    assert_eq!(said(&bench.direct.ask(call.0).await).reason, "policy_permit");
}
