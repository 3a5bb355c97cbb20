//! Headers as the proxy sent them: lower-case names, byte values, duplicates kept.

use std::borrow::Cow;

/// Picket's own prefix, folded.
const RESERVED: &str = "x-picket-";

/// All headers of a call, in the order received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// All names, one after the other; and so the values.
    names: String,
    values: Vec<u8>,
    /// Where each name and each value ends.
    ends: Vec<(usize, usize)>,
    joined: bool,
}

/// Why a header cannot be read as one text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// It occurs more than once.
    #[error("header `{0}` occurs more than once")]
    Repeated(String),
    /// Its value is not UTF-8.
    #[error("header `{0}` is not UTF-8")]
    NotText(String),
}

impl Headers {
    /// Headers with every occurrence kept (`encode_raw_headers: true`). Names must be lower case.
    #[must_use]
    pub fn raw<N: AsRef<str>, V: AsRef<[u8]>>(entries: impl IntoIterator<Item = (N, V)>) -> Self {
        let entries = entries.into_iter();
        let mut headers = Self { ends: Vec::with_capacity(entries.size_hint().0), ..Self::default() };
        // Room for what a browser's call has.
        headers.names.reserve(256);
        headers.values.reserve(1024);
        for (name, value) in entries {
            headers.names.push_str(name.as_ref());
            headers.values.extend_from_slice(value.as_ref());
            headers.ends.push((headers.names.len(), headers.values.len()));
        }
        headers
    }

    /// Headers with duplicates that the proxy joined with `,`: two headers and one with a comma are the same text.
    #[must_use]
    pub fn joined<N: AsRef<str>, V: AsRef<[u8]>>(entries: impl IntoIterator<Item = (N, V)>) -> Self {
        Self { joined: true, ..Self::raw(entries) }
    }

    /// The same without spare capacity, for a cache: its weigher does not count spare capacity.
    #[must_use]
    pub fn without_room(mut self) -> Self {
        self.names.shrink_to_fit();
        self.values.shrink_to_fit();
        self
    }

    /// Whether duplicates were joined by the proxy.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.joined
    }

    /// Every name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut from = (0, 0);
        self.ends.iter().map(move |to| {
            let (names, values) = (from.0..to.0, from.1..to.1);
            from = *to;
            (self.names.get(names).unwrap_or_default(), self.values.get(values).unwrap_or_default())
        })
    }

    /// Whether the header occurs at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Every value of `name` (lower case).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let mut from = (0, 0);
        self.ends.iter().filter_map(move |to| {
            let (names, values) = (from.0..to.0, from.1..to.1);
            from = *to;
            // Every name is asked about for a dozen others, and nearly all have another length.
            let is_named = names.len() == name.len() && self.names.get(names) == Some(name);
            is_named.then(|| self.values.get(values).unwrap_or_default())
        })
    }

    /// The value of a header that may occur at most once, as text.
    ///
    /// # Errors
    /// [`HeaderProblem`] where it occurs twice or is not UTF-8. In joined mode a second occurrence
    /// shows as a comma in the value; callers for whom that matters must look for it.
    pub fn single<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, HeaderProblem> {
        let mut values = self.all(name);
        let Some(first) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(HeaderProblem::Repeated(name.to_owned()));
        }
        std::str::from_utf8(first).map(Some).map_err(|_| HeaderProblem::NotText(name.to_owned()))
    }
}

/// Folds a name for comparison: servers that turn headers into variables do not distinguish `_` from `-`, and some
/// of them no other mark either (`x.team`, `x~team`).
#[must_use]
pub fn folded(name: &str) -> String {
    fold(name).into_owned()
}

/// As [`folded`], without a copy where the name is folded already.
#[must_use]
pub fn fold(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| fold_byte(byte) == byte) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().map(|c| u8::try_from(c).map_or('-', |byte| char::from(fold_byte(byte)))).collect())
}

/// As [`fold`], a byte at a time.
#[must_use]
pub fn fold_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// Whether a name begins with Picket's own prefix.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    // Asked about every header of every call, so nothing is folded in memory of its own.
    let is_same = |(byte, reserved): (&u8, &u8)| fold_byte(*byte) == *reserved;
    let (name, reserved) = (name.as_bytes(), RESERVED.as_bytes());
    name.len() >= reserved.len() && name.iter().zip(reserved).all(is_same)
}

/// Whether a header carries a credential: it never enters the context or a log.
#[must_use]
pub fn is_credential(name: &str) -> bool {
    let name = fold(name);
    matches!(
        name.as_ref(),
        "authorization" | "proxy-authorization" | "cookie" | "set-cookie" | "x-forwarded-client-cert" | "txn-token"
    ) || is_reserved(&name)
}

/// Whether a header says what Envoy found or did (`x-envoy-external-address`). Callers can write it as well, and Envoy
/// does not always replace what they wrote.
#[must_use]
pub fn is_proxys(name: &str) -> bool {
    fold(name).starts_with("x-envoy-")
}

/// Whether policies, look-ups and approvals may read a header.
#[must_use]
pub fn is_readable(name: &str) -> bool {
    !is_credential(name) && !is_proxys(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_are_kept_have_no_room_left() {
        let headers = Headers::raw([("a", "b"), ("c", "de")]);
        let kept = Headers::raw([("a", "b"), ("c", "de")]).without_room();
        assert_eq!(kept, headers);
        assert_eq!((kept.names.capacity(), kept.values.capacity()), (2, 3));
        let taken = Headers::raw([("a", "b")]);
        assert!(taken.names.capacity() > 2, "there is room to be given back");
    }
}
