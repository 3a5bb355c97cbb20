//! JSON, read exactly: one document, one reading, or none.
//!
//! Knows: RFC 8259 with every freedom taken away. Must not know: protocols.

/// A JSON value with nothing lost.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as exact as it was written.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object: members in the order sent; no key occurs twice.
    Object(Vec<(String, Json)>),
}

/// A number as it was written, a valid JSON number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(String);
