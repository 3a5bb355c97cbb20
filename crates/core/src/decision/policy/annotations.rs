//! Parses the annotations of a policy.

use std::collections::BTreeMap;

use cedar_policy::{Effect, Policy};

use super::context::ValidationContext;
use super::remedy::{self, Remedy};
use super::{lint, template_types};
use crate::decision::limits::MESH;
use crate::obligation::permit;
use crate::problem::nearest;

/// Annotations with a meaning outside remedies and obligations.
pub const PLAIN_ANNOTATIONS: [&str; 5] = ["id", "owner", "reason", "deny_status", "bridge"];

/// The parsed annotations of one policy.
#[derive(Debug)]
pub struct Annotated {
    /// The obligations of a permit.
    pub obligations: permit::Obligations,
    /// The remedy of a forbid.
    pub remedy: Option<Remedy>,
    /// `@deny_status`.
    pub deny_status: Option<u16>,
    /// `@reason`.
    pub reason: Option<String>,
    /// `@bridge`: the permit keeps a namespace open while its policies are in shadow.
    pub bridge: Option<()>,
}

/// Reads every annotation; an unknown or misplaced one is an error, since it would silently do nothing.
///
/// # Errors
/// Every problem, as a lower-case fragment.
pub fn read(unit: &str, policy: &Policy, validation: ValidationContext<'_>) -> Result<Annotated, Vec<String>> {
    let mut faults = Vec::new();
    let mut obligations = permit::Obligations::default();
    let permits = policy.effect() == Effect::Permit;
    // Collected by hand: for each lookup of an annotation, Cedar parses its name as an identifier.
    let all: BTreeMap<&str, &str> = policy.annotations().collect();
    for (&key, &value) in &all {
        let obligation = permit::annotations().any(|known| known == key);
        let remedial = remedy::ANNOTATIONS.contains(&key);
        if obligation && !permits {
            faults.push(format!("`@{key}` is an obligation and belongs on a permit"));
        } else if remedial && permits {
            faults.push(format!("`@{key}` is part of a remedy and belongs on a forbid"));
        } else if obligation {
            let added = obligations.add(key, value, &validation.manifest.allow_headers);
            faults.extend(added.err().map(|message| format!("`@{key}`: {message}")));
        } else if !remedial && !PLAIN_ANNOTATIONS.contains(&key) {
            let known = PLAIN_ANNOTATIONS.into_iter().chain(permit::annotations()).chain(remedy::ANNOTATIONS);
            let hint = nearest(key, known).map_or_else(String::new, |near| format!("; did you mean `@{near}`?"));
            faults.push(format!("unknown annotation `@{key}`{hint}"));
        }
    }
    for template in obligations.templates() {
        faults.extend(template_types::check(policy, template, unit, validation.types));
    }
    let remedy = remedy::parse(|key| all.get(key).copied()).unwrap_or_else(|message| {
        faults.push(message);
        None
    });
    let deny_status = lint::deny_status(policy.effect(), &all).unwrap_or_else(|message| {
        faults.push(message);
        None
    });
    let bridge = all.get("bridge").map(drop);
    if bridge.is_some() && (unit != MESH || !permits) {
        let meaning = "it keeps a namespace open while the namespace's policies are in shadow";
        faults.push(format!("`@bridge` belongs on a permit of the mesh: {meaning}"));
    }
    let reason = all.get("reason").map(|reason| (*reason).to_owned());
    if let Some(reason) = reason.as_ref().filter(|reason| !lint::is_policy_name(reason)) {
        faults.push(format!("`@reason(\"{reason}\")` is not a code of letters, digits and -._"));
    }
    if faults.is_empty() { Ok(Annotated { obligations, remedy, deny_status, reason, bridge }) } else { Err(faults) }
}
