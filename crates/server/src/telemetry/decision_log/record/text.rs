//! Truncated texts, since callers choose many of them.
//!
//! Pure. Must not know: what a text is about.

use std::borrow::Cow;
use std::cell::RefCell;

use serde::{Serialize, Serializer};

use picket_core::call::UnixMillis;

/// Most bytes of `path_sent`, `detail` and of a value.
pub(super) const TEXT_BYTES_MAX: usize = 1024;
/// Most bytes of an entity's id.
pub(super) const ID_BYTES_MAX: usize = 2048;
/// Most bytes of host, listener, service, request id.
pub(super) const NAME_BYTES_MAX: usize = 256;
/// `2006-01-02T15:04:05`.
const SECOND_BYTES: usize = 19;
/// Most items of one list.
pub(super) const ITEMS_MAX: usize = 64;

/// A text and how many bytes of it are written.
#[derive(Debug, Clone, Copy)]
pub(in crate::telemetry::decision_log) struct Text<'a>(
    pub(in crate::telemetry::decision_log) &'a str,
    pub(in crate::telemetry::decision_log) usize,
);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&cut(self.0, self.1))
    }
}

/// A text that names something.
pub(super) fn name(text: &str) -> Text<'_> {
    Text(text, NAME_BYTES_MAX)
}

/// The first texts of a list.
pub(super) fn names<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<Text<'a>> {
    texts.into_iter().take(ITEMS_MAX).map(|text| name(text)).collect()
}

/// A path as sent, up to its query or fragment.
pub(super) fn without_query(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or_default()
}

/// The first bytes of a text, whole characters only; `…` says that something is missing.
pub(super) fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default()))
}

/// Appends an instant as RFC 3339 in UTC, to the millisecond.
pub(super) fn push_time(instant: UnixMillis, out: &mut Vec<u8>) {
    thread_local! {
        /// The last second that was written, and its text: most records are of the same second as the one before.
        static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    LAST.with_borrow_mut(|(second, text)| {
        if *second != instant.seconds() || text.len() != SECOND_BYTES {
            *text = time(instant);
            text.truncate(SECOND_BYTES);
            *second = instant.seconds();
        }
        out.extend_from_slice(text.as_bytes());
    });
    let millis = u8::try_from(instant.0.rem_euclid(10)).unwrap_or(0);
    let tens = u8::try_from(instant.0.div_euclid(10).rem_euclid(10)).unwrap_or(0);
    let hundreds = u8::try_from(instant.0.div_euclid(100).rem_euclid(10)).unwrap_or(0);
    out.extend_from_slice(&[b'.', b'0' + hundreds, b'0' + tens, b'0' + millis, b'Z']);
}

/// An instant as RFC 3339 in UTC, to the millisecond.
pub(super) fn time(instant: UnixMillis) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(instant.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{timestamp:.3}")
}
