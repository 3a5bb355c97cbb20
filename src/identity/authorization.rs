//! The `authorization` header: whether it presents a token that has to be judged.
//!
//! Knows: the header's schemes and the shape of a JWT. Must not know: issuers, keys, claims.

use super::settings::Settings;
use crate::call::Call;
use crate::failure::{Code, Failure};

/// What the header presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    /// No header.
    Nothing,
    /// Another scheme, or a Bearer that is not a JWT.
    Other,
    /// A Bearer of JWT shape.
    Jwt(&'a str),
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
        Some(_) | None => Ok(Presented::Other),
    }
}

/// What follows the scheme `Bearer`, in any case and with any blanks.
fn bearer(value: &str) -> Option<&str> {
    let value = value.trim();
    let (scheme, token) = value.split_once([' ', '\t'])?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Three parts are a signed JWT, five an encrypted one. What merely looks like one is refused later;
/// what a lenient reader could take for one must not pass as absent here.
fn is_jwt_shaped(token: &str) -> bool {
    matches!(token.bytes().filter(|byte| *byte == b'.').count(), 2 | 4)
}
