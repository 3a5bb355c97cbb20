//! Requests by Anthropic's Messages.

use super::super::shape::{Callee, Is, Means, Shape, Text, Union, Untyped, Variant};
use super::blocks::BLOCKS;
use super::tools::SKILLS;
use super::{FORMAT, SETTINGS};
use Callee::Server;
use Means::{Below, Calls, Choice, Either, Model, Object, Stored, Tools};

/// Messages.
pub(in super::super) static MESSAGES: Shape = Shape {
    plain: &[
        "model",
        "stream",
        "max_tokens",
        "inference_geo",
        "service_tier",
        "speed",
        "stop_sequences",
        "temperature",
        "top_k",
        "top_p",
    ],
    free: &["metadata"],
    rest: &[
        ("messages", Object(&MESSAGE)),
        ("system", Either(&BLOCKS)),
        ("tools", Tools),
        ("tool_choice", Choice),
        ("mcp_servers", Object(&MCP_SERVER)),
        ("container", Means::Held(&CONTAINERS)),
        ("fallbacks", Model),
        ("thread", Object(&THREAD)),
        ("diagnostics", Object(&EARLIER)),
        ("billing_policy", Below(&SETTINGS)),
        ("cache_control", Below(&SETTINGS)),
        ("compaction", Below(&SETTINGS)),
        ("context_management", Object(&MANAGEMENT)),
        ("fallback_credit_token", Below(&SETTINGS)),
        ("output_config", Below(&OUTPUT)),
        ("output_format", Below(&FORMAT)),
        ("thinking", Below(&SETTINGS)),
    ],
};

static MESSAGE: Shape = Shape {
    plain: &["role", "clear_at"],
    free: &[],
    rest: &[("content", Either(&BLOCKS)), ("output_config", Below(&OUTPUT))],
};

/// A server that the provider calls.
static MCP_SERVER: Shape = Shape {
    plain: &["type", "name", "authorization_token"],
    free: &[],
    rest: &[("url", Calls(Server)), ("tool_configuration", Below(&SETTINGS))],
};

/// The container has no type; whatever it is, the provider holds it.
static CONTAINERS: Union = Union { variants: &[], untyped: Untyped::Of(&CONTAINER), text: Text::Prose };

static CONTAINER: Shape = Shape { plain: &[], free: &[], rest: &[("id", Stored), ("skills", Either(&SKILLS))] };

/// A thread is kept whatever else is said of it.
static THREAD: Shape = Shape { plain: &["type"], free: &[], rest: &[("previous_message_id", Stored)] };

static EARLIER: Shape = Shape { plain: &[], free: &[], rest: &[("previous_message_id", Stored)] };

static MANAGEMENT: Shape = Shape { plain: &[], free: &[], rest: &[("edits", Either(&EDITS))] };

static EDITS: Union = Union {
    variants: &[Variant {
        types: &["clear_tool_uses_20250919", "clear_thinking_20251015", "compact_20260112"],
        shape: &EDIT,
        is: Is::Plain,
    }],
    untyped: Untyped::Unknown,
    text: Text::Refused,
};

static EDIT: Shape = Shape {
    plain: &["type", "clear_tool_inputs", "exclude_tools", "instructions", "pause_after_compaction"],
    free: &[],
    rest: &[("clear_at_least", Below(&SETTINGS)), ("keep", Below(&SETTINGS)), ("trigger", Below(&SETTINGS))],
};

/// How much effort, and in which form.
pub(super) static OUTPUT: Shape =
    Shape { plain: &["effort"], free: &[], rest: &[("format", Below(&FORMAT)), ("task_budget", Below(&SETTINGS))] };
