//! URL templates with variables, filled from a query. Pure.
//!
//! Knows: `${principal.id}` and its like, percent-encoding. Must not know: HTTP.
//!
//! A variable is written as in policies: `${principal.namespace}`, `${resource.id}`,
//! `${context.http.method}`; what an entity holds as a tag stands in brackets:
//! `${context.args[/change]}`, `${context.http.headers[x-change]}`, `${resource[capture]}`.
//! Scheme, host and port are literal, so that no caller chooses who is asked.

mod value;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use smol_str::{SmolStr, ToSmolStr};

use picket_core::call::headers::is_readable;
use picket_core::query::template::{self, Root, Step, TemplateProblem};
use picket_core::query::{Keys, Node, Query, Reads, Value};
pub use value::Slashes;
use value::{UrlPosition, climbs, is_usable};

/// Everything but RFC 3986's unreserved characters: to a source that decodes once, a value can neither end a segment nor
/// begin a query. What it could do to others, [`is_usable`] refuses.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Longest URL that is asked for, in bytes; it is the cache's key.
const URL_BYTES_MAX: usize = 4096;

/// What is wrong with a variable that begins with anything else.
const NO_ROOT: &str = "must begin with `principal`, `resource` or `context`";

/// The context's maps of what a body holds, by JSON pointer.
const ARGUMENTS: [&str; 4] = ["args", "numbers", "decimals", "kinds"];
/// Those of them that a gRPC message has.
const FIELDS: [&str; 3] = ["fields", "numbers", "decimals"];

/// A URL with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<UrlPart>,
    slashes: Slashes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum UrlPart {
    Literal(String),
    Variable(Variable),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    text: String,
    root: Root,
    steps: Vec<Step>,
    place: UrlPosition,
}

/// Why a template gives no URL for a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// The call does not have this variable, or has it empty.
    Absent(String),
    /// The call has a value, but a URL cannot hold it.
    Unusable(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong, as a fragment that ends with what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let after_scheme = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or_else(|| format!("`{text}` must begin with `http://` or `https://`"))?;
        let (authority, _) = after_scheme
            .split_once('/')
            .ok_or_else(|| format!("`{text}` has no path; write at least a `/` behind the host"))?;
        if authority.is_empty() || authority.contains(['$', '{', '@', '?', '#', '\\']) {
            return Err(format!(
                "`{authority}` must be a literal host with an optional port, without user or variable"
            ));
        }
        if text.contains('#') {
            return Err(format!("`{text}` has a fragment, which is never sent; remove it"));
        }
        let template = Self { parts: parts(text)?, slashes: Slashes::Refused };
        let sample = template.parts.iter().map(UrlPart::sample).collect::<String>();
        if has_dot_segment(&sample) || reqwest::Url::parse(&sample).is_err() {
            return Err(format!("`{text}` is not a URL without dot segments"));
        }
        Ok(template)
    }

    /// The same, with what its values may hold. The ids of principal and resource are Picket's and may have slashes anyhow.
    #[must_use]
    pub fn with_slashes(self, slashes: Slashes) -> Self {
        Self { slashes, ..self }
    }

    /// Whether the source is queried without TLS.
    #[must_use]
    pub fn is_clear_text(&self) -> bool {
        matches!(self.parts.first(), Some(UrlPart::Literal(text)) if text.starts_with("http://"))
    }

    /// The URL for a query.
    ///
    /// # Errors
    /// A variable is absent, or makes no good URL.
    pub fn render(&self, query: &Query) -> Result<String, Gap> {
        let mut url = String::new();
        for part in &self.parts {
            match part {
                UrlPart::Literal(text) => url.push_str(text),
                UrlPart::Variable(variable) => {
                    let value = variable.value(query)?;
                    if !is_usable(&value, variable.place, variable.slashes(self.slashes)) {
                        return Err(Gap::Unusable(format!(
                            "has a `${{{}}}` that could change the request",
                            variable.text
                        )));
                    }
                    url.extend(utf8_percent_encode(&value, ESCAPED));
                }
            }
        }
        if url.len() > URL_BYTES_MAX {
            return Err(Gap::Unusable(format!("results in a URL of more than {URL_BYTES_MAX} bytes")));
        }
        // `..` as a value would climb to another collection: URL parsers resolve it before sending.
        if has_dot_segment(&url) {
            return Err(Gap::Unusable("results in a dot segment".to_owned()));
        }
        Ok(url)
    }

    /// Adds what of the call must be known to fill the variables.
    pub fn needs(&self, needed: &mut Reads) {
        for part in &self.parts {
            let UrlPart::Variable(Variable { root: Root::Context, steps, .. }) = part else { continue };
            match steps.as_slice() {
                [Step::Field(http), Step::Field(bag), Step::Tag(key)] if http == "http" && bag == "headers" => {
                    // The whole value becomes part of the question, as in a comparison.
                    needed.headers.merge(&Keys::Some([key.clone()].into()));
                    needed.headers_compared.merge(&Keys::Some([key.clone()].into()));
                }
                [Step::Field(http), Step::Field(bag), Step::Tag(key)] if http == "http" && bag == "query" => {
                    needed.query.merge(&Keys::Some([key.clone()].into()));
                }
                [Step::Field(bag), Step::Tag(pointer)] if is_body(bag) => {
                    needed.body = true;
                    let keys = Keys::Some([pointer.clone()].into());
                    if ARGUMENTS.contains(&bag.as_str()) {
                        needed.args.merge(&keys);
                    }
                    if FIELDS.contains(&bag.as_str()) {
                        needed.fields.merge(&keys);
                        needed.message = true;
                    }
                }
                [Step::Field(http), Step::Field(size)] if http == "http" && size == "bodyBytes" => needed.size = true,
                // The task's parameters come with its token.
                [Step::Field(first), ..] if matches!(first.as_str(), "http" | "env" | "taskParams") => {}
                // Whatever else a protocol finds in a body.
                _ => needed.body = true,
            }
        }
    }
}

/// Whether a map of the context holds what a body says.
fn is_body(bag: &str) -> bool {
    ARGUMENTS.contains(&bag) || FIELDS.contains(&bag)
}

impl UrlPart {
    fn sample(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::Variable(_) => "x",
        }
    }
}

impl Variable {
    /// A variable of the parser's, where it may stand in a URL.
    fn of(
        template::Variable { text, root, mut steps }: template::Variable,
        place: UrlPosition,
    ) -> Result<Self, String> {
        let wrong = |what: &str| wrong(&text, what);
        // The context knows headers by their lower-case names.
        if let (Root::Context, [Step::Field(http), Step::Field(bag), Step::Tag(key)]) = (root, steps.as_mut_slice())
            && (http.as_str(), bag.as_str()) == ("http", "headers")
        {
            key.make_ascii_lowercase();
            if !is_readable(key) {
                return Err(wrong(
                    "names a header that is a credential, or that any caller can write in the proxy's name",
                ));
            }
        }
        match (root, steps.first()) {
            (Root::Action, _) => Err(wrong(NO_ROOT)),
            (_, None) => Err(wrong("names no field")),
            (Root::Context, Some(Step::Tag(_))) => Err(wrong("must name a field first")),
            (Root::Principal | Root::Resource | Root::Context, Some(_)) => Ok(Self { text, root, steps, place }),
        }
    }

    /// What it may hold where values of the call may hold this.
    fn slashes(&self, of_calls: Slashes) -> Slashes {
        match (self.root, self.steps.as_slice()) {
            (Root::Principal | Root::Resource, [Step::Field(id)]) if id == "id" => Slashes::Allowed,
            (Root::Principal | Root::Resource | Root::Context | Root::Action, _) => of_calls,
        }
    }

    fn value(&self, query: &Query) -> Result<SmolStr, Gap> {
        let text = match self.root {
            Root::Principal => of_entity(&query.principal, &self.steps, query),
            Root::Action => None,
            Root::Resource => of_entity(&query.resource, &self.steps, query),
            Root::Context => match self.steps.split_first() {
                Some((Step::Field(name), steps)) => {
                    query.context.get(name.as_str()).and_then(|value| inside(value, steps, query))
                }
                Some((Step::Tag(_), _)) | None => None,
            },
        };
        match text {
            // Empty, it would ask for the collection instead of one of its items.
            None => Err(Gap::Absent(self.text.clone())),
            Some(Ok(text)) if text.is_empty() => Err(Gap::Absent(self.text.clone())),
            Some(Ok(text)) => Ok(text),
            Some(Err(NoText)) => Err(Gap::Unusable(format!("`${{{}}}` is a set, a record or a time", self.text))),
        }
    }
}

/// A value that has no one text.
struct NoText;

fn of_entity(node: &Node, steps: &[Step], query: &Query) -> Option<Result<SmolStr, NoText>> {
    let (first, rest) = steps.split_first()?;
    match first {
        // Everybody unknown shares one id, which names nobody.
        Step::Field(name) if name == "id" && rest.is_empty() => {
            (node.uid.kind != "Unauthenticated").then(|| Ok(node.uid.id.clone()))
        }
        Step::Field(name) => inside(node.attributes.get(name.as_str())?, rest, query),
        Step::Tag(key) => inside(node.tags.get(key.as_str())?, rest, query),
    }
}

fn inside(value: &Value, steps: &[Step], query: &Query) -> Option<Result<SmolStr, NoText>> {
    let Some((first, rest)) = steps.split_first() else { return Some(text(value)) };
    match (value, first) {
        (Value::Record(fields), Step::Field(name)) => inside(fields.get(name.as_str())?, rest, query),
        (Value::Entity(uid), _) => {
            let node = query.bags.iter().find(|node| node.uid == *uid)?;
            of_entity(node, steps, query)
        }
        (Value::Record(_), Step::Tag(_)) => None,
        (
            Value::String(_)
            | Value::Long(_)
            | Value::Bool(_)
            | Value::Set(_)
            | Value::Time(_)
            | Value::Duration(_)
            | Value::Ip(_)
            | Value::Decimal(_),
            _,
        ) => None,
    }
}

fn text(value: &Value) -> Result<SmolStr, NoText> {
    match value {
        Value::String(text) | Value::Ip(text) | Value::Decimal(text) => Ok(text.clone()),
        Value::Long(number) => Ok(number.to_smolstr()),
        Value::Bool(truth) => Ok(truth.to_smolstr()),
        Value::Entity(uid) => Ok(uid.id.clone()),
        Value::Set(_) | Value::Record(_) | Value::Time(_) | Value::Duration(_) => Err(NoText),
    }
}

/// What is wrong with a variable, and two that are right.
fn wrong(variable: &str, what: &str) -> String {
    format!("`${{{variable}}}` {what}; for example `${{principal.id}}` or `${{context.args[/change]}}`")
}

fn parts(text: &str) -> Result<Vec<UrlPart>, String> {
    let stray = || format!("`{text}` has a stray `$`, `{{` or `}}`; variables are written `${{principal.id}}`");
    let split = template::parts(text).map_err(|problem| match problem {
        TemplateProblem::LoneDollar => stray(),
        TemplateProblem::Open(_) => format!("`{text}` has a `${{` without its `}}`"),
        TemplateProblem::Root(variable) => wrong(&variable, NO_ROOT),
        TemplateProblem::Step(variable, what) => wrong(&variable, what),
    })?;
    let mut parts = Vec::new();
    let mut place = UrlPosition::Path;
    for part in split {
        match part {
            template::Part::Literal(literal) if literal.contains(['$', '{', '}']) => return Err(stray()),
            template::Part::Literal(literal) => {
                if literal.contains('?') {
                    place = UrlPosition::Query;
                }
                parts.push(UrlPart::Literal(literal));
            }
            template::Part::Variable(variable) => {
                if parts.last().is_some_and(begins_key) {
                    let variable = variable.text;
                    return Err(format!(
                        "`${{{variable}}}` of `{text}` names a key of the query; write `?key=${{{variable}}}`"
                    ));
                }
                parts.push(UrlPart::Variable(Variable::of(variable, place)?));
            }
        }
    }
    Ok(parts)
}

/// Whether a key of the query begins in a literal and goes on behind it: its name is the operator's.
fn begins_key(part: &UrlPart) -> bool {
    match part {
        UrlPart::Literal(text) => text.rsplit_once(['?', '&']).is_some_and(|(_, pair)| !pair.contains('=')),
        UrlPart::Variable(_) => false,
    }
}

/// Whether a segment of the URL's path, as it is or decoded, is nothing but dots: URL parsers resolve it before sending.
fn has_dot_segment(url: &str) -> bool {
    let path = url.split('?').next().unwrap_or_default();
    path.split('/').any(|segment| climbs(&percent_decode_str(segment).decode_utf8_lossy()))
}

#[cfg(test)]
mod tests;
