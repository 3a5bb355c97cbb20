//! Every coding, complete, in pieces, truncated, damaged, mislabelled and as a bomb.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::*;

const FIRST: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n";
const SECOND: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}]}\n\n";
const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

/// The first event, flushed; the second, flushed; the end of the stream.
fn pieces(coding: Coding) -> [Vec<u8>; 3] {
    macro_rules! flushed {
        ($encoder:expr) => {{
            let mut encoder = $encoder;
            encoder.write_all(FIRST.as_bytes()).unwrap();
            encoder.flush().unwrap();
            let first = std::mem::take(encoder.get_mut());
            encoder.write_all(SECOND.as_bytes()).unwrap();
            encoder.flush().unwrap();
            let second = std::mem::take(encoder.get_mut());
            [first, second, encoder.finish().unwrap()]
        }};
    }
    let hex = |parts: [&str; 3]| parts.map(|part| hex::decode(part).unwrap());
    match coding {
        Coding::Gzip => flushed!(GzEncoder::new(Vec::new(), Compression::default())),
        Coding::Deflate => flushed!(ZlibEncoder::new(Vec::new(), Compression::default())),
        // Written by Google's encoder, quality 5.
        Coding::Brotli => hex([
            "a003008040a6e72ff4397e181768e0cb7036b0a6b001070e1147a94c3c4ce48493c2ef0c59549bf242c740426b507c90397ebb62bf4f72536500",
            "c80100408aedad2a31a688eb763200",
            "03",
        ]),
        // Written by the reference encoder, level 3, with a checksum.
        Coding::Zstd => hex([
            "28b52ffd0458d80100646174613a207b2263686f69636573223a5b7b22696e646578223a302c2264656c7461223a7b22636f6e74656e74223a2248656c227d7d5d7d0a0a",
            "840000486c6f227d7d5d7d0a0a0100fa480101",
            "010000a1d9d200",
        ]),
    }
}

fn complete(coding: Coding) -> Vec<u8> {
    pieces(coding).concat()
}

/// Feeds one piece until the decoder is idle.
fn feed(inflater: &mut Inflater, piece: &[u8]) -> Result<String, InflateError> {
    let (mut input, mut output) = (piece, Vec::new());
    loop {
        let before = output.len();
        let step = inflater.step(&mut input, &mut output)?;
        assert!(output.len() - before <= STEP_BYTES_MAX, "a step adds {} bytes", output.len() - before);
        match step {
            Step::Again => {}
            Step::Idle => break,
        }
    }
    assert!(input.is_empty(), "an idle decoder took all of its input");
    Ok(String::from_utf8_lossy(&output).into_owned())
}

fn inflate<'a>(coding: Coding, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, InflateError> {
    let mut inflater = Inflater::new(coding, u64::MAX);
    let mut text = String::new();
    for piece in pieces {
        text += &feed(&mut inflater, piece)?;
    }
    inflater.finish().map(|()| text)
}

#[test]
fn a_body_inflates_to_the_same_text_however_it_arrives() {
    for coding in ALL {
        let body = complete(coding);
        for size in [1, 2, 3, 7, body.len()] {
            let text = inflate(coding, body.chunks(size));
            assert_eq!(text.as_deref(), Ok([FIRST, SECOND].concat().as_str()), "{coding} in pieces of {size}");
        }
    }
}

#[test]
fn flushed_text_leaves_at_once_where_the_coding_is_prompt() {
    for coding in ALL {
        let [first, second, _] = pieces(coding);
        let mut inflater = Inflater::new(coding, u64::MAX);
        let early = feed(&mut inflater, &first).unwrap() + &feed(&mut inflater, &second).unwrap();
        assert_eq!(early == [FIRST, SECOND].concat(), coding.is_prompt(), "{coding} gave {early:?}");
    }
}

#[test]
fn a_truncated_body_never_finishes() {
    for coding in ALL {
        let body = complete(coding);
        for length in 0..body.len() {
            let text = inflate(coding, [&body[..length]]);
            assert_eq!(text, Err(InflateError::Truncated(coding)), "{coding} of {length} bytes");
        }
    }
}

#[test]
fn data_after_the_stream_is_rejected() {
    for coding in ALL {
        let (body, error) = (complete(coding), Err(InflateError::DataAfterEnd(coding)));
        assert_eq!(inflate(coding, [body.as_slice(), b"x"]), error, "{coding}");
        assert_eq!(inflate(coding, [[&body[..], &body[..]].concat().as_slice()]), error, "{coding} twice");
    }
}

#[test]
fn fe12_a_body_in_another_coding_than_its_header_names_is_an_error() {
    for coding in ALL {
        for other in ALL.into_iter().filter(|other| *other != coding) {
            let text = inflate(coding, [complete(other).as_slice()]);
            assert!(text.is_err(), "{other} as {coding}: {text:?}");
        }
        let plain = inflate(coding, [FIRST.as_bytes()]);
        assert!(plain.is_err(), "an event that is not compressed as {coding}: {plain:?}");
    }
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
    raw.write_all(FIRST.as_bytes()).unwrap();
    assert_eq!(
        inflate(Coding::Deflate, [raw.finish().unwrap().as_slice()]),
        Err(InflateError::Invalid(Coding::Deflate))
    );
}

#[test]
fn a_damaged_body_never_finishes_with_another_text() {
    for coding in ALL {
        let body = complete(coding);
        for bit in 0..body.len() * 8 {
            let mut damaged = body.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let text = inflate(coding, [damaged.as_slice()]);
            let has_checksum = coding != Coding::Brotli;
            if let Ok(text) = text
                && has_checksum
            {
                assert_eq!(text, [FIRST, SECOND].concat(), "{coding} with bit {bit} flipped");
            }
        }
    }
}

/// Four million zeros.
fn bomb(coding: Coding) -> Vec<u8> {
    let zeros = vec![0; 4_000_000];
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&zeros).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&zeros).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Brotli => hex::decode("9bff083df82700e2b1402017a007").unwrap(),
        Coding::Zstd => ruzstd::encoding::compress_to_vec(&zeros[..], ruzstd::encoding::CompressionLevel::Fastest),
    }
}

#[test]
fn a_bomb_is_stopped_within_its_ratio() {
    for coding in ALL {
        let body = bomb(coding);
        let mut inflater = Inflater::new(coding, u64::MAX);
        let (mut input, mut output) = (body.as_slice(), Vec::new());
        let error = loop {
            match inflater.step(&mut input, &mut output) {
                Ok(Step::Again) => {}
                Ok(Step::Idle) => panic!("{coding} was not stopped"),
                Err(error) => break error,
            }
        };
        assert_eq!(error, InflateError::RatioExceeded, "{coding}");
        let most = RATIO_FROM_BYTES.max(body.len() as u64 * RATIO_MAX);
        assert!(output.len() as u64 <= most, "{coding} gave {} bytes for {}", output.len(), body.len());
        assert_eq!(inflater.finish(), Err(error), "an error stays");
        assert_eq!(inflater.step(&mut input, &mut output), Err(error), "an error stays");
    }
}

#[test]
fn a_body_of_more_than_the_limit_is_an_error() {
    for coding in ALL {
        let bytes_max = (FIRST.len() + SECOND.len()) as u64;
        let whole = |bytes_max| feed(&mut Inflater::new(coding, bytes_max), &complete(coding));
        assert!(whole(bytes_max).is_ok(), "{coding} at the limit");
        assert_eq!(whole(bytes_max - 1), Err(InflateError::TooLarge { bytes_max: bytes_max - 1 }), "{coding}");
    }
}

#[test]
fn a_gzip_header_may_have_all_of_its_parts_and_a_bounded_size() {
    let body = complete(Coding::Gzip);
    let (plain, data) = body.split_at(10);
    let header = |name: &[u8]| {
        let mut header = plain.to_vec();
        header[3] = 2 | 4 | 8 | 16;
        [header, vec![3, 0, 1, 2, 3], name.to_vec(), b"\0comment\0".to_vec(), vec![7, 7]].concat()
    };
    let text = inflate(Coding::Gzip, [header(b"name").as_slice(), data]);
    assert_eq!(text, Ok([FIRST, SECOND].concat()));
    let text = inflate(Coding::Gzip, [header(&[b'n'; 5000]).as_slice(), data]);
    assert_eq!(text, Err(InflateError::Invalid(Coding::Gzip)));
}

#[test]
fn windows_that_would_take_too_much_memory_are_rejected() {
    // 8 MiB and 9 MiB: exponent 13 with mantissa 0 and 1.
    for (descriptor, expected) in [(0x68, true), (0x69, false)] {
        let empty_last_block = [1, 0, 0];
        let frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0, descriptor][..], &empty_last_block].concat();
        assert_eq!(inflate(Coding::Zstd, [frame.as_slice()]).is_ok(), expected, "window {descriptor:#x}");
    }
    // The extension of `br` for large windows begins with 0x11.
    assert_eq!(inflate(Coding::Brotli, [&[0x11, 0x1e, 3][..]]), Err(InflateError::Invalid(Coding::Brotli)));
}

#[test]
fn tokens_of_content_encoding_are_read_without_case() {
    let parsed = ["gzip", "X-GZip", "deflate", " BR ", "zstd"].map(Coding::parse);
    assert_eq!(parsed, [Coding::Gzip, Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd].map(Some));
    for other in ["", "identity", "compress", "gzip, br", "gzip;q=1"] {
        assert_eq!(Coding::parse(other), None, "{other:?}");
    }
}
