//! Remedies on forbids: how a caller can lift a deny, and how several remedies merge.

use std::collections::BTreeSet;

use crate::obligation::challenge::Challenge;
use crate::obligation::template;
use crate::query::{Query, Value};

/// The remedy of one forbid: how its denial can be lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// `@remedy("step_up")` with `@acr` or `@max_age`.
    StepUp {
        /// The `acr` value that is strong enough.
        acr: Option<String>,
        /// Most seconds since the login.
        max_age_seconds: Option<u64>,
    },
    /// `@remedy("add_scope")` with an optional `@scope`; else the resource's required scopes.
    AddScope {
        /// The scopes named by the policy.
        scopes: Option<BTreeSet<String>>,
    },
    /// `@remedy("narrow_token")`.
    NarrowToken,
    /// `@remedy("approve")` with an optional `@approval`.
    Approve {
        /// The kind of approval.
        kind: Option<String>,
    },
    /// `@remedy("mask")` with `@mask`: for the response phase.
    Mask {
        /// Detectors with findings to mask.
        detectors: BTreeSet<String>,
    },
}

/// The annotations that belong to remedies.
pub const ANNOTATIONS: [&str; 6] = ["remedy", "acr", "max_age", "scope", "approval", "mask"];

/// Reads the remedy of a forbid from its annotations.
///
/// # Errors
/// Lower-case fragments: an unknown remedy, a missing parameter, or one that belongs to another remedy.
pub fn parse<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Remedy>, String> {
    let Some(name) = annotation("remedy") else {
        return match ANNOTATIONS.iter().find(|key| annotation(key).is_some()) {
            Some(key) => Err(format!("`@{key}` is a parameter of a remedy, but there is no `@remedy`")),
            None => Ok(None),
        };
    };
    let (remedy, own): (Remedy, &[&str]) = match name {
        "step_up" => {
            let acr = annotation("acr").map(str::to_owned);
            let max_age_seconds = annotation("max_age").map(seconds).transpose()?;
            if acr.is_none() && max_age_seconds.is_none() {
                return Err("`step_up` needs `@acr` or `@max_age`".to_owned());
            }
            if let Some(acr) = &acr {
                quotable(acr)?;
            }
            (Remedy::StepUp { acr, max_age_seconds }, &["acr", "max_age"])
        }
        "add_scope" => {
            let scopes = annotation("scope").map(scope_set).transpose()?;
            (Remedy::AddScope { scopes }, &["scope"])
        }
        "narrow_token" => (Remedy::NarrowToken, &[]),
        "approve" => (Remedy::Approve { kind: annotation("approval").map(str::to_owned) }, &["approval"]),
        "mask" => {
            let detectors = annotation("mask").ok_or("`mask` needs `@mask`, the detectors to mask")?;
            (Remedy::Mask { detectors: template::items(detectors)?.into_iter().collect() }, &["mask"])
        }
        other => {
            let known = "known: step_up, add_scope, narrow_token, approve, mask";
            return Err(format!("unknown remedy `{other}` ({known})"));
        }
    };
    match ANNOTATIONS.iter().skip(1).find(|key| annotation(key).is_some() && !own.contains(key)) {
        Some(key) => Err(format!("`@{key}` is not a parameter of `{name}`")),
        None => Ok(Some(remedy)),
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` in `@max_age` is not a number of seconds"))
}

fn quotable(text: &str) -> Result<(), String> {
    let good = !text.is_empty() && text.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'"' && b != b'\\');
    if good { Ok(()) } else { Err(format!("`{text}` is not allowed in a challenge; use visible ASCII without quotes")) }
}

fn scope_set(text: &str) -> Result<BTreeSet<String>, String> {
    let scopes: BTreeSet<String> = text.split([' ', ',']).filter(|s| !s.is_empty()).map(str::to_owned).collect();
    if scopes.is_empty() {
        return Err("`@scope` names no scope".to_owned());
    }
    scopes.iter().try_for_each(|scope| quotable(scope))?;
    Ok(scopes)
}

/// The one challenge for all satisfied forbids, each with its remedy.
///
/// # Errors
/// A fragment that says why no challenge is possible: remedies that exclude each other, one that this phase cannot carry out, or
/// one with parameters that are unknown for this call.
pub fn merge<'a>(
    remedies: impl IntoIterator<Item = &'a Remedy>,
    query: &Query,
    acr_order: &[String],
) -> Result<Challenge, String> {
    let mut merged = Merged::default();
    for remedy in remedies {
        merged.add(remedy, query, acr_order)?;
    }
    merged.challenge(query)
}

#[derive(Default)]
struct Merged {
    step_up: Option<(Option<String>, Option<u64>)>,
    scopes: Option<BTreeSet<String>>,
    narrow: Option<()>,
    approve: Option<Option<String>>,
}

impl Merged {
    fn add(&mut self, remedy: &Remedy, query: &Query, acr_order: &[String]) -> Result<(), String> {
        match remedy {
            Remedy::StepUp { acr, max_age_seconds } => {
                let (old_acr, old_age) = self.step_up.take().unwrap_or_default();
                let acr = strongest(old_acr, acr.clone(), acr_order)?;
                let age = [old_age, *max_age_seconds].into_iter().flatten().min();
                self.step_up = Some((acr, age));
            }
            Remedy::AddScope { scopes } => {
                let scopes = match scopes {
                    Some(scopes) => scopes.clone(),
                    None => texts(query, "requiredScopes").ok_or("neither `add_scope` nor the route names a scope")?,
                };
                self.scopes.get_or_insert_default().extend(scopes);
            }
            Remedy::NarrowToken => self.narrow = Some(()),
            Remedy::Approve { kind } => match &self.approve {
                Some(known) if known != kind => return Err("the forbids require two kinds of approval".to_owned()),
                Some(_) | None => self.approve = Some(kind.clone()),
            },
            Remedy::Mask { .. } => return Err("a request cannot be masked".to_owned()),
        }
        Ok(())
    }

    /// The first in the order step up, add scope, narrow token, approve.
    fn challenge(self, query: &Query) -> Result<Challenge, String> {
        if let Some((acr, max_age_seconds)) = self.step_up {
            return Ok(Challenge::StepUp { acr, max_age_seconds });
        }
        if let Some(mut scopes) = self.scopes {
            scopes.extend(texts(query, "requiredScopes").unwrap_or_default());
            return Ok(Challenge::AddScope { scopes });
        }
        if self.narrow.is_some() {
            // The needed scopes, not the acceptable ones: a client requests the scopes that the challenge names.
            let needed = texts(query, "requiredScopes").or_else(|| texts(query, "acceptableScopes"));
            let is_user = token_flag(query, "isUser");
            return Ok(Challenge::NarrowToken { scopes: needed.unwrap_or_default(), is_user });
        }
        match self.approve {
            Some(kind) => Ok(Challenge::Approve { kind }),
            None => Err("no remedy".to_owned()),
        }
    }
}

fn strongest(a: Option<String>, b: Option<String>, order: &[String]) -> Result<Option<String>, String> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => {
            let rank = |acr: &String| order.iter().position(|known| known == acr);
            match (rank(&a), rank(&b)) {
                (Some(rank_a), Some(rank_b)) => Ok(Some(if rank_a > rank_b { a } else { b })),
                _ => Err("the forbids require two `acr` values, and `acr_order` in manifest.yaml does not rank both"
                    .to_owned()),
            }
        }
        (a, b) => Ok(a.or(b)),
    }
}

/// A set of texts among the resource's attributes.
#[must_use]
pub fn texts(query: &Query, attribute: &str) -> Option<BTreeSet<String>> {
    match query.resource.attributes.get(attribute)? {
        Value::Set(items) => Some(
            items
                .iter()
                .filter_map(|item| if let Value::String(text) = item { Some(text.to_string()) } else { None })
                .collect(),
        ),
        _ => None,
    }
}

fn token_flag(query: &Query, name: &str) -> bool {
    match query.principal.attributes.get("token") {
        Some(Value::Record(token)) => token.get(name) == Some(&Value::Bool(true)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Node, Uid};

    fn query() -> Query {
        let mut resource = Node::new(Uid::new("Path", "shop/orders/"));
        resource.attributes.insert("requiredScopes".into(), Value::texts(["orders:read"]));
        Query {
            principal: Node::new(Uid::new("Unauthenticated", "unauthenticated")),
            action: "GET".into(),
            resource,
            context: Default::default(),
            bags: vec![],
            namespace: "shop".into(),
        }
    }

    fn step_up(acr: Option<&str>, max_age_seconds: Option<u64>) -> Remedy {
        Remedy::StepUp { acr: acr.map(str::to_owned), max_age_seconds }
    }

    #[test]
    fn parameters_merge_to_the_stricter_side() {
        let order = ["low".to_owned(), "high".to_owned()];
        let merged = merge([&step_up(Some("high"), Some(600)), &step_up(Some("low"), Some(300))], &query(), &order);
        assert_eq!(merged, Ok(Challenge::StepUp { acr: Some("high".into()), max_age_seconds: Some(300) }));
        let merged = merge([&step_up(None, Some(600)), &step_up(Some("x"), None)], &query(), &[]);
        assert_eq!(merged, Ok(Challenge::StepUp { acr: Some("x".into()), max_age_seconds: Some(600) }));
    }

    #[test]
    fn acr_values_without_an_order_cannot_merge() {
        assert!(merge([&step_up(Some("a"), None), &step_up(Some("b"), None)], &query(), &[]).is_err());
        assert!(merge([&step_up(Some("a"), None), &step_up(Some("a"), None)], &query(), &[]).is_ok());
    }

    #[test]
    fn challenges_come_in_their_order() {
        let add = Remedy::AddScope { scopes: Some(["x".to_owned()].into()) };
        let approve = Remedy::Approve { kind: None };
        let merged = merge([&approve, &Remedy::NarrowToken, &add, &step_up(None, Some(1))], &query(), &[]);
        assert!(matches!(merged, Ok(Challenge::StepUp { .. })));
        let merged = merge([&approve, &Remedy::NarrowToken, &add], &query(), &[]);
        assert_eq!(merged, Ok(Challenge::AddScope { scopes: ["orders:read".to_owned(), "x".to_owned()].into() }));
        let merged = merge([&approve, &Remedy::NarrowToken], &query(), &[]);
        assert!(matches!(merged, Ok(Challenge::NarrowToken { .. })));
    }

    #[test]
    fn a_narrower_token_is_one_for_what_is_needed() {
        let mut query = query();
        query.resource.attributes.insert("acceptableScopes".into(), Value::texts(["openid", "orders:read"]));
        let narrow = |query: &Query| match merge([&Remedy::NarrowToken], query, &[]) {
            Ok(Challenge::NarrowToken { scopes, .. }) => scopes.into_iter().collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(narrow(&query), ["orders:read"]);
        query.resource.attributes.remove("requiredScopes");
        assert_eq!(narrow(&query), ["openid", "orders:read"]);
    }

    #[test]
    fn two_kinds_of_approval_cannot_merge() {
        let change = Remedy::Approve { kind: Some("change".into()) };
        assert!(merge([&change, &Remedy::Approve { kind: None }], &query(), &[]).is_err());
        assert!(merge([&change, &change], &query(), &[]).is_ok());
    }

    #[test]
    fn a_request_cannot_be_masked() {
        let mask = Remedy::Mask { detectors: ["card".to_owned()].into() };
        assert!(merge([&mask, &step_up(None, Some(1))], &query(), &[]).is_err());
    }

    #[test]
    fn annotations_are_parsed_completely_or_rejected() {
        let read = |pairs: &'static [(&'static str, &'static str)]| {
            parse(move |key| pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| *v))
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("remedy", "step_up"), ("max_age", "300")]), Ok(Some(step_up(None, Some(300)))));
        for bad in [
            &[("remedy", "step_up")] as &'static [(&str, &str)],
            &[("remedy", "step_up"), ("max_age", "5m")],
            &[("remedy", "step_up"), ("acr", "a\"b")],
            &[("remedy", "stepup"), ("acr", "a")],
            &[("remedy", "mask")],
            &[("remedy", "narrow_token"), ("scope", "a")],
            &[("remedy", "add_scope"), ("scope", "")],
            &[("acr", "a")],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
