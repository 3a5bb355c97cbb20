//! Prints settings: the effective ones with their origins, the reference, and a file with every key.

use std::fmt::Write as _;

use serde_json::Value;

use super::all_sections;
use super::tree::{Content, Node};
use crate::setting::{Key, KeyTree};

/// The effective settings as YAML; a comment after each value names its origin.
#[must_use]
pub fn effective(tree: &Node) -> String {
    let mut text = String::new();
    if let KeyTree::Map(keys) = KeyTree::of(&all_sections()) {
        map(&mut text, &keys, Some(tree), "");
    }
    text
}

fn map(text: &mut String, keys: &[(&'static str, KeyTree)], node: Option<&Node>, indent: &str) {
    for (name, known) in keys {
        entry(text, name, known, node.and_then(|node| node.get(name)), indent);
    }
}

fn entry(text: &mut String, name: &str, known: &KeyTree, node: Option<&Node>, indent: &str) {
    let deeper = format!("{indent}  ");
    match (known, node) {
        (KeyTree::Leaf(key), None) => line(text, indent, name, key.default.unwrap_or("null"), "default"),
        (KeyTree::Leaf(_), Some(node)) => line(text, indent, name, &flow(&node.plain()), &node.origin.to_string()),
        // An optional section that nobody gave has no defaults that would be in force.
        (KeyTree::Map(keys), None) if keys.iter().any(|(_, known)| is_required(known)) => {
            line(text, indent, name, "null", "default");
        }
        (KeyTree::Map(keys), node) => {
            let _infallible = writeln!(text, "{indent}{name}:");
            map(text, keys, node, &deeper);
        }
        (KeyTree::Each(inner), node) => {
            let _infallible = writeln!(text, "{indent}{name}:");
            if let Some(Content::Map(entries)) = node.map(|node| &node.content) {
                entries.iter().for_each(|(name, node)| entry(text, name, inner, Some(node), &deeper));
            }
        }
        (KeyTree::List(inner), node) => {
            let _infallible = writeln!(text, "{indent}{name}:");
            if let Some(Content::List(items)) = node.map(|node| &node.content) {
                items.iter().for_each(|item| list_item(text, inner, item, &deeper));
            }
        }
    }
}

fn list_item(text: &mut String, known: &KeyTree, item: &Node, indent: &str) {
    let mut inner = String::new();
    if let KeyTree::Map(keys) = known {
        map(&mut inner, keys, Some(item), &format!("{indent}  "));
    }
    let marked = inner.replacen(&format!("{indent}  "), &format!("{indent}- "), 1);
    text.push_str(&marked);
}

fn is_required(known: &KeyTree) -> bool {
    matches!(known, KeyTree::Leaf(Key { default: None, .. }))
}

fn line(text: &mut String, indent: &str, name: &str, value: &str, origin: &str) {
    let _infallible = writeln!(text, "{indent}{name}: {value}  # {origin}");
}

/// A value on one line: JSON is YAML too.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// Whether YAML reads the text, unquoted, as that very text.
fn is_plain(text: &str) -> bool {
    let plain = text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'/' | b'.' | b'-' | b'_'));
    plain && serde_saphyr::from_str::<Node>(text).is_ok_and(|node| node.content == Content::Scalar(text.into()))
}

/// `docs/config.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         One YAML file (`picket serve --config picket.yaml`); nothing in it is required. Every key is also an\n\
         environment variable and a flag: `shutdown.pre_drain` is `PICKET_SHUTDOWN__PRE_DRAIN` and\n\
         `--set shutdown.pre_drain=10s`; an element of a list goes by its number, as in `listeners.0.address`.\n\
         Flags win over the environment, the environment over the file, the file over the defaults.\n\
         An unknown key is an error. `picket serve --print-config` prints the active values and their origins.\n\n\
         Times are written `250ms`, `30s`, `10m`; sizes are bytes, as the keys' names say.\n\n\
         This file is generated from `src/`: `UPDATE=1 cargo test --lib config`.\n\n\
         | key | default | meaning |\n|---|---|---|\n",
    );
    for (path, key) in KeyTree::of(&all_sections()).leaves() {
        let default = key.default.map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
        let _infallible = writeln!(text, "| `{path}` | {default} | {} |", key.doc.replace('|', "\\|"));
    }
    text
}

/// `deploy/config.yaml`: every key with its default, as comments what has none.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(
        "# Every setting of Picket with its default; docs/config.md says the same as a table.\n\
         # What is commented out has no default. Generated from src/: UPDATE=1 cargo test --lib config\n",
    );
    if let KeyTree::Map(keys) = KeyTree::of(&all_sections()) {
        for (name, known) in &keys {
            text.push('\n');
            example_entry(&mut text, name, known, "", Without::Commented);
        }
    }
    text
}

/// What stands beside a key without default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    /// It is commented out.
    Commented,
    /// Its example: the whole section is commented out, or it is the listener that exists by default.
    Shown,
}

fn example_entry(text: &mut String, name: &str, known: &KeyTree, indent: &str, without: Without) {
    let deeper = format!("{indent}  ");
    match known {
        KeyTree::Leaf(key) => example_leaf(text, name, key, indent, without),
        KeyTree::Map(keys) if without == Without::Shown && keys.iter().any(|(_, known)| is_required(known)) => {
            let mut section = format!("{name}:\n");
            keys.iter().for_each(|(name, known)| example_entry(&mut section, name, known, "  ", Without::Shown));
            section.lines().for_each(|line| text.push_str(&format!("{indent}# {line}\n")));
        }
        KeyTree::Map(keys) => {
            text.push_str(&format!("{indent}{name}:\n"));
            keys.iter().for_each(|(name, known)| example_entry(text, name, known, &deeper, without));
        }
        KeyTree::Each(inner) => {
            text.push_str(&format!("{indent}{name}:\n"));
            example_entry(text, "default", inner, &deeper, without);
        }
        KeyTree::List(inner) => {
            text.push_str(&format!("{indent}{name}:\n"));
            let mut item = String::new();
            if let KeyTree::Map(keys) = inner.as_ref() {
                keys.iter().for_each(|(name, known)| {
                    example_entry(&mut item, name, known, &format!("{deeper}  "), Without::Shown);
                });
            }
            text.push_str(&format!("{deeper}-\n{item}"));
        }
    }
}

fn example_leaf(text: &mut String, name: &str, key: &Key, indent: &str, without: Without) {
    for line in wrapped(key.doc, 100 - indent.len()) {
        text.push_str(&format!("{indent}# {line}\n"));
    }
    let (value, comment) = match (key.default, without) {
        (_, Without::Shown) => (key.example, ""),
        (Some(default), Without::Commented) if default != "null" => (default, ""),
        (_, Without::Commented) => (key.example, "# "),
    };
    text.push_str(&format!("{indent}{comment}{name}: {value}\n"));
    if value != key.example {
        text.push_str(&format!("{indent}# such as: {}\n", key.example));
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
