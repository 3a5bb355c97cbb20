//! The filter's modes: whether the complete body of a response is handed over.
//!
//! Knows: the filter's `processing_mode`, as its first message reports it. Must not know: which responses are read.
//!
//! Whether trailers are sent cannot be seen. Envoy does not start with `FULL_DUPLEX_STREAMED` and skipped trailers, and
//! with `BUFFERED` they are not needed to find the end.

use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use envoy_types::pb::envoy::service::ext_proc::v3::ProcessingRequest;

/// How one direction of a call is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyMode {
    /// In pieces, which are answered in pieces of any number and length: `FULL_DUPLEX_STREAMED`.
    Duplex,
    /// In one message, answered by one: `BUFFERED`.
    Whole,
    /// Not completely, or so that a held rest could not leave; the mode's name.
    Unfit(&'static str),
}

/// The modes of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Modes {
    pub request: BodyMode,
    pub response: BodyMode,
}

impl Modes {
    /// The modes of the stream with this first message.
    pub fn of(first: &ProcessingRequest) -> Self {
        if first.observability_mode {
            // Answers are ignored, so nothing can be refused and nothing masked.
            let ignored = BodyMode::Unfit("observability_mode");
            return Self { request: ignored, response: ignored };
        }
        match first.protocol_config {
            Some(config) => Self { request: body(config.request_body_mode), response: body(config.response_body_mode) },
            None => Self { request: BodyMode::Unfit("unknown"), response: BodyMode::Unfit("unknown") },
        }
    }
}

fn body(mode: i32) -> BodyMode {
    match BodySendMode::try_from(mode) {
        Ok(BodySendMode::FullDuplexStreamed) => BodyMode::Duplex,
        Ok(BodySendMode::Buffered) => BodyMode::Whole,
        // A piece is answered by one piece: text that is held when trailers arrive could not leave any more.
        Ok(BodySendMode::Streamed) => BodyMode::Unfit("STREAMED"),
        Ok(BodySendMode::BufferedPartial) => BodyMode::Unfit("BUFFERED_PARTIAL"),
        Ok(BodySendMode::None) => BodyMode::Unfit("NONE"),
        Ok(BodySendMode::Grpc) => BodyMode::Unfit("GRPC"),
        Err(_) => BodyMode::Unfit("unknown"),
    }
}
