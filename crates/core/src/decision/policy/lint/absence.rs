//! Warns about forbids that a caller evades by leaving an argument out.
//!
//! Knows: a policy's syntax as written. Must not know: other policies, calls.
//!
//! A caller may omit an argument, and can send a number as text. A forbid with `hasTag` in `when` applies only to
//! callers that send the argument as expected. A forbid with `hasTag` in `unless` applies to all others too.

use cedar_policy::pst::{BinaryOp, Clause, Expr, Template, UnaryOp};

use crate::decision::accesses::bag_of;

/// The map of arguments that must have a key for this forbid to apply; `None` if absence never stops it.
///
/// `context.kinds` is left out: it has every value that was sent, of any type, so `when` with it is about calls that
/// have the argument on purpose.
#[must_use]
pub fn presence_needed(forbid: &Template) -> Option<String> {
    forbid.clauses().iter().find_map(|clause| match clause {
        Clause::When(expr) => needed(expr, Effect::Fires),
        Clause::Unless(expr) => needed(expr, Effect::Spares),
    })
}

/// The effect of an expression's truth on its forbid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Fires,
    Spares,
    /// It is compared with something or chooses between two.
    Either,
}

impl Effect {
    fn inverse(self) -> Self {
        match self {
            Self::Fires => Self::Spares,
            Self::Spares => Self::Fires,
            Self::Either => Self::Either,
        }
    }
}

fn needed(expr: &Expr, effect: Effect) -> Option<String> {
    match expr {
        Expr::BinaryOp { op: BinaryOp::HasTag, left, right } => {
            let bag = bag_of(left).filter(|bag| matches!(*bag, "args" | "numbers" | "decimals" | "fields"));
            let bag = bag.filter(|_| effect != Effect::Spares).map(str::to_owned);
            bag.or_else(|| needed(right, Effect::Either))
        }
        Expr::UnaryOp { op: UnaryOp::Not, expr } => needed(expr, effect.inverse()),
        Expr::BinaryOp { op: BinaryOp::And | BinaryOp::Or, left, right } => {
            needed(left, effect).or_else(|| needed(right, effect))
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            let branches = [then_expr, else_expr].into_iter().find_map(|branch| needed(branch, effect));
            needed(cond, Effect::Either).or(branches)
        }
        _ => {
            let visit = |node: &Expr| match node {
                Expr::BinaryOp { op: BinaryOp::HasTag | BinaryOp::And | BinaryOp::Or, .. }
                | Expr::UnaryOp { op: UnaryOp::Not, .. }
                | Expr::IfThenElse { .. } => Some(needed(node, Effect::Either)),
                _ => None,
            };
            expr.reduce(&visit, &|a: Option<String>, b| a.or(b), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::Policy;

    fn check(clauses: &str, expected: Option<&str>) {
        let text = format!("forbid (principal, action, resource) {clauses};");
        let policy = Policy::parse(None, text).unwrap().to_pst().unwrap();
        assert_eq!(presence_needed(policy.body()).as_deref(), expected, "{clauses}");
    }

    #[test]
    fn a_forbid_that_needs_an_argument_is_found() {
        for (clauses, bag) in [
            (r#"when { context.numbers.hasTag("/a") && context.numbers.getTag("/a") > 5 }"#, "numbers"),
            (r#"when { context.http.host == "a" || context.args.hasTag("/a") }"#, "args"),
            (r#"unless { !context.args.hasTag("/a") || context.args.getTag("/a") == "x" }"#, "args"),
            (r#"unless { !(context.decimals.hasTag("/a") && true) }"#, "decimals"),
            (r#"when { if context.args.hasTag("/a") then true else false }"#, "args"),
            (r#"unless { context.fields.hasTag("/a") == false }"#, "fields"),
            (r#"unless { if true then !context.args.hasTag("/a") else true }"#, "args"),
            (r#"when { true } unless { false } when { [context.args.hasTag("/a")].contains(true) }"#, "args"),
        ] {
            check(clauses, Some(bag));
        }
    }

    #[test]
    fn a_forbid_that_absence_does_not_stop_is_not_found() {
        for clauses in [
            "",
            r#"unless { context.numbers.hasTag("/a") && context.numbers.getTag("/a") <= 5 }"#,
            r#"when { !(context.args.hasTag("/a") && context.args.getTag("/a") == "x") }"#,
            r#"unless { context has args && (context.args.hasTag("/a") || context.decimals.hasTag("/a")) }"#,
            r#"unless { if true then context.args.hasTag("/a") else false }"#,
            r#"when { context.kinds.hasTag("/a") } unless { context.args.hasTag("/a") }"#,
            r#"when { context.http.headers.hasTag("x-a") || context.http.query.hasTag("a") || resource.hasTag("a") }"#,
        ] {
            check(clauses, None);
        }
    }
}
