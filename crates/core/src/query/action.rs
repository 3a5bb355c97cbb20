//! Names of actions that several modules share.

/// The action of calling a tool.
pub const CALL_TOOL: &str = "mcp.tools.call";
/// Begins the actions of single tools; they lie in [`CALL_TOOL`].
const OF_TOOLS: &str = "mcp.tools.call/";

/// The action of calling one tool with typed arguments: `mcp.tools.call/<namespace>/<service>/<tool>`.
#[must_use]
pub fn of_tool(service: &str, tool: &str) -> String {
    format!("{OF_TOOLS}{service}/{tool}")
}

/// The tool with this action, as `<namespace>/<service>/<tool>`.
#[must_use]
pub fn tool(action: &str) -> Option<&str> {
    action.strip_prefix(OF_TOOLS)
}

/// The action without the tool: one of the few that the shipped schema names. For labels, records, templates and
/// digests, in which a tool's own action would be a second name for the same thing.
#[must_use]
pub fn bare(action: &str) -> &str {
    if tool(action).is_some() { CALL_TOOL } else { action }
}

/// Whether the context of this action has the findings in its message, and whether all of the message was read.
#[must_use]
pub fn has_content(action: &str) -> bool {
    const ACTIONS: [&str; 10] = [
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "other",
        CALL_TOOL,
        "mcp.prompts.get",
        "a2a.send",
        "llm.generate",
        "release",
    ];
    ACTIONS.contains(&bare(action))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tools_own_action_has_a_shorter_name() {
        assert_eq!(bare(&of_tool("agents/deploy", "run")), CALL_TOOL);
        assert_eq!(tool(&of_tool("agents/deploy", "run")), Some("agents/deploy/run"));
        for action in [CALL_TOOL, "mcp.any", "GET", "mcp.tools.callback"] {
            assert_eq!((bare(action), tool(action)), (action, None));
        }
    }
}
