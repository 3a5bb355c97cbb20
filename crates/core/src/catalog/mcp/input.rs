//! A tool's arguments as typed by its JSON Schema, where Cedar has a type for them.
//!
//! Knows: JSON Schema's words about types. Must not know: Cedar, calls.
//!
//! The words of a schema hold together: what `type` and `properties` say holds whatever stands beside them, which can
//! only forbid more. So words about values (`enum`, `minimum`, `pattern`, an `anyOf` beside a type) are passed over:
//! they are for the server, and for policies, to hold values to. What may have several types, or has none here, is left
//! out and said.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Longest schema, in bytes of JSON.
pub const BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of a schema's own JSON: a catalogue nests no deeper than its file may.
pub const NESTING_MAX: usize = 20;
/// Deepest nesting of typed records and lists; what lies deeper is left out.
pub const DEPTH_MAX: usize = 8;
/// Most members and items that one schema may name, those behind its references included.
pub const VALUES_MAX: usize = 256;
/// Longest name of a member, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// A tool's `input_schema`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// As it was written.
    pub written: Value,
    /// The arguments.
    pub record: Record,
    /// Members without a type here, in the order of the schema.
    pub left_out: Vec<LeftOut>,
}

/// An object with typed members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The typed members.
    pub fields: BTreeMap<String, Type>,
    /// Members that must be sent, typed or not.
    pub required: BTreeSet<String>,
    /// Members that the schema names and that have no type here.
    pub untyped: BTreeSet<String>,
    /// Whether a member that the schema does not name is refused.
    pub is_closed: bool,
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// A text.
    Text,
    /// A 64-bit integer.
    Integer,
    /// True or false.
    Boolean,
    /// A list of items of one type.
    List(Box<Type>),
    /// An object.
    Object(Record),
}

/// A value that has no type here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its place in the arguments, as a JSON pointer.
    pub pointer: String,
    /// Why.
    pub why: &'static str,
}

/// Why a value gets no type.
enum Stop {
    /// It is left out.
    LeftOut(&'static str),
    /// The schema is refused.
    Refused(String),
}

impl Input {
    /// Reads a schema.
    ///
    /// # Errors
    /// A fragment that says why it is no schema of arguments, or which bound it breaks.
    pub fn read(written: &Value) -> Result<Self, String> {
        let bytes = written.to_string().len();
        if bytes > BYTES_MAX {
            return Err(format!("has {bytes} bytes, at most {BYTES_MAX} are read"));
        }
        if nesting(written) > NESTING_MAX {
            return Err(format!("nests deeper than {NESTING_MAX} levels"));
        }
        let mut reader = SchemaReader { root: written, named: 0, left_out: Vec::new(), references: Vec::new() };
        let refused = |stop| match stop {
            Stop::LeftOut(why) => format!("is not the schema of an object: {why}"),
            Stop::Refused(why) => why,
        };
        let record = reader.arguments().map_err(refused)?;
        Ok(Self { written: written.clone(), record, left_out: reader.left_out })
    }

    /// Arguments that fit: what must be sent, each as small as it can be.
    #[must_use]
    pub fn sample(&self) -> Map<String, Value> {
        sample(&self.record)
    }
}

fn sample(record: &Record) -> Map<String, Value> {
    let value = |name: &String| match record.fields.get(name) {
        Some(Type::Text) => json!("x"),
        Some(Type::Integer) => json!(0),
        Some(Type::Boolean) => json!(false),
        Some(Type::List(_)) => json!([]),
        Some(Type::Object(record)) => Value::Object(sample(record)),
        None => Value::Null,
    };
    record.required.iter().map(|name| (name.clone(), value(name))).collect()
}

fn nesting(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(items) => 1 + items.iter().map(nesting).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(nesting).max().unwrap_or_default(),
    }
}

struct SchemaReader<'a> {
    root: &'a Value,
    named: usize,
    left_out: Vec<LeftOut>,
    /// The references that are being followed: one that leads to itself has no end.
    references: Vec<&'a str>,
}

impl<'a> SchemaReader<'a> {
    fn arguments(&mut self) -> Result<Record, Stop> {
        let schema = self.resolved(self.root)?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(Stop::LeftOut("it does not have `type: object`"));
        }
        self.record(schema, "", 0)
    }

    /// The schema, or the one that it refers to. What was followed stays noted; the caller takes it off.
    fn resolved(&mut self, mut schema: &'a Value) -> Result<&'a Map<String, Value>, Stop> {
        loop {
            let Some(object) = schema.as_object() else { return Err(Stop::LeftOut(NOTHING_SAID)) };
            let Some(reference) = object.get("$ref") else { return Ok(object) };
            let reference = reference.as_str().unwrap_or_default();
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            let Some(target) = target else { return Err(Stop::LeftOut("its `$ref` points outside the schema")) };
            if self.references.contains(&reference) {
                return Err(Stop::LeftOut("its `$ref` points to itself"));
            }
            self.references.push(reference);
            schema = target;
        }
    }

    fn record(&mut self, schema: &'a Map<String, Value>, pointer: &str, depth: usize) -> Result<Record, Stop> {
        let properties = match schema.get("properties") {
            None => None,
            Some(Value::Object(properties)) => Some(properties),
            Some(_) => return Err(Stop::Refused(format!("has `properties` that are not a mapping, at `{pointer}`"))),
        };
        let required = required(schema, pointer)?;
        // Before anything is copied: behind references the same names may stand hundreds of times.
        let names = || required.iter().copied().chain(properties.into_iter().flatten().map(|(name, _)| name.as_str()));
        self.count(required.len().max(properties.map_or(0, Map::len)))?;
        if let Some(name) = names().find(|name| name.len() > NAME_BYTES_MAX) {
            let name: String = name.chars().take(32).collect();
            let message = format!("names `{}…`, longer than {NAME_BYTES_MAX} bytes", name.escape_debug());
            return Err(Stop::Refused(message));
        }
        let required = required.into_iter().map(str::to_owned).collect();
        let mut record = Record { required, ..Record::default() };
        let patterns =
            schema.get("patternProperties").and_then(Value::as_object).is_some_and(|known| !known.is_empty());
        record.is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false)) && !patterns;
        for (name, schema) in properties.into_iter().flatten() {
            let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            let found = if is_name(name) {
                self.value(schema, &pointer, depth + 1)
            } else {
                Err(Stop::LeftOut("its name is not of printable ASCII, or begins with `__`"))
            };
            match found {
                Ok(found) => drop(record.fields.insert(name.clone(), found)),
                Err(Stop::LeftOut(why)) => {
                    record.untyped.insert(name.clone());
                    self.left_out.push(LeftOut { pointer, why });
                }
                Err(refused @ Stop::Refused(_)) => return Err(refused),
            }
        }
        Ok(record)
    }

    fn count(&mut self, more: usize) -> Result<(), Stop> {
        self.named += more;
        match self.named > VALUES_MAX {
            true => Err(Stop::Refused(format!("names more than {VALUES_MAX} members and items"))),
            false => Ok(()),
        }
    }

    fn value(&mut self, schema: &'a Value, pointer: &str, depth: usize) -> Result<Type, Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop::LeftOut("it is nested too deeply"));
        }
        let followed = self.references.len();
        let found = self.resolved(schema).and_then(|schema| self.typed_by(schema, pointer, depth));
        self.references.truncate(followed);
        found
    }

    fn typed_by(&mut self, schema: &'a Map<String, Value>, pointer: &str, depth: usize) -> Result<Type, Stop> {
        let word = match schema.get("type") {
            None => return listed(schema),
            Some(Value::String(word)) => word.as_str(),
            Some(Value::Array(words)) => match words.as_slice() {
                [Value::String(word)] => word.as_str(),
                _ => return Err(Stop::LeftOut(SEVERAL)),
            },
            Some(_) => return Err(Stop::Refused(format!("has a `type` that is not a text, at `{pointer}`"))),
        };
        match word {
            "string" => Ok(Type::Text),
            "integer" => Ok(Type::Integer),
            "boolean" => Ok(Type::Boolean),
            "number" => Err(Stop::LeftOut("a `number` is not a 64-bit integer")),
            "null" => Err(Stop::LeftOut("policies have no value for `null`")),
            "array" => {
                let Some(items) = schema.get("items").filter(|_| !schema.contains_key("prefixItems")) else {
                    return Err(Stop::LeftOut("its items have no single type"));
                };
                self.count(1)?;
                let items = self.value(items, &format!("{pointer}/*"), depth + 1);
                items.map(|items| Type::List(Box::new(items))).map_err(|stop| match stop {
                    Stop::LeftOut(_) => Stop::LeftOut("its items have no single type"),
                    refused @ Stop::Refused(_) => refused,
                })
            }
            "object" if schema.get("properties").and_then(Value::as_object).is_none_or(Map::is_empty) => {
                Err(Stop::LeftOut("an object with unnamed members"))
            }
            "object" => self.record(schema, pointer, depth).map(Type::Object),
            _ => Err(Stop::Refused(format!("has the unknown type `{}`, at `{pointer}`", word.escape_debug()))),
        }
    }
}

const NOTHING_SAID: &str = "it has no type";
const SEVERAL: &str = "it may have several types";

/// The type of values that a schema lists without naming their type.
fn listed(schema: &Map<String, Value>) -> Result<Type, Stop> {
    let values = match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => values.as_slice(),
        (_, Some(value)) => std::slice::from_ref(value),
        (_, None) if ["anyOf", "oneOf", "allOf"].iter().any(|word| schema.contains_key(*word)) => {
            return Err(Stop::LeftOut(SEVERAL));
        }
        (_, None) => return Err(Stop::LeftOut(NOTHING_SAID)),
    };
    let of = |value: &Value| match value {
        Value::String(_) => Some(Type::Text),
        Value::Bool(_) => Some(Type::Boolean),
        Value::Number(number) => number.as_i64().map(|_| Type::Integer),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let first = values.first().and_then(of).ok_or(Stop::LeftOut(SEVERAL))?;
    if values.iter().all(|value| of(value).as_ref() == Some(&first)) { Ok(first) } else { Err(Stop::LeftOut(SEVERAL)) }
}

fn required<'a>(schema: &'a Map<String, Value>, pointer: &str) -> Result<BTreeSet<&'a str>, Stop> {
    let refused = || Stop::Refused(format!("has a `required` that is not a list of names, at `{pointer}`"));
    match schema.get("required") {
        None => Ok(BTreeSet::new()),
        Some(Value::Array(names)) => names.iter().map(|name| name.as_str().ok_or_else(refused)).collect(),
        Some(_) => Err(refused()),
    }
}

/// A name that has one spelling but for the case of ASCII letters, and none that Cedar's JSON keeps for itself.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with("__") && name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

#[cfg(test)]
mod tests;
