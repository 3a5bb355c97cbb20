//! Decodes a check from protobuf's wire format without copying.
//!
//! Knows: numbers and types of the fields of a check. Must not know: what they mean.
//!
//! It takes what the generated message takes and says the same, as `tests/it/fuzz` compares; but it copies nothing, and a
//! check has some thirty texts. What is rare in a check, or small, the generated messages read themselves.

use std::borrow::Cow;

use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::google::protobuf::Timestamp;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message};

use super::check_view::{CheckView, Header, Http, Peer};

/// A message's fields that are still to be read.
struct Fields<'a>(&'a [u8]);

/// One field: its number, how its value is written, and where it begins.
struct Field<'f, 'a> {
    number: u32,
    wire: WireType,
    rest: &'f mut &'a [u8],
}

/// Why bytes are no check.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("{0}")]
    Protobuf(#[from] DecodeError),
    #[error("field {0} has the wrong wire type")]
    WireType(u32),
    #[error("a length goes beyond the message")]
    Length,
    #[error("a text is not UTF-8")]
    Text(#[from] std::str::Utf8Error),
}

type Read<T> = Result<T, Unreadable>;

impl<'a> Fields<'a> {
    fn next<'f>(&'f mut self) -> Read<Option<Field<'f, 'a>>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (number, wire) = decode_key(&mut self.0)?;
        Ok(Some(Field { number, wire, rest: &mut self.0 }))
    }
}

impl<'a> Field<'_, 'a> {
    fn bytes(self) -> Read<&'a [u8]> {
        if self.wire != WireType::LengthDelimited {
            return Err(Unreadable::WireType(self.number));
        }
        let length = usize::try_from(decode_varint(self.rest)?).map_err(|_| Unreadable::Length)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Unreadable::Length)?;
        *self.rest = rest;
        Ok(bytes)
    }

    fn text(self) -> Read<&'a str> {
        Ok(std::str::from_utf8(self.bytes()?)?)
    }

    fn fields(self) -> Read<Fields<'a>> {
        self.bytes().map(Fields)
    }

    /// Reads the value as a message of its own, into what was read of it before.
    fn message<M: Message + Clone + Default>(self, into: &mut Option<Cow<'a, M>>) -> Read<()> {
        let bytes = self.bytes()?;
        Ok(into.get_or_insert_default().to_mut().merge(bytes)?)
    }

    fn varint(self) -> Read<()> {
        if self.wire != WireType::Varint {
            return Err(Unreadable::WireType(self.number));
        }
        decode_varint(self.rest)?;
        Ok(())
    }

    fn skip(self) -> Read<()> {
        Ok(skip_field(self.wire, self.number, self.rest, DecodeContext::default())?)
    }
}

/// Reads a `CheckRequest`.
pub(super) fn check(bytes: &[u8]) -> Read<CheckView<'_>> {
    let mut sent = CheckView::default();
    let mut fields = Fields(bytes);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => {
                sent.has_attributes = true;
                attributes(field.fields()?, &mut sent)?;
            }
            _ => field.skip()?,
        }
    }
    Ok(sent)
}

fn attributes<'a>(mut fields: Fields<'a>, sent: &mut CheckView<'a>) -> Read<()> {
    while let Some(field) = fields.next()? {
        match field.number {
            1 => peer(field.fields()?, &mut sent.source)?,
            2 => peer(field.fields()?, &mut sent.destination)?,
            4 => request(field.fields()?, sent)?,
            10 => sent.extensions.push(pair(field.fields()?)?),
            11 => field.message(&mut sent.metadata)?,
            12 => session(field.fields()?, sent)?,
            13 => field.message::<Metadata>(&mut None)?,
            _ => field.skip()?,
        }
    }
    Ok(())
}

fn peer<'a>(mut fields: Fields<'a>, peer: &mut Peer<'a>) -> Read<()> {
    while let Some(field) = fields.next()? {
        match field.number {
            1 => field.message(&mut peer.address)?,
            2 => drop(field.text()?),
            3 => drop(pair(field.fields()?)?),
            4 => peer.principal = field.text()?,
            5 => peer.certificate = field.text()?,
            _ => field.skip()?,
        }
    }
    Ok(())
}

fn session<'a>(mut fields: Fields<'a>, sent: &mut CheckView<'a>) -> Read<()> {
    while let Some(field) = fields.next()? {
        match field.number {
            1 => sent.sni = field.text()?,
            _ => field.skip()?,
        }
    }
    Ok(())
}

fn request<'a>(mut fields: Fields<'a>, sent: &mut CheckView<'a>) -> Read<()> {
    while let Some(field) = fields.next()? {
        match field.number {
            1 => field.message::<Timestamp>(&mut None)?,
            2 => http(field.fields()?, sent.http.get_or_insert_default())?,
            _ => field.skip()?,
        }
    }
    Ok(())
}

fn http<'a>(mut fields: Fields<'a>, http: &mut Http<'a>) -> Read<()> {
    while let Some(field) = fields.next()? {
        match field.number {
            // The id, and the protocol.
            1 | 10 => drop(field.text()?),
            2 => http.method = field.text()?,
            3 => http.joined.push(pair(field.fields()?)?),
            4 => http.path = field.text()?,
            5 => http.host = field.text()?,
            6 => http.scheme = field.text()?,
            7 => http.query = field.text()?,
            8 => http.fragment = field.text()?,
            // The size.
            9 => field.varint()?,
            11 => http.body = field.text()?,
            12 => http.raw_body = field.bytes()?,
            13 => headers(field.fields()?, &mut http.raw)?,
            _ => field.skip()?,
        }
    }
    Ok(())
}

fn headers<'a>(mut fields: Fields<'a>, headers: &mut Vec<Header<'a>>) -> Read<()> {
    // A browser's call has some sixteen.
    headers.reserve(16);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => headers.push(header(field.fields()?)?),
            _ => field.skip()?,
        }
    }
    Ok(())
}

fn header(mut fields: Fields<'_>) -> Read<Header<'_>> {
    let mut header = Header::default();
    while let Some(field) = fields.next()? {
        match field.number {
            1 => header.name = field.text()?,
            2 => header.text = field.text()?,
            3 => header.bytes = field.bytes()?,
            _ => field.skip()?,
        }
    }
    Ok(header)
}

/// One entry of a map from text to text.
fn pair(mut fields: Fields<'_>) -> Read<(&str, &str)> {
    let (mut name, mut value) = ("", "");
    while let Some(field) = fields.next()? {
        match field.number {
            1 => name = field.text()?,
            2 => value = field.text()?,
            _ => field.skip()?,
        }
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests;
