//! Rejects `like` patterns that would take too long on a long text.

use cedar_policy::Policy;
use cedar_policy_core::ast::{self, ExprKind};

use crate::decision::policy::cost::longest_run;

/// Longest run of characters behind a `*`: Cedar tries it at every character of a text.
pub const RUN_MAX: u64 = 256;

/// Problems of a policy's patterns.
#[must_use]
pub fn faults(policy: &Policy) -> Vec<String> {
    let policy: &ast::Policy = policy.as_ref();
    let Some(condition) = policy.non_scope_constraints() else { return Vec::new() };
    let runs = condition.subexpressions().filter_map(|expr| match expr.expr_kind() {
        ExprKind::Like { pattern, .. } => Some((longest_run(pattern), pattern.to_string())),
        _ => None,
    });
    let too_long = runs.filter(|(run, _)| *run > RUN_MAX);
    let fault = |(run, pattern): (u64, String)| {
        let begin: String = pattern.chars().take(24).collect();
        format!(
            "the pattern `{begin}…` has {run} characters in a row behind a `*`, which Cedar tries at every place of a text; \
             at most {RUN_MAX} are accepted: shorten it, or drop the `*` before it"
        )
    };
    too_long.map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str) -> usize {
        let text = format!("forbid (principal, action, resource) when {{ context.a like \"{pattern}\" || true }};");
        faults(&text.parse().unwrap()).len()
    }

    #[test]
    fn only_long_runs_behind_a_star_are_refused() {
        let run = |n: usize| "a".repeat(n);
        assert_eq!(check(&format!("*{}", run(256))), 0);
        assert_eq!(check(&format!("*{}", run(257))), 1);
        assert_eq!(check(&format!("*{}*b", run(257))), 1);
        assert_eq!(check(&format!("x*{}\\\\*", run(256))), 1, "an escaped star is a character");
        assert_eq!(check(&format!("{}*b", run(5000))), 0, "characters before the first star are tried once");
        assert_eq!(check(&format!("*{}*{}*", run(200), run(200))), 0);
        assert_eq!(check(&run(5000)), 0);
    }
}
