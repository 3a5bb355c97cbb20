//! Read sets: the paths, keys and memberships of a query that a set of policies depends on.
//!
//! Two uses depend on it: inputs are built from nothing else, and a decision is remembered under exactly these
//! values. So it must never be too small. Whatever is not understood makes it everything.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::pst::EntityUID;
use smol_str::ToSmolStr;

use super::accesses::{Access, Accesses, Origin, Root, Use};
use crate::query::{Keys, Uid};

/// The parts of the context that follow from the words of a call, so that a decision that reaches no other part
/// holds for every call with the same words. A new part is left out until it is known to follow.
const STABLE: [[&str; 2]; 8] = [
    ["env", "facts"],
    ["env", "listener"],
    ["env", "sourceIp"],
    ["http", "headers"],
    ["http", "host"],
    ["http", "method"],
    ["http", "path"],
    ["http", "query"],
];

/// Whether a path below the context leads to a part that follows from the words of a call.
#[must_use]
pub fn is_stable(path: &[&str]) -> bool {
    STABLE.iter().any(|lasting| path.starts_with(lasting))
}

/// A path from a root by attributes: `["http", "path"]` below the context.
pub type Path = Vec<String>;

/// What of one entity (principal or resource) is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntityReadSet {
    /// Attribute paths, each with everything below it.
    pub paths: BTreeSet<Path>,
    /// Tags.
    pub tags: Keys,
    /// Entities whose membership is asked for, beside the scope's.
    pub within: BTreeSet<Uid>,
    /// Membership in entities that only a call knows: every ancestor counts.
    pub all_ancestors: bool,
    /// The entity itself is compared or passed on: its id counts.
    pub itself: bool,
    /// Not understood: everything about it counts.
    pub whole: bool,
}

/// What a set of policies depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadSet {
    /// Of the principal.
    pub principal: EntityReadSet,
    /// Of the resource.
    pub resource: EntityReadSet,
    /// Of the context: paths, each with everything below it.
    pub context: BTreeSet<Path>,
    /// Of the context's bags, by the path to them (`["http", "headers"]`).
    pub bags: BTreeMap<Path, Keys>,
    /// Not understood: the whole context counts.
    pub whole_context: bool,
}

impl EntityReadSet {
    fn add(&mut self, access: &Access<'_>) {
        match (&access.usage, access.path.as_slice()) {
            (Use::Value | Use::Presence | Use::Guard | Use::Contains(_), path @ [_, ..]) => {
                self.paths.insert(owned(path));
            }
            (Use::Tag(key, _), []) => self.tags.merge(&keys(*key)),
            (Use::In(Some(entities)), []) => self.within.extend(entities.iter().map(|entity| uid(entity))),
            (Use::In(None), []) => self.all_ancestors = true,
            (Use::Name, []) => self.itself = true,
            // The entity is passed on, or level 1 of Cedar's validation forbids it.
            (Use::Value | Use::Presence | Use::Guard | Use::Contains(_) | Use::Anything, []) => self.whole = true,
            (Use::Tag(..) | Use::In(_) | Use::Name | Use::Anything, [_, ..]) => self.whole = true,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.paths.extend(other.paths.iter().cloned());
        self.tags.merge(&other.tags);
        self.within.extend(other.within.iter().cloned());
        self.all_ancestors |= other.all_ancestors;
        self.itself |= other.itself;
        self.whole |= other.whole;
    }
}

impl ReadSet {
    /// The read set of one policy's conditions.
    #[must_use]
    pub fn of(accesses: &Accesses<'_>) -> Self {
        let mut set = Self::default();
        accesses.list.iter().for_each(|access| set.add(access));
        set
    }

    /// Adds another read set.
    pub fn merge(&mut self, other: &Self) {
        self.principal.merge(&other.principal);
        self.resource.merge(&other.resource);
        self.context.extend(other.context.iter().cloned());
        for (path, keys) in &other.bags {
            self.bags.entry(path.clone()).or_default().merge(keys);
        }
        self.whole_context |= other.whole_context;
    }

    /// Whether the time of the call is reached: such a decision holds for that moment only.
    #[must_use]
    pub fn reads_now(&self) -> bool {
        let path = ["env".to_owned(), "now".to_owned()];
        self.whole_context || self.context.iter().any(|read| path.starts_with(read) || read.starts_with(&path))
    }

    /// Whether only such parts of the context are reached as every call with the same words has alike: not the time,
    /// not what came in a body, and nothing that is not named in `STABLE`.
    #[must_use]
    pub fn is_request_stable(&self) -> bool {
        let follows = |path: &Path| is_stable(&path.iter().map(String::as_str).collect::<Vec<_>>());
        !self.whole_context && self.context.iter().chain(self.bags.keys()).all(follows)
    }

    fn add(&mut self, access: &Access<'_>) {
        match access.origin {
            Origin::Root(Root::Principal) => self.principal.add(access),
            Origin::Root(Root::Resource) => self.resource.add(access),
            Origin::Root(Root::Context) => self.add_to_context(access),
            // It may be either of the two, and of no other entity anything is known.
            Origin::FactEntity | Origin::Unknown => {
                self.principal.whole = true;
                self.resource.whole = true;
                self.whole_context |= access.usage == Use::Anything;
            }
        }
    }

    fn add_to_context(&mut self, access: &Access<'_>) {
        let path = owned(&access.path);
        match &access.usage {
            _ if path.is_empty() => self.whole_context = true,
            Use::Tag(key, _) => self.bags.entry(path).or_default().merge(&keys(*key)),
            Use::Value | Use::Presence | Use::Guard | Use::Contains(_) => drop(self.context.insert(path)),
            // No part of the context is an entity by itself.
            Use::In(_) | Use::Name | Use::Anything => self.whole_context = true,
        }
    }
}

fn owned(path: &[&str]) -> Path {
    path.iter().map(|step| (*step).to_owned()).collect()
}

/// A literal key, or all where it is computed.
fn keys(literal: Option<&str>) -> Keys {
    literal.map_or(Keys::All, |key| Keys::Some([key.to_owned()].into()))
}

fn uid(literal: &EntityUID) -> Uid {
    Uid { kind: literal.ty.to_smolstr(), id: literal.eid.as_str().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::Policy;

    fn read_set(condition: &str) -> ReadSet {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policy = Policy::parse(None, text).unwrap().to_pst().unwrap();
        ReadSet::of(&Accesses::of(policy.body()))
    }

    fn paths(paths: &[&str]) -> BTreeSet<Path> {
        paths.iter().map(|path| path.split('.').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn paths_are_reached_with_everything_below() {
        let r = read_set(r#"principal has token.acr && principal.token.acr == "x" && context.http.path == "/""#);
        assert_eq!(r.principal.paths, paths(&["token.acr"]));
        assert_eq!(r.context, paths(&["http.path"]));
        assert!(!r.principal.itself && !r.principal.whole && !r.whole_context);
    }

    #[test]
    fn bags_and_tags_are_reached_by_key() {
        let r = read_set(
            r#"context.http.headers.hasTag("a") && resource.hasTag("id") && resource.getTag(context.http.host) == "b""#,
        );
        assert_eq!(
            r.bags,
            [(vec!["http".to_owned(), "headers".to_owned()], Keys::Some(["a".to_owned()].into()))].into()
        );
        assert_eq!(r.resource.tags, Keys::All);
        assert_eq!(r.context, paths(&["http.host"]));
    }

    #[test]
    fn membership_is_reached_by_name_or_whole() {
        let r = read_set(r#"principal in Group::"a" && resource in [Service::"s/a", Service::"s/b"]"#);
        assert_eq!(r.principal.within, [Uid::new("Group", "a")].into());
        assert_eq!(r.resource.within.len(), 2);
        assert!(!r.principal.all_ancestors && !r.resource.all_ancestors);
        let r = read_set("resource in principal.task.tools");
        assert!(r.resource.all_ancestors);
        assert_eq!(r.principal.paths, paths(&["task.tools"]));
    }

    #[test]
    fn what_is_not_understood_is_everything() {
        assert!(read_set("(if context.http.path == \"/\" then principal else resource).facts.x").principal.whole);
        assert!(read_set("[principal].contains(resource)").resource.whole);
        assert!(read_set("context == {}").whole_context);
    }

    #[test]
    fn what_differs_between_two_calls_of_the_same_words_does_not_last() {
        for condition in [
            "context.env.now < datetime(\"2026-01-01\")",
            "context.http.bodyBytes < 5",
            "context has approval",
            "context.args.hasTag(\"/a\")",
            "context.input.amount < 5",
            "context has input.amount",
            "context.http == context.http",
            "context == context",
            "context has http.bodyBytes",
        ] {
            assert!(!read_set(condition).is_request_stable(), "{condition}");
        }
        let words = r#"context.http.path == "/" && context.env.listener == "a" && context.http.headers.hasTag("x")"#;
        assert!(read_set(words).is_request_stable());
    }

    #[test]
    fn the_clock_is_noticed_on_every_way() {
        assert!(read_set("context.env.now < datetime(\"2026-01-01\")").reads_now());
        assert!(read_set("context.env == context.env").reads_now());
        assert!(read_set("context == context").reads_now());
        assert!(!read_set("context.env.listener == \"a\"").reads_now());
    }
}
