//! Tools that a request offers to a model: the client's own, and those run by the provider.
//!
//! Knows: how the APIs declare tools. Must not know: what a tool does.

use std::collections::BTreeSet;

use super::super::json::{Node, Value};
use super::super::members::{Members, refused};
use super::Request;
use super::shape::Shape;
use super::shapes::{CHOICE, LISTED, TOOL};
use super::walk::wrong;
use crate::failure::Failure;

/// What stands among hosted tools where the provider fetches a URL.
pub(super) const FETCH: &str = "fetch";
/// Families of hosted tools: their types differ by date and stage (`web_search_20250305`, `web_search_preview`).
const FAMILIES: [&str; 13] = [
    "advisor",
    "code_execution",
    "code_interpreter",
    "file_search",
    "image_generation",
    "mcp",
    "programmatic_tool_calling",
    "shell",
    "skills",
    "tool_search",
    "web_extractor",
    "web_fetch",
    "web_search",
];
/// Types and names of hosted tools that do not begin as their family does.
const ALSO: [(&str, &str); 5] = [
    ("mcp_toolset", "mcp"),
    ("tool_search_tool_bm25", "tool_search"),
    ("tool_search_tool_regex", "tool_search"),
    ("bash_code_execution", "code_execution"),
    ("text_editor_code_execution", "code_execution"),
];
/// Families that the client runs although the provider has defined them.
const OF_THE_CLIENT: [&str; 10] = [
    "apply_patch",
    "bash",
    "browser_toolset",
    "computer",
    "computer_toolset",
    "computer_use",
    "local_shell",
    "memory",
    "str_replace_based_edit_tool",
    "text_editor",
];

/// In which sense a request names a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// It declares the tool.
    Declared,
    /// It points at a declared one.
    Chosen,
    /// It says that a server has listed it.
    Listed,
}

impl Request {
    /// Takes a list of tools.
    ///
    /// # Errors
    /// `message_refused` for a tool without name or type, with two names, or with a server whose URL has no one reading.
    pub(super) fn each_tool(&mut self, name: &str, tools: Node<'_>, stands: Stands) -> Result<(), Failure> {
        let Value::List(tools) = tools.value() else { return Err(wrong(name)) };
        tools.iter().try_for_each(|tool| self.tool(Members::of(tool, "a tool")?, stands))
    }

    /// Takes one tool.
    ///
    /// # Errors
    /// The same.
    pub(super) fn tool(&mut self, tool: Members<'_>, stands: Stands) -> Result<(), Failure> {
        let name = one_name(tool)?;
        let kind = tool.text("type")?;
        match kind {
            _ if stands == Stands::Listed => self.tool_names.extend(name.map(str::to_owned)),
            // Anthropic's own form has no type; OpenAI nests name and schema, or not, by API.
            None | Some("function" | "custom") => {
                let name = name.ok_or_else(|| tool.wrong("name", "a text that is not empty"))?;
                self.tool_names.insert(name.to_owned());
            }
            // Holds tools of the client's own, and is none itself.
            Some("namespace") => {}
            Some(kind) if is_of_the_client(kind, tool) => {
                self.tool_names.insert(name.unwrap_or(kind).to_owned());
            }
            Some(kind) => {
                let of_kind = family(kind);
                self.hosts_type(kind)?;
                // A reader that does not know the type may take it for a function of this name.
                let is_own = |name: &&str| of_kind == Some("mcp") || of_kind.is_some() && family(name) == of_kind;
                self.tool_names.extend(name.filter(|name| !is_own(name)).map(str::to_owned));
            }
        }
        let has_server = ["server_url", "connector_id", "tunnel_id"].iter().any(|name| tool.get(name).is_some());
        if kind == Some("mcp") && stands == Stands::Declared && !has_server {
            return Err(tool.wrong("server_url", "the server's URL, or `connector_id` or `tunnel_id` be set"));
        }
        let shape: &Shape = if stands == Stands::Listed { &LISTED } else { &TOOL };
        tool.as_object().map_or(Ok(()), |object| self.members(object, shape))
    }

    /// Takes a tool that the provider runs, by its type.
    fn hosts_type(&mut self, kind: &str) -> Result<(), Failure> {
        match family(kind) {
            Some(family) => {
                self.hosts(family);
                Ok(())
            }
            None => self.strange(kind.to_owned()),
        }
    }

    /// Takes which tools are to be used. What is chosen must be declared as well, and counts again.
    ///
    /// # Errors
    /// As for a tool.
    pub(super) fn choice(&mut self, choice: Members<'_>) -> Result<(), Failure> {
        let name = one_name(choice)?;
        match choice.text("type")? {
            None | Some("function" | "custom" | "tool" | "auto" | "any" | "none" | "required" | "allowed_tools") => {
                self.tool_names.extend(name.map(str::to_owned));
            }
            Some(kind) if is_of_the_client(kind, choice) || kind == "shell" => {}
            Some(kind) => self.hosts_type(kind)?,
        }
        choice.as_object().map_or(Ok(()), |object| self.members(object, &CHOICE))
    }
}

/// The name of a tool: beside its type, inside `function` or `custom`, or at several of these places the same.
fn one_name<'a>(tool: Members<'a>) -> Result<Option<&'a str>, Failure> {
    let mut names = BTreeSet::new();
    names.extend(tool.text("name")?);
    for nested in ["function", "custom"] {
        if let Some(nested) = tool.object(nested, "the tool itself")? {
            names.extend(nested.text("name")?);
        }
    }
    names.remove("");
    match names.len() {
        0 | 1 => Ok(names.pop_first()),
        _ => Err(refused("a tool has two names that differ: servers take one or the other")),
    }
}

/// Whether the client runs tools of this type.
fn is_of_the_client(kind: &str, tool: Members<'_>) -> bool {
    let text = |holder: Option<Node<'_>>, is: &str| holder.and_then(Node::as_text) == Some(is);
    match kind {
        // Where it does not say so, it runs at the provider.
        "shell" => text(tool.get("environment").and_then(|environment| environment.get("type")), "local"),
        "tool_search" => text(tool.get("execution"), "client"),
        _ => OF_THE_CLIENT.contains(&undated(kind)),
    }
}

/// Whether a name is that of a family that this build knows.
pub(super) fn is_family(name: &str) -> bool {
    name == FETCH || FAMILIES.contains(&name)
}

/// The family that the type or the use of a hosted tool belongs to.
pub(super) fn family(kind: &str) -> Option<&'static str> {
    let kind = undated(kind);
    let also = ALSO.iter().find(|(known, _)| *known == kind).map(|(_, family)| *family);
    also.or_else(|| FAMILIES.into_iter().find(|family| *family == kind))
}

/// A type without its date and stage: what else follows makes another type of it.
fn undated(kind: &str) -> &str {
    let is_date = |text: &str| {
        text.bytes().filter(u8::is_ascii_digit).count() == 8
            && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
    };
    let dated = kind.match_indices(['_', '-']).find(|(at, joint)| kind.get(at + joint.len()..).is_some_and(is_date));
    let kind = dated.and_then(|(at, _)| kind.get(..at)).unwrap_or(kind);
    kind.strip_suffix("_preview").unwrap_or(kind)
}
