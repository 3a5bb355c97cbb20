//! The syntax of paths.

use super::{BYTES_MAX, JsonPath, Reach, Segment, Selector};

/// Why a path is rejected, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path is invalid at byte {at}: {reason}")]
pub struct PathError {
    /// Byte offset in the path.
    pub at: usize,
    /// The reason.
    pub reason: &'static str,
}

pub(super) fn path(text: &str) -> Result<JsonPath, PathError> {
    if text.len() > BYTES_MAX {
        return Err(PathError { at: BYTES_MAX, reason: "it is longer than 1024 bytes" });
    }
    let mut reader = Reader { text, at: 0 };
    reader.expect('$', "it does not begin with `$`")?;
    let mut segments = Vec::new();
    while reader.at < text.len() {
        segments.push(reader.segment()?);
    }
    if segments.is_empty() {
        return Err(reader.error("it selects the whole document"));
    }
    Ok(JsonPath { segments })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn error(&self, reason: &'static str) -> PathError {
        PathError { at: self.at, reason }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.at += if is_there { wanted.len_utf8() } else { 0 };
        is_there
    }

    fn expect(&mut self, wanted: char, reason: &'static str) -> Result<(), PathError> {
        if self.take(wanted) { Ok(()) } else { Err(self.error(reason)) }
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|next| matches!(next, ' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn segment(&mut self) -> Result<Segment, PathError> {
        if self.take('[') {
            return Ok(Segment { reach: Reach::Child, selectors: self.bracketed()? });
        }
        self.expect('.', "a segment begins with `.`, `..` or `[`")?;
        let reach = if self.take('.') { Reach::Descendant } else { Reach::Child };
        if reach == Reach::Descendant && self.take('[') {
            return Ok(Segment { reach, selectors: self.bracketed()? });
        }
        let selector = if self.take('*') { Selector::Wildcard } else { Selector::Name(self.shorthand()?) };
        Ok(Segment { reach, selectors: vec![selector] })
    }

    /// A name without quotes.
    fn shorthand(&mut self) -> Result<String, PathError> {
        let begins = |next: char| next.is_ascii_alphabetic() || next == '_' || !next.is_ascii();
        if !self.peek().is_some_and(begins) {
            return Err(self.error("a name is missing; quote it if it has other characters: `['a-b']`"));
        }
        let mut name = String::new();
        while let Some(next) = self.peek().filter(|next| begins(*next) || next.is_ascii_digit()) {
            name.push(next);
            self.at += next.len_utf8();
        }
        Ok(name)
    }

    fn bracketed(&mut self) -> Result<Vec<Selector>, PathError> {
        let mut selectors = Vec::new();
        loop {
            self.blanks();
            selectors.push(self.selector()?);
            self.blanks();
            if self.take(']') {
                return Ok(selectors);
            }
            self.expect(',', "`,` or `]` is missing")?;
        }
    }

    fn selector(&mut self) -> Result<Selector, PathError> {
        match self.peek() {
            Some('*') => {
                self.at += 1;
                Ok(Selector::Wildcard)
            }
            Some(quote @ ('"' | '\'')) => {
                self.at += 1;
                Ok(Selector::Name(self.quoted(quote)?))
            }
            Some('?') => Err(self.error("a filter needs values that a stream has not read; name the members")),
            Some('0'..='9' | '-' | ':') => self.index_or_slice(),
            Some(_) | None => Err(self.error("a name in quotes, an index, a slice or `*` is missing")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, PathError> {
        let mut name = String::new();
        loop {
            match self.next() {
                None => return Err(self.error("the quote is not closed")),
                Some(next) if next == quote => return Ok(name),
                Some('\\') => name.push(self.escaped(quote)?),
                Some(next) if next < ' ' => return Err(self.error("a control character must be escaped")),
                Some(next) => name.push(next),
            }
        }
    }

    fn escaped(&mut self, quote: char) -> Result<char, PathError> {
        match self.next() {
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some(same @ ('/' | '\\')) => Ok(same),
            Some(same) if same == quote => Ok(same),
            Some('u') => self.unicode(),
            Some(_) | None => Err(self.error("the escape is unknown")),
        }
    }

    fn unicode(&mut self) -> Result<char, PathError> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or(self.error("half of a surrogate pair is missing"));
        }
        let is_pair = self.take('\\') && self.take('u');
        let second = if is_pair { self.hex()? } else { 0 };
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.error("half of a surrogate pair is missing"));
        }
        let both = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        char::from_u32(both).ok_or(self.error("half of a surrogate pair is missing"))
    }

    fn hex(&mut self) -> Result<u32, PathError> {
        let mut number = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|next| next.to_digit(16));
            number = number * 16 + digit.ok_or(self.error("an escape has four hexadecimal digits"))?;
        }
        Ok(number)
    }

    fn index_or_slice(&mut self) -> Result<Selector, PathError> {
        let first = self.number()?;
        self.blanks();
        if !self.take(':') {
            return first.map(Selector::Index).ok_or(self.error("an index is missing"));
        }
        self.blanks();
        let end = self.number()?;
        self.blanks();
        let step = if self.take(':') {
            self.blanks();
            self.number()?
        } else {
            None
        };
        match step {
            Some(0) => Err(self.error("a slice with step 0 selects nothing")),
            step => Ok(Selector::Slice { start: first.unwrap_or(0), end, step: step.unwrap_or(1) }),
        }
    }

    /// A number without leading zeros, if there is one.
    fn number(&mut self) -> Result<Option<usize>, PathError> {
        if self.peek() == Some('-') {
            return Err(self.error("a place counted from the end needs the whole array; count from the beginning"));
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let text = rest.get(..digits).unwrap_or_default();
        if text.len() > 1 && text.starts_with('0') {
            return Err(self.error("a number has no leading zero"));
        }
        let number = if text.is_empty() { None } else { text.parse::<u32>().ok().map(|found| found as usize) };
        if number.is_none() && !text.is_empty() {
            return Err(self.error("the number is too large"));
        }
        self.at += digits;
        Ok(number)
    }
}
