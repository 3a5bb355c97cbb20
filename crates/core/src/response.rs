//! Masks and refuses content of a response, in pieces of any size.
//!
//! Knows: bytes, event streams, JSON, detectors, the format of an API. Must not know: policies, callers, Envoy, time.
//!
//! Bytes and a verdict function go in, bytes come out: [`events::EventStream`], [`json::JsonBody`] and [`text::TextBody`] are a
//! [`ruling::Body`] each. A format ([`mod@format`]) names the text channels of an API and writes its endings; the policies'
//! answer is a [`ruling::Ruling`]; [`plan::Plan`] has the detectors. The output depends on the bytes and the rulings alone,
//! not on how the bytes arrived, and no prefix of it holds a part of a value that is masked or refused.

mod arguments;
mod channel;
mod document;
mod event;
pub mod events;
pub mod format;
mod frame;
mod framing;
pub mod grpc;
pub mod guessed;
pub mod inflate;
pub mod json;
mod map;
mod nested;
pub mod plan;
mod read;
pub mod ruling;
mod settle;
mod sse;
pub mod text;
mod value;
mod verdicts;

#[cfg(test)]
mod tests;
