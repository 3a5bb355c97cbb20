//! The same message by another reader: prost-reflect's dynamic messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use picket::body::json::{Json, Limits, parse};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value};

/// The bytes as that reader parses them, in our terms; `None` if it rejects them, or finds unknown fields.
pub fn read(bytes: &[u8], descriptor: &MessageDescriptor) -> Option<(DynamicMessage, Json)> {
    let message = DynamicMessage::decode(descriptor.clone(), bytes).ok()?;
    let text = object(&message)?;
    let json = parse(text.as_bytes(), Limits { values_max: usize::MAX, ..Limits::default() }).ok()?;
    Some((message, json))
}

/// Its own spelling of a message.
pub fn written(message: &DynamicMessage) -> Vec<u8> {
    message.encode_to_vec()
}

// The document is written here, and read as one that was sent.
fn object(message: &DynamicMessage) -> Option<String> {
    if message.unknown_fields().next().is_some() {
        return None;
    }
    let mut members = Vec::new();
    for field in message.descriptor().fields() {
        let is_there = message.has_field(&field);
        if is_there || !(field.supports_presence() || field.is_list() || field.is_map()) {
            members.push(member(field.name(), &value(&message.get_field(&field), &field)?));
        }
    }
    Some(format!("{{{}}}", members.join(",")))
}

fn member(name: &str, value: &str) -> String {
    format!("{}:{value}", text(name))
}

fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn value(value: &Value, field: &FieldDescriptor) -> Option<String> {
    match value {
        Value::List(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| one(item, &field.kind())).collect();
            Some(format!("[{}]", items?.join(",")))
        }
        Value::Map(entries) => {
            let Kind::Message(entry) = field.kind() else { panic!("a map is made of entries") };
            let kind = entry.map_entry_value_field().kind();
            let members = entries.iter().map(|(key, item)| Some(member(&name(key), &one(item, &kind)?)));
            Some(format!("{{{}}}", members.collect::<Option<Vec<_>>>()?.join(",")))
        }
        scalar => one(scalar, &field.kind()),
    }
}

fn one(value: &Value, kind: &Kind) -> Option<String> {
    match value {
        Value::Bool(truth) => Some(truth.to_string()),
        Value::I32(n) => Some(n.to_string()),
        Value::I64(n) => Some(n.to_string()),
        Value::U32(n) => Some(n.to_string()),
        Value::U64(n) => Some(n.to_string()),
        Value::F32(n) => Some(format!("{n:?}")),
        Value::F64(n) => Some(format!("{n:?}")),
        Value::String(text) => Some(self::text(text)),
        Value::Bytes(bytes) => Some(text(&STANDARD.encode(bytes))),
        Value::EnumNumber(n) => {
            let Kind::Enum(kind) = kind else { panic!("a number of no enumeration") };
            // The first of its names in the file.
            let named = kind.enum_descriptor_proto().value.iter().find(|value| value.number() == *n);
            named.map(|value| text(value.name()))
        }
        Value::Message(message) => object(message),
        Value::List(_) | Value::Map(_) => panic!("lists hold no lists"),
    }
}

fn name(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}
