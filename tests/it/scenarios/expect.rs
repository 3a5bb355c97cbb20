//! What must come back, and whether it did.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use regex::Regex;
use serde::Deserialize;

use crate::harness::said;

/// What must come back.
#[derive(Deserialize)]
pub struct Expected {
    verdict: String,
    status: i32,
    #[serde(default)]
    verdict_any_of: Vec<String>,
    #[serde(default)]
    status_any_of: Vec<i32>,
    #[serde(default)]
    must_have_headers: BTreeMap<String, String>,
    #[serde(default)]
    must_not_contain: Vec<String>,
    #[serde(default)]
    must_contain: Vec<String>,
}

/// Says what of an answer is not as expected.
pub fn compare(expected: &Expected, answer: &CheckResponse, secrets: &[String]) -> Result<(), String> {
    let got = said(answer);
    let verdicts = expected.verdict_any_of.iter().chain([&expected.verdict]);
    let is = |verdict: &String| match verdict.as_str() {
        "allow" => got.status == 200,
        // How to get a yes may be said with any denial; which denial it must be, status and headers say.
        "deny" => got.status != 200,
        "step_up" => got.decision == "challenge",
        other => panic!("unknown verdict `{other}`"),
    };
    let was = format!("{} {} ({})", got.decision, got.status, got.reason);
    if !verdicts.clone().any(is) {
        return Err(format!("expected {}, got {was}", verdicts.cloned().collect::<Vec<_>>().join(" or ")));
    }
    let mut statuses = expected.status_any_of.iter().chain([&expected.status]);
    if !statuses.any(|status| *status == got.status) {
        return Err(format!("expected status {} or {:?}, got {was}", expected.status, expected.status_any_of));
    }
    let (headers, body) = parts(answer);
    for (name, pattern) in &expected.must_have_headers {
        let values: Vec<&str> = headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
        if !values.iter().any(|value| matches(pattern, value)) {
            return Err(format!("expected `{name}` to match `{pattern}`, got {values:?}; {was}"));
        }
    }
    let whole = format!("{body}\n{}", headers.iter().map(|(n, v)| format!("{n}: {v}")).collect::<Vec<_>>().join("\n"));
    let hidden = expected.must_not_contain.iter().chain(secrets).filter(|text| whole.contains(text.as_str()));
    if let Some(text) = hidden.into_iter().next() {
        return Err(format!("the answer holds `{}`; {was}", text.chars().take(40).collect::<String>()));
    }
    match expected.must_contain.iter().find(|text| !body.contains(text.as_str())) {
        Some(text) => Err(format!("the answer does not hold `{text}`; {was}")),
        None => Ok(()),
    }
}

fn parts(answer: &CheckResponse) -> (Vec<(String, String)>, String) {
    match &answer.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => {
            let headers = denied.headers.iter().filter_map(|option| option.header.as_ref());
            (headers.map(|header| (header.key.clone(), header.value.clone())).collect(), denied.body.clone())
        }
        _ => (Vec::new(), String::new()),
    }
}

/// A pattern is matched anywhere; look-aheads `(?=.*…)` must each match on their own, since the engine has none.
fn matches(pattern: &str, value: &str) -> bool {
    let parts: Vec<String> = match pattern.strip_prefix("(?=.*") {
        Some(rest) => rest.split("(?=.*").map(|part| part.strip_suffix(')').unwrap_or(part).to_owned()).collect(),
        None => vec![pattern.to_owned()],
    };
    parts.iter().all(|part| Regex::new(part).unwrap().is_match(value))
}
