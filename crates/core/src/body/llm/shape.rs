//! The meaning of a request's members for policies, by their place.
//!
//! Knows: how such tables are written. Must not know: any API. What no table has is unknown, and counts as present.

use super::super::members::same_but_for_spelling;

/// The members that an object may have. What is in none of the three lists is unknown.
#[derive(Debug)]
pub(super) struct Shape {
    /// Scalars and lists of them: nothing is run, called, fetched, held or used by what they say.
    pub plain: &'static [&'static str],
    /// Any value, never inspected: arguments, labels, results of tools.
    pub free: &'static [&'static str],
    /// Everything else.
    pub rest: &'static [(&'static str, Means)],
}

/// What a member means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Means {
    /// Objects of this shape, one or a list. A text counts as an unknown object.
    Below(&'static Shape),
    /// Objects of this shape, one or a list, and nothing else.
    Object(&'static Shape),
    /// An object with free names, each of which means the same.
    Map(&'static Means),
    /// Objects distinguished by their `type`, one or a list.
    Either(&'static Union),
    /// A JSON Schema, which may refer to another document.
    Schema,
    /// A URL that the provider fetches: a text, or an object that has it as `url`.
    Fetch,
    /// Content, or a URL in its place.
    Data,
    /// A target that the provider calls.
    Calls(Callee),
    /// Headers that the provider sends to a server.
    Headers,
    /// Something that the provider holds.
    Stored,
    /// Something that may be the provider's: a text is its name there, an object says what it is.
    Held(&'static Union),
    /// Models that may answer in place of the request's own, or for a part of it.
    Model,
    /// A model that reads the exchange without answering.
    Checker,
    /// Declarations of tools.
    Tools,
    /// The declaration of one tool.
    Tool,
    /// The declared tools to use.
    Choice,
    /// Names of declared tools.
    ChosenTools,
    /// Tools as a server listed them.
    ListedTools,
}

/// What the provider calls, and how it is named.
#[derive(Debug, Clone, Copy)]
pub(super) enum Callee {
    /// A server, by its URL.
    Server,
    /// A server that the provider knows by a name of its own.
    Connector,
    /// A server behind a tunnel.
    Tunnel,
    /// Every server of a domain.
    Domain,
    /// Those servers of a domain that a search finds; without one it is free to go anywhere.
    Searched,
}

/// Objects that their `type` tells apart.
#[derive(Debug)]
pub(super) struct Union {
    /// Each known type.
    pub variants: &'static [Variant],
    /// The meaning of an object without a type.
    pub untyped: Untyped,
    /// The meaning of a text in place of an object.
    pub text: Text,
}

/// One type of a union, under each of its names.
#[derive(Debug)]
pub(super) struct Variant {
    /// Its names.
    pub types: &'static [&'static str],
    /// Its members.
    pub shape: &'static Shape,
    /// Its meaning as a whole.
    pub is: Is,
}

/// What an object of a known type is as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) enum Is {
    /// No more than its members.
    Plain,
    /// A tool that the provider runs or has run, by its family.
    Hosted(&'static str),
    /// The same, unless it says that the client runs it.
    HostedUnlessClient(&'static str),
    /// A tool that the provider runs, identified by its `name`.
    HostedByName,
    /// Something that the provider holds.
    Stored,
    /// Something that the provider holds, unless one of these members brings it along.
    StoredWithout(&'static [&'static str]),
    /// A tool that the provider runs and stores, unless the request has this member.
    HostedAndStoredWithout(&'static str, &'static str),
}

/// What an object without a type is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Untyped {
    /// Nothing that this build knows.
    Unknown,
    /// A message where it has a role, and a pointer to what the provider holds where it has an id.
    MessageOrReference(&'static Shape),
    /// An object of this shape.
    Of(&'static Shape),
}

/// What a text in place of an object is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text {
    /// Prose, or a name without effect.
    Prose,
    /// Nothing that this place can have.
    Refused,
}

impl Shape {
    /// Whether and how a member of this name is known.
    pub fn member(&self, name: &str) -> Member {
        if self.plain.contains(&name) {
            return Member::Plain;
        }
        match self.rest.iter().find(|(known, _)| *known == name) {
            Some((_, means)) => Member::Means(*means),
            None if self.free.contains(&name) => Member::Free,
            None => Member::Unknown,
        }
    }

    /// Every name it knows.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let rest = self.rest.iter().map(|(name, _)| *name);
        self.plain.iter().chain(self.free).copied().chain(rest)
    }
}

/// How a member is known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Member {
    /// A scalar without effect.
    Plain,
    /// Any value, without an effect.
    Free,
    /// It has an effect, or something below it may have one.
    Means(Means),
    /// Not at all.
    Unknown,
}

/// Whether `name` is one of `known` but for its case, `_` and `-`.
pub(super) fn is_respelt(name: &str, known: &[(&str, Means)]) -> bool {
    known.iter().any(|(known, _)| *known != name && same_but_for_spelling(known, name))
}
