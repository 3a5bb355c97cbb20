//! Masks as they are written.

use serde_saphyr::Spanned;

use super::Check;
use crate::content::detectors::FieldMask;
use crate::content::file::{MaskForm, MaskMapping, Text};
use crate::content::mask::{FIXED_BYTES_MAX, KEEP_LAST_MAX, Mask, is_plain};

const OF_TEXT: &str = "a mask of text is one of: {fixed: TEXT}, {keep_last: N}, {pseudonym: KIND}";
const OF_FIELDS: &str = "a mask of fields is one of: drop, null, {fixed: TEXT}";

impl Check<'_> {
    /// The mask of a detector of text; `None` after a problem.
    pub(super) fn text_mask(&mut self, name: &Text, mask: Option<&Spanned<MaskForm>>) -> Option<Mask> {
        let Some(written) = mask else { return Some(Mask::named(&name.value)) };
        let MaskForm::Mapping(mapping) = &written.value else {
            return self.wrong_mask(name, written, OF_TEXT);
        };
        match mapping {
            MaskMapping { fixed: Some(text), keep_last: None, pseudonym: None, restore: None } => {
                self.fixed(name, written, text).map(Mask::Fixed)
            }
            MaskMapping { fixed: None, keep_last: Some(count), pseudonym: None, restore: None } => {
                if !(1..=KEEP_LAST_MAX).contains(count) {
                    let message = format!("detector `{}`: `keep_last` is {count}", name.value);
                    self.error(message, Some(written), format!("write 1 to {KEEP_LAST_MAX}"));
                    return None;
                }
                Some(Mask::KeepLast(*count))
            }
            MaskMapping { restore: Some(true), pseudonym: Some(_), .. } => {
                let message = format!("detector `{}`: no value is restored yet", name.value);
                self.error(message, Some(written), "write the pseudonym without `restore`".to_owned());
                None
            }
            MaskMapping { fixed: None, keep_last: None, pseudonym: Some(kind), restore } => {
                let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
                if kind.is_empty() || kind.len() > 32 || !kind.bytes().all(is_part) {
                    let message = format!("detector `{}`: pseudonym `{kind}` is not a word", name.value);
                    self.error(message, Some(written), "write up to 32 of a-z and 0-9".to_owned());
                    return None;
                }
                Some(Mask::Pseudonym { kind: kind.clone(), restore: restore.unwrap_or_default() })
            }
            MaskMapping { restore: Some(_), pseudonym: None, .. } => {
                let message = format!("detector `{}`: `restore` without `pseudonym`", name.value);
                self.error(message, Some(written), "only a stand-in leads back to its value".to_owned());
                None
            }
            MaskMapping { .. } => self.wrong_mask(name, written, OF_TEXT),
        }
    }

    /// The mask of a detector of fields; `None` after a problem.
    pub(super) fn field_mask(&mut self, name: &Text, mask: Option<&Spanned<MaskForm>>) -> Option<FieldMask> {
        let Some(written) = mask else { return Some(FieldMask::Drop) };
        match &written.value {
            MaskForm::Null => Some(FieldMask::Null),
            MaskForm::Word(word) if word == "drop" => Some(FieldMask::Drop),
            MaskForm::Mapping(MaskMapping { fixed: Some(text), keep_last: None, pseudonym: None, restore: None }) => {
                self.fixed(name, written, text).map(FieldMask::Fixed)
            }
            MaskForm::Word(_) | MaskForm::Mapping(_) => self.wrong_mask(name, written, OF_FIELDS),
        }
    }

    fn fixed(&mut self, name: &Text, written: &Spanned<MaskForm>, text: &str) -> Option<String> {
        if text.len() > FIXED_BYTES_MAX || !is_plain(text) {
            let message = format!("detector `{}`: the fixed mask does not fit into every text", name.value);
            let help = format!("write at most {FIXED_BYTES_MAX} bytes without `\"`, `\\` and control characters");
            self.error(message, Some(written), help);
            return None;
        }
        Some(text.to_owned())
    }

    fn wrong_mask<T>(&mut self, name: &Text, written: &Spanned<MaskForm>, help: &str) -> Option<T> {
        self.error(format!("detector `{}`: the mask does not fit", name.value), Some(written), help.to_owned());
        None
    }
}
