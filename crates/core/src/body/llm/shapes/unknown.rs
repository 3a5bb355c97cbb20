//! Members with an effect that are recognized by name anywhere in a request.

use super::super::shape::{Callee, Means, Shape};
use super::SETTINGS;
use super::tools::{ENVIRONMENTS, SKILLS};
use Callee::{Connector, Domain, Server, Tunnel};
use Means::{Below, Calls, Choice, Data, Either, Fetch, Headers, Held, Model, Stored, Tool, Tools};

/// What an unknown member of a known name means.
pub(in super::super) static ANYWHERE: &[(&str, Means)] = &[
    ("url", Fetch),
    ("uri", Fetch),
    ("image_url", Fetch),
    ("file_url", Fetch),
    ("video_url", Fetch),
    ("audio_url", Fetch),
    ("document_url", Fetch),
    ("source_url", Fetch),
    ("input_audio", Fetch),
    ("data", Data),
    ("file_data", Data),
    ("server_url", Calls(Server)),
    ("base_url", Calls(Server)),
    ("api_base", Calls(Server)),
    ("connector_id", Calls(Connector)),
    ("tunnel_id", Calls(Tunnel)),
    ("headers", Headers),
    ("allowed_domains", Calls(Domain)),
    ("domain", Calls(Domain)),
    ("environment", Either(&ENVIRONMENTS)),
    ("skills", Either(&SKILLS)),
    ("container", Held(&ENVIRONMENTS)),
    ("container_id", Stored),
    ("file_id", Stored),
    ("file_ids", Stored),
    ("skill_id", Stored),
    ("vector_store_id", Stored),
    ("vector_store_ids", Stored),
    ("previous_response_id", Stored),
    ("previous_message_id", Stored),
    ("comparison_response_id", Stored),
    ("conversation", Stored),
    ("conversation_id", Stored),
    ("thread_id", Stored),
    ("assistant_id", Stored),
    ("prompt_id", Stored),
    ("model", Model),
    ("models", Model),
    ("fallbacks", Model),
    ("engine", Model),
    ("tools", Tools),
    ("functions", Tools),
    ("definition", Tool),
    ("tool_choice", Choice),
];

/// A model that answers where another one does not.
pub(in super::super) static FALLBACK: Shape = Shape {
    plain: &["max_tokens", "speed"],
    free: &[],
    rest: &[("model", Model), ("thinking", Below(&SETTINGS)), ("output_config", Below(&super::anthropic::OUTPUT))],
};

/// What holds a URL that the provider fetches.
pub(in super::super) static FETCHED: Shape =
    Shape { plain: &["detail", "format", "media_type", "type"], free: &[], rest: &[("url", Fetch), ("data", Data)] };
