//! Checks the keys of dynamic maps that policies name.

use crate::call::headers;
use crate::decision::policy::required_inputs::KeyUse;
use crate::query::ANYWHERE;

/// `**/ticket_id`: a member's name at any place.
fn is_name(key: &str) -> bool {
    key.strip_prefix(ANYWHERE).is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// Returns what is wrong with a key that no call can have, or that policies must not read.
#[must_use]
pub fn check(used: &KeyUse) -> Option<String> {
    let key = &used.key;
    match used.bag.as_str() {
        "headers" if headers::is_credential(key) => {
            Some(format!("header `{key}` carries a credential or is Picket's own; policies cannot read it"))
        }
        "headers" if headers::is_proxys(key) => Some(format!(
            "any caller can set header `{key}`, so policies cannot read it. The address of the connection's peer is \
             `context.env.sourceIp`"
        )),
        "headers" if *key != key.to_ascii_lowercase() => {
            Some(format!("header names are in lower case; write `{}`", key.to_ascii_lowercase()))
        }
        "args" | "numbers" | "decimals" | "kinds" if !key.is_empty() && !key.starts_with('/') && !is_name(key) => {
            Some(format!("arguments are named by JSON pointer; write `/{key}`, or `{ANYWHERE}{key}` for any place"))
        }
        "fields" if !key.is_empty() && !key.starts_with('/') => {
            Some(format!("fields are named by JSON pointer; write `/{key}`"))
        }
        _ => None,
    }
}
