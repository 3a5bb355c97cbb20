//! Walks a document and scans every text in it.

use super::encoded::{self, Decoded};
use super::{Inspection, Late, Sealed, Unread};
use crate::body::json::{self, Limits, Node, Object, Value};
use crate::content::detector_set::Presence;
use crate::content::json_path::Step;

/// Encodings inside encodings that are followed: base64 of JSON with base64 in it.
pub(super) const DEPTH_MAX: usize = 8;
/// Decoded text that is scanned in one message at least.
pub(super) const DECODED_BYTES_MIN: usize = 64 * 1024;
/// Decoded text that is scanned for each byte of the message. More is only there if encodings overlap.
pub(super) const DECODED_FOR_EACH: usize = 8;
/// Text that is scanned between two looks at the clock, times the number of detectors.
pub(super) const BYTES_BETWEEN_CHECKS: usize = 64 * 1024;
/// Names of members that give the media type of the member next to them.
const TYPE_NAMES: [&str; 6] = ["mimeType", "mime_type", "mediaType", "media_type", "contentType", "content_type"];
/// Names of members that hold a file's bytes.
const DATA_NAMES: [&str; 6] = ["data", "blob", "bytes", "raw", "file_data", "fileData"];
/// Members of [`Sealed::OfModels`]; `data` in an item of the type `redacted_thinking` is another.
const SEALED_NAMES: [&str; 5] =
    ["signature", "encrypted_content", "encrypted_index", "thought_signature", "thoughtSignature"];

/// What is known of a member by its name and the members next to it.
enum Role<'m> {
    /// Only the receiver can read it.
    Sealed,
    /// It holds the bytes of a file of this media type.
    File(&'m str),
    Other,
}

/// The walk over one message.
pub(super) struct Walk<'a> {
    /// Detectors that found nothing yet.
    waiting: Vec<&'a Presence<'a>>,
    selects_fields: bool,
    sealed: Sealed,
    is_late: &'a dyn Fn() -> bool,
    result: Inspection,
    location: Vec<Step>,
    /// How many encodings are around the text at hand.
    depth: usize,
    /// Bytes that were scanned outside encodings.
    sent: usize,
    /// Bytes that were scanned inside them.
    decoded: usize,
    since_check: usize,
}

impl<'a> Walk<'a> {
    pub fn new(presences: &'a [Presence<'a>], sealed: Sealed, is_late: &'a dyn Fn() -> bool) -> Self {
        let selects_fields = presences.iter().any(|one| matches!(one, Presence::Field(_)));
        let waiting = presences.iter().collect();
        let (result, location) = (Inspection::default(), Vec::new());
        let (depth, sent, decoded, since_check) = (0, 0, 0, 0);
        Self { waiting, selects_fields, sealed, is_late, result, location, depth, sent, decoded, since_check }
    }

    pub fn finish(self) -> Inspection {
        self.result
    }

    /// Scans a value and everything below it.
    pub fn document(&mut self, node: Node<'_>) -> Result<(), Late> {
        self.select();
        match node.value() {
            Value::Null | Value::Bool(_) => Ok(()),
            Value::Number(number) => self.plain(number.as_str()),
            Value::Text(text) => self.text(text),
            Value::List(items) => {
                items.iter().enumerate().try_for_each(|(at, item)| self.below(|| Step::Index(at), Role::Other, item))
            }
            Value::Object(object) => self.object(object),
        }
    }

    /// Looks for a detector that selects the place at hand. Places are those of the message, not of a document inside one
    /// of its strings.
    fn select(&mut self) {
        if self.selects_fields && self.depth == 0 {
            let location = std::mem::take(&mut self.location);
            self.keep_waiting(|one| one.finds_at(&location));
            self.location = location;
        }
    }

    /// Scans a string, and what it holds in other forms.
    pub fn text(&mut self, text: &str) -> Result<(), Late> {
        if let Some(bytes) = self.encoded(text)?
            && bytes >= encoded::UNKNOWN_BYTES_MIN
        {
            self.unread(Unread::Bytes);
        }
        Ok(())
    }

    /// The same. Returns the length of a string that is base64 of something other than text.
    fn encoded(&mut self, text: &str) -> Result<Option<usize>, Late> {
        self.plain(text)?;
        if !encoded::may_hold_more(text) {
            return Ok(None);
        }
        self.depth += 1;
        let result = self.forms(text);
        self.depth -= 1;
        result
    }

    fn forms(&mut self, text: &str) -> Result<Option<usize>, Late> {
        if self.depth > DEPTH_MAX || self.decoded > DECODED_BYTES_MIN + DECODED_FOR_EACH * self.sent {
            if encoded::holds_more(text) {
                self.unread(Unread::Nested);
            }
            return Ok(None);
        }
        for url in encoded::data_urls(text) {
            match url.decoded {
                Decoded::Text(inner) => self.text(&inner)?,
                Decoded::Bytes { readable, unread } => {
                    self.plain(&readable)?;
                    self.unread(unread);
                }
            }
        }
        if encoded::may_be_json(text)
            && let Ok(document) = json::parse(text.as_bytes(), Limits::default())
        {
            return self.document(document.node()).map(|()| None);
        }
        if let Some(inner) = encoded::unescaped(text) {
            return self.text(&inner.text).map(|()| None);
        }
        match encoded::base64(text) {
            None => Ok(None),
            Some(Decoded::Text(inner)) => self.text(&inner).map(|()| None),
            Some(Decoded::Bytes { readable, .. }) => self.plain(&readable).map(|()| Some(text.len())),
        }
    }

    fn object(&mut self, object: Object<'_>) -> Result<(), Late> {
        let labelled = object.iter().find(|(name, _)| TYPE_NAMES.contains(name)).and_then(|(_, value)| value.as_text());
        let is_redacted = is_redacted(object);
        for (name, value) in object.iter() {
            self.text(name)?;
            let role = match labelled {
                _ if is_sealed(self.sealed, name, is_redacted) => Role::Sealed,
                Some(media_type) if DATA_NAMES.contains(&name) => Role::File(media_type),
                Some(_) | None => Role::Other,
            };
            self.below(|| Step::Name(name.to_owned()), role, value)?;
        }
        Ok(())
    }

    /// Scans the bytes of a file with a media type.
    fn labelled(&mut self, text: &str, media_type: &str) -> Result<(), Late> {
        let unreadable = self.encoded(text)?;
        match encoded::Kind::of(media_type) {
            _ if text.is_empty() => {}
            encoded::Kind::Media => self.unread(Unread::Media),
            // A short word may be base64 by chance; a file of text in another encoding is longer.
            encoded::Kind::Text if unreadable.is_some_and(|bytes| bytes >= encoded::FILE_BYTES_MIN) => {
                self.unread(Unread::Text);
            }
            encoded::Kind::Unknown if unreadable.is_some() => self.unread(Unread::Bytes),
            encoded::Kind::Text | encoded::Kind::Unknown => {}
        }
        Ok(())
    }

    fn below(&mut self, step: impl FnOnce() -> Step, role: Role<'_>, value: Node<'_>) -> Result<(), Late> {
        let is_tracked = self.selects_fields && self.depth == 0;
        if is_tracked {
            self.location.push(step());
        }
        let result = match (value.as_text(), role) {
            (Some(text), Role::Sealed) => {
                self.select();
                self.encoded(text).map(drop)
            }
            (Some(text), Role::File(media_type)) => {
                self.select();
                self.labelled(text, media_type)
            }
            (_, Role::Sealed | Role::File(_) | Role::Other) => self.document(value),
        };
        if is_tracked {
            self.location.pop();
        }
        result
    }

    /// Scans text as it is.
    fn plain(&mut self, text: &str) -> Result<(), Late> {
        match self.depth {
            0 => self.sent += text.len(),
            _ => self.decoded += text.len(),
        }
        self.since_check += text.len() * self.waiting.len();
        if self.since_check >= BYTES_BETWEEN_CHECKS {
            self.since_check = 0;
            if (self.is_late)() {
                return Err(Late);
            }
        }
        self.keep_waiting(|one| one.finds_in(text));
        Ok(())
    }

    fn keep_waiting(&mut self, finds: impl Fn(&Presence<'_>) -> bool) {
        let found = &mut self.result.found;
        self.waiting.retain(|one| {
            let is_found = finds(one);
            if is_found {
                found.insert(one.name().into());
            }
            !is_found
        });
    }

    fn unread(&mut self, part: Unread) {
        self.result.unread.get_or_insert(part);
    }
}

/// Whether an item holds thoughts that only a model's provider can read.
pub(super) fn is_redacted(object: Object<'_>) -> bool {
    object.get("type").and_then(Node::as_text) == Some("redacted_thinking")
}

/// Whether only the receiver can read the member with this name, of an item that [is redacted](is_redacted) or is not.
pub(super) fn is_sealed(sealed: Sealed, name: &str, is_redacted: bool) -> bool {
    match sealed {
        Sealed::None => false,
        Sealed::OfModels => SEALED_NAMES.contains(&name) || (is_redacted && name == "data"),
    }
}
