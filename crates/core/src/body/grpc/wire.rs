//! Protobuf's wire format: tags and their payloads.
//!
//! Knows: tags, varints, lengths. Must not know: descriptors.

use super::message::Refused;

/// Most bytes of a varint: 64 bits in groups of seven.
const VARINT_BYTES_MAX: usize = 10;

/// What follows a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireValue<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

/// How what follows a tag is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Varint,
    Fixed64,
    Length,
    Fixed32,
}

/// The rest of a message.
#[derive(Debug)]
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that were not read.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    /// The next tag: a field's number, and how its value is written.
    pub(crate) fn tag(&mut self) -> Result<(u32, Wire), Refused> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Refused::Tag)?;
        let wire = match tag & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Length,
            5 => Wire::Fixed32,
            3 | 4 => return Err(Refused::Group),
            _ => return Err(Refused::Tag),
        };
        match tag >> 3 {
            0 => Err(Refused::Tag),
            number => Ok((number, wire)),
        }
    }

    /// The next value.
    pub(crate) fn part(&mut self, wire: Wire) -> Result<WireValue<'a>, Refused> {
        Ok(match wire {
            Wire::Varint => WireValue::Varint(self.varint()?),
            Wire::Fixed64 => WireValue::Fixed64(self.fixed()?),
            Wire::Fixed32 => WireValue::Fixed32(self.fixed()?),
            Wire::Length => {
                let length = usize::try_from(self.varint()?).map_err(|_| Refused::Cut)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(Refused::Cut)?;
                self.0 = rest;
                WireValue::Bytes(bytes)
            }
        })
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Refused::Cut)?;
        self.0 = rest;
        Ok(*bytes)
    }

    /// A varint in its shortest form. Readers differ in how long a form they take, and in what becomes of a 65th bit.
    fn varint(&mut self) -> Result<u64, Refused> {
        let mut value = 0_u64;
        for (at, byte) in self.0.iter().take(VARINT_BYTES_MAX).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if at + 1 == VARINT_BYTES_MAX && bits > 1 {
                return Err(Refused::Varint);
            }
            value |= bits << (7 * at);
            if byte & 0x80 == 0 {
                if at > 0 && bits == 0 {
                    return Err(Refused::Varint);
                }
                self.0 = self.0.get(at + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(if self.0.len() < VARINT_BYTES_MAX { Refused::Cut } else { Refused::Varint })
    }
}
