//! Query strings: all who read one mean the same pairs, and those are what a server finds.

use std::cell::Cell;
use std::collections::BTreeSet;

use picket::body::{self, a2a, json::Json, llm};
use picket::call::parameters;
use picket::call::query_string::{Seen, could_mean, pairs, sent_pairs, unescaped};
use picket::call::{Call, CanonicalPath};
use picket::catalog::Protocol;
use picket::catalog::a2a::{A2a, Binding, Version};
use picket::decision::Snapshot;
use picket::failure::{Code, Failure};
use picket::identity::{self, Identity};
use picket::mapping::{self, Place, action};
use picket::query::{Keys, Reads};
use proptest::prelude::*;

use super::holds;
use crate::support::{call, snapshot};

/// Pieces of a query.
const PIECES: &[&str] = &[
    "&",
    "&",
    "&",
    "=",
    "=",
    "=",
    ";",
    "?",
    "#",
    "+",
    "key",
    "key",
    "x",
    "access_token",
    "model",
    "a2a-version",
    "A2A-Version",
    "1.0",
    "0.3",
    "%6b",
    "%3D",
    "%26",
    "%2500",
    "%00",
    "%0a",
    "%ff",
    "%z",
    "%C3%A9",
    "é",
];

type Pairs = Vec<(String, String)>;

fn query() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..9).prop_map(|pieces| pieces.concat())
}

fn with(method: &str, path: &str, query: &str) -> Call {
    call().method(method).path(&format!("{path}?{query}")).header("content-type", "application/json").0
}

fn json(text: &str) -> Json {
    body::json::parse(text.as_bytes(), body::json::Limits::default()).unwrap()
}

/// Asserts that a query without one reading was refused as one, and gives what was read otherwise.
fn read_alike<T>(read: Result<T, Failure>, found: Option<&Pairs>, who: &str) -> Option<T> {
    let code = read.as_ref().err().map(|failure| failure.code);
    if found.is_none() {
        assert_eq!(code, Some(Code::QueryRefused), "{who} read a query that has no one reading");
    }
    read.ok()
}

/// The tags of `context.http.query` where policies read `key`.
fn of_policies(snapshot: &Snapshot, query: &str) -> Result<Pairs, Failure> {
    let (call, settings) = (with("GET", "/", query), mapping::Settings::default());
    let service = snapshot.catalog().service("shop/orders").unwrap();
    let asked = action::spoken(&call, service, &settings)?.without_body(&call).unwrap();
    let reads = Reads { query: Keys::Some(["key".to_owned()].into()), ..Reads::default() };
    let place = Place { listener: "test", home: "cluster.local", catalog: snapshot.catalog() };
    let query = mapping::query(&call, &Identity::default(), service, &asked, &reads, place)?;
    let bag = query.bags.iter().find(|bag| bag.uid.id == "query").unwrap();
    let text = |value: &picket::query::Value| match value {
        picket::query::Value::String(text) => text.to_string(),
        other => panic!("{other:?} is no text"),
    };
    Ok(bag.tags.iter().map(|(key, value)| (key.to_string(), text(value))).collect())
}

/// The version that an agent reads.
fn of_agents(query: &str) -> Result<Version, Failure> {
    let rules = A2a {
        endpoint: CanonicalPath::parse("/a2a").unwrap(),
        versions: [Version::V03, Version::V10].into(),
        bindings: BTreeSet::from([Binding::Jsonrpc]),
    };
    // Each version has its own name of the method.
    let ask = |method: &str| {
        let body = json(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"id":"t"}}}}"#));
        a2a::read(&with("POST", "/a2a", query), Some(&body), &rules)
    };
    match ask("tasks/get").or_else(|_| ask("GetTask"))? {
        a2a::Reading::Message(message) => Ok(message.version),
        a2a::Reading::Card => panic!("an agent's card was read"),
    }
}

/// The keys that a reader of requests to models reports.
fn of_models(query: &str) -> Result<BTreeSet<String>, Failure> {
    let body = json(r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);
    let request = llm::read(&with("POST", "/v1/chat/completions", query), Some(&body), Protocol::Openai)?;
    Ok(request.hosted_tools.iter().filter_map(|name| name.strip_prefix("query:")).map(str::to_owned).collect())
}

/// A key as it is reported: its first 40 characters.
fn shown(key: &str) -> String {
    let start: String = key.chars().take(40).collect();
    if start.len() < key.len() { format!("{start}…") } else { start }
}

/// Returns whether a credential may be in the query.
fn holds_token(query: &str) -> bool {
    let settings = serde_json::json!({"tokens": [{"verified": {"issuers": ["i"]}}]});
    let settings: identity::Settings = serde_json::from_value(settings).unwrap();
    identity::is_momentary(&with("GET", "/", query), &settings)
}

#[test]
fn all_who_read_a_query_mean_the_same_pairs() {
    let read = [const { Cell::new(0) }; 4];
    let count = |who: usize| read[who].set(read[who].get() + 1);
    let snapshot = snapshot(&[]);
    holds(3000, query(), |query| {
        let found: Option<Pairs> = pairs(&query).collect::<Result<_, _>>().ok();
        if let Some(found) = &found {
            count(0);
            // The result of a browser's own reader of queries.
            let url = reqwest::Url::parse(&format!("http://h/?{query}")).unwrap();
            let browsers: Pairs = url.query_pairs().map(|(key, value)| (key.into(), value.into())).collect();
            assert_eq!(*found, browsers);
        }
        let by_all: Vec<_> = sent_pairs(&query).filter(|pair| pair.seen == Seen::ByAll).collect();
        if let Some(found) = &found
            && !query.contains('?')
        {
            let once = |text: &str| unescaped(text).unwrap();
            let sent: Pairs = by_all.iter().map(|pair| (once(pair.key), once(pair.value))).collect();
            assert_eq!(sent, *found);
        }
        let target = with("GET", "/", &query).target;
        let keys: Vec<_> = parameters::keys(&target).map(|key| (key.text, key.seen)).collect();
        assert_eq!(keys, sent_pairs(&query).map(|pair| (pair.key, pair.seen)).collect::<Vec<_>>());

        let is_read = |(key, _): &&(String, String)| key == "key";
        // A query without keys is not parsed.
        if !keys.is_empty()
            && let Some(tags) = read_alike(of_policies(&snapshot, &query), found.as_ref(), "mapping")
        {
            count(1);
            assert_eq!(tags, found.iter().flatten().filter(is_read).cloned().collect::<Pairs>());
        }
        if let Some(version) = read_alike(of_agents(&query), found.as_ref(), "a2a") {
            count(2);
            let named = found.iter().flatten().find(|(key, _)| key.eq_ignore_ascii_case("a2a-version"));
            let expected = named.is_some_and(|(_, value)| value == "1.0");
            assert_eq!(version == Version::V10, expected);
        }
        if let Some(reported) = read_alike(of_models(&query), found.as_ref(), "llm") {
            count(3);
            let is_reported = |key: &String| !key.contains("model");
            let keys = found.iter().flatten().map(|(key, _)| key.clone()).filter(is_reported);
            assert_eq!(reported, keys.map(|key| shown(&key)).collect::<BTreeSet<_>>());
        }
        let could_be = sent_pairs(&query).any(|pair| could_mean(pair.key, "access_token"));
        assert_eq!(holds_token(&query), could_be);
    });
    let read = read.map(|count| count.get());
    assert!(read.iter().all(|count| *count > 200), "too few queries were read: {read:?}");
}
