//! The question to the PDP: principal, action, resource and context as plain facts.
//!
//! Must not know: HTTP, Cedar. A noun: built by `mapping`, completed by `entity`, read by `decision`.

pub mod action;
mod ancestors;
mod content;
pub mod family;
mod memberships;
pub mod quick;
pub mod template;

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

pub use ancestors::Ancestors;
pub use content::{ContentPlan, ContentUse};
pub use family::Family;
pub use memberships::Memberships;

/// Values by name: attributes, tags, the context and the records in it.
///
/// Names and texts are kept in place up to 23 bytes, so that most take no memory of their own. It is a sorted list, since
/// nearly all records are small and each is made and dropped with its call; so what a call has many of is collected
/// into one, never inserted name by name.
pub type Record = litemap::LiteMap<SmolStr, Value>;

/// A record with names from the program text.
#[must_use]
pub fn record<const N: usize>(fields: [(&'static str, Value); N]) -> Record {
    fields.into_iter().map(|(name, value)| (SmolStr::new_static(name), value)).collect()
}

/// Name of an entity: its type and its id, as in `Path::"shop/orders/v1"`.
///
/// Names are compared and sorted by their ids first: among many, such as a caller's groups, the types are alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid {
    /// Entity id, `shop/orders/v1`.
    pub id: SmolStr,
    /// Entity type, `Path`.
    pub kind: SmolStr,
}

impl Uid {
    /// Names an entity of a type that is known by name.
    #[must_use]
    pub fn new(kind: &'static str, id: impl Into<SmolStr>) -> Self {
        Self { kind: SmolStr::new_static(kind), id: id.into() }
    }
}

/// Heap bytes of a text: none up to 23 bytes or for a static text; otherwise the text and its reference counts.
#[must_use]
pub fn bytes_elsewhere(text: &SmolStr) -> usize {
    if text.is_heap_allocated() { text.len() + 16 } else { 0 }
}

impl std::fmt::Display for Uid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::\"{}\"", self.kind, self.id.escape_debug())
    }
}

/// An attribute's or tag's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Text.
    String(SmolStr),
    /// A 64-bit integer.
    Long(i64),
    /// True or false.
    Bool(bool),
    /// A set; order has no meaning.
    Set(BTreeSet<Value>),
    /// A record.
    Record(Record),
    /// A reference to an entity.
    Entity(Uid),
    /// A `datetime`, in milliseconds since the Unix epoch.
    Time(i64),
    /// A `duration` as Cedar writes it (`1h30m`).
    Duration(SmolStr),
    /// An `ipaddr` as Cedar writes it (`10.0.0.1`, `10.0.0.0/8`).
    Ip(SmolStr),
    /// A `decimal` as Cedar writes it (`1.5`).
    Decimal(SmolStr),
}

impl Value {
    /// A set of texts.
    pub fn texts<T: Into<SmolStr>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::Set(items.into_iter().map(|item| Self::String(item.into())).collect())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<SmolStr> for Value {
    fn from(text: SmolStr) -> Self {
        Self::String(text)
    }
}

/// An entity with everything known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub uid: Uid,
    /// Its attributes.
    pub attributes: Record,
    /// Its tags.
    pub tags: Record,
    /// Every ancestor, listed flat: policies' `in` sees exactly these.
    pub ancestors: Ancestors,
}

impl Node {
    /// An entity about which nothing is known but its name.
    #[must_use]
    pub fn new(uid: Uid) -> Self {
        Self { uid, attributes: Record::new(), tags: Record::new(), ancestors: Ancestors::default() }
    }

    /// Gives an attribute that is known by name.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.insert(SmolStr::new_static(name), value.into());
    }
}

/// One question to the PDP.
#[derive(Debug, Clone)]
pub struct Query {
    /// The caller: a `Workload` or `Unauthenticated`.
    pub principal: Node,
    /// The action: the id of an `Action`, such as `GET`; see [`action::bare`] for its name elsewhere.
    pub action: SmolStr,
    /// The resource, always inside a `Service`.
    pub resource: Node,
    /// Facts of the call, shaped as the schema says for this action.
    pub context: Record,
    /// Entities the context names (bags).
    pub bags: Vec<Node>,
    /// The called service's namespace: its policies evaluate this call, together with the mesh's.
    pub namespace: SmolStr,
}

/// The keys of a dynamic map (headers, query) that the policies of a call can read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keys {
    /// Any: some policy computes the key it reads.
    All,
    /// Just these.
    Some(BTreeSet<String>),
}

impl Default for Keys {
    fn default() -> Self {
        Self::Some(BTreeSet::new())
    }
}

impl Keys {
    /// Whether `key` may be read.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(keys) => keys.contains(key),
        }
    }

    /// Adds what `other` can read.
    pub fn merge(&mut self, other: &Keys) {
        match (&mut *self, other) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Some(mine), Self::Some(theirs)) => mine.extend(theirs.iter().cloned()),
        }
    }
}

/// Begins the key of a member that is read anywhere in the body: `**/ticket_id`. No JSON pointer begins so.
pub const ANYWHERE: &str = "**/";

/// The inputs that the policies of a call can read. Computed from the policies' syntax at load; an expression that
/// the analysis does not understand counts as reading everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Header names, lower case.
    pub headers: Keys,
    /// Header names with values that are compared as a whole (`==`, `contains`), lower case.
    pub headers_compared: Keys,
    /// Query keys.
    pub query: Keys,
    /// For a query key the others, which some server takes for it, that everybody who reads it reads too.
    pub query_together: BTreeMap<String, BTreeSet<String>>,
    /// `principal.facts` may be read.
    pub principal_facts: bool,
    /// `resource.facts` may be read.
    pub resource_facts: bool,
    /// `context.env.facts`: which of its attributes may be read.
    pub call_facts: Keys,
    /// Values of the body, by JSON pointer: arguments of a tool, a prompt or a JSON body.
    pub args: Keys,
    /// Names that are read anywhere in the body: the key [`ANYWHERE`] with the name behind it.
    pub names: BTreeSet<String>,
    /// Fields of a gRPC message, by JSON pointer.
    pub fields: Keys,
    /// A gRPC message may be read: its fields, or whether they are there.
    pub message: bool,
    /// Some arguments or fields are read as numbers.
    pub numbers: bool,
    /// Values of the body may be read.
    pub body: bool,
    /// How long the body is may be read.
    pub size: bool,
    /// `context.approval` may be read.
    pub approval: bool,
    /// `context.env.sourceIp` may be read.
    pub source_ip: bool,
    /// What of the message's content may be read. Reading any of it counts as reading the body.
    pub content: ContentPlan,
}

impl Reads {
    /// Adds what `other` reads.
    pub fn merge(&mut self, other: &Reads) {
        // Before `query`: it compares the keys of both.
        self.merge_together(other);
        // A field that is missing here does not compile.
        let Self {
            headers,
            headers_compared,
            query,
            query_together: _,
            principal_facts,
            resource_facts,
            call_facts,
            args,
            names,
            fields,
            message,
            numbers,
            body,
            size,
            approval,
            source_ip,
            content,
        } = other;
        self.headers.merge(headers);
        self.headers_compared.merge(headers_compared);
        self.query.merge(query);
        self.call_facts.merge(call_facts);
        self.principal_facts |= principal_facts;
        self.resource_facts |= resource_facts;
        self.args.merge(args);
        self.names.extend(names.iter().cloned());
        self.fields.merge(fields);
        self.message |= message;
        self.numbers |= numbers;
        self.body |= body;
        self.size |= size;
        self.approval |= approval;
        self.source_ip |= source_ip;
        self.content.merge(content);
    }

    /// Leaves out what no call of a family has: the schema gives its actions no such part of the context.
    pub fn cut_to(&mut self, family: Family) {
        if !family.has_arguments() {
            self.args = Keys::default();
        }
        if !family.has_fields() {
            self.fields = Keys::default();
            self.message = false;
        }
        if !family.has_arguments() && !family.has_fields() {
            self.names.clear();
            self.numbers = false;
            self.body = false;
        }
        if !family.has_content() {
            self.content = ContentPlan::default();
        }
    }

    /// Whether anything of a body may be read: its values, its fields or its length.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        self.body || self.message || self.size
    }
}

impl Reads {
    /// Keeps of each query key the others that both read with it. Comes before the keys themselves are merged.
    fn merge_together(&mut self, other: &Reads) {
        for (name, alike) in &mut self.query_together {
            if other.query.contains(name) {
                let theirs = other.query_together.get(name);
                alike.retain(|with| theirs.is_some_and(|theirs| theirs.contains(with)));
            }
        }
        for (name, alike) in &other.query_together {
            if !self.query.contains(name) {
                self.query_together.insert(name.clone(), alike.clone());
            }
        }
    }
}

/// The facts that sources add to one entity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// Attributes, by name.
    pub attributes: Record,
    /// Tags, by key.
    pub tags: Record,
    /// Ancestors, listed flat.
    pub ancestors: Ancestors,
}

impl Additions {
    /// Whether nothing is added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { attributes, tags, ancestors } = self;
        attributes.is_empty() && tags.is_empty() && ancestors.is_empty()
    }
}

/// The facts that sources add to a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// About the principal.
    pub principal: Additions,
    /// About the resource.
    pub resource: Additions,
    /// Attributes of `context.env.facts`.
    pub call: Record,
}

impl Facts {
    /// Whether nothing is added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { principal, resource, call } = self;
        principal.is_empty() && resource.is_empty() && call.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_texts_of_more_than_23_bytes_that_a_call_brings_take_memory_of_their_own() {
        const LONG: &str = "an id of more than twenty-three bytes";
        for (text, bytes) in [
            (SmolStr::from("x".repeat(23)), 0),
            (SmolStr::from("x".repeat(24)), 24 + 16),
            (SmolStr::from(LONG), LONG.len() + 16),
            (SmolStr::new_static(LONG), 0),
            (Uid::new(LONG, "").kind, 0),
        ] {
            assert_eq!(bytes_elsewhere(&text), bytes, "{text}");
        }
        assert!(record([(LONG, Value::Bool(true))]).keys().all(|name| bytes_elsewhere(name) == 0));
    }
}
