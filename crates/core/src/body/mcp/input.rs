//! A tool's arguments, typed by the tool's schema.
//!
//! Knows: JSON, the types of the catalogue. Must not know: who calls, what is allowed.
//!
//! Either every typed member fits or the call is refused: one that was quietly left out would look to a policy like one
//! that was not sent.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use crate::body::json::{Node, Object, Value as Inner};
use crate::body::{case_variants, shown};
use crate::catalog::mcp::input::{Record, Type};
use crate::failure::{Code, Failure};
use crate::query::{self, Value};

/// Most values that one call's typed arguments may have, members and items counted equally.
pub const VALUES_MAX: usize = 4096;

/// Most names of the schema that a call's members are compared with, one object after the other.
const COMPARED_MAX: usize = 64 * 1024;

/// Reads arguments, which are an object.
///
/// # Errors
/// `message_refused` for what does not fit: another type, an integer beyond 64 bits, a required member that is not there,
/// one that a closed object does not name. `body_refused` for a key that is a member's name but for its case, and for more
/// than [`VALUES_MAX`] values, or so many objects with members of no type that comparing their names would take long.
pub fn read(arguments: Node<'_>, types: &Record) -> Result<query::Record, Failure> {
    let mut reader = ArgumentReader { values: 0, compared: 0, path: Vec::new() };
    match arguments.as_object() {
        Some(members) => reader.record(arguments, members, types),
        None => Err(reader.unfit("an object")),
    }
}

struct ArgumentReader<'a> {
    values: usize,
    compared: usize,
    /// Names on the way to the value that is read; items have none.
    path: Vec<&'a str>,
}

impl<'a> ArgumentReader<'a> {
    fn record(&mut self, node: Node<'a>, members: Object<'a>, types: &'a Record) -> Result<query::Record, Failure> {
        self.undisguised(node, members, types)?;
        let mut missing: BTreeSet<&str> = types.required.iter().map(String::as_str).collect();
        let mut read = Vec::new();
        for (name, value) in members.iter() {
            missing.remove(name);
            let Some(kind) = types.fields.get(name) else {
                if types.is_closed && !types.untyped.contains(name) {
                    return Err(self.refused(&format!("has no member `{}`", shown(name))));
                }
                continue;
            };
            self.path.push(name);
            read.push((SmolStr::from(name), self.value(value, kind)?));
            self.path.pop();
        }
        match missing.first() {
            Some(name) => Err(self.refused(&format!("needs a member `{}`", shown(name)))),
            None => Ok(read.into_iter().collect()),
        }
    }

    /// That no member's name is one of the schema's but for its case: many a server would take it for the member that the
    /// policy reads.
    fn undisguised(&mut self, node: Node<'a>, members: Object<'a>, types: &'a Record) -> Result<(), Failure> {
        let is_known = |name: &str| types.fields.contains_key(name) || types.untyped.contains(name);
        if members.iter().all(|(name, _)| is_known(name)) {
            return Ok(());
        }
        let known: Vec<&str> = types.fields.keys().chain(&types.untyped).map(String::as_str).collect();
        self.compared += known.len();
        if self.compared > COMPARED_MAX {
            let detail = "too many objects of the arguments have members that the tool's schema does not name";
            return Err(Failure::new(Code::BodyRefused, detail));
        }
        match case_variants::disguised(node, &known) {
            None => Ok(()),
            Some(key) => {
                let detail = format!("the argument `{}` differs only by case from one of the tool's", shown(key));
                Err(Failure::new(Code::BodyRefused, detail))
            }
        }
    }

    fn value(&mut self, node: Node<'a>, kind: &'a Type) -> Result<Value, Failure> {
        self.values += 1;
        if self.values > VALUES_MAX {
            let detail = format!("the arguments have more than {VALUES_MAX} typed values");
            return Err(Failure::new(Code::BodyRefused, detail));
        }
        match (kind, node.value()) {
            (Type::Text, Inner::Text(text)) => Ok(text.into()),
            (Type::Boolean, Inner::Bool(flag)) => Ok(Value::Bool(flag)),
            (Type::Integer, Inner::Number(number)) => {
                number.to_i64().map(Value::Long).ok_or_else(|| self.unfit("an integer of 64 bits"))
            }
            (Type::List(kind), Inner::List(items)) => {
                let items: Result<_, _> = items.iter().map(|item| self.value(item, kind)).collect();
                items.map(Value::Set)
            }
            (Type::Object(types), Inner::Object(members)) => self.record(node, members, types).map(Value::Record),
            (Type::Text, _) => Err(self.unfit("a text")),
            (Type::Integer, _) => Err(self.unfit("an integer")),
            (Type::Boolean, _) => Err(self.unfit("true or false")),
            (Type::List(_), _) => Err(self.unfit("a list")),
            (Type::Object(_), _) => Err(self.unfit("an object")),
        }
    }

    fn unfit(&self, expected: &str) -> Failure {
        self.refused(&format!("is not {expected}"))
    }

    fn refused(&self, what: &str) -> Failure {
        let path: String = self.path.iter().flat_map(|name| ["/".to_owned(), shown(name)]).collect();
        Failure::new(Code::MessageRefused, format!("what the tool's schema has at `{path}` {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::json::{Limits, parse};
    use crate::catalog::mcp::input::Input;

    const SCHEMA: &str = r#"{"type": "object", "required": ["amount", "note"], "properties": {
        "amount": {"type": "integer"}, "to": {"type": "string"}, "dry": {"type": "boolean"}, "rate": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "item": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"], "additionalProperties": false}}}"#;

    fn input() -> Input {
        Input::read(&serde_json::from_str(SCHEMA).unwrap()).unwrap()
    }

    fn check(arguments: &str) -> Result<query::Record, Failure> {
        read(parse(arguments.as_bytes(), Limits::default()).unwrap().node(), &input().record)
    }

    #[test]
    fn arguments_that_fit_are_values_of_their_types() {
        let read = check(
            r#"{"amount": 1e3, "note": [1], "to": "a", "dry": true, "rate": "what", "tags": ["b", "a", "b"],
               "item": {"id": -9223372036854775808}, "more": 1}"#,
        );
        let item = Value::Record(query::record([("id", Value::Long(i64::MIN))]));
        let expected = [
            ("amount", Value::Long(1000)),
            ("dry", Value::Bool(true)),
            ("item", item),
            ("tags", Value::texts(["a", "b"])),
            ("to", "a".into()),
        ];
        assert_eq!(read.unwrap(), query::record(expected));
    }

    #[test]
    fn arguments_that_do_not_fit_the_schema_are_rejected() {
        for (arguments, code, what) in [
            ("[]", Code::MessageRefused, "at `` is not an object"),
            (r#"{"amount": 1}"#, Code::MessageRefused, "at `` needs a member `note`"),
            (r#"{"note": 1}"#, Code::MessageRefused, "at `` needs a member `amount`"),
            (r#"{"note": 1, "amount": "1"}"#, Code::MessageRefused, "at `/amount` is not an integer"),
            (r#"{"note": 1, "amount": null}"#, Code::MessageRefused, "at `/amount` is not an integer"),
            (r#"{"note": 1, "amount": 1.5}"#, Code::MessageRefused, "at `/amount` is not an integer of 64 bits"),
            (
                r#"{"note": 1, "amount": 9223372036854775808}"#,
                Code::MessageRefused,
                "at `/amount` is not an integer of 64 bits",
            ),
            (r#"{"note": 1, "amount": 1, "to": null}"#, Code::MessageRefused, "at `/to` is not a text"),
            (r#"{"note": 1, "amount": 1, "to": ["a"]}"#, Code::MessageRefused, "at `/to` is not a text"),
            (r#"{"note": 1, "amount": 1, "dry": "true"}"#, Code::MessageRefused, "at `/dry` is not true or false"),
            (r#"{"note": 1, "amount": 1, "tags": "a"}"#, Code::MessageRefused, "at `/tags` is not a list"),
            (r#"{"note": 1, "amount": 1, "tags": ["a", 1]}"#, Code::MessageRefused, "at `/tags` is not a text"),
            (r#"{"note": 1, "amount": 1, "item": []}"#, Code::MessageRefused, "at `/item` is not an object"),
            (r#"{"note": 1, "amount": 1, "item": {}}"#, Code::MessageRefused, "at `/item` needs a member `id`"),
            (
                r#"{"note": 1, "amount": 1, "item": {"id": 1, "x": 1}}"#,
                Code::MessageRefused,
                "at `/item` has no member `x`",
            ),
            (r#"{"note": 1, "Amount": 1}"#, Code::BodyRefused, "`Amount` differs only by case"),
            (r#"{"note": 1, "amount": 1, "RATE": 1}"#, Code::BodyRefused, "`RATE` differs only by case"),
            (r#"{"note": 1, "amount": 1, "item": {"ID": 1}}"#, Code::BodyRefused, "`ID` differs only by case"),
        ] {
            let failure = check(arguments).unwrap_err();
            assert_eq!(failure.code, code, "{arguments}");
            assert!(failure.detail.contains(what), "{arguments}: {}", failure.detail);
        }
    }

    #[test]
    fn comparisons_of_names_are_counted() {
        let properties: Vec<String> = (0..200).map(|n| format!(r#""p{n}": {{"type": "string"}}"#)).collect();
        let item = format!(r#"{{"type": "object", "properties": {{{}}}}}"#, properties.join(","));
        let schema = format!(r#"{{"type": "object", "properties": {{"all": {{"type": "array", "items": {item}}}}}}}"#);
        let input = Input::read(&serde_json::from_str(&schema).unwrap()).unwrap();
        let read = |item: &str, count: usize| {
            let text = format!(r#"{{"all": [{}]}}"#, vec![item; count].join(","));
            let read = read(parse(text.as_bytes(), Limits::default()).unwrap().node(), &input.record);
            read.map(drop).map_err(|failure| failure.code)
        };
        assert_eq!(read(r#"{"x": ""}"#, COMPARED_MAX / 200), Ok(()));
        assert_eq!(read(r#"{"x": ""}"#, COMPARED_MAX / 200 + 1), Err(Code::BodyRefused));
        // Names that the schema has are found without.
        assert_eq!(read(r#"{"p7": ""}"#, 2000), Ok(()));
        assert_eq!(read("{}", 4000), Ok(()));
    }

    #[test]
    fn values_are_counted() {
        let tags = |count: usize| {
            let tags = vec!["\"a\""; count].join(",");
            check(&format!(r#"{{"note": 1, "amount": 1, "tags": [{tags}]}}"#)).map_err(|failure| failure.code)
        };
        assert!(tags(VALUES_MAX - 2).is_ok());
        assert_eq!(tags(VALUES_MAX - 1), Err(Code::BodyRefused));
    }
}
