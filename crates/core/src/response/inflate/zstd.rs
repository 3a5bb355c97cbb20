//! Decodes `zstd`.
//!
//! Knows: the frame and the blocks of RFC 8878. Must not know: bounds over a body.
//!
//! The decoder below reads complete blocks, so a block is collected first; it has at most 128 KiB.

use std::io::Read as _;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Invalid, Moved, WINDOW_BYTES_MAX};

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Most bytes of a block, compressed or not.
const BLOCK_BYTES_MAX: usize = 128 * 1024;
const BLOCK_HEADER_BYTES: usize = 3;
const CHECKSUM_BYTES: usize = 4;

pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// Compressed bytes of the header or of the block that is not complete.
    held: Vec<u8>,
    is_open: bool,
    has_checksum: bool,
}

impl Default for Zstd {
    fn default() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_BYTES_MAX);
        Self { decoder, held: Vec::new(), is_open: false, has_checksum: false }
    }
}

impl Zstd {
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Moved, Invalid> {
        let written = self.decoder.read(output).map_err(|_| Invalid)?;
        if written > 0 {
            return Ok(Moved { written, ..Moved::default() });
        }
        if self.is_open && self.decoder.is_finished() {
            let sums = (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
            let fits = !self.has_checksum || sums.0 == sums.1;
            return if fits { Ok(Moved { is_ended: true, ..Moved::default() }) } else { Err(Invalid) };
        }
        let read = input.len().min(self.wanted()?.saturating_sub(self.held.len()));
        self.held.extend(input.iter().take(read));
        if self.held.len() >= self.wanted()? {
            self.decode()?;
        }
        Ok(Moved { read, ..Moved::default() })
    }

    /// How many bytes the header or the block has, as far as that is known. It grows as they arrive.
    fn wanted(&self) -> Result<usize, Invalid> {
        if !self.is_open {
            return header_bytes(&self.held);
        }
        let Some(header) = self.held.first_chunk::<BLOCK_HEADER_BYTES>() else { return Ok(BLOCK_HEADER_BYTES) };
        let [low, middle, high] = header.map(usize::from);
        let (is_last, kind, size) = (low & 1 == 1, low >> 1 & 3, (low | middle << 8 | high << 16) >> 3);
        if size > BLOCK_BYTES_MAX {
            return Err(Invalid);
        }
        let content = match kind {
            // One byte that repeats.
            1 => 1,
            0 | 2 => size,
            _ => return Err(Invalid),
        };
        let checksum = if is_last && self.has_checksum { CHECKSUM_BYTES } else { 0 };
        Ok(BLOCK_HEADER_BYTES + content + checksum)
    }

    fn decode(&mut self) -> Result<(), Invalid> {
        let mut bytes = self.held.as_slice();
        if self.is_open {
            self.decoder.decode_blocks(&mut bytes, BlockDecodingStrategy::UptoBlocks(1)).map_err(|_| Invalid)?;
        } else {
            self.has_checksum = self.held.get(4).is_some_and(|descriptor| descriptor & 4 != 0);
            self.decoder.init(&mut bytes).map_err(|_| Invalid)?;
            self.is_open = true;
        }
        let is_read = bytes.is_empty();
        self.held.clear();
        if is_read { Ok(()) } else { Err(Invalid) }
    }
}

/// How many bytes the header of a frame has. A frame that is skipped by decoders is not a body.
fn header_bytes(held: &[u8]) -> Result<usize, Invalid> {
    if held.iter().zip(MAGIC).any(|(byte, wanted)| *byte != wanted) {
        return Err(Invalid);
    }
    let Some(descriptor) = held.get(MAGIC.len()) else { return Ok(MAGIC.len() + 1) };
    let is_single_segment = descriptor & 0x20 != 0;
    let window = usize::from(!is_single_segment);
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied().unwrap_or(0);
    let content_size = match descriptor >> 6 {
        0 => usize::from(is_single_segment),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    Ok(MAGIC.len() + 1 + window + dictionary + content_size)
}
