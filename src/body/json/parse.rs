//! From bytes to a document.
//!
//! Knows: how to read a document, and its limits. Must not know: what the document means.
//!
//! The scanning is jiter's: it hands numbers over as written and checks everything else
//! (`docs/decisions/0008-json.md`). The limits, repeated keys and the refusal of a byte-order mark are ours.

use jiter::{Jiter, JiterError, Peek};

use super::{Json, Limits, Number, Refused, SmolStr};
use crate::body::shown;

/// Objects up to this size are searched for repeated keys pair by pair, larger ones by sorting.
const PAIRWISE_MAX: usize = 8;

/// Reads one document.
///
/// ```
/// use picket::body::json::{Limits, parse};
///
/// let json = parse(br#"{"amount": 12.50}"#, Limits::default()).unwrap();
/// let amount = json.pointer("/amount").and_then(|amount| amount.as_number()).unwrap();
/// assert_eq!(amount.canonical(), "12.5");
/// assert!(parse(br#"{"a": 1, "\u0061": 2}"#, Limits::default()).is_err());
/// ```
///
/// # Errors
/// [`Refused`] for everything that is not exactly one document within `limits`.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Json, Refused> {
    if bytes.len() > limits.bytes_max {
        return Err(Refused::TooLong { bytes: bytes.len(), max: limits.bytes_max });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Refused::ByteOrderMark);
    }
    if let Err(problem) = std::str::from_utf8(bytes) {
        return Err(Refused::NotUtf8(problem.valid_up_to()));
    }
    let mut reader = Reader { jiter: Jiter::new(bytes), limits, values: 0 };
    let first = reader.jiter.peek().map_err(syntax)?;
    let json = reader.value(first, 0)?;
    reader.jiter.finish().map_err(syntax)?;
    Ok(json)
}

fn syntax(error: JiterError) -> Refused {
    Refused::Syntax { at: error.index, what: error.error_type.to_string() }
}

struct Reader<'a> {
    jiter: Jiter<'a>,
    limits: Limits,
    /// Values so far.
    values: usize,
}

impl Reader<'_> {
    /// Reads the value that begins with `first`, inside `depth` lists and objects.
    fn value(&mut self, first: Peek, depth: usize) -> Result<Json, Refused> {
        self.values += 1;
        if self.values > self.limits.values_max {
            return Err(Refused::TooMany { max: self.limits.values_max, at: self.jiter.current_index() });
        }
        match first {
            Peek::String => self.jiter.known_str().map(|text| Json::Text(SmolStr::new(text))).map_err(syntax),
            Peek::Object => self.object(self.deeper(depth)?),
            Peek::Array => self.list(self.deeper(depth)?),
            Peek::True | Peek::False => self.jiter.known_bool(first).map(Json::Bool).map_err(syntax),
            Peek::Null => self.jiter.known_null().map(|()| Json::Null).map_err(syntax),
            _ => self.number(first),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize, Refused> {
        if depth >= self.limits.depth_max {
            return Err(Refused::TooDeep { max: self.limits.depth_max, at: self.jiter.current_index() });
        }
        Ok(depth + 1)
    }

    fn number(&mut self, first: Peek) -> Result<Json, Refused> {
        let at = self.jiter.current_index();
        let written = self.jiter.known_number_bytes(first).map_err(syntax)?;
        let written = std::str::from_utf8(written).map_err(|_| Refused::NotUtf8(at))?;
        Number::scanned(written).map(Json::Number).ok_or(Refused::Exponent(at))
    }

    fn list(&mut self, depth: usize) -> Result<Json, Refused> {
        let mut items = Vec::new();
        let mut next = self.jiter.known_array().map_err(syntax)?;
        while let Some(first) = next {
            items.push(self.value(first, depth)?);
            next = self.jiter.array_step().map_err(syntax)?;
        }
        Ok(Json::List(items))
    }

    fn object(&mut self, depth: usize) -> Result<Json, Refused> {
        let mut members: Vec<(SmolStr, Json)> = Vec::new();
        let mut next = self.jiter.known_object().map_err(syntax)?.map(SmolStr::new);
        while let Some(key) = next {
            let first = self.jiter.peek().map_err(syntax)?;
            members.push((key, self.value(first, depth)?));
            next = self.jiter.next_key().map_err(syntax)?.map(SmolStr::new);
        }
        match repeated(&members) {
            Some(key) => Err(Refused::RepeatedKey { key: shown(key), at: self.jiter.current_index() }),
            None => Ok(Json::Object(members)),
        }
    }
}

/// A key that occurs twice. Sorts instead of hashing: nobody can choose keys that make it slow.
fn repeated(members: &[(SmolStr, Json)]) -> Option<&str> {
    let keys = || members.iter().map(|(key, _)| key.as_str());
    if members.len() <= PAIRWISE_MAX {
        return keys()
            .enumerate()
            .find(|(at, key)| keys().take(*at).any(|earlier| earlier == *key))
            .map(|(_, key)| key);
    }
    let mut sorted: Vec<&str> = keys().collect();
    sorted.sort_unstable();
    sorted.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    })
}
