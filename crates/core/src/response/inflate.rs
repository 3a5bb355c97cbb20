//! Decompresses a response that arrives in pieces, in bounded steps.
//!
//! Knows: content codings, bounds. Must not know: what the body holds, what a denial looks like.
//!
//! A body is one complete stream of its coding. A coding that does not fit, a body that ends early, data after the end and a
//! body that grows beyond [`RATIO_MAX`] are errors: the bytes that were inflated before may have left, none leave after.

mod brotli;
mod flate;
#[cfg(test)]
mod tests;
mod zstd;

use std::fmt;

/// Most bytes that one compressed byte may become, on average over the body. Event streams reach 10 to 40.
pub const RATIO_MAX: u64 = 64;
/// Bytes that a body may inflate to before [`RATIO_MAX`] is checked: a first block is small and may repeat one word.
pub const RATIO_FROM_BYTES: u64 = 64 * 1024;
/// Most bytes that one step adds.
pub const STEP_BYTES_MAX: usize = 16 * 1024;
/// Largest window of a stream in bytes, which bounds the memory of a decoder: what RFC 9659 demands of `zstd` in HTTP. A window
/// of `br` is at most twice as large by its format, one of `gzip` and `deflate` has 32 KiB.
pub const WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A content coding that can be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952, one member.
    Gzip,
    /// The zlib format of RFC 1950, which is HTTP's `deflate`. A raw stream is invalid.
    Deflate,
    /// RFC 7932, without its extension for large windows.
    Brotli,
    /// RFC 8878, one frame.
    Zstd,
}

impl Coding {
    /// Reads one token of `content-encoding`. `None` for any other coding, and for a list of several.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        let all = [("gzip", Self::Gzip), ("x-gzip", Self::Gzip), ("deflate", Self::Deflate), ("br", Self::Brotli)];
        let mut known = all.into_iter().chain([("zstd", Self::Zstd)]);
        known.find(|(name, _)| token.trim().eq_ignore_ascii_case(name)).map(|(_, coding)| coding)
    }

    /// Whether text leaves the decoder as soon as the sender flushed it.
    ///
    /// The decoder of `zstd` keeps the last window, up to [`WINDOW_BYTES_MAX`], until the body ends. A complete body does not
    /// notice; an event stream would arrive at its end, so it counts as one that cannot be read.
    #[must_use]
    pub fn is_prompt(self) -> bool {
        match self {
            Self::Gzip | Self::Deflate | Self::Brotli => true,
            Self::Zstd => false,
        }
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        })
    }
}

/// Why a body does not inflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// Not in the coding that its header names, or damaged.
    #[error("the body is not valid `{0}`")]
    Invalid(Coding),
    /// More than [`RATIO_MAX`].
    #[error("the body inflates to more than {RATIO_MAX} times its size")]
    RatioExceeded,
    /// More than the caller allows.
    #[error("the body inflates to more than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// It ended early.
    #[error("the body ends inside its `{0}` stream")]
    Truncated(Coding),
    /// Some readers continue there, others do not.
    #[error("the body has data after its `{0}` stream")]
    DataAfterEnd(Coding),
}

/// Whether a further step without new input may add bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something was read or written: call again.
    Again,
    /// All input is read and all that it stands for was written.
    Idle,
}

/// What one step of a decoder did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Moved {
    read: usize,
    written: usize,
    is_ended: bool,
}

/// The bytes are not in the coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Invalid;

enum Decoder {
    Flate(Box<flate::Flate>),
    Brotli(Box<brotli::Brotli>),
    Zstd(Box<zstd::Zstd>),
}

/// The decompression of one body.
pub struct Inflater {
    coding: Coding,
    decoder: Decoder,
    bytes_max: u64,
    read: u64,
    written: u64,
    is_ended: bool,
    error: Option<InflateError>,
}

impl Inflater {
    /// A body of which nothing was read. It may inflate to `bytes_max` bytes in all; a stream that is not held has no need
    /// of a limit and may have `u64::MAX`.
    #[must_use]
    pub fn new(coding: Coding, bytes_max: u64) -> Self {
        let decoder = match coding {
            Coding::Gzip => Decoder::Flate(Box::new(flate::Flate::gzip())),
            Coding::Deflate => Decoder::Flate(Box::new(flate::Flate::zlib())),
            Coding::Brotli => Decoder::Brotli(Box::default()),
            Coding::Zstd => Decoder::Zstd(Box::default()),
        };
        Self { coding, decoder, bytes_max, read: 0, written: 0, is_ended: false, error: None }
    }

    /// Takes a part of `input` off its front and adds at most [`STEP_BYTES_MAX`] bytes to `output`. Call it until it is idle;
    /// then all of `input` was taken.
    ///
    /// # Errors
    /// [`InflateError`], now and for every later call. What was added before may be used, nothing is added any more.
    pub fn step(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> Result<Step, InflateError> {
        match self.error {
            Some(error) => Err(error),
            None => self.advance(input, output).inspect_err(|error| self.error = Some(*error)),
        }
    }

    fn advance(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> Result<Step, InflateError> {
        if self.is_ended {
            return if input.is_empty() { Ok(Step::Idle) } else { Err(InflateError::DataAfterEnd(self.coding)) };
        }
        let mut piece = [0; STEP_BYTES_MAX];
        let moved = match &mut self.decoder {
            Decoder::Flate(flate) => flate.step(input, &mut piece),
            Decoder::Brotli(brotli) => brotli.step(input, &mut piece),
            Decoder::Zstd(zstd) => zstd.step(input, &mut piece),
        };
        let moved = moved.map_err(|Invalid| InflateError::Invalid(self.coding))?;
        self.is_ended = moved.is_ended;
        self.read += moved.read as u64;
        self.written += moved.written as u64;
        if self.written > self.bytes_max {
            return Err(InflateError::TooLarge { bytes_max: self.bytes_max });
        }
        if self.written > RATIO_FROM_BYTES.max(self.read.saturating_mul(RATIO_MAX)) {
            return Err(InflateError::RatioExceeded);
        }
        *input = input.get(moved.read..).unwrap_or_default();
        output.extend_from_slice(piece.get(..moved.written).unwrap_or_default());
        match moved {
            Moved { read: 0, written: 0, is_ended: false } if input.is_empty() => Ok(Step::Idle),
            // A decoder that neither reads nor writes would never end.
            Moved { read: 0, written: 0, is_ended: false } => Err(InflateError::Invalid(self.coding)),
            Moved { .. } => Ok(Step::Again),
        }
    }

    /// Ends the body, after an idle step.
    ///
    /// # Errors
    /// [`InflateError::Truncated`] where the stream has no end yet; the error of a step that failed.
    pub fn finish(&self) -> Result<(), InflateError> {
        match self.error {
            Some(error) => Err(error),
            None if self.is_ended => Ok(()),
            None => Err(InflateError::Truncated(self.coding)),
        }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the bytes inside the decoder.
        let Self { coding, decoder: _, bytes_max: _, read, written, is_ended, error } = self;
        f.debug_struct("Inflater")
            .field("coding", coding)
            .field("read", read)
            .field("written", written)
            .field("is_ended", is_ended)
            .field("error", error)
            .finish()
    }
}
