//! Families of actions: known of a call before its body is parsed.
//!
//! What policies read is kept by family, since it is needed before the action is known. Every action that can be asked
//! about lies in exactly one.

/// A family of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `OPTIONS`.
    Options,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
    /// `other`: every other method.
    Other,
    /// `connect`.
    Connect,
    /// `upgrade`.
    Upgrade,
    /// `grpc.call`.
    Grpc,
    /// All actions of an MCP server, those of single tools included.
    Mcp,
    /// All actions of an A2A agent.
    A2a,
    /// `llm.generate`.
    Llm,
    /// `release`: an answer on its way back. No call requests it.
    Release,
}

impl Family {
    /// How many there are.
    pub const COUNT: usize = 15;
    /// Every family, each at the place of its [`index`](Self::index).
    pub const ALL: [Self; Self::COUNT] = [
        Self::Get,
        Self::Head,
        Self::Options,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Other,
        Self::Connect,
        Self::Upgrade,
        Self::Grpc,
        Self::Mcp,
        Self::A2a,
        Self::Llm,
        Self::Release,
    ];

    /// The family of an action, by its id; `None` for groups of several families.
    #[must_use]
    pub fn of(action: &str) -> Option<Self> {
        Some(match action {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "OPTIONS" => Self::Options,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "other" => Self::Other,
            "connect" => Self::Connect,
            "upgrade" => Self::Upgrade,
            "grpc.call" => Self::Grpc,
            "llm.generate" => Self::Llm,
            "release" => Self::Release,
            _ if action.starts_with("mcp.") => Self::Mcp,
            _ if action.starts_with("a2a.") => Self::A2a,
            _ => return None,
        })
    }

    /// Its place among [`ALL`](Self::ALL).
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether its calls can have arguments, and numbers and kinds of them.
    #[must_use]
    pub fn has_arguments(self) -> bool {
        match self {
            Self::Post | Self::Put | Self::Patch | Self::Delete | Self::Other | Self::Mcp => true,
            Self::Get | Self::Head | Self::Options | Self::Connect | Self::Upgrade => false,
            Self::Grpc | Self::A2a | Self::Llm | Self::Release => false,
        }
    }

    /// Whether its calls can have fields of a gRPC message, and numbers among them.
    #[must_use]
    pub fn has_fields(self) -> bool {
        match self {
            Self::Grpc => true,
            Self::Get | Self::Head | Self::Options | Self::Connect | Self::Upgrade => false,
            Self::Post | Self::Put | Self::Patch | Self::Delete | Self::Other => false,
            Self::Mcp | Self::A2a | Self::Llm | Self::Release => false,
        }
    }

    /// Whether its calls have findings in their context. Not every action of MCP and A2A has.
    #[must_use]
    pub fn has_content(self) -> bool {
        match self {
            Self::Post | Self::Put | Self::Patch | Self::Delete | Self::Other => true,
            Self::Mcp | Self::A2a | Self::Llm | Self::Release => true,
            Self::Get | Self::Head | Self::Options | Self::Connect | Self::Upgrade | Self::Grpc => false,
        }
    }

    /// Whether policies can see nothing of its calls' bodies but their length.
    #[must_use]
    pub fn hides_body(self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Options | Self::Connect | Self::Upgrade => true,
            Self::Post | Self::Put | Self::Patch | Self::Delete | Self::Other => false,
            Self::Grpc | Self::Mcp | Self::A2a | Self::Llm | Self::Release => false,
        }
    }

    /// The types of the resources that its actions are about.
    #[must_use]
    pub fn resources(self) -> &'static [&'static str] {
        match self {
            Self::Get | Self::Head | Self::Options | Self::Connect | Self::Upgrade => &["Path"],
            Self::Post | Self::Put | Self::Patch | Self::Delete | Self::Other => &["Path"],
            Self::Grpc => &["Method"],
            Self::Mcp => &["McpServer", "Tool", "McpResource", "Prompt"],
            Self::A2a => &["Agent"],
            Self::Llm => &["Model"],
            Self::Release => &["Content"],
        }
    }
}
