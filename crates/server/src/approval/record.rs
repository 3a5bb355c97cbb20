//! Parses an approval record, and checks that it matches this call. Pure.
//!
//! Knows: the answer's shape by the settings, the schema's `Approval`. Must not know: HTTP, whether it was used here.
//!
//! An answer that does not say what it must is an error, never an approval with gaps.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::settings::{Field, Settings};
use picket_core::query::{Query, Value, record};

/// A time before every call.
const EVER_SINCE: i64 = 0;
/// 9999-12-31T23:59:59Z in milliseconds: a time after every call that `datetime` can hold.
const NEVER: i64 = 253_402_300_799_000;

/// One approval, as its source describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id in the source's system.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Its state.
    pub state: String,
    /// The requester.
    pub requested_by: String,
    /// The approvers.
    pub approved_by: BTreeSet<String>,
    /// From when it is good, in milliseconds since the Unix epoch.
    pub not_before: i64,
    /// Until when.
    pub not_after: i64,
    /// Used, by its source.
    pub used: bool,
    /// Good for one call only.
    pub one_use: bool,
    /// The digest of the action that it is for.
    pub digest: Option<String>,
    /// The value that each of these arguments must have; `None` where no argument can.
    pub bound: BTreeMap<String, Option<Scalar>>,
}

/// A plain value, spelt in its one canonical way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// Its type.
    pub kind: FieldKind,
    /// Its spelling.
    pub text: String,
}

/// Types of plain values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Bool,
}

impl Record {
    /// Parses an answer.
    ///
    /// # Errors
    /// The missing or invalid part; quotes no value.
    pub fn read(settings: &Settings, answer: &Json) -> Result<Self, String> {
        let fields = &settings.fields;
        let used = truth(answer, &fields.used)?;
        let times = |pointer| time(answer, pointer);
        let kind = match &fields.kind {
            Field::Constant(kind) => kind.clone(),
            Field::Pointer(pointer) => text(answer, pointer)?,
        };
        let digest = match &fields.digest {
            Some(pointer) => optional_text(answer, pointer)?,
            None => None,
        };
        let bound = |(argument, pointer): (&String, &String)| {
            (argument.clone(), answer.pointer(pointer).and_then(Scalar::of_json))
        };
        Ok(Self {
            id: text(answer, &fields.id)?,
            kind,
            state: text(answer, &fields.state)?,
            requested_by: text(answer, &fields.requested_by)?,
            approved_by: texts(answer, &fields.approved_by)?,
            not_before: match &fields.not_before {
                Some(pointer) => times(pointer)?.unwrap_or(NEVER),
                None => EVER_SINCE,
            },
            not_after: times(&fields.not_after)?.unwrap_or(EVER_SINCE),
            used,
            one_use: truth(answer, &fields.one_use)?,
            digest,
            bound: settings.bound.iter().map(bound).collect(),
        })
    }

    /// Returns whether only the requester has approved it. Case and blanks around a name do not make another person.
    #[must_use]
    pub fn is_self_approved(&self) -> bool {
        let person = |name: &str| name.trim().to_lowercase();
        self.approved_by.iter().all(|name| person(name) == person(&self.requested_by))
    }

    /// Returns whether it matches this call: it is bound by something, and by nothing that differs. `digest` is the
    /// action's own, absent if the request is not known completely.
    #[must_use]
    pub fn matches(&self, query: &Query, digest: Option<&str>) -> bool {
        let by_arguments = self.bound.iter().all(|(pointer, expected)| {
            let sent = argument(query, pointer);
            expected.is_some() && sent == *expected
        });
        let by_digest = match &self.digest {
            Some(expected) => digest == Some(expected.as_str()),
            None => !self.bound.is_empty(),
        };
        by_arguments && by_digest
    }

    /// As policies see it: the schema's `Approval`.
    #[must_use]
    pub fn value(&self, matches_action: Matches, used: Used) -> Value {
        Value::Record(record([
            ("id", Value::from(self.id.as_str())),
            ("kind", self.kind.as_str().into()),
            ("state", self.state.as_str().into()),
            ("requestedBy", self.requested_by.as_str().into()),
            ("approvedBy", Value::texts(self.approved_by.iter().map(String::as_str))),
            ("selfApproved", Value::Bool(self.is_self_approved())),
            ("matchesAction", Value::Bool(matches_action == Matches::Yes)),
            ("used", Value::Bool(used == Used::Yes)),
            ("notBefore", Value::Time(self.not_before)),
            ("notAfter", Value::Time(self.not_after)),
        ]))
    }
}

/// Whether an approval matches the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matches {
    /// It is.
    Yes,
    /// It is for something else, or for nothing in particular.
    No,
}

/// Whether an approval was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    /// It was.
    Yes,
    /// It was not.
    No,
}

impl Scalar {
    /// A number that a double cannot distinguish from its neighbours has no scalar: it would equal them.
    fn of_json(json: &Json) -> Option<Self> {
        let (kind, text) = match json {
            Json::String(text) => (FieldKind::Text, text.clone()),
            Json::Bool(truth) => (FieldKind::Bool, truth.to_string()),
            Json::Number(number) => (FieldKind::Number, canonical(number)?),
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
        };
        Some(Self { kind, text })
    }
}

/// A number as RFC 8785 spells it, in the range where that needs no exponent.
fn canonical(number: &serde_json::Number) -> Option<String> {
    if number.is_i64() || number.is_u64() {
        return Some(number.to_string());
    }
    /// 2^53: above it, neighbouring integers share one double.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let double = number.as_f64()?;
    match double.abs() {
        0.0 => Some("0".to_owned()),
        size if (1e-6..EXACT_MAX).contains(&size) => Some(double.to_string()),
        _ => None,
    }
}

/// The call's argument at a pointer, if it is a plain value.
#[must_use]
pub fn argument(query: &Query, pointer: &str) -> Option<Scalar> {
    let tag = |bag: &str| {
        let Value::Entity(uid) = query.context.get(bag)? else { return None };
        match query.bags.iter().find(|node| node.uid == *uid)?.tags.get(pointer)? {
            Value::String(text) => Some(text.as_str()),
            Value::Long(_)
            | Value::Bool(_)
            | Value::Set(_)
            | Value::Record(_)
            | Value::Entity(_)
            | Value::Time(_)
            | Value::Duration(_)
            | Value::Ip(_)
            | Value::Decimal(_) => None,
        }
    };
    // `args` has one spelling for the text `7` and the number 7; `kinds` separates them.
    let kind = match tag("kinds")? {
        "string" => FieldKind::Text,
        "number" => FieldKind::Number,
        "boolean" => FieldKind::Bool,
        // `null`, lists and objects are not plain.
        _ => return None,
    };
    Some(Scalar { kind, text: tag("args")?.to_owned() })
}

fn text(answer: &Json, pointer: &str) -> Result<String, String> {
    let text = optional_text(answer, pointer)?;
    text.filter(|text| !text.trim().is_empty()).ok_or_else(|| format!("the answer has no text at `{pointer}`"))
}

fn optional_text(answer: &Json, pointer: &str) -> Result<Option<String>, String> {
    match answer.pointer(pointer) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_)) => {
            Err(format!("the answer's value at `{pointer}` is not a text"))
        }
    }
}

/// A text or a list of texts; blank ones are ignored.
fn texts(answer: &Json, pointer: &str) -> Result<BTreeSet<String>, String> {
    let wrong = || format!("the answer's value at `{pointer}` is neither a text nor a list of texts");
    let items = match answer.pointer(pointer) {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(items)) => items.iter().collect(),
        Some(one @ (Json::String(_) | Json::Bool(_) | Json::Number(_) | Json::Object(_))) => vec![one],
    };
    let texts: Option<BTreeSet<String>> = items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect();
    let named = |texts: BTreeSet<String>| texts.into_iter().filter(|text| !text.trim().is_empty()).collect();
    texts.map(named).ok_or_else(wrong)
}

fn truth(answer: &Json, field: &Field<bool>) -> Result<bool, String> {
    match field {
        Field::Constant(truth) => Ok(*truth),
        Field::Pointer(pointer) => {
            let truth = answer.pointer(pointer).and_then(Json::as_bool);
            truth.ok_or_else(|| format!("the answer's value at `{pointer}` is neither true nor false"))
        }
    }
}

/// Milliseconds since the Unix epoch; `None` where the answer does not say.
fn time(answer: &Json, pointer: &str) -> Result<Option<i64>, String> {
    let wrong = || format!("the answer's value at `{pointer}` is not a time: RFC 3339, or seconds since 1970");
    let millis = match answer.pointer(pointer) {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::String(text)) => text.parse::<jiff::Timestamp>().map_err(|_| wrong())?.as_millisecond(),
        Some(Json::Number(seconds)) => seconds.as_i64().and_then(|s| s.checked_mul(1000)).ok_or_else(wrong)?,
        Some(Json::Bool(_) | Json::Array(_) | Json::Object(_)) => return Err(wrong()),
    };
    if (EVER_SINCE..=NEVER).contains(&millis) { Ok(Some(millis)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests;
