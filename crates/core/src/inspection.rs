//! Inspects a message: which detectors find something in it, and whether all of it was read. Masks what they find.
//!
//! Knows: JSON documents, detectors, masks, the encodings of text inside text. Must not know: protocols, policies, who is calling.
//!
//! Every name of a member, every string and every number is scanned as a whole, its escapes resolved. A string may hold
//! more text in another form: a JSON document, base64, a `data:` URL. That text is scanned too. A part that holds no
//! text, or none that can be decoded, makes the inspection incomplete; it is never counted as a part without findings.

mod encoded;
pub mod masking;
mod walk;

use std::collections::BTreeSet;

use smol_str::SmolStr;

use crate::body::json::Json;
use crate::content::detector_set::Presence;
use walk::Walk;

/// The message of one call.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The call provably has no body.
    Empty,
    /// A document, and texts of the message outside it, such as its id.
    Json {
        /// The root for paths of fields.
        document: Json,
        /// Scanned as strings of the document are.
        also: Option<String>,
        /// Members with text that only the receiver can read.
        sealed: Sealed,
    },
    /// A body in a form that is not read.
    Opaque,
}

/// Members that hold text which the receiver made and only it can read: not readable is not suspicious there. The text
/// as sent is scanned like any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// None.
    None,
    /// Signatures of thoughts and encrypted items, which a model's provider verifies.
    OfModels,
}

/// The result of an inspection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Names of the detectors that found something.
    pub found: BTreeSet<SmolStr>,
    /// The first part that was not read; `None` if all was.
    pub unread: Option<Unread>,
}

/// The kind of a part that was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// The body is not JSON.
    Body,
    /// An image, audio, or a file that is not a text.
    Media,
    /// Bytes in base64 that are not a text, of an unknown type.
    Bytes,
    /// Text in a character encoding other than UTF-8, or that does not decode.
    Text,
    /// Encodings inside encodings, deeper than is read.
    Nested,
}

impl Unread {
    /// For the detail of a denial and the decision log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Body => "a body that is not JSON",
            Self::Media => "an image, audio or a file that is not a text",
            Self::Bytes => "base64 of unknown bytes",
            Self::Text => "a file of text that does not decode",
            Self::Nested => "encodings inside encodings",
        }
    }
}

/// The deadline passed before the message was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late;

/// Inspects a message for these detectors. `is_late` is called once in some 64 KiB of scanned text.
///
/// # Errors
/// [`Late`].
pub fn inspect(message: &Message, presences: &[Presence<'_>], is_late: &dyn Fn() -> bool) -> Result<Inspection, Late> {
    match message {
        Message::Empty => Ok(Inspection::default()),
        Message::Opaque => Ok(Inspection { unread: Some(Unread::Body), ..Inspection::default() }),
        Message::Json { document, also, sealed } => {
            let mut walk = Walk::new(presences, *sealed, is_late);
            walk.document(document.node())?;
            also.iter().try_for_each(|text| walk.text(text))?;
            Ok(walk.finish())
        }
    }
}

#[cfg(test)]
mod tests;
