//! Checks obligation templates against the schema: each variable must have a textual type.
//!
//! Cedar's validator decides: the variable is inserted into a policy with the same scope, once for each textual type,
//! and one of these policies must validate.

use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Clause, EntityType, Expr, Literal, Name, PatternElem, StaticPolicy, Var};
use cedar_policy::{Policy, pst};

use super::{lint, required_inputs};
use crate::decision::accesses::{self, Access, Origin, Use};
use crate::decision::schema::Types;
use crate::obligation::template::{Root, Template, Variable};
use crate::query::Reads;

/// Checks every variable of a template; returns the problems.
#[must_use]
pub fn check(policy: &Policy, template: &Template, unit: &str, types: &Types) -> Vec<String> {
    let unknown = |variable: &&Variable| !variable.is_id() && !is_textual(policy, variable, unit, types);
    let fault = |variable: &Variable| {
        format!("`${{{variable}}}` does not name a text that this policy's principals, actions and resources can have")
    };
    template.variables().filter(unknown).map(fault).collect()
}

/// Adds the inputs that templates read.
pub fn reads<'a>(templates: impl Iterator<Item = &'a Template>, reads: &mut Reads) {
    for variable in templates.flat_map(Template::variables) {
        let root = match variable.root {
            Root::Principal => accesses::Root::Principal,
            Root::Resource => accesses::Root::Resource,
            Root::Context => accesses::Root::Context,
            // An action has nothing but its name.
            Root::Action => continue,
        };
        let path = variable.path.iter().map(String::as_str).collect();
        let access = Access { origin: Origin::Root(root), path, usage: Use::Value };
        required_inputs::add(&access, reads);
    }
}

fn is_textual(policy: &Policy, variable: &Variable, unit: &str, types: &Types) -> bool {
    let root = match variable.root {
        Root::Principal => Var::Principal,
        Root::Resource => Var::Resource,
        Root::Context => Var::Context,
        Root::Action => return false,
    };
    let (guards, value) = path(root, &variable.path);
    tests_of(&value).into_iter().flatten().any(|test| {
        let condition = guards.iter().rev().cloned().fold(test, |rest, guard| and(guard, rest));
        with_condition(policy, condition).is_some_and(|policy| lint::passes(&policy, unit, types))
    })
}

/// The value's expression, and `has` tests for every step: without them an optional attribute would not validate.
fn path(root: Var, names: &[String]) -> (Vec<Expr>, Expr) {
    let mut value = Expr::Var(root);
    let mut guards = Vec::new();
    for name in names {
        if let Some(guard) = has(&value, name) {
            guards.push(guard);
        }
        value = Expr::GetAttr { expr: Arc::new(value), attr: name.as_str().into() };
    }
    (guards, value)
}

fn has(value: &Expr, name: &str) -> Option<Expr> {
    // The list type of `HasAttr` is not exported; Cedar's parser makes one.
    let parsed =
        Policy::parse(None, format!("permit (principal, action, resource) when {{ context has {name} }};")).ok()?;
    let pst = parsed.to_pst().ok()?;
    let Some(Clause::When(expr)) = pst.body().clauses().first() else { return None };
    match expr.as_ref() {
        Expr::HasAttr { attrs, .. } => Some(Expr::HasAttr { expr: Arc::new(value.clone()), attrs: attrs.clone() }),
        _ => None,
    }
}

/// One test for each type that has a textual form.
fn tests_of(value: &Expr) -> Vec<Option<Expr>> {
    let binary =
        |op, right| Some(Expr::BinaryOp { op, left: Arc::new(value.clone()), right: Arc::new(Expr::Literal(right)) });
    let of_type = || {
        let name = Name::unqualified("Workload").ok()?;
        Some(Expr::Is { expr: Arc::new(value.clone()), entity_type: EntityType(name), in_expr: None })
    };
    vec![
        Some(Expr::Like { expr: Arc::new(value.clone()), pattern: vec![PatternElem::Wildcard] }),
        binary(BinaryOp::LessEq, Literal::Long(0)),
        binary(BinaryOp::Eq, Literal::Bool(true)),
        binary(BinaryOp::Contains, Literal::String("".into())),
        of_type(),
    ]
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { op: BinaryOp::And, left: Arc::new(left), right: Arc::new(right) }
}

fn with_condition(policy: &Policy, condition: Expr) -> Option<Policy> {
    let mut body = policy.to_pst().ok()?.body().clone();
    let fresh = pst::Template::new(
        body.id.clone(),
        body.effect,
        body.principal.clone(),
        body.action.clone(),
        body.resource.clone(),
    );
    body = fresh.try_with_clauses(vec![Clause::When(Arc::new(condition))]).ok()?;
    Policy::from_pst(StaticPolicy::try_from(body).ok()?.into()).ok()
}
