use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use picket_core::query::{Node, Record, Uid, record};
use tickets::{Tickets, http};

mod tickets;

const SERVICE: &str = "agents/deploy";
/// In the ticket's window.
const NOW: i64 = 1_789_567_200_000;

/// A change ticket as its system shows it: approved by another, for one deployment.
pub fn ticket() -> Json {
    json!({
        "id": "CHG1", "state": "approved", "requested_by": "ana@prod", "approved_by": ["lee@prod"],
        "window_start": "2026-09-16T13:00:00Z", "window_end": "2026-09-16T16:00:00Z",
        "single_use": true, "consumed": false, "service": "checkout", "replicas": 3, "force": true,
    })
}

pub fn written(reference: &str, url: &str) -> String {
    format!(
        "name: changes
reference: {reference}
url: '{url}'
fields:
  id: /id
  kind: {{constant: change}}
  state: /state
  requested_by: /requested_by
  approved_by: /approved_by
  not_before: /window_start
  not_after: /window_end
  used: {{pointer: /consumed}}
  one_use: {{pointer: /single_use}}
match: {{/service: /service, /replicas: /replicas, /force: /force}}
timeout: 5s
"
    )
}

pub fn settings() -> Settings {
    serde_saphyr::from_str(&written("{argument: /ticket}", "http://h/${reference}")).unwrap()
}

/// A tool call with these arguments: pointer, text and kind.
pub fn call(arguments: &[(&str, &str, &str)]) -> Query {
    let bag = |name: &str, tags: Record| Node { tags, ..Node::new(Uid::new("Bag", name)) };
    let tags = |part: fn(&(&str, &str, &str)) -> Value| {
        arguments.iter().map(|argument| (argument.0.into(), part(argument))).collect()
    };
    let bags = vec![
        bag("args", tags(|argument| argument.1.into())),
        bag("kinds", tags(|argument| argument.2.into())),
        bag("headers", record([("x-approval", "CHG1".into())])),
    ];
    let http = Value::Record(record([("headers", Value::Entity(Uid::new("Bag", "headers")))]));
    let env = Value::Record(record([("now", Value::Time(NOW))]));
    let context = record([
        ("env", env),
        ("http", http),
        ("args", Value::Entity(Uid::new("Bag", "args"))),
        ("kinds", Value::Entity(Uid::new("Bag", "kinds"))),
    ]);
    Query {
        principal: Node::new(Uid::new("Workload", "spiffe://cluster.local/ns/agents/sa/coder")),
        action: "mcp.tools.call".into(),
        resource: Node::new(Uid::new("Tool", "agents/deploy/deploy.production")),
        context,
        bags,
        namespace: "agents".into(),
    }
}

const GOOD: [(&str, &str, &str); 4] = [
    ("/ticket", "CHG1", "string"),
    ("/service", "checkout", "string"),
    ("/replicas", "3", "number"),
    ("/force", "true", "boolean"),
];

fn reads() -> Reads {
    Reads { approval: true, ..Reads::default() }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

async fn find(approvals: &Approvals, arguments: &[(&str, &str, &str)]) -> Result<Option<Found>, Failure> {
    approvals.find(SERVICE, &call(arguments), &reads(), None, soon()).await
}

fn field(found: &Found, name: &str) -> Value {
    match &found.value {
        Value::Record(fields) => fields[&name.into()].clone(),
        other => unreachable!("{other:?}"),
    }
}

fn code(result: Result<(), Failure>) -> Result<(), Code> {
    result.map_err(|failure| failure.code)
}

#[tokio::test]
async fn a_call_that_names_a_ticket_has_its_approval() {
    let tickets = Tickets::start().await;
    let found = find(&tickets.approvals(None), &GOOD).await.unwrap().unwrap();
    let expected = [
        ("id", "CHG1".into()),
        ("kind", "change".into()),
        ("state", "approved".into()),
        ("requestedBy", "ana@prod".into()),
        ("approvedBy", Value::texts(["lee@prod"])),
        ("selfApproved", Value::Bool(false)),
        ("matchesAction", Value::Bool(true)),
        ("used", Value::Bool(false)),
        ("notBefore", Value::Time(1_789_563_600_000)),
        ("notAfter", Value::Time(1_789_574_400_000)),
    ];
    assert_eq!(found.value, Value::Record(record(expected)));
}

#[tokio::test]
async fn a_header_can_name_the_approval() {
    let tickets = Tickets::start().await;
    let settings = tickets.settings("{header: X-Approval}", "");
    let approvals = Approvals::new(&[settings], &Store::default(), "c", &tickets.tasks).unwrap();
    assert!(find(&approvals, &[]).await.unwrap().is_some());
    let mut needed = Reads::default();
    approvals.needs(SERVICE, &reads(), &mut needed);
    assert!(needed.headers.contains("x-approval") && needed.headers_compared.contains("x-approval"));
}

#[tokio::test]
async fn a_call_without_a_ticket_has_no_approval_and_only_possible_references_are_fetched() {
    let tickets = Tickets::start().await;
    let approvals = tickets.approvals(None);
    for (reference, kind, asks) in [
        ("CHG2", "string", 1),
        ("", "string", 0),
        ("..", "string", 0),
        ("7", "number", 0),
        ("CHG1", "list", 0),
        ("true", "boolean", 0),
    ] {
        let asked = tickets.asked();
        let found = find(&approvals, &[("/ticket", reference, kind)]).await.unwrap();
        assert_eq!((found, tickets.asked() - asked), (None, asks), "`{reference}` {kind}");
    }
    assert_eq!(find(&approvals, &GOOD[1..]).await.unwrap(), None);
}

#[tokio::test]
async fn nothing_is_fetched_or_needed_if_no_policy_can_see_an_approval() {
    let tickets = Tickets::start().await;
    let approvals = tickets.approvals(None);
    let unread = Reads::default();
    assert_eq!(approvals.find(SERVICE, &call(&GOOD), &unread, None, soon()).await.unwrap(), None);
    let mut listing = call(&GOOD);
    listing.action = "mcp.server.use".into();
    assert_eq!(approvals.find(SERVICE, &listing, &reads(), None, soon()).await.unwrap(), None);
    let mut needed = Reads::default();
    approvals.needs(SERVICE, &unread, &mut needed);
    assert_eq!((needed, tickets.asked()), (Reads::default(), 0));
    let mut needed = Reads::default();
    approvals.needs(SERVICE, &reads(), &mut needed);
    let pointers = ["/ticket", "/service", "/replicas", "/force"].map(str::to_owned);
    assert_eq!((needed.args, needed.body), (Keys::Some(pointers.into()), true));
}

#[tokio::test]
async fn the_source_that_names_the_service_goes_before_the_one_for_all() {
    let tickets = Tickets::start().await;
    let named = tickets.settings("{argument: /ticket}", "services: [agents/deploy]");
    let mut all = tickets.settings("{argument: /other}", "system: changes");
    all.name = "other".to_owned();
    let approvals = Approvals::new(&[all, named], &Store::default(), "c", &tickets.tasks).unwrap();
    assert!(find(&approvals, &[("/ticket", "CHG1", "string")]).await.unwrap().is_some());
    let query = call(&[("/other", "CHG1", "string")]);
    assert!(approvals.find("shop/orders", &query, &reads(), None, soon()).await.unwrap().is_some());
    assert!(approvals.find(SERVICE, &query, &reads(), None, soon()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_ticket_for_something_else_does_not_match() {
    let tickets = Tickets::start().await;
    let approvals = tickets.approvals(None);
    for (index, other) in [(1, "search"), (2, "4"), (3, "false")] {
        let mut swapped = GOOD;
        swapped[index].1 = other;
        let found = find(&approvals, &swapped).await.unwrap().unwrap();
        assert_eq!(field(&found, "matchesAction"), Value::Bool(false), "{other}");
    }
}

#[tokio::test]
async fn a_digest_is_good_for_one_caller_action_resource_and_arguments() {
    let tickets = Tickets::start().await;
    let mut settings = tickets.settings("{argument: /ticket}", "");
    settings.bound.clear();
    settings.fields.digest = Some("/service".to_owned());
    let approvals = Approvals::new(&[settings], &Store::default(), "c", &tickets.tasks).unwrap();
    let approved = digest::of("spiffe://td/ns/a/sa/b", "mcp.tools.call", "a/b/c", "{}");
    let other_peer = digest::of("spiffe://td/ns/a/sa/x", "mcp.tools.call", "a/b/c", "{}");
    tickets.says("/service", json!(approved.clone()));
    for (ours, matches) in [(Some(approved), true), (Some(other_peer), false), (None, false)] {
        let found = approvals.find(SERVICE, &call(&GOOD), &reads(), ours.as_deref(), soon()).await.unwrap().unwrap();
        assert_eq!(field(&found, "matchesAction"), Value::Bool(matches), "{ours:?}");
    }
}

#[tokio::test]
async fn an_approval_good_for_one_call_is_used_by_one() {
    let tickets = Tickets::start().await;
    let approvals = tickets.approvals(None);
    let (one, two) = (find(&approvals, &GOOD).await.unwrap().unwrap(), find(&approvals, &GOOD).await.unwrap().unwrap());
    assert_eq!(code(approvals.consume(&one, soon()).await), Ok(()));
    assert_eq!(code(approvals.consume(&two, soon()).await), Err(Code::ApprovalUsed));
    // Swapped arguments make no other approval of it.
    let mut swapped = GOOD;
    swapped[1].1 = "search";
    let replayed = find(&approvals, &swapped).await.unwrap().unwrap();
    assert_eq!(field(&replayed, "used"), Value::Bool(true));
    assert_eq!(code(approvals.consume(&replayed, soon()).await), Err(Code::ApprovalUsed));
}

#[tokio::test]
async fn one_that_is_good_for_many_calls_is_not_used_up() {
    let tickets = Tickets::start().await;
    let approvals = tickets.approvals(None);
    tickets.says("/single_use", json!(false));
    for _ in 0..2 {
        let found = find(&approvals, &GOOD).await.unwrap().unwrap();
        assert_eq!(code(approvals.consume(&found, soon()).await), Ok(()));
    }
}

#[tokio::test]
async fn a_used_or_expired_approval_is_never_used_again() {
    let tickets = Tickets::start().await;
    let approvals = tickets.approvals(None);
    for (pointer, value) in
        [("/consumed", json!(true)), ("/window_end", json!((NOW - 1000) / 1000)), ("/window_end", json!(null))]
    {
        tickets.says(pointer, value);
        let found = find(&approvals, &GOOD).await.unwrap().unwrap();
        assert_eq!(code(approvals.consume(&found, soon()).await), Err(Code::ApprovalUsed), "{pointer}");
    }
    tickets.says("/window_end", json!(NOW / 1000));
    let found = find(&approvals, &GOOD).await.unwrap().unwrap();
    assert_eq!(code(approvals.consume(&found, soon()).await), Ok(()));
}

#[tokio::test]
async fn a_use_is_known_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("uses");
    let tickets = Tickets::start().await;
    let before = tickets.approvals(Some(&file));
    let found = find(&before, &GOOD).await.unwrap().unwrap();
    assert_eq!(code(before.consume(&found, soon()).await), Ok(()));
    drop(before);
    let after = tickets.approvals(Some(&file));
    let found = find(&after, &GOOD).await.unwrap().unwrap();
    assert_eq!(field(&found, "used"), Value::Bool(true));
    assert_eq!(code(after.consume(&found, soon()).await), Err(Code::ApprovalUsed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_of_many_calls_that_race_for_an_approval_is_allowed() {
    let dir = TempDir::new().unwrap();
    let tickets = Tickets::start().await;
    let approvals = Arc::new(tickets.approvals(Some(&dir.path().join("uses"))));
    let mut calls = JoinSet::new();
    for _ in 0..32 {
        let approvals = Arc::clone(&approvals);
        calls.spawn(async move {
            let found = find(&approvals, &GOOD).await.unwrap().unwrap();
            code(approvals.consume(&found, soon()).await)
        });
    }
    let ends = calls.join_all().await;
    assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 1, "{ends:?}");
    assert!(ends.iter().all(|end| matches!(end, Ok(()) | Err(Code::ApprovalUsed))), "{ends:?}");
}

#[tokio::test]
async fn a_withdrawn_approval_is_seen_by_the_next_call() {
    let tickets = Tickets::start().await;
    let approvals = tickets.approvals(None);
    for state in ["approved", "pending", "cancelled"] {
        tickets.says("/state", json!(state));
        assert_eq!(field(&find(&approvals, &GOOD).await.unwrap().unwrap(), "state"), state.into());
    }
}

#[tokio::test]
async fn a_source_that_does_not_answer_well_is_unavailable_and_never_no_approval() {
    let tickets = Tickets::start().await;
    let slow = {
        let mut settings = tickets.settings("{argument: /ticket}", "");
        settings.timeout = Duration::from_millis(20);
        Approvals::new(&[settings], &Store::default(), "c", &tickets.tasks).unwrap()
    };
    let patient = tickets.approvals(None);
    let replies = [
        (&slow, None),
        (&patient, Some(String::new())),
        (&patient, Some("SSH-2.0-x\r\n".to_owned())),
        (&patient, Some(http("500 No", "{}"))),
        (&patient, Some(http("403 No", "{}"))),
        (&patient, Some(http("200 OK", "{"))),
        (&patient, Some(http("200 OK", "{}"))),
        (&patient, Some(http("200 OK", r#"{"state": "approved", "state": "pending"}"#))),
    ];
    for (approvals, reply) in replies {
        let name = format!("{reply:?}");
        *tickets.reply.lock().unwrap() = reply;
        let failure = find(approvals, &GOOD).await.unwrap_err();
        assert_eq!(failure.code, Code::EntitiesUnavailable, "{name}");
        assert!(failure.detail.contains("`approvals/changes`") && !failure.detail.contains("CHG1"), "{failure}");
    }
}

/// A store that fails, or hangs.
#[derive(Debug)]
enum Broken {
    Fails,
    Hangs,
}

impl RedemptionStore for Broken {
    fn consume(
        &self,
        _: redemption::RedemptionKey,
        _: UnixMillis,
        _: UnixMillis,
    ) -> BoxFuture<'_, Result<bool, String>> {
        match self {
            Self::Fails => std::future::ready(Err("the disk is full".to_owned())).boxed(),
            Self::Hangs => std::future::pending().boxed(),
        }
    }
}

impl redemption::Uses for Broken {
    fn is_used(&self, _: redemption::RedemptionKey) -> BoxFuture<'_, Result<bool, String>> {
        std::future::ready(Ok(false)).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_use_that_cannot_be_written_allows_nothing() {
    for store in [Broken::Fails, Broken::Hangs] {
        let approvals = Approvals::over(Vec::new(), Arc::new(store));
        let key = redemption::RedemptionKey { system: "changes".to_owned(), id: "CHG1".to_owned() };
        let once = Some(Once { key, used: Used::No, not_after: NOW, now: NOW });
        let ended = approvals.consume(&Found { value: Value::Bool(true), once }, soon()).await;
        assert_eq!(code(ended), Err(Code::EntitiesUnavailable));
    }
}

#[test]
fn the_actions_without_a_place_for_an_approval_are_those_of_the_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/schema.cedarschema");
    let text = std::fs::read_to_string(path).unwrap();
    let mut seen = 0;
    for declared in text.split("\naction ").skip(1).filter(|declared| declared.contains("appliesTo")) {
        let (names, rest) = declared.split_once(" appliesTo").or(declared.split_once("appliesTo")).unwrap();
        let shape = rest.split("};").next().unwrap();
        for action in names.split(" in [").next().unwrap().split('"').skip(1).step_by(2) {
            assert_eq!(has_place(action), shape.contains("approval?: Approval"), "{action}");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}
