//! Templates in annotations: `x-caller=${principal.id}, x-team=${principal.facts.team}`.
//!
//! Split at load, before any value exists, so that no value can add an item or a variable.
//! `$$` is a dollar sign, `\,` a comma and `\\` a backslash.

use smol_str::{SmolStr, ToSmolStr};

pub use crate::query::template::Root;
use crate::query::template::{self, Step};
use crate::query::{Query, Value, action};

/// A text with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<TemplatePart>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TemplatePart {
    Text(String),
    Variable(Variable),
}

/// `${principal.facts.team}`: a root and the attributes below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Variable {
    /// Where it begins.
    pub root: Root,
    /// The attributes; never empty. `["id"]` of an entity is the entity's id.
    pub path: Vec<String>,
}

/// Why a template cannot become text; the template's obligation is then unmet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// The variable has no value in this call.
    #[error("`${{{0}}}` has no value in this call")]
    Absent(Variable),
    /// The value is of a kind that has no text.
    #[error("`${{{0}}}` has no textual form")]
    NoText(Variable),
    /// The value holds CR, LF, NUL, another control or a character outside ASCII.
    #[error("`${{{0}}}` holds a character that a header may not carry")]
    Character(Variable),
}

impl std::fmt::Display for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let root = match self.root {
            Root::Principal => "principal",
            Root::Resource => "resource",
            Root::Context => "context",
            Root::Action => "action",
        };
        write!(f, "{root}.{}", self.path.join("."))
    }
}

impl Template {
    /// Splits one template.
    ///
    /// # Errors
    /// A lower-case fragment that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let split = template::parts(text).map_err(|problem| problem.to_string())?;
        let parts = split.into_iter().map(TemplatePart::of).collect::<Result<_, _>>()?;
        Ok(Self { parts })
    }

    /// The variables it names.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Variable(variable) => Some(variable),
            TemplatePart::Text(_) => None,
        })
    }

    /// The text for one query.
    ///
    /// # Errors
    /// [`Unmet`] where a variable is absent or its value cannot be sent.
    pub fn render(&self, query: &Query) -> Result<String, Unmet> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                TemplatePart::Text(plain) => text.push_str(plain),
                TemplatePart::Variable(variable) => {
                    let value = variable.value(query).ok_or_else(|| Unmet::Absent(variable.clone()))?;
                    let value = text_of(&value).ok_or_else(|| Unmet::NoText(variable.clone()))?;
                    if !value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
                        return Err(Unmet::Character(variable.clone()));
                    }
                    text.push_str(&value);
                }
            }
        }
        Ok(text)
    }
}

impl TemplatePart {
    fn of(part: template::Part) -> Result<Self, String> {
        match part {
            template::Part::Literal(text) => match text.chars().find(|c| !(' '..='~').contains(c)) {
                Some(bad) => Err(format!("the character `{}` cannot be sent; use visible ASCII", bad.escape_default())),
                None => Ok(Self::Text(text)),
            },
            template::Part::Variable(variable) => Variable::of(variable).map(Self::Variable),
        }
    }
}

impl Variable {
    /// A variable whose steps are all attributes; what stands in brackets has no type that the schema could promise.
    fn of(template::Variable { text, root, steps }: template::Variable) -> Result<Self, String> {
        let attribute = |step| match step {
            Step::Field(name) => Some(name),
            Step::Tag(_) => None,
        };
        let path = steps.into_iter().map(attribute).collect::<Option<Vec<_>>>().unwrap_or_default();
        if path.is_empty() {
            return Err(format!("`${{{text}}}` is not a root and attributes, such as `${{principal.id}}`"));
        }
        if root == Root::Action && path != ["id"] {
            return Err(format!("`${{{text}}}`: an action has only an `id`"));
        }
        Ok(Self { root, path })
    }

    /// Whether it is the entity's id, which every entity has.
    #[must_use]
    pub fn is_id(&self) -> bool {
        self.root != Root::Context && self.path.len() == 1 && self.path.first().is_some_and(|name| name == "id")
    }

    fn value(&self, query: &Query) -> Option<Value> {
        let (first, below) = self.path.split_first()?;
        if self.is_id() {
            return Some(Value::String(match self.root {
                Root::Principal => query.principal.uid.id.clone(),
                Root::Resource => query.resource.uid.id.clone(),
                Root::Action => action::bare(&query.action).into(),
                Root::Context => return None,
            }));
        }
        let mut value = match self.root {
            Root::Principal => query.principal.attributes.get(first.as_str())?,
            Root::Resource => query.resource.attributes.get(first.as_str())?,
            Root::Context => query.context.get(first.as_str())?,
            Root::Action => return None,
        };
        for name in below {
            value = match value {
                Value::Record(record) => record.get(name.as_str())?,
                Value::Entity(uid) if name == "id" => return Some(Value::String(uid.id.clone())),
                Value::Entity(_) | Value::String(_) | Value::Long(_) | Value::Bool(_) | Value::Set(_) => return None,
                Value::Time(_) | Value::Duration(_) | Value::Ip(_) | Value::Decimal(_) => return None,
            };
        }
        Some(value.clone())
    }
}

/// A value as text: sets sorted and joined by a blank.
fn text_of(value: &Value) -> Option<SmolStr> {
    match value {
        Value::String(text) | Value::Ip(text) | Value::Decimal(text) | Value::Duration(text) => Some(text.clone()),
        Value::Long(number) | Value::Time(number) => Some(number.to_smolstr()),
        Value::Bool(flag) => Some(flag.to_smolstr()),
        Value::Entity(uid) => Some(uid.id.clone()),
        Value::Set(items) => {
            let mut texts = items.iter().map(text_of).collect::<Option<Vec<_>>>()?;
            texts.sort();
            Some(texts.join(" ").into())
        }
        Value::Record(_) => None,
    }
}

/// Splits an annotation into its items at commas; `\,` is a comma inside an item, `\\` a backslash.
///
/// # Errors
/// A lower-case fragment that says what is wrong.
pub fn items(text: &str) -> Result<Vec<String>, String> {
    let mut items = Vec::new();
    let mut item = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ',' => items.push(std::mem::take(&mut item)),
            '\\' => match characters.next() {
                Some(escaped @ (',' | '\\')) => item.push(escaped),
                _ => return Err("a lone `\\`; write `\\,` for a comma and `\\\\` for a backslash".to_owned()),
            },
            other => item.push(other),
        }
    }
    items.push(item);
    let items: Vec<String> = items.iter().map(|item| item.trim().to_owned()).collect();
    if items.iter().any(String::is_empty) {
        return Err("an empty item between commas".to_owned());
    }
    Ok(items)
}

/// Splits an annotation into `name=template` items.
///
/// # Errors
/// A lower-case fragment that says what is wrong.
pub fn assignments(text: &str) -> Result<Vec<(String, Template)>, String> {
    let split = |item: String| {
        let (name, template) = item.split_once('=').ok_or_else(|| format!("`{item}` is not `name=value`"))?;
        Ok((name.trim().to_owned(), Template::parse(template.trim())?))
    };
    items(text)?.into_iter().map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Node, Uid, record};

    fn query() -> Query {
        let mut principal = Node::new(Uid::new("Workload", "spiffe://a/b"));
        let facts = record([("team", Value::from("blue\r\nx: y"))]);
        principal.set("facts", Value::Record(facts));
        principal.set("roles", Value::texts(["b", "a"]));
        Query {
            principal,
            action: "GET".into(),
            resource: Node::new(Uid::new("Path", "shop/orders/")),
            context: record([("n", Value::Long(7))]),
            bags: vec![],
            namespace: "shop".into(),
        }
    }

    fn render(text: &str) -> Result<String, String> {
        Template::parse(text)?.render(&query()).map_err(|unmet| unmet.to_string())
    }

    #[test]
    fn variables_become_text() {
        assert_eq!(render("${principal.id}").as_deref(), Ok("spiffe://a/b"));
        assert_eq!(render("a$$${context.n}b").as_deref(), Ok("a$7b"));
        assert_eq!(render("${principal.roles}/${action.id}").as_deref(), Ok("a b/GET"));
    }

    #[test]
    fn p31_a_value_with_a_line_break_is_unmet() {
        assert_eq!(
            render("${principal.facts.team}").unwrap_err(),
            "`${principal.facts.team}` holds a character that a header may not carry"
        );
    }

    #[test]
    fn an_absent_value_is_unmet() {
        assert_eq!(render("${resource.labels}").unwrap_err(), "`${resource.labels}` has no value in this call");
    }

    #[test]
    fn an_invalid_template_is_rejected_at_load() {
        for bad in
            ["$", "${", "${x}", "${principal}", "${principal.}", "${action.name}", "a\u{e9}", "a\n", "${secret.id}"]
        {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_never_adds_an_item() {
        let items = assignments(r"x-a=${principal.id}, x-b=1\,2").unwrap();
        assert_eq!(items.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x-a", "x-b"]);
        assert_eq!(items[1].1.render(&query()).as_deref(), Ok("1,2"));
        assert!(assignments("x-a").is_err());
        assert!(super::items("a,,b").is_err());
        assert!(super::items(r"a\b").is_err());
    }
}
