//! A parsed document with the bytes of its values, and removals from it.
//!
//! Knows: JSON. Must not know: detectors, formats, frames.

use std::collections::BTreeSet;
use std::ops::Range;

use super::map::Splice;
use crate::body::json::{self, Json, Limits, Node, Refused, Value};
use crate::content::json_path::Step;

/// A document.
#[derive(Debug)]
pub(super) struct Document {
    pub json: Json,
    spans: Vec<Range<usize>>,
    /// As it was parsed, if it holds an escape.
    escaped: Option<String>,
}

impl Document {
    pub fn parse(text: &str, limits: Limits) -> Result<Self, Refused> {
        let json = json::parse(text.as_bytes(), limits)?;
        let escaped = text.contains('\\').then(|| text.to_owned());
        Ok(Self { json, spans: json::spans(text), escaped })
    }

    /// The source of a part, if it can differ from its text.
    pub fn source(&self, part: Range<usize>) -> Option<&str> {
        self.escaped.as_ref()?.get(part)
    }

    /// The bytes of a value or key, quotes included.
    pub fn span(&self, place: usize) -> Range<usize> {
        self.spans.get(place).cloned().unwrap_or_default()
    }

    /// The bytes of a text between its quotes.
    pub fn inside(&self, place: usize) -> Range<usize> {
        let span = self.span(place);
        span.start + 1..span.end.saturating_sub(1)
    }

    /// The splices that remove members and elements with these values. The document itself becomes `null`.
    pub fn removals(&self, places: &BTreeSet<usize>) -> Vec<Splice> {
        let mut splices = Vec::new();
        if places.contains(&0) {
            return vec![Splice { at: self.span(0), with: "null".to_owned() }];
        }
        if !places.is_empty() {
            self.remove(self.json.node(), places, &mut splices);
        }
        splices
    }

    fn remove(&self, node: Node<'_>, places: &BTreeSet<usize>, splices: &mut Vec<Splice>) {
        let children: Vec<(Range<usize>, Node<'_>)> = match node.value() {
            Value::Object(object) => object.iter().map(|(_, value)| (self.member(value), value)).collect(),
            Value::List(list) => list.iter().map(|value| (self.span(value.place()), value)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => return,
        };
        let mut kept_before = false;
        for (number, (span, child)) in children.iter().enumerate() {
            if !places.contains(&child.place()) {
                kept_before = true;
                self.remove(*child, places, splices);
                continue;
            }
            // One comma goes with it: the one before it, or the one behind it if nothing before it is kept.
            let before = number.checked_sub(1).and_then(|before| children.get(before)).map(|(span, _)| span.end);
            let behind = children.get(number + 1).map(|(span, _)| span.start);
            let at = match (kept_before, before, behind) {
                (true, Some(before), _) => before..span.end,
                (true, None, _) | (false, _, None) => span.clone(),
                (false, _, Some(behind)) => span.start..behind,
            };
            splices.push(Splice { at, with: String::new() });
        }
    }

    /// The bytes of a member from its key on.
    fn member(&self, value: Node<'_>) -> Range<usize> {
        let key = self.span(value.place().saturating_sub(1));
        key.start..self.span(value.place()).end
    }

    /// Calls `visit` with every value below `root`, itself included, and its location from there.
    pub fn locations(&self, root: usize, visit: &mut dyn FnMut(Node<'_>, &[Step])) {
        if let Some(node) = self.json.at(root) {
            locations(node, &mut Vec::new(), visit);
        }
    }
}

fn locations(node: Node<'_>, location: &mut Vec<Step>, visit: &mut dyn FnMut(Node<'_>, &[Step])) {
    visit(node, location);
    match node.value() {
        Value::Object(object) => {
            for (key, value) in object.iter() {
                location.push(Step::Name(key.to_owned()));
                locations(value, location, visit);
                location.pop();
            }
        }
        Value::List(list) => {
            for (index, value) in list.iter().enumerate() {
                location.push(Step::Index(index));
                locations(value, location, visit);
                location.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}
