//! Shows the rulings about a response, as text and JSON.
//!
//! Knows: names of detectors and policies, counts. Must not know: texts of a body, how a response is evaluated.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::Exit;
use crate::cli::offline::response::Leaving;
use picket_server::check::response::{Outcome, Ruled, WouldBe};

/// What leaves of a response; the error is a call that no service answers.
type Release = Result<Leaving, String>;

/// The lines below the explanation of the call.
pub(super) fn text(release: &Release) -> String {
    let leaving = match release {
        Ok(leaving) => leaving,
        Err(denied) => return format!("\nRESPONSE\n  {denied}\n"),
    };
    let reason = leaving.reason.map(|reason| format!("  {reason}")).unwrap_or_default();
    let mut text = format!("\nRESPONSE {}{reason}\n", leaving.outcome.as_str().to_uppercase());
    let _ = writeln!(text, "  {}", leaves(leaving));
    if leaving.rulings.is_empty() {
        text += "\n  no policy is about the response\n";
    }
    for (number, ruled) in leaving.rulings.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|before| leaving.rulings.get(before));
        let _ = writeln!(text, "\n  ruling {}: {}", number + 1, occasion(ruled, before));
        let result = match ruled.refused {
            Some(reason) => format!("refused ({reason})"),
            None if ruled.masks.is_empty() => "released".to_owned(),
            None => format!("released, masks {}", listed(&ruled.masks)),
        };
        let by = if ruled.determining.is_empty() { "no policy".to_owned() } else { listed(&ruled.determining) };
        let _ = writeln!(text, "    {result}, by {by}");
    }
    if !leaving.findings.is_empty() {
        text += "\n  findings\n";
        for (detector, count) in &leaving.findings {
            let _ = writeln!(text, "    {detector} {count}");
        }
    }
    if leaving.unread > 0 {
        let _ = writeln!(text, "\n  not read: {} of its parts", leaving.unread);
    }
    if let Some(would_be) = &leaving.would_be {
        let _ = writeln!(text, "\n  with shadow policies enforced: {}", shadow(would_be));
    }
    text
}

/// What the client gets.
fn leaves(leaving: &Leaving) -> String {
    let Leaving { status, body, is_replaced, outcome, .. } = leaving;
    let bytes = body.len();
    match outcome {
        _ if *is_replaced => format!("the client gets a denial with status {status} instead"),
        Outcome::Refused => format!("{bytes} bytes leave with status {status}, and then the response ends early"),
        Outcome::Released | Outcome::Filtered | Outcome::Masked => format!("{bytes} bytes leave with status {status}"),
    }
}

/// Why there was a ruling: what is new since the one before.
fn occasion(ruled: &Ruled, before: Option<&Ruled>) -> String {
    let Some(before) = before else { return "by its headers".to_owned() };
    let mut new: Vec<String> = Vec::new();
    let found = ruled.seen.found.difference(&before.seen.found);
    new.extend(found.map(|detector| format!("first finding of {detector}")));
    let passed = ruled.seen.passed.difference(&before.seen.passed);
    new.extend(passed.map(|media_type| format!("a part in {media_type}")));
    if before.seen.inspected && !ruled.seen.inspected {
        new.push("a part that could not be read".to_owned());
    }
    if new.is_empty() { "nothing found".to_owned() } else { new.join(", ") }
}

fn listed<'a>(names: impl IntoIterator<Item = &'a (impl AsRef<str> + 'a)>) -> String {
    names.into_iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

fn shadow(would_be: &WouldBe) -> String {
    let reason = would_be.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let by = listed(&would_be.determining);
    let by = if by.is_empty() { by } else { format!(", by {by}") };
    format!("{}{reason}{by}", would_be.outcome_as_str())
}

/// The member `response` of the explanation.
pub(super) fn json(release: &Release) -> Value {
    let leaving = match release {
        Ok(leaving) => leaving,
        Err(denied) => return json!({"outcome": "no_response", "detail": denied}),
    };
    let ruled = |ruled: &Ruled| {
        json!({
            "found": ruled.seen.found, "inspected": ruled.seen.inspected, "passed": ruled.seen.passed,
            "refused": ruled.refused, "masks": ruled.masks, "policies": ruled.determining,
        })
    };
    let would_be = |would_be: &WouldBe| {
        json!({
            "outcome": would_be.outcome_as_str(), "reason": would_be.reason, "policies": would_be.determining,
            "findings": would_be.findings,
        })
    };
    json!({
        "outcome": leaving.outcome.as_str(), "reason": leaving.reason, "replaced": leaving.is_replaced,
        "status": leaving.status, "bytes": leaving.body.len(), "findings": leaving.findings, "unread": leaving.unread,
        "rulings": leaving.rulings.iter().map(ruled).collect::<Vec<_>>(),
        "would_be": leaving.would_be.as_ref().map(would_be),
    })
}

/// The exit code of a release.
pub(super) fn exit(release: &Release) -> Exit {
    match release.as_ref().map(|leaving| leaving.outcome) {
        Ok(Outcome::Released | Outcome::Filtered | Outcome::Masked) => Exit::Ok,
        Ok(Outcome::Refused) | Err(_) => Exit::Deny,
    }
}
