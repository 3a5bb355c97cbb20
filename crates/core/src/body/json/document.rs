//! A parsed document: one text and one list of slots.
//!
//! Knows: where each value lies. Must not know: how documents are read, which part anybody wants.
//!
//! A value is a slot of twelve bytes in the order sent; the slots of a list's items and of an object's keys and values
//! follow their own. So a document of thousands of lists costs two allocations, and a part of it is an index.

use std::fmt;
use std::sync::Arc;

use super::Number;

/// A part of [`Document::text`], in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u32,
    pub(super) to: u32,
}

/// A value, or the key before one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Null,
    Bool(bool),
    Number(Span),
    Text(Span),
    /// `count` items; their slots end before `end`.
    List {
        count: u32,
        end: u32,
    },
    /// `count` members, each a key and a value; their slots end before `end`.
    Object {
        count: u32,
        end: u32,
        case: Case,
    },
}

/// What the case of an object's keys may hide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// Nothing: the keys are ASCII, and no two are one without case.
    Plain,
    /// Perhaps that two keys are one.
    Mixed,
}

/// Everything that was read at once.
#[derive(Debug)]
pub(super) struct Document {
    /// Whether the keys of any object are [`Case::Mixed`].
    pub(super) is_mixed: bool,
    /// The document as sent, then every text that it spells with escapes.
    pub(super) text: String,
    pub(super) slots: Vec<Slot>,
}

/// Gives the place of a list or object that is to be closed, once its slots are there.
pub(super) fn open(slots: &mut Vec<Slot>) -> usize {
    slots.push(Slot::Null);
    slots.len() - 1
}

/// Makes the slot that was opened at `at` what `slot` says, by where the slots inside it end.
pub(super) fn close(slots: &mut [Slot], at: usize, slot: impl FnOnce(u32) -> Slot) {
    let slot = slot(offset(slots.len()));
    if let Some(open) = slots.get_mut(at) {
        *open = slot;
    }
}

/// It fits: text is bounded, a slot takes a byte of what is read, and memory ends before so many slots are drafted.
pub(super) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// A document or a part of one, with nothing lost. Cheap to copy: parts share what was read.
#[derive(Clone)]
pub struct Json {
    document: Arc<Document>,
    at: usize,
}

/// A value of a document.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    document: &'a Arc<Document>,
    at: usize,
}

/// The value of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as exact as it was written.
    Number(Number<'a>),
    /// A text.
    Text(&'a str),
    /// A list.
    List(List<'a>),
    /// An object.
    Object(Object<'a>),
}

/// The items of a list, in the order sent.
#[derive(Clone, Copy)]
pub struct List<'a> {
    count: usize,
    first: Node<'a>,
}

/// The members of an object in the order sent; no key occurs twice.
#[derive(Clone, Copy)]
pub struct Object<'a> {
    count: usize,
    first: Node<'a>,
}

impl Json {
    /// Takes what the parser read.
    pub(super) fn new(document: Document) -> Self {
        Self { document: Arc::new(document), at: 0 }
    }

    /// An object without members.
    #[must_use]
    pub fn empty() -> Self {
        let object = Slot::Object { count: 0, end: 1, case: Case::Plain };
        Self::new(Document { is_mixed: false, text: String::new(), slots: vec![object] })
    }

    /// The value or key with this number ([`Node::place`]).
    #[must_use]
    pub fn at(&self, place: usize) -> Option<Node<'_>> {
        self.document.slots.get(place).map(|_| Node { document: &self.document, at: place })
    }

    /// The value itself.
    #[must_use]
    pub fn node(&self) -> Node<'_> {
        Node { document: &self.document, at: self.at }
    }
}

impl<'a> Node<'a> {
    /// The node as a document of its own, which shares what was read.
    #[must_use]
    pub fn to_json(self) -> Json {
        Json { document: Arc::clone(self.document), at: self.at }
    }

    /// Its number in the document, in the order sent; keys have numbers too. The value of the document has 0.
    #[must_use]
    pub fn place(self) -> usize {
        self.at
    }

    /// Its value.
    #[must_use]
    pub fn value(self) -> Value<'a> {
        let first = Node { at: self.at + 1, ..self };
        match self.slot() {
            Slot::Null => Value::Null,
            Slot::Bool(truth) => Value::Bool(truth),
            Slot::Number(span) => Value::Number(Number::written(self.text(span))),
            Slot::Text(span) => Value::Text(self.text(span)),
            Slot::List { count, .. } => Value::List(List { count: count as usize, first }),
            Slot::Object { count, .. } => Value::Object(Object { count: count as usize, first }),
        }
    }

    /// Every object of the node, itself included, some of whose keys may be one but for their case. Usually there is
    /// none, and that is known without looking.
    pub(in crate::body) fn mixed_objects(self) -> impl Iterator<Item = Object<'a>> {
        let end = if self.document.is_mixed { self.next().at } else { self.at };
        let mixed = move |at| match self.document.slots.get(at) {
            Some(Slot::Object { case: Case::Mixed, .. }) => Node { at, ..self }.as_object(),
            Some(_) | None => None,
        };
        (self.at..end).filter_map(mixed)
    }

    /// The node whose slot follows this one's.
    fn next(self) -> Self {
        let at = match self.slot() {
            Slot::List { end, .. } | Slot::Object { end, .. } => end as usize,
            Slot::Null | Slot::Bool(_) | Slot::Number(_) | Slot::Text(_) => self.at + 1,
        };
        Self { at, ..self }
    }

    fn slot(self) -> Slot {
        match self.document.slots.get(self.at) {
            Some(slot) => *slot,
            None => unreachable!("the parser closes every list and object"),
        }
    }

    fn text(self, span: Span) -> &'a str {
        match self.document.text.get(span.from as usize..span.to as usize) {
            Some(text) => text,
            None => unreachable!("the parser cuts the text at its quotes"),
        }
    }
}

impl<'a> List<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Each item.
    pub fn iter(self) -> impl Iterator<Item = Node<'a>> {
        let mut next = self.first;
        (0..self.count).map(move |_| {
            let item = next;
            next = item.next();
            item
        })
    }
}

impl<'a> Object<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Each key with its value.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        let mut key = self.first;
        (0..self.count).map(move |_| {
            let (name, value) = (key, key.next());
            key = value.next();
            (name.as_text().unwrap_or_default(), value)
        })
    }

    /// The value of a member.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Node<'a>> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

// By what is in them, members in the order sent and numbers as written.
impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.node() == other.node()
    }
}

impl PartialEq for List<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl PartialEq for Object<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

impl fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node().fmt(f)
    }
}
