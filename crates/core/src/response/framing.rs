//! The interface between the queue of a stream and what its frames are: events, or messages of gRPC.
//!
//! Knows: frames. Must not know: rulings, the queue.

use std::fmt;

use super::channel::Channels;
use super::event::{Extent, Read};
use super::plan::Plan;
use super::ruling::End;

/// Splits a stream into frames, and reads them.
pub(super) trait Framing: fmt::Debug + Send {
    /// A frame as it arrived.
    type Unit;

    /// Adds bytes of the stream. [`Self::next`] then returns the frames that are complete.
    fn push(&mut self, bytes: &[u8]);

    /// The next complete frame.
    ///
    /// # Errors
    /// [`End::TooLong`].
    fn next(&mut self) -> Result<Option<Self::Unit>, End>;

    /// The bytes behind the last complete frame, at the end of the stream.
    ///
    /// # Errors
    /// [`End::TooLong`].
    fn rest(&mut self) -> Result<Option<Self::Unit>, End>;

    /// Bytes of the frame that is not complete.
    fn held_bytes(&self) -> usize;

    /// Reads a frame and scans its texts. `None` for a last one that is incomplete.
    ///
    /// # Errors
    /// Why the stream ends.
    fn read(
        &mut self,
        plan: &Plan,
        channels: &mut Channels,
        unit: Self::Unit,
        extent: Extent,
    ) -> Result<Option<Read>, End>;

    /// Notes that a frame has left.
    fn left(&mut self, read: &Read);

    /// The bytes behind a stream that ended normally.
    fn closing(&mut self) -> Vec<u8>;

    /// The bytes that end a stream early.
    fn ending(&mut self, end: End) -> Vec<u8>;
}
