//! Finding one's way in a document: members, pointers (RFC 6901), all its nodes.
//!
//! Knows: how documents nest. Must not know: which part anybody wants.

use std::borrow::Cow;

use super::{Json, Number, SmolStr};

/// A document has more nodes than somebody is willing to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document has more than {0} nodes")]
pub struct TooManyNodes(pub usize);

impl Json {
    /// The member of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Takes a member out of an object; the others keep their order.
    pub fn take(&mut self, key: &str) -> Option<Self> {
        match self {
            Self::Object(members) => {
                let at = members.iter().position(|(name, _)| name == key)?;
                Some(members.remove(at).1)
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// The value at a JSON pointer; the empty pointer is the document itself.
    #[must_use]
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, Self::step)
    }

    /// The objects on the way of a JSON pointer, each with the key that is looked for in it, as far as the way goes.
    pub fn objects_on_the_way<'a>(
        &'a self,
        pointer: &'a str,
    ) -> impl Iterator<Item = (&'a [(SmolStr, Self)], Cow<'a, str>)> {
        let steps = pointer.split('/').skip(1).scan(Some(self), |at, token| {
            let here = (*at)?;
            *at = here.step(token);
            Some((here, token))
        });
        steps.filter_map(|(here, token)| {
            let key = if token.contains('~') { Cow::Owned(unescaped(token)?) } else { Cow::Borrowed(token) };
            Some((here.as_object()?, key))
        })
    }

    fn step<'a>(&'a self, token: &str) -> Option<&'a Self> {
        match self {
            Self::List(items) => items.get(index(token)?),
            Self::Object(_) if !token.contains('~') => self.get(token),
            Self::Object(_) => self.get(&unescaped(token)?),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<&Number> {
        match self {
            Self::Number(number) => Some(number),
            Self::Null | Self::Bool(_) | Self::Text(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            Self::Null | Self::Number(_) | Self::Text(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Object(_) => None,
        }
    }

    /// The members, if it is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&[(SmolStr, Self)]> {
        match self {
            Self::Object(members) => Some(members),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// What it is, in JSON Schema's words: `null`, `boolean`, `number`, `string`, `array`, `object`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// A scalar as the text that policies compare: texts as they are, numbers canonical, `true` and `false`; `None`
    /// for `null`, lists and objects.
    #[must_use]
    pub fn scalar(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.to_string()),
            Self::Number(number) => Some(number.canonical()),
            Self::Bool(truth) => Some(truth.to_string()),
            Self::Null | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// Every node below the document itself with its pointer, parents before children, in the order sent.
    ///
    /// # Errors
    /// [`TooManyNodes`] where there are more than `max`.
    pub fn nodes(&self, max: usize) -> Result<Vec<(String, &Self)>, TooManyNodes> {
        let mut found = Vec::new();
        self.collect("", max, &mut found)?;
        Ok(found)
    }

    /// The nodes that hold no others: scalars, empty lists and empty objects.
    ///
    /// # Errors
    /// [`TooManyNodes`] where there are more than `max` nodes, those above the leaves included.
    pub fn leaves(&self, max: usize) -> Result<Vec<(String, &Self)>, TooManyNodes> {
        let mut nodes = self.nodes(max)?;
        nodes.retain(|(_, node)| node.is_leaf());
        Ok(nodes)
    }

    fn is_leaf(&self) -> bool {
        match self {
            Self::List(items) => items.is_empty(),
            Self::Object(members) => members.is_empty(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => true,
        }
    }

    // As deep as the document, which the parser bounds.
    fn collect<'a>(&'a self, at: &str, max: usize, found: &mut Vec<(String, &'a Self)>) -> Result<(), TooManyNodes> {
        let mut add = |pointer: String, node: &'a Self| {
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
        match self {
            Self::List(items) => items.iter().enumerate().try_for_each(|(n, item)| add(format!("{at}/{n}"), item)),
            Self::Object(members) => members.iter().try_for_each(|(key, value)| add(child(at, key), value)),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => Ok(()),
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
