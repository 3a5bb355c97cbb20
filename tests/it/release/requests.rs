//! Requests that leave masked: as they were evaluated, through a processor that was seen, or not at all.

use std::sync::Arc;
use std::time::Duration;

use picket::call::UnixMillis;
use picket::check::Profile;
use picket::check::profile::Processor;
use picket::check::release_record::ReleaseSealer;
use picket::check::request_forward::{Promise, RequestForwarder};
use picket::check::request_streams::RequestStreams;
use picket::check::response_phase::{Forward, RequestBodies, RequestStream};
use picket::decision::snapshot::Tree;
use picket::decision::verdict::{Effect, Reason};
use picket::release::ReleaseKey;
use serde_json::{Value, json};

use super::bench::{record, sealer};
use crate::harness::direct::{Direct, Seen};
use crate::harness::{Check, FRONTEND, check};
use crate::support::NOW;

const CATALOG: &str = "
services:
  - {id: models/gateway, protocol: openai}
  - {id: shop/api, body: {json: true}}
  - id: agents/tickets
    protocol: mcp
    mcp: {endpoint: /mcp, versions: ['2025-11-25']}
    tools: {read: {}, write: {}}
";
const DETECTORS: &str = "detectors:
  incident: {pattern: 'INC-[0-9]{4}-[0-9]{5}'}
  doubled: {words: [bluebird], mask: {fixed: 'a bluebird'}}
  salary: {fields: ['$..salary']}
";
const PERMIT: &str = r#"@id("all") permit (principal, action in Action::"any", resource);"#;
const MASK: &str = r#"@id("hide") @remedy("mask") @mask("incident,card,doubled,salary") @reason("hidden")
forbid (principal, action, resource) when { context has found &&
  context.found.containsAny(["incident", "card", "doubled", "salary"]) };"#;
const SECRET: &str = "INC-2026-00412";
const LISTENER: &str = "test";

/// A server behind a proxy that sends requests.
struct Bench {
    direct: Direct,
    requests: RequestForwarder,
}

fn tree(policies: &str) -> Tree {
    crate::support::tree(&[("catalog.yaml", CATALOG), ("detectors.yaml", DETECTORS), ("mesh/a.cedar", policies)])
}

impl Bench {
    /// No stream was seen.
    async fn without_streams(policies: &str) -> Self {
        let processor = Processor { responses: false, requests: true };
        let profile = Profile { processor, ..Profile::default() };
        let direct = Direct::with(tree(policies), profile).await.with_records(sealer());
        assert!(direct.store.status().is_current(), "{policies}: {}", direct.store.status());
        let requests = RequestForwarder {
            listener: LISTENER.into(),
            promise: Promise::Given,
            policies: Arc::clone(&direct.store),
            sealer: sealer(),
            streams: Arc::clone(&direct.checker.streams),
        };
        Self { direct, requests }
    }

    /// A stream of each service was seen.
    async fn new(policies: &str) -> Self {
        let bench = Self::without_streams(&format!("{PERMIT}\n{policies}")).await;
        for service in ["models/gateway", "shop/api", "agents/tickets"] {
            bench.streams().record(LISTENER, service, NOW);
        }
        bench
    }

    fn streams(&self) -> &RequestStreams {
        &self.requests.streams
    }

    async fn judged(&self, check: Check) -> (Option<String>, Seen) {
        let (response, seen) = self.direct.judged(check.0).await;
        (record(&response), seen)
    }

    /// The record of a call that is allowed on the terms of a mask.
    async fn masked(&self, check: Check) -> String {
        let (record, seen) = self.judged(check).await;
        assert!(seen.is_allow() && !seen.masked.is_empty(), "{}", reason(&seen));
        record.unwrap()
    }

    /// Reason and detail of a denial.
    async fn denied(&self, check: Check) -> String {
        let (_, seen) = self.judged(check).await;
        assert!(seen.masked.is_empty());
        reason(&seen)
    }

    fn forward(&self, record: &str, bodies: RequestBodies) -> Forward {
        self.requests.forward(&RequestStream { record: Some(record), proxy: None, at: NOW, bodies })
    }

    /// What leaves of a body: `Err` with a reason if nothing does.
    fn left(&self, record: &str, body: &[u8]) -> Result<String, &'static str> {
        match self.forward(record, RequestBodies::Whole) {
            Forward::Masked(waiting) => match waiting.mask(body) {
                Ok(masked) => Ok(String::from_utf8(masked).unwrap()),
                Err(denial) => Err(denial.reason),
            },
            Forward::AsItCame => Err("as it came"),
            Forward::Refuse(denial) => Err(denial.reason),
        }
    }
}

fn reason(seen: &Seen) -> String {
    match &seen.result {
        Ok(verdict) => match &verdict.effect {
            Effect::Deny(denial) => format!("{}: {}", denial.reason.as_str(), denial.detail),
            Effect::Allow(_) | Effect::Challenge(..) => verdict.reason().as_str().to_owned(),
        },
        Err(failure) => failure.to_string(),
    }
}

fn post(service: &str, path: &str, body: &str) -> Check {
    let mut sent = check("POST", path).service(service).by(FRONTEND);
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-length", body.len().to_string().as_str()),
        ("x-envoy-auth-partial-body", "false"),
    ] {
        sent = sent.header(name, value);
    }
    sent.http().raw_body = body.as_bytes().to_vec();
    sent
}

fn chat_text(text: &str) -> String {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]}).to_string()
}

fn chat(text: &str) -> Check {
    post("models/gateway", "/v1/chat/completions", &chat_text(text))
}

fn tool_body(id: &Value, name: &str, arguments: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name, "arguments": arguments}})
        .to_string()
}

fn tool(id: &Value, name: &str, arguments: &Value) -> Check {
    post("agents/tickets", "/mcp", &tool_body(id, name, arguments)).header("mcp-protocol-version", "2025-11-25")
}

const USED: &str =
    "mask_unavailable: the mask changes a value that a policy, an approval or the name of a resource uses";

#[tokio::test]
async fn a_request_is_masked_as_its_check_decided() {
    let bench = Bench::new(MASK).await;
    let text = format!("see {SECRET}, 4111 1111 1111 1111");
    let record = bench.masked(chat(&text)).await;
    let (_, seen) = bench.judged(chat(&text)).await;
    assert_eq!(seen.masked, ["card", "doubled", "incident", "salary"]);
    let verdict = seen.result.unwrap();
    assert_eq!(verdict.determining, ["mesh/all", "mesh/hide"]);
    assert_eq!(bench.left(&record, chat_text(&text).as_bytes()), Ok(chat_text("see [incident], [card]")));

    let arguments = json!({"note": SECRET, "deep": [{"salary": 5, "b": 1}]});
    let record = bench.masked(tool(&json!(1), "write", &arguments)).await;
    let expected = tool_body(&json!(1), "write", &json!({"note": "[incident]", "deep": [{"b": 1}]}));
    let left = bench.left(&record, tool_body(&json!(1), "write", &arguments).as_bytes()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&left).unwrap(), serde_json::from_str::<Value>(&expected).unwrap());

    let (record, seen) = bench.judged(chat("nothing")).await;
    assert!(seen.is_allow() && seen.masked.is_empty());
    assert_eq!(bench.left(&record.unwrap(), chat_text("nothing").as_bytes()), Err("as it came"));
}

#[tokio::test]
async fn a_promise_counts_only_after_a_stream_and_for_ten_minutes() {
    let bench = Bench::without_streams(&format!("{PERMIT}\n{MASK}")).await;
    let unproven = "mask_unavailable: a request cannot be masked: no ext_proc stream of the service came with the request mode \
                    `BUFFERED` within ten minutes";
    assert_eq!(bench.denied(chat(SECRET)).await, unproven);
    // A stream of another service, of another listener, with another mode, or too long ago.
    bench.streams().record(LISTENER, "shop/api", NOW);
    bench.streams().record("edge", "models/gateway", NOW);
    bench.streams().record(LISTENER, "models/gateway", UnixMillis(NOW.0 - 600_001));
    let (plain, _) = bench.judged(chat("nothing")).await;
    let plain = plain.unwrap();
    for bodies in [RequestBodies::Incomplete, RequestBodies::Passed] {
        assert!(matches!(bench.forward(&plain, bodies), Forward::AsItCame));
    }
    assert_eq!(bench.denied(chat(SECRET)).await, unproven);
    assert!(matches!(bench.forward(&plain, RequestBodies::Whole), Forward::AsItCame));
    bench.masked(chat(SECRET)).await;
}

#[tokio::test]
async fn only_the_body_that_was_evaluated_leaves_and_only_through_the_right_mode() {
    let bench = Bench::new(MASK).await;
    let (sent, record) = (chat_text(SECRET), bench.masked(chat(SECRET)).await);
    assert!(bench.left(&record, sent.as_bytes()).is_ok());
    for changed in [sent.replace("412", "413"), format!("{sent} "), String::new()] {
        assert_eq!(bench.left(&record, changed.as_bytes()), Err("request_changed"), "{changed}");
    }
    for bodies in [RequestBodies::Incomplete, RequestBodies::Passed] {
        let Forward::Refuse(denial) = bench.forward(&record, bodies) else { panic!("{bodies:?}") };
        assert_eq!(denial.reason, "request_mode");
    }
    for bad in ["", "picket1.AAAA"] {
        let Forward::Refuse(denial) = bench.forward(bad, RequestBodies::Whole) else { panic!("{bad}") };
        assert_eq!(denial.reason, "release_unbound");
    }
    // Other detectors, or none of the name, do not mask the same.
    let other = DETECTORS.replace("INC-[0-9]{4}", "CNI-[0-9]{4}");
    for detectors in [other.as_str(), "detectors: {doubled: {words: [abc]}, incident: {words: [def]}}"] {
        let policies = format!("{PERMIT}\n{}", MASK.replace(",salary", "").replace(", \"salary\"", ""));
        let tree = [("catalog.yaml", CATALOG), ("detectors.yaml", detectors), ("mesh/a.cedar", policies.as_str())];
        bench.direct.source.give(crate::support::tree(&tree));
        bench.direct.store.load_now().await;
        assert!(bench.direct.store.status().is_current(), "{}", bench.direct.store.status());
        assert_eq!(bench.left(&record, sent.as_bytes()), Err("request_not_masked"), "{detectors}");
    }
}

#[tokio::test]
async fn a_record_of_another_key_or_proxy_masks_nothing_and_lets_nothing_pass() {
    let bench = Bench::new(MASK).await;
    let record = bench.masked(chat(SECRET)).await;
    let proxy = picket::identity::SpiffeId::parse("spiffe://cluster.local/ns/other/sa/gateway").unwrap();
    let stream = RequestStream { record: Some(&record), proxy: Some(&proxy), at: NOW, bodies: RequestBodies::Whole };
    let Forward::Refuse(denial) = bench.requests.forward(&stream) else { panic!("another proxy's record opened") };
    assert_eq!(denial.reason, "release_unbound");
    let key = ReleaseKey::new(&[2; 32]).unwrap();
    let other = RequestForwarder {
        sealer: Arc::new(ReleaseSealer::new(key, Duration::from_secs(60))),
        listener: LISTENER.into(),
        promise: Promise::Given,
        policies: Arc::clone(&bench.direct.store),
        streams: Arc::default(),
    };
    let stream = RequestStream { proxy: None, ..stream };
    assert!(matches!(other.forward(&stream), Forward::Refuse(_)));
    assert!(!other.streams.is_recent(LISTENER, "models/gateway", NOW), "a record that does not open proves nothing");
}

#[tokio::test]
async fn a_mask_on_a_value_that_decides_is_a_denial() {
    let reads = format!(
        r#"{MASK} @id("reads") forbid (principal, action == Action::"mcp.tools.call", resource)
        when {{ context has args && context.args.hasTag("/note") && context.args.getTag("/note") == "no" }};"#
    );
    let bench = Bench::new(&reads).await;
    let (one, note) = (json!(1), json!({ "note": SECRET }));
    assert_eq!(bench.denied(tool(&one, "write", &note)).await, USED, "an argument that a policy read");
    bench.masked(tool(&one, "write", &json!({"note": "yes", "other": SECRET}))).await;
    let named = tool(&one, &format!("write-{SECRET}"), &json!({}));
    let named = bench.denied(named).await;
    assert!(named.starts_with("mask_unavailable: the masked request is invalid"), "the name of the tool: {named}");
    let model = json!({"model": format!("m-{SECRET}"), "messages": [{"role": "user", "content": "x"}]}).to_string();
    assert_eq!(bench.denied(post("models/gateway", "/v1/chat/completions", &model)).await, USED, "the model");
    let id = bench.denied(tool(&json!(SECRET), "write", &json!({}))).await;
    assert_eq!(id, "mask_unavailable: the mask changes an id or an answer");

    let approved = format!(
        r#"{MASK} @id("approved") permit (principal, action == Action::"mcp.tools.call", resource)
        when {{ context has approval && context.approval.state == "approved" }};"#
    );
    let bench = Bench::new(&approved).await;
    assert_eq!(bench.denied(tool(&one, "write", &note)).await, USED, "what an approval covers");
}

#[tokio::test]
async fn a_request_that_cannot_be_masked_is_denied() {
    let bench = Bench::new(MASK).await;
    let digest = "mask_unavailable: a header has a digest or a signature of the body";
    for (name, value) in [
        ("content-digest", "sha-256=:x:"),
        ("digest", "x"),
        ("signature", "sig1=:x:"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("content-md5", "x"),
        ("authorization", "aws4-HMAC-SHA256 Credential=x"),
        ("trailer", "expires"),
    ] {
        let (_, seen) = bench.judged(chat(SECRET).header(name, value)).await;
        assert!(!seen.is_allow() && seen.masked.is_empty(), "{name}");
        // Another rule about credentials may come first.
        assert!(name == "authorization" || reason(&seen) == digest, "{name}: {}", reason(&seen));
    }
    bench.masked(chat(SECRET).header("want-content-digest", "sha-256=1")).await;
    let body = |body: Value| post("shop/api", "/notes", &body.to_string());
    bench.masked(body(json!({ "a": SECRET }))).await;
    for (sent, detail) in [
        (json!({"a": SECRET, SECRET: 1}), "a value is in the name of a member, which cannot be masked"),
        (json!({"a": SECRET, "b": 4_111_111_111_111_111_u64}), "a value is in a number, which cannot be masked"),
        (json!({"a": "bluebird"}), "the masked request still holds a value"),
        (
            json!({"a": SECRET, "b": {"mimeType": "image/png", "data": "iVBORw0KGgoAAAANSUhEUg"}}),
            "the request was not masked",
        ),
    ] {
        assert_eq!(bench.denied(body(sent)).await, format!("mask_unavailable: {detail}"));
    }
    // A second forbid without a mask denies in any case.
    let bench = Bench::new(&format!(
        "{MASK} @id(\"no\") forbid (principal, action, resource) when {{ context has found && \
        context.found.contains(\"card\") }};"
    ))
    .await;
    let (_, seen) = bench.judged(chat(&format!("{SECRET} 4111 1111 1111 1111"))).await;
    assert_eq!(seen.result.unwrap().reason(), Reason::PolicyForbid);
}

#[tokio::test]
async fn the_permits_of_the_masked_request_apply() {
    // A permit that needs the finding does not allow the request that leaves.
    let found = r#"@id("all") permit (principal, action == Action::"llm.generate", resource) when { context.found.contains("incident") };"#;
    let bench = Bench::without_streams(&format!("{found}\n{MASK}")).await;
    bench.streams().record(LISTENER, "models/gateway", NOW);
    assert_eq!(bench.denied(chat(SECRET)).await, "mask_unavailable: the masked request is not allowed");
    let bench = Bench::new(&format!("{MASK} @set_headers(\"x-found=yes\") {}", found.replace("all", "more"))).await;
    let other = "mask_unavailable: the permits of the masked request make other changes";
    assert_eq!(bench.denied(chat(SECRET)).await, other);
    // The obligations of permits go with the masked request.
    let bench =
        Bench::new(&format!("{MASK} @id(\"set\") @set_headers(\"x-a=b\") permit (principal, action, resource);")).await;
    let (_, seen) = bench.judged(chat(SECRET)).await;
    let Effect::Allow(mutations) = seen.result.unwrap().effect else { panic!("denied") };
    assert_eq!(mutations.set_headers.len(), 1, "{mutations:?}");
}
