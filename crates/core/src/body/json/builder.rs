//! Builds a document from data that was not sent as JSON.
//!
//! Knows: how a document lies in memory. Must not know: what it is made from.

use super::document::{Case, Document, Slot, Span, close, offset, open};
use super::key_fingerprints::{self, Alike};
use super::parse::BYTES_MAX;
use super::{Json, Refused};
use crate::body::shown;

/// A value that can still grow; whoever makes it bounds its depth.
#[derive(Debug, PartialEq)]
pub(in crate::body) enum Builder {
    Bool(bool),
    /// A number as JSON writes it, see [`Number::parse`](super::Number::parse).
    Number(String),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Builder {
    /// The document.
    ///
    /// # Errors
    /// A key that occurs twice in one object, and more text than a document can have.
    pub(in crate::body) fn document(&self) -> Result<Json, Refused> {
        let document = Document { is_mixed: false, text: String::new(), slots: Vec::new() };
        let mut writer = Writer { document };
        writer.value(self)?;
        Ok(Json::new(writer.document))
    }
}

struct Writer {
    document: Document,
}

impl Writer {
    // As deep as the draft.
    fn value(&mut self, draft: &Builder) -> Result<(), Refused> {
        let slot = match draft {
            Builder::Bool(truth) => Slot::Bool(*truth),
            Builder::Number(number) => Slot::Number(self.text(number)?),
            Builder::Text(text) => Slot::Text(self.text(text)?),
            Builder::List(items) => return self.list(items),
            Builder::Object(members) => return self.object(members),
        };
        self.document.slots.push(slot);
        Ok(())
    }

    fn list(&mut self, items: &[Builder]) -> Result<(), Refused> {
        let at = open(&mut self.document.slots);
        items.iter().try_for_each(|item| self.value(item))?;
        close(&mut self.document.slots, at, |end| Slot::List { count: offset(items.len()), end });
        Ok(())
    }

    fn object(&mut self, members: &[(String, Builder)]) -> Result<(), Refused> {
        let at = open(&mut self.document.slots);
        let mut own: Vec<(u64, &str)> =
            members.iter().map(|(key, _)| (key_fingerprints::caseless_print(key), key.as_str())).collect();
        let case = match key_fingerprints::alike(&mut own, |key| key) {
            Alike::No if own.iter().all(|(_, key)| key.is_ascii()) => Case::Plain,
            Alike::No | Alike::ByCase => Case::Mixed,
            Alike::Repeated(key) => {
                return Err(Refused::RepeatedKey { key: shown(key), at: self.document.text.len() });
            }
        };
        self.document.is_mixed |= case == Case::Mixed;
        for (key, value) in members {
            let key = Slot::Text(self.text(key)?);
            self.document.slots.push(key);
            self.value(value)?;
        }
        close(&mut self.document.slots, at, |end| Slot::Object { count: offset(members.len()), end, case });
        Ok(())
    }

    fn text(&mut self, part: &str) -> Result<Span, Refused> {
        let text = &mut self.document.text;
        let from = text.len();
        let bytes = from.saturating_add(part.len());
        if bytes > BYTES_MAX {
            return Err(Refused::TooLong { bytes, max: BYTES_MAX });
        }
        text.push_str(part);
        Ok(Span { from: offset(from), to: offset(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::json::{Limits, Node, Value, parse};

    fn draft(node: Node<'_>) -> Builder {
        match node.value() {
            Value::Null => Builder::Text("null".to_owned()),
            Value::Bool(truth) => Builder::Bool(truth),
            Value::Number(number) => Builder::Number(number.as_str().to_owned()),
            Value::Text(text) => Builder::Text(text.to_owned()),
            Value::List(items) => Builder::List(items.iter().map(draft).collect()),
            Value::Object(members) => {
                Builder::Object(members.iter().map(|(key, value)| (key.to_owned(), draft(value))).collect())
            }
        }
    }

    #[test]
    fn a_document_is_the_same_read_or_drafted() {
        for text in [
            "true",
            "-1.50e3",
            r#""""#,
            "[]",
            "{}",
            r#"[[],{},[1,[2]],"x",false]"#,
            r#"{"a":{"b":[{"c":1},2]},"":"\u0000\"é","z":{}}"#,
            r#"{"a":[{"x":1,"X":2}],"b":{"é":1}}"#,
        ] {
            let read = parse(text.as_bytes(), Limits::default()).unwrap();
            let drafted = draft(read.node()).document().unwrap();
            assert_eq!(drafted, read, "{text}");
            assert_eq!(drafted.node().canonical(), read.node().canonical(), "{text}");
            assert_eq!(drafted.node().nodes(99), read.node().nodes(99), "{text}");
            let mixed = |json: &Json| json.node().mixed_objects().map(|object| object.len()).collect::<Vec<_>>();
            assert_eq!(mixed(&drafted), mixed(&read), "{text}");
        }
    }

    #[test]
    fn a_draft_with_a_key_twice_is_not_a_document() {
        let members = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), Builder::Bool(true))).collect();
        let of = |keys: &[&str]| Builder::List(vec![Builder::Object(members(keys))]).document();
        assert!(of(&["a", "A"]).is_ok());
        assert!(matches!(of(&["a", "b", "a"]), Err(Refused::RepeatedKey { .. })));
    }
}
