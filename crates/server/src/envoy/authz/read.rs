//! Reads one check from its first byte to its last.
//!
//! Knows: how gRPC frames a message. Must not know: what is in a check.
//!
//! Whatever comes instead of one whole message is a [`Failure`], and so an answer that denies: a gRPC error would leave the
//! decision to the filter's `failure_mode_allow`.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Context;

use prost::bytes::{Buf as _, Bytes};
use tokio::time::Instant;
use tonic::codegen::{Body, StdError};

use crate::incomplete::GivenUp;
use picket_core::failure::{Code, Failure};

/// A flag and a length stand before a message ("Length-Prefixed-Message" of gRPC over HTTP/2).
const PREFIX_BYTES: usize = 5;
/// Room for the first and for later pieces of a message that comes in several frames.
const PIECE_BYTES_MIN: usize = 512;
const PIECE_BYTES_MAX: usize = 16 * 1024;
/// The longest message that is joined and decoded on a thread that others' calls wait for, in bytes: as long as what a
/// connection's turn reads. To copy that much takes some 10 us.
const QUICK_BYTES_MAX: usize = 64 * 1024;

/// A message that came whole.
pub(super) enum Message {
    /// One that is decoded where it came.
    Small(Bytes),
    /// One that is decoded where nobody else waits.
    Large(Large),
}

/// A long message, as far as it costs nothing to have it.
pub(super) struct Large {
    /// Joins its pieces, which takes the longer the more they are.
    pub join: Box<dyn FnOnce() -> Bytes + Send>,
    /// Keeps its bytes counted as unfinished until it is dropped.
    pub counted: Box<dyn Send>,
}

impl Message {
    /// A message in one piece that is counted nowhere.
    pub fn of(message: Bytes) -> Self {
        if message.len() <= QUICK_BYTES_MAX {
            Self::Small(message)
        } else {
            Self::Large(Large { join: Box::new(|| message), counted: Box::new(()) })
        }
    }
}

/// The only message of `body`, which has at most `bytes_max` bytes and is whole by `deadline`.
///
/// # Errors
/// [`Code::Deadline`], [`Code::Overload`] where too much is held that is not whole, [`Code::TooLarge`], or
/// [`Code::MalformedRequest`].
pub(super) async fn message<B>(body: B, bytes_max: usize, deadline: Instant) -> Result<Message, Failure>
where
    B: Body<Error: Into<StdError>> + Send + Unpin + 'static,
{
    let late = |_elapsed| Failure::new(Code::Deadline, "the check did not arrive completely by its deadline");
    tokio::time::timeout_at(deadline, whole(body, bytes_max)).await.map_err(late)?
}

async fn whole<B>(mut body: B, bytes_max: usize) -> Result<Message, Failure>
where
    B: Body<Error: Into<StdError>> + Send + Unpin + 'static,
{
    let mut came = Came::default();
    let mut next = |cx: &mut Context<'_>, came: &mut Came| {
        let polled = Pin::new(&mut body).poll_frame(cx);
        if polled.is_pending() {
            came.release_buffer();
        }
        polled
    };
    while let Some(frame) = poll_fn(|cx| next(cx, &mut came)).await {
        let frame = frame.map_err(|error| broken(&*error.into()))?;
        // What is no data are trailers, which say nothing about a check.
        if let Ok(mut data) = frame.into_data() {
            came.add(data.copy_to_bytes(data.remaining()));
            came.end(bytes_max)?;
        }
    }
    let end = came.end(bytes_max)?.ok_or_else(|| malformed("has no message"))?;
    if came.bytes < end {
        return Err(malformed("ends within its message"));
    }
    if end <= QUICK_BYTES_MAX {
        return Ok(Message::Small(came.message()));
    }
    Ok(Message::Large(Large { join: Box::new(|| came.message()), counted: Box::new(body) }))
}

/// What came so far. Most checks come in one frame, which is not copied. Of others every frame is: a frame is a part of
/// the buffer that the connection reads into, and would keep all of it in memory.
#[derive(Default)]
struct Came {
    whole: Bytes,
    /// Each is filled before the next one begins, so the first one holds the prefix.
    pieces: Vec<Vec<u8>>,
    bytes: usize,
}

impl Came {
    fn add(&mut self, data: Bytes) {
        let before = self.bytes;
        self.bytes += data.len();
        if before == 0 && is_whole(&data) {
            self.whole = data;
            return;
        }
        // Data after a whole message is counted, and rejected for it.
        if !self.whole.is_empty() {
            return;
        }
        let mut rest = data.as_ref();
        if let Some(last) = self.pieces.last_mut() {
            let (fits, more) = rest.split_at(rest.len().min(last.capacity() - last.len()));
            last.extend_from_slice(fits);
            rest = more;
        }
        if !rest.is_empty() {
            // Never more than twice what came: a vector that grew would hold up to three times as much while it moves.
            let mut piece = Vec::with_capacity(rest.len().max(before.clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX)));
            piece.extend_from_slice(rest);
            self.pieces.push(piece);
        }
    }

    /// Copies a whole message whose stream does not end yet, so that it waits without the buffer that it came in.
    fn release_buffer(&mut self) {
        if !self.whole.is_empty() {
            self.pieces.push(std::mem::take(&mut self.whole).to_vec());
        }
    }

    fn prefix(&self) -> Option<[u8; PREFIX_BYTES]> {
        self.pieces.first().map_or(&*self.whole, Vec::as_slice).first_chunk().copied()
    }

    /// The message without its prefix. It is copied only where it came in several pieces.
    fn message(self) -> Bytes {
        let mut all = self.joined();
        all.advance(PREFIX_BYTES);
        all
    }

    fn joined(self) -> Bytes {
        let mut pieces = self.pieces.into_iter();
        match (pieces.next(), pieces.len()) {
            (None, _) => self.whole,
            (Some(only), 0) => Bytes::from(only),
            (Some(first), _) => {
                let mut all = Vec::with_capacity(self.bytes);
                // Each piece is freed when it is copied, so that the message is not held twice.
                std::iter::once(first).chain(pieces).for_each(|piece| all.extend_from_slice(&piece));
                Bytes::from(all)
            }
        }
    }

    /// Where the message ends, once its length has come. Refuses at once what can never become a good one, so that
    /// nothing of it is held.
    fn end(&self, bytes_max: usize) -> Result<Option<usize>, Failure> {
        let Some([flag, length @ ..]) = self.prefix() else { return Ok(None) };
        if flag != 0 {
            return Err(malformed("is compressed, which the service does not offer"));
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > bytes_max {
            let detail = format!("the check has {length} bytes, more than `limits.check.message_bytes_max`");
            return Err(Failure::new(Code::TooLarge, detail));
        }
        if self.bytes > PREFIX_BYTES + length {
            return Err(malformed("has data after its message"));
        }
        Ok(Some(PREFIX_BYTES + length))
    }
}

/// Whether `data` is a prefix and all that it announces, or more.
fn is_whole(data: &[u8]) -> bool {
    let Some(([_, length @ ..], message)) = data.split_first_chunk::<PREFIX_BYTES>() else { return false };
    usize::try_from(u32::from_be_bytes(*length)).is_ok_and(|length| length <= message.len())
}

fn malformed(how: &str) -> Failure {
    Failure::new(Code::MalformedRequest, format!("the request {how}"))
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Failure {
    match GivenUp::find(error) {
        Some(full @ GivenUp::Full) => Failure::new(Code::Overload, full.to_string()),
        Some(late @ GivenUp::Late) => Failure::new(Code::Deadline, late.to_string()),
        None => malformed("was interrupted"),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    /// A message in frames of these sizes, which are parts of one buffer, and what came of it.
    fn came(message: &[u8], sizes: &[usize]) -> (Bytes, Came) {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let buffer = Bytes::from([&[0][..], &length, message].concat());
        let (mut came, mut rest) = (Came::default(), buffer.clone());
        for size in sizes {
            came.add(rest.split_to(*size));
        }
        drop(rest);
        (buffer, came)
    }

    #[test]
    fn a_message_is_the_same_in_any_frames() {
        let message: Vec<u8> = (0..40_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
        for sizes in [&[40_005][..], &[4, 40_001], &[5, 1, 39_999], &[1; 40_005], &[16_000, 16_000, 8_005]] {
            let (buffer, came) = came(&message, sizes);
            assert_eq!(came.end(40_000).unwrap(), Some(40_005), "{} frames", sizes.len());
            let room: usize = came.pieces.iter().map(Vec::capacity).sum();
            assert!(room <= 2 * came.bytes + PIECE_BYTES_MIN, "{room} bytes are held in {} frames", sizes.len());
            assert_eq!(came.joined(), buffer, "{} frames", sizes.len());
        }
    }

    #[test]
    fn a_part_of_a_message_does_not_hold_the_buffer_that_it_came_in() {
        let (buffer, came) = came(&[7; 60_000], &[6, 1, 100]);
        assert!(buffer.is_unique(), "{} bytes hold a buffer of {}", came.bytes, buffer.len());
    }

    #[test]
    fn only_a_message_in_several_pieces_is_copied() {
        let (buffer, whole) = came(&[7; 60_000], &[60_005]);
        assert_eq!(whole.message().as_ptr(), buffer[PREFIX_BYTES..].as_ptr());
        let (_, mut waits) = came(&[7; 100], &[105]);
        waits.release_buffer();
        let piece = waits.pieces[0][PREFIX_BYTES..].as_ptr();
        assert_eq!(waits.message().as_ptr(), piece);
        let (buffer, came) = came(&[7; 60_000], &[6, 59_999]);
        assert_eq!(came.message(), buffer[PREFIX_BYTES..]);
    }

    /// Frames that are all there, and what tells when the body is dropped.
    struct Frames {
        rest: std::vec::IntoIter<Bytes>,
        _dropped: std::sync::Arc<()>,
    }

    impl Body for Frames {
        type Data = Bytes;
        type Error = StdError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, StdError>>> {
            Poll::Ready(self.rest.next().map(|data| Ok(hyper::body::Frame::data(data))))
        }
    }

    #[tokio::test]
    async fn a_large_message_is_counted_until_it_is_decoded_and_a_small_one_until_it_is_whole() {
        let deadline = Instant::now() + std::time::Duration::from_secs(60);
        for (bytes, is_large) in [(100, false), (QUICK_BYTES_MAX - PREFIX_BYTES, false), (QUICK_BYTES_MAX, true)] {
            let length = u32::try_from(bytes).unwrap().to_be_bytes();
            let all = Bytes::from([&[0][..], &length, &vec![7; bytes]].concat());
            let counted = std::sync::Arc::new(());
            let frames = vec![all.slice(..40), all.slice(40..)];
            let body = Frames { rest: frames.into_iter(), _dropped: std::sync::Arc::clone(&counted) };
            let read = message(body, 1 << 20, deadline).await.unwrap();
            let held = std::sync::Arc::strong_count(&counted) - 1;
            let (whole, was_held) = match read {
                Message::Small(whole) => (whole, 0),
                Message::Large(large) => ((large.join)(), 1),
            };
            assert_eq!((held, was_held), (usize::from(is_large), usize::from(is_large)), "{bytes}");
            assert_eq!(whole, all[PREFIX_BYTES..], "{bytes}");
            assert_eq!(std::sync::Arc::strong_count(&counted), 1, "{bytes}");
        }
    }

    /// One frame, and no end.
    struct Endless(Option<Bytes>);

    impl Body for Endless {
        type Data = Bytes;
        type Error = StdError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, StdError>>> {
            self.0.take().map_or(Poll::Pending, |data| Poll::Ready(Some(Ok(hyper::body::Frame::data(data)))))
        }
    }

    #[test]
    fn a_whole_message_that_does_not_end_does_not_hold_its_buffer_either() {
        let buffer = Bytes::from(vec![0; 60_000]);
        let mut reading = pin!(whole(Endless(Some(buffer.slice(..5))), 40_000));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(reading.as_mut().poll(&mut cx).is_pending());
        assert!(buffer.is_unique(), "5 bytes hold a buffer of {}", buffer.len());
    }
}
