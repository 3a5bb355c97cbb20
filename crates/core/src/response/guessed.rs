//! Masks a body of an API that came with the media type of plain text.
//!
//! Knows: the first bytes of JSON. Must not know: HTTP, APIs.
//!
//! A client of the API may parse the text as JSON and resolve its escapes, so a text that begins like JSON is read to its end:
//! as a document if it is one, and also if it has an escape, because a lenient reader may accept it. Other text is plain.

use std::sync::Arc;

use super::format::Format;
use super::json::JsonBody;
use super::plan::Plan;
use super::ruling::{Body, End, Progress, Rule, Summary};
use super::text::TextBody;
use crate::body::json;
use crate::content::mask::StandIns;

/// A body that is JSON or text.
#[derive(Debug)]
pub struct GuessedBody {
    plan: Arc<Plan>,
    document: JsonBody,
    text: TextBody,
    /// Bytes that neither of them has.
    bytes: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Only white space arrived.
    Blank,
    /// It begins like JSON.
    Held,
    /// It is a text.
    Text,
    /// It is a document.
    Document,
    Ended(End),
}

impl GuessedBody {
    /// A body of which nothing was read.
    #[must_use]
    pub fn new(plan: Arc<Plan>, format: Box<dyn Format>, stand_ins: &dyn Fn() -> StandIns) -> Self {
        let document = JsonBody::new(Arc::clone(&plan), format, stand_ins());
        let text = TextBody::new(Arc::clone(&plan), stand_ins());
        Self { plan, document, text, bytes: Vec::new(), state: State::Blank }
    }

    /// The body that has the bytes.
    fn inner(&mut self) -> &mut dyn Body {
        match self.state {
            State::Document => &mut self.document,
            State::Blank | State::Held | State::Text | State::Ended(_) => &mut self.text,
        }
    }

    /// Decides by the first byte that is not white space. A byte order mark is skipped, as readers do.
    fn begin(&mut self) {
        let bytes = self.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.bytes);
        let is_partial_mark = b"\xef\xbb\xbf".starts_with(bytes);
        self.state = match bytes.trim_ascii_start().first() {
            None => State::Blank,
            Some(_) if is_partial_mark => State::Blank,
            Some(b'{' | b'[' | b'"') => State::Held,
            Some(_) => State::Text,
        };
    }

    /// Whether the complete bytes are read as a document.
    fn is_document(&self) -> bool {
        let limits = self.plan.limits.of_json(self.bytes.len());
        self.bytes.contains(&b'\\') || json::parse(&self.bytes, limits).is_ok()
    }
}

impl Body for GuessedBody {
    fn start(&mut self, _: &mut Rule<'_>, _: &mut Vec<u8>) -> Progress {
        match self.state {
            State::Ended(end) => Progress::Ended(end),
            State::Blank | State::Held | State::Text | State::Document => Progress::More,
        }
    }

    fn push(&mut self, bytes: &[u8], rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress {
        match self.state {
            State::Ended(end) => return Progress::Ended(end),
            State::Text | State::Document => return self.inner().push(bytes, rule, out),
            State::Blank | State::Held => {}
        }
        if self.bytes.len() + bytes.len() > self.plan.limits.document_bytes_max {
            return self.stop(End::TooLong, out);
        }
        self.bytes.extend_from_slice(bytes);
        if self.state == State::Blank {
            self.begin();
        }
        if self.state != State::Text {
            return Progress::More;
        }
        let bytes = std::mem::take(&mut self.bytes);
        self.text.push(&bytes, rule, out)
    }

    fn finish(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress {
        match self.state {
            State::Ended(end) => return Progress::Ended(end),
            State::Text | State::Document => return self.inner().finish(rule, out),
            State::Blank | State::Held => {}
        }
        let is_document = self.state == State::Held && self.is_document();
        self.state = if is_document { State::Document } else { State::Text };
        let bytes = std::mem::take(&mut self.bytes);
        match self.inner().push(&bytes, rule, out) {
            Progress::More => self.inner().finish(rule, out),
            ended @ Progress::Ended(_) => ended,
        }
    }

    fn stop(&mut self, end: End, out: &mut Vec<u8>) -> Progress {
        match self.state {
            State::Ended(end) => Progress::Ended(end),
            State::Text | State::Document => self.inner().stop(end, out),
            State::Blank | State::Held => {
                self.bytes = Vec::new();
                self.state = State::Ended(end);
                Progress::Ended(end)
            }
        }
    }

    fn rule_again(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress {
        match self.state {
            State::Ended(end) => Progress::Ended(end),
            // The ruling comes with the first text, or with the complete document.
            State::Blank | State::Held => Progress::More,
            State::Text | State::Document => self.inner().rule_again(rule, out),
        }
    }

    fn summary(&self) -> Summary {
        match self.state {
            State::Document => self.document.summary(),
            State::Blank | State::Held | State::Text | State::Ended(_) => self.text.summary(),
        }
    }

    fn held_bytes(&self) -> usize {
        self.bytes.len() + self.document.held_bytes() + self.text.held_bytes()
    }
}
