//! Calls and documents for the readers' tests.

use std::collections::BTreeMap;

use super::json::Json;
use crate::call::{Body, Call, CanonicalPath, Headers, Host, Peer, Target, UnixMillis};

/// A call with JSON as its content type; the body itself is handed to the reader.
pub fn call(method: &str, target: &str) -> Call {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    Call {
        peer: Peer::default(),
        method: method.to_owned(),
        scheme: "https".to_owned(),
        host: Host::parse("agent.shop").unwrap(),
        target: Target::Path { path: CanonicalPath::parse(path).unwrap(), query: query.map(str::to_owned) },
        path_sent: target.to_owned(),
        upgrade: None,
        headers: Headers::raw(vec![("content-type".to_owned(), b"application/json".to_vec())]),
        body: Body::NotSent,
        extensions: BTreeMap::new(),
        verified_tokens: BTreeMap::new(),
        received_at: UnixMillis(0),
    }
}

/// The call with other headers.
pub fn with_headers(mut call: Call, headers: &[(&str, &str)]) -> Call {
    call.headers = Headers::raw(headers.iter().copied());
    call
}

/// A document.
pub fn json(text: &str) -> Json {
    super::json::parse(text.as_bytes(), super::json::Limits::default()).unwrap()
}

/// Documents of any shape, often with the protocols' own names and texts.
pub fn document() -> impl proptest::strategy::Strategy<Value = Json> {
    use proptest::prelude::*;
    let words = "jsonrpc|2\\.0|id|method|params|message|parts|role|taskId|url|tools|type|mcp|model|messages|[a-z]{0,3}";
    let leaf = prop_oneof![Just("null".to_owned()), Just("true".to_owned()), Just("7".to_owned()), {
        words.prop_map(|word| format!("{word:?}"))
    }];
    let tree = leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::btree_map(words, inner, 0..5).prop_map(|members| {
                let members: Vec<String> =
                    members.into_iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    tree.prop_map(|text| json(&text))
}
