//! Walks a request by the tables of its API and collects every member with an effect.
//!
//! Knows: what members mean. Must not know: any API; texts of a conversation, which are never looked into.
//!
//! What no table has counts as present: a type of item as `item:<type>`, a member as `member:<name>`. It is searched
//! for members that have an effect wherever they stand, so that rules on models and servers see those as well.

use super::super::json::{Node, Object, Value};
use super::super::members::{Members, refused, same_but_for_spelling};
use super::super::shown;
use super::Request;
use super::reach::{has_scheme, is_model};
use super::shape::{Callee, Is, Means, Member, Shape, Text, Union, Untyped, is_respelt};
use super::shapes::{ANYWHERE, FETCHED};
use super::tools::{Stands, family, is_family};
use crate::failure::Failure;

/// Most names of one request that are not known: each is a fact of its own, and a caller chooses how many.
const UNKNOWN_MAX: usize = 64;

/// Where a member stands, for the name under which an unknown one is reported.
pub(super) const PARAMETER: &str = "parameter:";
const MEMBER: &str = "member:";
const ITEM: &str = "item:";

impl Request {
    /// Takes the members of an object of this shape.
    ///
    /// # Errors
    /// `message_refused` for a member with an effect whose value has no one reading, or whose name is misspelt.
    pub(super) fn members(&mut self, object: Object<'_>, shape: &Shape) -> Result<(), Failure> {
        self.members_of(object, shape, MEMBER)
    }

    /// The same; unknown ones are reported as `place`.
    pub(super) fn members_of(&mut self, object: Object<'_>, shape: &Shape, place: &str) -> Result<(), Failure> {
        for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            match shape.member(name) {
                Member::Free => {}
                Member::Plain if is_scalar(value) => {}
                Member::Means(means) => self.member(name, value, means)?,
                Member::Plain | Member::Unknown => self.unknown(name, value, shape, place)?,
            }
        }
        Ok(())
    }

    fn member(&mut self, name: &str, value: Node<'_>, means: Means) -> Result<(), Failure> {
        match means {
            Means::Below(shape) => match value.value() {
                Value::Object(object) => self.members(object, shape)?,
                Value::List(items) => items.iter().try_for_each(|item| self.member(name, item, means))?,
                Value::Text(text) => self.text(text)?,
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            },
            Means::Object(shape) => match value.value() {
                Value::Object(object) => self.members(object, shape)?,
                Value::List(items) => items.iter().try_for_each(|item| self.member(name, item, means))?,
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => return Err(wrong(name)),
            },
            Means::Map(each) => {
                let object = value.as_object().ok_or_else(|| wrong(name))?;
                object.iter().try_for_each(|(_, value)| self.member(name, value, *each))?;
            }
            Means::Either(union) => self.either(name, value, union)?,
            Means::Held(union) if value.as_text().is_none() => self.either(name, value, union)?,
            Means::Held(_) => self.hidden_history = true,
            Means::Stored => self.hidden_history |= !is_empty(value),
            Means::Schema => self.schema(value)?,
            Means::Fetch => match value.value() {
                Value::Text("") => {}
                Value::Text(url) => self.fetches(url)?,
                Value::Object(object) => self.members(object, &FETCHED)?,
                Value::List(items) => items.iter().try_for_each(|item| self.member(name, item, means))?,
                Value::Null | Value::Bool(_) | Value::Number(_) => return Err(wrong(name)),
            },
            Means::Data => match value.value() {
                Value::Text(data) if has_scheme(data) => self.fetches(data)?,
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
                Value::List(_) | Value::Object(_) => self.beneath(value)?,
            },
            Means::Calls(callee @ (Callee::Domain | Callee::Searched)) => {
                each_text(name, value, &mut |text| self.calls(text, callee))?;
            }
            Means::Calls(callee @ (Callee::Server | Callee::Connector | Callee::Tunnel)) => {
                self.calls(value.as_text().ok_or_else(|| wrong(name))?, callee)?;
            }
            Means::Headers => {
                let object = value.as_object().ok_or_else(|| wrong(name))?;
                if object.iter().any(|(header, _)| names_a_host(header)) {
                    return Err(refused("a server's headers set a host, which only its URL may set"));
                }
            }
            Means::Model => self.models(name, value)?,
            Means::Checker => each_text(name, value, &mut |model| self.checked_by(model))?,
            Means::Tools => self.each_tool(name, value, Stands::Declared)?,
            Means::ChosenTools => self.each_tool(name, value, Stands::Chosen)?,
            Means::Tool => self.tool(Members::of(value, "a tool")?, Stands::Declared)?,
            Means::Choice if value.as_text().is_none() => self.choice(Members::of(value, "the choice of a tool")?)?,
            Means::Choice => {}
            Means::ListedTools => self.each_tool(name, value, Stands::Listed)?,
        }
        Ok(())
    }

    /// Takes objects that their type tells apart.
    fn either(&mut self, name: &str, value: Node<'_>, union: &Union) -> Result<(), Failure> {
        match (value.value(), union.text) {
            (Value::List(items), _) => items.iter().try_for_each(|item| self.either(name, item, union)),
            (Value::Object(object), _) => self.one_of(object, value, union),
            (Value::Null, _) | (Value::Text(_), Text::Prose) => Ok(()),
            (Value::Text(_), Text::Refused) | (Value::Bool(_) | Value::Number(_), _) => Err(wrong(name)),
        }
    }

    fn one_of(&mut self, object: Object<'_>, value: Node<'_>, union: &Union) -> Result<(), Failure> {
        let has = |name: &str| object.get(name).is_some_and(|value| !value.is_null());
        let kind = match object.get("type").map(Node::value) {
            Some(Value::Text(kind)) => kind,
            Some(Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_)) => return Err(wrong("type")),
            None | Some(Value::Null) => match union.untyped {
                Untyped::Of(shape) => return self.members(object, shape),
                Untyped::MessageOrReference(shape) if has("role") || has("id") => {
                    // A reference's type may be left out, and then its id is all there is of it.
                    self.hidden_history |= has("id");
                    return self.members(object, shape);
                }
                Untyped::MessageOrReference(_) | Untyped::Unknown => {
                    self.strange(format!("{ITEM}none"))?;
                    return self.beneath(value);
                }
            },
        };
        let Some(variant) = union.variants.iter().find(|variant| variant.types.contains(&kind)) else {
            self.strange(format!("{ITEM}{}", shown(kind)))?;
            return self.beneath(value);
        };
        let lacks = |name: &str| object.get(name).is_none_or(is_empty);
        match variant.is {
            Is::Plain => {}
            Is::Hosted(family) => self.hosts(family),
            Is::HostedUnlessClient(_) if object.get("execution").and_then(Node::as_text) == Some("client") => {}
            Is::HostedUnlessClient(family) => self.hosts(family),
            Is::HostedByName => match object.get("name").and_then(Node::as_text) {
                Some(name) => match family(name) {
                    Some(family) => self.hosts(family),
                    None => self.strange(shown(name))?,
                },
                None => self.strange(format!("{ITEM}{kind}"))?,
            },
            Is::Stored => self.hidden_history = true,
            Is::StoredWithout(members) => self.hidden_history |= members.iter().all(|name| lacks(name)),
            Is::HostedAndStoredWithout(family, member) => {
                self.hosts(family);
                self.hidden_history |= lacks(member);
            }
        }
        self.members(object, variant.shape)
    }

    /// Takes down something that this build does not know.
    pub(super) fn strange(&mut self, name: String) -> Result<(), Failure> {
        let is_new = self.hosted_tools.insert(name);
        if is_new && self.hosted_tools.iter().filter(|name| !is_family(name)).count() > UNKNOWN_MAX {
            return Err(refused(format!("the request has more than {UNKNOWN_MAX} unknown names")));
        }
        Ok(())
    }

    fn unknown(&mut self, name: &str, value: Node<'_>, shape: &Shape, place: &str) -> Result<(), Failure> {
        let reported = format!("{place}{}", shown(name));
        if !self.hosted_tools.contains(&reported) {
            // A reader that does not mind would take it for the member itself.
            if is_respelt(name, shape.rest) || is_respelt(name, &[("type", Means::Tool), ("name", Means::Tool)]) {
                return Err(refused(format!("`{}` differs only by case from a known member", shown(name))));
            }
            self.strange(reported)?;
        }
        self.anywhere(name, value)
    }

    /// Takes a member by its name alone, in any spelling of it.
    fn anywhere(&mut self, name: &str, value: Node<'_>) -> Result<(), Failure> {
        if let Some(means) = by_name(name) {
            return self.member(name, value, means);
        }
        match value.value() {
            Value::Text(_) | Value::List(_) | Value::Object(_) if names_a_model(name) => self.likely_models(value),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
            Value::Text(_) | Value::List(_) | Value::Object(_) => self.beneath(value),
        }
    }

    /// Takes every text of a value as a model, whose name says that it has some, and what else stands in it.
    fn likely_models(&mut self, value: Node<'_>) -> Result<(), Failure> {
        match value.value() {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
            Value::Text(text) if is_model(text) => self.answered_by(text).and_then(|()| self.text(text)),
            Value::Text(text) => self.text(text),
            Value::List(items) => items.iter().try_for_each(|item| self.likely_models(item)),
            // Each value once: a member that leads to both readings would be read twice at every level below it.
            Value::Object(object) => {
                object.iter().filter(|(_, value)| !value.is_null()).try_for_each(|(name, value)| match by_name(name) {
                    Some(means) => self.member(name, value, means),
                    None => self.likely_models(value),
                })
            }
        }
    }

    /// Takes what stands somewhere in a value that is not known.
    fn beneath(&mut self, value: Node<'_>) -> Result<(), Failure> {
        match value.value() {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
            Value::Text(text) => self.text(text),
            Value::List(items) => items.iter().try_for_each(|item| self.beneath(item)),
            Value::Object(object) => {
                let mut members = object.iter().filter(|(_, value)| !value.is_null());
                members.try_for_each(|(name, value)| self.anywhere(name, value))
            }
        }
    }

    /// A schema whose parts stand in another document has that fetched by some readers of schemas.
    fn schema(&mut self, value: Node<'_>) -> Result<(), Failure> {
        match value.value() {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => Ok(()),
            Value::List(items) => items.iter().try_for_each(|item| self.schema(item)),
            Value::Object(object) => object.iter().try_for_each(|(name, value)| match (name, value.as_text()) {
                ("$ref" | "$dynamicRef" | "$recursiveRef", Some(place)) if !place.starts_with('#') => {
                    self.fetches(place.split_once('#').map_or(place, |(document, _)| document))
                }
                _ => self.schema(value),
            }),
        }
    }
}

/// The refusal of a member with an effect whose value cannot be read.
pub(super) fn wrong(name: &str) -> Failure {
    refused(format!("`{}` has a value of the wrong type", shown(name)))
}

/// What a member of this name means wherever it stands, in any spelling of it.
fn by_name(name: &str) -> Option<Means> {
    // Most names differ in their first letter, and a caller chooses how many there are.
    let first = name.trim_start_matches(['_', '-']).chars().next()?;
    let begins = |known: &str| !first.is_ascii() || known.starts_with(first.to_ascii_lowercase());
    let known = ANYWHERE.iter().find(|(known, _)| begins(known) && same_but_for_spelling(known, name));
    known.map(|(_, means)| *means)
}

/// Whether a name, of a member or a header, says that its value is a model.
pub(super) fn names_a_model(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["model", "fallback", "deployment"].iter().any(|word| name.contains(word))
}

/// Whether a header, sent to a server, can say which server is meant.
fn names_a_host(header: &str) -> bool {
    let header = header.to_ascii_lowercase().replace('_', "-");
    header.starts_with(':') || header.starts_with("forwarded") || header.ends_with("host")
}

fn is_empty(value: Node<'_>) -> bool {
    match value.value() {
        Value::Null => true,
        Value::List(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Object(_) => false,
    }
}

/// Whether a value holds no object.
fn is_scalar(value: Node<'_>) -> bool {
    match value.value() {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => true,
        Value::List(items) => items.iter().all(is_scalar),
        Value::Object(_) => false,
    }
}

/// A text, or each of a list of texts.
fn each_text(name: &str, value: Node<'_>, take: &mut impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    match value.value() {
        Value::Text(text) => take(text),
        Value::List(items) => items.iter().try_for_each(|item| each_text(name, item, take)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Err(wrong(name)),
    }
}
