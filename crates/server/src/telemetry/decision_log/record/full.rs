//! Additional fields of a record where a policy has `@log("full")`.
//!
//! Knows: nouns and masks. Must not know: the rest of the record.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use smol_str::SmolStr;

use super::Shape;
use super::text::{ID_BYTES_MAX, ITEMS_MAX, TEXT_BYTES_MAX, cut, time};
use crate::check::Judgement;
use crate::telemetry::decision_log::mask::{MASKED, Mask};
use picket_core::call::{Call, UnixMillis};
use picket_core::query::{Node, Record, Value};

/// Allowed headers, and the query but for its bags: arguments, headers and query stay unwritten.
#[derive(Serialize)]
pub(super) struct Full<'a> {
    headers: Vec<(&'a str, Vec<String>)>,
    principal: BTreeMap<&'a str, Logged<'a>>,
    resource: BTreeMap<&'a str, Logged<'a>>,
    context: BTreeMap<&'a str, Logged<'a>>,
}

/// The full part of one record.
pub(super) fn full<'a>(call: Option<&'a Call>, judgement: &'a Judgement, shape: &'a Shape) -> Full<'a> {
    let query = judgement.query.as_ref();
    let header = |wanted: &'a String| {
        let values: Vec<String> = call?
            .headers
            .all(wanted)
            .take(ITEMS_MAX)
            .map(|value| cut(&String::from_utf8_lossy(value), TEXT_BYTES_MAX).into_owned())
            .collect();
        (!values.is_empty()).then_some((wanted.as_str(), values))
    };
    let allowed = shape.full_headers.iter().filter(|wanted| !shape.mask.hides(wanted));
    Full {
        headers: allowed.filter_map(header).collect(),
        principal: query.map(|query| attributes(&query.principal, &shape.mask)).unwrap_or_default(),
        resource: query.map(|query| attributes(&query.resource, &shape.mask)).unwrap_or_default(),
        context: query.map(|query| masked(&query.context, &shape.mask)).unwrap_or_default(),
    }
}

fn attributes<'a>(node: &'a Node, mask: &'a Mask) -> BTreeMap<&'a str, Logged<'a>> {
    let mut attributes = masked(&node.attributes, mask);
    // The schema's `token` holds verified claims, not the token; they are masked one by one instead.
    if let Some(claims @ Value::Record(_)) = node.attributes.get("token") {
        attributes.insert("token", Logged { value: Some(claims), mask });
    }
    attributes
}

fn masked<'a>(record: &'a Record, mask: &'a Mask) -> BTreeMap<&'a str, Logged<'a>> {
    let logged = |(key, value): (&'a SmolStr, &'a Value)| {
        (key.as_str(), Logged { value: (!mask.hides(key)).then_some(value), mask })
    };
    record.iter().take(ITEMS_MAX).map(logged).collect()
}

/// A value as it is written: `None` where its name is masked.
struct Logged<'a> {
    value: Option<&'a Value>,
    mask: &'a Mask,
}

impl Serialize for Logged<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(value) = self.value else { return serializer.serialize_str(MASKED) };
        match value {
            Value::String(text) | Value::Ip(text) | Value::Decimal(text) | Value::Duration(text) => {
                serializer.serialize_str(&cut(text, TEXT_BYTES_MAX))
            }
            Value::Long(number) => serializer.serialize_i64(*number),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::Time(millis) => serializer.serialize_str(&time(UnixMillis(*millis))),
            Value::Entity(uid) => serializer.serialize_str(&cut(&uid.to_string(), ID_BYTES_MAX)),
            Value::Set(items) => {
                serializer.collect_seq(items.iter().take(ITEMS_MAX).map(|item| Logged { value: Some(item), ..*self }))
            }
            Value::Record(record) => serializer.collect_map(masked(record, self.mask)),
        }
    }
}
