//! The expectations of a response, and their differences from what leaves.
//!
//! Pure. Knows: outcomes, bodies. Must not know: how a response is evaluated.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::{Expected, missing};
use crate::cli::offline::response::{GivenEvent, Leaving, written_events};
use picket_server::check::response::Outcome;

/// The expectations of a response; an absent one accepts any value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectResponse {
    outcome: WantedOutcome,
    reason: Option<String>,
    status: Option<u16>,
    body: Option<Value>,
    events: Option<Vec<GivenEvent>>,
    #[serde(default)]
    contains: Vec<String>,
    #[serde(default)]
    absent: Vec<String>,
    findings: Option<BTreeMap<String, u64>>,
    dropped: Option<u64>,
    #[serde(default)]
    policies: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WantedOutcome {
    Released,
    Filtered,
    Masked,
    Refused,
}

impl WantedOutcome {
    fn outcome(self) -> Outcome {
        match self {
            Self::Released => Outcome::Released,
            Self::Filtered => Outcome::Filtered,
            Self::Masked => Outcome::Masked,
            Self::Refused => Outcome::Refused,
        }
    }
}

impl ExpectResponse {
    /// Whether it can be fulfilled at all.
    pub(super) fn check(&self) -> Result<(), (String, Option<String>)> {
        if self.body.is_some() && self.events.is_some() {
            return Err(("a response is expected to have one of `body` and `events`".to_owned(), None));
        }
        if self.reason.is_some() && self.outcome != WantedOutcome::Refused {
            let message = "only a response with the outcome `refused` has a `reason`".to_owned();
            return Err((message, None));
        }
        if self.contains.iter().chain(&self.absent).any(String::is_empty) {
            return Err(("`contains` and `absent` list texts, and an empty one is in every body".to_owned(), None));
        }
        Ok(())
    }
}

/// Everything that differs, a line each; nothing if no response is expected.
#[must_use]
pub fn differences(
    expected: &Expected,
    left: Option<&Result<Leaving, String>>,
    known: &BTreeSet<String>,
) -> Vec<String> {
    let expect = match expected {
        Expected::Exactly(expect) => expect.response.as_ref(),
        Expected::Allowed | Expected::Denied => None,
    };
    match (expect, left) {
        (None, _) => Vec::new(),
        (Some(_), None) => vec!["response: expected one, got none".to_owned()],
        (Some(_), Some(Err(message))) => vec![format!("response: {message}")],
        (Some(expect), Some(Ok(left))) => compared(expect, left, known),
    }
}

fn compared(expect: &ExpectResponse, left: &Leaving, known: &BTreeSet<String>) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, expected: String, got: String| {
        if expected != got {
            differences.push(format!("response's {what}: expected {expected}, got {got}"));
        }
    };
    compare("outcome", expect.outcome.outcome().as_str().to_owned(), left.outcome.as_str().to_owned());
    if let Some(reason) = &expect.reason {
        compare("reason", reason.clone(), left.reason.unwrap_or("none").to_owned());
    }
    if let Some(status) = expect.status {
        compare("status", status.to_string(), left.status.to_string());
    }
    if let Some(findings) = &expect.findings {
        let show = |findings: Vec<(&str, u64)>| {
            let shown: Vec<String> = findings.iter().map(|(name, count)| format!("{name} {count}")).collect();
            format!("[{}]", shown.join(", "))
        };
        let expected = findings.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        compare(
            "findings",
            show(expected),
            show(left.findings.iter().map(|(n, count)| (n.as_str(), *count)).collect()),
        );
    }
    if let Some(dropped) = expect.dropped {
        compare("dropped entries", dropped.to_string(), left.dropped.to_string());
    }
    let body = String::from_utf8_lossy(&left.body);
    if let Some(expected) = &expect.body {
        let (expected, got) = match expected {
            Value::String(text) => (text.clone(), body.clone().into_owned()),
            // Written the same way, so that blanks and the order of members do not count.
            json => (
                json.to_string(),
                serde_json::from_str(&body).map_or_else(|_| body.clone().into_owned(), |got: Value| got.to_string()),
            ),
        };
        compare("body", format!("`{expected}`"), format!("`{got}`"));
    }
    if let Some(events) = &expect.events {
        compare("body", format!("`{}`", written_events(events)), format!("`{body}`"));
    }
    let lacks = expect.contains.iter().filter(|text| !body.contains(text.as_str()));
    differences.extend(lacks.map(|text| format!("response's body: `{text}` is missing in `{body}`")));
    let has = expect.absent.iter().filter(|text| body.contains(text.as_str()));
    differences.extend(has.map(|text| format!("response's body: `{text}` is in `{body}`")));
    differences.extend(missing(&expect.policies, &left.policies, "decide the response; decided by", known));
    differences
}
