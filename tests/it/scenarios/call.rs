//! From a scenario to the request, and to the check that Envoy would send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Scenario;
use super::keys::Issuers;
use super::world::World;
use crate::envoy::content::site::Request;
use crate::harness::{self, Check};

/// Every token of a scenario, as sent: none of them may come back.
pub fn tokens(scenario: &Scenario, issuers: &Issuers) -> Vec<String> {
    let all = [&scenario.token, &scenario.token2, &scenario.txn_token];
    all.into_iter().flatten().map(|token| issuers.mint(token)).collect()
}

/// A scenario's request, with its tokens.
struct Written {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Written {
    fn of(scenario: &Scenario, issuers: &Issuers) -> Self {
        let filled = |text: &str| {
            let names =
                [("{{TOKEN}}", &scenario.token), ("{{TOKEN2}}", &scenario.token2), ("{{TXN}}", &scenario.txn_token)];
            names.into_iter().fold(text.to_owned(), |text, (name, token)| match token {
                Some(token) if text.contains(name) => text.replace(name, &issuers.mint(token)),
                Some(_) => text,
                None if text.contains(name) => panic!("{name} stands for a token that the scenario does not have"),
                None => text,
            })
        };
        let mut headers = Vec::new();
        for (name, value) in &scenario.headers {
            let values = match value {
                Value::Array(values) => values.iter().collect(),
                value => vec![value],
            };
            for value in values {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                headers.push((name.clone(), filled(&text)));
            }
        }
        let body = match (&scenario.body_base64, &scenario.body) {
            (Some(encoded), _) => STANDARD.decode(encoded).unwrap(),
            (None, Some(text)) => padded(&filled(text)).into_bytes(),
            (None, None) => Vec::new(),
        };
        Self { path: filled(&scenario.path), headers, body }
    }
}

/// The request as its client sends it.
pub fn request(scenario: &Scenario, issuers: &Issuers) -> Request {
    let Written { path, headers, body } = Written::of(scenario, issuers);
    Request { method: scenario.method.clone(), path, host: scenario.host.clone(), headers, body }
}

/// The check, with the body as Envoy attaches it: truncated at the world's limit, and marked as partial.
pub fn check(scenario: &Scenario, world: &World, issuers: &Issuers) -> Check {
    let Written { path, headers, body } = Written::of(scenario, issuers);
    let mut check = harness::check(&scenario.method, &path).host(&scenario.host);
    if !scenario.source_principal.is_empty() {
        check = check.by(&scenario.source_principal);
    }
    for (name, value) in &headers {
        check = check.header(name, value);
    }
    let has = |name: &str| scenario.headers.keys().any(|key| key.eq_ignore_ascii_case(name));
    if !has("content-length") && !body.is_empty() {
        check = check.header("content-length", &body.len().to_string());
    }
    let limit = world.body_inspection_limit_bytes;
    let cut = body.len() > limit;
    if !has("x-envoy-auth-partial-body") {
        check = check.header("x-envoy-auth-partial-body", if cut { "true" } else { "false" });
    }
    check.http().raw_body = body[..body.len().min(limit)].to_vec();
    check.http().size = i64::try_from(body.len()).unwrap();
    check
}

/// `{{PAD:n}}` is replaced by n blanks.
fn padded(text: &str) -> String {
    let Some((before, rest)) = text.split_once("{{PAD:") else { return text.to_owned() };
    let (count, after) = rest.split_once("}}").unwrap();
    format!("{before}{}{}", " ".repeat(count.parse().unwrap()), padded(after))
}
