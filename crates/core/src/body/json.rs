//! Strict JSON: a document has exactly one reading, or it is rejected.
//!
//! Knows: RFC 8259 with every freedom taken away. Must not know: protocols.
//!
//! Two servers that read the same bytes must see the same document, or what was judged is not what is done. So a key
//! that occurs twice, a surrogate without its other half, a byte-order mark and everything beyond the limits are
//! refused, and a number stays what was written until somebody asks for a value that holds it exactly.

pub(super) mod builder;
mod canonical;
mod document;
pub(super) mod key_fingerprints;
mod number;
mod parse;
mod scan;
mod spans;
mod tree;

use crate::failure::{Code, Failure};

pub use document::{Json, List, Node, Object, Value};
pub use number::Number;
pub use parse::parse;
pub use spans::spans;
pub use tree::TooManyNodes;

/// How much of a document is read before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest document in bytes.
    pub bytes_max: usize,
    /// Deepest nesting of lists and objects; a scalar alone has depth 0.
    pub depth_max: usize,
    /// Most values of any kind; the members of an object and of a list count one each.
    pub values_max: usize,
}

impl Default for Limits {
    /// 1 MiB, 64 levels, 65 536 values: what a long conversation with a model needs, and a few milliseconds at worst.
    fn default() -> Self {
        Self { bytes_max: 1 << 20, depth_max: 64, values_max: 1 << 16 }
    }
}

/// Why bytes are not one exact document; offsets count bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More than [`Limits::bytes_max`].
    #[error("the document has {bytes} bytes, at most {max} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A byte-order mark.
    #[error("the document begins with a byte-order mark; it must begin with its value")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("the document is not UTF-8 at byte {0}")]
    NotUtf8(usize),
    /// More than [`Limits::depth_max`].
    #[error("the document nests deeper than {max} levels at byte {at}")]
    TooDeep {
        /// The limit.
        max: usize,
        /// Where.
        at: usize,
    },
    /// More than [`Limits::values_max`].
    #[error("the document has more than {max} values at byte {at}")]
    TooMany {
        /// The limit.
        max: usize,
        /// Where.
        at: usize,
    },
    /// A key occurs twice in one object, after its escapes are resolved.
    #[error("the key `{key}` occurs twice in the object that ends before byte {at}")]
    RepeatedKey {
        /// The key, escaped and cut.
        key: String,
        /// Where the object ends.
        at: usize,
    },
    /// An exponent of more than 18 digits: no two readers agree what it is.
    #[error("the number before byte {0} has an exponent beyond 18 digits")]
    Exponent(usize),
    /// Not JSON.
    #[error("the document is not JSON at byte {at}: {what}")]
    Syntax {
        /// Where.
        at: usize,
        /// The fault.
        what: &'static str,
    },
}

impl Refused {
    fn syntax(at: usize, what: &'static str) -> Self {
        Self::Syntax { at, what }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::new(Code::BodyRefused, refused.to_string())
    }
}

#[cfg(test)]
mod tests;
