//! Explains a verdict: for each policy that can apply to the query, how far it matched.
//!
//! Off the request path: every policy is evaluated again, clause by clause.

pub mod masked;

use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, StaticPolicy, Template, Var};
use cedar_policy::{Authorizer, Policy, PolicySet, pst};

use super::accesses::{Root, path_of};
use super::allowance::POLICY_COST_MAX;
use super::engine::evaluate::too_costly;
use super::engine::projection::query_bytes;
use super::policy::entry::Entry;
use super::schema::cedar_values::{self, Inputs};
use super::snapshot::Snapshot;
use super::snapshot::applicable_bundles;
use crate::failure::{Code, Failure};
use crate::query::{Node, Query, Value};

/// How far one policy matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// Its scope does not name this principal, action and resource; these parts of it do not hold, as Cedar writes them.
    OutOfScope(Vec<String>),
    /// Scope and conditions hold.
    Satisfied,
    /// The scope matches, and this condition does not hold.
    Unmet {
        /// The condition, as Cedar writes it.
        condition: String,
        /// The inputs that it read in this call, as `path = value`.
        values: Vec<String>,
    },
    /// The scope matches, and evaluation failed.
    Failed(String),
}

/// One policy and how far it matched.
#[derive(Debug, Clone)]
pub struct Line {
    /// The policy.
    pub entry: Arc<Entry>,
    /// How far it matched.
    pub matched: Match,
}

/// Explains a completed query; one line for each policy that can apply to it, in order of id.
///
/// # Errors
/// As [`decide`](super::decide()).
pub fn explain(snapshot: &Snapshot, query: &Query) -> Result<Vec<Line>, Failure> {
    let inputs =
        cedar_values::inputs(query, snapshot.types()).map_err(|detail| Failure::new(Code::QueryInvalid, detail))?;
    let bytes = query_bytes(query);
    let mut lines = Vec::new();
    for unit in applicable_bundles(snapshot, &query.namespace)? {
        for entry in unit.entries.values() {
            let matched = matched(entry, &inputs, query, bytes);
            lines.push(Line { entry: Arc::clone(entry), matched: shown(entry, matched) });
        }
    }
    Ok(lines)
}

/// The same without a message that may quote hidden values.
fn shown(entry: &Entry, matched: Match) -> Match {
    match matched {
        Match::Failed(message) => {
            let is_hidden = |clause: &Clause| {
                let (Clause::When(expr) | Clause::Unless(expr)) = clause;
                masked::reads_hidden(expr)
            };
            match entry.syntax() {
                Ok(whole) if !whole.clauses().iter().any(is_hidden) => Match::Failed(message),
                Ok(_) | Err(_) => {
                    Match::Failed("a condition that reads headers or the query failed to evaluate".to_owned())
                }
            }
        }
        Match::OutOfScope(_) | Match::Satisfied | Match::Unmet { .. } => matched,
    }
}

/// A condition as Cedar writes it, without the texts that hidden values are compared with.
fn written(clause: &Clause) -> String {
    let (Clause::When(expr) | Clause::Unless(expr)) = clause;
    let text = clause.to_string();
    if masked::reads_hidden(expr) { masked::without_texts(&text) } else { text }
}

fn matched(entry: &Entry, inputs: &Inputs, query: &Query, bytes: usize) -> Match {
    let Ok(whole) = entry.syntax() else { return Match::Failed("its syntax does not parse".to_owned()) };
    match holds(&scope_of(&whole), &[], inputs) {
        Ok(true) => {}
        Ok(false) => return Match::OutOfScope(unmet_scope(&whole, inputs)),
        Err(message) => return Match::Failed(message),
    }
    let parts: Vec<Clause> = whole.clauses().iter().flat_map(conjuncts).collect();
    // Every part is evaluated together with all parts before it.
    let times = u64::try_from(parts.len()).unwrap_or(u64::MAX);
    if entry.cost.with(bytes).saturating_mul(times) > POLICY_COST_MAX {
        return Match::Failed(too_costly(bytes));
    }
    let mut so_far: Vec<Clause> = Vec::new();
    for part in parts {
        so_far.push(part.clone());
        match holds(&scope_of(&whole), &so_far, inputs) {
            Ok(true) => {}
            Ok(false) => return Match::Unmet { condition: written(&part), values: read(&part, query) },
            Err(message) => return Match::Failed(message),
        }
    }
    Match::Satisfied
}

fn scope_of(policy: &Template) -> Template {
    Template::new(
        policy.id.clone(),
        pst::Effect::Permit,
        policy.principal.clone(),
        policy.action.clone(),
        policy.resource.clone(),
    )
}

/// The parts of a scope that do not hold, each tested alone.
fn unmet_scope(policy: &Template, inputs: &Inputs) -> Vec<String> {
    use pst::{ActionConstraint, PrincipalConstraint, ResourceConstraint};
    let (principal, action, resource) = (&policy.principal, &policy.action, &policy.resource);
    let any = (PrincipalConstraint::Any, ActionConstraint::Any, ResourceConstraint::Any);
    let alone = |p: &PrincipalConstraint, a: &ActionConstraint, r: &ResourceConstraint| {
        let scope = Template::new(policy.id.clone(), pst::Effect::Permit, p.clone(), a.clone(), r.clone());
        holds(&scope, &[], inputs) == Ok(true)
    };
    let parts = [
        (alone(principal, &any.1, &any.2), format!("principal {principal}")),
        (alone(&any.0, action, &any.2), format!("action {action}")),
        (alone(&any.0, &any.1, resource), format!("resource {resource}")),
    ];
    parts.into_iter().filter(|(holds, _)| !holds).map(|(_, part)| part).collect()
}

/// Returns whether a policy with these clauses is satisfied.
fn holds(scope: &Template, clauses: &[Clause], inputs: &Inputs) -> Result<bool, String> {
    let policy = scope.clone().try_with_clauses(clauses.to_vec()).map_err(|error| error.to_string())?;
    let policy = StaticPolicy::try_from(policy).map_err(|error| error.to_string())?;
    let policy = Policy::from_pst(policy.into()).map_err(|error| error.to_string())?;
    let set = PolicySet::from_policies([policy]).map_err(|error| error.to_string())?;
    let response = Authorizer::new().is_authorized(&inputs.request, &set, &inputs.entities);
    match response.diagnostics().errors().next() {
        Some(cedar_policy::AuthorizationError::PolicyEvaluationError(error)) => Err(error.inner().to_string()),
        None => Ok(response.diagnostics().reason().next().is_some()),
    }
}

/// `when { a && b }` as `when { a }` and `when { b }`; any other clause whole.
fn conjuncts(clause: &Clause) -> Vec<Clause> {
    match clause {
        Clause::When(expr) => {
            let mut parts = Vec::new();
            split(expr, &mut parts);
            parts.into_iter().map(Clause::When).collect()
        }
        Clause::Unless(_) => vec![clause.clone()],
    }
}

fn split(expr: &Arc<Expr>, parts: &mut Vec<Arc<Expr>>) {
    match expr.as_ref() {
        Expr::BinaryOp { op: BinaryOp::And, left, right } => {
            split(left, parts);
            split(right, parts);
        }
        _ => parts.push(Arc::clone(expr)),
    }
}

/// The inputs of a condition, with their values in this call.
fn read(clause: &Clause, query: &Query) -> Vec<String> {
    let (Clause::When(expr) | Clause::Unless(expr)) = clause;
    let found = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let visit = |node: &Expr| -> Option<()> {
        match node {
            Expr::BinaryOp { op: BinaryOp::GetTag | BinaryOp::HasTag, left, right } => {
                let Expr::Literal(Literal::String(key)) = right.as_ref() else { return None };
                // The call selects the map; the inputs of that selection are shown separately.
                path_of(left)?;
                let value = bag(left, query).map(|node| node.tags.get(key.as_str()));
                let (path, value) = (format!("{left}[\"{key}\"]"), value.flatten());
                let shown = match value {
                    Some(_) if masked::is_hidden(left) => format!("{path} is present"),
                    value => line(&path, value),
                };
                found.borrow_mut().insert(shown);
                Some(())
            }
            Expr::GetAttr { .. } => {
                let (root, path) = path_of(node)?;
                found.borrow_mut().insert(line(&node.to_string(), value_at(root, &path, query).as_ref()));
                Some(())
            }
            Expr::HasAttr { expr, attrs } => {
                let (root, mut path) = path_of(expr)?;
                path.extend(attrs.iter().map(|attr| attr.as_str()));
                let name = format!("{}.{}", root.as_str(), path.join("."));
                let found_line = match value_at(root, &path, query) {
                    // Only its presence is tested; its parts would hide the rest.
                    Some(Value::Record(_)) => format!("{name} is present"),
                    value => line(&name, value.as_ref()),
                };
                found.borrow_mut().insert(found_line);
                Some(())
            }
            Expr::Var(Var::Principal) => {
                found.borrow_mut().insert(format!("principal = {}", query.principal.uid));
                None
            }
            Expr::Var(Var::Resource) => {
                found.borrow_mut().insert(format!("resource = {}", query.resource.uid));
                None
            }
            _ => None,
        }
    };
    expr.reduce(&visit, &|(), ()| (), ());
    found.into_inner().into_iter().collect()
}

fn line(path: &str, value: Option<&Value>) -> String {
    match value {
        Some(value) => format!("{path} = {}", show(value)),
        None => format!("{path} is absent"),
    }
}

fn value_at(root: Root, path: &[&str], query: &Query) -> Option<Value> {
    let (first, below) = path.split_first()?;
    let mut value = match root {
        Root::Principal => query.principal.attributes.get(*first)?,
        Root::Resource => query.resource.attributes.get(*first)?,
        Root::Context => query.context.get(*first)?,
    };
    for name in below {
        let Value::Record(record) = value else { return None };
        value = record.get(*name)?;
    }
    Some(value.clone())
}

fn bag<'a>(expr: &Expr, query: &'a Query) -> Option<&'a Node> {
    let (root, path) = path_of(expr)?;
    if path.is_empty() {
        return (root == Root::Resource).then_some(&query.resource);
    }
    let Value::Entity(uid) = value_at(root, &path, query)? else { return None };
    query.bags.iter().find(|node| node.uid == uid)
}

/// A value as policies write it.
#[must_use]
pub fn show(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", text.escape_debug()),
        Value::Long(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Entity(uid) => uid.to_string(),
        Value::Set(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Record(record) => {
            let fields: Vec<_> = record.iter().map(|(name, value)| format!("{name}: {}", show(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Time(ms) => match jiff::Timestamp::from_millisecond(*ms) {
            Ok(time) => format!("datetime(\"{time}\")"),
            Err(_) => format!("datetime({ms} ms)"),
        },
        Value::Duration(text) => format!("duration(\"{text}\")"),
        Value::Ip(text) => format!("ip(\"{text}\")"),
        Value::Decimal(text) => format!("decimal(\"{text}\")"),
    }
}
