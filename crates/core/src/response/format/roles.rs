//! Gives the strings of one message their roles.
//!
//! Knows: places of strings, the shape of ids, data URLs. Must not know: any one API.

use smol_str::SmolStr;

use super::{Edit, Leaf, Reading, Role};
use crate::body::json::{Node, Value};

/// Most choices, items, blocks or artifacts of one response that a format keeps apart. Scopes of any more end with the stream, so
/// that their text is held until then.
pub(super) const RECORDS_MAX: usize = 4096;
/// Longest id, name of a model or word of a protocol that is exempt, in bytes.
const ID_BYTES_MAX: usize = 512;
/// Longest scope that a number or id of the upstream names, in bytes.
const INDEX_BYTES_MAX: usize = 64;

/// The items of a list member; none where there is no list.
pub(super) fn items<'a>(node: Node<'a>, key: &str) -> impl Iterator<Item = Node<'a>> {
    node.get(key).and_then(Node::as_list).into_iter().flat_map(|list| list.iter())
}

/// The text of a member.
pub(super) fn text<'a>(node: Node<'a>, key: &str) -> Option<&'a str> {
    node.get(key)?.as_text()
}

/// A member that counts or names: the number, the id, or `otherwise`.
///
/// A value of any other kind, or one that is too long for a name, is `?`, which all such values share.
pub(super) fn index(node: Node<'_>, key: &str, otherwise: usize) -> SmolStr {
    let Some(value) = node.get(key) else { return smol_str::format_smolstr!("{otherwise}") };
    match value.value() {
        Value::Number(number) if number.as_str().len() <= INDEX_BYTES_MAX => SmolStr::new(number.canonical()),
        Value::Text(text) if text.len() <= INDEX_BYTES_MAX => SmolStr::new(text),
        Value::Number(_) | Value::Text(_) | Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_) => {
            SmolStr::new_static("?")
        }
    }
}

/// A count of tokens; 0 where it is missing or not a count.
pub(super) fn tokens(usage: Node<'_>, keys: &[&str]) -> u64 {
    let count = |key: &&str| usage.get(key)?.as_number()?.to_i64();
    keys.iter().filter_map(count).filter(|count| *count >= 0).map(i64::unsigned_abs).sum()
}

/// Calls `visit` for every string below a value, itself included, in the order sent.
pub(super) fn strings<'a>(node: Node<'a>, visit: &mut dyn FnMut(Node<'a>)) {
    match node.value() {
        Value::Text(_) => visit(node),
        Value::List(items) => items.iter().for_each(|item| strings(item, visit)),
        Value::Object(members) => members.iter().for_each(|(_, value)| strings(value, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a text has the shape of an id, a model's name or a word of a protocol: no blank, no `@`, no quote.
fn is_id(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=|~#".contains(&byte);
    text.len() <= ID_BYTES_MAX && text.bytes().all(is_part)
}

/// Whether a text has the shape of Base64 in either alphabet.
pub(super) fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=\r\n".contains(&byte))
}

/// Whether a media type is text that detectors can read.
pub(super) fn is_text_media(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let application = ["json", "xml", "javascript", "yaml", "x-yaml", "toml", "sql", "x-ndjson", "x-sh", "graphql"];
    let is_listed = |name: &str| application.contains(&name) || name.ends_with("+json") || name.ends_with("+xml");
    match essence.split_once('/') {
        Some(("text", _)) => true,
        Some(("application", name)) => is_listed(name),
        // SVG is XML.
        Some((_, name)) => name.ends_with("+xml") || name.ends_with("+json"),
        None => false,
    }
}

/// The role of Base64 data of a media type; of text where it has another shape than it should have.
pub(super) fn blob(data: &str, media_type: Option<&str>) -> Role {
    match media_type {
        Some(media_type) if is_text_media(media_type) => Role::Base64 { from: 0 },
        Some(media_type) if is_base64(data) => Role::Media(essence(media_type)),
        None if is_base64(data) => Role::Media(SmolStr::new_static("application/octet-stream")),
        Some(_) | None => Role::Complete,
    }
}

/// The role of a complete text: a data URL holds text or media, anything else is read as it is.
pub(super) fn complete(text: &str) -> Role {
    data_url(text).unwrap_or(Role::Complete)
}

fn data_url(text: &str) -> Option<Role> {
    let is_scheme = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let comma = text.find(',').filter(|_| is_scheme)?;
    let (media_type, data) = (text.get(5..comma)?, text.get(comma + 1..)?);
    let media_type = media_type.strip_suffix(";base64")?;
    Some(match media_type {
        // RFC 2397: without a type it is plain text.
        "" => Role::Base64 { from: comma + 1 },
        media_type if is_text_media(media_type) => Role::Base64 { from: comma + 1 },
        media_type if is_base64(data) => Role::Media(essence(media_type)),
        _ => Role::Complete,
    })
}

fn essence(media_type: &str) -> SmolStr {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    // The name goes into records and policies, so it is a type or nothing.
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.+*".contains(&byte);
    let is_type = essence.len() <= 127 && essence.contains('/') && essence.bytes().all(is_part);
    SmolStr::new(if is_type { essence.to_ascii_lowercase() } else { "application/octet-stream".to_owned() })
}

/// What happens to log probabilities, which repeat the text token by token, also as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogProbabilities {
    /// They are removed from the first event on. Needed wherever a detector runs.
    Dropped,
    /// They pass: nothing is looked for.
    Kept,
}

impl Reading {
    /// Gives one string a role. No effect on a value that is not a string, or on a missing one.
    pub(super) fn role(&mut self, node: Option<Node<'_>>, scope: &SmolStr, role: impl FnOnce(&str) -> Role) {
        if let Some((node, text)) = node.and_then(|node| Some((node, node.as_text()?))) {
            let leaf = Leaf { scope: scope.clone(), role: role(text), is_repeated: false };
            self.leaves.insert(node.place(), leaf);
        }
    }

    /// Exempts members of an object, as far as they have the shape of ids; any other text is read as all others are.
    pub(super) fn exempt(&mut self, object: Node<'_>, keys: &[&str]) {
        for node in keys.iter().filter_map(|key| object.get(key)) {
            self.exempt_if(node, is_id);
        }
    }

    /// Exempts members of an object that are signatures or encrypted, as far as they have the shape of Base64.
    pub(super) fn exempt_sealed(&mut self, object: Node<'_>, keys: &[&str]) {
        for node in keys.iter().filter_map(|key| object.get(key)) {
            self.exempt_if(node, is_base64);
        }
    }

    fn exempt_if(&mut self, node: Node<'_>, fits: fn(&str) -> bool) {
        if node.as_text().is_some_and(fits) {
            self.role(Some(node), &SmolStr::default(), |_| Role::Exempt);
        }
    }

    /// Makes every string below a value, unless it has a role, a piece of a text that continues at the same path below this value.
    pub(super) fn deltas_below(&mut self, node: Node<'_>, scope: &SmolStr, name: &str) {
        match node.value() {
            Value::Text(_) if self.leaves.contains_key(&node.place()) => {}
            Value::Text(_) => self.role(Some(node), scope, |_| Role::Delta(SmolStr::new(name))),
            Value::List(items) => {
                let numbered = items.iter().enumerate();
                numbered.for_each(|(at, item)| self.deltas_below(item, scope, &format!("{name}/{at}")));
            }
            Value::Object(members) => {
                let named = |(key, value)| self.deltas_below(value, scope, &format!("{name}/{key}"));
                members.iter().for_each(named);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Makes every string below a value, unless it has a role, a complete text.
    pub(super) fn complete_below(&mut self, node: Option<Node<'_>>) {
        let Some(node) = node else { return };
        strings(node, &mut |node| {
            if !self.leaves.contains_key(&node.place()) {
                self.role(Some(node), &SmolStr::default(), complete);
            }
        });
    }

    /// Marks every string below a value as text that earlier events had. Strings without a role are complete.
    pub(super) fn repeated_below(&mut self, node: Option<Node<'_>>) {
        let Some(node) = node else { return };
        self.complete_below(Some(node));
        strings(node, &mut |node| {
            if let Some(leaf) = self.leaves.get_mut(&node.place()) {
                leaf.is_repeated = true;
            }
        });
    }

    /// Replaces log probabilities: a list by an empty one, any other value by `null`.
    pub(super) fn log_probabilities(&mut self, holder: Node<'_>, fate: LogProbabilities) {
        let Some(node) = holder.get("logprobs").filter(|_| fate == LogProbabilities::Dropped) else { return };
        let replacement = match node.value() {
            Value::Null => return,
            Value::List(items) if items.is_empty() => return,
            Value::List(_) => "[]",
            Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Object(_) => "null",
        };
        self.edits.push(Edit::Replace(node.place(), replacement.to_owned()));
        strings(node, &mut |node| self.role(Some(node), &SmolStr::default(), |_| Role::Exempt));
    }

    /// Removes offsets into the response's own text, once a value was masked.
    pub(super) fn drop_offsets(&mut self, holder: Node<'_>, keys: &[&str]) {
        let places = keys.iter().filter_map(|key| holder.get(key)).map(Node::place);
        self.edits_when_masked.extend(places.map(Edit::Remove));
    }
}
