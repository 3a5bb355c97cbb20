//! Grants of a token in addition to its scopes.
//!
//! Knows: `authorization_details` (RFC 9396) and `entitlements` (RFC 9068). Must not know: what a route needs,
//! peers, policies.
//!
//! They count among the scopes claimed, so that a rule against too much sees them, and never among the scopes
//! proven: where a power holds depends on `locations` and on members that only its type defines.
//! `groups` and `may_act` are no powers: the one says who the subject is, the other who may become its actor,
//! which is between a client and the issuer.

use serde_json::Value;

use super::token::{ClaimReader, rejected};
use crate::failure::Failure;

/// Everything granted: `<type>:<action>`, `<type>:<privilege>`, `<type>` without actions, `entitlement:<name>`.
pub(super) fn granted(claims: &ClaimReader<'_>) -> Result<Vec<String>, Failure> {
    let mut found = details(claims)?;
    found.extend(entitlements(claims)?);
    Ok(found)
}

fn details(claims: &ClaimReader<'_>) -> Result<Vec<String>, Failure> {
    let Some(details) = claims.get("authorization_details") else { return Ok(Vec::new()) };
    let details = details.as_array().ok_or_else(|| rejected("`authorization_details` is not a list"))?;
    let mut found = Vec::new();
    for detail in details {
        let detail = detail.as_object().map(ClaimReader);
        let detail = detail.ok_or_else(|| rejected("`authorization_details` holds something that is not an object"))?;
        let kind = detail.required_text("type")?;
        // Not powers, but a detail with a member of the wrong type is not understood.
        detail.text("identifier")?;
        for name in ["locations", "datatypes"] {
            names(&detail, name)?;
        }
        let actions = names(&detail, "actions")?;
        let privileges = names(&detail, "privileges")?;
        if actions.is_empty() {
            found.push(kind.clone());
        }
        found.extend(actions.iter().chain(&privileges).map(|name| format!("{kind}:{name}")));
    }
    Ok(found)
}

/// A list of texts; unlike elsewhere in tokens, one text alone is none.
fn names(detail: &ClaimReader<'_>, name: &str) -> Result<Vec<String>, Failure> {
    let problem = || rejected(format!("`{name}` of `authorization_details` is not a list of texts"));
    match detail.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(problem)).collect()
        }
        Some(_) => Err(problem()),
    }
}

/// Texts, or objects with a text `value`, as directories write them (RFC 7643, section 2.4).
fn entitlements(claims: &ClaimReader<'_>) -> Result<Vec<String>, Failure> {
    let items = match claims.get("entitlements") {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let named = |item: &Value| match item {
        Value::String(name) => Ok(format!("entitlement:{name}")),
        Value::Object(members) => ClaimReader(members).required_text("value").map(|name| format!("entitlement:{name}")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            Err(rejected("`entitlements` holds something that is neither a text nor an object with `value`"))
        }
    };
    items.iter().map(named).collect()
}
