//! Reads the values of a body that policies see, by JSON pointer.
//!
//! Knows: JSON, what policies read. Must not know: protocols.
//!
//! Only values that a policy judging the call can read are looked at; what they read has one exact value or the
//! call is refused.

use std::collections::BTreeMap;

use smol_str::{SmolStr, ToSmolStr, format_smolstr};

use crate::body::json::{Node, Number, Value as Inner};
use crate::body::{case_variants, shown};
use crate::failure::{Code, Failure};
use crate::query::{ANYWHERE, Keys, Reads, Value};

use super::context::ContextParts;

/// Most values of one body that policies can be given. Policies that compute the keys they read see all values,
/// and a caller chooses how many there are.
pub const VALUES_MAX: usize = 4096;

/// Adds the values of an object as arguments.
///
/// # Errors
/// As [`Values::of`].
pub(super) fn add_arguments(object: Node<'_>, reads: &Reads, parts: &mut ContextParts) -> Result<(), Failure> {
    let values = Values::of(object, &reads.args, reads)?;
    parts.set_bag("Bag", "args", values.args);
    parts.set_bag("NumberBag", "numbers", values.numbers);
    parts.set_bag("DecimalBag", "decimals", values.decimals);
    parts.set_bag("Bag", "kinds", values.kinds);
    Ok(())
}

fn in_another_case(key: &str) -> Failure {
    let detail = format!("the body's key `{}` differs only by case from one that a policy reads", shown(key));
    Failure::new(Code::BodyRefused, detail)
}

/// The values of a body that are read, by JSON pointer. A caller chooses how many there are and in which order.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) args: BTreeMap<SmolStr, Value>,
    pub(super) numbers: BTreeMap<SmolStr, Value>,
    pub(super) decimals: BTreeMap<SmolStr, Value>,
    kinds: BTreeMap<SmolStr, Value>,
}

impl Values {
    /// Those at these pointers, and those of the names that are read wherever they stand.
    ///
    /// # Errors
    /// `number_refused` for a number that is read as one and is neither a 64-bit integer nor a decimal;
    /// `body_refused` for more values than [`VALUES_MAX`], and for a key that is one a policy reads but for its case.
    pub(super) fn of(document: Node<'_>, pointers: &Keys, reads: &Reads) -> Result<Self, Failure> {
        let mut values = Self::default();
        let numbers = reads.numbers;
        match pointers {
            Keys::Some(pointers) => {
                for pointer in pointers {
                    // Many a server would take it for the key that the policy reads.
                    if let Some(key) = case_variants::beside(document, pointer) {
                        return Err(in_another_case(key));
                    }
                    if let Some(value) = document.pointer(pointer) {
                        values.add(&pointer.into(), value, numbers)?;
                    }
                }
            }
            Keys::All => {
                if let Some(key) = case_variants::doubled(document) {
                    return Err(in_another_case(key));
                }
                let all = document.nodes(VALUES_MAX).map_err(|_| {
                    let detail = format!("the body has more than {VALUES_MAX} values, and a policy may read any");
                    Failure::new(Code::BodyRefused, detail)
                })?;
                for (pointer, value) in all {
                    values.add(&pointer.into(), value, numbers)?;
                }
            }
        }
        for name in &reads.names {
            values.anywhere(name, document, numbers)?;
        }
        Ok(values)
    }

    /// The one value that all members of this name have, whatever the case of its letters; of kind `several` where
    /// two of them differ.
    fn anywhere(&mut self, name: &str, document: Node<'_>, numbers: bool) -> Result<(), Failure> {
        let mut found = Vec::new();
        named(name, document, &mut found);
        let Some((first, others)) = found.split_first() else { return Ok(()) };
        let key = format_smolstr!("{ANYWHERE}{name}");
        if others.iter().all(|other| other == first) {
            return self.add(&key, *first, numbers);
        }
        self.kinds.insert(key, "several".into());
        Ok(())
    }

    fn add(&mut self, pointer: &SmolStr, value: Node<'_>, numbers: bool) -> Result<(), Failure> {
        let (kind, text) = match value.value() {
            Inner::Null => ("null", Some(SmolStr::new_static("null"))),
            Inner::Bool(flag) => ("boolean", Some(flag.to_smolstr())),
            Inner::Number(number) => ("number", Some(self.number(pointer, number, numbers)?)),
            Inner::Text(text) => ("string", Some(text.into())),
            Inner::List(_) => ("list", None),
            Inner::Object(_) => ("object", None),
        };
        self.kinds.insert(pointer.clone(), kind.into());
        if let Some(text) = text {
            self.args.insert(pointer.clone(), Value::String(text));
        }
        Ok(())
    }

    /// The number's canonical text; by value, so that `1e3` and `1000.0` are the same number.
    fn number(&mut self, pointer: &SmolStr, number: Number<'_>, is_read: bool) -> Result<SmolStr, Failure> {
        if let Some(integer) = number.to_i64() {
            self.numbers.insert(pointer.clone(), Value::Long(integer));
        } else if let Some(decimal) = number.to_decimal() {
            self.decimals.insert(pointer.clone(), Value::Decimal(decimal.into()));
        } else if is_read {
            // A forbid that compares it would silently not apply.
            let detail =
                format!("the number at `{}` fits neither a 64-bit integer nor a decimal", pointer.escape_debug());
            return Err(Failure::new(Code::NumberRefused, detail));
        }
        Ok(number.canonical().into())
    }
}

/// Every member of this name; as deep as the document, which the parser bounds.
fn named<'a>(name: &str, json: Node<'a>, found: &mut Vec<Node<'a>>) {
    match json.value() {
        Inner::Null | Inner::Bool(_) | Inner::Number(_) | Inner::Text(_) => {}
        Inner::List(items) => items.iter().for_each(|item| named(name, item, found)),
        Inner::Object(members) => {
            for (key, value) in members.iter() {
                if case_variants::is_caseless(key, name) {
                    found.push(value);
                }
                named(name, value, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::json::{Limits, parse};

    #[test]
    fn a_name_read_anywhere_has_one_value_or_is_several() {
        let reads = Reads { names: ["id".to_owned()].into(), ..Reads::default() };
        for (text, kind, value) in [
            (r#"{"x":1}"#, None, None),
            (r#"{"id":"1"}"#, Some("string"), Some("1")),
            (r#"{"a":[{"b":{"id":"1"}}]}"#, Some("string"), Some("1")),
            (r#"{"id":"1","a":{"id":"1"}}"#, Some("string"), Some("1")),
            (r#"{"id":"1","a":{"ID":"2"}}"#, Some("several"), None),
            (r#"{"id":"1","a":[{"id":1}]}"#, Some("several"), None),
            (r#"{"id":{"id":"1"}}"#, Some("several"), None),
            (r#"{"id":["1"]}"#, Some("list"), None),
            ("{\"\u{131}d\":\"1\"}", Some("string"), Some("1")),
            (r#"{"**/id":"1","**":{"id":"2"}}"#, Some("string"), Some("2")),
        ] {
            let values =
                Values::of(parse(text.as_bytes(), Limits::default()).unwrap().node(), &Keys::default(), &reads)
                    .unwrap();
            let tag = |tags: &BTreeMap<SmolStr, Value>| tags.get("**/id").cloned();
            assert_eq!(tag(&values.kinds), kind.map(Value::from), "{text}");
            assert_eq!(tag(&values.args), value.map(Value::from), "{text}");
        }
    }
}
