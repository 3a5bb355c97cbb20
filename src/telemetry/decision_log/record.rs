//! One decision as one JSON object.
//!
//! Knows: nouns and judgements. Must not know: queues, sinks, clocks.
//!
//! Callers choose names, paths and methods, so every text has a bound and the whole record has one. Values
//! of headers, arguments and queries are not written, but for the few headers allowed by configuration
//! where a policy asks for the full record.

mod full;
mod text;

use serde::Serialize;

use super::json;
use super::mask::Mask;
use crate::check::Judgement;
use crate::decision::verdict::{Decision, Effect, Verdict};
use crate::obligation::Mutations;
use crate::obligation::challenge::Challenge;
use crate::query::{Uid, action};
use crate::telemetry::Observed;
use crate::telemetry::metrics::namespace;
use crate::telemetry::spans::traceparent;
use full::{Full, full};
pub(super) use text::Text;
use text::{ID_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX, name, names, push_time, without_query};

/// Most bytes of one record.
pub(super) const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of a method.
const METHOD_BYTES_MAX: usize = 64;

/// What shapes records beside the call.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub mask: Mask,
    pub full_headers: Vec<String>,
}

/// The record of one call; at most [`RECORD_BYTES_MAX`].
///
/// # Errors
/// Only where the record has no JSON form.
pub(super) fn bytes(seen: &Observed<'_>, shape: &Shape) -> serde_json::Result<Vec<u8>> {
    let judgement = seen.judgement;
    let full = asks_for_full(judgement).then(|| full(seen.call, judgement, shape));
    let kept = judgement.prepared.record.get();
    let whole = match kept {
        Some(told) => line(seen, told, full.as_ref(), Cut::No)?,
        None => {
            let told = told(&Outcome::of(judgement), &Subject::of(judgement))?;
            let line = line(seen, &told, full.as_ref(), Cut::No)?;
            if judgement.reduced.is_some() {
                judgement.prepared.record.get_or_init(|| told);
            }
            line
        }
    };
    if whole.len() <= RECORD_BYTES_MAX {
        return Ok(whole);
    }
    // What a policy asked for in addition goes first; then the lists, whose first items stay.
    let (outcome, mut subject) = (Outcome::of(judgement), Subject::of(judgement));
    let short = line(seen, &told(&outcome, &subject)?, None, Cut::Yes)?;
    if short.len() <= RECORD_BYTES_MAX {
        return Ok(short);
    }
    subject.shorten();
    line(seen, &told(&outcome, &subject)?, None, Cut::Yes)
}

/// Whether something was left out of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Yes,
    No,
}

/// What a record tells of a judgement: before and after the status, which is the answer's.
type Told = [Box<[u8]>; 2];

fn told(outcome: &Outcome<'_>, subject: &Subject<'_>) -> serde_json::Result<Told> {
    let (mut before, mut after) = (Vec::with_capacity(64), Vec::with_capacity(640));
    json::members(outcome, &mut before)?;
    json::members(subject, &mut after)?;
    Ok([before.into_boxed_slice(), after.into_boxed_slice()])
}

/// The whole record. What is told of the judgement is the same for every call it answers; the rest is the call's.
fn line(seen: &Observed<'_>, told: &Told, full: Option<&Full<'_>>, cut: Cut) -> serde_json::Result<Vec<u8>> {
    let [outcome, subject] = told;
    let mut out = Vec::with_capacity(512 + outcome.len() + subject.len());
    out.extend_from_slice(b"{\"v\":1,\"decision_id\":\"");
    let mut id = uuid::Uuid::encode_buffer();
    out.extend_from_slice(seen.decision_id.as_hyphenated().encode_lower(&mut id).as_bytes());
    out.extend_from_slice(b"\",\"time\":\"");
    push_time(seen.received_at, &mut out);
    out.push(b'"');
    json::text("listener", seen.listener, NAME_BYTES_MAX, &mut out)?;
    out.extend_from_slice(outcome);
    json::number("status", u64::from(seen.status), &mut out);
    out.extend_from_slice(subject);
    if let Some(id) = seen.request_id {
        json::text("request_id", id, NAME_BYTES_MAX, &mut out)?;
    }
    if let Some(id) = seen.trace_parent.and_then(traceparent::trace_id) {
        json::text("trace_id", id, NAME_BYTES_MAX, &mut out)?;
    }
    if let Some(call) = seen.call {
        json::text("method", &call.method, METHOD_BYTES_MAX, &mut out)?;
        match call.host.port() {
            None => json::text("host", call.host.name(), NAME_BYTES_MAX, &mut out)?,
            Some(_) => json::text("host", &call.host.to_string(), NAME_BYTES_MAX, &mut out)?,
        }
        json::text("path_sent", without_query(&call.path_sent), TEXT_BYTES_MAX, &mut out)?;
    }
    json::number("micros", u64::try_from(seen.elapsed.as_micros()).unwrap_or(u64::MAX), &mut out);
    json::members(&Ending { full, truncated: cut == Cut::Yes }, &mut out)?;
    out.push(b'}');
    Ok(out)
}

/// Whether the policies asked for the full record.
fn asks_for_full(judgement: &Judgement) -> bool {
    match &judgement.result {
        Ok(Verdict { effect: Effect::Allow(mutations), .. }) => mutations.log_full,
        Ok(Verdict { effect: Effect::Deny(_) | Effect::Challenge(..), .. }) | Err(_) => false,
    }
}

/// What was decided.
#[derive(Serialize)]
struct Outcome<'a> {
    decision: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Text::is_empty")]
    detail: Text<'a>,
}

/// About what, and by what.
#[derive(Serialize)]
struct Subject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Entity<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Entity<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Text<'a>>,
    determining: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Failed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedies: Option<Remedy<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    obligations: Option<Obligations<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_be: Option<Shadow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digests: Option<Digests<'a>>,
}

#[derive(Serialize)]
struct Ending<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<&'a Full<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

#[derive(Serialize)]
struct Entity<'a> {
    r#type: Text<'a>,
    id: Text<'a>,
}

#[derive(Serialize)]
struct Failed<'a> {
    policy: Text<'a>,
    message: Text<'a>,
}

#[derive(Serialize)]
struct Shadow<'a> {
    decision: &'static str,
    reason: &'static str,
    determining: Vec<Text<'a>>,
}

#[derive(Serialize)]
struct Digests<'a> {
    schema: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mesh: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
}

#[derive(Serialize, Default)]
struct Remedy<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Text<'a>>,
}

/// Names only: values may be made of claims.
#[derive(Serialize)]
struct Obligations<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set_headers: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remove_headers: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    response_headers: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set_query: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remove_query: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metadata: Vec<Text<'a>>,
}

impl<'a> Outcome<'a> {
    fn of(judgement: &'a Judgement) -> Self {
        let (decision, reason, detail) = outcome(judgement);
        Self { decision: decision.as_str(), reason, detail: Text(detail, TEXT_BYTES_MAX) }
    }
}

impl<'a> Subject<'a> {
    fn of(judgement: &'a Judgement) -> Self {
        let query = judgement.query.as_ref();
        let verdict = judgement.result.as_ref().ok();
        Self {
            protocol: judgement.protocol.map(crate::catalog::Protocol::as_str),
            principal: query.map(|query| entity(&query.principal.uid)).or_else(|| {
                workload(judgement).map(|id| Entity { r#type: name("Workload"), id: Text(id, ID_BYTES_MAX) })
            }),
            action: query.map(|query| name(action::bare(&query.action))),
            resource: query.map(|query| entity(&query.resource.uid)),
            service: judgement.service.as_deref().map(name),
            determining: verdict.map(|verdict| names(&verdict.determining)).unwrap_or_default(),
            errors: verdict.map(errors).unwrap_or_default(),
            remedies: verdict.and_then(remedy),
            obligations: verdict.and_then(obligations),
            would_be: verdict.and_then(would_be),
            digests: digests(judgement),
        }
    }

    fn shorten(&mut self) {
        self.obligations = None;
        self.remedies = None;
        self.errors.truncate(1);
        self.determining.truncate(4);
        if let Some(would_be) = &mut self.would_be {
            would_be.determining.clear();
        }
    }
}

fn outcome(judgement: &Judgement) -> (Decision, &'static str, &str) {
    match &judgement.result {
        Ok(verdict) => {
            let detail = match &verdict.effect {
                Effect::Allow(_) => "",
                Effect::Deny(denial) | Effect::Challenge(_, denial) => denial.detail.as_str(),
            };
            (verdict.decision(), verdict.reason().as_str(), detail)
        }
        Err(failure) => (Decision::Error, failure.code.as_str(), failure.detail.as_str()),
    }
}

fn workload(judgement: &Judgement) -> Option<&str> {
    judgement.identity.as_ref()?.workload.as_ref().map(|workload| workload.id.as_str())
}

fn errors(verdict: &Verdict) -> Vec<Failed<'_>> {
    let failed = verdict.errors.iter().take(text::ITEMS_MAX);
    failed.map(|error| Failed { policy: name(&error.policy), message: Text(&error.message, 512) }).collect()
}

fn would_be(verdict: &Verdict) -> Option<Shadow<'_>> {
    let would_be = verdict.would_be.as_ref()?;
    Some(Shadow {
        decision: would_be.decision.as_str(),
        reason: would_be.reason.as_str(),
        determining: names(&would_be.determining),
    })
}

fn digests(judgement: &Judgement) -> Option<Digests<'_>> {
    let snapshot = judgement.snapshot.as_ref()?;
    let of = |unit: &str| snapshot.digests().get(unit).map(String::as_str);
    Some(Digests { schema: snapshot.schema_digest(), mesh: of("mesh"), namespace: namespace(judgement).and_then(of) })
}

fn remedy(verdict: &Verdict) -> Option<Remedy<'_>> {
    let challenge = match &verdict.effect {
        Effect::Allow(_) | Effect::Deny(_) => return None,
        Effect::Challenge(challenge, _) => challenge,
    };
    Some(match challenge {
        Challenge::Login { scopes } => Remedy { kind: "login", scopes: names(scopes), ..Remedy::default() },
        Challenge::StepUp { acr, max_age_seconds } => Remedy {
            kind: "step_up",
            acr: acr.as_deref().map(name),
            max_age_seconds: *max_age_seconds,
            ..Remedy::default()
        },
        Challenge::AddScope { scopes } => Remedy { kind: "add_scope", scopes: names(scopes), ..Remedy::default() },
        Challenge::NarrowToken { scopes, is_user: _ } => {
            Remedy { kind: "narrow_token", scopes: names(scopes), ..Remedy::default() }
        }
        Challenge::Approve { kind } => {
            Remedy { kind: "approve", approval: kind.as_deref().map(name), ..Remedy::default() }
        }
    })
}

fn obligations(verdict: &Verdict) -> Option<Obligations<'_>> {
    let mutations = match &verdict.effect {
        Effect::Allow(mutations) => mutations,
        Effect::Deny(_) | Effect::Challenge(..) => return None,
    };
    if *mutations == (Mutations { log_full: mutations.log_full, ..Mutations::default() }) {
        return None;
    }
    Some(Obligations {
        set_headers: names(mutations.set_headers.keys()),
        remove_headers: names(&mutations.remove_headers),
        response_headers: names(mutations.response_headers.keys()),
        set_query: names(mutations.set_query.keys()),
        remove_query: names(&mutations.remove_query),
        metadata: names(mutations.metadata.keys()),
    })
}

fn entity(uid: &Uid) -> Entity<'_> {
    Entity { r#type: name(&uid.kind), id: Text(&uid.id, ID_BYTES_MAX) }
}

#[cfg(test)]
mod tests;
