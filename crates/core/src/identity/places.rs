//! Credentials outside `authorization`: in the headers, cookies and query keys that a source names,
//! and in `access_token` of the query or of a form (RFC 6750).
//!
//! Knows: where tokens are looked for, and every spelling of those places. Must not know: what a token says, issuers.
//!
//! What cannot be read counts as present.

use std::borrow::Cow;

use super::form;
use super::settings::Settings;
use crate::call::headers::fold;
use crate::call::query_string::{SentPair, could_mean, sent_pairs, unescaped};
use crate::call::{Call, Target};
use crate::failure::{Code, Failure};

/// The key of RFC 6750.
pub(super) const ACCESS_TOKEN: &str = "access_token";

/// A credential, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SentCredential<'a> {
    /// Where.
    pub place: CredentialPlace,
    /// The value, as a service would take it.
    pub text: Cow<'a, str>,
}

/// A place of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CredentialPlace {
    /// A header that a source names.
    Header,
    /// A cookie that a source names.
    Cookie,
    /// A query key that a source names.
    Query,
    /// `access_token` in the query.
    AccessToken,
    /// `access_token` in a form body.
    Form,
}

impl CredentialPlace {
    /// Its name in a failure's detail.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Header => "a header of tokens",
            Self::Cookie => "a cookie of tokens",
            Self::Query => "a query key of tokens",
            Self::AccessToken => "`access_token` of the query",
            Self::Form => "`access_token` of the form",
        }
    }

    /// Whether RFC 6750 knows it as a method of its own, which no other may stand beside.
    pub(super) fn is_exclusive(self) -> bool {
        match self {
            Self::AccessToken | Self::Form => true,
            Self::Header | Self::Cookie | Self::Query => false,
        }
    }
}

/// Whether any credential stands in the call, or may stand where it has not been looked for yet.
pub(super) fn is_any(call: &Call, settings: &Settings) -> bool {
    call.headers.has("authorization")
        || !call.verified_tokens.is_empty()
        || form::may_hold_one(call, settings)
        || !matches!(named(call, settings), Ok(found) if found.is_empty())
}

/// Every credential outside `authorization`.
///
/// # Errors
/// `token_rejected` where a place cannot be read; as [`form::read`] for a form.
pub(super) fn read<'a>(call: &'a Call, settings: &Settings) -> Result<Vec<SentCredential<'a>>, Failure> {
    let mut found = named(call, settings)?;
    found.extend(
        form::read(call, settings)?
            .into_iter()
            .map(|text| SentCredential { place: CredentialPlace::Form, text: text.into() }),
    );
    Ok(found)
}

/// Those in headers, cookies and the query.
fn named<'a>(call: &'a Call, settings: &Settings) -> Result<Vec<SentCredential<'a>>, Failure> {
    let mut found = Vec::new();
    for (name, value) in call.headers.iter() {
        if settings.places().flat_map(|places| &places.headers).any(|place| fold(place) == fold(name)) {
            let text = text(value, "a header of tokens")?;
            // Joined by the proxy, two headers are one with a comma.
            let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
            found.extend(texts.map(|text| SentCredential { place: CredentialPlace::Header, text: text.into() }));
        }
        if fold(name) == "cookie" && settings.places().any(|places| !places.cookies.is_empty()) {
            cookies(text(value, "`cookie`")?, settings, &mut found);
        }
    }
    if let Target::Path { query: Some(query), .. } = &call.target {
        in_query(query, settings, &mut found);
    }
    Ok(found)
}

fn text<'a>(value: &'a [u8], name: &str) -> Result<&'a str, Failure> {
    std::str::from_utf8(value).map_err(|_| Failure::new(Code::TokenRejected, format!("{name} is not UTF-8")))
}

/// Old readers of cookies part them at commas as well.
fn cookies<'a>(value: &'a str, settings: &Settings, found: &mut Vec<SentCredential<'a>>) {
    for pair in value.split([';', ',']) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_named = || settings.places().flat_map(|places| &places.cookies).any(|place| could_mean(name, place));
        let value = value.trim().trim_matches('"');
        if !value.is_empty() && is_named() {
            found.push(SentCredential { place: CredentialPlace::Cookie, text: value.into() });
        }
    }
}

fn in_query<'a>(query: &'a str, settings: &Settings, found: &mut Vec<SentCredential<'a>>) {
    for SentPair { key, value, .. } in sent_pairs(query) {
        let is_named = || settings.places().flat_map(|places| &places.query).any(|place| could_mean(key, place));
        let place = if could_mean(key, ACCESS_TOKEN) {
            CredentialPlace::AccessToken
        } else if is_named() {
            CredentialPlace::Query
        } else {
            continue;
        };
        found.push(SentCredential { place, text: unescaped(value).map_or(Cow::Borrowed(value), Cow::Owned) });
    }
}
