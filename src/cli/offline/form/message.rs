//! gRPC messages in a call file: an object with the names of the `.proto` file, as policies see it.
//!
//! Knows: field types. Must not know: calls.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value as Field};
use serde_json::Value;

use picket_core::problem::nearest;

/// The body of a unary call: one frame around the message.
///
/// # Errors
/// A fragment that names what does not fit its field.
pub(super) fn body(written: &Value, descriptor: &MessageDescriptor) -> Result<Vec<u8>, String> {
    let message = message(written, descriptor)?.encode_to_vec();
    let length = u32::try_from(message.len()).map_err(|_| "the message is longer than 4 GiB".to_owned())?;
    Ok([&[0], &length.to_be_bytes()[..], &message].concat())
}

fn message(written: &Value, descriptor: &MessageDescriptor) -> Result<DynamicMessage, String> {
    let Value::Object(members) = written else {
        return Err(format!("a `{}` is written as an object", descriptor.full_name()));
    };
    let mut message = DynamicMessage::new(descriptor.clone());
    for (name, written) in members {
        let field = descriptor.get_field_by_name(name).ok_or_else(|| {
            let names: Vec<String> = descriptor.fields().map(|field| field.name().to_owned()).collect();
            let near = nearest(name, names.iter().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            format!("`{}` has no field `{name}`{hint}", descriptor.full_name())
        })?;
        let value = field_of(&field, written)?;
        message.try_set_field(&field, value).map_err(|error| error.to_string())?;
    }
    Ok(message)
}

fn field_of(field: &FieldDescriptor, written: &Value) -> Result<Field, String> {
    let misfit = || format!("`{written}` is not a value of field `{}`", field.full_name());
    match (field.kind(), written) {
        (Kind::Message(entry), Value::Object(members)) if field.is_map() => {
            let [key, value] = [entry.map_entry_key_field(), entry.map_entry_value_field()];
            let pair = |(name, written): (&String, &Value)| {
                Ok((map_key(&key.kind(), name).ok_or_else(misfit)?, item(&value.kind(), written, misfit)?))
            };
            Ok(Field::Map(members.iter().map(pair).collect::<Result<_, String>>()?))
        }
        (kind, Value::Array(items)) if field.is_list() => {
            Ok(Field::List(items.iter().map(|written| item(&kind, written, misfit)).collect::<Result<_, _>>()?))
        }
        _ if field.is_map() || field.is_list() => Err(misfit()),
        (kind, written) => item(&kind, written, misfit),
    }
}

fn item(kind: &Kind, written: &Value, misfit: impl Fn() -> String) -> Result<Field, String> {
    if let (Kind::Message(descriptor), Value::Object(_)) = (kind, written) {
        return message(written, descriptor).map(Field::Message);
    }
    scalar(kind, written).ok_or_else(misfit)
}

fn scalar(kind: &Kind, written: &Value) -> Option<Field> {
    match kind {
        Kind::Double => written.as_f64().map(Field::F64),
        #[expect(clippy::cast_possible_truncation, reason = "a `float` is written as the decimal nearest to it")]
        Kind::Float => written.as_f64().map(|value| Field::F32(value as f32)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => integer(written).map(Field::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => integer(written).map(Field::I64),
        Kind::Uint32 | Kind::Fixed32 => integer(written).map(Field::U32),
        Kind::Uint64 | Kind::Fixed64 => integer(written).map(Field::U64),
        Kind::Bool => written.as_bool().map(Field::Bool),
        Kind::String => written.as_str().map(|text| Field::String(text.to_owned())),
        Kind::Bytes => STANDARD.decode(written.as_str()?).ok().map(|bytes| Field::Bytes(bytes.into())),
        Kind::Enum(kind) => match written.as_str() {
            Some(name) => kind.get_value_by_name(name).map(|value| Field::EnumNumber(value.number())),
            None => integer(written).map(Field::EnumNumber),
        },
        Kind::Message(_) => None,
    }
}

/// A whole number, or the text of one.
fn integer<T: std::str::FromStr>(written: &Value) -> Option<T> {
    let text = match written {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    text.parse().ok()
}

fn map_key(kind: &Kind, name: &str) -> Option<MapKey> {
    match scalar(kind, &Value::from(name)).or_else(|| name.parse().ok().map(Field::Bool))? {
        Field::Bool(key) => Some(MapKey::Bool(key)),
        Field::I32(key) => Some(MapKey::I32(key)),
        Field::I64(key) => Some(MapKey::I64(key)),
        Field::U32(key) => Some(MapKey::U32(key)),
        Field::U64(key) => Some(MapKey::U64(key)),
        Field::String(key) => Some(MapKey::String(key)),
        _ => None,
    }
}
