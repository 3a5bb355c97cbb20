//! Requests to models: every member of the APIs' published types is read as the list says, or the request is rejected.
//!
//! `tests/sdk/models/fields` has every field at which a request to a model may hold something, by API and type, with
//! its class. `tests/it/sdk.rs` compares it with the SDKs; here each row is tried on the reader.

mod fields;

use std::collections::BTreeSet;

use fields::{Fields, Kind, Place, evil};
use picket::body::json::{self, Limits};
use picket::body::llm::{self, Request};
use picket::catalog::Protocol;
use picket::failure::Failure;
use serde_json::{Value, json};

use crate::support::call;

const EVIL: &str = "https://evil.example";

/// Reads a request of the API.
fn read(api: &str, body: &Value) -> Result<Request, Failure> {
    let (path, protocol) = match api {
        "chat" => ("/v1/chat/completions", Protocol::Openai),
        "responses" => ("/v1/responses", Protocol::Openai),
        _ => ("/v1/messages", Protocol::Anthropic),
    };
    let call = call().method("POST").path(path).header("content-type", "application/json").0;
    let body = json::parse(body.to_string().as_bytes(), Limits::default()).unwrap();
    llm::read(&call, Some(&body), protocol)
}

/// Returns whether a set has a text with this in it.
fn has(set: &BTreeSet<String>, part: &str) -> bool {
    set.iter().any(|text| text.contains(part))
}

/// Returns whether the value at a place of this class is in a fact.
fn shows(kind: Kind, request: &Request) -> bool {
    match kind {
        Kind::Fetch | Kind::Content | Kind::Schema => {
            request.hosted_tools.contains("fetch") && request.hosted_origins.contains(EVIL)
        }
        Kind::Call | Kind::Tools | Kind::Tool => {
            has(&request.hosted_origins, "evil") && has(&request.hosted_servers, "evil")
        }
        Kind::Search => request.hosted_domains.contains("evil.example"),
        Kind::Stored => request.hidden_history,
        Kind::Kept => request.stored,
        Kind::Model => request.other_models.contains("evil-model"),
        Kind::Checker => request.checkers.contains("evil-model"),
        Kind::Choice => request.hosted_tools.contains("web_search"),
        Kind::Name | Kind::Names => request.tool_names.contains("evil-tool"),
        Kind::Hosted => !request.hosted_tools.is_empty(),
        Kind::Header => has(&request.hosted_tools, "parameter:"),
        // To be refused.
        Kind::Host => false,
        Kind::Plain | Kind::Free | Kind::Own | Kind::Below | Kind::Union => true,
    }
}

/// Returns whether the names of an object are those of tools of a set, which this build does not list.
fn is_map(place: &Place) -> bool {
    place.of.ends_with("ToolsetConfigsParam")
}

/// Tries something on every place of every API, and fails with all places where it does not hold.
fn everywhere(claim: impl Fn(&Fields, &Place, &mut Vec<String>)) {
    let mut faults = Vec::new();
    for fields in fields::all() {
        for place in &fields.places {
            claim(&fields, place, &mut faults);
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_field_of_the_types_is_classified() {
    let unclassified = fields::unclassified();
    assert!(unclassified.is_empty(), "fields that tests/sdk/models/fields does not classify:\n{unclassified}");
    for fields in fields::all() {
        let all = fields.types.len();
        assert!(all > 40 && fields.places.len() * 10 > all * 8, "{}: {} of {all}", fields.api, fields.places.len());
    }
}

#[test]
fn members_of_the_published_types_are_known() {
    everywhere(|fields, place, faults| match read(fields.api, &fields.request(place, fields.least(&place.of))) {
        Ok(request) => {
            let odd: Vec<_> = request.hosted_tools.iter().filter(|name| name.contains(':')).collect();
            if !odd.is_empty() {
                faults.push(format!("{} {}: {odd:?}", fields.api, place.of));
            }
        }
        Err(failure) => faults.push(format!("{} {}: {failure:?}", fields.api, place.of)),
    });
}

#[test]
fn a_field_with_an_effect_shows_in_a_fact_and_any_other_does_not() {
    everywhere(|fields, place, faults| {
        let least = fields.request(place, fields.least(&place.of));
        let before = read(fields.api, &least).unwrap();
        for field in fields.of(&place.of) {
            for value in evil(fields, field) {
                let mut object = fields.least(&place.of);
                object[&field.name] = value;
                let row = format!("{} {}.{} {:?}: {object}", fields.api, place.of, field.name, field.kind);
                match (field.kind, read(fields.api, &fields.request(place, object))) {
                    (Kind::Plain | Kind::Free, Ok(request)) if request == before => {}
                    (Kind::Plain | Kind::Free, found) => faults.push(format!("{row}\n  {found:?}")),
                    (_, Err(_)) => {}
                    (kind, Ok(request)) if shows(kind, &request) => {}
                    (_, Ok(request)) => faults.push(format!("{row}\n  {request:?}")),
                }
            }
        }
    });
}

#[test]
fn content_and_local_references_are_no_fetch() {
    everywhere(|fields, place, faults| {
        for field in fields.of(&place.of) {
            let harmless = match field.kind {
                Kind::Fetch => vec![json!("data:image/png;base64,aGk="), json!("DATA:,hi")],
                Kind::Content => vec![json!("data:image/png;base64,aGk="), json!("aGk="), json!("//uQxAAA")],
                Kind::Schema => {
                    vec![json!({"$ref": "#/$defs/a", "$schema": "http://json-schema.org/draft-07/schema#"})]
                }
                _ => Vec::new(),
            };
            for value in harmless {
                let mut object = fields.least(&place.of);
                object[&field.name] = value;
                let request = read(fields.api, &fields.request(place, object));
                if !request.is_ok_and(|request| !request.hosted_tools.contains("fetch")) {
                    faults.push(format!("{} {}.{}", fields.api, place.of, field.name));
                }
            }
        }
    });
}

#[test]
fn an_unknown_member_counts_at_every_place() {
    everywhere(|fields, place, faults| {
        let ways = [
            json!({"deep": ["https://evil.example/x"]}),
            json!("https://evil.example/x"),
            json!({"url": "https://evil.example/x"}),
            json!([{"image_url": {"url": "https://evil.example/x"}}]),
            json!({"tools": [{"type": "mcp", "server_url": "https://evil.example/x"}]}),
        ];
        for way in ways {
            let mut object = fields.least(&place.of);
            object["zz_new"] = way;
            let found = read(fields.api, &fields.request(place, object));
            let counts = |request: &Request| {
                let is_named =
                    ["parameter:zz_new", "member:zz_new"].iter().any(|name| request.hosted_tools.contains(*name));
                (is_named || is_map(place)) && request.hosted_origins.contains(EVIL)
            };
            if !found.as_ref().is_ok_and(counts) {
                faults.push(format!("{} {}: {found:?}", fields.api, place.of));
            }
        }
        if is_map(place) {
            return;
        }
        let mut object = fields.least(&place.of);
        object["zz_model"] = json!("evil-model");
        if !read(fields.api, &fields.request(place, object))
            .is_ok_and(|found| found.other_models.contains("evil-model"))
        {
            faults.push(format!("{} {}: zz_model", fields.api, place.of));
        }
    });
}

#[test]
fn a_field_with_an_effect_has_one_spelling() {
    everywhere(|fields, place, faults| {
        for field in fields.of(&place.of) {
            if matches!(field.kind, Kind::Plain | Kind::Free | Kind::Own | Kind::Header | Kind::Below | Kind::Kept) {
                continue;
            }
            for value in evil(fields, field) {
                for name in [field.name.to_uppercase(), field.name.replacen('_', "", 1), field.name.replace('_', "-")] {
                    if name == field.name {
                        continue;
                    }
                    let mut object = fields.least(&place.of);
                    object[&name] = value.clone();
                    let counts = |request: &Request| !request.hosted_tools.is_empty() || request.hidden_history;
                    if !read(fields.api, &fields.request(place, object)).map_or(true, |request| counts(&request)) {
                        faults.push(format!("{} {}.{name}", fields.api, place.of));
                    }
                }
            }
        }
    });
}

#[test]
fn an_item_of_an_unknown_type_or_none_counts_at_every_place() {
    everywhere(|fields, place, faults| {
        let least = fields.least(&place.of);
        let Some(kind) = least.get("type").and_then(Value::as_str) else { return };
        if !place.is_told_by_type {
            return;
        }
        let others = [json!("zz_new"), json!(kind.to_uppercase()), json!(format!("{kind} ")), json!(null), json!(7)];
        for other in others.into_iter().map(Some).chain([None]) {
            let mut object = least.clone();
            match &other {
                Some(other) => object["type"] = other.clone(),
                None => drop(object.as_object_mut().unwrap().remove("type")),
            }
            // A message needs no type: its parts are what counts.
            let is_message = object.get("role").is_some() && other.as_ref().is_none_or(Value::is_null);
            let counts = |request: &Request| {
                !request.hosted_tools.is_empty() || request.hidden_history || !request.tool_names.is_empty()
            };
            let found = read(fields.api, &fields.request(place, object));
            if !is_message && !found.as_ref().map_or(true, counts) {
                faults.push(format!("{} {} as {other:?}: {found:?}", fields.api, place.of));
            }
        }
    });
}

#[test]
fn two_names_of_one_tool_are_rejected_and_one_is_read_at_every_place() {
    let (ours, evil) = (json!({"name": "ours"}), json!({"name": "evil-tool"}));
    for fields in fields::all() {
        for kind in [json!("function"), json!("custom"), json!(null)] {
            for (outer, function, custom, names) in [
                (json!("ours"), &json!(null), &json!(null), Some("ours")),
                (json!(null), &ours, &json!(null), Some("ours")),
                (json!(null), &json!(null), &ours, Some("ours")),
                (json!("ours"), &ours, &ours, Some("ours")),
                (json!("evil-tool"), &ours, &json!(null), None),
                (json!("evil-tool"), &json!(null), &ours, None),
                (json!("ours"), &evil, &json!(null), None),
                (json!("ours"), &json!(null), &evil, None),
                (json!(null), &evil, &ours, None),
            ] {
                let tool = json!({"type": kind, "name": outer, "function": function, "custom": custom});
                let read = read(fields.api, &fields.with("tools", json!([tool])));
                let found = read.as_ref().ok().and_then(|request| request.tool_names.iter().next());
                assert_eq!(found.map(String::as_str), names, "{} {tool}", fields.api);
            }
        }
    }
}

/// A request by Chat Completions with this path and these headers: its other models, and other unusual parts.
fn aside(path: &str, headers: &[(&str, &str)]) -> String {
    let call = call().method("POST").path(path).header("content-type", "application/json");
    let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value)).0;
    let body = json::parse(br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#, Limits::default()).unwrap();
    match llm::read(&call, Some(&body), Protocol::Openai) {
        Ok(request) => request.other_models.into_iter().chain(request.hosted_tools).collect::<Vec<_>>().join(" "),
        Err(failure) => failure.code.as_str().to_owned(),
    }
}

#[test]
fn a_model_named_outside_the_body_is_evaluated() {
    for (query, expected) in [
        ("", ""),
        ("?model=m", ""),
        ("?model=evil", "evil"),
        ("?MODEL=evil", "evil"),
        ("?m%6fdel=evil", "evil"),
        ("?model[]=evil", "evil"),
        ("?model%5B0%5D=evil", "evil"),
        ("?+model=evil", "evil"),
        ("?models=evil,worse", "evil worse"),
        ("?model=m&model=evil", "evil"),
        ("?target_model=evil&fallbacks=worse", "evil worse"),
        ("?deployment_id=evil&engine=worse", "evil worse"),
        ("?beta=true&api-version=2026-01-01", ""),
        ("?stream=true", "query:stream"),
        ("?model=evil;x", "query_refused"),
        ("?model=%ff", "query_refused"),
        ("?mod%el=evil", "query_refused"),
        ("?model=a%00b", "query_refused"),
    ] {
        assert_eq!(aside(&format!("/v1/chat/completions{query}"), &[]), expected, "{query}");
    }
    for (name, value, expected) in [
        ("x-gateway-model-name", "evil", "evil"),
        ("x_model", "evil", "evil"),
        ("x-model-fallbacks", "evil, worse", "evil worse"),
        ("x-ai-eg-model", "m", ""),
        ("helicone-target-url", "https://evil.example", "header:helicone-target-url"),
        ("x-portkey-config", "{}", "header:x-portkey-config"),
        ("x-portkey-trace-id", "t", ""),
        ("user-agent", "OpenAI/Python", ""),
    ] {
        assert_eq!(aside("/v1/chat/completions", &[(name, value)]), expected, "{name}");
    }
}

#[test]
fn the_server_of_a_fetch_has_one_reading_or_the_request_is_denied() {
    for (url, servers) in [
        ("https://evil.example/a%2Fb.png?x=1", Some("https://evil.example/a%2Fb.png")),
        ("HTTPS://Evil.Example:443//a.png", Some("https://evil.example//a.png")),
        ("https://evil.example?a=%2F", Some("https://evil.example/")),
        ("https://evil.example/a.png#top", Some("https://evil.example/a.png")),
        ("https://trusted@evil.example/a", None),
        ("https://trusted.example\\@evil.example/a//b", None),
        ("https://trusted.example#@evil.example//", None),
        ("https://0x7f000001//", None),
        ("https:/evil.example/", None),
        ("file:///etc/passwd", None),
        ("https://evil.example/ä", None),
    ] {
        let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]);
        let body = json!({"model": "m", "messages": image});
        let found = read("chat", &body).ok().and_then(|request| request.hosted_servers.into_iter().next());
        assert_eq!(found.as_deref(), servers, "{url}");
    }
}

#[test]
fn only_so_many_models_and_unknown_names_are_taken() {
    let models = |count: usize| (0..count).map(|n| format!("m{n}")).collect::<Vec<_>>();
    let code = |name: &str, value: Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        body[name] = value;
        read("chat", &body).map(drop).map_err(|failure| failure.code.as_str())
    };
    assert_eq!(code("model_settings", json!({"heat": 0.5, "text": "x".repeat(999), "is_new": true})), Ok(()));
    assert_eq!(code("fallbacks", json!(models(8))), Ok(()));
    assert_eq!(code("fallbacks", json!(models(9))), Err("message_refused"));
    let parts = |count: usize| {
        let parts: Vec<_> = models(count).into_iter().map(|kind| json!({"type": kind})).collect();
        json!([{"role": "user", "content": parts}])
    };
    assert_eq!(code("messages", parts(64)), Ok(()));
    assert_eq!(code("messages", parts(65)), Err("message_refused"));
}
