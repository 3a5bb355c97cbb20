//! The `authorization` header: detects whether it presents a token.
//!
//! A token that services could find in it is one, however it is presented.
//!
//! Knows: the header's schemes and the shape of a JWT. Must not know: issuers, keys, claims.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::settings::Settings;
use crate::call::Call;
use crate::failure::{Code, Failure};

/// How many places of one text are looked at for a token that begins there.
const BEGINNINGS_MAX: usize = 16;

/// What the header presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    /// No header.
    Nothing,
    /// Another scheme, or a Bearer that is not a JWT.
    Other,
    /// A Bearer of JWT shape.
    Jwt(&'a str),
    /// A JWT that is presented in any other way: under another scheme, without one, or among other words.
    OddJwt(&'a str),
}

/// Reads the header.
///
/// # Errors
/// `token_rejected` where it occurs twice, or where one value holds two: whoever serves the call might
/// read the other one. In a strict profile also where it is not a Bearer with a JWT.
pub(super) fn read<'a>(call: &'a Call, settings: &Settings) -> Result<Presented<'a>, Failure> {
    let value = call
        .headers
        .single("authorization")
        .map_err(|problem| Failure::new(Code::TokenRejected, problem.to_string()))?;
    let Some(value) = value else { return Ok(Presented::Nothing) };
    if value.contains(',') && value.split(',').any(|part| bearer(part).is_some()) {
        return Err(Failure::new(Code::TokenRejected, "header `authorization` holds more than one value"));
    }
    match bearer(value) {
        Some(token) if is_jwt_shaped(token) => Ok(Presented::Jwt(token)),
        Some(_) | None if settings.strict => Err(Failure::new(
            Code::TokenRejected,
            "header `authorization` is not a Bearer with a JWT, and the profile is strict",
        )),
        Some(_) | None => Ok(jwt_within(value).map_or(Presented::Other, Presented::OddJwt)),
    }
}

/// A JWT wherever it stands in a text: services take it behind other schemes, and without any. Where too much could
/// begin one, the text that does is given as it is, and is no good token.
pub(super) fn jwt_within(text: &str) -> Option<&str> {
    let is_part_of_one = |character: char| character.is_ascii_alphanumeric() || "-_.=+/".contains(character);
    let mut tried = 0;
    for run in text.split(|character| !is_part_of_one(character)) {
        let Some((header, _)) = run.split_once('.') else { continue };
        // What base64url makes of `{` and of the quote or blank behind it.
        for (at, _) in header.match_indices('e').filter(|(at, _)| begins_object(header, *at)) {
            tried += 1;
            if tried > BEGINNINGS_MAX || header.get(at..).is_some_and(is_jws_header) {
                return run.get(at..);
            }
        }
    }
    None
}

fn begins_object(header: &str, at: usize) -> bool {
    header.get(at..).is_some_and(|rest| rest.starts_with("ey") || rest.starts_with("ew"))
}

fn is_jws_header(part: &str) -> bool {
    let plain = part.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let decoded = URL_SAFE_NO_PAD.decode(plain).unwrap_or_default();
    serde_json::from_slice::<Value>(&decoded).is_ok_and(|header| header.get("alg").is_some())
}

/// What follows the scheme `Bearer`, in any case and with any blanks.
fn bearer(value: &str) -> Option<&str> {
    let value = value.trim();
    let (scheme, token) = value.split_once([' ', '\t'])?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Three parts are a signed JWT, five an encrypted one. What merely looks like one is refused later;
/// what a lenient reader could take for one must not pass as absent here.
pub(super) fn is_jwt_shaped(token: &str) -> bool {
    matches!(token.bytes().filter(|byte| *byte == b'.').count(), 2 | 4)
}
