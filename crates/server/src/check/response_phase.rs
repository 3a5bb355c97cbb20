//! The interface of the response phase: a response is handed over in parts, and the parts that may leave come back.
//!
//! Knows: what a proxy reports of a response. Must not know: the proxy's protocol, policies.
//!
//! Nothing of a response leaves before [`ResponsePhase::begin`] returned for it. From then on only the bytes leave that a
//! [`ResponseBody`] has returned.

use std::future::Future;
use std::pin::Pin;

use tokio::time::Instant;

use picket_core::call::UnixMillis;
use picket_core::identity::SpiffeId;

/// The key of the release record in the dynamic metadata of the request phase.
pub const RECORD_KEY: &str = "release";
/// The most bytes that are handed to a body on a thread that other calls wait for.
pub const QUICK_BYTES_MAX: usize = 16 * 1024;

/// A result that may be waited for.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Evaluates responses: the interface between the edge, which has a proxy's protocol, and the rest.
pub trait ResponsePhase: Send + Sync {
    /// Returns whether a policy of the called service is about responses, before the service is called.
    ///
    /// A proxy that cannot hand over a body completely is not allowed to call a service that is [`Guard::Guarded`]. A
    /// record that cannot be read means `Guarded`.
    fn guard(&self, record: Option<&str>, proxy: Option<&SpiffeId>, at: UnixMillis) -> Guard;

    /// Decides by the first message of a stream what happens to its request.
    fn forward(&self, stream: &RequestStream<'_>) -> Forward;

    /// Decides from its head what happens to a response. No response is released after `deadline`.
    fn begin(&self, head: ResponseHead, deadline: Instant) -> Later<'_, Begin>;
}

/// Whether policies are about the responses of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// None is.
    Open,
    /// One is, or it is not known.
    Guarded,
}

/// The stream of one call, as its first message shows it.
#[derive(Debug, Clone, Copy)]
pub struct RequestStream<'a> {
    /// The release record that the request phase left with the proxy; `None` if there is none.
    pub record: Option<&'a str>,
    /// As [`ResponseHead::proxy`].
    pub proxy: Option<&'a SpiffeId>,
    /// When the message arrived.
    pub at: UnixMillis,
    /// How the request's body is handed over.
    pub bodies: RequestBodies,
}

/// How the body of a request is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestBodies {
    /// Completely, and it leaves after its answer.
    Whole,
    /// Otherwise, or not at all.
    Incomplete,
    /// The stream begins with the response.
    Passed,
}

/// What happens to a request.
pub enum Forward {
    /// It passes unread and unchanged.
    AsItCame,
    /// Its body leaves masked, or not at all.
    Masked(Box<dyn RequestBody>),
    /// The client gets this instead.
    Refuse(Denial),
}

/// The body of one request that has to be masked.
pub trait RequestBody: Send {
    /// Masks the complete body.
    ///
    /// # Errors
    /// What the client gets instead.
    fn mask(self: Box<Self>, body: &[u8]) -> Result<Vec<u8>, Denial>;
}

/// The head of a response, as the proxy reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The release record that the request phase left with the proxy; `None` if there is none.
    pub record: Option<String>,
    /// The proxy, by its verified certificate; `None` on a listener without mutual TLS.
    pub proxy: Option<SpiffeId>,
    /// HTTP status.
    pub status: u16,
    /// Names in lower case and values, in their order, without pseudo headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The proxy's `response.code_details`, which is `via_upstream` for a response of the service; `None` if not sent.
    pub code_details: Option<String>,
    /// Whether a body follows.
    pub content: Content,
    /// When the head arrived.
    pub received_at: UnixMillis,
}

/// Whether a body follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// None: the response ends with its head.
    Absent,
    /// One does, perhaps an empty one.
    Follows,
}

/// What happens to a response.
pub enum Begin {
    /// No policy is about it: it passes unread and unchanged.
    Pass,
    /// It was evaluated and passes unread; shared caches may not keep it.
    Release,
    /// The client gets this instead.
    Refuse(Denial),
    /// Its body is read.
    Read(Reading),
    /// It passes as with [`Begin::Pass`] or [`Begin::Release`], and a copy of its body is read.
    Watch(Box<dyn BodyCopy>, Passage),
}

/// How a response passes unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// As with [`Begin::Pass`].
    Unchanged,
    /// As with [`Begin::Release`].
    Private,
}

/// A response with a body that is read.
pub struct Reading {
    /// Takes the body.
    pub body: Box<dyn ResponseBody>,
    /// When the head leaves.
    pub head: HeadRelease,
    /// What happens to the `content-encoding`.
    pub coding: Coding,
}

/// When the head of a response leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadRelease {
    /// Before its body: for streams.
    AtOnce,
    /// With the first byte that may leave, or at the end: until then a denial has a status of its own.
    WithBody,
}

/// The coding of a body that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// It leaves in the coding in which it came.
    Kept,
    /// It leaves without a coding.
    Removed,
}

/// What a client gets instead of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case and values; no `content-length`.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The reason code; the proxy's access log shows it.
    pub reason: &'static str,
}

/// The body of one response. Its drop ends the observation of the response, also where the proxy gave it up.
pub trait ResponseBody: Send {
    /// Takes the next bytes, and appends to `out` those that may leave.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Progress;

    /// Takes the end of the body, and appends the rest to `out`.
    fn finish(&mut self, out: &mut Vec<u8>) -> Ending;

    /// Ends the body before its end, and appends to `out` the ending that its API has for that. Nothing that is held leaves.
    fn stop(&mut self, stop: Stop, out: &mut Vec<u8>) -> Denial;

    /// Bytes that are held now.
    fn held_bytes(&self) -> usize;

    /// Returns whether pushing so many bytes, or finishing for 0, takes longer than other calls should wait.
    fn takes_long(&self, bytes: usize) -> bool {
        bytes.max(self.held_bytes()) > QUICK_BYTES_MAX
    }
}

/// Reads a copy of the body of a response that passes unread. Its drop ends the observation of the response.
pub trait BodyCopy: Send {
    /// Takes bytes that have left.
    fn push(&mut self, bytes: &[u8]);

    /// Takes the end of the body.
    fn finish(&mut self);

    /// As [`ResponseBody::takes_long`].
    fn takes_long(&self, bytes: usize) -> bool;
}

/// State of a body after more bytes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// More may follow.
    More,
    /// Nothing leaves after what has been appended.
    Ended(Ending),
}

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All that may leave has been appended.
    Complete,
    /// The response is refused. The appended bytes count only if its head has left; otherwise the denial does.
    Refused(Denial),
}

/// Why the edge ends a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Bytes were held for too long.
    HeldTooLong,
    /// The process holds too many bytes.
    Overload,
}

/// The response phase of a server without policies about responses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unguarded;

impl ResponsePhase for Unguarded {
    fn guard(&self, _: Option<&str>, _: Option<&SpiffeId>, _: UnixMillis) -> Guard {
        Guard::Open
    }

    fn forward(&self, _: &RequestStream<'_>) -> Forward {
        Forward::AsItCame
    }

    fn begin(&self, _: ResponseHead, _: Instant) -> Later<'_, Begin> {
        Box::pin(std::future::ready(Begin::Pass))
    }
}
