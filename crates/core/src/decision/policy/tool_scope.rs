//! Widens the action scope of policies about all tool calls, so that it covers typed tools.
//!
//! Knows: policies' syntax. Must not know: the types of arguments.

use cedar_policy::pst::{self, ActionConstraint, BinaryOp, Clause, EntityUID, Expr, Literal, Template, Var};
use cedar_policy::{Policy, PolicyId, PolicySet, ValidationMode};

use crate::decision::limits::MESH;
use crate::decision::schema::Types;
use crate::decision::schema::diagnostics;
use crate::decision::schema::tool_actions::reads_input;
use crate::query::action;

/// The enforced form of a policy of `unit`: it covers calls of typed tools too, if its scope names calls of tools.
#[must_use]
pub fn enforced(policy: &Template, unit: &str, types: &Types) -> Template {
    if types.has_typed_tools(unit) { widened(policy) } else { policy.clone() }
}

fn widened(policy: &Template) -> Template {
    let mut policy = policy.clone();
    if let ActionConstraint::Eq(uid) = &policy.action
        && is_call_tool(uid)
    {
        policy.action = ActionConstraint::In(vec![uid.clone()]);
    }
    policy
}

/// A policy as written, with the actions of its enforced form.
#[must_use]
pub fn as_enforced(written: &Template, enforced: &Policy) -> Template {
    match enforced.action_constraint() {
        cedar_policy::ActionConstraint::In(_) => widened(written),
        cedar_policy::ActionConstraint::Any | cedar_policy::ActionConstraint::Eq(_) => written.clone(),
    }
}

/// Problems of a policy of `unit` with actions that would have another meaning for typed tools, or none.
#[must_use]
pub fn faults(policy: &Template, unit: &str, types: &Types) -> Vec<String> {
    let mut faults = foreign(policy, unit);
    if !types.has_typed_tools(unit) {
        return faults;
    }
    let is_told_apart =
        policy.clauses().iter().any(|(Clause::When(expr) | Clause::Unless(expr))| distinguishes_tools(expr));
    if is_told_apart {
        let call = action::CALL_TOOL;
        faults.push(format!(
            "a condition compares `action` and may exclude tools with an `input_schema`: their actions are members of \
             `Action::\"{call}\"`, but not equal to it; write `action in Action::\"{call}\"`"
        ));
    } else {
        faults.extend(schema_problem(policy, unit, types));
    }
    faults
}

/// Actions in the scope for tools that no call to this unit can name.
fn foreign(policy: &Template, unit: &str) -> Vec<String> {
    let named: &[EntityUID] = match &policy.action {
        ActionConstraint::Any => &[],
        ActionConstraint::Eq(uid) => std::slice::from_ref(uid),
        ActionConstraint::In(uids) => uids,
    };
    let outside = |uid: &&EntityUID| {
        let namespace = action::tool(uid.eid.as_str()).and_then(|tool| tool.split('/').next());
        unit != MESH && namespace.is_some_and(|namespace| namespace != unit)
    };
    named.iter().filter(outside).map(|uid| format!("`Action::\"{}\"` is outside namespace `{unit}`", uid.eid)).collect()
}

fn is_call_tool(uid: &EntityUID) -> bool {
    uid.eid.as_str() == action::CALL_TOOL && uid.ty.to_string() == "Action"
}

/// Returns whether a condition could differ between an action below `mcp.tools.call` and that action itself. `in` and
/// `is` cannot, nor can comparisons with other actions by name. Facts may name actions too, so any other use of an
/// action counts as a difference.
fn distinguishes_tools(expr: &Expr) -> bool {
    let visit = |node: &Expr| match node {
        Expr::BinaryOp { op: BinaryOp::In, left, right } if is_action(left) => is_named(right).then_some(false),
        Expr::Is { expr, in_expr, .. } if is_action(expr) => {
            in_expr.as_ref().is_none_or(|right| is_named(right)).then_some(false)
        }
        Expr::BinaryOp { op: BinaryOp::Eq | BinaryOp::NotEq, left, right }
            if (is_action(left) && is_named(right)) || (is_named(left) && is_action(right)) =>
        {
            Some(names_calls(left) || names_calls(right))
        }
        Expr::BinaryOp { op: BinaryOp::Contains, left, right } if is_named(left) && is_action(right) => {
            Some(names_calls(left))
        }
        Expr::Literal(Literal::EntityUID(uid)) => Some(is_call_tool(uid)),
        Expr::Var(Var::Action) => Some(true),
        _ => None,
    };
    expr.reduce(&visit, &|left, right| left || right, false)
}

fn is_action(expr: &Expr) -> bool {
    matches!(expr, Expr::Var(Var::Action))
}

fn names_calls(expr: &Expr) -> bool {
    expr.reduce(
        &|node| match node {
            Expr::Literal(Literal::EntityUID(uid)) => Some(is_call_tool(uid)),
            _ => None,
        },
        &|left, right| left || right,
        false,
    )
}

/// An entity, or a set of entities, by name.
fn is_named(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(Literal::EntityUID(_)) => true,
        Expr::Set(items) => items.iter().all(|item| matches!(**item, Expr::Literal(Literal::EntityUID(_)))),
        _ => false,
    }
}

/// Cedar's problem with a policy after its scope is widened; `None` if the scope is the same as before.
fn schema_problem(policy: &Template, unit: &str, types: &Types) -> Option<String> {
    let wide = widened(policy);
    if wide.action == policy.action || !reads_input(policy) {
        return None;
    }
    let wide = pst::StaticPolicy::try_from(wide).ok().and_then(|policy| Policy::from_pst(policy.into()).ok())?;
    let set = PolicySet::from_policies([wide.new_id(PolicyId::new("wide"))]).ok()?;
    let result = types.validator(unit, &wide).validate_with_level(&set, ValidationMode::Strict, 1);
    let error = result.validation_errors().next()?;
    let found = diagnostics::chain(error);
    let found = found.strip_prefix("for policy `wide`, ").unwrap_or(&found);
    Some(format!("the policy does not fit the schema for tools with an `input_schema`: {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_distinguished(condition: &str) -> bool {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policy = Policy::parse(None, text).unwrap().to_pst().unwrap();
        policy.body().clauses().iter().any(|(Clause::When(expr) | Clause::Unless(expr))| distinguishes_tools(expr))
    }

    #[test]
    fn a_condition_that_differs_for_a_tools_own_action_is_found() {
        for condition in [
            r#"action == Action::"mcp.tools.call""#,
            r#"Action::"mcp.tools.call" == action"#,
            r#"action != Action::"mcp.tools.call""#,
            r#"!(action == Action::"mcp.tools.call") || true"#,
            r#"[Action::"GET", Action::"mcp.tools.call"].contains(action)"#,
            r#"[action].contains(Action::"mcp.tools.call")"#,
            r#"{a: action}.a == Action::"mcp.tools.call""#,
            r#"Action::"mcp.tools.call" in action"#,
            r#"(if action == Action::"mcp.tools.call" then 1 else 2) == 1"#,
            r#"action in (if true then Action::"mcp.tools.call" else Action::"GET")"#,
            "context.env.facts.action == action",
            "context.env.facts.actions.contains(action)",
            "action in context.env.facts.action",
            r#"(if true then action else Action::"GET") == context.env.facts.action"#,
            "[action] == context.env.facts.actions",
        ] {
            assert!(is_distinguished(condition), "{condition}");
        }
        for condition in [
            r#"action in Action::"mcp.tools.call""#,
            r#"!(action in [Action::"GET", Action::"mcp.tools.call"])"#,
            r#"action is Action in Action::"mcp.tools.call""#,
            r#"action == Action::"GET" || [Action::"mcp.prompts.get"].contains(action)"#,
            r#"context.http.path == "mcp.tools.call""#,
            r#"Action::"GET" != action && action is Action"#,
        ] {
            assert!(!is_distinguished(condition), "{condition}");
        }
    }

    #[test]
    fn only_a_scope_that_names_calls_of_tools_alone_is_widened() {
        for (scope, wide) in [
            (r#"action == Action::"mcp.tools.call""#, r#"action in Action::"mcp.tools.call""#),
            (r#"action == Action::"mcp.tools.call/a/b/c""#, r#"action == Action::"mcp.tools.call/a/b/c""#),
            (r#"action in [Action::"GET", Action::"mcp.any"]"#, r#"action in [Action::"GET", Action::"mcp.any"]"#),
            ("action", "action"),
        ] {
            let text = format!("permit (principal, {scope}, resource);");
            let policy = Policy::parse(None, text).unwrap().to_pst().unwrap();
            let policy = pst::StaticPolicy::try_from(widened(policy.body())).unwrap();
            let text = Policy::from_pst(policy.into()).unwrap().to_string();
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(&format!("principal, {wide}, resource")), "{text}");
        }
    }
}
