//! The tables of the members that requests may have, and the meaning of each.
//!
//! Knows: the three APIs' members. Must not know: how a request is read.
//!
//! `tests/sdk/models` compares them with the newest types of the SDKs, field by field.

mod anthropic;
mod blocks;
mod items;
mod openai;
mod tools;
mod unknown;

pub(super) use anthropic::MESSAGES;
pub(super) use openai::{CHAT, RESPONSES};
pub(super) use tools::{CHOICE, LISTED, TOOL};
pub(super) use unknown::{ANYWHERE, FALLBACK, FETCHED};

use super::shape::{Means, Shape};
use Means::{Below, Checker, Schema};

/// Settings without effect on what is run, called, fetched, held or used, wherever they stand.
static SETTINGS: Shape = Shape {
    plain: &[
        "type",
        "mode",
        "ttl",
        "effort",
        "enabled",
        "defer_loading",
        "include_usage",
        "include_obfuscation",
        "continuous_usage_stats",
        "budget_tokens",
        "summary",
        "generate_summary",
        "context",
        "format",
        "id",
        "search_context_size",
        "city",
        "country",
        "region",
        "timezone",
        "cyber",
        "completion_window",
        "continuation_id",
        "context_compression",
        "ranker",
        "score_threshold",
        "embedding_weight",
        "text_weight",
        "bill_to",
        "token",
        "prefix_mismatch_behavior",
        "display",
        "total",
        "remaining",
        "value",
        "oversized_image",
        "read_only",
        "tool_names",
        "allowed_tools",
        "name",
        "instructions",
    ],
    free: &[],
    rest: &[
        ("approximate", Below(&SETTINGS)),
        ("user_location", Below(&SETTINGS)),
        ("hybrid_search", Below(&SETTINGS)),
        ("block_binding", Below(&SETTINGS)),
        ("voice", Below(&SETTINGS)),
        ("policy", Below(&SETTINGS)),
        ("input", Below(&SETTINGS)),
        ("output", Below(&SETTINGS)),
        ("always", Below(&SETTINGS)),
        ("never", Below(&SETTINGS)),
        ("client_tool_results", Below(&SETTINGS)),
        ("server_tool_results", Below(&SETTINGS)),
        ("user_input", Below(&SETTINGS)),
        // Names of tools whose results may name URLs.
        ("tools", Below(&SETTINGS)),
    ],
};

/// The form that an answer must have.
static FORMAT: Shape = Shape {
    plain: &["type", "name", "description", "strict"],
    free: &[],
    rest: &[("json_schema", Below(&FORMAT)), ("schema", Schema)],
};

/// A model that judges the exchange.
static MODERATION: Shape = Shape { plain: &[], free: &[], rest: &[("model", Checker), ("policy", Below(&SETTINGS))] };

/// Who called a tool: the model itself or a program of its making.
static CALLER: Shape = Shape { plain: &["type", "caller_id", "tool_id"], free: &[], rest: &[] };
