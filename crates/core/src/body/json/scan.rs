//! The JSON tokenizer.
//!
//! Knows: RFC 8259's grammar of blanks, texts, numbers and words. Must not know: how tokens nest.

use super::Refused;
use super::document::Span;

/// Most digits of a number's whole part: some readers have this limit, others do not.
const DIGITS_MAX: usize = 4300;

/// Where the reading is.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Texts that were spelled with escapes, one after the other.
    decoded: String,
}

/// A number's place.
pub(super) struct NumberToken<'a> {
    pub(super) span: Span,
    pub(super) text: &'a str,
    pub(super) has_exponent: bool,
}

impl<'a> Scanner<'a> {
    /// Begins with a text shorter than 2 GiB.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, decoded: String::new() }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What was read, then what was decoded: the text that spans are parts of.
    pub(super) fn into_text(self) -> String {
        let mut text = String::with_capacity(self.text.len() + self.decoded.len());
        text.push_str(self.text);
        text.push_str(&self.decoded);
        text
    }

    /// The text of a span.
    pub(super) fn part(&self, span: Span) -> &str {
        let (from, to) = (span.from as usize, span.to as usize);
        let part = match from.checked_sub(self.text.len()) {
            None => self.text.get(from..to),
            Some(from) => self.decoded.get(from..to - self.text.len()),
        };
        part.unwrap_or_default()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Skips blanks; the byte after them stays where it is.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Takes `byte` if it is what comes next after blanks.
    pub(super) fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes the comma before another element, or the bracket that closes; says whether it goes on.
    pub(super) fn goes_on(&mut self, closing: u8) -> Result<bool, Refused> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == closing => {
                self.at += 1;
                Ok(false)
            }
            Some(_) | None => Err(self.syntax("a comma or the closing bracket is missing")),
        }
    }

    /// Takes `word`, whose first byte comes next.
    pub(super) fn word(&mut self, word: &str) -> Result<(), Refused> {
        match self.text.as_bytes().get(self.at..) {
            Some(rest) if rest.starts_with(word.as_bytes()) => {
                self.at += word.len();
                Ok(())
            }
            Some(_) | None => Err(self.syntax("a value is missing or invalid")),
        }
    }

    /// Takes the number whose first byte comes next.
    pub(super) fn number(&mut self) -> Result<NumberToken<'a>, Refused> {
        let from = self.at;
        let mut at = from + usize::from(self.byte(from) == Some(b'-'));
        let whole = at;
        at = self.digits(at)?;
        // A zero stands alone.
        if at > whole + 1 && self.byte(whole) == Some(b'0') {
            return Err(Refused::syntax(whole, "a number has a leading zero"));
        }
        if at > whole + DIGITS_MAX {
            return Err(Refused::syntax(whole, "a number has more than 4300 digits"));
        }
        if self.byte(at) == Some(b'.') {
            at = self.digits(at + 1)?;
        }
        let has_exponent = matches!(self.byte(at), Some(b'e' | b'E'));
        if has_exponent {
            at += 1;
            at = self.digits(at + usize::from(matches!(self.byte(at), Some(b'+' | b'-'))))?;
        }
        self.at = at;
        Ok(NumberToken { span: span(from, at), text: self.text.get(from..at).unwrap_or_default(), has_exponent })
    }

    /// The end of one or more digits.
    fn digits(&self, from: usize) -> Result<usize, Refused> {
        let mut at = from;
        while self.byte(at).is_some_and(|byte| byte.is_ascii_digit()) {
            at += 1;
        }
        if at == from { Err(Refused::syntax(at, "a digit is missing")) } else { Ok(at) }
    }

    /// Takes the text whose quote comes next.
    pub(super) fn text(&mut self) -> Result<Span, Refused> {
        let from = self.at + 1;
        let end = self.plain(from);
        if self.byte(end) == Some(b'"') {
            self.at = end + 1;
            return Ok(span(from, end));
        }
        self.escaped(from, end)
    }

    /// Takes a text that is plain from `from` to `plain`, and then not.
    fn escaped(&mut self, mut from: usize, mut plain: usize) -> Result<Span, Refused> {
        let begin = self.text.len() + self.decoded.len();
        loop {
            self.decoded.push_str(self.text.get(from..plain).unwrap_or_default());
            self.at = plain;
            match self.byte(plain) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(span(begin, self.text.len() + self.decoded.len()));
                }
                Some(b'\\') => {
                    let character = self.escape()?;
                    self.decoded.push(character);
                }
                Some(_) => return Err(self.syntax("a text holds a control character")),
                None => return Err(self.syntax("a text is not closed")),
            }
            from = self.at;
            plain = self.plain(from);
        }
    }

    /// Takes the escape whose backslash comes next.
    fn escape(&mut self) -> Result<char, Refused> {
        let character = match self.byte(self.at + 1) {
            Some(quoted @ (b'"' | b'\\' | b'/')) => char::from(quoted),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            Some(_) | None => return Err(self.syntax("an escape is invalid")),
        };
        self.at += 2;
        Ok(character)
    }

    /// Takes `\uXXXX`, or two of them that are one character.
    fn unicode(&mut self) -> Result<char, Refused> {
        let first = self.unit()?;
        let units = match first {
            0xd800..=0xdbff => [first, self.unit()?],
            _ => [first, 0],
        };
        let units = units.get(..if units[1] == 0 { 1 } else { 2 }).unwrap_or_default();
        match char::decode_utf16(units.iter().copied()).next() {
            Some(Ok(character)) => Ok(character),
            Some(Err(_)) | None => Err(self.syntax("a text holds half of a surrogate pair")),
        }
    }

    /// Takes `\uXXXX`.
    fn unit(&mut self) -> Result<u16, Refused> {
        let digits = match self.text.as_bytes().get(self.at..self.at + 6) {
            Some([b'\\', b'u', digits @ ..]) => digits,
            Some(_) | None => return Err(self.syntax("an escape is invalid, or half of a surrogate pair")),
        };
        let mut unit = 0;
        for digit in digits {
            let Some(digit) = char::from(*digit).to_digit(16) else {
                return Err(self.syntax("an escape is invalid"));
            };
            unit = unit * 16 + digit;
        }
        self.at += 6;
        u16::try_from(unit).map_err(|_| self.syntax("an escape is invalid"))
    }

    /// The first byte from `from` on that is a quote, a backslash or a control; else the end.
    fn plain(&self, mut from: usize) -> usize {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x80 * ONES;
        // The lowest byte that is marked is one that is meant; what is marked above it may be a borrow.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let special = |word: u64| {
            let controls = word.wrapping_sub(0x20 * ONES) & !word;
            (controls | zero(word ^ (b'"' as u64 * ONES)) | zero(word ^ (b'\\' as u64 * ONES))) & HIGH
        };
        let bytes = self.text.as_bytes();
        while let Some(word) = bytes.get(from..).and_then(<[u8]>::first_chunk::<8>) {
            let found = special(u64::from_le_bytes(*word));
            if found != 0 {
                return from + (found.trailing_zeros() / 8) as usize;
            }
            from += 8;
        }
        while self.byte(from).is_some_and(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            from += 1;
        }
        from
    }

    fn syntax(&self, what: &'static str) -> Refused {
        Refused::syntax(self.at, what)
    }
}

/// A span; offsets fit, since a document is shorter than 2 GiB.
fn span(from: usize, to: usize) -> Span {
    let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
    Span { from: offset(from), to: offset(to) }
}
