//! Parses bytes into a document.
//!
//! Knows: how to read a document, and its limits. Must not know: what the document means.
//!
//! One pass fills one list of slots (`docs/decisions/0008-json.md`); what is refused is refused where it stands.

use super::document::{Case, Document, Slot, Span, close, open};
use super::key_fingerprints::{self, Alike};
use super::scan::Scanner;
use super::{Json, Limits, Number, Refused};
use crate::body::shown;

/// Longest document that offsets of 32 bits can speak of, decoded texts included.
pub(super) const BYTES_MAX: usize = 1 << 30;

/// Reads one document.
///
/// ```
/// use picket_core::body::json::{Limits, parse};
///
/// let json = parse(br#"{"amount": 12.50}"#, Limits::default()).unwrap();
/// let amount = json.node().pointer("/amount").and_then(|amount| amount.as_number()).unwrap();
/// assert_eq!(amount.canonical(), "12.5");
/// assert!(parse(br#"{"a": 1, "\u0061": 2}"#, Limits::default()).is_err());
/// ```
///
/// # Errors
/// [`Refused`] for everything that is not exactly one document within `limits`.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Json, Refused> {
    let max = limits.bytes_max.min(BYTES_MAX);
    if bytes.len() > max {
        return Err(Refused::TooLong { bytes: bytes.len(), max });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Refused::ByteOrderMark);
    }
    let text = std::str::from_utf8(bytes).map_err(|problem| Refused::NotUtf8(problem.valid_up_to()))?;
    // A value of a usual document takes some eight bytes or more.
    let slots = Vec::with_capacity(bytes.len() / 8 + 1);
    let keys = Vec::new();
    let mut reader = Parser { scanner: Scanner::new(text), limits, values: 0, slots, keys, is_mixed: false };
    reader.value(0)?;
    match reader.scanner.peek() {
        None => {
            let Parser { scanner, slots, is_mixed, .. } = reader;
            Ok(Json::new(Document { is_mixed, text: scanner.into_text(), slots }))
        }
        Some(_) => Err(Refused::syntax(reader.scanner.at(), "the document has data after its value")),
    }
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    limits: Limits,
    /// Values so far.
    values: usize,
    slots: Vec<Slot>,
    /// The keys of every object that is open, with their prints.
    keys: Vec<(u64, Span)>,
    /// Whether an object's keys are not plain.
    is_mixed: bool,
}

impl Parser<'_> {
    /// Reads the value that comes next, inside `depth` lists and objects.
    fn value(&mut self, depth: usize) -> Result<(), Refused> {
        let first = self.scanner.peek();
        self.values += 1;
        if self.values > self.limits.values_max {
            return Err(Refused::TooMany { max: self.limits.values_max, at: self.scanner.at() });
        }
        let slot = match first {
            Some(b'"') => Slot::Text(self.scanner.text()?),
            Some(b'{') => return self.object(self.deeper(depth)?),
            Some(b'[') => return self.list(self.deeper(depth)?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Slot::Bool(true))?,
            Some(b'f') => self.word("false", Slot::Bool(false))?,
            Some(_) | None => self.word("null", Slot::Null)?,
        };
        self.slots.push(slot);
        Ok(())
    }

    fn word(&mut self, word: &str, slot: Slot) -> Result<Slot, Refused> {
        self.scanner.word(word).map(|()| slot)
    }

    fn deeper(&self, depth: usize) -> Result<usize, Refused> {
        if depth >= self.limits.depth_max {
            return Err(Refused::TooDeep { max: self.limits.depth_max, at: self.scanner.at() });
        }
        Ok(depth + 1)
    }

    fn number(&mut self) -> Result<Slot, Refused> {
        let at = self.scanner.at();
        let number = self.scanner.number()?;
        if number.has_exponent && !Number::written(number.text).is_bounded() {
            return Err(Refused::Exponent(at));
        }
        Ok(Slot::Number(number.span))
    }

    fn list(&mut self, depth: usize) -> Result<(), Refused> {
        let at = self.opened(b'[');
        let mut count = 0;
        let mut goes_on = !self.scanner.takes(b']');
        while goes_on {
            self.value(depth)?;
            count += 1;
            goes_on = self.scanner.goes_on(b']')?;
        }
        close(&mut self.slots, at, |end| Slot::List { count, end });
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), Refused> {
        let at = self.opened(b'{');
        let outer = self.keys.len();
        let mut count = 0;
        let mut case = Case::Plain;
        let mut goes_on = !self.scanner.takes(b'}');
        while goes_on {
            if !self.key()?.is_ascii() {
                case = Case::Mixed;
            }
            self.value(depth)?;
            count += 1;
            goes_on = self.scanner.goes_on(b'}')?;
        }
        let scanner = &self.scanner;
        let own = self.keys.get_mut(outer..).unwrap_or_default();
        match key_fingerprints::alike(own, |span| scanner.part(span)) {
            Alike::No => {}
            Alike::ByCase => case = Case::Mixed,
            Alike::Repeated(key) => {
                return Err(Refused::RepeatedKey { key: shown(scanner.part(key)), at: scanner.at() });
            }
        }
        self.keys.truncate(outer);
        self.is_mixed |= case == Case::Mixed;
        close(&mut self.slots, at, |end| Slot::Object { count, end, case });
        Ok(())
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Result<&str, Refused> {
        if self.scanner.peek() != Some(b'"') {
            return Err(Refused::syntax(self.scanner.at(), "a key is missing or not quoted"));
        }
        let key = self.scanner.text()?;
        self.keys.push((key_fingerprints::caseless_print(self.scanner.part(key)), key));
        self.slots.push(Slot::Text(key));
        if self.scanner.takes(b':') {
            return Ok(self.scanner.part(key));
        }
        Err(Refused::syntax(self.scanner.at(), "the colon after a key is missing"))
    }

    /// Takes an opening bracket; gives the place of the slot that is to be closed.
    fn opened(&mut self, bracket: u8) -> usize {
        self.scanner.takes(bracket);
        open(&mut self.slots)
    }
}
