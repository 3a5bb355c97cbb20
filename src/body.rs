//! What is inside a call's body: bounded, typed facts, in the terms of its service's protocol.
//!
//! Knows: JSON, the messages of each protocol. Must not know: who is calling, what is allowed, the catalogue's policies.
//! Pure. What cannot be read whole and exactly is refused; nothing is repaired.

pub mod a2a;
pub mod json;
pub mod llm;
pub mod mcp;

/// What a call's body asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Inside {
    /// Nothing that is judged: the service's protocol has no bodies to read, or the call carries no message.
    Nothing,
    /// A document of a plain HTTP service whose catalogue says `body: json`.
    Json(json::Json),
    /// A message of the Model Context Protocol.
    Mcp(mcp::Message),
    /// A message of the Agent2Agent protocol.
    A2a(a2a::Message),
    /// A request to a model.
    Llm(llm::Request),
    /// The fields of a gRPC message, by JSON pointer, as text; only with a descriptor set.
    Grpc(Vec<(String, String)>),
}
