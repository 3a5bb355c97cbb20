//! Decodes the fields of a message by its descriptor.
//!
//! Knows: field types, presence, maps. Must not know: frames, calls.

use std::collections::{BTreeMap, BTreeSet};
use std::num::TryFromIntError;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Syntax};

use super::Message;
use super::wire::{Cursor, Wire, WireValue};
use crate::body::json::builder::Builder;
use crate::body::json::{self, Limits, Number};
use crate::catalog::grpc::UnknownFields;

/// Most fields of descriptors that are gone through, sent or not: two bytes are a message within a message, and each
/// has all its fields to be looked for.
const FIELDS_MAX: usize = 1 << 17;

/// Why bytes are not one exact message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More than [`Limits::bytes_max`].
    #[error("the message has {bytes} bytes, at most {max} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// More than [`Limits::depth_max`].
    #[error("the message nests deeper than {0} levels")]
    TooDeep(usize),
    /// More than [`Limits::values_max`], or more fields than are gone through.
    #[error("the message has more than {0} values or fields")]
    TooMany(usize),
    /// It ends within a value.
    #[error("the message ends within a value")]
    Cut,
    /// A varint of more than 64 bits or not in its shortest form.
    #[error("the message has a varint that is not in its shortest form")]
    Varint,
    /// A tag that no field can have.
    #[error("the message has an invalid tag")]
    Tag,
    /// A group, proto2's old way to nest.
    #[error("the message has a group; groups are not supported")]
    Group,
    /// A field that its descriptor does not have.
    #[error("the descriptor of `{message}` has no field {number}")]
    Unknown {
        /// Name of the message's type.
        message: String,
        /// The field.
        number: u32,
    },
    /// A field that is not repeated occurs twice: servers take the first, the last, or merge them.
    #[error("field `{0}` occurs twice")]
    Repeated(String),
    /// A key of a map occurs twice.
    #[error("a key of map `{0}` occurs twice")]
    RepeatedKey(String),
    /// Two members of one `oneof`.
    #[error("two members of the oneof `{0}` occur")]
    Oneof(String),
    /// A value that is not written as its field's type is.
    #[error("field `{0}` has the wrong wire type or an invalid encoding")]
    Type(String),
    /// A value that its field's type does not have; servers cut it to size or take it as unknown.
    #[error("field `{0}` has a value outside its type")]
    Value(String),
    /// A text that is not UTF-8.
    #[error("field `{0}` is not UTF-8")]
    NotUtf8(String),
    /// A field without which there is no message (proto2).
    #[error("field `{0}` is missing")]
    Missing(String),
    /// Its fields make no document: their names and values are longer than one can be.
    #[error("the message cannot be converted to a document: {0}")]
    Document(json::Refused),
}

/// Reads a message of this type.
pub(super) fn read(
    bytes: &[u8],
    descriptor: &MessageDescriptor,
    unknown: UnknownFields,
    limits: Limits,
) -> Result<Message, Refused> {
    if bytes.len() > limits.bytes_max {
        return Err(Refused::TooLong { bytes: bytes.len(), max: limits.bytes_max });
    }
    let mut reader = FieldDecoder { unknown, limits, values: 0, fields: 0, is_whole: true };
    let fields = Builder::Object(reader.message(bytes, descriptor, 0)?);
    let fields = fields.document().map_err(Refused::Document)?;
    Ok(Message { fields, is_whole: reader.is_whole })
}

struct FieldDecoder {
    unknown: UnknownFields,
    limits: Limits,
    /// How many values were read so far.
    values: usize,
    /// How many fields of descriptors were gone through so far.
    fields: usize,
    is_whole: bool,
}

/// The fields of a message by name.
type Members = Vec<(String, Builder)>;

/// What was found in one message so far, by field number.
#[derive(Default)]
struct DecodedFields {
    values: BTreeMap<u32, Builder>,
    keys: BTreeSet<(u32, String)>,
    oneofs: BTreeSet<String>,
}

impl FieldDecoder {
    // As deep as the message, which the limits bound.
    fn message(&mut self, bytes: &[u8], descriptor: &MessageDescriptor, depth: usize) -> Result<Members, Refused> {
        if depth > self.limits.depth_max {
            return Err(Refused::TooDeep(self.limits.depth_max));
        }
        self.fields = self.fields.saturating_add(descriptor.fields().len());
        if self.fields > FIELDS_MAX {
            return Err(Refused::TooMany(FIELDS_MAX));
        }
        let mut found = DecodedFields::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            let (number, wire) = cursor.tag()?;
            let part = cursor.part(wire)?;
            match descriptor.get_field(number) {
                Some(field) => self.field(&field, part, &mut found, depth)?,
                None => self.unknown(descriptor, number)?,
            }
        }
        self.finished(descriptor, found)
    }

    fn unknown(&mut self, descriptor: &MessageDescriptor, number: u32) -> Result<(), Refused> {
        match self.unknown {
            UnknownFields::Refused => Err(Refused::Unknown { message: descriptor.full_name().to_owned(), number }),
            UnknownFields::Allowed => {
                self.is_whole = false;
                Ok(())
            }
        }
    }

    fn field(
        &mut self,
        field: &FieldDescriptor,
        part: WireValue<'_>,
        found: &mut DecodedFields,
        depth: usize,
    ) -> Result<(), Refused> {
        let number = field.number();
        if field.is_map() {
            let (key, value) = self.entry(field, part, depth)?;
            if !found.keys.insert((number, key.clone())) {
                return Err(Refused::RepeatedKey(field.full_name().to_owned()));
            }
            match found.values.entry(number).or_insert_with(|| Builder::Object(Vec::new())) {
                Builder::Object(members) => members.push((key, value)),
                Builder::Bool(_) | Builder::Number(_) | Builder::Text(_) | Builder::List(_) => {}
            }
            return Ok(());
        }
        if field.is_list() {
            for item in self.items(field, part, depth)? {
                match found.values.entry(number).or_insert_with(|| Builder::List(Vec::new())) {
                    Builder::List(items) => items.push(item),
                    Builder::Bool(_) | Builder::Number(_) | Builder::Text(_) | Builder::Object(_) => {}
                }
            }
            return Ok(());
        }
        if found.values.contains_key(&number) {
            return Err(Refused::Repeated(field.full_name().to_owned()));
        }
        if let Some(oneof) = field.containing_oneof()
            && !found.oneofs.insert(oneof.name().to_owned())
        {
            return Err(Refused::Oneof(oneof.full_name().to_owned()));
        }
        let value = self.value(field, part, depth)?;
        found.values.insert(number, value);
        Ok(())
    }

    /// Items of a list: one, or as many as are packed. Every server reads both, whatever the `.proto` file says.
    fn items(&mut self, field: &FieldDescriptor, part: WireValue<'_>, depth: usize) -> Result<Vec<Builder>, Refused> {
        let (WireValue::Bytes(bytes), Some(wire)) = (part, packed(&field.kind())) else {
            return Ok(vec![self.value(field, part, depth)?]);
        };
        let mut items = Vec::new();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            let part = cursor.part(wire)?;
            items.push(self.value(field, part, depth)?);
        }
        Ok(items)
    }

    /// An entry of a map: a message of key and value, each with its default where it is left out.
    fn entry(
        &mut self,
        field: &FieldDescriptor,
        part: WireValue<'_>,
        depth: usize,
    ) -> Result<(String, Builder), Refused> {
        let (WireValue::Bytes(bytes), Kind::Message(entry)) = (part, field.kind()) else {
            return Err(Refused::Type(field.full_name().to_owned()));
        };
        let mut read = self.message(bytes, &entry, depth + 1)?;
        let [key, value] = [entry.map_entry_key_field(), entry.map_entry_value_field()].map(|field| {
            let at = read.iter().position(|(name, _)| name == field.name());
            at.map(|at| read.swap_remove(at).1).map_or_else(|| self.default(&field, depth), Ok)
        });
        let key = match key? {
            Builder::Bool(truth) => truth.to_string(),
            Builder::Number(text) | Builder::Text(text) => text,
            Builder::List(_) | Builder::Object(_) => return Err(Refused::Type(field.full_name().to_owned())),
        };
        Ok((key, value?))
    }

    /// The fields in the order of their numbers. Those without presence are there with their default: whether that
    /// was sent or left out, no server can tell.
    fn finished(&mut self, descriptor: &MessageDescriptor, mut found: DecodedFields) -> Result<Members, Refused> {
        let mut members = Vec::new();
        for field in descriptor.fields() {
            let value = match found.values.remove(&field.number()) {
                Some(value) => value,
                None if field.is_required() => return Err(Refused::Missing(field.full_name().to_owned())),
                None if field.supports_presence() || field.is_list() || field.is_map() => continue,
                None => self.default(&field, 0)?,
            };
            members.push((field.name().to_owned(), value));
        }
        Ok(members)
    }

    fn default(&mut self, field: &FieldDescriptor, depth: usize) -> Result<Builder, Refused> {
        let part = match field.kind() {
            // An empty message has the defaults of its own fields.
            Kind::String | Kind::Bytes | Kind::Message(_) => WireValue::Bytes(&[]),
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireValue::Fixed64([0; 8]),
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireValue::Fixed32([0; 4]),
            Kind::Enum(kind) => WireValue::Varint(i64::from(kind.default_value().number()).cast_unsigned()),
            Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Sint32 | Kind::Sint64 | Kind::Bool => {
                WireValue::Varint(0)
            }
        };
        self.value(field, part, depth)
    }

    fn value(&mut self, field: &FieldDescriptor, part: WireValue<'_>, depth: usize) -> Result<Builder, Refused> {
        self.values += 1;
        if self.values > self.limits.values_max {
            return Err(Refused::TooMany(self.limits.values_max));
        }
        let name = || field.full_name().to_owned();
        match (field.kind(), part) {
            (Kind::Message(descriptor), WireValue::Bytes(bytes)) if !field.is_group() => {
                self.message(bytes, &descriptor, depth + 1).map(Builder::Object)
            }
            (Kind::String, WireValue::Bytes(bytes)) => {
                let text = std::str::from_utf8(bytes).map_err(|_| Refused::NotUtf8(name()))?;
                Ok(Builder::Text(text.into()))
            }
            (Kind::Bytes, WireValue::Bytes(bytes)) => Ok(Builder::Text(STANDARD.encode(bytes))),
            (Kind::Enum(kind), WireValue::Varint(bits)) => {
                let number = i32::try_from(bits.cast_signed()).map_err(|_| Refused::Value(name()))?;
                self.enumerated(&kind, number).ok_or_else(|| Refused::Value(name()))
            }
            (kind, part) => match scalar(&kind, part) {
                Some(Some(value)) => Ok(value),
                Some(None) => Err(Refused::Value(name())),
                None => Err(Refused::Type(name())),
            },
        }
    }

    /// An enumeration's name; of several names of one number the first in the `.proto` file. A number without a
    /// name is a value of a newer file, and is treated as a field of one is. Where the file is proto2, servers differ:
    /// to some the field is then not there.
    fn enumerated(&mut self, kind: &EnumDescriptor, number: i32) -> Option<Builder> {
        let value = kind.get_value(number);
        match (value, self.unknown, kind.parent_file().syntax()) {
            (Some(value), _, _) => {
                let declared = kind.enum_descriptor_proto();
                let is_alone = !declared.options.as_ref().is_some_and(|options| options.allow_alias());
                let first = declared.value.iter().find(|one| is_alone || one.number() == number);
                let name = first.filter(|_| !is_alone).map_or(value.name(), |first| first.name());
                Some(Builder::Text(name.into()))
            }
            (None, UnknownFields::Allowed, Syntax::Proto3) => {
                self.is_whole = false;
                Some(Builder::Number(number.to_string()))
            }
            (None, UnknownFields::Allowed | UnknownFields::Refused, Syntax::Proto2 | Syntax::Proto3) => None,
        }
    }
}

/// How the items of a packed list are written; `None` for what cannot be packed.
pub(crate) fn packed(kind: &Kind) -> Option<Wire> {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Some(Wire::Fixed64),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Some(Wire::Fixed32),
        Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Sint32 | Kind::Sint64 => Some(Wire::Varint),
        Kind::Bool | Kind::Enum(_) => Some(Wire::Varint),
        Kind::String | Kind::Bytes | Kind::Message(_) => None,
    }
}

/// A number or truth value: `None` where it is not written as its type is, an inner `None` where its type does not
/// have it. What is no number (NaN, the infinities) no policy could compare.
fn scalar(kind: &Kind, part: WireValue<'_>) -> Option<Option<Builder>> {
    let signed = |value: i64| Builder::Number(value.to_string());
    let unsigned = |value: u64| Builder::Number(value.to_string());
    Some(match (kind, part) {
        (Kind::Double, WireValue::Fixed64(bytes)) => float(&format!("{:e}", f64::from_le_bytes(bytes))),
        (Kind::Float, WireValue::Fixed32(bytes)) => float(&format!("{:e}", f32::from_le_bytes(bytes))),
        (Kind::Int32, WireValue::Varint(bits)) => {
            fit::<i32>(bits.cast_signed().try_into()).map(|value| signed(value.into()))
        }
        (Kind::Int64, WireValue::Varint(bits)) => Some(signed(bits.cast_signed())),
        (Kind::Uint32, WireValue::Varint(bits)) => fit::<u32>(bits.try_into()).map(|value| unsigned(value.into())),
        (Kind::Uint64, WireValue::Varint(bits)) => Some(unsigned(bits)),
        (Kind::Sint32, WireValue::Varint(bits)) => fit::<u32>(bits.try_into()).map(|bits| signed(zigzag(bits.into()))),
        (Kind::Sint64, WireValue::Varint(bits)) => Some(signed(zigzag(bits))),
        (Kind::Fixed32, WireValue::Fixed32(bytes)) => Some(unsigned(u32::from_le_bytes(bytes).into())),
        (Kind::Fixed64, WireValue::Fixed64(bytes)) => Some(unsigned(u64::from_le_bytes(bytes))),
        (Kind::Sfixed32, WireValue::Fixed32(bytes)) => Some(signed(i32::from_le_bytes(bytes).into())),
        (Kind::Sfixed64, WireValue::Fixed64(bytes)) => Some(signed(i64::from_le_bytes(bytes))),
        (Kind::Bool, WireValue::Varint(bits @ (0 | 1))) => Some(Builder::Bool(bits == 1)),
        (Kind::Bool, WireValue::Varint(_)) => None,
        _ => return None,
    })
}

/// The digits of a number, in the decimal notation without an exponent: `None` where it is not written as its type is, or its
/// type does not have it; an inner `None` where there are no digits.
pub(crate) fn digits(kind: &Kind, part: WireValue<'_>) -> Option<Option<String>> {
    let shown = |is_finite: bool, text: String| Some(is_finite.then_some(text));
    match (kind, part) {
        (Kind::Enum(_), WireValue::Varint(_)) => Some(None),
        (Kind::Double, WireValue::Fixed64(bytes)) => {
            let value = f64::from_le_bytes(bytes);
            shown(value.is_finite(), value.to_string())
        }
        (Kind::Float, WireValue::Fixed32(bytes)) => {
            let value = f32::from_le_bytes(bytes);
            shown(value.is_finite(), value.to_string())
        }
        _ => match scalar(kind, part)?? {
            Builder::Number(text) => Some(Some(text)),
            Builder::Bool(_) | Builder::Text(_) | Builder::List(_) | Builder::Object(_) => Some(None),
        },
    }
}

/// A value that its type has.
fn fit<T>(value: Result<T, TryFromIntError>) -> Option<T> {
    let Ok(value) = value else { return None };
    Some(value)
}

/// The shortest decimal that is this binary fraction, which is how JSON writes it.
fn float(shortest: &str) -> Option<Builder> {
    Number::parse(shortest).map(|number| Builder::Number(number.as_str().to_owned()))
}

fn zigzag(bits: u64) -> i64 {
    (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed()
}
