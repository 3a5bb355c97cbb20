//! Lists of MCP: their methods, and the calls that could use an entry.
//!
//! Knows: the four list methods, names of entries. Must not know: results of lists, policies.

use super::ask::{prompt_name, tool_name};
use super::{Ask, uri};
use crate::body::json::Json;

/// What a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListKind {
    /// `tools/list`, by name.
    Tools,
    /// `resources/list`, by URI.
    Resources,
    /// `resources/templates/list`, by URI template.
    ResourceTemplates,
    /// `prompts/list`, by name.
    Prompts,
}

impl ListKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Resources, Self::ResourceTemplates, Self::Prompts];

    /// The list that a method requests.
    #[must_use]
    pub fn of_method(method: &str) -> Option<Self> {
        match method {
            "tools/list" => Some(Self::Tools),
            "resources/list" => Some(Self::Resources),
            "resources/templates/list" => Some(Self::ResourceTemplates),
            "prompts/list" => Some(Self::Prompts),
            _ => None,
        }
    }

    /// The operations of which one must be possible for an entry with this name to be of use: none if every such call is refused
    /// before a policy is evaluated. For a template the URI in them is its text up to the brace of its first expression, so that no
    /// resource has this URI.
    #[must_use]
    pub fn asks(self, name: &str) -> Vec<Ask> {
        match self {
            Self::Tools => {
                let legal = tool_name(name).is_ok();
                legal.then(|| Ask::CallTool { name: name.to_owned(), arguments: Json::empty() }).into_iter().collect()
            }
            Self::Resources => uri::canonical(name).map(of_resource).unwrap_or_default(),
            Self::ResourceTemplates => of_resource(literal(name).to_owned()),
            Self::Prompts => {
                let legal = prompt_name(name).is_ok();
                legal.then(|| Ask::GetPrompt { name: name.to_owned(), arguments: Json::empty() }).into_iter().collect()
            }
        }
    }
}

fn of_resource(uri: String) -> Vec<Ask> {
    vec![Ask::ReadResource { uri: uri.clone() }, Ask::SubscribeResource { uri }]
}

/// The text of a template (RFC 6570) that every URI of it begins with, and a brace.
fn literal(template: &str) -> &str {
    template.split_inclusive('{').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stands_for_the_calls_that_use_it() {
        use ListKind::{Prompts, ResourceTemplates, Resources, Tools};
        for (kind, name, expected) in [
            (Tools, "read", "call read"),
            // No call of them reaches a policy.
            (Tools, "read it", ""),
            (Tools, "", ""),
            (Prompts, "a b", "prompt a b"),
            (Prompts, "a\u{7}", ""),
            (Resources, "ticket://1/", "read ticket://1, subscribe ticket://1"),
            (Resources, "ticket://1/../2", ""),
            (ResourceTemplates, "ticket://1/{name}/x", "read ticket://1/{, subscribe ticket://1/{"),
            (ResourceTemplates, "{+uri}", "read {, subscribe {"),
            (ResourceTemplates, "ticket://1", "read ticket://1, subscribe ticket://1"),
        ] {
            let show = |ask: Ask| match ask {
                Ask::CallTool { name, .. } => format!("call {name}"),
                Ask::ReadResource { uri } => format!("read {uri}"),
                Ask::SubscribeResource { uri } => format!("subscribe {uri}"),
                Ask::GetPrompt { name, .. } => format!("prompt {name}"),
                Ask::UseServer { method } => method,
            };
            let shown: Vec<String> = kind.asks(name).into_iter().map(show).collect();
            assert_eq!(shown.join(", "), expected, "{kind:?} {name}");
        }
    }

    #[test]
    fn only_the_four_list_methods_request_a_list() {
        let methods = ["tools/list", "resources/list", "resources/templates/list", "prompts/list"];
        assert_eq!(methods.map(ListKind::of_method), ListKind::ALL.map(Some));
        for other in ["tools/call", "tools/List", "roots/list", "tasks/list", ""] {
            assert_eq!(ListKind::of_method(other), None, "{other}");
        }
    }
}
