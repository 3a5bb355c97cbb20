//! Fields that a record must have and must never have.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::{Expect, expect};

use super::text::cut;
use super::*;
use crate::telemetry::tests::{Scene, would_be};
use picket_core::call::Headers;
use picket_core::decision::verdict::{Denial, PolicyError, Reason, WouldBe};
use picket_core::failure::Code;
use picket_core::obligation::Mutations;
use picket_core::obligation::challenge::Challenge;
use picket_core::query::{Value, record};

fn shape() -> Shape {
    let full_headers = ["user-agent", "authorization", "x-session-token"].map(str::to_owned).to_vec();
    Shape { mask: Mask::new(&["x-ticket".to_owned()]), full_headers }
}

fn text(scene: &Scene) -> String {
    let bytes = bytes(&scene.seen(), &shape()).unwrap();
    assert!(bytes.len() <= RECORD_BYTES_MAX, "{} bytes", bytes.len());
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains('\n'));
    text
}

fn check(scene: &Scene, expected: Expect) {
    let value: serde_json::Value = serde_json::from_str(&text(scene)).unwrap();
    expected.assert_eq(&format!("{value:#}"));
}

fn hostile(text: &str) -> Scene {
    let mut scene = Scene::denied();
    scene.call.path_sent = format!("/{text}");
    scene.call.method = text.to_owned();
    scene.request_id = Some(text.to_owned());
    scene.trace_parent = Some(text.to_owned());
    scene.judgement.service = Some(text.to_owned());
    let query = scene.query();
    query.principal.uid.id = text.into();
    query.resource.uid = Uid { kind: text.into(), id: text.into() };
    query.action = text.into();
    let verdict = scene.verdict();
    verdict.determining = vec![text.to_owned(); 100];
    verdict.errors = vec![PolicyError { policy: text.to_owned(), message: text.to_owned() }; 100];
    let determining = verdict.determining.clone();
    verdict.would_be = Some(WouldBe { determining, ..would_be(Decision::Allow, Reason::PolicyPermit) });
    verdict.effect = Effect::Challenge(
        Challenge::AddScope { scopes: BTreeSet::from([text.to_owned()]) },
        Denial { reason: Reason::Remedy, status: None, public_reason: None, detail: text.to_owned() },
    );
    scene
}

#[test]
fn findings_are_recorded_by_the_names_of_detectors() {
    let content = |scene: &Scene| {
        let value: serde_json::Value = serde_json::from_str(&text(scene)).unwrap();
        value.get("content").cloned()
    };
    let expected = serde_json::json!({
        "found": ["card", "jwt"], "not_read": "an image, audio or a file that is not a text"
    });
    assert_eq!(content(&Scene::found(&["jwt", "card"])), Some(expected));
    let mut nothing = Scene::denied();
    nothing.judgement.content = Some(picket_core::inspection::Inspection::default());
    assert_eq!(content(&nothing), None);
}

/// Tools come and go with a catalogue: as a label they would have no bound.
#[test]
fn a_tools_own_action_is_recorded_as_a_call_of_a_tool() {
    let mut scene = Scene::denied();
    scene.query().action = picket_core::query::action::of_tool("agents/money", "refund").into();
    let record: serde_json::Value = serde_json::from_str(&text(&scene)).unwrap();
    assert_eq!(record.pointer("/action"), Some(&"mcp.tools.call".into()), "{record:#}");
}

#[test]
fn a_deny_has_caller_request_and_reason() {
    let mut scene = Scene::denied();
    scene.request_id = Some("r-1".to_owned());
    scene.trace_parent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    scene.verdict().would_be = Some(would_be(Decision::Allow, Reason::PolicyPermit));
    check(
        &scene,
        expect![[r#"
        {
          "v": 1,
          "decision_id": "00000000-0000-0000-0000-000000000007",
          "time": "2023-11-14T22:13:20.123Z",
          "listener": "mesh",
          "decision": "deny",
          "reason": "no_permit",
          "status": 403,
          "protocol": "http",
          "principal": {
            "type": "Workload",
            "id": "spiffe://cluster.local/ns/web/sa/frontend"
          },
          "action": "GET",
          "resource": {
            "type": "Path",
            "id": "shop/orders/v1"
          },
          "service": "shop/orders",
          "determining": [],
          "would_be": {
            "decision": "allow",
            "reason": "policy_permit",
            "determining": [
              "shop/new"
            ]
          },
          "request_id": "r-1",
          "trace_id": "0af7651916cd43dd8448eb211c80319c",
          "method": "GET",
          "host": "orders.shop",
          "path_sent": "/v1",
          "micros": 80
        }"#]],
    );
}

#[test]
fn a_challenge_names_its_remedy() {
    let mut scene = Scene::denied();
    let denial = Denial { reason: Reason::Remedy, status: None, public_reason: None, detail: "acr".to_owned() };
    scene.verdict().effect =
        Effect::Challenge(Challenge::StepUp { acr: Some("gold".to_owned()), max_age_seconds: Some(60) }, denial);
    let record: serde_json::Value = serde_json::from_str(&text(&scene)).unwrap();
    assert_eq!(record["remedies"], serde_json::json!({"kind": "step_up", "acr": "gold", "max_age_seconds": 60}));
    assert_eq!(record["detail"], "acr");
}

#[test]
fn a_failure_has_its_code_and_the_known_fields() {
    check(
        &Scene::failed(Code::TokenExpired),
        expect![[r#"
        {
          "v": 1,
          "decision_id": "00000000-0000-0000-0000-000000000007",
          "time": "2023-11-14T22:13:20.123Z",
          "listener": "mesh",
          "decision": "error",
          "reason": "token_expired",
          "detail": "why",
          "status": 403,
          "protocol": "http",
          "service": "shop/orders",
          "determining": [],
          "method": "GET",
          "host": "orders.shop",
          "path_sent": "/v1",
          "micros": 80
        }"#]],
    );
}

/// A call whose every hidden value holds `hidden` or `abc`.
fn secretive() -> Scene {
    let mut scene = Scene::allowed(Mutations {
        log_full: true,
        set_headers: BTreeMap::from([("x-caller".to_owned(), "hidden value".to_owned())]),
        ..Mutations::default()
    });
    scene.call.headers = Headers::raw(vec![
        ("user-agent".to_owned(), b"curl\xff".to_vec()),
        ("authorization".to_owned(), b"Bearer abc".to_vec()),
        ("x-session-token".to_owned(), b"abc".to_vec()),
        ("x-other".to_owned(), b"abc".to_vec()),
    ]);
    let claims = Value::Record(record([("subject", "ann".into()), ("tokenId", "jti".into())]));
    let facts = Value::Record(record([
        ("team", "web".into()),
        ("x_ticket", "hidden".into()),
        ("secret", Value::Record(record([("innocent", "hidden".into())]))),
    ]));
    let query = scene.query();
    query.principal.attributes = record([("token", claims), ("facts", facts)]);
    query.context = record([("now", Value::Time(1000)), ("sizes", Value::texts(["s"]))]);
    scene
}

#[test]
fn the_full_record_adds_allowed_headers_and_masked_attributes() {
    let scene = secretive();
    assert!(!text(&scene).contains("hidden"));
    assert!(!text(&scene).contains("abc"));
    check(
        &scene,
        expect![[r#"
        {
          "v": 1,
          "decision_id": "00000000-0000-0000-0000-000000000007",
          "time": "2023-11-14T22:13:20.123Z",
          "listener": "mesh",
          "decision": "allow",
          "reason": "policy_permit",
          "status": 403,
          "protocol": "http",
          "principal": {
            "type": "Workload",
            "id": "spiffe://cluster.local/ns/web/sa/frontend"
          },
          "action": "GET",
          "resource": {
            "type": "Path",
            "id": "shop/orders/v1"
          },
          "service": "shop/orders",
          "determining": [
            "shop/read"
          ],
          "obligations": {
            "set_headers": [
              "x-caller"
            ]
          },
          "method": "GET",
          "host": "orders.shop",
          "path_sent": "/v1",
          "micros": 80,
          "full": {
            "headers": [
              [
                "user-agent",
                [
                  "curl�"
                ]
              ]
            ],
            "principal": {
              "facts": {
                "secret": "***",
                "team": "web",
                "x_ticket": "***"
              },
              "token": {
                "subject": "ann",
                "tokenId": "***"
              }
            },
            "resource": {},
            "context": {
              "now": "1970-01-01T00:00:01.000Z",
              "sizes": [
                "s"
              ]
            }
          }
        }"#]],
    );
}

#[test]
fn without_the_policys_word_no_header_and_no_attribute_is_written() {
    let mut scene = Scene::allowed(Mutations::default());
    scene.call.headers = Headers::raw(vec![("user-agent".to_owned(), b"curl".to_vec())]);
    scene.query().principal.attributes = record([("team", "web".into())]);
    let text = text(&scene);
    assert!(!text.contains("curl") && !text.contains("\"web\""), "{text}");
}

#[test]
fn the_query_is_never_written() {
    for sent in ["/v1?password=hidden", "/v1?", "/v1#hidden", "/v1?a=1?b=hidden#c"] {
        let mut scene = Scene::denied();
        scene.call.path_sent = sent.to_owned();
        let record: serde_json::Value = serde_json::from_str(&text(&scene)).unwrap();
        assert_eq!(record["path_sent"], "/v1", "{sent}");
    }
}

#[test]
fn p33_no_input_forges_a_line_or_a_field() {
    for input in
        ["a\nb", "a\r\n{\"v\":1}", "\",\"decision\":\"allow\",\"x\":\"", "\u{1b}[2J\u{9b}2J", "\u{202e}txt", "\0"]
    {
        let text = text(&hostile(input));
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["decision"], "challenge");
        assert_eq!(record["resource"]["id"], *input);
        assert!(text.chars().all(|character| !character.is_control() && character != '\u{202e}'), "{text}");
    }
}

#[test]
fn p33_a_megabyte_of_name_stays_within_the_bounds() {
    for unit in ["a", "ü", "\n", "\u{1b}", "\u{9b}"] {
        let mut scene = hostile(&unit.repeat(1_000_000));
        let record: serde_json::Value = serde_json::from_str(&text(&scene)).unwrap();
        let id = record["resource"]["id"].as_str().unwrap();
        assert!(id.ends_with('…') && id.len() <= ID_BYTES_MAX + '…'.len_utf8());
        assert_eq!(record["decision_id"], scene.decision_id.to_string());

        scene.verdict().effect = Effect::Allow(Mutations { log_full: true, ..Mutations::default() });
        let many = (0..1000).map(|at| (format!("{at}{}", unit.repeat(100_000)).into(), Value::from("x".repeat(5000))));
        scene.query().context = many.take(100).collect();
        let record: serde_json::Value = serde_json::from_str(&text(&scene)).unwrap();
        assert_eq!(record["truncated"], true);
    }
}

#[test]
fn a_cut_never_splits_a_character() {
    assert_eq!(cut("aüü", 2), "a…");
    assert_eq!(cut("aüü", 3), "aü…");
    assert_eq!(cut("aüü", 5), "aüü");
}
