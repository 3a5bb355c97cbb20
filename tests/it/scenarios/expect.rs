//! The expected answer, and whether it came.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::harness::said;

/// The expected answer.
#[derive(Clone, Deserialize)]
pub struct Expected {
    verdict: String,
    status: i32,
    #[serde(default)]
    verdict_any_of: Vec<String>,
    #[serde(default)]
    status_any_of: Vec<i32>,
    #[serde(default)]
    pub must_have_headers: BTreeMap<String, String>,
    #[serde(default)]
    pub must_not_contain: Vec<String>,
    #[serde(default)]
    pub must_contain: Vec<String>,
    /// Expectations of other kinds: a case that has one and cannot be checked by it has not passed.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}

impl Expected {
    /// Returns whether the call may be allowed.
    pub fn is_allow(&self) -> bool {
        self.verdicts().any(|verdict| verdict == "allow")
    }

    pub fn verdicts(&self) -> impl Iterator<Item = &String> {
        self.verdict_any_of.iter().chain([&self.verdict])
    }

    /// Returns whether an answer may have this status.
    pub fn has_status(&self, status: i32) -> bool {
        self.status == status || self.status_any_of.contains(&status)
    }
}

/// Says what of an answer is not as expected.
pub fn compare(expected: &Expected, answer: &CheckResponse, secrets: &[String]) -> Result<(), String> {
    let got = said(answer);
    let was = format!("got {} {} ({})", got.decision, got.status, got.reason);
    let is_said = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && *value != Value::Array(vec![]);
    if let Some((key, value)) = expected.others.iter().find(|(_, value)| is_said(value)) {
        return Err(format!("the expectation `{key}: {value}` is not understood; {was}"));
    }
    let mut is_one = false;
    for verdict in expected.verdicts() {
        is_one |= match verdict.as_str() {
            "allow" => got.status == 200,
            // Any denial may say how to get an allow; status and headers define the expected denial.
            "deny" => got.status != 200,
            "step_up" | "challenge" => got.decision == "challenge",
            other => return Err(format!("the verdict `{other}` is not understood; {was}")),
        };
    }
    if !is_one {
        return Err(format!("expected {}, {was}", expected.verdicts().cloned().collect::<Vec<_>>().join(" or ")));
    }
    if !expected.has_status(got.status) {
        return Err(format!("expected status {} or {:?}, {was}", expected.status, expected.status_any_of));
    }
    let (headers, body) = parts(answer);
    for (name, pattern) in &expected.must_have_headers {
        let values: Vec<&str> =
            headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect();
        let pattern = Pattern::parse(pattern)?;
        if !values.iter().any(|value| pattern.matches(value)) {
            return Err(format!("expected `{name}` to match `{}`, got {values:?}; {was}", pattern.written));
        }
    }
    let header_text: Vec<String> = headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    // A caller reads the text that the JSON encodes.
    let texts = serde_json::from_str::<Value>(&body).map(|json| strings(&json).join("\n")).unwrap_or_default();
    let whole = format!("{body}\n{texts}\n{}", header_text.join("\n"));
    let hidden = expected.must_not_contain.iter().chain(secrets).filter(|text| whole.contains(text.as_str()));
    if let Some(text) = hidden.into_iter().next() {
        return Err(format!("the answer holds `{}`; {was}", text.chars().take(40).collect::<String>()));
    }
    match expected.must_contain.iter().find(|text| !whole.contains(text.as_str())) {
        Some(text) => Err(format!("the answer does not hold `{text}`; {was}")),
        None => Ok(()),
    }
}

/// Every text in a document, keys too.
pub fn strings(json: &Value) -> Vec<String> {
    match json {
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(members) => {
            members.iter().flat_map(|(key, value)| [vec![key.clone()], strings(value)].concat()).collect()
        }
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

/// A regular expression that may begin with look-aheads, which the engine does not have: each is a search of its own.
pub struct Pattern<'a> {
    pub written: &'a str,
    parts: Vec<(Regex, bool)>,
}

impl<'a> Pattern<'a> {
    pub fn parse(written: &'a str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = written.strip_prefix('^').filter(|rest| rest.starts_with("(?")).unwrap_or(written);
        let search = |text: &str| Regex::new(text).map_err(|problem| format!("`{written}` is no pattern: {problem}"));
        while let Some((is_wanted, group)) =
            ["(?=", "(?!"].iter().zip([true, false]).find_map(|(open, wanted)| Some((wanted, rest.strip_prefix(open)?)))
        {
            let end = closing(group).ok_or_else(|| format!("`{written}` has an open look-ahead"))?;
            // A look-ahead is at the beginning of the text.
            parts.push((search(&format!("^(?:{})", &group[..end]))?, is_wanted));
            rest = &group[end + 1..];
        }
        if parts.is_empty() || !rest.is_empty() {
            parts.push((search(rest)?, true));
        }
        Ok(Self { written, parts })
    }

    pub fn matches(&self, value: &str) -> bool {
        self.parts.iter().all(|(part, is_wanted)| part.is_match(value) == *is_wanted)
    }
}

/// Where the group that was opened before `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut is_escaped, mut in_class) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'(' if !in_class => depth += 1,
            b')' if !in_class && depth == 0 => return Some(at),
            b')' if !in_class => depth -= 1,
            _ => {}
        }
    }
    None
}

#[test]
fn lookaheads_are_searches_of_their_own() {
    for (pattern, value, expected) in [
        ("b", "abc", true),
        ("^b", "abc", false),
        ("(?=.*c)(?=.*a)", "abc", true),
        ("(?=.*c)(?=.*x)", "abc", false),
        ("^(?=.*c)a", "abc", true),
        ("(?=.*c)(?!.*b)", "abc", false),
        ("(?=b)", "abc", false),
        (r#"(?=.*x="(a|b)")(?=.*\))"#, r#"x="b" )"#, true),
        (r#"(?=.*max_age="?300"?)"#, "max_age=300", true),
    ] {
        assert_eq!(Pattern::parse(pattern).map(|pattern| pattern.matches(value)), Ok(expected), "{pattern}");
    }
    assert!(Pattern::parse("(?=a").is_err());
}
