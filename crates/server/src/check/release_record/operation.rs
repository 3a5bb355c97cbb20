//! Names the responses that an operation can have: a list, a tunnel, or the result of another call.
//!
//! Knows: the protocols' methods and paths. Must not know: policies, records.

use smol_str::{SmolStr, format_smolstr};

use picket_core::body::{a2a, mcp};
use picket_core::call::Call;
use picket_core::catalog::{Protocol, Service};
use picket_core::mapping::action::{Asked, What};

/// Paths of models' APIs that begin so hold stored responses; the exceptions hold none.
const API_PATHS: &str = "/v1/";
const MODELS_PATH: &str = "/v1/models";

/// As [`Judged::method`](picket_core::release::Judged::method).
pub(super) fn method_of(asked: &Asked) -> SmolStr {
    match &asked.what {
        What::Llm(request) => SmolStr::new_static(request.api),
        What::Mcp(mcp::Ask::UseServer { method }) => method.into(),
        What::Mcp(
            mcp::Ask::CallTool { .. }
            | mcp::Ask::ReadResource { .. }
            | mcp::Ask::SubscribeResource { .. }
            | mcp::Ask::GetPrompt { .. },
        )
        | What::A2a(_)
        | What::Http { .. } => SmolStr::default(),
        What::Grpc { service, method, .. } => format_smolstr!("{service}/{method}"),
    }
}

/// Returns whether the response may hold a list: that of a list method, or a stream with answers to other requests.
pub(super) fn may_have_list(asked: &Asked) -> bool {
    let is_one = |method: &str| method == "GET" || mcp::ListKind::of_method(method).is_some();
    matches!(&asked.what, What::Mcp(mcp::Ask::UseServer { method }) if is_one(method))
}

/// Returns whether nothing behind the headers of the response is one.
pub(super) fn is_tunnel(asked: &Asked) -> bool {
    matches!(asked.what, What::Http { action: "connect" | "upgrade", .. })
}

/// Returns whether the response may carry the result of another call, with another resource.
pub(super) fn carries_another_result(call: &Call, service: &Service, asked: &Asked) -> bool {
    match &asked.what {
        What::Mcp(mcp::Ask::UseServer { method }) => {
            method.starts_with("tasks/") || (method == "GET" && call.headers.has("last-event-id"))
        }
        What::Mcp(
            mcp::Ask::CallTool { .. }
            | mcp::Ask::ReadResource { .. }
            | mcp::Ask::SubscribeResource { .. }
            | mcp::Ask::GetPrompt { .. },
        ) => false,
        What::A2a(message) => match message.ask {
            a2a::Ask::ReadTask | a2a::Ask::CancelTask => true,
            a2a::Ask::Send | a2a::Ask::ConfigurePush => false,
        },
        What::Http { .. } => match service.protocol {
            Protocol::Openai | Protocol::Anthropic => is_stored(asked.path.as_str()),
            Protocol::Http | Protocol::Grpc | Protocol::Mcp | Protocol::A2a => false,
        },
        What::Grpc { .. } | What::Llm(_) => false,
    }
}

/// Returns whether a path of a model's API may hold stored responses: any, except for the list of models.
pub(super) fn is_stored(path: &str) -> bool {
    let is_models = path.strip_prefix(MODELS_PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    path.starts_with(API_PATHS) && !is_models
}
