//! Approvals through a whole server: a ticket opens one call, and nothing else ever.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::fake_http::{FakeHttp, Reply};
use crate::harness::server::{Client, Server};
use crate::harness::{Check, FRONTEND, Said, check};

/// One namespace where writing takes an approval. Its policies ignore `used` and the window on purpose: an approval is
/// good for one call, and for none after its end, regardless of policies.
const TREE: &[(&str, &str)] = &[(
    "namespaces/shop/a.cedar",
    r#"@id("reads") permit (principal, action == Action::"GET", resource);
       @id("approved-writes") permit (principal, action == Action::"POST", resource)
       when { context has approval && context.approval.state == "approved" && !context.approval.selfApproved };"#,
)];

fn ticket() -> Value {
    json!({"id": "CHG1", "state": "approved", "by": "ana", "approvers": ["lee"], "end": "9999-01-01T00:00:00Z",
           "used": false})
}

fn ticket_with(name: &str, value: Value) -> Reply {
    let mut ticket = ticket();
    ticket[name] = value;
    Reply::Json(ticket.to_string())
}

async fn server(source: &FakeHttp, tree: &[(&str, &str)], store: Option<&Path>) -> Server {
    let approvals = format!(
        "approvals=[{{name: changes, reference: {{header: x-approval}}, url: 'http://{}/${{reference}}', timeout: 5s, \
         fields: {{id: /id, kind: {{constant: change}}, state: /state, requested_by: /by, approved_by: /approvers, \
         not_after: /end, used: {{pointer: /used}}}}}}]",
        source.address
    );
    let store = store.map(|file| format!("approvals_store.file={}", json!(file)));
    let settings: Vec<&str> = [approvals.as_str()].into_iter().chain(store.as_deref()).collect();
    Server::start(tree, &settings).await
}

fn call(method: &str) -> Check {
    check(method, "/v1/orders").service("shop/orders").by(FRONTEND)
}

fn write() -> Check {
    call("POST").header("x-approval", "CHG1")
}

async fn reason(client: &mut Client, check: Check) -> String {
    client.ask(check).await.reason
}

/// The answer to a second call with one approval.
pub async fn used() -> Said {
    let source = FakeHttp::start(Reply::Json(ticket().to_string())).await;
    let server = server(&source, TREE, None).await;
    let mut client = server.client().await;
    assert_eq!(reason(&mut client, write()).await, "policy_permit");
    client.ask(write()).await
}

#[tokio::test]
async fn an_approval_opens_one_call_and_no_second() {
    let said = used().await;
    assert_eq!((said.status, said.reason.as_str()), (403, "approval_used"));
}

#[tokio::test]
async fn a_call_without_a_good_approval_stays_shut() {
    let source = FakeHttp::start(Reply::Json(ticket().to_string())).await;
    let server = server(&source, TREE, None).await;
    let mut client = server.client().await;
    assert_eq!(reason(&mut client, call("POST")).await, "no_permit");
    assert_eq!(source.requests(), 0, "who names none is not asked about");
    let not_found = b"HTTP/1.1 404 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec();
    for (name, reply, expected) in [
        ("unknown", Reply::Bytes(not_found), "no_permit"),
        ("pending", ticket_with("state", json!("pending")), "no_permit"),
        ("approved by who asked", ticket_with("approvers", json!(["Ana"])), "no_permit"),
        ("approved by nobody", ticket_with("approvers", json!([])), "no_permit"),
        ("used elsewhere", ticket_with("used", json!(true)), "approval_used"),
        ("over", ticket_with("end", json!("2020-01-01T00:00:00Z")), "approval_used"),
        ("without an end", ticket_with("end", json!(null)), "approval_used"),
        ("without who asked", ticket_with("by", json!(null)), "entities_unavailable"),
        ("garbage", Reply::Json("{".to_owned()), "entities_unavailable"),
        ("closed", Reply::Close, "entities_unavailable"),
        ("late", Reply::Late(Duration::from_secs(60), ticket().to_string()), "entities_unavailable"),
    ] {
        source.set(reply);
        let writing = write();
        // A source that is late is waited for up to its time.
        assert_eq!(reason(&mut client, writing).await, expected, "{name}");
    }
    source.set(Reply::Json(ticket().to_string()));
    assert_eq!(reason(&mut client, write()).await, "policy_permit", "none of these used it up");
}

#[tokio::test]
async fn a_call_that_needs_no_approval_leaves_it_to_the_one_that_does() {
    let source = FakeHttp::start(Reply::Json(ticket().to_string())).await;
    let server = server(&source, TREE, None).await;
    let mut client = server.client().await;
    for _ in 0..2 {
        assert_eq!(reason(&mut client, call("GET").header("x-approval", "CHG1")).await, "policy_permit");
    }
    assert_eq!(reason(&mut client, write()).await, "policy_permit");
    assert_eq!(reason(&mut client, write()).await, "approval_used");
}

#[tokio::test]
async fn policies_in_shadow_use_nothing_up() {
    let forbid = r#"@id("watched") forbid (principal, action == Action::"POST", resource)
                    unless { context has approval && !context.approval.used };"#;
    let permit = r#"@id("writes") permit (principal, action == Action::"POST", resource);"#;
    let manifest = "modes: {mesh/watched.cedar: shadow}";
    let tree = [("manifest.yaml", manifest), ("mesh/watched.cedar", forbid), ("namespaces/shop/a.cedar", permit)];
    let source = FakeHttp::start(Reply::Json(ticket().to_string())).await;
    let server = server(&source, &tree, None).await;
    let mut client = server.client().await;
    for _ in 0..2 {
        assert_eq!(reason(&mut client, write()).await, "policy_permit");
    }
    assert_eq!(source.requests(), 2, "the policy in shadow is told of the approval");
}

#[tokio::test]
async fn a_namespace_that_reads_no_approval_fetches_none() {
    let source = FakeHttp::start(Reply::Close).await;
    let permit = r#"@id("writes") permit (principal, action == Action::"POST", resource);"#;
    let server = server(&source, &[("namespaces/shop/a.cedar", permit)], None).await;
    assert_eq!(reason(&mut server.client().await, write()).await, "policy_permit");
    assert_eq!(source.requests(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_the_calls_that_race_for_an_approval_is_allowed() {
    let source = FakeHttp::start(Reply::Json(ticket().to_string())).await;
    let server = server(&source, TREE, None).await;
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(server.client().await);
    }
    let said = join_all(clients.into_iter().map(|mut client| async move { reason(&mut client, write()).await })).await;
    assert_eq!(said.iter().filter(|reason| *reason == "policy_permit").count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|reason| *reason == "approval_used").count(), 15, "{said:?}");
}

#[tokio::test]
async fn a_crash_loses_no_use_of_an_approval() {
    let home = TempDir::new().unwrap();
    let (store, left) = (home.path().join("approvals"), home.path().join("left"));
    let source = FakeHttp::start(Reply::Json(ticket().to_string())).await;
    let first = server(&source, TREE, Some(&store)).await;
    assert_eq!(reason(&mut first.client().await, write()).await, "policy_permit");
    // The file after a crash: a copy in the middle of its life.
    std::fs::copy(&store, &left).unwrap();
    let second = server(&source, TREE, Some(&left)).await;
    assert_eq!(reason(&mut second.client().await, write()).await, "approval_used");
}

#[tokio::test]
async fn sources_of_approvals_are_counted_with_the_lookups() {
    let source = FakeHttp::start(Reply::Json(ticket().to_string())).await;
    let server = server(&source, TREE, None).await;
    assert_eq!(reason(&mut server.client().await, write()).await, "policy_permit");
    let metrics = server.http("/metrics").await;
    assert!(
        metrics.contains(r#"picket_entity_requests_total{source="approvals/changes",result="miss"} 1"#),
        "{metrics}"
    );
}
