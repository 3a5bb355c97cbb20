//! Approvals inside MCP, through a whole server: clients that are sent to a page, and clients that return with a state
//! token.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use picket::call::UnixMillis;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::fake_http::{FakeHttp, Reply};
use crate::harness::issuer::{AUDIENCE, ISSUER, Issuer};
use crate::harness::server::{Client, Server, config, write};
use crate::harness::{Check, FRONTEND, check, said};
use crate::support::tree;

const CATALOG: &str = r"
services:
  - id: agents/deploy
    protocol: mcp
    mcp: {batches: each, elicitation: {url: 'https://approve.example/r/{decision_id}', message: A person must agree.}}
  - id: agents/twin
    protocol: mcp
    mcp: {elicitation: {url: 'https://approve.example/', message: A person must agree.}}
  - id: agents/hidden
    protocol: mcp
    mcp: {denial: hidden, elicitation: {url: 'https://approve.example/', message: A person must agree.}}
  - id: agents/plain
    protocol: mcp
";

const POLICIES: &str = r#"@id("all") permit (principal, action in Action::"any", resource);
    @id("needs-a-change") @reason("change_required") @remedy("approve") @approval("change")
    forbid (principal, action in [Action::"mcp.tools.call", Action::"mcp.resources.subscribe"], resource)
    unless { context has approval && context.approval.state == "approved" };
    @id("never") @reason("never") forbid (principal, action == Action::"mcp.tools.call", resource)
    when { resource is Tool && resource.name == "never" };"#;

const OTHER: &str = "spiffe://cluster.local/ns/web/sa/other";
const MINUTE: i64 = 60_000;

/// A server with a clock of the test's, and its tickets.
struct Scene {
    server: Server,
    tickets: FakeHttp,
    issuer: Issuer,
    clock: Arc<AtomicI64>,
    _keys: TempDir,
}

impl Scene {
    async fn new() -> Self {
        Self::with("elicitation.state_ttl=1m").await
    }

    /// With one more setting.
    async fn with(more: &str) -> Self {
        let tickets = FakeHttp::start(ticket("pending")).await;
        let issuer = Issuer::new("k");
        let home = TempDir::new().unwrap();
        write(home.path(), &tree(&[("catalog.yaml", CATALOG), ("namespaces/agents/a.cedar", POLICIES)]));
        let keys = TempDir::new().unwrap();
        let key_file = keys.path().join("jwks.json");
        std::fs::write(&key_file, issuer.key_set()).unwrap();
        let settings = [
            format!(
                "approvals=[{{name: changes, reference: {{argument: /ticket}}, url: 'http://{}/${{reference}}', \
                 timeout: 5s, fields: {{id: /id, kind: {{constant: change}}, state: /state, requested_by: /by, \
                 approved_by: /approvers, not_after: /end, one_use: {{constant: false}}}}}}]",
                tickets.address
            ),
            format!(
                "keys.issuers=[{{name: idp, jwks: {{file: {}}}, algorithms: [ES256], claims: {{issuer: '{ISSUER}', \
                 audiences: [{AUDIENCE}]}}}}]",
                json!(key_file)
            ),
            "profiles.default.identity.tokens=[{verified: {issuers: [idp]}}]".to_owned(),
            more.to_owned(),
        ];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let config = config(home.path(), &settings);
        let now = jiff::Timestamp::now().as_millisecond();
        let clock = Arc::new(AtomicI64::new(now));
        let read = Arc::clone(&clock);
        let clock_of = Arc::new(move || UnixMillis(read.load(Ordering::Relaxed)));
        let server = Server::run_at(config, Arc::new(home), clock_of).await;
        Self { server, tickets, issuer, clock, _keys: keys }
    }

    async fn client(&self) -> Client {
        self.server.client().await
    }
}

fn ticket(state: &str) -> Reply {
    let ticket =
        json!({"id": "CHG1", "state": state, "by": "ana", "approvers": ["lee"], "end": "9999-01-01T00:00:00Z"});
    Reply::Json(ticket.to_string())
}

/// A message, and who sends it where.
#[derive(Clone)]
struct Sent {
    service: &'static str,
    by: &'static str,
    version: &'static str,
    method: &'static str,
    capabilities: Value,
    params: Value,
    token: Option<String>,
}

/// A call of a tool that wants an approval, by a client that can be sent to a page.
fn sent() -> Sent {
    Sent {
        service: "agents/deploy",
        by: FRONTEND,
        version: "2026-07-28",
        method: "tools/call",
        capabilities: json!({"elicitation": {"url": {}}}),
        params: json!({"name": "deploy", "arguments": {"ticket": "CHG1", "n": 1}}),
        token: None,
    }
}

impl Sent {
    fn param(mut self, pointer: &str, value: Value) -> Self {
        match self.params.pointer_mut(pointer) {
            Some(found) => *found = value,
            None => drop(self.params.as_object_mut().unwrap().insert(pointer[1..].to_owned(), value)),
        }
        self
    }

    /// The same, with answers to elicitations under these keys.
    fn answering(self, keys: &[&str]) -> Self {
        let answers: Value = keys.iter().map(|key| ((*key).to_owned(), json!({"action": "accept"}))).collect();
        self.param("/inputResponses", answers)
    }

    fn message(&self) -> Value {
        let mut params = self.params.clone();
        if self.version == "2026-07-28" {
            params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": self.version,
                "io.modelcontextprotocol/clientCapabilities": self.capabilities});
        }
        json!({"jsonrpc": "2.0", "id": 7, "method": self.method, "params": params})
    }

    fn check(&self) -> Check {
        let check = self.post(&self.message()).header("mcp-protocol-version", self.version);
        if self.version != "2026-07-28" {
            return check;
        }
        let check = check.header("mcp-method", self.method);
        match ["name", "uri"].iter().find_map(|key| self.params[*key].as_str()) {
            Some(name) => check.header("mcp-name", name),
            None => check,
        }
    }

    fn post(&self, body: &Value) -> Check {
        let body = body.to_string();
        let mut check =
            check("POST", "/mcp").service(self.service).by(self.by).header("content-type", "application/json");
        check = check.header("content-length", &body.len().to_string()).header("x-envoy-auth-partial-body", "false");
        if let Some(token) = &self.token {
            check = check.bearer(token);
        }
        check.http().raw_body = body.into_bytes();
        check
    }
}

/// The result of a message: the reason, and the client's answer.
async fn ask(client: &mut Client, check: Check) -> (String, Value) {
    let response = client.0.check(check.0).await.unwrap().into_inner();
    let reason = said(&response).reason;
    let body = match response.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => serde_json::from_str(&denied.body).unwrap_or_default(),
        _ => Value::Null,
    };
    (reason, body)
}

async fn reason(client: &mut Client, sent: Sent) -> String {
    ask(client, sent.check()).await.0
}

/// The note of an answer that sends its client to a page.
fn note(body: &Value) -> Option<String> {
    let result = &body["result"];
    (result["resultType"] == "input_required").then(|| {
        let asked = result["inputRequests"].as_object().unwrap();
        assert_eq!(asked.len(), 1, "{body}");
        asked.keys().next().unwrap().clone()
    })
}

async fn note_for(client: &mut Client, sent: &Sent) -> String {
    let (reason, body) = ask(client, sent.check()).await;
    assert_eq!(reason, "remedy", "{body}");
    note(&body).unwrap_or_else(|| panic!("{body}"))
}

#[tokio::test]
async fn a_client_is_sent_to_the_page_and_continues_once_it_is_approved() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    let (reason_first, body) = ask(&mut client, sent().check()).await;
    assert_eq!(reason_first, "remedy");
    let first = note(&body).unwrap();
    let asked = &body["result"]["inputRequests"][&first];
    assert_eq!(asked["method"], "elicitation/create");
    assert_eq!(asked["params"]["message"], "A person must agree.");
    let page = format!("https://approve.example/r/{}", asked["params"]["elicitationId"].as_str().unwrap());
    assert_eq!(asked["params"]["url"], page.as_str());
    assert!(first.starts_with("picket1.") && body["result"].get("requestState").is_none(), "{body}");
    // A visit to the page does not count as an approval.
    scene.clock.fetch_add(1000, Ordering::Relaxed);
    let second = note_for(&mut client, &sent().answering(&[&first])).await;
    assert_ne!(first, second, "each has its own end");
    scene.tickets.set(ticket("approved"));
    assert_eq!(reason(&mut client, sent().answering(&[&second])).await, "policy_permit");
    assert_eq!(reason(&mut client, sent().answering(&[&first])).await, "policy_permit", "it is not used up");
    assert_eq!(reason(&mut client, sent()).await, "policy_permit", "and nothing hangs on it");
}

#[tokio::test]
async fn a_note_is_refused_with_every_call_but_its_own() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    let token = Some(scene.issuer.token());
    let anonymous = note_for(&mut client, &sent()).await;
    let note = note_for(&mut client, &Sent { token: token.clone(), ..sent() }).await;
    let good = Sent { token, ..sent() }.answering(&[&note]);
    scene.tickets.set(ticket("approved"));
    assert_eq!(reason(&mut client, good.clone()).await, "policy_permit");
    let mut changed = note.clone();
    let last = changed.pop().unwrap();
    changed.push(if last == 'A' { 'E' } else { 'A' });
    for (what, other) in [
        ("tool", good.clone().param("/name", json!("other"))),
        ("argument", good.clone().param("/arguments", json!({"ticket": "CHG1", "n": 2}))),
        ("more arguments", good.clone().param("/arguments", json!({"ticket": "CHG1", "n": 1, "m": 1}))),
        ("principal", Sent { by: OTHER, ..good.clone() }),
        ("without the token", Sent { token: None, ..good.clone() }),
        ("with a token", good.clone().answering(&[&anonymous])),
        ("service", Sent { service: "agents/twin", ..good.clone() }),
        ("method", Sent { method: "prompts/get", ..good.clone() }.param("/arguments", json!({}))),
        ("server method", Sent { method: "tools/list", params: json!({}), ..good.clone() }.answering(&[&note])),
        ("changed", good.clone().answering(&[&changed])),
        ("cut", good.clone().answering(&[&note[..20]])),
        ("nothing in it", good.clone().answering(&["picket1."])),
        ("beside a good one", good.clone().answering(&[&note, &anonymous])),
    ] {
        assert_eq!(reason(&mut client, other).await, "message_refused", "{what}");
    }
    // The same arguments by value, in another order and spelling.
    let respelt = good.clone().param("/arguments", json!({"n": 1.0, "ticket": "CHG1"}));
    assert_eq!(reason(&mut client, respelt).await, "policy_permit");
    assert_eq!(scene.tickets.requests(), 4, "a call with a bad note is not looked up");
}

#[tokio::test]
async fn a_note_ends_with_its_time_and_is_of_one_process_without_a_key_file() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    let note = note_for(&mut client, &sent()).await;
    scene.tickets.set(ticket("approved"));
    scene.clock.fetch_add(MINUTE - 1, Ordering::Relaxed);
    assert_eq!(reason(&mut client, sent().answering(&[&note])).await, "policy_permit");
    scene.clock.fetch_add(1, Ordering::Relaxed);
    assert_eq!(reason(&mut client, sent().answering(&[&note])).await, "message_refused");
    assert_eq!(reason(&mut client, sent()).await, "policy_permit", "without it the call is judged as any");
    let replica = Scene::new().await;
    replica.tickets.set(ticket("approved"));
    scene.tickets.set(ticket("pending"));
    let fresh = note_for(&mut client, &sent()).await;
    assert_eq!(reason(&mut replica.client().await, sent().answering(&[&fresh])).await, "message_refused");
}

#[tokio::test]
async fn replicas_with_one_key_file_take_one_anothers_notes() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, [b'k'; 32]).unwrap();
    let shared = format!("elicitation.key_file={}", json!(file));
    let (first, second) = (Scene::with(&shared).await, Scene::with(&shared).await);
    let note = note_for(&mut first.client().await, &sent()).await;
    second.tickets.set(ticket("approved"));
    assert_eq!(reason(&mut second.client().await, sent().answering(&[&note])).await, "policy_permit");
}

#[tokio::test]
async fn elicitations_of_the_server_behind_are_left_alone() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    scene.tickets.set(ticket("approved"));
    let state = sent().param("/requestState", json!("picket1.AAAA"));
    for (what, sent) in [
        ("answers", sent().answering(&["confirm", "picket2.AAAA", ""])),
        ("a state", state),
        ("no answers", sent().param("/inputResponses", json!({}))),
    ] {
        assert_eq!(reason(&mut client, sent).await, "policy_permit", "{what}");
    }
    let odd = sent().param("/inputResponses", json!([]));
    assert_eq!(reason(&mut client, odd).await, "message_refused");
}

#[tokio::test]
async fn only_clients_that_can_and_may_are_sent_to_the_page() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    let listen = json!({"notifications": {"resourceSubscriptions": ["file:///a"]}});
    for (what, sent) in [
        ("2025-11-25", Sent { version: "2025-11-25", ..sent() }),
        ("2025-06-18", Sent { version: "2025-06-18", ..sent() }),
        ("2025-03-26", Sent { version: "2025-03-26", ..sent() }),
        ("no capability", Sent { capabilities: json!({}), ..sent() }),
        ("forms only", Sent { capabilities: json!({"elicitation": {"form": {}}}), ..sent() }),
        ("not opted in", Sent { service: "agents/plain", ..sent() }),
        ("hidden", Sent { service: "agents/hidden", ..sent() }),
        ("a subscription", Sent { method: "subscriptions/listen", params: listen, ..sent() }),
    ] {
        let (reason, body) = ask(&mut client, sent.check()).await;
        assert_eq!(reason, "remedy", "{what}: {body}");
        assert!(body["error"].is_object() && !body.to_string().contains("picket1."), "{what}: {body}");
    }
    let old = Sent { version: "2025-03-26", ..sent() };
    let batch = json!([old.message(), {"jsonrpc": "2.0", "id": 8, "method": "tools/list"}]);
    let (reason, body) = ask(&mut client, old.post(&batch)).await;
    assert_eq!(reason, "remedy", "{body}");
    assert!(body["error"].is_object() && !body.to_string().contains("picket1."), "{body}");
}

#[tokio::test]
async fn a_state_token_bypasses_no_other_forbid() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    let never = sent().param("/name", json!("never"));
    let (reason_first, body) = ask(&mut client, never.check()).await;
    assert_eq!((reason_first.as_str(), note(&body)), ("policy_forbid", None), "no approval would help");
    scene.tickets.set(ticket("approved"));
    assert_eq!(reason(&mut client, never).await, "policy_forbid");
}
