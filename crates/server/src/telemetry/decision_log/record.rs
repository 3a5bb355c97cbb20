//! One decision as one JSON object.
//!
//! Knows: nouns and judgements. Must not know: queues, sinks, clocks.
//!
//! Callers choose names, paths and methods, so every text has a bound and the whole record has one. Values
//! of headers, arguments and queries are not written, but for the few headers allowed by configuration
//! where a policy asks for the full record.

mod full;
mod optional_fields;
mod response;
mod text;

use serde::Serialize;

use super::json::{self, member};
use super::mask::Mask;
use crate::check::Judgement;
use crate::telemetry::Observed;
use crate::telemetry::metrics::namespace;
use crate::telemetry::spans::traceparent;
use full::{Full, full};
use optional_fields::OptionalFields;
use picket_core::catalog::MESH;
use picket_core::decision::verdict::{Decision, Effect, Verdict};
use picket_core::query::{Uid, action};
pub(super) use response::response;
pub(super) use text::Text;
use text::{ID_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX, name, names, push_time, without_query};

/// Most bytes of one record.
pub(super) const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Room for what most records tell of a judgement.
const SUBJECT_BYTES: usize = 640;
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
        Some(told) => line(seen, RecordPart::Kept(told), full.as_ref(), Cut::No)?,
        None => {
            let (outcome, subject) = (OutcomeFields::of(judgement), Subject::of(judgement));
            if judgement.reduced.is_some() {
                let told = told(&outcome, &subject)?;
                judgement.prepared.record.get_or_init(|| told);
            }
            line(seen, RecordPart::New(&outcome, &subject), full.as_ref(), Cut::No)?
        }
    };
    if whole.len() <= RECORD_BYTES_MAX {
        return Ok(whole);
    }
    // What a policy asked for in addition goes first; then the lists, whose first items stay.
    let (outcome, mut subject) = (OutcomeFields::of(judgement), Subject::of(judgement));
    let short = line(seen, RecordPart::New(&outcome, &subject), None, Cut::Yes)?;
    if short.len() <= RECORD_BYTES_MAX {
        return Ok(short);
    }
    subject.shorten();
    line(seen, RecordPart::New(&outcome, &subject), None, Cut::Yes)
}

/// Whether something was left out of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Yes,
    No,
}

/// What a record tells of a judgement: before and after the status, which is the answer's.
type Told = [Box<[u8]>; 2];

fn told(outcome: &OutcomeFields<'_>, subject: &Subject<'_>) -> serde_json::Result<Told> {
    let (mut before, mut after) = (Vec::with_capacity(64), Vec::with_capacity(SUBJECT_BYTES));
    outcome.write(&mut before)?;
    subject.write(&mut after)?;
    Ok([before.into_boxed_slice(), after.into_boxed_slice()])
}

/// What a record tells of a judgement, written or still to be written.
enum RecordPart<'a> {
    Kept(&'a Told),
    New(&'a OutcomeFields<'a>, &'a Subject<'a>),
}

/// The whole record. What is told of the judgement is the same for every call it answers; the rest is the call's.
fn line(seen: &Observed<'_>, told: RecordPart<'_>, full: Option<&Full<'_>>, cut: Cut) -> serde_json::Result<Vec<u8>> {
    let of_judgement = match &told {
        RecordPart::Kept([outcome, subject]) => outcome.len() + subject.len(),
        RecordPart::New(..) => SUBJECT_BYTES,
    };
    let mut out = Vec::with_capacity(512 + of_judgement);
    out.extend_from_slice(b"{\"v\":1,\"decision_id\":\"");
    let mut id = uuid::Uuid::encode_buffer();
    out.extend_from_slice(seen.decision_id.as_hyphenated().encode_lower(&mut id).as_bytes());
    out.extend_from_slice(b"\",\"time\":\"");
    push_time(seen.received_at, &mut out);
    out.push(b'"');
    json::text(member!("listener"), seen.listener, NAME_BYTES_MAX, &mut out)?;
    match &told {
        RecordPart::Kept([outcome, _]) => out.extend_from_slice(outcome),
        RecordPart::New(outcome, _) => outcome.write(&mut out)?,
    }
    json::number(member!("status"), u64::from(seen.status), &mut out)?;
    match &told {
        RecordPart::Kept([_, subject]) => out.extend_from_slice(subject),
        RecordPart::New(_, subject) => subject.write(&mut out)?,
    }
    if let Some(id) = seen.request_id {
        json::text(member!("request_id"), id, NAME_BYTES_MAX, &mut out)?;
    }
    if let Some(id) = seen.trace_parent.and_then(traceparent::trace_id) {
        json::text(member!("trace_id"), id, NAME_BYTES_MAX, &mut out)?;
    }
    if let Some(call) = seen.call {
        json::text(member!("method"), &call.method, METHOD_BYTES_MAX, &mut out)?;
        match call.host.port() {
            None => json::text(member!("host"), call.host.name(), NAME_BYTES_MAX, &mut out)?,
            Some(_) => json::text(member!("host"), &call.host.to_string(), NAME_BYTES_MAX, &mut out)?,
        }
        json::text(member!("path_sent"), without_query(&call.path_sent), TEXT_BYTES_MAX, &mut out)?;
    }
    json::number(member!("micros"), u64::try_from(seen.elapsed.as_micros()).unwrap_or(u64::MAX), &mut out)?;
    if full.is_some() || cut == Cut::Yes {
        json::members(&Ending { full, truncated: cut == Cut::Yes }, &mut out)?;
    }
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
struct OutcomeFields<'a> {
    decision: &'static str,
    reason: &'static str,
    detail: Text<'a>,
}

/// About what, and by what.
struct Subject<'a> {
    protocol: Option<&'static str>,
    principal: Option<Entity<'a>>,
    action: Option<Text<'a>>,
    resource: Option<Entity<'a>>,
    service: Option<Text<'a>>,
    determining: Vec<Text<'a>>,
    optional: OptionalFields<'a>,
    digests: Option<Digests<'a>>,
}

#[derive(Serialize)]
struct Ending<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<&'a Full<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

struct Entity<'a> {
    kind: Text<'a>,
    id: Text<'a>,
}

struct Digests<'a> {
    schema: &'a str,
    mesh: Option<&'a str>,
    namespace: Option<&'a str>,
}

impl<'a> OutcomeFields<'a> {
    fn of(judgement: &'a Judgement) -> Self {
        let (decision, reason, detail) = outcome(judgement);
        Self { decision: decision.as_str(), reason, detail: Text(detail, TEXT_BYTES_MAX) }
    }

    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        json::word(member!("decision"), self.decision, out);
        json::word(member!("reason"), self.reason, out);
        match self.detail {
            Text("", _) => Ok(()),
            Text(detail, bytes_max) => json::text(member!("detail"), detail, bytes_max, out),
        }
    }
}

impl<'a> Subject<'a> {
    fn of(judgement: &'a Judgement) -> Self {
        let query = judgement.query.as_ref();
        let verdict = judgement.result.as_ref().ok();
        Self {
            protocol: judgement.protocol.map(picket_core::catalog::Protocol::as_str),
            principal: query.map(|query| entity(&query.principal.uid)).or_else(|| {
                workload(judgement).map(|id| Entity { kind: name("Workload"), id: Text(id, ID_BYTES_MAX) })
            }),
            action: query.map(|query| name(action::bare(&query.action))),
            resource: query.map(|query| entity(&query.resource.uid)),
            service: judgement.service.as_deref().map(name),
            determining: verdict.map(|verdict| names(&verdict.determining)).unwrap_or_default(),
            optional: OptionalFields::of(verdict, judgement.content.as_ref(), &judgement.masked),
            digests: digests(judgement),
        }
    }

    /// Appends its members, in the order in which people read them.
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let Self { protocol, principal, action, resource, service, determining, optional, digests } = self;
        let put = |name: &str, text: Option<&Text<'_>>, out: &mut Vec<u8>| match text {
            Some(Text(text, bytes_max)) => json::text(name, text, *bytes_max, out),
            None => Ok(()),
        };
        if let Some(protocol) = protocol {
            json::word(member!("protocol"), protocol, out);
        }
        write_entity(member!("principal"), principal.as_ref(), out)?;
        put(member!("action"), action.as_ref(), out)?;
        write_entity(member!("resource"), resource.as_ref(), out)?;
        put(member!("service"), service.as_ref(), out)?;
        json::texts(member!("determining"), determining, out)?;
        if !optional.is_absent() {
            json::members(optional, out)?;
        }
        let Some(Digests { schema, mesh, namespace }) = digests else { return Ok(()) };
        let members = [
            (member!("schema"), Some(name(schema))),
            (member!("mesh"), mesh.map(name)),
            (member!("namespace"), namespace.map(name)),
        ];
        json::object(member!("digests"), members, out)
    }

    fn shorten(&mut self) {
        self.optional.shorten();
        self.determining.truncate(4);
    }
}

fn write_entity(name: &str, entity: Option<&Entity<'_>>, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let Some(Entity { kind, id }) = entity else { return Ok(()) };
    json::object(name, [(member!("type"), Some(*kind)), (member!("id"), Some(*id))], out)
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

fn digests(judgement: &Judgement) -> Option<Digests<'_>> {
    let snapshot = judgement.snapshot.as_ref()?;
    let of = |unit: &str| snapshot.digests().get(unit).map(String::as_str);
    Some(Digests { schema: snapshot.schema_digest(), mesh: of(MESH), namespace: namespace(judgement).and_then(of) })
}

fn entity(uid: &Uid) -> Entity<'_> {
    Entity { kind: name(&uid.kind), id: Text(&uid.id, ID_BYTES_MAX) }
}

#[cfg(test)]
mod tests;
