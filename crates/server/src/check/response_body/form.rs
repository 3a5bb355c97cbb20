//! The form of a body, by the headers of its response.
//!
//! Knows: media types, charsets, codings. Must not know: policies, what a body contains.

use std::sync::Arc;

use smol_str::SmolStr;

use super::format;
use crate::check::response::GuardedResponse;
use crate::check::response_phase::ResponseHead;
use picket_core::content::mask::StandIns;
use picket_core::response::events::EventStream;
use picket_core::response::grpc::GrpcStream;
use picket_core::response::guessed::GuessedBody;
use picket_core::response::inflate::Coding;
use picket_core::response::json::JsonBody;
use picket_core::response::plan::Plan;
use picket_core::response::ruling::Body;
use picket_core::response::text::TextBody;

/// The form of a body, by its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// An event stream.
    Events,
    /// One JSON document.
    Json,
    /// Text of another kind.
    Text,
    /// Messages of gRPC.
    Grpc,
    /// Not read.
    Unread,
}

impl Form {
    /// A body of this form, of which nothing was read; `None` if it is not read.
    pub fn body(self, plan: Arc<Plan>, response: &GuardedResponse, random: [u8; 8]) -> Option<Box<dyn Body>> {
        let stand_ins = StandIns::new(random);
        Some(match self {
            Self::Text if format::is_of_api(response) => {
                Box::new(GuessedBody::new(plan, format::of(response), &|| StandIns::new(random)))
            }
            Self::Events => Box::new(EventStream::new(plan, format::of(response), stand_ins)),
            Self::Json => Box::new(JsonBody::new(plan, format::of(response), stand_ins)),
            Self::Text => Box::new(TextBody::new(plan, stand_ins)),
            Self::Grpc => Box::new(GrpcStream::new(plan, format::grpc_method(response)?, stand_ins)),
            Self::Unread => return None,
        })
    }

    /// Whether a body of this form is read.
    pub fn is_read(self, response: &GuardedResponse) -> bool {
        match self {
            Self::Events | Self::Json | Self::Text => true,
            Self::Grpc => format::grpc_method(response).is_some(),
            Self::Unread => false,
        }
    }

    /// Most bytes of a body that was inflated: a document is complete before anything of it leaves.
    pub fn inflated_max(self, document_max: u64) -> u64 {
        match self {
            Self::Json => document_max,
            Self::Events | Self::Text | Self::Grpc | Self::Unread => u64::MAX,
        }
    }

    /// The form of a body, by the headers of its response. A part of a document is not read.
    pub fn of(head: &ResponseHead) -> Self {
        let content_type = header(head, "content-type").unwrap_or_default();
        let essence = media_type(head);
        let charset = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
        let mut charset = charset.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        let is_utf8 = charset.all(|(_, value)| {
            let value = value.trim().trim_matches('"');
            ["utf-8", "utf8", "us-ascii"].iter().any(|known| value.eq_ignore_ascii_case(known))
        });
        let is_partial = head.status == 206 || head.headers.iter().any(|(name, _)| name == "content-range");
        match essence.as_str() {
            _ if !is_utf8 || is_partial => Self::Unread,
            "text/event-stream" => Self::Events,
            "application/json" => Self::Json,
            "application/grpc" | "application/grpc+proto" => Self::Grpc,
            json if json.ends_with("+json") => Self::Json,
            text if text.starts_with("text/") => Self::Text,
            _ => Self::Unread,
        }
    }
}

/// The media type in lower case without parameters; empty without one, or with several.
pub(super) fn media_type(head: &ResponseHead) -> SmolStr {
    let content_type = header(head, "content-type").unwrap_or_default();
    SmolStr::new(content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The value of a header that occurs once.
fn header<'a>(head: &'a ResponseHead, name: &str) -> Option<&'a str> {
    let mut values = head.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => std::str::from_utf8(value).ok(),
        _ => None,
    }
}

/// The coding that has to be inflated, if there is one; `None` for one that cannot be.
pub(super) fn coding(head: &ResponseHead, form: Form) -> Option<Option<Coding>> {
    let is_coded = head.headers.iter().any(|(name, _)| name == "content-encoding");
    match header(head, "content-encoding") {
        None if is_coded => None,
        None => Some(None),
        Some(identity) if identity.trim().eq_ignore_ascii_case("identity") => Some(None),
        // gRPC compresses messages, never the body.
        Some(_) if form == Form::Grpc => None,
        Some(token) => Coding::parse(token).filter(|coding| form != Form::Events || coding.is_prompt()).map(Some),
    }
}
