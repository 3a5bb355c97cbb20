//! The result for a whole text, by other means than the server: `regex`, `serde_json`, no state between pieces.

use std::collections::BTreeMap;

use regex::{Captures, Regex};
use serde_json::Value;

/// Patterns of values, each with its mask.
pub struct Reference(Vec<(Regex, String, Check)>);

/// What a match must be to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    Any,
    /// Digits with a check digit by Luhn. A separator behind the last one is not a part of the value.
    Luhn,
}

impl Reference {
    pub fn new(patterns: &[(&str, &str, Check)]) -> Self {
        let new =
            |(pattern, mask, check): &(&str, &str, Check)| (Regex::new(pattern).unwrap(), (*mask).to_owned(), *check);
        Self(patterns.iter().map(new).collect())
    }

    /// The text as it may leave.
    pub fn mask(&self, text: &str) -> String {
        let replace = |text: String, (pattern, mask, check): &(Regex, String, Check)| {
            let one = |captures: &Captures<'_>| {
                let value = &captures[0];
                let digits = value.trim_end_matches([' ', '-']);
                match check {
                    Check::Any => mask.clone(),
                    Check::Luhn if luhn(digits) => format!("{mask}{}", &value[digits.len()..]),
                    Check::Luhn => value.to_owned(),
                }
            };
            pattern.replace_all(&text, one).into_owned()
        };
        self.0.iter().fold(text.to_owned(), replace)
    }

    /// The document as it may leave.
    pub fn masked(&self, json: &Value) -> Value {
        match json {
            Value::Null | Value::Bool(_) | Value::Number(_) => json.clone(),
            Value::String(text) => self.mask(text).into(),
            Value::Array(items) => items.iter().map(|item| self.masked(item)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(key, value)| (key.clone(), self.masked(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

fn luhn(text: &str) -> bool {
    let digits = text.chars().rev().filter_map(|character| character.to_digit(10));
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    sum.is_multiple_of(10)
}

/// The texts of a stream, each joined over its events: by the kind of event and the place of the text in it.
pub fn joined(stream: &str) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let unified = stream.replace("\r\n", "\n");
    for event in unified.split("\n\n") {
        let lines = event.split('\n').filter_map(|line| line.strip_prefix("data:"));
        let data = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n");
        if let Ok(json) = serde_json::from_str::<Value>(&data) {
            let part = |name: &str| json.get(name).map(Value::to_string).unwrap_or_default();
            let place = ["type", "index", "output_index", "content_index", "item_id"].map(part).join(" ");
            leaves(&json, &place, &mut texts);
        }
    }
    texts
}

fn leaves(json: &Value, place: &str, texts: &mut BTreeMap<String, String>) {
    match json {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => texts.entry(place.to_owned()).or_default().push_str(text),
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                let number = item.get("index").map_or_else(|| number.to_string(), Value::to_string);
                leaves(item, &format!("{place}/{number}"), texts);
            }
        }
        Value::Object(members) => {
            for (key, value) in members {
                leaves(value, &format!("{place}/{key}"), texts);
            }
        }
    }
}
