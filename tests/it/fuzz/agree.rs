//! Two other JSON parsers, and whether they read what ours read.
//!
//! They share no code with ours: `serde_json` for its spread, `struson` because it keeps numbers as written and
//! reads token by token.

use picket::body::json::Json;
use serde_json::Value;
use struson::reader::{JsonReader as _, JsonStreamReader, ReaderSettings, ValueType};

/// Panics where another parser refuses what ours accepted, or reads it differently.
pub fn assert_agreed(bytes: &[u8], ours: &Json) {
    let shown = || String::from_utf8_lossy(bytes);
    match serde_json::from_slice::<Value>(bytes) {
        Ok(theirs) => assert!(is_same(ours, &theirs), "serde_json reads {theirs} in {}", shown()),
        // It has numbers of 64 bits only.
        Err(problem) => assert!(problem.to_string().contains("number out of range"), "{problem}: {}", shown()),
    }
    let settings = ReaderSettings { restrict_number_values: false, track_path: false, ..ReaderSettings::default() };
    let mut reader = JsonStreamReader::new_custom(bytes, settings);
    assert!(is_streamed(ours, &mut reader), "struson reads something else in {}", shown());
    assert!(reader.consume_trailing_whitespace().is_ok(), "struson sees more in {}", shown());
}

fn is_same(ours: &Json, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(ours), Value::Bool(theirs)) => ours == theirs,
        (Json::Text(ours), Value::String(theirs)) => ours == theirs,
        (Json::List(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| is_same(ours, theirs))
        }
        (Json::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(key, ours)| theirs.get(key.as_str()).is_some_and(|theirs| is_same(ours, theirs)))
        }
        (Json::Number(ours), Value::Number(theirs)) => match (ours.to_i64(), theirs.as_i64(), theirs.as_f64()) {
            (ours, Some(theirs), _) => ours == Some(theirs),
            // A double: the nearest one, or beside it.
            (_, None, Some(theirs)) => {
                let ours: f64 = ours.as_str().parse().unwrap();
                ours == theirs || ((ours - theirs) / ours).abs() < 1e-14 || ours.abs() < f64::MIN_POSITIVE
            }
            (_, None, None) => false,
        },
        _ => false,
    }
}

fn is_streamed(ours: &Json, reader: &mut JsonStreamReader<&[u8]>) -> bool {
    match (ours, reader.peek()) {
        (Json::Null, Ok(ValueType::Null)) => reader.next_null().is_ok(),
        (Json::Bool(ours), Ok(ValueType::Boolean)) => reader.next_bool().is_ok_and(|theirs| theirs == *ours),
        (Json::Text(ours), Ok(ValueType::String)) => reader.next_str().is_ok_and(|theirs| theirs == ours),
        (Json::Number(ours), Ok(ValueType::Number)) => {
            reader.next_number_as_str().is_ok_and(|theirs| theirs == ours.as_str())
        }
        (Json::List(ours), Ok(ValueType::Array)) => {
            reader.begin_array().is_ok()
                && ours.iter().all(|ours| is_streamed(ours, reader))
                && reader.end_array().is_ok()
        }
        (Json::Object(ours), Ok(ValueType::Object)) => {
            reader.begin_object().is_ok()
                && ours.iter().all(|(key, ours)| {
                    reader.next_name().is_ok_and(|theirs| theirs == key) && is_streamed(ours, reader)
                })
                && reader.end_object().is_ok()
        }
        (_, Ok(_) | Err(_)) => false,
    }
}
