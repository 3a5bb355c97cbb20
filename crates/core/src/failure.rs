//! The failure of a call without a verdict: a stable code, the party at fault, and a detail.
//!
//! Must not know: HTTP status codes (they are `envoy/encode.rs`'s one table).

/// The party at fault for a call without a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The caller sent something that cannot be evaluated.
    Caller,
    /// The files of the operator or a team do not cover the call.
    Policy,
    /// A source of facts or keys did not answer.
    Source,
    /// Picket itself.
    Picket,
}

/// Why a call ended without a verdict.
///
/// Every variant has a row in `docs/operating.md`, a row in `envoy/encode.rs` and a test that reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The check lacks a part that every check has, or a text is not UTF-8.
    MalformedRequest,
    /// The check is for a TCP connection; Picket supports HTTP and gRPC.
    TcpUnsupported,
    /// The path has no single canonical reading.
    PathRefused,
    /// The authority has no single canonical reading.
    HostRefused,
    /// The query has no single canonical reading and a policy reads or changes it.
    QueryRefused,
    /// A header that is read, or that must be single, occurs twice.
    HeaderDuplicated,
    /// A header is not a legal one (name, control characters, not UTF-8 where it is read).
    HeaderRefused,
    /// Headers or path exceed the limits.
    TooLarge,
    /// A method-override header is present.
    MethodOverride,
    /// A body that must be read is not provably complete.
    BodyIncomplete,
    /// The body is in a content encoding that the service does not allow.
    BodyEncoded,
    /// The body is not one exact document of its format.
    BodyRefused,
    /// The body is not a message of its service's protocol.
    MessageRefused,
    /// A header that mirrors the body says something else than the body, or is missing.
    HeaderMismatch,
    /// The message is of a protocol version that the service does not accept.
    VersionRefused,
    /// The message calls a method that the protocol does not have.
    RpcMethodUnknown,
    /// A policy reads the message, and the method takes a stream of messages.
    StreamRefused,
    /// The protocol has no such HTTP method on this path.
    MethodNotAllowed,
    /// A number fits no type that a policy reads, and a policy reads it.
    NumberRefused,
    /// A CONNECT that the listener does not allow.
    ConnectRefused,
    /// An upgrade that the listener does not allow.
    UpgradeRefused,
    /// The peer's certificate or principal is not acceptable.
    PeerRejected,
    /// `x-forwarded-client-cert` is present and not acceptable.
    XfccRejected,
    /// The workload's trust domain is not one of those allowed.
    TrustDomainRefused,
    /// A token is present and not acceptable.
    TokenRejected,
    /// A token is present and out of its time.
    TokenExpired,
    /// A token is bound to another peer.
    TokenNotBound,
    /// More than one token is present.
    TokenRepeated,
    /// A task token is present and not acceptable.
    TaskRejected,
    /// A task token is present and out of its time.
    TaskExpired,
    /// A task token was made for another workload.
    TaskNotBound,
    /// No catalogued service is meant by the call.
    Unmapped,
    /// The call does not use its service's protocol.
    ProtocolMismatch,
    /// The release record of the call would be longer than the proxy has to keep.
    ReleaseTooLarge,
    /// The response may carry the result of another call, and a policy distinguishes the resources of the service.
    ReleaseForeign,
    /// The approval was good for one call, and another call has used it or its time is over.
    ApprovalUsed,
    /// The call does not fit the schema.
    QueryInvalid,
    /// The namespace has no policies that ever loaded.
    BundleInvalid,
    /// A look-up of facts failed or timed out.
    EntitiesUnavailable,
    /// An issuer's keys have never been had.
    KeysUnavailable,
    /// Our own deadline passed.
    Deadline,
    /// Too much work in flight.
    Overload,
    /// No snapshot is loaded yet.
    NotReady,
    /// A defect of Picket: a panic was caught.
    Internal,
}

impl Code {
    /// All codes, in the order of `docs/operating.md`.
    pub const ALL: [Self; 44] = [
        Self::MalformedRequest,
        Self::TcpUnsupported,
        Self::PathRefused,
        Self::HostRefused,
        Self::QueryRefused,
        Self::HeaderDuplicated,
        Self::HeaderRefused,
        Self::TooLarge,
        Self::MethodOverride,
        Self::BodyIncomplete,
        Self::BodyEncoded,
        Self::BodyRefused,
        Self::MessageRefused,
        Self::HeaderMismatch,
        Self::VersionRefused,
        Self::RpcMethodUnknown,
        Self::StreamRefused,
        Self::MethodNotAllowed,
        Self::NumberRefused,
        Self::ConnectRefused,
        Self::UpgradeRefused,
        Self::PeerRejected,
        Self::XfccRejected,
        Self::TrustDomainRefused,
        Self::TokenRejected,
        Self::TokenExpired,
        Self::TokenNotBound,
        Self::TokenRepeated,
        Self::TaskRejected,
        Self::TaskExpired,
        Self::TaskNotBound,
        Self::Unmapped,
        Self::ProtocolMismatch,
        Self::ReleaseTooLarge,
        Self::ReleaseForeign,
        Self::ApprovalUsed,
        Self::QueryInvalid,
        Self::BundleInvalid,
        Self::EntitiesUnavailable,
        Self::KeysUnavailable,
        Self::Deadline,
        Self::Overload,
        Self::NotReady,
        Self::Internal,
    ];

    /// The stable text of the code, for logs, metrics and clients.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::TcpUnsupported => "tcp_unsupported",
            Self::PathRefused => "path_refused",
            Self::HostRefused => "host_refused",
            Self::QueryRefused => "query_refused",
            Self::HeaderDuplicated => "header_duplicated",
            Self::HeaderRefused => "header_refused",
            Self::TooLarge => "too_large",
            Self::MethodOverride => "method_override",
            Self::BodyIncomplete => "body_incomplete",
            Self::BodyEncoded => "body_encoded",
            Self::BodyRefused => "body_refused",
            Self::MessageRefused => "message_refused",
            Self::HeaderMismatch => "header_mismatch",
            Self::VersionRefused => "version_refused",
            Self::RpcMethodUnknown => "rpc_method_unknown",
            Self::StreamRefused => "stream_refused",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NumberRefused => "number_refused",
            Self::ConnectRefused => "connect_refused",
            Self::UpgradeRefused => "upgrade_refused",
            Self::PeerRejected => "peer_rejected",
            Self::XfccRejected => "xfcc_rejected",
            Self::TrustDomainRefused => "trust_domain_refused",
            Self::TokenRejected => "token_rejected",
            Self::TokenExpired => "token_expired",
            Self::TokenNotBound => "token_not_bound",
            Self::TokenRepeated => "token_repeated",
            Self::TaskRejected => "task_rejected",
            Self::TaskExpired => "task_expired",
            Self::TaskNotBound => "task_not_bound",
            Self::Unmapped => "unmapped",
            Self::ProtocolMismatch => "protocol_mismatch",
            Self::ReleaseTooLarge => "release_too_large",
            Self::ReleaseForeign => "release_foreign",
            Self::ApprovalUsed => "approval_used",
            Self::QueryInvalid => "query_invalid",
            Self::BundleInvalid => "bundle_invalid",
            Self::EntitiesUnavailable => "entities_unavailable",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Deadline => "deadline",
            Self::Overload => "overload",
            Self::NotReady => "not_ready",
            Self::Internal => "internal",
        }
    }

    /// The party at fault.
    #[must_use]
    pub fn blame(self) -> Blame {
        match self {
            Self::MalformedRequest
            | Self::PathRefused
            | Self::HostRefused
            | Self::QueryRefused
            | Self::HeaderDuplicated
            | Self::HeaderRefused
            | Self::TooLarge
            | Self::MethodOverride
            | Self::BodyIncomplete
            | Self::BodyEncoded
            | Self::BodyRefused
            | Self::MessageRefused
            | Self::HeaderMismatch
            | Self::VersionRefused
            | Self::RpcMethodUnknown
            | Self::MethodNotAllowed
            | Self::NumberRefused
            | Self::ConnectRefused
            | Self::UpgradeRefused
            | Self::PeerRejected
            | Self::XfccRejected
            | Self::TrustDomainRefused
            | Self::TokenRejected
            | Self::TokenExpired
            | Self::TokenNotBound
            | Self::TokenRepeated
            | Self::TaskRejected
            | Self::TaskExpired
            | Self::TaskNotBound
            | Self::ProtocolMismatch
            | Self::QueryInvalid => Blame::Caller,
            Self::TcpUnsupported
            | Self::StreamRefused
            | Self::Unmapped
            | Self::ReleaseTooLarge
            | Self::ReleaseForeign
            | Self::ApprovalUsed
            | Self::BundleInvalid => Blame::Policy,
            Self::EntitiesUnavailable | Self::KeysUnavailable => Blame::Source,
            Self::Deadline | Self::Overload | Self::NotReady | Self::Internal => Blame::Picket,
        }
    }
}

/// A call that ended without a verdict: it is denied, with this code.
///
/// `detail` is for the decision log and `explain`; it never reaches the caller and never holds a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// The detail, as a lower-case fragment.
    pub detail: String,
}

impl Failure {
    /// A failure with its detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}
