//! Shows readings of messages in tests.

use std::fmt::Write as _;

use super::{Edit, Ends, Fate, Format, Message, Reading, Role, Unlisted};
use crate::body::json::{Json, Limits, Node, Value, parse};

/// Parses a fixture.
pub(super) fn document(text: &str) -> Json {
    parse(text.as_bytes(), Limits::default()).unwrap()
}

/// Reads one event and shows it. An event is `name|json`, or JSON alone.
pub(super) fn event(format: &mut impl Format, text: &str) -> String {
    let (event, text) = match text.split_once('|') {
        Some((event, rest)) if !event.contains('{') => (event, rest),
        _ => ("", text),
    };
    let json = document(text);
    let message = Message { event, json: json.node() };
    let reading = format.event(message);
    show(message.json, &reading)
}

/// Reads events one by one, lets all that are forwarded leave, and shows them all.
pub(super) fn events(format: &mut impl Format, texts: &[&str]) -> String {
    let mut shown = String::new();
    for text in texts {
        let lines = event(format, text);
        if !lines.contains("withheld") {
            left(format, text);
        }
        writeln!(shown, "-- {}", lines.trim_end().replace('\n', "\n   ")).unwrap();
    }
    shown
}

/// Lets an event leave.
pub(super) fn left(format: &mut impl Format, text: &str) {
    let text = text.split_once('|').filter(|(event, _)| !event.contains('{')).map_or(text, |(_, rest)| rest);
    format.left(Message { event: "", json: document(text).node() });
}

/// Reads a document and shows it.
pub(super) fn whole(format: &mut impl Format, text: &str) -> String {
    let json = document(text);
    let reading = format.document(Message { event: "", json: json.node() });
    show(json.node(), &reading)
}

/// The strings that are not exempt, each with its role and its text, then everything else of the reading.
fn show(root: Node<'_>, reading: &Reading) -> String {
    let mut shown = String::new();
    list(root, "", reading, &mut shown);
    let path = |place: usize| find(root, "", place).unwrap_or_else(|| format!("?{place}"));
    let edit = |edit: &Edit| match edit {
        Edit::Remove(place) => format!("removes {}", path(*place)),
        Edit::Replace(place, text) => format!("replaces {} by {text}", path(*place)),
    };
    let edits = reading.edits.iter().map(edit);
    let masked = reading.edits_when_masked.iter().map(|one| format!("{}, once masked", edit(one)));
    edits.chain(masked).for_each(|line| writeln!(shown, "{line}").unwrap());
    match &reading.ends {
        Ends::Scopes(scopes) if scopes.is_empty() => {}
        Ends::Scopes(scopes) => writeln!(shown, "ends {}", scopes.join(", ")).unwrap(),
        Ends::All => shown.push_str("ends all\n"),
    }
    if reading.fate == Fate::Withheld {
        shown.push_str("withheld\n");
    }
    if let Some(usage) = reading.usage {
        writeln!(shown, "usage {} + {}", usage.input_tokens, usage.output_tokens).unwrap();
    }
    let roots: Vec<String> = reading.roots.iter().map(|root| path(*root)).collect();
    if roots != [""] {
        writeln!(shown, "roots {}", roots.join(", ")).unwrap();
    }
    shown
}

fn children<'a>(node: Node<'a>) -> Vec<(String, Node<'a>)> {
    match node.value() {
        Value::List(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => Vec::new(),
    }
}

fn list(node: Node<'_>, path: &str, reading: &Reading, shown: &mut String) {
    if let Some(text) = node.as_text() {
        let role = match (reading.leaves.get(&node.place()), &reading.unlisted) {
            (Some(leaf), _) => {
                let again = if leaf.is_repeated { " again" } else { "" };
                match &leaf.role {
                    Role::Exempt => return,
                    Role::Delta(name) => format!("{name} of {}{again}", leaf.scope),
                    Role::Held(name) => format!("held {name} of {}{again}", leaf.scope),
                    Role::Complete => format!("complete{again}"),
                    Role::Arguments => format!("arguments{again}"),
                    Role::Base64 { from } => format!("base64 from {from}{again}"),
                    Role::Media(kind) => format!("media {kind}{again}"),
                }
            }
            (None, Unlisted::Complete) => "complete".to_owned(),
            (None, Unlisted::Delta(scope)) => format!("path of {scope}"),
        };
        writeln!(shown, "{path} {text:?}: {role}").unwrap();
    }
    children(node).iter().for_each(|(key, child)| list(*child, &format!("{path}/{key}"), reading, shown));
}

fn find(node: Node<'_>, path: &str, place: usize) -> Option<String> {
    if node.place() == place {
        return Some(path.to_owned());
    }
    children(node).iter().find_map(|(key, child)| find(*child, &format!("{path}/{key}"), place))
}

/// The text of a document with its edits, by a tokenizer that knows nothing of [`Node`] but the order of values.
pub(super) fn spliced(text: &str, root: Node<'_>, edits: &[Edit]) -> String {
    let mut ranges = Vec::new();
    tokenize(text.as_bytes(), &mut 0, root, &mut ranges);
    let range = |place: usize| ranges.iter().find(|(own, ..)| *own == place).unwrap().1.clone();
    let mut cuts: Vec<(std::ops::Range<usize>, &str)> = Vec::new();
    for edit in edits {
        match edit {
            Edit::Replace(place, by) => cuts.push((range(*place), by)),
            Edit::Remove(place) => cuts.push((range(*place), "")),
        }
    }
    cuts.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = text.to_owned();
    for (range, by) in cuts {
        text.replace_range(range.clone(), by);
        if by.is_empty() {
            // The comma behind the element, or else the one before it.
            let after = text[range.start..].find(|c: char| !c.is_whitespace()).unwrap() + range.start;
            let before = text[..range.start].trim_end().len();
            if text[after..].starts_with(',') {
                let blank = text[after + 1..].find(|c: char| !c.is_whitespace()).unwrap();
                text.replace_range(range.start..after + 1 + blank, "");
            } else if text[..before].ends_with(',') {
                text.replace_range(before - 1..range.start, "");
            }
        }
    }
    text
}

/// Finds where each list item and member value lies.
fn tokenize(text: &[u8], at: &mut usize, node: Node<'_>, ranges: &mut Vec<(usize, std::ops::Range<usize>)>) {
    let skip = |at: &mut usize, which: &[u8]| {
        while text.get(*at).is_some_and(|byte| which.contains(byte)) {
            *at += 1;
        }
    };
    let blanks = b" \t\r\n,:";
    skip(at, blanks);
    let from = *at;
    let string = |at: &mut usize| {
        *at += 1;
        while text[*at] != b'"' {
            *at += if text[*at] == b'\\' { 2 } else { 1 };
        }
        *at += 1;
    };
    match node.value() {
        Value::Text(_) => string(at),
        Value::List(_) | Value::Object(_) => {
            *at += 1;
            for (_, child) in children(node) {
                if node.as_object().is_some() {
                    skip(at, blanks);
                    string(at);
                }
                tokenize(text, at, child, ranges);
            }
            skip(at, blanks);
            *at += 1;
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            while text.get(*at).is_some_and(|byte| !b" \t\r\n,:]}".contains(byte)) {
                *at += 1;
            }
        }
    }
    ranges.push((node.place(), from..*at));
}
