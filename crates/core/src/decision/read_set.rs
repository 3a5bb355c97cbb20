//! Read sets: the paths, keys and memberships of a query that a set of policies depends on.
//!
//! Two uses depend on it: inputs are built from nothing else, and a decision is remembered under exactly these
//! values. So it must never be too small. Whatever is not understood makes it everything.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, Template, Var};
use smol_str::ToSmolStr;

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

/// Where an operator's facts of a call lie: the one part of the context that can name the caller or the resource.
const FACT: [&str; 2] = ["env", "facts"];

fn is_fact(path: &[String]) -> bool {
    path.iter().zip(FACT).filter(|(step, fact)| step == fact).count() == FACT.len()
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
    pub fn of(policy: &Template) -> Self {
        let found = RefCell::new(Self::default());
        for clause in policy.clauses() {
            let (Clause::When(expr) | Clause::Unless(expr)) = clause;
            walk(expr, &found);
        }
        found.into_inner()
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

    fn entity(&mut self, root: Root) -> Option<&mut EntityReadSet> {
        match root {
            Root::Principal => Some(&mut self.principal),
            Root::Resource => Some(&mut self.resource),
            Root::Context => None,
        }
    }

    /// What an entity holds is asked for that neither `principal` nor `resource` names. It may be either of them all the
    /// same, and of no other entity anything is known.
    fn either(&mut self) {
        self.principal.whole = true;
        self.resource.whole = true;
    }

    fn add_path(&mut self, root: Root, path: Path) {
        // `context.env.facts.x` may be an entity, which a further step asks something of; here it looks like a record.
        if root == Root::Context && is_fact(&path) && path.len() > FACT.len() + 1 {
            self.either();
        }
        match (root, path.is_empty()) {
            (Root::Context, true) => self.whole_context = true,
            (Root::Context, false) => drop(self.context.insert(path)),
            (Root::Principal, true) => self.principal.whole = true,
            (Root::Resource, true) => self.resource.whole = true,
            (Root::Principal, false) => drop(self.principal.paths.insert(path)),
            (Root::Resource, false) => drop(self.resource.paths.insert(path)),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    Principal,
    Resource,
    Context,
}

/// `context.http.path` as its root and `["http", "path"]`.
fn path_of(expr: &Expr) -> Option<(Root, Path)> {
    match expr {
        Expr::Var(Var::Principal) => Some((Root::Principal, Vec::new())),
        Expr::Var(Var::Resource) => Some((Root::Resource, Vec::new())),
        Expr::Var(Var::Context) => Some((Root::Context, Vec::new())),
        Expr::GetAttr { expr, attr } => {
            let (root, mut path) = path_of(expr)?;
            path.push(attr.to_string());
            Some((root, path))
        }
        _ => None,
    }
}

fn entity_literal(expr: &Expr) -> Option<Vec<Uid>> {
    match expr {
        Expr::Literal(Literal::EntityUID(uid)) => {
            Some(vec![Uid { kind: uid.ty.to_smolstr(), id: uid.eid.as_str().into() }])
        }
        Expr::Set(items) => {
            let each = items.iter().map(|item| entity_literal(item)).collect::<Option<Vec<_>>>()?;
            Some(each.into_iter().flatten().collect())
        }
        _ => None,
    }
}

fn walk(expr: &Expr, found: &RefCell<ReadSet>) {
    let visit = |node: &Expr| visit(node, found);
    expr.reduce(&visit, &|(), ()| (), ());
}

/// Adds what a node depends on; `None` lets the walk go on into its children.
fn visit(node: &Expr, found: &RefCell<ReadSet>) -> Option<()> {
    match node {
        Expr::GetAttr { .. } => {
            let (root, path) = path_or_either(node, found)?;
            found.borrow_mut().add_path(root, path);
            Some(())
        }
        Expr::HasAttr { expr, attrs } => {
            let (root, mut path) = path_or_either(expr, found)?;
            path.extend(attrs.iter().map(|attr| attr.to_string()));
            found.borrow_mut().add_path(root, path);
            Some(())
        }
        Expr::BinaryOp { op: BinaryOp::GetTag | BinaryOp::HasTag, left, right } => {
            let (root, path) = path_or_either(left, found)?;
            walk(right, found);
            tag(root, path, right, found)
        }
        // Of actions all is known to everybody.
        Expr::BinaryOp { op: BinaryOp::In, left, .. } if matches!(&**left, Expr::Var(Var::Action)) => None,
        Expr::BinaryOp { op: BinaryOp::In, left, right } => {
            membership(named(left, found)?, right, found);
            Some(())
        }
        Expr::Is { expr, in_expr: Some(within), .. } => {
            membership(named(expr, found)?, within, found);
            Some(())
        }
        Expr::Is { expr, in_expr: None, .. } => match path_of(expr) {
            // The type of principal and resource is always part of what is reached.
            Some((Root::Principal | Root::Resource, path)) if path.is_empty() => Some(()),
            _ => None,
        },
        Expr::BinaryOp { op: BinaryOp::Eq | BinaryOp::NotEq, left, right } => {
            for side in [left, right] {
                match path_of(side) {
                    Some((root @ (Root::Principal | Root::Resource), path)) if path.is_empty() => {
                        found.borrow_mut().entity(root)?.itself = true;
                    }
                    _ => walk(side, found),
                }
            }
            Some(())
        }
        Expr::Var(Var::Principal) => {
            found.borrow_mut().principal.whole = true;
            Some(())
        }
        Expr::Var(Var::Resource) => {
            found.borrow_mut().resource.whole = true;
            Some(())
        }
        Expr::Var(Var::Context) => {
            found.borrow_mut().whole_context = true;
            Some(())
        }
        _ => None,
    }
}

/// As [`path_of`]; what is none may lead to any entity.
fn path_or_either(expr: &Expr, found: &RefCell<ReadSet>) -> Option<(Root, Path)> {
    let path = path_of(expr);
    if path.is_none() {
        found.borrow_mut().either();
    }
    path
}

/// Whose membership is asked for: the principal's or the resource's, or anybody's.
fn named(expr: &Expr, found: &RefCell<ReadSet>) -> Option<Root> {
    match path_of(expr) {
        Some((root @ (Root::Principal | Root::Resource), path)) if path.is_empty() => Some(root),
        _ => {
            found.borrow_mut().either();
            None
        }
    }
}

/// `context.http.headers.getTag("x")`, `resource.hasTag("id")`.
fn tag(root: Root, path: Path, key: &Expr, found: &RefCell<ReadSet>) -> Option<()> {
    let keys = match key {
        Expr::Literal(Literal::String(key)) => Keys::Some([key.to_string()].into()),
        _ => Keys::All,
    };
    let mut found = found.borrow_mut();
    match (root, path.is_empty()) {
        (Root::Context, false) => {
            if is_fact(&path) {
                found.either();
            }
            found.bags.entry(path).or_default().merge(&keys);
        }
        (Root::Context, true) => found.whole_context = true,
        (Root::Principal | Root::Resource, true) => found.entity(root)?.tags.merge(&keys),
        // A tag of something an attribute names: level 1 forbids it, so this is not understood.
        (Root::Principal | Root::Resource, false) => found.entity(root)?.whole = true,
    }
    Some(())
}

/// `principal in …`: literals are asked for by name, everything else by every ancestor there is.
fn membership(root: Root, right: &Expr, found: &RefCell<ReadSet>) {
    let literals = entity_literal(right);
    if literals.is_none() {
        walk(right, found);
    }
    let mut found = found.borrow_mut();
    let Some(entity) = found.entity(root) else { return };
    match literals {
        Some(literals) => entity.within.extend(literals),
        None => entity.all_ancestors = true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::Policy;

    fn read_set(condition: &str) -> ReadSet {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        ReadSet::of(Policy::parse(None, text).unwrap().to_pst().unwrap().body())
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
