//! Templates: a text with variables, such as `${principal.facts.team}` or `${context.args[/change]}`.
//!
//! Knows: how variables are written. Must not know: what the text is for, and which variables it may name.
//!
//! A template is split when it is loaded, before any value exists, so that no value can add a variable. What a variable
//! becomes is for its user to say: a URL (`entity::template`) or a header (`obligation::template`).

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text that stands for itself, `$$` already made `$`; never empty.
    Literal(String),
    /// A variable.
    Variable(Variable),
}

/// `${principal.facts.team}`: a root and the steps below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// As written, without `${` and `}`.
    pub text: String,
    /// Where it begins.
    pub root: Root,
    /// The steps; empty for a root alone.
    pub steps: Vec<Step>,
}

/// What a variable begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Root {
    /// `principal`
    Principal,
    /// `resource`
    Resource,
    /// `context`
    Context,
    /// `action`
    Action,
}

/// A step from a value to one in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `.name`: an identifier.
    Field(String),
    /// `[key]`: what an entity holds as a tag.
    Tag(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateProblem {
    /// `$` before neither `$` nor `{`.
    #[error("a lone `$`; write `$$` for a dollar sign")]
    LoneDollar,
    /// `${` without `}`; holds the rest of the text.
    #[error("`${{{0}` is not closed by `}}`")]
    Open(String),
    /// A variable that begins with no root.
    #[error("`${{{0}}}` begins with none of principal, resource, context, action")]
    Root(String),
    /// A variable with something else than fields and tags behind its root, and what.
    #[error("`${{{0}}}` {1}")]
    Step(String, &'static str),
}

/// Splits a template into its parts.
///
/// # Errors
/// [`TemplateProblem`] with what is wrong first.
///
/// # Example
/// ```
/// use picket_core::query::template::{Part, TemplateProblem, parts};
///
/// assert_eq!(parts("a$$b"), Ok(vec![Part::Literal("a$b".to_owned())]));
/// assert_eq!(parts("a$b"), Err(TemplateProblem::LoneDollar));
/// ```
pub fn parts(text: &str) -> Result<Vec<Part>, TemplateProblem> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        literal.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            literal.push('$');
            rest = tail;
            continue;
        }
        let inside = after.strip_prefix('{').ok_or(TemplateProblem::LoneDollar)?;
        let (variable, tail) = inside.split_once('}').ok_or_else(|| TemplateProblem::Open(inside.to_owned()))?;
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(Part::Variable(Variable::parse(variable)?));
        rest = tail;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

impl Variable {
    fn parse(text: &str) -> Result<Self, TemplateProblem> {
        let wrong = |what| TemplateProblem::Step(text.to_owned(), what);
        let (root, mut rest) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
        let root = match root {
            "principal" => Root::Principal,
            "resource" => Root::Resource,
            "context" => Root::Context,
            "action" => Root::Action,
            _ => return Err(TemplateProblem::Root(text.to_owned())),
        };
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let (key, after) = inside.split_once(']').ok_or_else(|| wrong("has an open bracket"))?;
                steps.push(Step::Tag(key.to_owned()));
                rest = after;
            } else {
                let field = rest.strip_prefix('.').ok_or_else(|| wrong("needs a `.` or `[` behind a bracket"))?;
                let (name, after) = field.split_at(field.find(['.', '[']).unwrap_or(field.len()));
                if !is_identifier(name) {
                    return Err(wrong("has a field that is not an identifier"));
                }
                steps.push(Step::Field(name.to_owned()));
                rest = after;
            }
        }
        Ok(Self { text: text.to_owned(), root, steps })
    }
}

fn is_identifier(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        let step = |step: &Step| match step {
            Step::Field(name) => format!(".{name}"),
            Step::Tag(key) => format!("[{key}]"),
        };
        let part = |part: &Part| match part {
            Part::Literal(text) => format!("'{text}'"),
            Part::Variable(variable) => {
                format!("{:?}{}", variable.root, variable.steps.iter().map(step).collect::<String>())
            }
        };
        match parts(text) {
            Ok(parts) => parts.iter().map(part).collect::<Vec<_>>().join(" "),
            Err(problem) => problem.to_string(),
        }
    }

    #[test]
    fn a_template_is_text_and_variables() {
        for (text, expected) in [
            ("", ""),
            ("a{b}", "'a{b}'"),
            ("$$${principal.id}$$", "'$' Principal.id '$'"),
            ("$${x}", "'${x}'"),
            ("${resource}${action.id}", "Resource Action.id"),
            ("${context.args[/a.b[0]}", "Context.args[/a.b[0]"),
            ("${context.http.headers[x-a]}/", "Context.http.headers[x-a] '/'"),
            ("a$", "a lone `$`; write `$$` for a dollar sign"),
            ("${a", "`${a` is not closed by `}`"),
            ("${caller.id}", "`${caller.id}` begins with none of principal, resource, context, action"),
            ("${context.args[/x}", "`${context.args[/x}` has an open bracket"),
            ("${context.args[/x]y}", "`${context.args[/x]y}` needs a `.` or `[` behind a bracket"),
        ] {
            assert_eq!(show(text), expected, "{text}");
        }
    }

    #[test]
    fn a_field_is_an_identifier_and_nothing_around_it() {
        for text in ["${principal..id}", "${principal.}", "${principal.1a}", "${principal. id}", "${principal.a-b}"] {
            assert!(show(text).ends_with("has a field that is not an identifier"), "{text}: {}", show(text));
        }
        assert!(show("${ principal.id}").contains("begins with none of"));
        assert_eq!(show("${principal._a1}"), "Principal._a1");
    }
}
