//! Decompresses bodies where a service allows it: one complete stream, with a bounded output.

use std::io::Read as _;

use flate2::bufread::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use crate::failure::{Code, Failure};

/// Most that a byte may become. Text packs 3 to 20 times; a thousand times is a bomb.
const RATIO_MAX: usize = 64;

/// The body that `bytes` stand for, at most `max` bytes and [`RATIO_MAX`] times their number.
///
/// # Errors
/// `body_encoded` for an encoding other than `gzip` and `deflate`, `body_refused` for anything but one whole stream
/// within the bounds.
pub(super) fn inflate(bytes: &[u8], encoding: &str, max: usize) -> Result<Vec<u8>, Failure> {
    let max = max.min(bytes.len().saturating_mul(RATIO_MAX));
    let inflated = match encoding {
        "gzip" => gzip(bytes, max),
        "deflate" => deflate(bytes, max),
        _ => return Err(Failure::new(Code::BodyEncoded, "the content encoding is neither `gzip` nor `deflate`")),
    };
    inflated.map_err(|what| Failure::new(Code::BodyRefused, what))
}

fn too_large(max: usize) -> String {
    format!("the body inflates to more than {max} bytes")
}

fn gzip(bytes: &[u8], max: usize) -> Result<Vec<u8>, String> {
    let mut decoder = GzDecoder::new(bytes);
    let mut inflated = Vec::new();
    // One byte more than is allowed tells a body that ends from one that was cut.
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    decoder
        .by_ref()
        .take(limit)
        .read_to_end(&mut inflated)
        .map_err(|_| "the body is not complete, valid gzip".to_owned())?;
    if inflated.len() > max {
        return Err(too_large(max));
    }
    // A second member or anything else behind the first: some servers read on, some do not.
    if !decoder.into_inner().is_empty() {
        return Err("the body has data after its gzip member".to_owned());
    }
    Ok(inflated)
}

/// HTTP's `deflate` is the zlib format; a raw stream under that name is refused.
fn deflate(bytes: &[u8], max: usize) -> Result<Vec<u8>, String> {
    let broken = || "the body is not complete, valid zlib".to_owned();
    let mut stream = Decompress::new(true);
    let mut inflated: Vec<u8> = Vec::new();
    loop {
        let read = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
        let (before, rest) = (inflated.len(), bytes.get(read..).unwrap_or_default());
        if before > max {
            return Err(too_large(max));
        }
        inflated.reserve(4096.min(max - before + 1));
        match stream.decompress_vec(rest, &mut inflated, FlushDecompress::None) {
            Ok(Status::StreamEnd) => break,
            Ok(Status::Ok | Status::BufError) if inflated.len() > before => {}
            Ok(Status::Ok) if usize::try_from(stream.total_in()).unwrap_or(usize::MAX) > read => {}
            Ok(Status::Ok | Status::BufError) | Err(_) => return Err(broken()),
        }
    }
    if inflated.len() > max {
        return Err(too_large(max));
    }
    if stream.total_in() != u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
        return Err("the body has data after its zlib stream".to_owned());
    }
    Ok(inflated)
}
