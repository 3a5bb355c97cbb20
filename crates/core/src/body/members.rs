//! A JSON object's members, read by name and type.
//!
//! Knows: JSON values. Must not know: any protocol. Every refusal is `message_refused` and never holds a value.
//!
//! An optional member that is `null` counts as absent: every reader of these protocols takes the two alike.

use super::json::{List, Node, Number, Object, Value};
use super::{case_variants, shown};
use crate::failure::{Code, Failure};

/// An object of a message, with what it is called in a refusal.
#[derive(Debug, Clone, Copy)]
pub struct Members<'a> {
    what: &'static str,
    object: Option<Object<'a>>,
}

/// A refusal of a message.
pub fn refused(detail: impl Into<String>) -> Failure {
    Failure::new(Code::MessageRefused, detail)
}

impl<'a> Members<'a> {
    /// The members of `json`, which must be an object; `what` names it in refusals.
    ///
    /// # Errors
    /// `message_refused` for anything but an object.
    pub fn of(json: Node<'a>, what: &'static str) -> Result<Self, Failure> {
        match json.as_object() {
            Some(object) => Ok(Self { what, object: Some(object) }),
            None => Err(refused(format!("{what} must be an object"))),
        }
    }

    /// An object without members.
    #[must_use]
    pub fn none(what: &'static str) -> Self {
        Self { what, object: None }
    }

    /// The object itself; `None` for one without members.
    #[must_use]
    pub fn as_object(&self) -> Option<Object<'a>> {
        self.object
    }

    /// Every name, in the order sent.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.object.into_iter().flat_map(Object::iter).map(|(name, _)| name)
    }

    /// Refuses every member that is not among `known`.
    ///
    /// # Errors
    /// `message_refused` with the first unknown name.
    pub fn only(&self, known: &[&str]) -> Result<(), Failure> {
        match self.names().find(|name| !known.contains(name)) {
            Some(name) => Err(refused(format!("{} has the unknown member `{}`", self.what, shown(name)))),
            None => Ok(()),
        }
    }

    /// Refuses every member that is one of `known` in another spelling (`task_id`, `TaskID` for `taskId`): some
    /// servers would read it as that member, and the reader behind us may be one.
    ///
    /// # Errors
    /// `message_refused` with the name.
    pub fn spelled(&self, known: &[&str]) -> Result<(), Failure> {
        match case_variants::misspelt(self.names(), known) {
            Some(name) => Err(refused(format!(
                "{} has the member `{}`, which differs only by case from a known one",
                self.what,
                shown(name)
            ))),
            None => Ok(()),
        }
    }

    /// The member's value, `null` counting as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Node<'a>> {
        self.object?.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    ///
    /// # Errors
    /// `message_refused` where it is something else.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, Failure> {
        match self.get(name).map(Node::value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "a text")),
        }
    }

    /// A text that must be there and hold something.
    ///
    /// # Errors
    /// `message_refused` where it is absent, empty or something else.
    pub fn required_text(&self, name: &str) -> Result<&'a str, Failure> {
        match self.text(name)? {
            Some(text) if !text.is_empty() => Ok(text),
            Some(_) | None => Err(self.wrong(name, "a text that is not empty")),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// `message_refused` where it is something else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Failure> {
        match self.get(name).map(Node::value) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A whole number that is not negative.
    ///
    /// # Errors
    /// `message_refused` where it is something else or does not fit 64 bits.
    pub fn count(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_number().and_then(Number::to_i64) {
            Some(count) if count >= 0 => Ok(Some(count)),
            Some(_) | None => Err(self.wrong(name, "a whole number from 0")),
        }
    }

    /// An object, called `what`.
    ///
    /// # Errors
    /// `message_refused` where it is something else.
    pub fn object(&self, name: &str, what: &'static str) -> Result<Option<Members<'a>>, Failure> {
        self.get(name).map(|value| Members::of(value, what)).transpose()
    }

    /// A list.
    ///
    /// # Errors
    /// `message_refused` where it is something else.
    pub fn list(&self, name: &str) -> Result<Option<List<'a>>, Failure> {
        match self.get(name).map(Node::value) {
            None => Ok(None),
            Some(Value::List(items)) => Ok(Some(items)),
            Some(_) => Err(self.wrong(name, "a list")),
        }
    }

    /// The items of a list, none where it is absent.
    ///
    /// # Errors
    /// `message_refused` where it is something else.
    pub fn items(&self, name: &str) -> Result<impl Iterator<Item = Node<'a>> + use<'a>, Failure> {
        Ok(self.list(name)?.into_iter().flat_map(List::iter))
    }

    /// A list of at least one object, each called `what`.
    ///
    /// # Errors
    /// `message_refused` where it is absent, empty or holds something else.
    pub fn required_objects(&self, name: &str, what: &'static str) -> Result<Vec<Members<'a>>, Failure> {
        let items: Vec<Node<'a>> = self.items(name)?.collect();
        if items.is_empty() {
            return Err(self.wrong(name, "a list that is not empty"));
        }
        items.into_iter().map(|item| Members::of(item, what)).collect()
    }

    /// The refusal of a member that is not what it must be.
    #[must_use]
    pub fn wrong(&self, name: &str, right: &str) -> Failure {
        refused(format!("`{name}` of {} must be {right}", self.what))
    }
}

/// Whether two names differ only in case, `_` and `-`.
///
/// Up and down again: the long s and the Kelvin sign are letters to readers that fold all of Unicode.
#[must_use]
pub fn same_but_for_spelling(a: &str, b: &str) -> bool {
    fn letters(name: &str) -> impl Iterator<Item = char> + '_ {
        name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_uppercase).flat_map(char::to_lowercase)
    }
    letters(a).eq(letters(b))
}
