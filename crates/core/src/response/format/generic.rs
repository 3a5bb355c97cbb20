//! Event streams and documents of an API that is not known.
//!
//! Knows: nothing of an API. Must not know: detectors, frames.
//!
//! Every string of an event may continue in the next event of the same name, at the same JSON path.

use smol_str::SmolStr;

use super::{Data, Format, Message, Reading};
use crate::response::ruling::End;

/// The format of any event stream and any JSON document.
#[derive(Debug, Clone, Copy, Default)]
pub struct Generic;

impl Format for Generic {
    fn data(&self) -> Data {
        Data::Either
    }

    fn is_sentinel(&self, data: &str) -> bool {
        data == "[DONE]"
    }

    fn event(&mut self, message: Message<'_>) -> Reading {
        Reading::deltas(SmolStr::new(message.event))
    }

    fn left(&mut self, _: Message<'_>) {}

    fn document(&mut self, message: Message<'_>) -> Reading {
        let mut reading = Reading::complete();
        // Strings that are data URLs hold text or media.
        reading.complete_below(Some(message.json));
        reading
    }

    fn ending(&mut self, end: End) -> Vec<u8> {
        format!("event: error\ndata: {{\"error\":{{\"type\":\"{}\"}}}}\n\n", end.as_str()).into_bytes()
    }

    fn refusal(&mut self, end: End) -> Vec<u8> {
        format!("{{\"error\":{{\"type\":\"{}\"}}}}", end.as_str()).into_bytes()
    }
}
