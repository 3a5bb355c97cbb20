//! gRPC: the single message of a unary call, with its fields named by the descriptor.
//!
//! Knows: the frame around a message, how protobuf is written. Must not know: which fields anybody wants.
//!
//! Stricter than any server's reader: what servers merge, overwrite, cut off or skip is refused here, so that every
//! one of them reads what was judged.

mod message;
pub(crate) mod wire;

use std::borrow::Cow;

use super::json::{Json, Limits};
use super::{content_type, header, inflate};
use crate::call::{Body, Call};
use crate::catalog::BodyRules;
use crate::catalog::grpc::{Method, UnknownFields};
use crate::failure::{Code, Failure};

pub use message::Refused;
pub(crate) use message::{digits, packed};

/// Bytes before each message: a flag and a length.
pub(crate) const HEAD_BYTES: usize = 5;

/// A message that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its fields: an object by the names of the `.proto` file. 64-bit integers are numbers, enumerations their
    /// names, `bytes` base64; a field without presence that was not sent has its default.
    pub fields: Json,
    /// Nothing was sent that is not among the fields.
    pub is_whole: bool,
}

/// Reads the message of a call.
///
/// # Errors
/// `stream_refused` for a method that takes a stream; `message_refused` for another content type than gRPC's with
/// protobuf, and for anything but one whole frame; `body_incomplete` and `body_encoded` as for every body;
/// `body_refused` as [`fields()`].
pub fn read(
    call: &Call,
    method: &Method,
    unknown: UnknownFields,
    rules: &BodyRules,
    limits: Limits,
) -> Result<Message, Failure> {
    if method.is_client_streaming {
        let detail = "a policy reads fields, and the method takes a stream of messages";
        return Err(Failure::new(Code::StreamRefused, detail));
    }
    content_type::require(call, &["application/grpc", "application/grpc+proto"])?;
    refuse_encoded(call)?;
    let body = super::bytes(call, rules)?;
    let message = framed(call, &body, rules)?;
    Ok(fields(&message, method, unknown, limits)?)
}

/// How many bytes the body of a call has, any number of messages, as if none of them were compressed.
///
/// # Errors
/// `message_refused` for what is no sequence of whole frames; those of compressed messages as in [`read`], and all
/// messages of a call together inflate to no more than `rules` allow.
pub fn length(call: &Call, rules: &BodyRules) -> Result<usize, Failure> {
    refuse_encoded(call)?;
    let body = super::bytes(call, rules)?;
    let (mut rest, mut total, mut inflated) = (&*body, 0, 0);
    while !rest.is_empty() {
        let (flag, message, others) = frame(rest)?;
        let left = rules.inflate_max_bytes.map(|max| max.saturating_sub(inflated));
        let plain = plain(call, flag, message, &BodyRules { inflate_max_bytes: left, ..rules.clone() })?;
        if let Cow::Owned(plain) = &plain {
            inflated += plain.len();
        }
        total += HEAD_BYTES + plain.len();
        rest = others;
    }
    Ok(total)
}

/// gRPC compresses messages, not bodies: servers differ in what they make of this header.
fn refuse_encoded(call: &Call) -> Result<(), Failure> {
    match call.body {
        Body::Encoded { .. } => Err(Failure::new(Code::BodyEncoded, "a gRPC body has a content encoding")),
        Body::NotSent | Body::Complete(_) | Body::Unproven(_) => Ok(()),
    }
}

/// Reads the bytes of a message.
///
/// # Errors
/// Whatever has two readings or none: a field that is not repeated and occurs twice, two members of one `oneof`,
/// a value that is not of its field's type, a field that the descriptor does not have (unless `unknown` allows
/// it), text that is not UTF-8, and more than `limits`.
pub fn fields(bytes: &[u8], method: &Method, unknown: UnknownFields, limits: Limits) -> Result<Message, Refused> {
    message::read(bytes, &method.input, unknown, limits)
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::new(Code::BodyRefused, refused.to_string())
    }
}

/// The one message of a body.
fn framed<'a>(call: &Call, body: &'a [u8], rules: &BodyRules) -> Result<Cow<'a, [u8]>, Failure> {
    let (flag, message, others) = frame(body)?;
    if !others.is_empty() {
        return Err(Failure::new(Code::MessageRefused, "the body has data after its first message"));
    }
    plain(call, flag, message, rules)
}

/// The first frame of `body`, a flag, a length in four bytes and a message; and what follows it.
fn frame(body: &[u8]) -> Result<(u8, &[u8], &[u8]), Failure> {
    let refuse = |detail: &str| Failure::new(Code::MessageRefused, detail);
    let Some(([flag, length @ ..], rest)) = body.split_first_chunk::<HEAD_BYTES>() else {
        return Err(refuse("the body is shorter than the head of a message"));
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let Some((message, others)) = rest.split_at_checked(length) else {
        return Err(refuse("the body ends within its message"));
    };
    Ok((*flag, message, others))
}

/// A frame's message, unpacked.
fn plain<'a>(call: &Call, flag: u8, message: &'a [u8], rules: &BodyRules) -> Result<Cow<'a, [u8]>, Failure> {
    match flag {
        0 => Ok(Cow::Borrowed(message)),
        1 => inflated(call, message, rules).map(Cow::Owned),
        _ => Err(Failure::new(Code::MessageRefused, "the flag of the message is neither 0 nor 1")),
    }
}

fn inflated(call: &Call, message: &[u8], rules: &BodyRules) -> Result<Vec<u8>, Failure> {
    match (header(call, "grpc-encoding")?, rules.inflate_max_bytes) {
        (None | Some("identity"), _) => {
            let detail = "the message says that it is compressed, and `grpc-encoding` does not say how";
            Err(Failure::new(Code::MessageRefused, detail))
        }
        (Some(_), None) => Err(Failure::new(Code::BodyEncoded, "the service allows no compressed message")),
        (Some(encoding), Some(max)) => inflate::inflate(message, encoding, max),
    }
}
