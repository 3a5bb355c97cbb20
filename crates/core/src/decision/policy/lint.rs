//! Checks of single policies that Cedar's validator does not make.

pub mod absence;
pub mod fields;
pub mod index;
pub mod keys;
pub mod parents;
pub mod patterns;

use std::collections::BTreeMap;

use cedar_policy::{ActionConstraint, Effect, Policy, PolicyId, PolicySet, PrincipalConstraint, ValidationMode, pst};

use crate::decision::schema::Types;

/// Attributes and calls that a policy may have for each operator that it may have.
const STEPS_FOR_EACH: usize = 4;

/// The characters of a policy text outside strings and comments, with their places.
pub fn code(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut in_string, mut in_comment, mut escaped, mut last) = (false, false, false, ' ');
    text.char_indices().filter(move |(_, character)| {
        let was_in_string = in_string;
        match character {
            // Cedar's comments end at either.
            '\n' | '\r' => in_comment = false,
            _ if in_comment => {}
            '"' if in_string && !escaped => in_string = false,
            '"' if !in_string => in_string = true,
            '/' if !in_string && last == '/' => in_comment = true,
            _ => {}
        }
        escaped = in_string && *character == '\\' && !escaped;
        last = *character;
        !(was_in_string || in_string || in_comment)
    })
}

/// Finds brackets outside strings and comments that are nested deeper than `max`.
#[must_use]
pub fn too_deep(text: &str, max: usize) -> Option<usize> {
    let (mut depth, mut last) = (0_usize, ' ');
    for (at, character) in code(text) {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            // Unary operators nest as brackets do; a run of them counts the same.
            '!' | '-' if last == character => depth += 1,
            _ => {}
        }
        if depth > max {
            return Some(at);
        }
        last = character;
    }
    None
}

/// Finds where a policy first has more than `max` clauses and operators that nest without brackets, as a long run of
/// `&&` does. Each is a level of the syntax tree, and parsing needs stack for every level.
#[must_use]
pub fn too_long(text: &str, max: usize) -> Option<usize> {
    let (mut joined, mut steps, mut last) = (0_usize, 0_usize, ' ');
    for (at, character) in code(text) {
        let is_else = || {
            let behind = text.get(at..).and_then(|rest| rest.strip_prefix("else"));
            !is_word(last) && behind.is_some_and(|rest| !rest.starts_with(is_word))
        };
        match character {
            ';' => (joined, steps) = (0, 0),
            '&' | '|' if last == character => joined += 1,
            '{' | '+' | '-' | '*' => joined += 1,
            'e' if is_else() => joined += 1,
            // Attributes and calls nest too, but most of them are siblings.
            '.' => steps += 1,
            _ => {}
        }
        if joined > max || steps > STEPS_FOR_EACH * max {
            return Some(at);
        }
        last = character;
    }
    None
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Returns whether a text can be a policy's name or a reason code.
#[must_use]
pub fn is_policy_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// Parses `@deny_status`, which belongs on a forbid without a remedy.
///
/// # Errors
/// A fragment if it is misplaced or not a 4xx.
pub fn deny_status(effect: Effect, annotations: &BTreeMap<&str, &str>) -> Result<Option<u16>, String> {
    let Some(text) = annotations.get("deny_status") else { return Ok(None) };
    if effect != Effect::Forbid || annotations.contains_key("remedy") {
        return Err("`@deny_status` belongs on a forbid without a remedy".to_owned());
    }
    match text.parse() {
        Ok(status @ 400..=499) => Ok(Some(status)),
        _ => Err(format!("`@deny_status(\"{text}\")` is not a status from 400 to 499")),
    }
}

/// Members of an action list that can never apply together with the rest of the policy.
///
/// Cedar accepts a list as long as one member applies; a misplaced member would silently do nothing.
#[must_use]
pub fn inapplicable_actions(policy: &Policy, unit: &str, types: &Types) -> Vec<String> {
    let ActionConstraint::In(members) = policy.action_constraint() else { return Vec::new() };
    if members.len() < 2 {
        return Vec::new();
    }
    let Ok(body) = policy.to_pst() else { return Vec::new() };
    let mut faults = Vec::new();
    for member in members {
        let mut alone = body.body().clone();
        let pst::ActionConstraint::In(list) = &mut alone.action else { continue };
        list.retain(|uid| uid.eid.as_str() == member.id().unescaped());
        let single = pst::StaticPolicy::try_from(alone).ok().and_then(|p| Policy::from_pst(p.into()).ok());
        if !single.is_some_and(|policy| passes(&policy, unit, types)) {
            faults.push(format!(
                "action `{}` of the list can never apply with this policy's scope",
                member.id().unescaped()
            ));
        }
    }
    faults
}

/// Returns whether a policy alone passes strict validation without a warning.
#[must_use]
pub fn passes(policy: &Policy, unit: &str, types: &Types) -> bool {
    let mut set = PolicySet::new();
    set.add(policy.new_id(PolicyId::new("alone"))).is_ok()
        && types
            .validator(unit, policy)
            .validate_with_level(&set, ValidationMode::Strict, 1)
            .validation_passed_without_warnings()
}

/// Warnings about valid policies that are probably not intended.
#[must_use]
pub fn warnings(policy: &Policy, syntax: &pst::Template) -> Vec<String> {
    let mut warnings = Vec::new();
    if policy.effect() == Effect::Forbid {
        let workloads_only = |name: &cedar_policy::EntityTypeName| name.to_string() == "Workload";
        match policy.principal_constraint() {
            PrincipalConstraint::Is(name) | PrincipalConstraint::IsIn(name, _) if workloads_only(&name) => {
                warnings.push("this forbid applies to workloads only, not to a caller without an identity".to_owned())
            }
            _ => {}
        }
        if let Some(bag) = absence::presence_needed(syntax) {
            warnings.push(format!(
                "this forbid applies only if `context.{bag}` has a key; a call without it, or with another kind of value, \
                 evades it, so test with `hasTag` in `unless`"
            ));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_that_nest_without_brackets_are_counted_for_each_policy() {
        let chain = |n: usize| format!("permit (p, a, r) when {{ {} }};", vec!["a"; n].join(" && "));
        assert_eq!(too_long(&chain(3), 3), None, "two operators and a clause");
        assert_eq!(too_long(&chain(4), 3), Some(37));
        assert_eq!(too_long(&chain(3).repeat(9), 3), None);
        assert!(too_long("if a then b else if c then d else if e then f else g", 2).is_some());
        assert!(too_long("a || b || c || d", 2).is_some());
        assert!(too_long("1 + 2 - 3 * 4", 2).is_some());
        assert!(too_long("when { a } unless { b } when { c }", 2).is_some());
        assert!(too_long(&".a".repeat(9), 2).is_some());
        assert_eq!(too_long("\"a && b && c && d\" // && && &&\n orelse elsewhere", 0), None);
    }

    #[test]
    fn nesting_is_counted_outside_strings_and_comments() {
        assert_eq!(too_deep("((()))", 3), None);
        assert_eq!(too_deep("((()))", 2), Some(2));
        assert_eq!(
            too_deep(
                r#"("(((\"((" // ((((
        )"#,
                2
            ),
            None
        );
        assert!(too_deep(&"!".repeat(100), 48).is_some());
        assert_eq!(too_deep("// a comment that ends here\r((", 1), Some(29), "a comment ends at a carriage return");
    }

    #[test]
    fn code_is_the_text_outside_strings_and_comments() {
        for (text, expected) in [
            (r#"a "b;" c"#, "a  c"),
            (r#"a "\";" c"#, "a  c"),
            (r#"a "\\" ; c"#, "a  ; c"),
            ("a // b; \"\n c", "a /\n c"),
            (r#"a "// b" ;"#, "a  ;"),
        ] {
            assert_eq!(code(text).map(|(_, character)| character).collect::<String>(), expected, "{text}");
        }
    }
}
