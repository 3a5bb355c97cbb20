//! Walks a document, and collects what to change in its text.
//!
//! Knows: places of values in a document's text. Must not know: how a text is scanned.

use std::ops::Range;

use super::edit::{Edit, merged};
use super::{Edits, Masking, NotMaskable, Shape};
use crate::body::json::{self, Json, Node, Object, Value};
use crate::content::detectors::FieldMask;
use crate::content::json_path::Step;
use crate::inspection::walk::{is_redacted, is_sealed};

/// One document with its text.
pub(super) struct Document<'t, 'm> {
    spans: Vec<Range<usize>>,
    text: &'t str,
    pub masking: Masking<'m>,
    /// The place in the message; `None` outside of messages.
    location: Option<Vec<Step>>,
    edits: Vec<Edit>,
}

/// A child of a list or an object.
struct Child<'n> {
    step: Step,
    /// Its bytes, those of its name included.
    span: Range<usize>,
    node: Node<'n>,
    is_sealed: bool,
}

impl<'t, 'm> Document<'t, 'm> {
    /// `text` is what was parsed.
    pub fn new(text: &'t str, masking: Masking<'m>) -> Self {
        Self { spans: json::spans(text), text, masking, location: None, edits: Vec::new() }
    }

    /// What to change in a body.
    pub fn body(&mut self, json: &Json, shape: Shape) -> Edits {
        match (shape, json.node().value()) {
            (Shape::Rpc, Value::List(items)) => items.iter().try_for_each(|item| self.envelope(item))?,
            (Shape::Rpc, _) => self.envelope(json.node())?,
            (Shape::Json | Shape::Model, _) => self.message(json.node())?,
        }
        Ok(merged(std::mem::take(&mut self.edits), Vec::new()))
    }

    /// What to change in a document inside a string.
    pub fn inside(&mut self, json: &Json) -> Edits {
        self.value(json.node())?;
        Ok(merged(std::mem::take(&mut self.edits), Vec::new()))
    }

    /// Masks a message of JSON-RPC.
    fn envelope(&mut self, node: Node<'_>) -> Result<(), NotMaskable> {
        let Some(object) = node.as_object() else { return self.value(node) };
        for (name, value) in object.iter() {
            self.name(name)?;
            if name == "params" { self.message(value)? } else { self.value(value)? }
        }
        Ok(())
    }

    /// Masks a value from which the paths of fields begin.
    fn message(&mut self, node: Node<'_>) -> Result<(), NotMaskable> {
        self.location = Some(Vec::new());
        if self.masking.fields.iter().any(|field| field.finds(&[])) {
            return Err(NotMaskable::Field);
        }
        let masked = self.value(node);
        self.location = None;
        masked
    }

    fn value(&mut self, node: Node<'_>) -> Result<(), NotMaskable> {
        match node.value() {
            Value::Null | Value::Bool(_) => Ok(()),
            Value::Number(number) => match self.masking.plain(number.as_str())?.is_empty() {
                true => Ok(()),
                false => Err(NotMaskable::Number),
            },
            Value::Text(text) => {
                let edits = self.masking.text(text)?;
                if !edits.is_empty() {
                    let masked = super::apply(text, &edits);
                    self.replace(node, quoted(&masked));
                }
                Ok(())
            }
            Value::List(items) => {
                let mut children = Vec::with_capacity(items.iter().count());
                for (at, node) in items.iter().enumerate() {
                    let span = self.span(node.place());
                    children.push(Child { step: Step::Index(at), span, node, is_sealed: false });
                }
                self.children(&children)
            }
            Value::Object(object) => self.object(object),
        }
    }

    fn object(&mut self, object: Object<'_>) -> Result<(), NotMaskable> {
        let is_redacted = is_redacted(object);
        let mut children = Vec::new();
        for (name, node) in object.iter() {
            self.name(name)?;
            // The slot before a value is that of its name.
            let begin = self.span(node.place().saturating_sub(1)).start;
            let is_sealed = is_sealed(self.masking.sealed, name, is_redacted);
            let span = begin..self.span(node.place()).end;
            children.push(Child { step: Step::Name(name.to_owned()), span, node, is_sealed });
        }
        self.children(&children)
    }

    fn children(&mut self, children: &[Child<'_>]) -> Result<(), NotMaskable> {
        let mut kept_before = false;
        for (number, child) in children.iter().enumerate() {
            if let Some(location) = &mut self.location {
                location.push(child.step.clone());
            }
            match self.selected() {
                Some(FieldMask::Drop) => {
                    let at = removal(children, number, kept_before);
                    self.edits.push(Edit { at, with: String::new() });
                }
                selected => {
                    kept_before = true;
                    self.child(child, selected)?;
                }
            }
            if let Some(location) = &mut self.location {
                location.pop();
            }
        }
        Ok(())
    }

    /// The mask of a field at the place at hand.
    fn selected(&self) -> Option<FieldMask> {
        let location = self.location.as_deref()?;
        self.masking.fields.iter().find(|field| field.finds(location)).map(|field| field.mask.clone())
    }

    fn child(&mut self, child: &Child<'_>, selected: Option<FieldMask>) -> Result<(), NotMaskable> {
        match selected {
            None if child.is_sealed => self.sealed(child.node),
            None => self.value(child.node),
            Some(FieldMask::Null) => {
                self.replace(child.node, "null".to_owned());
                Ok(())
            }
            Some(FieldMask::Fixed(text)) if child.node.as_text().is_some() => {
                self.replace(child.node, quoted(&text));
                Ok(())
            }
            Some(FieldMask::Fixed(_) | FieldMask::Drop) => Err(NotMaskable::Field),
        }
    }

    /// A part that only its receiver can read holds no value, or nothing is masked.
    fn sealed(&mut self, node: Node<'_>) -> Result<(), NotMaskable> {
        match node.as_text() {
            Some(text) if self.masking.text(text)?.is_empty() => Ok(()),
            Some(_) => Err(NotMaskable::Sealed),
            None => self.value(node),
        }
    }

    fn name(&mut self, name: &str) -> Result<(), NotMaskable> {
        if self.masking.text(name)?.is_empty() { Ok(()) } else { Err(NotMaskable::Name) }
    }

    fn replace(&mut self, node: Node<'_>, with: String) {
        self.edits.push(Edit { at: self.span(node.place()), with });
    }

    fn span(&self, place: usize) -> Range<usize> {
        self.spans.get(place).cloned().unwrap_or(self.text.len()..self.text.len())
    }
}

/// The bytes to remove with a child: one comma goes with it, the one before it, or the one behind it if nothing before it is
/// kept.
fn removal(children: &[Child<'_>], number: usize, kept_before: bool) -> Range<usize> {
    let span = |number: usize| children.get(number).map(|child| child.span.clone());
    let own = span(number).unwrap_or_default();
    let before = number.checked_sub(1).and_then(span).map(|span| span.end);
    match (kept_before, before, span(number + 1)) {
        (true, Some(before), _) => before..own.end,
        (true, None, _) | (false, _, None) => own,
        (false, _, Some(behind)) => own.start..behind.start,
    }
}

/// A text as a string of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
