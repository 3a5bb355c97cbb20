//! Guards: the leading conditions of a policy that its scope could express, so that the index can use them.
//!
//! Knows: a policy's syntax. Must not know: other policies, calls, how an index is built.
//!
//! Cedar evaluates the scope and then the conditions, `&&` and `||` from left to right and no further than needed. So
//! if a test of principal or resource against named entities is false, and no part before it can fail, the policy is
//! neither satisfied nor failing, regardless of the rest. An index needs no more of a scope either.

use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Clause, EntityUID, Expr, Literal, Template, UnaryOp, Var};
use smol_str::ToSmolStr;

use super::scope_test::ScopeTest;
use crate::query::Uid;

/// Tests that settle a policy if one is false. Of every list one part must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::decision) struct Guards {
    /// Tests of the principal.
    pub(in crate::decision) principal: Vec<Vec<ScopeTest>>,
    /// Tests of the resource.
    pub(in crate::decision) resource: Vec<Vec<ScopeTest>>,
}

/// The outcome that an expression needs for its policy to apply.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    True,
    False,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Principal,
    Resource,
}

/// One part of `any` must hold of the subject.
struct Test {
    subject: Subject,
    any: Vec<ScopeTest>,
}

impl Guards {
    /// The guards of this policy.
    pub(in crate::decision) fn of(policy: &Template) -> Self {
        let mut lead = Self::default();
        for clause in policy.clauses() {
            let (expr, outcome) = match clause {
                Clause::When(expr) => (expr, Outcome::True),
                Clause::Unless(expr) => (expr, Outcome::False),
            };
            for Test { subject, any } in tests(expr, outcome) {
                match subject {
                    Subject::Principal => lead.principal.push(any),
                    Subject::Resource => lead.resource.push(any),
                }
            }
            if !never_fails(expr) {
                break;
            }
        }
        lead
    }
}

/// Tests that `expr` needs for this outcome: if one is false, `expr` has another outcome and does not fail.
fn tests(expr: &Expr, outcome: Outcome) -> Vec<Test> {
    use Outcome::{False, True};
    match (expr, outcome) {
        (Expr::UnaryOp { op: UnaryOp::Not, expr }, True) => tests(expr, False),
        (Expr::UnaryOp { op: UnaryOp::Not, expr }, False) => tests(expr, True),
        (Expr::BinaryOp { op: BinaryOp::And, left, right }, True)
        | (Expr::BinaryOp { op: BinaryOp::Or, left, right }, False) => {
            let mut found = tests(left, outcome);
            if never_fails(left) {
                found.extend(tests(right, outcome));
            }
            found
        }
        (Expr::BinaryOp { op: BinaryOp::Or, left, right }, True)
        | (Expr::BinaryOp { op: BinaryOp::And, left, right }, False) => {
            either(&tests(left, outcome), &tests(right, outcome))
        }
        (Expr::BinaryOp { op: BinaryOp::Eq, left, right }, True)
        | (Expr::BinaryOp { op: BinaryOp::NotEq, left, right }, False) => {
            equality(left, right).or_else(|| equality(right, left)).into_iter().collect()
        }
        (Expr::BinaryOp { op: BinaryOp::In, left, right }, True) => {
            membership(left, right, ScopeTest::In).into_iter().collect()
        }
        (Expr::Is { expr, entity_type, in_expr: Some(within) }, True) => {
            let kind: Arc<str> = entity_type.to_string().into();
            membership(expr, within, |uid| ScopeTest::IsIn(Arc::clone(&kind), uid)).into_iter().collect()
        }
        (Expr::Is { expr, entity_type, in_expr: None }, True) => {
            let any = vec![ScopeTest::Is(entity_type.to_string().into())];
            subject(expr).map(|subject| Test { subject, any }).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The test if one of two sides suffices: both sides must test the same subject, and one of their parts must hold.
fn either(left: &[Test], right: &[Test]) -> Vec<Test> {
    let both = |subject: Subject| {
        let of = |side: &[Test]| side.iter().find(|test| test.subject == subject).map(|test| test.any.clone());
        let any = of(left)?.into_iter().chain(of(right)?).collect();
        Some(Test { subject, any })
    };
    [Subject::Principal, Subject::Resource].into_iter().filter_map(both).collect()
}

fn equality(left: &Expr, right: &Expr) -> Option<Test> {
    Some(Test { subject: subject(left)?, any: vec![ScopeTest::Eq(entity(right)?)] })
}

fn membership(left: &Expr, right: &Expr, part: impl Fn(Arc<Uid>) -> ScopeTest) -> Option<Test> {
    Some(Test { subject: subject(left)?, any: entities(right)?.into_iter().map(part).collect() })
}

fn subject(expr: &Expr) -> Option<Subject> {
    match expr {
        Expr::Var(Var::Principal) => Some(Subject::Principal),
        Expr::Var(Var::Resource) => Some(Subject::Resource),
        _ => None,
    }
}

/// An entity, or a set of at least one.
fn entities(expr: &Expr) -> Option<Vec<Arc<Uid>>> {
    match expr {
        Expr::Set(items) if !items.is_empty() => items.iter().map(|item| entity(item)).collect(),
        _ => Some(vec![entity(expr)?]),
    }
}

fn entity(expr: &Expr) -> Option<Arc<Uid>> {
    let Expr::Literal(Literal::EntityUID(EntityUID { ty, eid })) = expr else { return None };
    Some(Arc::new(Uid { kind: ty.to_smolstr(), id: eid.as_str().into() }))
}

/// Returns whether it is true or false for every call: it only tests the query's three entities against named ones.
fn never_fails(expr: &Expr) -> bool {
    let is_entity = |expr: &Expr| match expr {
        Expr::Var(var) => match var {
            Var::Principal | Var::Action | Var::Resource => true,
            Var::Context => false,
        },
        _ => entity(expr).is_some(),
    };
    match expr {
        Expr::UnaryOp { op: UnaryOp::Not, expr } => never_fails(expr),
        Expr::BinaryOp { op: BinaryOp::And | BinaryOp::Or, left, right } => never_fails(left) && never_fails(right),
        Expr::BinaryOp { op: BinaryOp::Eq | BinaryOp::NotEq, left, right } => is_entity(left) && is_entity(right),
        Expr::BinaryOp { op: BinaryOp::In, left, right } => is_entity(left) && entities(right).is_some(),
        Expr::Is { expr, in_expr, .. } => {
            is_entity(expr) && in_expr.as_ref().is_none_or(|within| entities(within).is_some())
        }
        _ => false,
    }
}
