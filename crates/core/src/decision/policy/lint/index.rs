//! Warns about policies that become candidates of very many calls because a condition makes a test that belongs in the
//! scope.
//!
//! Knows: a policy's syntax as written, and that the scope and the guards are indexed. Must not know: other policies,
//! calls.
//!
//! The warning names only tests that must hold for the policy to apply: moving one to the scope does not change the
//! meaning of the policy.

use cedar_policy::pst::{
    BinaryOp, Clause, EntityOrSlot, EntityUID, Expr, Literal, PatternElem, PrincipalConstraint, ResourceConstraint,
    Template, UnaryOp, Var,
};

use crate::decision::accesses::{Root, path_of};
use crate::decision::limits::MESH;
use crate::decision::policy::guards::Guards;
use crate::decision::policy::scope_test::ScopeTest;
use crate::problem::Problem;

/// Most scopes that one help spells out; a list of a hundred services would hide the advice.
const SCOPES_MAX: usize = 3;

/// The warning about one policy of `unit`, as written. `None` if its scope or its guards name something, or if no part
/// of its conditions could be a scope.
#[must_use]
pub fn note(file: &str, unit: &str, name: &str, policy: &Template) -> Option<Problem> {
    if !is_principal_open(&policy.principal) || !is_resource_open(&policy.resource, unit) {
        return None;
    }
    let guards = Guards::of(policy);
    if guards.principal.iter().chain(&guards.resource).any(|any| any.iter().all(|part| selects(part, unit))) {
        return None;
    }
    let mut tests = Vec::new();
    for clause in policy.clauses() {
        tests.extend(match clause {
            Clause::When(expr) => needed(expr, Outcome::True, unit),
            Clause::Unless(expr) => needed(expr, Outcome::False, unit),
        });
    }
    let (first, others) = tests.split_first()?;
    let also = if others.is_empty() { "" } else { " and more" };
    let message = format!(
        "policy `{unit}/{name}` is evaluated for every call that its action names: \
         it tests `{}`{also} in its condition, where no index finds it",
        first.written
    );
    Some(Problem::note(file, message).help(help(&tests)))
}

/// Returns whether a part finds fewer policies than all of its unit's.
fn selects(part: &ScopeTest, unit: &str) -> bool {
    match part {
        ScopeTest::Eq(_) => true,
        ScopeTest::In(uid) | ScopeTest::IsIn(_, uid) => unit == MESH || uid.kind != "Namespace" || uid.id != unit,
        ScopeTest::Is(_) | ScopeTest::Any => false,
    }
}

fn help(tests: &[Test]) -> String {
    let mut ways: Vec<String> = tests.iter().map(|test| scopes(&test.scopes)).collect();
    ways.dedup();
    let mut text = format!("narrow its scope to {}", ways.join(", or to "));
    if tests.iter().any(|test| test.kind == Kind::Entity && test.scopes.len() == 1) {
        text.push_str(", or write that test first in the condition");
    }
    if tests.iter().all(|test| test.kind == Kind::Path) {
        text.push_str(", or add the routes to a group of the catalogue and write `resource in Group::\"…\"`");
    }
    text
}

fn scopes(scopes: &[String]) -> String {
    let shown: Vec<String> = scopes.iter().take(SCOPES_MAX).map(|scope| format!("`{scope}`")).collect();
    let more = scopes.len().saturating_sub(SCOPES_MAX);
    match (scopes.len(), more) {
        (1, _) => shown.join(""),
        (_, 0) => format!("{} (a policy for each)", shown.join(" and ")),
        (_, more) => format!("{} and {more} more (a policy for each)", shown.join(", ")),
    }
}

fn is_principal_open(scope: &PrincipalConstraint) -> bool {
    match scope {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => true,
        PrincipalConstraint::Eq(_) | PrincipalConstraint::In(_) | PrincipalConstraint::IsIn(..) => false,
    }
}

/// Returns whether the scope names no resource. A namespace's policies are confined to it, so naming the namespace
/// selects nothing.
fn is_resource_open(scope: &ResourceConstraint, unit: &str) -> bool {
    match scope {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
        ResourceConstraint::Eq(_) => false,
        ResourceConstraint::In(slot) | ResourceConstraint::IsIn(_, slot) => match slot {
            EntityOrSlot::Entity(uid) => unit != MESH && uid.ty.to_string() == "Namespace" && uid.eid.as_str() == unit,
            EntityOrSlot::Slot(_) => false,
        },
    }
}

/// A test in a condition, and the equivalent scopes: one, or one for each policy to write.
struct Test {
    written: String,
    scopes: Vec<String>,
    kind: Kind,
}

/// The subject of a test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Entity,
    Path,
}

/// The outcome that an expression needs for the policy to apply.
#[derive(Clone, Copy)]
enum Outcome {
    True,
    False,
}

/// The tests that `expr` needs for this outcome.
fn needed(expr: &Expr, outcome: Outcome, unit: &str) -> Vec<Test> {
    use Outcome::{False, True};
    match (expr, outcome) {
        (Expr::UnaryOp { op: UnaryOp::Not, expr }, True) => needed(expr, False, unit),
        (Expr::UnaryOp { op: UnaryOp::Not, expr }, False) => needed(expr, True, unit),
        (Expr::BinaryOp { op: BinaryOp::And, left, right }, True)
        | (Expr::BinaryOp { op: BinaryOp::Or, left, right }, False) => {
            let mut both = needed(left, outcome, unit);
            both.extend(needed(right, outcome, unit));
            both
        }
        (Expr::BinaryOp { op: BinaryOp::Or, left, right }, True)
        | (Expr::BinaryOp { op: BinaryOp::And, left, right }, False) => {
            // Either side suffices, so both must name something: a policy for each.
            let first = |side| needed(side, outcome, unit).into_iter().next();
            first(left).zip(first(right)).map(|(left, right)| left.or(right)).into_iter().collect()
        }
        (Expr::BinaryOp { op: BinaryOp::Eq, left, right }, True)
        | (Expr::BinaryOp { op: BinaryOp::NotEq, left, right }, False) => {
            equality(left, right, unit).or_else(|| equality(right, left, unit)).into_iter().collect()
        }
        (Expr::BinaryOp { op: BinaryOp::In, left, right }, True) => {
            membership(left, "in", right).map(|scopes| Test::of(expr, scopes)).into_iter().collect()
        }
        (Expr::Is { expr: of, entity_type, in_expr: Some(within) }, True) => {
            let how = format!("is {entity_type} in");
            membership(of, &how, within).map(|scopes| Test::of(expr, scopes)).into_iter().collect()
        }
        (Expr::BinaryOp { op: BinaryOp::Contains, left, right }, True) if is_path(right) => {
            let Expr::Set(items) = &**left else { return Vec::new() };
            let paths: Option<Vec<&str>> = items.iter().map(|item| text(item)).collect();
            let scopes = paths.map(|paths| paths.into_iter().map(|path| at_path("==", path, unit)).collect());
            scopes.map(|scopes| Test { kind: Kind::Path, ..Test::of(expr, scopes) }).into_iter().collect()
        }
        (Expr::Like { expr: of, pattern }, True) if is_path(of) => {
            let scope = folder(pattern).map(|folder| at_path("in", &folder, unit));
            scope.map(|scope| Test { kind: Kind::Path, ..Test::of(expr, vec![scope]) }).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

impl Test {
    fn of(expr: &Expr, scopes: Vec<String>) -> Self {
        Self { written: expr.to_string(), scopes, kind: Kind::Entity }
    }

    fn or(self, other: Self) -> Self {
        let kind = if self.kind == other.kind { self.kind } else { Kind::Entity };
        let written = format!("{} || {}", self.written, other.written);
        Self { written, scopes: self.scopes.into_iter().chain(other.scopes).collect(), kind }
    }
}

fn equality(left: &Expr, right: &Expr, unit: &str) -> Option<Test> {
    let written = format!("{left} == {right}");
    if is_path(left) {
        return Some(Test { written, scopes: vec![at_path("==", text(right)?, unit)], kind: Kind::Path });
    }
    let scopes = vec![format!("{} == {}", variable(left)?, entity(right)?)];
    Some(Test { written, scopes, kind: Kind::Entity })
}

/// `resource in Service::"shop/orders"`; a set gives a scope for each of its members.
fn membership(left: &Expr, how: &str, right: &Expr) -> Option<Vec<String>> {
    let name = variable(left)?;
    let scope = |uid: &EntityUID| format!("{name} {how} {uid}");
    match right {
        Expr::Set(items) if !items.is_empty() => items.iter().map(|item| entity(item).map(scope)).collect(),
        _ => Some(vec![scope(entity(right)?)]),
    }
}

fn variable(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::Var(Var::Principal) => Some("principal"),
        Expr::Var(Var::Resource) => Some("resource"),
        _ => None,
    }
}

fn entity(expr: &Expr) -> Option<&EntityUID> {
    match expr {
        Expr::Literal(Literal::EntityUID(uid)) => Some(uid),
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(Literal::String(text)) => Some(text.as_str()),
        _ => None,
    }
}

/// Returns whether it is `context.http.path`.
fn is_path(expr: &Expr) -> bool {
    path_of(expr).is_some_and(|(root, path)| root == Root::Context && path == ["http", "path"])
}

/// A scope for a path of a service that only the reader knows.
fn at_path(how: &str, path: &str, unit: &str) -> String {
    let namespace = if unit == MESH { "<namespace>" } else { unit };
    format!("resource {how} Path::\"{namespace}/<service>{}\"", path.escape_debug())
}

/// The path above the first wildcard: `/v1` of `/v1/o*`.
fn folder(pattern: &[PatternElem]) -> Option<String> {
    let literal = pattern.iter().map_while(|element| match element {
        PatternElem::Char(character) => Some(*character),
        PatternElem::Wildcard => None,
    });
    let literal: String = literal.collect();
    let (folder, _) = literal.rsplit_once('/')?;
    (!folder.is_empty()).then(|| folder.to_owned())
}
