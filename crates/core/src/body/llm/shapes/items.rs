//! The items of a request by OpenAI's Responses, and the parts of their content.

use super::super::shape::{Is, Means, Shape, Text, Union, Untyped, Variant};
use super::openai::{ANSWER, AUDIO};
use super::tools::ENVIRONMENTS;
use super::{CALLER, SETTINGS};
use Means::{Below, Checker, Data, Either, Fetch, ListedTools, Object, Stored, Tools};

/// What a conversation consists of.
pub(super) static ITEMS: Union = Union {
    variants: &[
        Variant { types: &["message"], shape: &MESSAGE, is: Is::StoredWithout(&["content"]) },
        Variant { types: &["item_reference"], shape: &PLAIN, is: Is::Stored },
        Variant { types: &["compaction"], shape: &PLAIN, is: Is::Stored },
        Variant { types: &["compaction_trigger"], shape: &PLAIN, is: Is::Plain },
        Variant { types: &["reasoning"], shape: &REASONING, is: Is::StoredWithout(&["encrypted_content", "content"]) },
        Variant { types: &["configuration_update"], shape: &CONFIGURATION, is: Is::Plain },
        // What the client runs.
        Variant { types: &["function_call", "custom_tool_call"], shape: &CALL, is: Is::Plain },
        Variant { types: &["function_call_output", "custom_tool_call_output"], shape: &OUTPUT, is: Is::Plain },
        Variant { types: &["computer_call"], shape: &COMPUTER, is: Is::Plain },
        Variant { types: &["computer_call_output"], shape: &OUTPUT, is: Is::Plain },
        Variant { types: &["local_shell_call", "shell_call"], shape: &SHELL, is: Is::Plain },
        Variant { types: &["local_shell_call_output", "shell_call_output"], shape: &SHELL_OUTPUT, is: Is::Plain },
        Variant { types: &["apply_patch_call", "apply_patch_call_output"], shape: &PATCH, is: Is::Plain },
        // Tools that an item declares.
        Variant { types: &["additional_tools"], shape: &TOOLS, is: Is::Plain },
        Variant { types: &["tool_search_call"], shape: &CALL, is: Is::HostedUnlessClient("tool_search") },
        Variant { types: &["tool_search_output"], shape: &TOOLS, is: Is::HostedUnlessClient("tool_search") },
        Variant { types: &["mcp_list_tools"], shape: &LISTING, is: Is::Hosted("mcp") },
        // What the provider has run, or goes on with.
        Variant {
            types: &["mcp_call", "mcp_approval_request", "mcp_approval_response"],
            shape: &MCP,
            is: Is::Hosted("mcp"),
        },
        Variant { types: &["web_search_call"], shape: &SEARCH, is: Is::Hosted("web_search") },
        Variant { types: &["file_search_call"], shape: &FILE_SEARCH, is: Is::Hosted("file_search") },
        Variant { types: &["code_interpreter_call"], shape: &CODE, is: Is::Hosted("code_interpreter") },
        Variant {
            types: &["image_generation_call"],
            shape: &IMAGE_CALL,
            is: Is::HostedAndStoredWithout("image_generation", "result"),
        },
        Variant { types: &["program", "program_output"], shape: &PROGRAM, is: Is::Hosted("programmatic_tool_calling") },
    ],
    untyped: Untyped::MessageOrReference(&MESSAGE),
    text: Text::Prose,
};

/// What items have of their own, without effect.
static PLAIN: Shape =
    Shape { plain: &["type", "id", "status", "created_by", "encrypted_content"], free: &[], rest: &[] };

static MESSAGE: Shape =
    Shape { plain: &["type", "role", "id", "status", "phase"], free: &[], rest: &[("content", Either(&PARTS))] };

static REASONING: Shape = Shape {
    plain: &["type", "id", "status", "encrypted_content"],
    free: &[],
    rest: &[("summary", Either(&PARTS)), ("content", Either(&PARTS))],
};

static CONFIGURATION: Shape =
    Shape { plain: &["type", "id"], free: &[], rest: &[("reasoning", Below(&SETTINGS)), ("text", Below(&ANSWER))] };

static CALL: Shape = Shape {
    plain: &["type", "id", "call_id", "name", "namespace", "status", "async", "execution", "created_by"],
    free: &["arguments", "input", "parsed_arguments"],
    rest: &[("caller", Below(&CALLER))],
};

static OUTPUT: Shape = Shape {
    plain: &["type", "id", "call_id", "name", "namespace", "status", "created_by"],
    free: &[],
    rest: &[
        ("output", Either(&PARTS)),
        ("caller", Below(&CALLER)),
        ("acknowledged_safety_checks", Below(&SAFETY_CHECK)),
    ],
};

static SAFETY_CHECK: Shape = Shape { plain: &["id", "code", "message"], free: &[], rest: &[] };

static COMPUTER: Shape = Shape {
    plain: &["type", "id", "call_id", "status"],
    free: &[],
    rest: &[("action", Below(&ACTION)), ("actions", Below(&ACTION)), ("pending_safety_checks", Below(&SAFETY_CHECK))],
};

/// What the client did: at a screen, in a shell, with a file.
static ACTION: Shape = Shape {
    plain: &[
        "type",
        "button",
        "x",
        "y",
        "keys",
        "scroll_x",
        "scroll_y",
        "text",
        "command",
        "commands",
        "timeout_ms",
        "max_output_length",
        "user",
        "working_directory",
        "diff",
    ],
    free: &["env"],
    // A way on the screen, or a file's.
    rest: &[("path", Either(&WAYS))],
};

/// A way on the screen has points without a type; a file's is a text.
static WAYS: Union = Union { variants: &[], untyped: Untyped::Of(&POINT), text: Text::Prose };

static POINT: Shape = Shape { plain: &["x", "y"], free: &[], rest: &[] };

static SHELL: Shape = Shape {
    plain: &["type", "id", "call_id", "status", "created_by"],
    free: &[],
    rest: &[("action", Below(&ACTION)), ("environment", Either(&ENVIRONMENTS)), ("caller", Below(&CALLER))],
};

static SHELL_OUTPUT: Shape = Shape {
    plain: &["type", "id", "call_id", "status", "max_output_length", "created_by"],
    free: &["output"],
    rest: &[("caller", Below(&CALLER))],
};

static PATCH: Shape = Shape {
    plain: &["type", "id", "call_id", "status", "output", "created_by"],
    free: &[],
    rest: &[("operation", Below(&ACTION)), ("caller", Below(&CALLER))],
};

static TOOLS: Shape = Shape {
    plain: &["type", "id", "call_id", "role", "status", "execution", "created_by"],
    free: &[],
    rest: &[("tools", Tools)],
};

static LISTING: Shape =
    Shape { plain: &["type", "id", "server_label", "error"], free: &[], rest: &[("tools", ListedTools)] };

static MCP: Shape = Shape {
    plain: &["type", "id", "server_label", "name", "status", "approval_request_id", "approve", "reason", "output"],
    free: &["arguments", "error"],
    rest: &[],
};

static SEARCH: Shape = Shape { plain: &["type", "id", "status"], free: &[], rest: &[("action", Below(&SEARCHED))] };

/// What was searched, a record: the provider does not go there again.
static SEARCHED: Shape =
    Shape { plain: &["type", "query", "queries", "pattern", "url"], free: &[], rest: &[("sources", Below(&SEARCHED))] };

static FILE_SEARCH: Shape =
    Shape { plain: &["type", "id", "status", "queries"], free: &[], rest: &[("results", Below(&FOUND))] };

/// What was found, with its text.
static FOUND: Shape =
    Shape { plain: &["file_id", "filename", "vector_store_id", "score", "text"], free: &["attributes"], rest: &[] };

static CODE: Shape = Shape {
    plain: &["type", "id", "status", "code"],
    free: &[],
    rest: &[("container_id", Stored), ("outputs", Below(&CODE_OUTPUT))],
};

static CODE_OUTPUT: Shape = Shape { plain: &["type", "logs"], free: &[], rest: &[("url", Fetch)] };

static IMAGE_CALL: Shape = Shape {
    plain: &[
        "type",
        "id",
        "status",
        "result",
        "action",
        "background",
        "output_format",
        "quality",
        "revised_prompt",
        "size",
    ],
    free: &["error"],
    rest: &[("svg_usage", Object(&SVG_USAGE))],
};

static SVG_USAGE: Shape = Shape {
    plain: &["input_tokens", "output_tokens", "reasoning_tokens", "total_tokens"],
    free: &[],
    rest: &[("model", Checker)],
};

static PROGRAM: Shape =
    Shape { plain: &["type", "id", "call_id", "code", "fingerprint", "result", "status"], free: &[], rest: &[] };

/// The parts of a content.
pub(super) static PARTS: Union = Union {
    variants: &[
        Variant {
            types: &["input_text", "output_text", "text", "summary_text", "reasoning_text", "refusal"],
            shape: &TEXT,
            is: Is::Plain,
        },
        Variant { types: &["input_image", "computer_screenshot"], shape: &IMAGE, is: Is::Plain },
        Variant { types: &["input_file"], shape: &FILE, is: Is::Plain },
        Variant { types: &["input_audio"], shape: &AUDIO, is: Is::Plain },
    ],
    untyped: Untyped::Unknown,
    text: Text::Prose,
};

static TEXT: Shape = Shape {
    plain: &["type", "text", "refusal"],
    // Where a sentence comes from, and how likely it was.
    free: &["annotations", "logprobs", "parsed"],
    rest: &[("prompt_cache_breakpoint", Below(&SETTINGS))],
};

static IMAGE: Shape = Shape {
    plain: &["type", "detail"],
    free: &[],
    rest: &[("image_url", Fetch), ("file_id", Stored), ("prompt_cache_breakpoint", Below(&SETTINGS))],
};

static FILE: Shape = Shape {
    plain: &["type", "detail", "filename"],
    free: &[],
    rest: &[
        ("file_url", Fetch),
        ("file_data", Data),
        ("file_id", Stored),
        ("prompt_cache_breakpoint", Below(&SETTINGS)),
    ],
};
