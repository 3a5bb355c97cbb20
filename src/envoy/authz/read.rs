//! Reads one check from its first byte to its last.
//!
//! Knows: how gRPC frames a message. Must not know: what is in a check.
//!
//! Whatever comes instead of one whole message is a [`Failure`], and so an answer that denies: a gRPC error would leave the
//! decision to the filter's `failure_mode_allow`.

use std::future::poll_fn;
use std::pin::pin;

use prost::bytes::{Buf as _, Bytes, BytesMut};
use tokio::time::Instant;
use tonic::codegen::{Body, StdError};

use crate::failure::{Code, Failure};
use crate::incomplete::GivenUp;

/// A flag and a length stand before a message ("Length-Prefixed-Message" of gRPC over HTTP/2).
const PREFIX_BYTES: usize = 5;

/// The only message of `body`, which has at most `bytes_max` bytes and is whole by `deadline`.
///
/// # Errors
/// [`Code::Deadline`], [`Code::Overload`] where too much is held that is not whole, [`Code::TooLarge`], or
/// [`Code::MalformedRequest`].
pub(super) async fn message<B>(body: B, bytes_max: usize, deadline: Instant) -> Result<Bytes, Failure>
where
    B: Body<Error: Into<StdError>>,
{
    let late = |_elapsed| Failure::new(Code::Deadline, "the check did not arrive completely by its deadline");
    tokio::time::timeout_at(deadline, whole(body, bytes_max)).await.map_err(late)?
}

async fn whole<B>(body: B, bytes_max: usize) -> Result<Bytes, Failure>
where
    B: Body<Error: Into<StdError>>,
{
    let (mut body, mut came) = (pin!(body), Came::default());
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|error| broken(&*error.into()))?;
        // What is no data are trailers, which say nothing about a check.
        if let Ok(mut data) = frame.into_data() {
            came.add(data.copy_to_bytes(data.remaining()));
            came.end(bytes_max)?;
        }
    }
    let end = came.end(bytes_max)?.ok_or_else(|| malformed("has no message"))?;
    let mut all = came.joined();
    if all.len() < end {
        return Err(malformed("ends within its message"));
    }
    all.advance(PREFIX_BYTES);
    Ok(all)
}

/// What came so far. Most checks come in one piece, which is not copied.
#[derive(Default)]
struct Came {
    first: Bytes,
    all: BytesMut,
}

impl Came {
    fn add(&mut self, data: Bytes) {
        if self.bytes().is_empty() {
            self.first = data;
            return;
        }
        let first = std::mem::take(&mut self.first);
        self.all.extend_from_slice(&first);
        self.all.extend_from_slice(&data);
    }

    fn bytes(&self) -> &[u8] {
        if self.all.is_empty() { &self.first } else { &self.all }
    }

    fn joined(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }

    /// Where the message ends, once its length has come. Refuses at once what can never become a good one, so that
    /// nothing of it is held.
    fn end(&self, bytes_max: usize) -> Result<Option<usize>, Failure> {
        let bytes = self.bytes();
        let Some(([flag, length @ ..], message)) = bytes.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        if *flag != 0 {
            return Err(malformed("is compressed, which the service does not offer"));
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > bytes_max {
            let detail = format!("the check has {length} bytes, more than `limits.check.message_bytes_max`");
            return Err(Failure::new(Code::TooLarge, detail));
        }
        if message.len() > length {
            return Err(malformed("has data after its message"));
        }
        Ok(Some(PREFIX_BYTES + length))
    }
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
