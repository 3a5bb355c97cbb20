//! Decodes `gzip` and `deflate`.
//!
//! Knows: RFC 1950 and 1952. Must not know: bounds over a body.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Invalid, Moved};

/// Most bytes of a gzip header, with the name of a file and a comment.
const HEADER_BYTES_MAX: usize = 4096;
/// CRC and length after a gzip member.
const TRAILER_BYTES: usize = 8;

const HAS_CHECKSUM: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;
const RESERVED: u8 = 0b1110_0000;

/// What is read next.
enum Phase {
    /// A gzip header, as far as it arrived.
    Header(Vec<u8>),
    Data,
    /// A gzip trailer, as far as it arrived.
    Trailer(Vec<u8>),
}

enum Frame {
    Zlib,
    Gzip(Crc),
}

pub(super) struct Flate {
    frame: Frame,
    phase: Phase,
    stream: Decompress,
}

impl Flate {
    pub fn zlib() -> Self {
        Self { frame: Frame::Zlib, phase: Phase::Data, stream: Decompress::new(true) }
    }

    pub fn gzip() -> Self {
        let frame = Frame::Gzip(Crc::new());
        Self { frame, phase: Phase::Header(Vec::new()), stream: Decompress::new(false) }
    }

    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Moved, Invalid> {
        match &mut self.phase {
            Phase::Header(header) => {
                // Byte by byte: a header is short, and the data begins right behind it.
                for (at, byte) in input.iter().enumerate() {
                    header.push(*byte);
                    if is_header(header)? {
                        self.phase = Phase::Data;
                        return Ok(Moved { read: at + 1, ..Moved::default() });
                    }
                }
                Ok(Moved { read: input.len(), ..Moved::default() })
            }
            Phase::Data => self.data(input, output),
            Phase::Trailer(trailer) => {
                let read = input.len().min(TRAILER_BYTES - trailer.len());
                trailer.extend(input.iter().take(read));
                let is_ended = trailer.len() == TRAILER_BYTES;
                let fits = match &self.frame {
                    Frame::Gzip(crc) => *trailer == [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat(),
                    Frame::Zlib => false,
                };
                if is_ended && !fits { Err(Invalid) } else { Ok(Moved { read, written: 0, is_ended }) }
            }
        }
    }

    fn data(&mut self, input: &[u8], output: &mut [u8]) -> Result<Moved, Invalid> {
        let (read, written) = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.decompress(input, output, FlushDecompress::None);
        let moved = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        let (read, written) = (moved(self.stream.total_in(), read), moved(self.stream.total_out(), written));
        let is_end = match status {
            Ok(Status::StreamEnd) => true,
            Ok(Status::Ok | Status::BufError) => false,
            Err(_) => return Err(Invalid),
        };
        match (&mut self.frame, is_end) {
            (Frame::Zlib, is_ended) => return Ok(Moved { read, written, is_ended }),
            (Frame::Gzip(crc), false) => crc.update(output.get(..written).unwrap_or_default()),
            (Frame::Gzip(crc), true) => {
                crc.update(output.get(..written).unwrap_or_default());
                self.phase = Phase::Trailer(Vec::new());
            }
        }
        Ok(Moved { read, written, is_ended: false })
    }
}

/// Whether `bytes` are one complete gzip header; not yet, if more bytes are missing.
fn is_header(bytes: &[u8]) -> Result<bool, Invalid> {
    let fixed = [Some(0x1f), Some(0x8b), Some(8)];
    if bytes.iter().zip(fixed).any(|(byte, wanted)| Some(*byte) != wanted) || bytes.len() > HEADER_BYTES_MAX {
        return Err(Invalid);
    }
    let Some((head, rest)) = bytes.split_at_checked(10) else { return Ok(false) };
    let flags = head.get(3).copied().unwrap_or(RESERVED);
    if flags & RESERVED != 0 {
        return Err(Invalid);
    }
    let mut rest = Some(rest);
    if flags & HAS_EXTRA != 0 {
        rest = rest.and_then(|rest| {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            rest.get(usize::from(u16::from_le_bytes(*length))..)
        });
    }
    for flag in [HAS_NAME, HAS_COMMENT] {
        if flags & flag != 0 {
            rest = rest.and_then(|rest| rest.get(rest.iter().position(|byte| *byte == 0)? + 1..));
        }
    }
    if flags & HAS_CHECKSUM != 0 {
        rest = rest.and_then(|rest| rest.get(2..));
    }
    // The header is complete with its last byte, so nothing is left over.
    Ok(rest.is_some_and(<[u8]>::is_empty))
}
