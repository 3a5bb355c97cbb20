//! The expected result of a test, and its differences from the actual one.
//!
//! Pure. Knows: verdicts, failures and answers. Must not know: how a call is judged.

pub mod response;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::cli::offline::Judged;
use picket_core::decision::explain::Match;
use picket_core::decision::verdict::{Decision, Reason};
use picket_core::failure::Code;
use picket_core::problem::nearest;
use picket_server::check::Judgement;

/// The expected result of a call.
#[derive(Debug, Clone)]
pub enum Expected {
    /// All expectations.
    Exactly(Box<Expect>),
    /// It is allowed.
    Allowed,
    /// The policies deny it. A call that ends without a verdict does not count: a misspelt service in a
    /// test would prove nothing.
    Denied,
}

/// The expectations of a test; an absent one accepts any value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    decision: Wanted,
    status: Option<u16>,
    reason: Option<String>,
    #[serde(default)]
    policies: BTreeSet<String>,
    /// Policies that hold, whether or not they decide: a guardrail holds also where nothing permits the call.
    #[serde(default)]
    held: BTreeSet<String>,
    errors: Option<usize>,
    /// Detectors with values that the service gets masked.
    masked: Option<BTreeSet<String>>,
    #[serde(default)]
    headers: Headers,
    challenge: Option<String>,
    would_be: Option<Wanted>,
    /// The expectations of the response to the call.
    pub(super) response: Option<response::ExpectResponse>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Headers {
    set: BTreeMap<String, String>,
    remove: BTreeSet<String>,
    response: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    Allow,
    Deny,
    Challenge,
    Error,
}

impl Wanted {
    fn decision(self) -> Decision {
        match self {
            Self::Allow => Decision::Allow,
            Self::Deny => Decision::Deny,
            Self::Challenge => Decision::Challenge,
            Self::Error => Decision::Error,
        }
    }
}

impl Expect {
    /// Whether it can be fulfilled at all.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn check(&self) -> Result<(), (String, Option<String>)> {
        if let Some(response) = &self.response {
            response.check()?;
        }
        let Some(reason) = &self.reason else { return Ok(()) };
        let known = || Reason::ALL.iter().map(|r| r.as_str()).chain(Code::ALL.iter().map(|c| c.as_str()));
        if known().any(|name| name == reason) {
            return Ok(());
        }
        let help = match nearest(reason, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "reasons and codes are listed in docs/operating.md".to_owned(),
        };
        Err((format!("there is no reason `{reason}`"), Some(help)))
    }
}

/// What became of a call, as far as it can be compared.
struct Got<'a> {
    judgement: &'a Judgement,
    held: Vec<String>,
    status: u16,
    response: &'a Value,
}

/// Everything that differs, a line each; nothing where the test passes.
#[must_use]
pub fn differences(expected: &Expected, judged: &Judged, known: &BTreeSet<String>) -> Vec<String> {
    let got = Got {
        judgement: &judged.answer.judgement,
        held: held(expected, judged),
        status: judged.answer.status,
        response: &judged.response,
    };
    match expected {
        Expected::Exactly(expect) => exactly(expect, &got, known),
        Expected::Allowed if got.decision() == Decision::Allow => Vec::new(),
        Expected::Allowed => vec![format!("expected allow, got {}", got.summary())],
        Expected::Denied => match got.decision() {
            Decision::Deny | Decision::Challenge => Vec::new(),
            Decision::Allow | Decision::Error => vec![format!("expected deny, got {}", got.summary())],
        },
    }
}

/// What held, where it is asked for: it takes every policy to be parsed and evaluated again.
fn held(expected: &Expected, judged: &Judged) -> Vec<String> {
    let is_asked = match expected {
        Expected::Exactly(expect) => !expect.held.is_empty(),
        Expected::Allowed | Expected::Denied => false,
    };
    if !is_asked {
        return Vec::new();
    }
    let explanation = judged.explanation();
    let held = explanation.lines().iter().filter(|line| line.matched == Match::Satisfied);
    held.map(|line| line.entry.id.clone()).collect()
}

fn exactly(expect: &Expect, got: &Got<'_>, known: &BTreeSet<String>) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, expected: String, got: String| {
        if expected != got {
            differences.push(format!("{what}: expected {expected}, got {got}"));
        }
    };
    compare("decision", expect.decision.decision().as_str().to_owned(), got.decision().as_str().to_owned());
    if let Some(reason) = &expect.reason {
        compare("reason", reason.clone(), got.reason().to_owned());
    }
    if let Some(status) = expect.status {
        compare("status", status.to_string(), got.status.to_string());
    }
    if let Some(errors) = expect.errors {
        let failed = got.judgement.result.as_ref().map_or(0, |verdict| verdict.errors.len());
        compare("policies that failed to evaluate", errors.to_string(), failed.to_string());
    }
    if let Some(masked) = &expect.masked {
        let shown = |names: Vec<&str>| names.join(", ");
        let got = got.judgement.masked.iter().map(smol_str::SmolStr::as_str).collect();
        compare("masked", shown(masked.iter().map(String::as_str).collect()), shown(got));
    }
    if let Some(would_be) = expect.would_be {
        compare("would be", would_be.decision().as_str().to_owned(), got.would_be());
    }
    for (what, expected, list) in [
        ("request header", &expect.headers.set, got.headers("okResponse", "headers")),
        ("response header", &expect.headers.response, got.response_headers()),
    ] {
        for (name, value) in expected {
            let found = list.get(name.as_str()).map_or("nothing", |value| value);
            compare(&format!("{what} `{name}`"), format!("`{value}`"), format!("`{found}`"));
        }
    }
    differences.extend(policies(expect, got, known));
    differences.extend(removals(expect, got));
    differences.extend(challenge(expect, got));
    differences
}

/// Policies are a subset, by `<unit>/<id>` or by `<id>` alone.
fn policies(expect: &Expect, got: &Got<'_>, known: &BTreeSet<String>) -> Vec<String> {
    let determining = got.judgement.result.as_ref().map(|verdict| verdict.determining.as_slice()).unwrap_or_default();
    let decided = missing(&expect.policies, determining, "decide; decided by", known);
    decided.into_iter().chain(missing(&expect.held, &got.held, "hold; held", known)).collect()
}

/// Names the policies that are not among those found.
fn missing(expected: &BTreeSet<String>, found: &[String], what: &str, known: &BTreeSet<String>) -> Vec<String> {
    let same = |id: &str, wanted: &str| id == wanted || id.split_once('/').is_some_and(|(_, name)| name == wanted);
    let mut missing = Vec::new();
    for wanted in expected {
        if found.iter().any(|id| same(id, wanted)) {
            continue;
        }
        if known.iter().any(|id| same(id, wanted)) {
            missing.push(format!("policy `{wanted}` did not {what} [{}]", found.join(", ")));
            continue;
        }
        let names = known.iter().map(|id| id.split_once('/').map_or(id.as_str(), |(_, name)| name));
        let near = nearest(wanted, known.iter().map(String::as_str).chain(names));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        missing.push(format!("there is no policy `{wanted}`{hint}"));
    }
    missing
}

fn removals(expect: &Expect, got: &Got<'_>) -> Vec<String> {
    let removed = got.response.pointer("/okResponse/headersToRemove").and_then(Value::as_array);
    let removed: Vec<&str> = removed.into_iter().flatten().filter_map(Value::as_str).collect();
    let kept = expect.headers.remove.iter().filter(|name| !removed.contains(&name.as_str()));
    kept.map(|name| format!("request header `{name}` is not removed")).collect()
}

/// The `www-authenticate` header holds this text.
fn challenge(expect: &Expect, got: &Got<'_>) -> Option<String> {
    let wanted = expect.challenge.as_ref()?;
    let headers = got.headers("deniedResponse", "headers");
    let found = headers.get("www-authenticate").copied();
    match found {
        Some(found) if found.contains(wanted.as_str()) => None,
        Some(found) => Some(format!("challenge: expected `{wanted}` in `{found}`")),
        None => Some(format!("challenge: expected `{wanted}`, got none")),
    }
}

impl Got<'_> {
    fn decision(&self) -> Decision {
        self.judgement.result.as_ref().map_or(Decision::Error, |verdict| verdict.decision())
    }

    fn reason(&self) -> &'static str {
        match &self.judgement.result {
            Ok(verdict) => verdict.reason().as_str(),
            Err(failure) => failure.code.as_str(),
        }
    }

    fn summary(&self) -> String {
        match self.decision() {
            Decision::Error => format!("no verdict ({})", self.reason()),
            decision @ (Decision::Allow | Decision::Deny | Decision::Challenge) => {
                format!("{} ({})", decision.as_str(), self.reason())
            }
        }
    }

    /// Where no shadow policy took part, what is is what would be.
    fn would_be(&self) -> String {
        let would_be = self.judgement.result.as_ref().ok().and_then(|verdict| verdict.would_be.as_ref());
        would_be.map_or_else(|| self.decision(), |would_be| would_be.decision).as_str().to_owned()
    }

    fn response_headers(&self) -> BTreeMap<&str, &str> {
        match self.decision() {
            Decision::Allow => self.headers("okResponse", "responseHeadersToAdd"),
            Decision::Deny | Decision::Challenge | Decision::Error => self.headers("deniedResponse", "headers"),
        }
    }

    fn headers(&self, response: &str, list: &str) -> BTreeMap<&str, &str> {
        let list = self.response.get(response).and_then(|response| response.get(list)).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(|option| {
                let header = option.get("header")?;
                Some((header.get("key")?.as_str()?, header.get("value").and_then(Value::as_str).unwrap_or_default()))
            })
            .collect()
    }
}
