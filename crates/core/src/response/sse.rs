//! Splits the bytes of an event stream into events, and an event into its lines.
//!
//! Knows: the framing of `text/event-stream` (WHATWG HTML, "Server-sent events"). Must not know: JSON, detectors.
//!
//! A line ends with CR LF, CR or LF, an event with an empty line. A CR is read only when the next byte is known, so that the
//! LF of a CR LF belongs to its event, regardless of how the bytes arrive. Each byte is read once.

use std::ops::Range;

use super::ruling::End;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// All its bytes, those of the empty line included.
    pub bytes: Vec<u8>,
    /// Its lines without their ends.
    pub lines: Vec<Range<usize>>,
}

/// The part of the stream that is not a complete event yet.
#[derive(Debug)]
pub(super) struct Splitter {
    event_bytes_max: usize,
    buffer: Vec<u8>,
    /// Events before this offset of the buffer were returned.
    from: usize,
    /// Bytes before this offset have been read.
    read: usize,
    line_from: usize,
    lines: Vec<Range<usize>>,
    is_first: bool,
}

impl Splitter {
    pub fn new(event_bytes_max: usize) -> Self {
        Self { event_bytes_max, buffer: Vec::new(), from: 0, read: 0, line_from: 0, lines: Vec::new(), is_first: true }
    }

    /// Adds bytes of the stream. [`Self::next`] then returns the events that are complete.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.from);
        self.read -= self.from;
        self.line_from -= self.from;
        self.from = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes of the event that is not complete.
    pub fn held_bytes(&self) -> usize {
        self.buffer.len() - self.from
    }

    /// The next complete event.
    ///
    /// # Errors
    /// [`End::TooLong`].
    pub fn next(&mut self) -> Result<Option<Event>, End> {
        while let Some(at) = self.line_end() {
            let mut behind = at + 1;
            if self.buffer.get(at) == Some(&b'\r') {
                match self.buffer.get(behind) {
                    None => {
                        self.read = at;
                        return self.incomplete();
                    }
                    Some(b'\n') => behind += 1,
                    Some(_) => {}
                }
            }
            self.read = behind;
            if behind - self.from > self.event_bytes_max {
                return Err(End::TooLong);
            }
            if self.line(at, behind) {
                return Ok(Some(self.take(behind)));
            }
        }
        self.read = self.buffer.len();
        self.incomplete()
    }

    /// What is left at the end of the stream: an event without its empty line.
    ///
    /// # Errors
    /// [`End::TooLong`].
    pub fn rest(&mut self) -> Result<Option<Event>, End> {
        let end = self.buffer.len();
        // A CR at the very end is the end of a line.
        let line_end =
            if self.buffer.get(self.from..).is_some_and(|rest| rest.last() == Some(&b'\r')) { end - 1 } else { end };
        if self.line_from < line_end {
            self.line(line_end, end);
        }
        self.incomplete()?;
        Ok((self.from < end).then(|| self.take(end)))
    }

    fn incomplete(&self) -> Result<Option<Event>, End> {
        if self.held_bytes() > self.event_bytes_max { Err(End::TooLong) } else { Ok(None) }
    }

    /// The first end of a line that was not read.
    fn line_end(&self) -> Option<usize> {
        let rest = self.buffer.get(self.read..)?;
        rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).map(|at| self.read + at)
    }

    /// Adds a line; whether it is the empty line that ends an event.
    fn line(&mut self, end: usize, behind: usize) -> bool {
        let mut from = std::mem::replace(&mut self.line_from, behind);
        if std::mem::replace(&mut self.is_first, false)
            && self.buffer.get(from..end).is_some_and(|line| line.starts_with(BYTE_ORDER_MARK))
        {
            from += BYTE_ORDER_MARK.len();
        }
        if from < end {
            self.lines.push(from - self.from..end - self.from);
        }
        from >= end
    }

    fn take(&mut self, end: usize) -> Event {
        let bytes = self.buffer.get(self.from..end).unwrap_or_default().to_vec();
        (self.from, self.line_from) = (end, end);
        Event { bytes, lines: std::mem::take(&mut self.lines) }
    }
}

/// A line's field and value, with the offset of the value in the line. The field of a comment is empty.
pub(super) fn field(line: &str) -> (&str, Range<usize>) {
    let Some(colon) = line.find(':') else { return (line, line.len()..line.len()) };
    let blank = usize::from(line.as_bytes().get(colon + 1) == Some(&b' '));
    (line.get(..colon).unwrap_or_default(), colon + 1 + blank..line.len())
}
