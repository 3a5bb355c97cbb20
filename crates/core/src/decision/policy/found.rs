//! Checks what a policy does with findings: `context.found` and `@mask`.
//!
//! Knows: a policy's syntax, the names of detectors. Must not know: text, calls, other policies.
//!
//! An answer that is a stream is decided at its start, with nothing found, and again at each detector's first finding. So
//! a finding may only make an answer stricter: otherwise a part that an earlier verdict stopped could have left by a
//! later one, or a document and a stream with the same text would differ.

use cedar_policy::pst::{BinaryOp, Clause, Expr, Template, UnaryOp};
use cedar_policy::{ActionConstraint, Effect, Policy};

use super::entry::FileContext;
use super::remedy::Remedy;
use super::source::SourcePolicy;
use crate::decision::accesses::{Access, Accesses, Origin, Root, Use, path_of};
use crate::problem::Problem;
use crate::query::{ContentUse, Keys};

/// The part of the context with the findings.
const FOUND: &str = "found";
/// The action of an answer.
const RELEASE: &str = "release";

/// Faults of a policy's use of findings. `read` is what its conditions read of the content, `remedy` its remedy.
pub(in crate::decision) fn check(
    context: &FileContext<'_>,
    written: &SourcePolicy<'_>,
    syntax: &Template,
    read: &ContentUse,
    remedy: Option<&Remedy>,
) -> Vec<Problem> {
    let mut faults = Vec::new();
    let tested = match &read.tested {
        Keys::All => None,
        Keys::Some(names) => Some(names),
    };
    let masked = match remedy {
        Some(Remedy::Mask { detectors }) => Some(detectors),
        Some(Remedy::StepUp { .. } | Remedy::AddScope { .. } | Remedy::NarrowToken | Remedy::Approve { .. }) | None => {
            None
        }
    };
    let known = context.validation.detectors;
    for name in tested.into_iter().chain(masked).flatten().filter(|name| !known.has(name)) {
        let problem = Problem::error(context.file, format!("there is no detector `{name}`"));
        faults.push(problem.at(Some(place(written, name))).help(known.help_for(name)));
    }
    if let (Some(tested), Some(masked)) = (tested.filter(|tested| !tested.is_empty()), masked) {
        for name in masked.difference(tested) {
            let message = format!("`@mask` names `{name}`, and the conditions test other detectors only");
            let help =
                "a mask applies once a condition holds: test the detector there, or mask it by a policy of its own";
            faults.push(Problem::error(context.file, message).at(Some(place(written, name))).help(help));
        }
    }
    if is_about_answers(&written.policy)
        && syntax.clauses().iter().any(|clause| loosens(written.policy.effect(), clause))
    {
        let message = match written.policy.effect() {
            Effect::Permit => "this permit allows an answer because of a finding",
            Effect::Forbid => "this forbid stops fewer answers with more findings",
        };
        let help = "a finding may only make an answer stricter: write a forbid that tests `context.found` in `when`, without `!`";
        faults.push(Problem::error(context.file, message).at(Some(written.span.clone())).help(help));
    }
    faults
}

/// Whether a policy tests that everything was read: then it answers for what was not.
pub(in crate::decision) fn tests_inspected(accesses: &Accesses<'_>) -> bool {
    let is_test = |access: &Access<'_>| {
        access.origin == Origin::Root(Root::Context) && access.path == ["inspected"] && access.usage == Use::Value
    };
    accesses.list.iter().any(is_test)
}

/// The place of a name in its file.
fn place(written: &SourcePolicy<'_>, name: &str) -> std::ops::Range<usize> {
    written.source.find(name).map_or(written.span.clone(), |at| {
        let begin = written.span.start + at;
        begin..begin + name.len()
    })
}

fn is_about_answers(policy: &Policy) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(action) => action.id().unescaped() == RELEASE,
        ActionConstraint::In(actions) => actions.iter().any(|action| action.id().unescaped() == RELEASE),
    }
}

/// Whether more findings can make a permit satisfied, or a forbid not.
fn loosens(effect: Effect, clause: &Clause) -> bool {
    let (trend, wanted) = match (effect, clause) {
        (Effect::Forbid, Clause::When(expr)) | (Effect::Permit, Clause::Unless(expr)) => {
            (Trend::of(expr), Trend::Rises)
        }
        (Effect::Forbid, Clause::Unless(expr)) | (Effect::Permit, Clause::When(expr)) => {
            (Trend::of(expr), Trend::Falls)
        }
    };
    trend != Trend::Stays && trend != wanted
}

/// How the truth of an expression changes with more findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trend {
    /// It does not depend on findings.
    Stays,
    /// It can become true, and not false.
    Rises,
    /// It can become false, and not true.
    Falls,
    /// Unknown.
    Varies,
}

impl Trend {
    fn of(expr: &Expr) -> Self {
        if !reads_found(expr) {
            return Self::Stays;
        }
        match expr {
            Expr::UnaryOp { op: UnaryOp::Not, expr } => Self::of(expr).reversed(),
            Expr::UnaryOp { op: UnaryOp::IsEmpty, expr } if is_found(expr) => Self::Falls,
            Expr::BinaryOp { op: BinaryOp::And | BinaryOp::Or, left, right } => Self::of(left).and(Self::of(right)),
            Expr::BinaryOp { op: BinaryOp::Contains | BinaryOp::ContainsAny | BinaryOp::ContainsAll, left, right }
                if is_found(left) && !reads_found(right) =>
            {
                Self::Rises
            }
            Expr::BinaryOp { op: BinaryOp::ContainsAny, left, right } if is_found(right) && !reads_found(left) => {
                Self::Rises
            }
            Expr::BinaryOp { op: BinaryOp::ContainsAll, left, right } if is_found(right) && !reads_found(left) => {
                Self::Falls
            }
            Expr::IfThenElse { cond, then_expr, else_expr } if !reads_found(cond) => {
                Self::of(then_expr).and(Self::of(else_expr))
            }
            _ => Self::Varies,
        }
    }

    fn reversed(self) -> Self {
        match self {
            Self::Rises => Self::Falls,
            Self::Falls => Self::Rises,
            Self::Stays | Self::Varies => self,
        }
    }

    /// The trend of an expression that rises with either part.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Stays, trend) | (trend, Self::Stays) => trend,
            (one, other) if one == other => one,
            (Self::Rises | Self::Falls | Self::Varies, Self::Rises | Self::Falls | Self::Varies) => Self::Varies,
        }
    }
}

fn is_found(expr: &Expr) -> bool {
    path_of(expr).is_some_and(|(root, path)| root == Root::Context && path == [FOUND])
}

/// Whether an expression may read the findings. Every answer has them, so their presence says nothing.
fn reads_found(expr: &Expr) -> bool {
    let accesses = Accesses::of_expr(expr);
    accesses.list.iter().any(|access| match (access.origin, &access.usage) {
        (Origin::Root(Root::Context), Use::Presence | Use::Guard) => false,
        (Origin::Root(Root::Context), _) => access.path.first().is_none_or(|first| *first == FOUND),
        (Origin::Root(Root::Principal | Root::Resource) | Origin::FactEntity, _) => false,
        (Origin::Unknown, usage) => *usage == Use::Anything,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(condition: &str) -> Trend {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policy = Policy::parse(None, text).unwrap().to_pst().unwrap();
        let Some(Clause::When(expr)) = policy.body().clauses().first().cloned() else { panic!("{condition}") };
        Trend::of(&expr)
    }

    #[test]
    fn the_trend_of_a_condition_is_that_of_its_parts() {
        for (condition, expected) in [
            ("context.status == 200", Trend::Stays),
            ("context has found", Trend::Stays),
            (r#"context.found.contains("card")"#, Trend::Rises),
            (r#"context.found.containsAny(["card"]) && context.status == 200"#, Trend::Rises),
            (r#"["card"].containsAny(context.found) || context.found.containsAll(["iban", "card"])"#, Trend::Rises),
            (r#"!context.found.contains("card")"#, Trend::Falls),
            (r#"["card"].containsAll(context.found)"#, Trend::Falls),
            ("context.found.isEmpty()", Trend::Falls),
            (r#"!(context.found.isEmpty() || !context.found.contains("card"))"#, Trend::Rises),
            (r#"if context.stream then context.found.contains("card") else false"#, Trend::Rises),
            (r#"if context.found.contains("card") then false else true"#, Trend::Varies),
            (r#"context.found.contains("card") == false"#, Trend::Varies),
            (r#"context.found == ["card"]"#, Trend::Varies),
            (r#"context.found.contains("card") || !context.found.contains("iban")"#, Trend::Varies),
            (r#"{c: context}.c.found.contains("card")"#, Trend::Varies),
            (r#"(if context.stream then context else context).found.contains("card")"#, Trend::Varies),
            ("context.found.containsAll(context.found)", Trend::Varies),
        ] {
            assert_eq!(trend(condition), expected, "{condition}");
        }
    }
}
