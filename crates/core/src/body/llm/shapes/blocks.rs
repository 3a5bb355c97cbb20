//! The blocks of a content by Anthropic's Messages.

use super::super::shape::{Is, Means, Shape, Text, Union, Untyped, Variant};
use super::{CALLER, SETTINGS};
use Means::{Below, Checker, Data, Either, Fetch, ListedTools, Object, Stored, Tool};

/// What a message consists of.
pub(super) static BLOCKS: Union = Union {
    variants: &[
        Variant { types: &["text"], shape: &TEXT, is: Is::Plain },
        Variant { types: &["image", "document"], shape: &DOCUMENT, is: Is::Plain },
        Variant { types: &["search_result"], shape: &FOUND, is: Is::Plain },
        Variant { types: &["thinking", "redacted_thinking"], shape: &THOUGHT, is: Is::Plain },
        // What the client runs.
        Variant { types: &["tool_use"], shape: &CALL, is: Is::Plain },
        Variant { types: &["tool_result"], shape: &RESULT, is: Is::Plain },
        Variant { types: &["tool_reference"], shape: &REFERENCE, is: Is::Plain },
        Variant { types: &["browser_state"], shape: &BROWSER, is: Is::Plain },
        // Tools that a message declares or takes away.
        Variant { types: &["tool_addition", "tool_removal"], shape: &CHANGE, is: Is::Plain },
        Variant { types: &["mcp_tool_listing"], shape: &LISTING, is: Is::Hosted("mcp") },
        // What the provider has run, or goes on with.
        Variant { types: &["server_tool_use"], shape: &CALL, is: Is::HostedByName },
        Variant { types: &["mcp_tool_use"], shape: &CALL, is: Is::Hosted("mcp") },
        Variant { types: &["mcp_tool_result"], shape: &RESULT, is: Is::Hosted("mcp") },
        Variant { types: &["web_search_tool_result"], shape: &HOSTED_RESULT, is: Is::Hosted("web_search") },
        Variant { types: &["web_fetch_tool_result"], shape: &FETCH_RESULT, is: Is::Hosted("web_fetch") },
        Variant { types: &["advisor_tool_result"], shape: &HOSTED_RESULT, is: Is::Hosted("advisor") },
        Variant { types: &["tool_search_tool_result"], shape: &HOSTED_RESULT, is: Is::Hosted("tool_search") },
        Variant {
            types: &[
                "code_execution_tool_result",
                "bash_code_execution_tool_result",
                "text_editor_code_execution_tool_result",
            ],
            shape: &HOSTED_RESULT,
            is: Is::Hosted("code_execution"),
        },
        // What the provider holds.
        Variant { types: &["container_upload"], shape: &UPLOAD, is: Is::Stored },
        Variant { types: &["compaction"], shape: &COMPACTION, is: Is::Stored },
        Variant { types: &["fallback"], shape: &FALLBACK, is: Is::Plain },
    ],
    untyped: Untyped::Unknown,
    text: Text::Prose,
};

static TEXT: Shape = Shape {
    plain: &["type", "text"],
    // Where a sentence comes from.
    free: &["citations"],
    rest: &[("cache_control", Below(&SETTINGS))],
};

static DOCUMENT: Shape = Shape {
    plain: &["type", "context", "title"],
    free: &[],
    rest: &[
        ("source", Either(&SOURCES)),
        ("citations", Below(&SETTINGS)),
        ("transformations", Below(&SETTINGS)),
        ("cache_control", Below(&SETTINGS)),
    ],
};

static SOURCES: Union = Union {
    variants: &[
        Variant { types: &["base64"], shape: &SOURCE, is: Is::Plain },
        Variant { types: &["text"], shape: &TEXT_SOURCE, is: Is::Plain },
        Variant { types: &["url", "file", "content"], shape: &SOURCE, is: Is::Plain },
    ],
    untyped: Untyped::Unknown,
    text: Text::Refused,
};

static SOURCE: Shape = Shape {
    plain: &["type", "media_type"],
    free: &[],
    rest: &[("data", Data), ("url", Fetch), ("file_id", Stored), ("content", Either(&BLOCKS))],
};

static TEXT_SOURCE: Shape = Shape { plain: &["type", "media_type", "data"], free: &[], rest: &[] };

/// What the client found; its source is a name.
static FOUND: Shape = Shape {
    plain: &["type", "source", "title"],
    free: &[],
    rest: &[("content", Either(&BLOCKS)), ("citations", Below(&SETTINGS)), ("cache_control", Below(&SETTINGS))],
};

static THOUGHT: Shape = Shape { plain: &["type", "thinking", "signature", "data"], free: &[], rest: &[] };

static CALL: Shape = Shape {
    plain: &["type", "id", "name", "server_name", "toolset_name"],
    free: &["input"],
    rest: &[("caller", Below(&CALLER)), ("cache_control", Below(&SETTINGS))],
};

static RESULT: Shape = Shape {
    plain: &["type", "tool_use_id", "is_error", "toolset_name"],
    free: &[],
    rest: &[("content", Either(&BLOCKS)), ("cache_control", Below(&SETTINGS))],
};

static REFERENCE: Shape =
    Shape { plain: &["type", "tool_name"], free: &[], rest: &[("cache_control", Below(&SETTINGS))] };

/// The tabs of the client's own browser.
static BROWSER: Shape =
    Shape { plain: &["type"], free: &["tabs", "state_changes"], rest: &[("cache_control", Below(&SETTINGS))] };

static CHANGE: Shape =
    Shape { plain: &["type"], free: &[], rest: &[("tool", Either(&CHANGED)), ("cache_control", Below(&SETTINGS))] };

static CHANGED: Union = Union {
    variants: &[
        Variant { types: &["tool_reference"], shape: &NAMED, is: Is::Plain },
        Variant { types: &["mcp_tool_reference", "mcp_toolset_reference"], shape: &NAMED, is: Is::Hosted("mcp") },
        Variant { types: &["tool_definition"], shape: &DEFINED, is: Is::Plain },
    ],
    untyped: Untyped::Unknown,
    text: Text::Refused,
};

static NAMED: Shape = Shape { plain: &["type", "name", "server_name"], free: &[], rest: &[] };

static DEFINED: Shape = Shape { plain: &["type"], free: &[], rest: &[("definition", Tool)] };

static LISTING: Shape = Shape { plain: &["type", "mcp_server_name"], free: &[], rest: &[("tools", ListedTools)] };

/// What a tool of the provider's found, or why it did not.
static HOSTED_RESULT: Shape = Shape {
    plain: &["type", "tool_use_id"],
    free: &[],
    rest: &[("content", Below(&HOSTED_CONTENT)), ("caller", Below(&CALLER)), ("cache_control", Below(&SETTINGS))],
};

static HOSTED_CONTENT: Shape = Shape {
    plain: &[
        "type",
        "encrypted_content",
        "encrypted_stdout",
        "title",
        "url",
        "page_age",
        "error_code",
        "error_message",
        "text",
        "stop_reason",
        "return_code",
        "stderr",
        "stdout",
        "file_type",
        "is_file_update",
        "lines",
        "num_lines",
        "start_line",
        "total_lines",
        "new_lines",
        "new_start",
        "old_lines",
        "old_start",
    ],
    free: &[],
    rest: &[
        // The text of a file, or files that the provider holds.
        ("content", Either(&FILES)),
        ("tool_references", Below(&REFERENCE)),
    ],
};

static FILES: Union = Union {
    variants: &[Variant {
        types: &["code_execution_output", "bash_code_execution_output"],
        shape: &UPLOAD,
        is: Is::Stored,
    }],
    untyped: Untyped::Unknown,
    text: Text::Prose,
};

static FETCH_RESULT: Shape = Shape {
    plain: &["type", "tool_use_id"],
    free: &[],
    rest: &[("content", Below(&FETCHED)), ("caller", Below(&CALLER)), ("cache_control", Below(&SETTINGS))],
};

/// What was fetched, a record: the provider does not go there again.
static FETCHED: Shape =
    Shape { plain: &["type", "url", "retrieved_at", "error_code"], free: &[], rest: &[("content", Either(&BLOCKS))] };

static UPLOAD: Shape =
    Shape { plain: &["type"], free: &[], rest: &[("file_id", Stored), ("cache_control", Below(&SETTINGS))] };

static COMPACTION: Shape = Shape {
    plain: &["type", "content", "encrypted_content", "signature"],
    free: &[],
    rest: &[("tool_changes", Either(&BLOCKS)), ("cache_control", Below(&SETTINGS))],
};

/// Which model took over from which.
static FALLBACK: Shape =
    Shape { plain: &["type"], free: &["trigger"], rest: &[("from", Object(&ANSWERED)), ("to", Object(&ANSWERED))] };

static ANSWERED: Shape = Shape { plain: &[], free: &[], rest: &[("model", Checker)] };
