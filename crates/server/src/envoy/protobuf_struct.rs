//! Converts `google.protobuf.Struct` to JSON and back.
//!
//! A struct knows one kind of number, the double. Integers beyond 2^53 have already collapsed when
//! they arrive here, so only those below it are given out as integers.

use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value as Proto};
use serde_json::{Map, Number, Value};

/// The double from which neighbouring integers share one representation.
const INTEGERS_END: f64 = 9_007_199_254_740_992.0;

/// A struct as JSON. `None` where it holds a number that JSON has no word for.
pub(super) fn to_json(from: &Struct) -> Option<Value> {
    // Protobuf maps have no order; sorted keys make logs and golden files stable.
    let mut keys: Vec<&String> = from.fields.keys().collect();
    keys.sort_unstable();
    let mut object = Map::new();
    for key in keys {
        object.insert(key.clone(), from.fields.get(key).map_or(Some(Value::Null), value_to_json)?);
    }
    Some(Value::Object(object))
}

/// One value as JSON. `None` where it is or holds an infinite number or none at all.
pub(super) fn value_to_json(from: &Proto) -> Option<Value> {
    Some(match &from.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(*flag),
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::NumberValue(number)) => Value::Number(number_to_json(*number)?),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(value_to_json).collect::<Option<_>>()?),
        Some(Kind::StructValue(inner)) => to_json(inner)?,
    })
}

fn number_to_json(number: f64) -> Option<Number> {
    if number.fract() == 0.0 && number.abs() < INTEGERS_END {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53 fits, checked just above")]
        let whole = number as i64;
        return Some(Number::from(whole));
    }
    Number::from_f64(number)
}

/// A JSON object as a struct; numbers become doubles.
pub(super) fn from_json(object: &Map<String, Value>) -> Struct {
    Struct { fields: object.iter().map(|(key, value)| (key.clone(), value_from_json(value))).collect() }
}

fn value_from_json(value: &Value) -> Proto {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        // `as_f64` is `None` only for arbitrary-precision numbers, which this build does not have.
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(value_from_json).collect() }),
        Value::Object(inner) => Kind::StructValue(from_json(inner)),
    };
    Proto { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: f64) -> Option<Value> {
        value_to_json(&Proto { kind: Some(Kind::NumberValue(number)) })
    }

    #[test]
    fn p22_only_exact_integers_become_integers() {
        let below = INTEGERS_END - 1.0;
        assert_eq!(number(3.0), Some(Value::from(3)));
        assert_eq!(number(-0.0), Some(Value::from(0)));
        assert_eq!(number(below), Some(Value::from(9_007_199_254_740_991_i64)));
        // 9007199254740993 arrives as this double, and so does its neighbour.
        assert_eq!(number(9_007_199_254_740_993_u64 as f64), Some(Value::from(INTEGERS_END)));
        assert!(number(INTEGERS_END).is_some_and(|value| value.as_i64().is_none()));
        assert_eq!(number(1.5), Some(Value::from(1.5)));
    }

    #[test]
    fn a_number_that_json_cannot_say_is_refused_not_nulled() {
        assert_eq!(number(f64::NAN), None);
        assert_eq!(number(f64::INFINITY), None);
        let nested = from_json(serde_json::json!({"a": [{"b": 1}]}).as_object().unwrap());
        assert_eq!(to_json(&nested), Some(serde_json::json!({"a": [{"b": 1}]})));
    }
}
