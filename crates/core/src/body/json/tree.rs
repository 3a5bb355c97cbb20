//! Navigation in a document: members, pointers (RFC 6901), iteration over all nodes.
//!
//! Knows: how documents nest. Must not know: which part anybody wants.

use std::borrow::Cow;

use super::{List, Node, Number, Object, Value};

/// A document has more nodes than the caller wants listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document has more than {0} nodes")]
pub struct TooManyNodes(pub usize);

impl<'a> Node<'a> {
    /// The member of an object.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Self> {
        self.as_object()?.get(key)
    }

    /// The value at a JSON pointer; the empty pointer is the document itself.
    #[must_use]
    pub fn pointer(self, pointer: &str) -> Option<Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, Self::step)
    }

    /// The objects on the way of a JSON pointer, each with the key that is looked for in it, as far as the way goes.
    pub fn objects_on_the_way<'p>(self, pointer: &'p str) -> impl Iterator<Item = (Self, Cow<'p, str>)> {
        let steps = pointer.split('/').skip(1).scan(Some(self), |at, token| {
            let here = (*at)?;
            *at = here.step(token);
            Some((here, token))
        });
        steps.filter(|(here, _)| here.as_object().is_some()).filter_map(|(here, token)| {
            let key = if token.contains('~') { Cow::Owned(unescaped(token)?) } else { Cow::Borrowed(token) };
            Some((here, key))
        })
    }

    fn step(self, token: &str) -> Option<Self> {
        match self.value() {
            Value::List(items) => items.iter().nth(index(token)?),
            Value::Object(members) if !token.contains('~') => members.get(token),
            Value::Object(members) => members.get(&unescaped(token)?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => None,
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.value() == Value::Null
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(self) -> Option<&'a str> {
        match self.value() {
            Value::Text(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => None,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_number(self) -> Option<Number<'a>> {
        match self.value() {
            Value::Number(number) => Some(number),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => None,
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.value() {
            Value::Bool(truth) => Some(truth),
            Value::Null | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => None,
        }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn as_list(self) -> Option<List<'a>> {
        match self.value() {
            Value::List(items) => Some(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Object(_) => None,
        }
    }

    /// The members, if it is an object.
    #[must_use]
    pub fn as_object(self) -> Option<Object<'a>> {
        match self.value() {
            Value::Object(members) => Some(members),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => None,
        }
    }

    /// Its type in JSON Schema's words: `null`, `boolean`, `number`, `string`, `array`, `object`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self.value() {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::Text(_) => "string",
            Value::List(_) => "array",
            Value::Object(_) => "object",
        }
    }

    /// A scalar as the text that policies compare: texts as they are, numbers canonical, `true` and `false`; `None`
    /// for `null`, lists and objects.
    #[must_use]
    pub fn scalar(self) -> Option<String> {
        match self.value() {
            Value::Text(text) => Some(text.to_owned()),
            Value::Number(number) => Some(number.canonical()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Null | Value::List(_) | Value::Object(_) => None,
        }
    }

    /// Every node below the document itself with its pointer, parents before children, in the order sent.
    ///
    /// # Errors
    /// [`TooManyNodes`] where there are more than `max`.
    pub fn nodes(self, max: usize) -> Result<Vec<(String, Self)>, TooManyNodes> {
        let mut found = Vec::new();
        self.collect("", max, &mut found)?;
        Ok(found)
    }

    /// The nodes that hold no others: scalars, empty lists and empty objects.
    ///
    /// # Errors
    /// [`TooManyNodes`] where there are more than `max` nodes, those above the leaves included.
    pub fn leaves(self, max: usize) -> Result<Vec<(String, Self)>, TooManyNodes> {
        let mut nodes = self.nodes(max)?;
        nodes.retain(|(_, node)| node.is_leaf());
        Ok(nodes)
    }

    fn is_leaf(self) -> bool {
        match self.value() {
            Value::List(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => true,
        }
    }

    // As deep as the document, which the parser bounds.
    fn collect(self, at: &str, max: usize, found: &mut Vec<(String, Self)>) -> Result<(), TooManyNodes> {
        let mut add = |pointer: String, node: Self| {
            if found.len() >= max {
                return Err(TooManyNodes(max));
            }
            if node.is_leaf() {
                found.push((pointer, node));
                return Ok(());
            }
            found.push((pointer.clone(), node));
            node.collect(&pointer, max, found)
        };
        match self.value() {
            Value::List(items) => items.iter().enumerate().try_for_each(|(n, item)| add(format!("{at}/{n}"), item)),
            Value::Object(members) => members.iter().try_for_each(|(key, value)| add(child(at, key), value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => Ok(()),
        }
    }
}

/// The pointer of the member `key` below `pointer`.
fn child(pointer: &str, key: &str) -> String {
    let mut child = String::with_capacity(pointer.len() + key.len() + 1);
    child.push_str(pointer);
    child.push('/');
    for character in key.chars() {
        match character {
            '~' => child.push_str("~0"),
            '/' => child.push_str("~1"),
            other => child.push(other),
        }
    }
    child
}

/// A list's index as RFC 6901 writes it: no sign, no zeros in front.
fn index(token: &str) -> Option<usize> {
    let is_plain = token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    if !is_plain {
        return None;
    }
    let Ok(index) = token.parse() else { return None };
    Some(index)
}

/// A key with its `~0` and `~1` resolved; `None` for a `~` before anything else.
fn unescaped(token: &str) -> Option<String> {
    let mut key = String::with_capacity(token.len());
    let mut characters = token.chars();
    while let Some(character) = characters.next() {
        match character {
            '~' => match characters.next()? {
                '0' => key.push('~'),
                '1' => key.push('/'),
                _ => return None,
            },
            other => key.push(other),
        }
    }
    Some(key)
}
