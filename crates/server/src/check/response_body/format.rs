//! The format of a response, by the protocol of its service and the operations that were requested.
//!
//! Knows: protocols, formats. Must not know: bodies.

use std::collections::BTreeMap;

use crate::check::response::GuardedResponse;
use picket_core::body::mcp::ListKind;
use picket_core::catalog::Protocol;
use picket_core::catalog::grpc::Method;
use picket_core::release::{Allowed, Judged};
use picket_core::response::format::a2a::{A2a, Carrier};
use picket_core::response::format::chat::Chat;
use picket_core::response::format::endings::Words;
use picket_core::response::format::generic::Generic;
use picket_core::response::format::lists::Choice;
use picket_core::response::format::mcp::{Awaited, Mcp};
use picket_core::response::format::messages::{Messages, SignedBlocks, THINKING};
use picket_core::response::format::responses::Responses;
use picket_core::response::format::{Format, LogProbabilities};

/// The format of the response to a call.
pub(super) fn of(response: &GuardedResponse) -> Box<dyn Format> {
    let stated = response.refusal().and_then(|refusal| refusal.public_reason.as_deref());
    let words = Words::new(response.decision_id().to_string()).with_reason(stated);
    let record = response.record();
    // A service that the catalogue lost is read as one of an unknown API.
    let service = response.snapshot().catalog().service(&record.service);
    let protocol = service.map_or(Protocol::Http, |service| service.protocol);
    // The check read the call as one of MCP.
    match if response.filters_lists() { Protocol::Mcp } else { protocol } {
        Protocol::Openai | Protocol::Anthropic => model(response, words),
        Protocol::Mcp => mcp(response, words),
        Protocol::A2a => Box::new(A2a::new(words, carrier(record))),
        Protocol::Http | Protocol::Grpc => Box::new(Generic),
    }
}

/// The described method of gRPC that was called.
pub(super) fn grpc_method(response: &GuardedResponse) -> Option<&Method> {
    let record = response.record();
    let service = response.snapshot().catalog().service(&record.service)?;
    let judged = record.judged.first()?;
    service.grpc.as_ref()?.descriptors.named(&judged.method)
}

/// Whether the service has an API with bodies in JSON, whatever media type they come with, and with errors of its own.
pub(super) fn is_of_api(response: &GuardedResponse) -> bool {
    let service = response.snapshot().catalog().service(&response.record().service);
    match service.map_or(Protocol::Http, |service| service.protocol) {
        Protocol::Openai | Protocol::Anthropic | Protocol::Mcp | Protocol::A2a => true,
        Protocol::Http | Protocol::Grpc => false,
    }
}

/// All operations on models of one call are of one request, and so of one API.
fn model(response: &GuardedResponse, words: Words) -> Box<dyn Format> {
    let api = response.record().judged.first().map(|judged| judged.method.as_str());
    match api {
        Some("openai.chat") => Box::new(Chat::new(words, LogProbabilities::Dropped)),
        Some("openai.responses") => Box::new(Responses::new(words, LogProbabilities::Dropped)),
        Some("anthropic.messages") => {
            let signed = if response.names_media(THINKING) { SignedBlocks::Passed } else { SignedBlocks::Withheld };
            Box::new(Messages::new(words, signed))
        }
        // Embeddings, lists of models, and whatever a gateway offers besides.
        _ => Box::new(Generic),
    }
}

fn mcp(response: &GuardedResponse, words: Words) -> Box<dyn Format> {
    let record = response.record();
    if !response.filters_lists() {
        return Box::new(Mcp::new(words, None, awaited(record, Awaited::Any, |_| None), Box::new(|_, _| Choice::Keep)));
    }
    let mut filter = response.entry_filter();
    let awaited = awaited(record, Awaited::AnyFiltered, |judged| ListKind::of_method(&judged.method));
    Box::new(Mcp::new(words, None, awaited, Box::new(move |kind, name| filter.choose(kind, name))))
}

/// Answers of MCP that the call waits for. A stream without a request carries what the server sends by itself.
///
/// An id that two requests of different kinds share is not awaited: no client knows which of them an answer is for.
fn awaited(record: &Allowed, without_requests: Awaited, list: impl Fn(&Judged) -> Option<ListKind>) -> Awaited {
    let (mut calls, mut shared) = (BTreeMap::new(), Vec::new());
    let with_ids = record.judged.iter().filter_map(|judged| Some((judged.rpc_id.as_ref()?.to_string(), list(judged))));
    for (id, list) in with_ids {
        if calls.insert(id.clone(), list).is_some_and(|known| known != list) {
            shared.push(id);
        }
    }
    if calls.is_empty() {
        return without_requests;
    }
    for id in &shared {
        calls.remove(id);
    }
    Awaited::Calls(calls)
}

fn carrier(record: &Allowed) -> Carrier {
    let id = record.judged.first().and_then(|judged| judged.rpc_id.as_ref());
    id.map_or(Carrier::Rest, |id| Carrier::JsonRpc(id.to_string()))
}
