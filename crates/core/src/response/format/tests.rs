//! Real streams and documents of each API, masked: the exact bytes that leave, however they arrive.

mod documents;
mod models;
mod protocols;

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;

use super::endings::Words;
use super::{Format, LogProbabilities};
use crate::content::detectors::Detectors;
use crate::content::mask::StandIns;
use crate::response::events::EventStream;
use crate::response::json::JsonBody;
use crate::response::plan::Plan;
use crate::response::ruling::{Body, End, Progress, Ruling, Seen};

/// Masks addresses and cards, and refuses a response with a key of AWS.
fn plan() -> Arc<Plan> {
    let names = |names: &[&str]| names.iter().map(SmolStr::new).collect::<BTreeSet<_>>();
    let detectors = Detectors::built_in().unwrap();
    Arc::new(Plan::new(&detectors, [&names(&["email", "card"])], &names(&["aws_key"])).unwrap())
}

fn rule(seen: &Seen) -> Ruling {
    match seen.found.contains("aws_key") || !seen.inspected {
        true => Ruling::Refuse,
        false => Ruling::Release { masks: ["email", "card"].map(SmolStr::new).into() },
    }
}

/// What leaves of a body that arrives in pieces of `size`, with its end and its findings.
fn pieces(mut body: Box<dyn Body>, bytes: &[u8], size: usize) -> String {
    let (mut out, mut rule) = (Vec::new(), rule);
    let mut progress = body.start(&mut rule, &mut out);
    for piece in bytes.chunks(size) {
        progress = body.push(piece, &mut rule, &mut out);
    }
    if progress == Progress::More {
        progress = body.finish(&mut rule, &mut out);
    }
    let (Progress::Ended(end), summary) = (progress, body.summary()) else { panic!("a body ends") };
    let mut shown = String::from_utf8(out).unwrap();
    if end != End::Complete || !summary.findings.is_empty() {
        shown += &format!("== {}, {:?}", end.as_str(), summary.findings);
    }
    shown
}

/// The same for every size, which must not matter.
fn same(body: &dyn Fn() -> Box<dyn Body>, bytes: &str) -> String {
    let whole = pieces(body(), bytes.as_bytes(), bytes.len());
    for size in [1, 2, 7, 64] {
        assert_eq!(pieces(body(), bytes.as_bytes(), size), whole, "in pieces of {size} bytes");
    }
    whole
}

/// What leaves of a stream.
fn stream<F: Format + 'static>(format: impl Fn() -> F, bytes: &str) -> String {
    let plan = plan();
    same(&|| Box::new(EventStream::new(Arc::clone(&plan), Box::new(format()), StandIns::new([0; 8]))), bytes)
}

/// What leaves of a document.
fn document<F: Format + 'static>(format: impl Fn() -> F, bytes: &str) -> String {
    let plan = plan();
    same(&|| Box::new(JsonBody::new(Arc::clone(&plan), Box::new(format()), StandIns::new([0; 8]))), bytes)
}

fn words() -> Words {
    Words::new("7f3c")
}

/// Events without names.
fn data(events: &[&str]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

/// Events with their types as names.
fn named(events: &[&str]) -> String {
    let kind = |event: &str| super::fixtures::document(event).node().get("type").unwrap().as_text().unwrap().to_owned();
    events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", kind(event))).collect()
}

fn chat() -> super::chat::Chat {
    super::chat::Chat::new(words(), LogProbabilities::Dropped)
}

fn responses() -> super::responses::Responses {
    super::responses::Responses::new(words(), LogProbabilities::Dropped)
}

fn messages() -> super::messages::Messages {
    super::messages::Messages::new(words(), super::messages::SignedBlocks::Withheld)
}

fn mcp(calls: &[(&str, Option<super::lists::ListKind>)]) -> super::mcp::Mcp {
    let calls = calls.iter().map(|(id, list)| ((*id).to_owned(), *list)).collect();
    let keep = Box::new(
        |_: super::lists::ListKind, name: &str| {
            if name.contains("secret") { super::lists::Choice::Drop } else { super::lists::Choice::Keep }
        },
    );
    super::mcp::Mcp::new(words(), None, super::mcp::Awaited::Calls(calls), keep)
}

fn a2a() -> super::a2a::A2a {
    super::a2a::A2a::new(words(), super::a2a::Carrier::JsonRpc("\"r1\"".to_owned()))
}

#[test]
fn an_error_of_json_rpc_is_an_answer_and_any_other_refusal_is_forbidden() {
    let rest = super::a2a::A2a::new(words(), super::a2a::Carrier::Rest);
    let formats: [(Box<dyn Format>, u16); 7] = [
        (Box::new(chat()), 403),
        (Box::new(responses()), 403),
        (Box::new(messages()), 403),
        (Box::new(super::generic::Generic), 403),
        (Box::new(rest), 403),
        (Box::new(a2a()), 200),
        (Box::new(mcp(&[("1", None)])), 200),
    ];
    for (format, expected) in formats {
        assert_eq!(format.refusal_status(), expected, "{format:?}");
    }
}

#[test]
fn the_reason_that_a_policy_states_is_in_its_refusals_only() {
    let words = || words().with_reason(Some("needs \"strong\" login"));
    let mut chat = super::chat::Chat::new(words(), LogProbabilities::Dropped);
    let mut a2a = super::a2a::A2a::new(words(), super::a2a::Carrier::JsonRpc("1".to_owned()));
    for (refused, cut) in
        [(chat.refusal(End::Refused), chat.refusal(End::Cut)), (a2a.refusal(End::Refused), a2a.refusal(End::Cut))]
    {
        let [refused, cut] = [refused, cut].map(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).unwrap());
        let message = |error: &serde_json::Value| error["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(message(&refused), "The response was withheld by policy (needs \"strong\" login, decision 7f3c).");
        assert_eq!(message(&cut), "The response is not complete (cut, decision 7f3c).");
    }
}
