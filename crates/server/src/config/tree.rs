//! The settings as given: a tree with the origin of every value.
//!
//! Knows: YAML, environment variables and flags. Must not know: what any setting means.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use picket_core::problem::Problem;

/// Where a value came from; later ones win.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Not given.
    Default,
    /// The file, with line, column and byte offset of its key.
    File(Position),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

/// A place in the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
    /// Byte range, where the parser knows it.
    pub bytes: Option<(usize, usize)>,
}

impl Origin {
    /// A problem of a value from here. `file` is the configuration file's name.
    #[must_use]
    pub fn problem(&self, file: &str, message: String) -> Problem {
        match self {
            Self::Default => Problem::error("configuration", message),
            Self::File(place) => Problem::error(format!("{file}:{}:{}", place.line, place.column), message)
                .at(place.bytes.map(|(from, to)| from..to)),
            Self::Environment(name) => Problem::error(format!("environment variable {name}"), message),
            Self::Flag(text) => Problem::error(format!("flag {text}"), message),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => write!(f, "file, line {}", place.line),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::Flag(text) => write!(f, "flag, {text}"),
        }
    }
}

/// A value and its origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub content: Content,
    /// Where it came from.
    pub origin: Origin,
}

/// A value that knows the origin of its parts.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A text, number or truth value; `null` means "not given".
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order given.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// An empty map.
    #[must_use]
    pub fn empty() -> Self {
        Self { content: Content::Map(Vec::new()), origin: Origin::Default }
    }

    /// Reads YAML; every value gets its place as origin.
    ///
    /// # Errors
    /// The parser's problem, with its place in `file`.
    pub fn parse(text: &str, file: &str) -> Result<Self, Box<Problem>> {
        serde_saphyr::from_str::<Node>(text).map_err(|error| {
            let place = error.location().map(|location| place(&location));
            let message = error.without_snippet().to_string();
            let message = message.lines().next().unwrap_or_default().to_owned();
            Box::new(place.map_or(Origin::Default, Origin::File).problem(file, message))
        })
    }

    /// Reads one value of a flag or a variable: YAML, so that `8`, `true` and `[a, b]` mean what they look
    /// like; what is not YAML is a text.
    #[must_use]
    pub fn parse_value(text: &str, origin: &Origin) -> Self {
        let text_itself = || Self { content: Content::Scalar(Value::String(text.to_owned())), origin: origin.clone() };
        let mut node = serde_saphyr::from_str::<Node>(text).unwrap_or_else(|_not_yaml| text_itself());
        node.stamp(origin);
        node
    }

    fn stamp(&mut self, origin: &Origin) {
        self.origin = origin.clone();
        match &mut self.content {
            Content::Scalar(_) => {}
            Content::List(items) => items.iter_mut().for_each(|item| item.stamp(origin)),
            Content::Map(entries) => entries.iter_mut().for_each(|(_, entry)| entry.stamp(origin)),
        }
    }

    /// Puts `value` at `path`, making what is missing on the way. A number counts a list's elements from 0 and
    /// may name the element after the last.
    ///
    /// # Errors
    /// What stands in the way, as a lower-case fragment.
    pub fn set(&mut self, path: &[&str], value: Self) -> Result<(), String> {
        let Some((step, rest)) = path.split_first() else {
            *self = value;
            return Ok(());
        };
        if let (Content::Map(entries), Ok(0)) = (&self.content, step.parse::<usize>())
            && entries.is_empty()
        {
            self.content = Content::List(Vec::new());
        }
        let origin = value.origin.clone();
        let fresh = || Self { content: Content::Map(Vec::new()), origin };
        match &mut self.content {
            Content::Map(entries) => {
                if !entries.iter().any(|(name, _)| name == step) {
                    entries.push(((*step).to_owned(), fresh()));
                }
                match entries.iter_mut().find(|(name, _)| name == step) {
                    Some((_, entry)) => entry.set(rest, value),
                    None => Ok(()),
                }
            }
            Content::List(items) => {
                let index: usize =
                    step.parse().map_err(|_| format!("`{step}` is not a number, and a list is meant"))?;
                if index == items.len() {
                    items.push(fresh());
                }
                let count = items.len();
                let item = items.get_mut(index);
                item.ok_or_else(|| format!("there is no element {index}; the list has {count}"))?.set(rest, value)
            }
            Content::Scalar(_) => {
                self.content = Content::Map(Vec::new());
                self.set(path, value)
            }
        }
    }

    /// The part called `name`, unless it is `null`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let found = match &self.content {
            Content::Scalar(_) => None,
            Content::List(items) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
            Content::Map(entries) => entries.iter().find(|(known, _)| known == name).map(|(_, entry)| entry),
        };
        found.filter(|node| node.content != Content::Scalar(Value::Null))
    }

    /// Where the value at `path` came from, or what is nearest above it.
    #[must_use]
    pub fn origin_at(&self, path: &str) -> &Origin {
        let mut node = self;
        for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
            match node.get(step) {
                Some(below) => node = below,
                None => break,
            }
        }
        &node.origin
    }

    /// The plain value, without what is `null` in maps.
    #[must_use]
    pub fn plain(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Self::plain).collect(),
            Content::Map(entries) => entries
                .iter()
                .map(|(name, entry)| (name.clone(), entry.plain()))
                .filter(|(_, value)| !value.is_null())
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

fn place(location: &serde_saphyr::Location) -> Position {
    let span = location.span();
    let number = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    let bytes = number(span.byte_offset()).zip(number(span.byte_len())).map(|(from, len)| (from, from + len));
    Position { line: location.line(), column: location.column(), bytes }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let content = deserializer.deserialize_any(ContentVisitor)?;
        Ok(Self { content, origin: Origin::Default })
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of settings")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Node>>()? {
            list.push(Node { origin: Origin::File(place(&item.referenced)), ..item.value });
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut map = Vec::new();
        while let Some(name) = entries.next_key::<Spanned<String>>()? {
            let node: Node = entries.next_value()?;
            map.push((name.value, Node { origin: Origin::File(place(&name.referenced)), ..node }));
        }
        Ok(Content::Map(map))
    }
}
