//! Three other JSON parsers: two that must read what ours read, and one that must refuse what ours refuses.
//!
//! They share no code with ours: `serde_json` for its spread, `struson` because it keeps numbers as written and
//! reads token by token, `jiter` because it is as strict as ours.

use std::collections::HashSet;

use jiter::{Jiter, JiterResult, Peek};
use picket::body::json::{Limits, Node, Number, Refused, Value as Ours};
use serde_json::Value;
use struson::reader::{JsonReader as _, JsonStreamReader, ReaderSettings, ValueType};

/// Panics where ours refuses what is JSON, exact and within the limits.
pub fn assert_refused(bytes: &[u8], refused: &Refused) {
    let is_marked = bytes.starts_with(b"\xef\xbb\xbf");
    let is_read = std::str::from_utf8(bytes).is_ok_and(|text| is_strict(text).is_ok_and(|is_exact| is_exact));
    assert!(is_marked || !is_read, "refused, but jiter reads it: {refused}: {}", String::from_utf8_lossy(bytes));
}

/// Whether it is one document that keeps our rules; an error if it is not JSON.
fn is_strict(text: &str) -> JiterResult<bool> {
    let mut reader = Jiter::new(text.as_bytes());
    let first = reader.peek()?;
    let mut is_exact = true;
    strict(&mut reader, first, 0, &mut is_exact)?;
    reader.finish()?;
    Ok(is_exact)
}

fn strict(reader: &mut Jiter<'_>, first: Peek, depth: usize, is_exact: &mut bool) -> JiterResult<()> {
    *is_exact &= depth <= Limits::default().depth_max;
    match first {
        // Deeper ones are rejected, with any content.
        Peek::Array | Peek::Object if depth >= Limits::default().depth_max => {
            *is_exact = false;
            reader.known_skip(first)
        }
        Peek::Array => {
            let mut next = reader.known_array()?;
            while let Some(first) = next {
                strict(reader, first, depth + 1, is_exact)?;
                next = reader.array_step()?;
            }
            Ok(())
        }
        Peek::Object => {
            let mut keys = HashSet::new();
            let mut next = reader.known_object()?.map(str::to_owned);
            while let Some(key) = next {
                *is_exact &= keys.insert(key);
                let first = reader.peek()?;
                strict(reader, first, depth + 1, is_exact)?;
                next = reader.next_key()?.map(str::to_owned);
            }
            Ok(())
        }
        Peek::String => reader.known_str().map(drop),
        Peek::True | Peek::False => reader.known_bool(first).map(drop),
        Peek::Null => reader.known_null(),
        _ => {
            let written = reader.known_number_bytes(first)?;
            let exponent = written.split(|byte| matches!(byte, b'e' | b'E')).nth(1).unwrap_or_default();
            let digits = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
            // Near the limit the digits before the exponent matter; the tables have those.
            *is_exact &= digits.iter().skip_while(|digit| **digit == b'0').count() <= 17;
            Ok(())
        }
    }
}

/// Panics where another parser refuses what ours accepted, or reads it differently.
pub fn assert_agreed(bytes: &[u8], ours: Node<'_>) {
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

fn is_same(ours: Node<'_>, theirs: &Value) -> bool {
    match (ours.value(), theirs) {
        (Ours::Null, Value::Null) => true,
        (Ours::Bool(ours), Value::Bool(theirs)) => ours == *theirs,
        (Ours::Text(ours), Value::String(theirs)) => ours == theirs,
        (Ours::List(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| is_same(ours, theirs))
        }
        (Ours::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(key, ours)| theirs.get(key).is_some_and(|theirs| is_same(ours, theirs)))
        }
        (Ours::Number(ours), Value::Number(theirs)) => is_same_number(ours, theirs),
        _ => false,
    }
}

fn is_same_number(ours: Number<'_>, theirs: &serde_json::Number) -> bool {
    match (ours.to_i64(), theirs.as_i64(), theirs.as_f64()) {
        (ours, Some(theirs), _) => ours == Some(theirs),
        // A double: the nearest one, or its neighbour.
        (_, None, Some(theirs)) => {
            let ours: f64 = ours.as_str().parse().unwrap();
            ours == theirs || ((ours - theirs) / ours).abs() < 1e-14 || ours.abs() < f64::MIN_POSITIVE
        }
        (_, None, None) => false,
    }
}

fn is_streamed(ours: Node<'_>, reader: &mut JsonStreamReader<&[u8]>) -> bool {
    match (ours.value(), reader.peek()) {
        (Ours::Null, Ok(ValueType::Null)) => reader.next_null().is_ok(),
        (Ours::Bool(ours), Ok(ValueType::Boolean)) => reader.next_bool().is_ok_and(|theirs| theirs == ours),
        (Ours::Text(ours), Ok(ValueType::String)) => reader.next_str().is_ok_and(|theirs| theirs == ours),
        (Ours::Number(ours), Ok(ValueType::Number)) => {
            reader.next_number_as_str().is_ok_and(|theirs| theirs == ours.as_str())
        }
        (Ours::List(ours), Ok(ValueType::Array)) => {
            reader.begin_array().is_ok()
                && ours.iter().all(|ours| is_streamed(ours, reader))
                && reader.end_array().is_ok()
        }
        (Ours::Object(ours), Ok(ValueType::Object)) => {
            reader.begin_object().is_ok()
                && ours.iter().all(|(key, ours)| {
                    reader.next_name().is_ok_and(|theirs| theirs == key) && is_streamed(ours, reader)
                })
                && reader.end_object().is_ok()
        }
        (_, Ok(_) | Err(_)) => false,
    }
}
