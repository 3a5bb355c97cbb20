//! The mutations of an allow: headers and query parameters are set or stripped, never left.
//!
//! Everything is checked once more here, because Envoy by default (`validate_mutations: false`) forwards whatever
//! it is told, line breaks included.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::core::v3::QueryParameter;
use envoy_types::pb::envoy::service::auth::v3::OkHttpResponse;

use super::header;
use picket_core::call::headers::{fold, folded, is_credential, is_reserved};
use picket_core::call::{Call, Target, parameters};
use picket_core::obligation::{Changeable, Mutations};

/// Most changes one verdict may ask for. Envoy answers 500 beyond 100 headers in all.
const CHANGES_MAX: usize = 64;
/// Most bytes of names and values of those changes. Envoy answers 500 beyond 60 KiB of headers.
const CHANGE_BYTES_MAX: usize = 16 * 1024;
/// Headers that frame the message or route it: changing one would forward another request than the one judged.
const UNTOUCHABLE: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The header with the codings that a client of gRPC accepts for messages.
const GRPC_ACCEPT_ENCODING: &str = "grpc-accept-encoding";
/// The headers with the codings that a client accepts. Every client of HTTP is asked for the first.
const ACCEPT_ENCODINGS: [&str; 2] = ["accept-encoding", GRPC_ACCEPT_ENCODING];
/// Headers that request a part of a document.
const RANGES: [&str; 2] = ["if-range", "range"];

/// The allow as Envoy reads it. `changeable` is what policies judging this call can change.
///
/// # Errors
/// What cannot be carried out, as a lower-case fragment for the decision log.
pub(super) fn ok_response(
    mutations: &Mutations,
    call: &Call,
    changeable: &Changeable,
) -> Result<OkHttpResponse, String> {
    let headers_to_remove = strips(mutations, call, changeable).into_iter().collect();
    let query_parameters_to_remove = query_strips(mutations, call, changeable).into_iter().collect();
    if mutations.is_empty() {
        return Ok(OkHttpResponse { headers_to_remove, query_parameters_to_remove, ..OkHttpResponse::default() });
    }
    check_headers(mutations)?;
    check_query(mutations, &call.target)?;
    check_size(mutations)?;
    // A field that is missing here does not compile. `strips` and `query_strips` hold the removals, `metadata` writes the
    // metadata, and the log level is not for Envoy.
    let Mutations {
        set_headers,
        remove_headers: _,
        response_headers,
        set_query,
        remove_query: _,
        metadata: _,
        log_full: _,
    } = mutations;
    let parameter = |(key, value): (&String, &String)| QueryParameter { key: key.clone(), value: value.clone() };
    Ok(OkHttpResponse {
        headers: set_headers.iter().map(|(name, value)| header(name, value.clone())).collect(),
        headers_to_remove,
        response_headers_to_add: response_headers.iter().map(|(n, v)| header(n, v.clone())).collect(),
        query_parameters_to_set: set_query.iter().map(parameter).collect(),
        query_parameters_to_remove,
        ..OkHttpResponse::default()
    })
}

/// Adds to an allow that the service must answer in a form that can be read: complete, and not compressed.
///
/// # Errors
/// A fragment naming a header that a policy sets for the opposite.
pub(super) fn readable_response(mut ok: OkHttpResponse, call: &Call) -> Result<OkHttpResponse, String> {
    let set = |ok: &OkHttpResponse, name: &str| {
        ok.headers.iter().any(|option| option.header.as_ref().is_some_and(|header| header.key == name))
    };
    if let Some(name) = ACCEPT_ENCODINGS.iter().chain(&RANGES).find(|name| set(&ok, name)) {
        return Err(format!("header `{name}` must not be set where policies read the response"));
    }
    // An overwritten header needs no removal, and Envoy removes after it sets.
    for (name, is_needed) in ACCEPT_ENCODINGS.iter().zip([true, call.headers.has(GRPC_ACCEPT_ENCODING)]) {
        if is_needed {
            ok.headers_to_remove.retain(|removed| removed != name);
            ok.headers.push(header(name, "identity".to_owned()));
        }
    }
    for name in RANGES {
        if !ok.headers_to_remove.iter().any(|known| known == name) {
            ok.headers_to_remove.push(name.to_owned());
        }
    }
    Ok(ok)
}

/// Every header to remove: what the verdict asks for, and what the client sent under a name that is ours or that a policy
/// could have set or removed, in any spelling. Those names themselves are removed too, because the proxy may be set not
/// to show us all headers.
fn strips(mutations: &Mutations, call: &Call, changeable: &Changeable) -> BTreeSet<String> {
    let Changeable { set_headers: settable, remove_headers: removable, set_query: _, remove_query: _ } = changeable;
    let removed: BTreeSet<String> = mutations.remove_headers.iter().map(|name| folded(name)).collect();
    // A credential is judged by itself, so it is removed only where a satisfied permit says so.
    let is_removable = |name: &str| removable.contains(name) && !is_credential(name);
    let claimed = |name: &&str| {
        let is_ours = |name: &str| settable.contains(name) || removed.contains(name) || is_removable(name);
        let is_any = !(settable.is_empty() && removed.is_empty() && removable.is_empty());
        is_reserved(name) || (is_any && is_ours(fold(name).as_ref()))
    };
    let sent = call.headers.iter().map(|(name, _)| name).filter(claimed);
    let known = settable.iter().chain(removable.iter().filter(|name| !is_credential(name))).map(String::as_str);
    let strip = sent.chain(known).filter(|name| !mutations.set_headers.contains_key(*name));
    // Envoy ignores the removal of these two; asking for it would only hide that it did not happen.
    let strip = strip.filter(|name| !name.starts_with(':') && *name != "host");
    strip.map(str::to_owned).chain(mutations.remove_headers.iter().cloned()).collect()
}

/// Every query key to remove: what the verdict asks for, and what the client sent under a name that a policy could have
/// set or removed. Names that were not sent are left out: Envoy writes the query anew, in another order, where it is
/// asked to remove anything. Spellings that only the upstream takes for one of them were refused before.
fn query_strips(mutations: &Mutations, call: &Call, changeable: &Changeable) -> BTreeSet<String> {
    let sent = parameters::keys(&call.target).map(|key| key.text);
    let is_changeable = |key: &str| changeable.set_query.contains(key) || changeable.remove_query.contains(key);
    let strip = sent.filter(|key| is_changeable(key) && !mutations.set_query.contains_key(*key));
    strip.map(str::to_owned).chain(mutations.remove_query.iter().cloned()).collect()
}

fn check_headers(mutations: &Mutations) -> Result<(), String> {
    let Mutations {
        set_headers,
        remove_headers,
        response_headers,
        set_query: _,
        remove_query: _,
        metadata: _,
        log_full: _,
    } = mutations;
    let set = set_headers.iter().chain(response_headers);
    for (name, value) in set {
        check_name(name)?;
        if let Some(byte) = value.bytes().find(|byte| !(b' '..=b'~').contains(byte)) {
            return Err(format!("header `{name}` would get the byte 0x{byte:02x}"));
        }
    }
    for name in remove_headers {
        check_name(name)?;
        // Envoy removes after it sets: the header would silently be missing.
        if set_headers.contains_key(name) {
            return Err(format!("header `{name}` is both set and removed"));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(legal) {
        return Err(format!("`{}` is not a header name", name.escape_debug()));
    }
    if UNTOUCHABLE.contains(&name.replace('_', "-").as_str()) {
        return Err(format!("header `{name}` must not be changed"));
    }
    Ok(())
}

fn check_query(mutations: &Mutations, target: &Target) -> Result<(), String> {
    let Mutations {
        set_headers: _,
        remove_headers: _,
        response_headers: _,
        set_query,
        remove_query,
        metadata: _,
        log_full: _,
    } = mutations;
    if set_query.is_empty() && remove_query.is_empty() {
        return Ok(());
    }
    match target {
        Target::Path { .. } => {}
        // Envoy up to 1.39.0 crashes on it (CVE-2026-73547).
        Target::Authority => return Err("a CONNECT has no query to change".to_owned()),
    }
    for (key, value) in set_query {
        if key.is_empty() || !is_query_part(key) || !is_query_part(value) {
            return Err(format!("query parameter `{}` is not percent-encoded", key.escape_debug()));
        }
    }
    match remove_query.iter().find(|key| key.is_empty() || !is_query_part(key)) {
        Some(key) => Err(format!("query parameter `{}` is not percent-encoded", key.escape_debug())),
        None => Ok(()),
    }
}

/// Whether a text is RFC 3986 `query` without the characters that separate or join parameters.
fn is_query_part(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => tail,
            (byte, _) if byte.is_ascii_alphanumeric() || b"-._~!$'()*,:@/?".contains(byte) => tail,
            _ => return false,
        };
    }
    true
}

/// Bounds what is added and what policies ask to remove. Strips are not counted: they only shrink the request, and
/// are bounded by its own headers and by the loaded policies.
fn check_size(mutations: &Mutations) -> Result<(), String> {
    let Mutations { set_headers, remove_headers, response_headers, set_query, remove_query, metadata: _, log_full: _ } =
        mutations;
    let pairs = || set_headers.iter().chain(response_headers).chain(set_query);
    let names = || remove_headers.iter().chain(remove_query);
    let count = pairs().count() + names().count();
    let bytes: usize = pairs().map(|(name, value)| name.len() + value.len()).chain(names().map(String::len)).sum();
    if count > CHANGES_MAX || bytes > CHANGE_BYTES_MAX {
        let limits = format!("more than {CHANGES_MAX} or {CHANGE_BYTES_MAX} bytes");
        return Err(format!("{count} changes of {bytes} bytes are {limits}"));
    }
    Ok(())
}
