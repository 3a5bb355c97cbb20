//! Masks the messages of a gRPC response.
//!
//! Knows: frames of messages, descriptors. Must not know: policies, HTTP.
//!
//! Every text of a message is a channel that continues in the next message, named by its path: a method may stream a text in
//! pieces. Other fields stay as they are. A masked text changes the lengths of all messages around it.
//!
//! A message could not be read if it is compressed, has a field that its descriptor does not have, or does not parse; so are all
//! messages of a method without a descriptor. Detectors of fields need JSON: with one, no message counts as read.

mod lengths;
mod message;

use std::sync::Arc;

use prost_reflect::MessageDescriptor;

use super::channel::Channels;
use super::event::{Extent, Read};
use super::events::FrameStream;
use super::frame::{Frame, Gap};
use super::framing::Framing;
use super::plan::Plan;
use super::ruling::End;
use crate::body::grpc::HEAD_BYTES;
use crate::catalog::grpc::Method;
use crate::content::mask::StandIns;
pub(super) use lengths::Lengths;

/// A response of messages.
pub type GrpcStream = FrameStream<Messages>;

/// The messages of a method.
#[derive(Debug)]
pub struct Messages {
    output: MessageDescriptor,
    bytes_max: usize,
    buffer: Vec<u8>,
    /// Messages before this offset of the buffer were returned.
    from: usize,
}

impl GrpcStream {
    /// A response of this method of which nothing was read.
    #[must_use]
    pub fn new(plan: Arc<Plan>, method: &Method, stand_ins: StandIns) -> Self {
        let bytes_max = plan.limits.event_bytes_max;
        let messages = Messages { output: method.output.clone(), bytes_max, buffer: Vec::new(), from: 0 };
        Self::of(plan, messages, stand_ins)
    }
}

impl Messages {
    /// Where the first message ends that was not returned; `None` as long as its length is not known.
    fn end(&self) -> Option<usize> {
        let (_flag, rest) = self.buffer.get(self.from..)?.split_first()?;
        let length = u32::from_be_bytes(*rest.first_chunk()?);
        Some(self.from.saturating_add(HEAD_BYTES).saturating_add(usize::try_from(length).unwrap_or(usize::MAX)))
    }
}

impl Framing for Messages {
    type Unit = Vec<u8>;

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.from);
        self.from = 0;
        self.buffer.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, End> {
        let Some(end) = self.end() else { return Ok(None) };
        if end - self.from > self.bytes_max {
            return Err(End::TooLong);
        }
        let Some(message) = self.buffer.get(self.from..end) else { return Ok(None) };
        self.from = end;
        Ok(Some(message.to_vec()))
    }

    fn rest(&mut self) -> Result<Option<Vec<u8>>, End> {
        let rest = self.buffer.split_off(self.from);
        self.from = self.buffer.len();
        Ok((!rest.is_empty()).then_some(rest))
    }

    fn held_bytes(&self) -> usize {
        self.buffer.len() - self.from
    }

    fn read(
        &mut self,
        plan: &Plan,
        channels: &mut Channels,
        bytes: Vec<u8>,
        extent: Extent,
    ) -> Result<Option<Read>, End> {
        if extent == Extent::Last {
            return Ok(None);
        }
        let mut frame = Frame { bytes, ..Frame::default() };
        let is_read = plan.fields.is_empty() && message::read(plan, channels, &self.output, &mut frame)?;
        if !is_read {
            frame.gaps.push((0, Gap::Unread));
        }
        Ok(Some(Read { frame, reading: None, is_unread: !is_read }))
    }

    fn left(&mut self, _: &Read) {}

    /// The trailers end the response.
    fn closing(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Without its trailers a response is an error for every client.
    fn ending(&mut self, _: End) -> Vec<u8> {
        Vec::new()
    }
}
