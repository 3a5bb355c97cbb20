//! Builds the filter's answers.
//!
//! Knows: which message answers which in which mode. Must not know: when one is sent.

use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ImmediateResponse, ProcessingResponse,
    StreamedBodyResponse, TrailersResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;

use super::headers;
use super::mode::BodyMode;
use crate::check::response_phase::Denial;

/// Longest piece of a body in one answer, in bytes: what Envoy's `FULL_DUPLEX_STREAMED` recommends.
pub(super) const PIECE_BYTES_MAX: usize = 64 * 1024;

/// The direction of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Response,
}

/// Whether more of a body follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Yes,
    No,
}

impl Last {
    /// The value of an `end_of_stream`.
    pub fn of(end_of_stream: bool) -> Self {
        if end_of_stream { Self::Yes } else { Self::No }
    }
}

fn answer(response: Response) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), ..ProcessingResponse::default() }
}

/// The head passes, with these changes.
pub(super) fn head(direction: Direction, mutation: Option<HeaderMutation>) -> ProcessingResponse {
    let common =
        mutation.map(|mutation| CommonResponse { header_mutation: Some(mutation), ..CommonResponse::default() });
    let head = HeadersResponse { response: common };
    answer(match direction {
        Direction::Request => Response::RequestHeaders(head),
        Direction::Response => Response::ResponseHeaders(head),
    })
}

/// A part of a body passes unread.
pub(super) fn passed(direction: Direction, mode: BodyMode, body: Vec<u8>, last: Last) -> ProcessingResponse {
    match mode {
        BodyMode::Duplex => piece(direction, body, last),
        BodyMode::Whole | BodyMode::Unfit(_) => body_answer(direction, None),
    }
}

/// A piece of a body leaves, in the mode `FULL_DUPLEX_STREAMED`.
pub(super) fn piece(direction: Direction, body: Vec<u8>, last: Last) -> ProcessingResponse {
    let end_of_stream = last == Last::Yes;
    let piece = StreamedBodyResponse { body, end_of_stream, ..StreamedBodyResponse::default() };
    body_answer(direction, Some(Mutation::StreamedResponse(piece)))
}

/// A body leaves in place of the whole body that came.
pub(super) fn whole(body: Vec<u8>) -> ProcessingResponse {
    // An empty `body` counts as not set, and then the body that came would leave.
    let mutation = if body.is_empty() { Mutation::ClearBody(true) } else { Mutation::Body(body) };
    body_answer(Direction::Response, Some(mutation))
}

/// A body leaves in place of the whole body of a request, which is never empty.
pub(super) fn whole_request(body: Vec<u8>) -> ProcessingResponse {
    let length = headers::set("content-length", body.len().to_string());
    let common = CommonResponse {
        header_mutation: Some(HeaderMutation { set_headers: vec![length], remove_headers: Vec::new() }),
        body_mutation: Some(BodyMutation { mutation: Some(Mutation::Body(body)) }),
        ..CommonResponse::default()
    };
    answer(Response::RequestBody(BodyResponse { response: Some(common) }))
}

fn body_answer(direction: Direction, mutation: Option<Mutation>) -> ProcessingResponse {
    let common = mutation.map(|mutation| CommonResponse {
        body_mutation: Some(BodyMutation { mutation: Some(mutation) }),
        ..CommonResponse::default()
    });
    let body = BodyResponse { response: common };
    answer(match direction {
        Direction::Request => Response::RequestBody(body),
        Direction::Response => Response::ResponseBody(body),
    })
}

/// The trailers pass, with these changes.
pub(super) fn trailers(direction: Direction, mutation: Option<HeaderMutation>) -> ProcessingResponse {
    let trailers = TrailersResponse { header_mutation: mutation };
    answer(match direction {
        Direction::Request => Response::RequestTrailers(trailers),
        Direction::Response => Response::ResponseTrailers(trailers),
    })
}

/// The client gets this in place of the response. If its head has left, the response is reset.
pub(super) fn denied(denial: Denial) -> ProcessingResponse {
    let Denial { status, headers, body, reason } = denial;
    let set_headers = headers.into_iter().map(|(name, value)| headers::set(name, value)).collect();
    answer(Response::ImmediateResponse(ImmediateResponse {
        status: Some(HttpStatus { code: i32::from(status) }),
        headers: Some(HeaderMutation { set_headers, remove_headers: Vec::new() }),
        body,
        grpc_status: None,
        details: format!("picket_{reason}"),
    }))
}
