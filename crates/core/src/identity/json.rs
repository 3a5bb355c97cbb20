//! Claims as JSON without duplicate members.
//!
//! Knows: objects with a repeated member, and when two claims are the same. Must not know: what claims mean.
//!
//! Some readers take the first of two members of one name and some the last, so a token that repeats one has two
//! meanings.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads a document in which no object repeats a member.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Once.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Whether two claims say the same. What the proxy verified comes with numbers as doubles.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let in_other =
                |(name, value): (&String, &Value)| other.get(name).is_some_and(|other| is_same(value, other));
            one.len() == other.len() && one.iter().all(in_other)
        }
        (Value::Null | Value::Bool(_) | Value::String(_), _)
        | (Value::Number(_) | Value::Array(_) | Value::Object(_), _) => one == other,
    }
}

/// Reads a value whose objects have every member once.
struct Once;

impl<'de> DeserializeSeed<'de> for Once {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON without duplicate members")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            found.push(item);
        }
        Ok(Value::Array(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut found = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Self)?;
            if found.insert(name, value).is_some() {
                return Err(A::Error::custom("an object repeats a member"));
            }
        }
        Ok(Value::Object(found))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_repeated_member_is_rejected_at_every_place() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"\u0062":2}}"#, r#"[{"a":1,"a":2}]"#, "{} {}", "{", "1e999"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let text = r#"{"a":[null,true,-1,18446744073709551615,1.5,"x",{"b":{}}],"A":1}"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn claims_are_equal_for_every_spelling_of_their_numbers() {
        let claims = json!({"exp": 1_767_225_600, "aud": ["a", "b"], "x": {"y": null}});
        let as_metadata = json!({"x": {"y": null}, "aud": ["a", "b"], "exp": 1_767_225_600.0});
        assert!(is_same(&claims, &as_metadata));
        for other in [
            json!({"exp": 1_767_225_601, "aud": ["a", "b"], "x": {"y": null}}),
            json!({"exp": 1_767_225_600, "aud": ["b", "a"], "x": {"y": null}}),
            json!({"exp": 1_767_225_600, "aud": ["a"], "x": {"y": null}}),
            json!({"exp": 1_767_225_600, "aud": ["a", "b"], "x": {}}),
            json!({"exp": 1_767_225_600, "aud": ["a", "b"], "x": {"y": null}, "sub": "z"}),
            json!({"exp": "1767225600", "aud": ["a", "b"], "x": {"y": null}}),
            json!([]),
            json!(null),
        ] {
            assert!(!is_same(&claims, &other), "{other}");
            assert!(!is_same(&other, &claims), "{other}");
        }
    }
}
