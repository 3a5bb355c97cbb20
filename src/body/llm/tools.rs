//! Tools that a request offers to a model: the client's own, and those that the provider runs.
//!
//! Knows: how the APIs declare tools. Must not know: what a tool does.

use super::super::members::Members;
use super::Request;
use crate::failure::Failure;

/// Families of hosted tools: their types differ by date and stage (`web_search_20250305`, `web_search_preview`).
const FAMILIES: [&str; 12] = [
    "code_execution",
    "code_interpreter",
    "computer",
    "file_search",
    "image_generation",
    "mcp",
    "memory",
    "shell",
    "tool_search",
    "web_extractor",
    "web_fetch",
    "web_search",
];
/// Families that the client runs although the provider has defined them.
const OF_THE_CLIENT: [&str; 5] = ["apply_patch", "bash", "local_shell", "str_replace_based_edit_tool", "text_editor"];

/// Members of a tool that are read.
const TOOL: [&str; 7] = ["type", "name", "function", "custom", "tools", "server_url", "connector_id"];

impl Request {
    /// Takes `tools`, as all three APIs declare them.
    ///
    /// # Errors
    /// `message_refused` for a tool without name or type, or with a server whose URL has no one reading.
    pub(super) fn tools(&mut self, holder: Members<'_>) -> Result<(), Failure> {
        for tool in holder.items("tools")? {
            self.tool(Members::of(tool, "a tool")?)?;
        }
        Ok(())
    }

    fn tool(&mut self, tool: Members<'_>) -> Result<(), Failure> {
        tool.spelled(&TOOL)?;
        let kind = tool.text("type")?;
        match kind {
            // Anthropic's own form has no type; OpenAI nests name and schema, or not, by API.
            None | Some("function" | "custom") => {
                let nested = match kind {
                    Some("function") => tool.object("function", "`function`")?,
                    Some("custom") => tool.object("custom", "`custom`")?,
                    Some(_) | None => None,
                };
                self.tool_names.insert(nested.unwrap_or(tool).required_text("name")?.to_owned());
            }
            Some(kind) if family(kind, &OF_THE_CLIENT).is_some() => {
                let name = tool.text("name")?.filter(|name| !name.is_empty());
                self.tool_names.insert(name.unwrap_or(kind).to_owned());
            }
            Some(kind) => {
                self.hosted_tools.insert(family(kind, &FAMILIES).unwrap_or(kind).to_owned());
            }
        }
        if kind == Some("mcp") {
            let (url, connector) = (tool.text("server_url")?, tool.text("connector_id")?);
            if url.is_none() && connector.is_none() {
                return Err(tool.wrong("server_url", "the server's URL, or `connector_id` be set"));
            }
        }
        // Whatever its type: a server that is named may be called.
        if let Some(url) = tool.text("server_url")? {
            self.serves(url)?;
        }
        if let Some(connector) = tool.text("connector_id")? {
            self.connects(connector);
        }
        // A type that holds tools is hosted itself, and what it holds is offered all the same.
        self.tools(tool)
    }
}

/// The family that a type belongs to by its beginning.
fn family(kind: &str, families: &[&'static str]) -> Option<&'static str> {
    families
        .iter()
        .copied()
        .find(|family| kind.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-'])))
}
