//! Formats tools in the syntax of `catalog.yaml`.
//!
//! Knows: the keys of a tool in the catalogue. Must not know: where a tool comes from.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use picket_core::catalog::mcp::Tool;

/// The tools under `tools:`, as YAML. What a tool does not say is left out.
pub(super) fn yaml(tools: &BTreeMap<String, Tool>) -> String {
    let mut text = "tools:\n".to_owned();
    for (name, tool) in tools {
        let says = |(key, value): &(&str, Value)| match *key {
            // Empty scopes say that none is needed, or that none is acceptable.
            "effect" | "scopes" => !value.is_null(),
            _ => !is_silent(value),
        };
        let part = |(key, value): (&str, Value)| match key {
            // JSON is YAML.
            "input_schema" => format!("{key}: {value}"),
            _ => format!("{key}: {}", flow(&value)),
        };
        let parts: Vec<_> = keys(tool).into_iter().filter(says).map(part).collect();
        let _ = writeln!(text, "  {}: {{{}}}", quoted(name), parts.join(", "));
    }
    text
}

/// The tools by name, as JSON by the same keys. A key that may be missing in the catalogue and means something else
/// when it is empty (`scopes`, `input_schema`) is left out where nothing is known.
pub(super) fn json(tools: &BTreeMap<String, Tool>) -> Value {
    let tool = |tool: &Tool| -> Map<String, Value> {
        keys(tool)
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    };
    tools.iter().map(|(name, found)| (name.clone(), Value::Object(tool(found)))).collect::<Map<_, _>>().into()
}

/// Every key of a tool with its value, in the order of the catalogue; `null` where nothing is known.
fn keys(tool: &Tool) -> Vec<(&'static str, Value)> {
    let Tool { effect, groups, labels, external, scopes, headers, input } = tool;
    let scopes = scopes.as_ref().map(|scopes| {
        let said = [("required", &scopes.required), ("acceptable", &scopes.acceptable)];
        let said = said.into_iter().filter_map(|(key, names)| Some((key.to_owned(), json!(names.as_ref()?))));
        Value::Object(said.collect())
    });
    vec![
        ("effect", json!(effect)),
        ("groups", json!(groups)),
        ("labels", json!(labels)),
        ("external", json!(external)),
        ("scopes", scopes.unwrap_or_default()),
        ("headers", json!(headers)),
        ("input_schema", input.as_ref().map(|input| input.written.clone()).unwrap_or_default()),
    ]
}

/// Whether a value is what the catalogue takes for granted where a key is missing.
fn is_silent(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(key, value)| format!("{}: {}", quoted(key), flow(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// A text as YAML that nothing reads as another type; JSON's quotes are YAML's.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use picket_core::catalog::Catalog;
    use picket_core::catalog::mcp::Effect;
    use picket_core::catalog::mcp::input::Input;
    use picket_core::catalog::routes::Scopes;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn tools() -> BTreeMap<String, Tool> {
        let schema = json!({"type": "object", "properties": {"on": {"type": "integer"}}});
        let full = Tool {
            effect: Effect::Destructive,
            groups: set(&["needs-a-person", "on"]),
            labels: set(&["money", "12"]),
            external: true,
            scopes: Some(Scopes { required: Some(set(&["a:b"])), acceptable: Some(set(&["null", "openid"])) }),
            headers: [("ticket id".to_owned(), "Ticket".to_owned())].into(),
            input: Some(Arc::new(Input::read(&schema).unwrap())),
        };
        let scopes = |scopes| Tool { scopes: Some(scopes), ..Tool::default() };
        [
            ("full", full),
            ("acceptable", scopes(Scopes { required: None, acceptable: Some(set(&["openid"])) })),
            ("none", scopes(Scopes { required: Some(set(&[])), acceptable: None })),
            ("silent", scopes(Scopes::default())),
            ("plain", Tool::default()),
        ]
        .map(|(name, tool)| (name.to_owned(), tool))
        .into()
    }

    fn read(tools: &str) -> BTreeMap<String, Tool> {
        let text =
            format!("services:\n  - id: a/b\n    protocol: mcp\n    {}\n", tools.trim_end().replace('\n', "\n    "));
        let catalog = Catalog::parse("catalog.yaml", &text).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
        catalog.service("a/b").unwrap().tools.clone()
    }

    #[test]
    fn known_fields_of_a_tool_are_read_again_unchanged() {
        assert_eq!(read(&yaml(&tools())), tools());
    }

    #[test]
    fn json_has_the_catalogues_keys_and_is_read_as_the_same_tools() {
        // JSON is YAML.
        assert_eq!(read(&format!("tools: {}", json(&tools()))), tools());
        assert_eq!(json(&tools())["acceptable"]["scopes"], json!({"acceptable": ["openid"]}));
        let plain = json!({"effect": "unknown", "groups": [], "labels": [], "external": false, "headers": {}});
        assert_eq!(json(&tools())["plain"], plain);
    }
}
