//! Strict JSON for look-ups: rejects documents that two parsers could read differently. Pure.
//!
//! Knows: duplicate keys. Must not know: what the JSON means.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads one JSON document: no duplicate keys at any depth, nothing behind it, nested at most 128 deep.
///
/// # Errors
/// What is wrong and where; never the text itself.
pub fn strict(bytes: &[u8]) -> Result<Value, String> {
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(value)) => Ok(value),
        // Messages of the syntax quote nothing; others could quote a value.
        Err(error) if error.is_syntax() || error.is_eof() => Err(format!("is not JSON: {error}")),
        Err(error) => {
            Err(format!("has a duplicate key or an invalid value at line {} column {}", error.line(), error.column()))
        }
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Document).map(Self)
    }
}

struct Document;

impl<'de> Visitor<'de> for Document {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = members.next_entry::<String, Strict>()? {
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_with_one_reading_is_accepted() {
        let rows = [
            (r#"{"a": [1, -2, 1.5, "x", true, null], "b": {}}"#, true),
            (r#"{"a": {"b": 1, "b": 1}}"#, false),
            (r#"{"a": 1, "\u0061": 2}"#, false),
            (r#"[{"a": 1}, {"a": 1}]"#, true),
            (r#"{"a": 1} x"#, false),
            (r#"{"a": 1"#, false),
            ("", false),
            ("\u{feff}{}", false),
        ];
        for (text, expected) in rows {
            assert_eq!(strict(text.as_bytes()).is_ok(), expected, "{text}");
        }
        assert!(strict("[".repeat(100_000).as_bytes()).is_err());
        assert!(strict(b"\"\xff\"").is_err());
    }

    #[test]
    fn a_document_reads_as_serde_json_reads_it() {
        let text = r#"{"a": [1, -2, 18446744073709551615, 1.5, "x\n", true, null], "b": {"c": {}}}"#;
        assert_eq!(strict(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }
}
