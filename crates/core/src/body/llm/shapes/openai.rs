//! Requests by OpenAI's Chat Completions and Responses.

use super::super::shape::{Is, Means, Shape, Text, Union, Untyped, Variant};
use super::items::{ITEMS, PARTS};
use super::{FORMAT, MODERATION, SETTINGS};
use Means::{Below, Choice, Data, Either, Fetch, Held, Map, Object, Stored, Tools};

/// Chat Completions.
pub(in super::super) static CHAT: Shape = Shape {
    plain: &[
        "model",
        "stream",
        "store",
        "max_completion_tokens",
        "max_tokens",
        "frequency_penalty",
        "logprobs",
        "modalities",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "temperature",
        "top_k",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    ],
    free: &["logit_bias", "metadata"],
    rest: &[
        ("messages", Object(&MESSAGE)),
        ("tools", Tools),
        ("functions", Tools),
        ("tool_choice", Choice),
        ("function_call", Choice),
        ("web_search_options", Object(&SETTINGS)),
        ("audio", Below(&SETTINGS)),
        ("moderation", Object(&MODERATION)),
        ("prediction", Object(&PREDICTION)),
        ("prompt_cache_options", Below(&CACHE)),
        ("response_format", Below(&FORMAT)),
        ("stream_options", Below(&SETTINGS)),
    ],
};

/// A message of any role, with what answers carry and clients send back.
static MESSAGE: Shape = Shape {
    plain: &["role", "name", "refusal", "tool_call_id", "reasoning_content", "reasoning"],
    free: &["annotations", "parsed", "reasoning_details", "provider_specific_fields", "thinking_blocks"],
    rest: &[
        ("content", Either(&CHAT_PARTS)),
        ("tool_calls", Object(&TOOL_CALL)),
        ("function_call", Object(&CALLED)),
        ("audio", Object(&SPOKEN)),
        ("cache_control", Below(&SETTINGS)),
    ],
};

static TOOL_CALL: Shape = Shape {
    plain: &["id", "type", "index"],
    free: &[],
    rest: &[("function", Object(&CALLED)), ("custom", Object(&CALLED))],
};

static CALLED: Shape = Shape { plain: &["name"], free: &["arguments", "input", "parsed_arguments"], rest: &[] };

/// An earlier spoken answer: the provider has it by its id.
static SPOKEN: Shape = Shape { plain: &["data", "transcript", "expires_at"], free: &[], rest: &[("id", Stored)] };

static PREDICTION: Shape = Shape { plain: &["type"], free: &[], rest: &[("content", Either(&CHAT_PARTS))] };

static CHAT_PARTS: Union = Union {
    variants: &[
        Variant { types: &["text", "refusal"], shape: &TEXT, is: Is::Plain },
        Variant { types: &["image_url"], shape: &IMAGE, is: Is::Plain },
        Variant { types: &["video_url", "audio_url"], shape: &FILM, is: Is::Plain },
        Variant { types: &["input_audio"], shape: &AUDIO, is: Is::Plain },
        Variant { types: &["file"], shape: &FILE, is: Is::Plain },
    ],
    untyped: Untyped::Unknown,
    text: Text::Prose,
};

static TEXT: Shape = Shape {
    plain: &["type", "text", "refusal"],
    free: &[],
    rest: &[("prompt_cache_breakpoint", Below(&SETTINGS)), ("cache_control", Below(&SETTINGS))],
};

static IMAGE: Shape = Shape {
    plain: &["type"],
    free: &[],
    rest: &[("image_url", Fetch), ("prompt_cache_breakpoint", Below(&SETTINGS)), ("cache_control", Below(&SETTINGS))],
};

/// Of servers that speak this API and see more.
static FILM: Shape = Shape { plain: &["type"], free: &[], rest: &[("video_url", Fetch), ("audio_url", Fetch)] };

pub(super) static AUDIO: Shape = Shape {
    plain: &["type"],
    free: &[],
    rest: &[("input_audio", Object(&SOUND)), ("prompt_cache_breakpoint", Below(&SETTINGS))],
};

static SOUND: Shape = Shape { plain: &["format"], free: &[], rest: &[("data", Data)] };

static FILE: Shape = Shape {
    plain: &["type"],
    free: &[],
    rest: &[
        ("file", Object(&FILE_ITSELF)),
        ("prompt_cache_breakpoint", Below(&SETTINGS)),
        ("cache_control", Below(&SETTINGS)),
    ],
};

static FILE_ITSELF: Shape =
    Shape { plain: &["filename", "format"], free: &[], rest: &[("file_data", Data), ("file_id", Stored)] };

/// Responses.
pub(in super::super) static RESPONSES: Shape = Shape {
    plain: &[
        "model",
        "stream",
        "store",
        "background",
        "max_output_tokens",
        "include",
        "instructions",
        "max_tool_calls",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "temperature",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    ],
    free: &["metadata"],
    rest: &[
        ("input", Either(&ITEMS)),
        ("tools", Tools),
        ("tool_choice", Choice),
        ("previous_response_id", Stored),
        ("conversation", Held(&CONVERSATIONS)),
        ("prompt", Object(&PROMPT)),
        ("access_programs", Below(&SETTINGS)),
        ("background_options", Below(&SETTINGS)),
        ("context_management", Either(&EDITS)),
        ("image", Below(&SETTINGS)),
        ("moderation", Object(&MODERATION)),
        ("prompt_cache_options", Below(&CACHE)),
        ("reasoning", Below(&SETTINGS)),
        ("stream_options", Below(&SETTINGS)),
        ("text", Below(&ANSWER)),
    ],
};

/// A conversation has no type; whatever it is, the provider holds it.
static CONVERSATIONS: Union = Union { variants: &[], untyped: Untyped::Of(&CONVERSATION), text: Text::Prose };

static CONVERSATION: Shape = Shape { plain: &[], free: &[], rest: &[("id", Stored)] };

/// A prompt that the provider holds; what is put into it is the request's own.
static PROMPT: Shape =
    Shape { plain: &["version"], free: &[], rest: &[("id", Stored), ("variables", Map(&Either(&PARTS)))] };

static CACHE: Shape =
    Shape { plain: &["mode", "ttl", "prewarm"], free: &[], rest: &[("comparison_response_id", Stored)] };

/// The form of an answer.
pub(super) static ANSWER: Shape = Shape { plain: &["verbosity"], free: &[], rest: &[("format", Below(&FORMAT))] };

static EDITS: Union = Union {
    variants: &[Variant {
        types: &["compaction"],
        shape: &Shape { plain: &["type", "compact_threshold"], free: &[], rest: &[] },
        is: Is::Plain,
    }],
    untyped: Untyped::Unknown,
    text: Text::Refused,
};
