//! Decodes `br`.
//!
//! Knows: the state of a decoder. Must not know: bounds over a body.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Invalid, Moved};

// One allocator for each kind of table is the crate's own shape.
type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

pub(super) struct Brotli {
    state: State,
}

impl Default for Brotli {
    fn default() -> Self {
        let allocator = StandardAlloc::default;
        // Strict: windows of more than 16 MiB are no part of the coding `br`.
        Self { state: State::new_strict(allocator(), allocator(), allocator()) }
    }
}

impl Brotli {
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Moved, Invalid> {
        let (mut left, mut read) = (input.len(), 0);
        let (mut room, mut written, mut total) = (output.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut read,
            input,
            &mut room,
            &mut written,
            output,
            &mut total,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultSuccess => Ok(Moved { read, written, is_ended: true }),
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {
                Ok(Moved { read, written, is_ended: false })
            }
            BrotliResult::ResultFailure => Err(Invalid),
        }
    }
}
