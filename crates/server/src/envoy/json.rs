//! Checks and responses as protobuf JSON, for golden files and `picket explain`.
//!
//! Knows: protobuf's JSON spelling (camel case, snake case on input, bytes as base64). Must not know: what
//! any of it means.

mod request;
mod response;

pub use request::check_request;
pub use response::check_response;

/// Why a text is not a check.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON, or does not have a check's shape; the source names the place.
    #[error("the check is not readable at `{path}`")]
    Shape {
        /// Where, as keys joined by `.`.
        path: String,
        /// The parse error.
        #[source]
        source: serde_json::Error,
    },
}
