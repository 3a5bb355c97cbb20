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
use crate::query::Uid;
use crate::telemetry::Observed;
use crate::telemetry::metrics::namespace;
use crate::telemetry::spans::traceparent;
use full::{Full, full};
use text::{ID_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX, Text, cut, name, names, time, without_query};

/// Most bytes of one record.
pub(super) const RECORD_BYTES_MAX: usize = 64 * 1024;
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
    let mut record = Record::of(seen, shape);
    let full = json::line(&record)?;
    if full.len() <= RECORD_BYTES_MAX {
        return Ok(full);
    }
    // What a policy asked for in addition goes first; then the lists, whose first items stay.
    record.truncated = true;
    record.full = None;
    let short = json::line(&record)?;
    if short.len() <= RECORD_BYTES_MAX {
        return Ok(short);
    }
    record.obligations = None;
    record.remedies = None;
    record.errors.truncate(1);
    record.determining.truncate(4);
    if let Some(would_be) = &mut record.would_be {
        would_be.determining.clear();
    }
    json::line(&record)
}

/// Whether the policies asked for the full record.
fn asks_for_full(judgement: &Judgement) -> bool {
    match &judgement.result {
        Ok(Verdict { effect: Effect::Allow(mutations), .. }) => mutations.log_full,
        Ok(Verdict { effect: Effect::Deny(_) | Effect::Challenge(..), .. }) | Err(_) => false,
    }
}

#[derive(Serialize)]
struct Record<'a> {
    v: u8,
    decision_id: String,
    time: String,
    listener: Text<'a>,
    decision: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Text::is_empty")]
    detail: Text<'a>,
    status: u16,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_sent: Option<Text<'a>>,
    micros: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<Full<'a>>,
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

impl<'a> Record<'a> {
    fn of(seen: &Observed<'a>, shape: &'a Shape) -> Self {
        let judgement = seen.judgement;
        let query = judgement.query.as_ref();
        let verdict = judgement.result.as_ref().ok();
        let (decision, reason, detail) = outcome(judgement);
        Self {
            v: 1,
            decision_id: judgement.decision_id.to_string(),
            time: time(seen.received_at),
            listener: name(seen.listener),
            decision: decision.as_str(),
            reason,
            detail: Text(detail, TEXT_BYTES_MAX),
            status: seen.status,
            protocol: judgement.protocol.map(crate::catalog::Protocol::as_str),
            principal: query.map(|query| entity(&query.principal.uid)).or_else(|| {
                workload(judgement).map(|id| Entity { r#type: name("Workload"), id: Text(id, ID_BYTES_MAX) })
            }),
            action: query.map(|query| name(&query.action)),
            resource: query.map(|query| entity(&query.resource.uid)),
            service: judgement.service.as_deref().map(name),
            determining: verdict.map(|verdict| names(&verdict.determining)).unwrap_or_default(),
            errors: verdict.map(errors).unwrap_or_default(),
            remedies: verdict.and_then(remedy),
            obligations: verdict.and_then(obligations),
            would_be: verdict.and_then(would_be),
            digests: digests(judgement),
            request_id: seen.request_id.map(name),
            trace_id: seen.trace_parent.and_then(traceparent::parse).map(|parent| parent.trace_id().to_string()),
            method: seen.call.map(|call| Text(call.method.as_str(), 64)),
            host: seen.call.map(|call| cut(&call.host.to_string(), NAME_BYTES_MAX).into_owned()),
            path_sent: seen.call.map(|call| Text(without_query(&call.path_sent), TEXT_BYTES_MAX)),
            micros: u64::try_from(seen.elapsed.as_micros()).unwrap_or(u64::MAX),
            full: asks_for_full(judgement).then(|| full(seen.call, judgement, shape)),
            truncated: false,
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
