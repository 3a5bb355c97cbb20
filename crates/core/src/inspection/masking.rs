//! Masks values in the body of a request, at every place where an inspection finds them.
//!
//! Knows: JSON documents, detectors, masks, the encodings of text inside text. Must not know: policies, who is calling,
//! which mask was decided.
//!
//! Each detector is searched for alone, as in an inspection, and values that overlap are masked together. Only strings that
//! hold a value are written again. A value that cannot be replaced where it is ends the attempt: nothing is masked in part.

mod document;
mod edit;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use smol_str::SmolStr;

use super::encoded::{self, DataUrl, Decoded};
use super::walk::{BYTES_BETWEEN_CHECKS, DECODED_BYTES_MIN, DECODED_FOR_EACH, DEPTH_MAX};
use super::{Late, Sealed};
use crate::body::json::{self, Json, Limits};
use crate::content::detector_set::{DetectorSet, Presence};
use crate::content::detectors::FieldDetector;
use crate::content::mask::{Mask, StandIns, Tail};
use document::Document;
use edit::{Edit, apply, merged};

/// Where the messages of a body are, and what they may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The body is the message.
    Json,
    /// The body is a request to a model.
    Model,
    /// The body is a message of JSON-RPC, or a list of them; paths of fields begin in `params`.
    Rpc,
}

impl Shape {
    /// Members with text that only the receiver can read.
    #[must_use]
    pub fn sealed(self) -> Sealed {
        match self {
            Self::Model => Sealed::OfModels,
            Self::Json | Self::Rpc => Sealed::None,
        }
    }
}

/// Why a body cannot be masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotMaskable {
    /// The body is not one JSON document.
    #[error("the body is not a JSON document")]
    Body,
    /// A value is in the name of a member.
    #[error("a value is in the name of a member, which cannot be masked")]
    Name,
    /// A value is in a number.
    #[error("a value is in a number, which cannot be masked")]
    Number,
    /// A value is in a part that only the receiver can read.
    #[error("a value is in a signed or encrypted part, which cannot be masked")]
    Sealed,
    /// A value is among bytes that are not text.
    #[error("a value is among bytes that are not text, which cannot be masked")]
    Bytes,
    /// Encodings inside encodings, deeper than is read.
    #[error("a part has more encodings inside encodings than are read")]
    Nested,
    /// The mask of a selected field does not fit its value.
    #[error("the mask of a field does not fit its value")]
    Field,
    /// No detector has the name.
    #[error("a detector to mask is not in the active `detectors.yaml`")]
    Unknown,
    /// There are too many values that are replaced by stand-ins.
    #[error("the request has too many values that are replaced by stand-ins")]
    StandIns,
    /// A detector cannot be compiled, or its scan stopped.
    #[error("a detector cannot be run")]
    Detector,
    /// The deadline passed.
    #[error("the request was not masked by the deadline")]
    Late,
}

impl From<Late> for NotMaskable {
    fn from(_: Late) -> Self {
        Self::Late
    }
}

/// Masks the values of the detectors `names` in a body. `is_late` is called once in some 64 KiB of scanned text.
///
/// The result depends on the arguments alone, so the same body has the same result wherever it is masked.
///
/// # Errors
/// [`NotMaskable`].
pub fn mask(
    body: &[u8],
    shape: Shape,
    (set, names): (&DetectorSet, &BTreeSet<SmolStr>),
    stand_ins: &mut StandIns,
    is_late: &dyn Fn() -> bool,
) -> Result<Vec<u8>, NotMaskable> {
    let text = std::str::from_utf8(body).map_err(|_| NotMaskable::Body)?;
    let json = json::parse(body, Limits::default()).map_err(|_| NotMaskable::Body)?;
    if !names.iter().all(|name| set.detectors().has(name)) {
        return Err(NotMaskable::Unknown);
    }
    let presences = set.presences(|name| names.contains(name)).map_err(|_| NotMaskable::Detector)?;
    let masks = set.detectors().text().iter().filter(|one| names.contains(one.name.as_str()));
    let texts = presences.iter().filter(|one| matches!(one, Presence::Text(..)));
    let masking = Masking {
        texts: texts.zip(masks.map(|detector| &detector.mask)).collect(),
        fields: set.detectors().fields().iter().filter(|one| names.contains(one.name.as_str())).collect(),
        sealed: shape.sealed(),
        stand_ins,
        is_late,
        depth: 0,
        sent: 0,
        decoded: 0,
        since_check: 0,
    };
    let edits = Document::new(text, masking).body(&json, shape)?;
    Ok(apply(text, &edits).into_bytes())
}

/// The masking of one body.
struct Masking<'a> {
    texts: Vec<(&'a Presence<'a>, &'a Mask)>,
    fields: Vec<&'a FieldDetector>,
    sealed: Sealed,
    stand_ins: &'a mut StandIns,
    is_late: &'a dyn Fn() -> bool,
    /// As in [`super::walk::Walk`].
    depth: usize,
    sent: usize,
    decoded: usize,
    since_check: usize,
}

type Edits = Result<Vec<Edit>, NotMaskable>;

impl Masking<'_> {
    /// What to change in a string, and in what it holds in other forms.
    fn text(&mut self, text: &str) -> Edits {
        let plain = self.plain(text)?;
        if !encoded::may_hold_more(text) {
            return Ok(plain);
        }
        self.depth += 1;
        let forms = self.forms(text);
        self.depth -= 1;
        Ok(merged(forms?, plain))
    }

    /// What to change in a text as it is.
    fn plain(&mut self, text: &str) -> Edits {
        match self.depth {
            0 => self.sent += text.len(),
            _ => self.decoded += text.len(),
        }
        self.since_check += text.len() * self.texts.len();
        if self.since_check >= BYTES_BETWEEN_CHECKS {
            self.since_check = 0;
            if (self.is_late)() {
                return Err(NotMaskable::Late);
            }
        }
        let mut edits = Vec::new();
        for (presence, mask) in &self.texts {
            for at in presence.values_in(text).map_err(|_| NotMaskable::Detector)? {
                let value = text.get(at.clone()).unwrap_or_default();
                let with = match mask {
                    Mask::Fixed(fixed) => fixed.clone(),
                    Mask::KeepLast(count) => Tail::of(value).mask(*count),
                    Mask::Pseudonym { kind, .. } => {
                        self.stand_ins.of(kind, value).map_err(|_| NotMaskable::StandIns)?
                    }
                };
                edits.push(Edit { at, with });
            }
        }
        Ok(merged(edits, Vec::new()))
    }

    fn forms(&mut self, text: &str) -> Edits {
        if self.depth > DEPTH_MAX || self.decoded > DECODED_BYTES_MIN + DECODED_FOR_EACH * self.sent {
            return if encoded::holds_more(text) { Err(NotMaskable::Nested) } else { Ok(Vec::new()) };
        }
        let mut edits = Vec::new();
        for DataUrl { decoded, data, is_base64 } in encoded::data_urls(text) {
            let encode = |masked: &str| match is_base64 {
                true => STANDARD.encode(masked),
                false => utf8_percent_encode(masked, NON_ALPHANUMERIC).to_string(),
            };
            edits.extend(self.decoded(&decoded)?.map(|masked| Edit { at: data, with: encode(&masked) }));
        }
        if encoded::may_be_json(text)
            && let Ok(json) = json::parse(text.as_bytes(), Limits::default())
        {
            return Ok(merged(self.nested(text, &json)?, edits));
        }
        if let Some(inner) = encoded::unescaped(text) {
            let escaped = |Edit { at, with }: &Edit| Edit { at: inner.source(at), with: escaped(with) };
            let of_inner = self.text(&inner.text)?;
            return Ok(merged(of_inner.iter().map(escaped).collect(), edits));
        }
        let Some(decoded) = encoded::base64(text) else { return Ok(edits) };
        let whole = self.decoded(&decoded)?.map(|masked| Edit { at: 0..text.len(), with: as_base64(&masked, text) });
        Ok(merged(whole.into_iter().collect(), edits))
    }

    /// The masked text of a decoded part; `None` if it holds no value.
    fn decoded(&mut self, part: &Decoded) -> Result<Option<String>, NotMaskable> {
        match part {
            Decoded::Text(inner) => {
                let edits = self.text(inner)?;
                Ok((!edits.is_empty()).then(|| apply(inner, &edits)))
            }
            Decoded::Bytes { readable, .. } => match self.plain(readable)?.is_empty() {
                true => Ok(None),
                false => Err(NotMaskable::Bytes),
            },
        }
    }

    /// What to change in a document inside a string.
    fn nested(&mut self, text: &str, json: &Json) -> Edits {
        let reborrowed = Masking {
            texts: self.texts.clone(),
            // Places of fields are those of the message, not of a document inside one of its strings.
            fields: Vec::new(),
            stand_ins: self.stand_ins,
            ..*self
        };
        let mut document = Document::new(text, reborrowed);
        let edits = document.inside(json);
        let Masking { sent, decoded, since_check, .. } = document.masking;
        (self.sent, self.decoded, self.since_check) = (sent, decoded, since_check);
        edits
    }
}

/// A text for a place between the escapes of a string.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n").replace('\r', r"\r").replace('\t', r"\t")
}

/// A text in base64 of the alphabet and padding of `sent`.
fn as_base64(text: &str, sent: &str) -> String {
    match (sent.contains(['-', '_']), sent.trim_end().ends_with('=')) {
        (true, true) => URL_SAFE.encode(text),
        (true, false) => URL_SAFE_NO_PAD.encode(text),
        (false, true) => STANDARD.encode(text),
        (false, false) if sent.trim().len().is_multiple_of(4) => STANDARD.encode(text),
        (false, false) => STANDARD_NO_PAD.encode(text),
    }
}
