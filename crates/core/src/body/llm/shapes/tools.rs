//! Tools, as all three APIs declare and choose them.
//!
//! One table for all types: what a type does not have in an API may be read all the same by a server that speaks it.

use super::super::shape::{Callee, Is, Means, Shape, Text, Union, Untyped, Variant};
use super::SETTINGS;
use Callee::{Connector, Domain, Searched, Server, Tunnel};
use Means::{Below, Calls, ChosenTools, Data, Either, Fetch, Headers, Held, Map, Model, Object, Schema, Stored, Tools};

/// The declaration of a tool.
pub(in super::super) static TOOL: Shape = Shape {
    plain: &[
        "type",
        "name",
        "description",
        "strict",
        "defer_loading",
        "async",
        "allowed_callers",
        "server_label",
        "server_description",
        "authorization",
        "mcp_server_name",
        "execution",
        "eager_input_streaming",
        "max_num_results",
        "display_width",
        "display_height",
        "display_width_px",
        "display_height_px",
        "display_number",
        "enable_zoom",
        "external_web_access",
        "search_context_size",
        "search_content_types",
        "blocked_domains",
        "max_uses",
        "max_tokens",
        "max_characters",
        "max_content_tokens",
        "response_inclusion",
        "use_cache",
        "action",
        "background",
        "complexity",
        "frame_count",
        "frame_duration_ms",
        "input_fidelity",
        "moderation",
        "output_compression",
        "output_format",
        "partial_images",
        "quality",
        "size",
    ],
    free: &["input_examples"],
    rest: &[
        ("function", Object(&FUNCTION)),
        ("custom", Object(&FUNCTION)),
        ("parameters", Schema),
        ("input_schema", Schema),
        ("output_schema", Schema),
        ("format", Below(&GRAMMAR)),
        ("tools", Tools),
        ("server_url", Calls(Server)),
        ("connector_id", Calls(Connector)),
        ("tunnel_id", Calls(Tunnel)),
        ("headers", Headers),
        ("allowed_tools", Below(&SETTINGS)),
        ("require_approval", Below(&SETTINGS)),
        ("container", Held(&ENVIRONMENTS)),
        ("environment", Either(&ENVIRONMENTS)),
        ("vector_store_ids", Stored),
        ("filters", Below(&FILTERS)),
        ("ranking_options", Below(&SETTINGS)),
        ("allowed_domains", Calls(Searched)),
        ("url_sources", Below(&SETTINGS)),
        ("user_location", Below(&SETTINGS)),
        ("citations", Below(&SETTINGS)),
        ("model", Model),
        ("svg", Object(&SVG)),
        ("input_image_mask", Object(&MASK)),
        ("caching", Below(&SETTINGS)),
        ("cache_control", Below(&SETTINGS)),
        ("configs", Map(&Below(&SETTINGS))),
        ("default_config", Below(&SETTINGS)),
    ],
};

/// A function inside its tool.
static FUNCTION: Shape = Shape {
    plain: &["name", "description", "strict"],
    free: &[],
    rest: &[("parameters", Schema), ("format", Below(&GRAMMAR))],
};

static GRAMMAR: Shape =
    Shape { plain: &["type", "definition", "syntax"], free: &[], rest: &[("grammar", Below(&GRAMMAR))] };

/// Of a search: which documents, or which domains.
static FILTERS: Shape = Shape {
    plain: &["type", "key", "value", "blocked_domains"],
    free: &[],
    rest: &[("filters", Below(&FILTERS)), ("allowed_domains", Calls(Searched))],
};

static SVG: Shape = Shape { plain: &[], free: &[], rest: &[("model", Model), ("reasoning", Below(&SETTINGS))] };

static MASK: Shape = Shape { plain: &[], free: &[], rest: &[("file_id", Stored), ("image_url", Fetch)] };

/// Where a tool runs.
pub(super) static ENVIRONMENTS: Union = Union {
    variants: &[
        Variant { types: &["auto", "container_auto"], shape: &NEW_CONTAINER, is: Is::Plain },
        Variant { types: &["container_reference"], shape: &HELD_CONTAINER, is: Is::Stored },
        Variant { types: &["local"], shape: &LOCAL, is: Is::Plain },
    ],
    untyped: Untyped::Unknown,
    text: Text::Prose,
};

static NEW_CONTAINER: Shape = Shape {
    plain: &["type", "memory_limit"],
    free: &[],
    rest: &[("file_ids", Stored), ("network_policy", Either(&NETWORKS)), ("skills", Either(&SKILLS))],
};

static HELD_CONTAINER: Shape = Shape { plain: &["type"], free: &[], rest: &[("container_id", Stored)] };

static LOCAL: Shape = Shape { plain: &["type"], free: &[], rest: &[("skills", Below(&LOCAL_SKILL))] };

static LOCAL_SKILL: Shape = Shape { plain: &["description", "name", "path"], free: &[], rest: &[] };

/// What a container may reach.
static NETWORKS: Union = Union {
    variants: &[
        Variant { types: &["disabled"], shape: &Shape { plain: &["type"], free: &[], rest: &[] }, is: Is::Plain },
        Variant { types: &["allowlist"], shape: &ALLOWLIST, is: Is::Plain },
    ],
    untyped: Untyped::Unknown,
    text: Text::Refused,
};

static ALLOWLIST: Shape = Shape {
    plain: &["type"],
    free: &[],
    rest: &[("allowed_domains", Calls(Domain)), ("domain_secrets", Object(&DOMAIN_SECRET))],
};

static DOMAIN_SECRET: Shape = Shape { plain: &["name", "value"], free: &[], rest: &[("domain", Calls(Domain))] };

/// What the provider has been taught, or is taught by the request.
pub(super) static SKILLS: Union = Union {
    variants: &[
        Variant { types: &["skill_reference", "anthropic", "custom"], shape: &SKILL, is: Is::Hosted("skills") },
        Variant { types: &["inline"], shape: &INLINE_SKILL, is: Is::Hosted("skills") },
    ],
    untyped: Untyped::Unknown,
    text: Text::Refused,
};

static SKILL: Shape = Shape { plain: &["type", "version"], free: &[], rest: &[("skill_id", Stored)] };

static INLINE_SKILL: Shape =
    Shape { plain: &["type", "description", "name"], free: &[], rest: &[("source", Object(&ARCHIVE))] };

static ARCHIVE: Shape = Shape { plain: &["type", "media_type"], free: &[], rest: &[("data", Data)] };

/// Which tools are to be used.
pub(in super::super) static CHOICE: Shape = Shape {
    plain: &["type", "name", "mode", "server_label", "disable_parallel_tool_use"],
    free: &[],
    rest: &[
        ("function", Object(&FUNCTION)),
        ("custom", Object(&FUNCTION)),
        ("allowed_tools", Object(&ALLOWED)),
        ("tools", ChosenTools),
    ],
};

static ALLOWED: Shape = Shape { plain: &["mode"], free: &[], rest: &[("tools", ChosenTools)] };

/// A tool as a server listed it.
pub(in super::super) static LISTED: Shape = Shape {
    plain: &["name", "title", "description"],
    free: &["annotations"],
    rest: &[("input_schema", Schema), ("output_schema", Schema)],
};
