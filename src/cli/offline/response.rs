//! Responses of the offline commands: what would leave, by the server's own response phase.
//!
//! Knows: the keys of a response in a file, the pieces in which it arrives. Must not know: policies, how a body is read.
//!
//! The response belongs to a call that was evaluated before: the answer to its check carries the release record.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;
use smol_str::SmolStr;
use tokio::time::Instant;

use super::form::{Given, header_list};
use super::{Judged, OfflineChecker, TIMEOUT};
use picket_core::call::UnixMillis;
use picket_core::decision::verdict::Decision;
use picket_server::check::request_forward::{Promise, RequestForwarder};
use picket_server::check::response::{Outcome, ResponseChecker, ResponseRecord, Ruled, WouldBe};
use picket_server::check::response_body::Responses;
use picket_server::check::response_phase::{
    Begin, Content, Denial, Ending, HeadRelease, Progress, Reading, ResponseHead, ResponsePhase as _,
};

/// Rulings of one response that are shown.
const RULINGS_MAX: usize = 256;
/// Status of a response that states none.
const OK: u16 = 200;
/// `response.code_details` of a response that the service made.
const VIA_UPSTREAM: &str = "via_upstream";

/// A response in a file, with one of `body` and `events`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GivenResponse {
    /// HTTP status. Default 200.
    pub status: Option<u16>,
    /// Headers: one value or a list of values each. Default: the content type of JSON or of an event stream.
    pub headers: BTreeMap<String, Value>,
    /// Body: a text as it is, anything else as JSON.
    pub body: Option<Value>,
    /// Events of a stream.
    pub events: Option<Vec<GivenEvent>>,
    /// Where the body is cut. Default: it is read completely, and once more byte by byte.
    pub cuts: Option<Cuts>,
}

/// An event of a stream.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GivenEvent {
    /// The `event:` line.
    pub event: Option<String>,
    /// The `data:` lines: a text as it is, anything else as JSON.
    pub data: Value,
}

/// The pieces in which a body arrives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Cuts {
    /// Pieces of so many bytes.
    Size(usize),
    /// Cuts behind so many bytes, ascending.
    Places(Vec<usize>),
}

/// A response as the service sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentResponse {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The bytes of the body.
    pub body: Vec<u8>,
}

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// The outcome.
    pub outcome: Outcome,
    /// The reason code of a refusal.
    pub reason: Option<&'static str>,
    /// Whether the client gets a denial in place of the response. Otherwise a refused response ends early.
    pub is_replaced: bool,
    /// HTTP status.
    pub status: u16,
    /// The bytes of the body.
    pub body: Vec<u8>,
    /// Values by detector.
    pub findings: BTreeMap<SmolStr, u64>,
    /// Parts that were not read.
    pub unread: u64,
    /// Entries of lists that do not leave.
    pub dropped: u64,
    /// Policies that decided, as `<unit>/<id>`.
    pub policies: Vec<String>,
    /// Every ruling, in its order.
    pub rulings: Vec<Ruled>,
    /// What would happen with the policies in shadow mode; `None` where none is about the response.
    pub would_be: Option<WouldBe>,
}

impl GivenResponse {
    /// The response as a service sends it.
    ///
    /// # Errors
    /// A fragment that says which keys do not fit.
    pub fn sent(&self) -> Result<SentResponse, String> {
        let (body, content_type) = match (&self.body, &self.events) {
            (Some(_), Some(_)) => return Err("a response has one of `body` and `events`".to_owned()),
            (None, Some(events)) => (written_events(events), Some("text/event-stream")),
            (Some(Value::String(text)), None) => (text.clone(), None),
            (Some(json), None) => (json.to_string(), Some("application/json")),
            (None, None) => (String::new(), None),
        };
        if let Some(wrong) = self.cuts.as_ref().and_then(|cuts| cuts.problem(body.len())) {
            return Err(wrong);
        }
        let mut headers = header_list(&self.headers)?;
        if let Some(content_type) = content_type.filter(|_| !headers.iter().any(|(name, _)| name == "content-type")) {
            headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        let headers = headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        Ok(SentResponse { status: self.status.unwrap_or(OK), headers, body: body.into_bytes() })
    }
}

/// The bytes of events, each with an empty line behind it.
#[must_use]
pub fn written_events(events: &[GivenEvent]) -> String {
    let mut written = String::new();
    for GivenEvent { event, data } in events {
        if let Some(event) = event {
            let _ = writeln!(written, "event: {event}");
        }
        let data = data.as_str().map_or_else(|| data.to_string(), str::to_owned);
        for line in data.split('\n') {
            let _ = writeln!(written, "data: {line}");
        }
        written.push('\n');
    }
    written
}

impl Leaving {
    /// The first difference that cuts of a body must not make. A refused text may have left in part before.
    #[must_use]
    pub fn differs(&self, other: &Self) -> Option<String> {
        let show = |reason: Option<&str>| reason.unwrap_or("none").to_owned();
        let compare =
            |what: &str, one: String, other: String| (one != other).then(|| format!("{what} {one} becomes {other}"));
        let is_same_form = self.is_replaced == other.is_replaced;
        compare("outcome", self.outcome.as_str().to_owned(), other.outcome.as_str().to_owned())
            .or_else(|| compare("reason", show(self.reason), show(other.reason)))
            .or_else(|| (is_same_form && self.body != other.body).then(|| "other bytes leave".to_owned()))
    }
}

impl Cuts {
    fn problem(&self, length: usize) -> Option<String> {
        let is_wrong = match self {
            Self::Size(size) => *size == 0,
            Self::Places(places) => !places.is_sorted() || places.last().is_some_and(|last| *last > length),
        };
        is_wrong.then(|| {
            format!("`cuts` is a size above 0, or a list of ascending places in the {length} bytes of the body")
        })
    }

    /// The pieces of a body.
    fn pieces<'b>(&self, body: &'b [u8]) -> Vec<&'b [u8]> {
        match self {
            Self::Size(size) => body.chunks((*size).max(1)).collect(),
            Self::Places(places) => {
                let mut pieces = Vec::with_capacity(places.len() + 1);
                let (mut rest, mut at) = (body, 0);
                for place in places {
                    let (piece, behind) = rest.split_at_checked(place.saturating_sub(at)).unwrap_or((rest, &[]));
                    pieces.push(piece);
                    (rest, at) = (behind, *place);
                }
                pieces.push(rest);
                pieces
            }
        }
    }
}

impl OfflineChecker {
    /// Evaluates the response to a call that [`OfflineChecker::judge`] evaluated by the same checker, which has to be one of
    /// [`OfflineChecker::with_responses`].
    ///
    /// # Errors
    /// The call is not allowed, so no service answers it; or the checker has no responses.
    pub async fn respond(
        &self,
        (judged, given): (&Judged, &Given),
        sent: &SentResponse,
        cuts: &Cuts,
        now: UnixMillis,
    ) -> Result<Leaving, String> {
        let sealer = self.sealer.as_ref().ok_or("this checker does not evaluate responses")?;
        let decision = judged.answer.judgement.result.as_ref().map_or(Decision::Error, |verdict| verdict.decision());
        if decision != Decision::Allow {
            let (decision, reason) = (decision.as_str(), judged.reason());
            return Err(format!("the call is not allowed ({decision}, {reason}), so no service answers it"));
        }
        let records = Arc::<Mutex<Vec<ResponseRecord>>>::default();
        let sink = Arc::clone(&records);
        let checker = ResponseChecker {
            home: self.profile(given).identity.home_trust_domain,
            policies: Arc::clone(&self.store),
            sealer: Arc::clone(sealer),
            evaluation_max: TIMEOUT,
            // Given facts stand for a lookup, which could give another call others.
            has_lookups: self.has_lookups || given.facts.principal.is_some() || given.facts.resource.is_some(),
            rulings_max: RULINGS_MAX,
            observer: Arc::new(move |record| {
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
            }),
        };
        let requests = RequestForwarder {
            listener: self.listener.as_str().into(),
            promise: Promise::None,
            policies: Arc::clone(&self.store),
            sealer: Arc::clone(sealer),
            streams: Arc::default(),
        };
        let responses = Responses::new(checker, requests);
        let record = judged.response.pointer("/dynamicMetadata/release").and_then(Value::as_str);
        let head = ResponseHead {
            record: record.map(str::to_owned),
            proxy: None,
            status: sent.status,
            headers: sent.headers.clone(),
            code_details: Some(VIA_UPSTREAM.to_owned()),
            content: if sent.body.is_empty() { Content::Absent } else { Content::Follows },
            received_at: now,
        };
        let (body, denial) = match responses.begin(head, Instant::now() + TIMEOUT).await {
            Begin::Pass | Begin::Release => (sent.body.clone(), None),
            Begin::Watch(mut copy, _) => {
                copy.push(&sent.body);
                copy.finish();
                (sent.body.clone(), None)
            }
            Begin::Refuse(denial) => (Vec::new(), Some(denial)),
            Begin::Read(reading) => read(reading, &cuts.pieces(&sent.body)),
        };
        let record = records.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(leaving(sent.status, body, denial, record))
    }
}

/// Reads a body as the edge does: a denial replaces the response until its head has left.
fn read(reading: Reading, pieces: &[&[u8]]) -> (Vec<u8>, Option<Denial>) {
    let Reading { mut body, head, coding: _ } = reading;
    let mut has_head_left = head == HeadRelease::AtOnce;
    let mut left = Vec::new();
    let mut parts = pieces.iter();
    loop {
        let mut out = Vec::new();
        let ending = match parts.next() {
            Some(piece) => match body.push(piece, &mut out) {
                Progress::More => None,
                Progress::Ended(ending) => Some(ending),
            },
            None => Some(body.finish(&mut out)),
        };
        if let Some(Ending::Refused(denial)) = &ending
            && !has_head_left
        {
            return (Vec::new(), Some(denial.clone()));
        }
        has_head_left |= !out.is_empty();
        left.append(&mut out);
        if ending.is_some() {
            return (left, None);
        }
    }
}

fn leaving(status: u16, body: Vec<u8>, denial: Option<Denial>, record: Option<ResponseRecord>) -> Leaving {
    let is_replaced = denial.is_some();
    let denied = denial.as_ref().map(|denial| denial.reason);
    let (status, body) = denial.map_or((status, body), |denial| (denial.status, denial.body));
    let Some(record) = record else {
        let outcome = if is_replaced { Outcome::Refused } else { Outcome::Released };
        let (findings, policies, rulings) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (reason, unread, would_be) = (denied, 0, None);
        return Leaving {
            outcome,
            reason,
            is_replaced,
            status,
            body,
            findings,
            unread,
            dropped: 0,
            policies,
            rulings,
            would_be,
        };
    };
    let ended = record.end.filter(|end| !end.is_complete()).map(|end| end.as_str());
    let refused = record.refusal.as_ref().map(|refusal| refusal.reason.as_str());
    let mut policies = record.determining;
    policies.extend(record.refusal.map(|refusal| refusal.determining).unwrap_or_default());
    policies.sort();
    policies.dedup();
    Leaving {
        outcome: record.outcome,
        reason: refused.or(ended).or(denied),
        is_replaced,
        status,
        body,
        findings: record.summary.findings,
        unread: record.summary.frames_unread,
        dropped: record.summary.lists.dropped,
        policies,
        rulings: record.rulings,
        would_be: record.would_be,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_body_however_it_is_cut() {
        for cuts in [Cuts::Size(1), Cuts::Size(9), Cuts::Places(vec![]), Cuts::Places(vec![0, 2, 2, 5])] {
            assert_eq!(cuts.pieces(b"hello").concat(), b"hello", "{cuts:?}");
        }
        assert_eq!(Cuts::Places(vec![1, 3]).pieces(b"hello"), [&b"h"[..], b"el", b"lo"]);
        assert!(Cuts::Size(0).problem(5).is_some() && Cuts::Places(vec![3, 1]).problem(5).is_some());
        assert!(Cuts::Places(vec![6]).problem(5).is_some() && Cuts::Places(vec![5]).problem(5).is_none());
    }

    #[test]
    fn another_outcome_reason_or_body_is_a_difference() {
        let left = |outcome, reason, is_replaced, body: &str| Leaving {
            outcome,
            reason,
            is_replaced,
            status: OK,
            body: body.into(),
            findings: BTreeMap::new(),
            unread: 0,
            dropped: 0,
            policies: Vec::new(),
            rulings: Vec::new(),
            would_be: None,
        };
        let masked = left(Outcome::Masked, None, false, "a");
        assert_eq!(masked.differs(&masked), None);
        let differs = |other: &Leaving| masked.differs(other).unwrap_or_default();
        assert_eq!(differs(&left(Outcome::Refused, None, false, "a")), "outcome masked becomes refused");
        assert_eq!(differs(&left(Outcome::Masked, Some("cut"), false, "a")), "reason none becomes cut");
        assert_eq!(differs(&left(Outcome::Masked, None, false, "b")), "other bytes leave");
        // A refused text is replaced only if nothing of it has left.
        assert_eq!(differs(&left(Outcome::Masked, None, true, "b")), "");
    }

    #[test]
    fn events_are_written_with_a_line_for_each_line_of_data() {
        let event = |event: Option<&str>, data: Value| GivenEvent { event: event.map(str::to_owned), data };
        let events = [event(Some("a"), serde_json::json!({"b": 1})), event(None, "x\ny".into())];
        assert_eq!(written_events(&events), "event: a\ndata: {\"b\":1}\n\ndata: x\ndata: y\n\n");
    }

    #[test]
    fn a_body_has_the_content_type_of_its_kind_unless_the_headers_state_one() {
        let content_type = |text: &str| {
            let response: GivenResponse = serde_saphyr::from_str(text).unwrap();
            let headers = response.sent().unwrap().headers;
            headers.into_iter().map(|(_, value)| String::from_utf8(value).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(content_type("{body: {a: 1}}"), ["application/json"]);
        assert_eq!(content_type("{events: [{data: a}]}"), ["text/event-stream"]);
        assert_eq!(content_type("{body: text}"), Vec::<String>::new());
        assert_eq!(content_type("{body: {a: 1}, headers: {Content-Type: a/b}}"), ["a/b"]);
        let both: GivenResponse = serde_saphyr::from_str("{body: a, events: []}").unwrap();
        assert!(both.sent().is_err());
    }
}
