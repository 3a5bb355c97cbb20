//! Picket's ext_proc service over a response phase that replaces a word, and that fails where a header says so.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use picket::call::UnixMillis;
use picket::check::response_phase::{
    Begin, Coding, Content, Denial, Ending, Forward, Guard, HeadRelease, Later, Progress, Reading, RequestStream,
    ResponseBody, ResponseHead, ResponsePhase, Stop, Unguarded,
};
use picket::envoy::authz::system_clock;
use picket::envoy::ext_proc::{Processor, ProcessorSettings, Shared};
use picket::identity::SpiffeId;
use serde_json::Value;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::server::TcpIncoming;

use crate::envoy::bench::loopback;

/// What must not leave, and what leaves in its place.
pub const WORD: (&[u8], &[u8]) = (b"SECRET", b"xxxxxx");
/// A response with this word is refused.
const REFUSED: &[u8] = b"FORBIDDEN";
/// The ending that the API of a stream has for a refusal.
pub const ENDING: &str = "data: withheld\n\n";

/// The settings of a test: short times.
pub fn settings() -> ProcessorSettings {
    let short = Duration::from_millis(500);
    ProcessorSettings { deadline: short, hold_max: short, ..ProcessorSettings::default() }
}

/// Replaces [`WORD`] in event streams as they come, and in other bodies at their end.
pub struct Replacing;

impl ResponsePhase for Replacing {
    fn guard(&self, record: Option<&str>, _: Option<&SpiffeId>, _: UnixMillis) -> Guard {
        assert_eq!(record, Some("the record"));
        Guard::Guarded
    }

    fn forward(&self, _: &RequestStream<'_>) -> Forward {
        Forward::AsItCame
    }

    fn begin(&self, head: ResponseHead, _: Instant) -> Later<'_, Begin> {
        assert_eq!(head.record.as_deref(), Some("the record"));
        let value = |name: &str| head.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
        let fault = String::from_utf8(value("x-fault").unwrap_or_default()).unwrap();
        match fault.as_str() {
            "ok/head" => return Box::pin(std::future::ready(Begin::Refuse(denial()))),
            "timeout/head" | "kill/head" => return Box::pin(std::future::pending()),
            "panic/head" => panic!("as the test wants"),
            _ => {}
        }
        let content_type = value("content-type").unwrap_or_default();
        let is_stream = [&b"text/event-stream"[..], b"application/grpc"].contains(&content_type.as_slice());
        let release = if is_stream { HeadRelease::AtOnce } else { HeadRelease::WithBody };
        assert!(head.code_details.is_some() || head.content == Content::Absent);
        let body = Box::new(Replacer { held: Vec::new(), release, fault });
        Box::pin(std::future::ready(Begin::Read(Reading { body, head: release, coding: Coding::Kept })))
    }
}

fn denial() -> Denial {
    Denial { status: 403, headers: vec![("x-denied", "yes".to_owned())], body: b"denied".to_vec(), reason: "test" }
}

struct Replacer {
    held: Vec<u8>,
    release: HeadRelease,
    fault: String,
}

impl Replacer {
    /// Moves what is decided: all but the longest end that may become the word.
    fn release(&mut self, is_end: bool, out: &mut Vec<u8>) {
        let (word, replacement) = WORD;
        while let Some(at) = self.held.windows(word.len()).position(|window| window == word) {
            out.extend_from_slice(&self.held[..at]);
            out.extend_from_slice(replacement);
            self.held.drain(..at + word.len());
        }
        let open = |length: &usize| self.held.ends_with(&word[..*length]);
        let kept = if is_end { 0 } else { (1..word.len()).rev().find(open).unwrap_or(0) };
        out.extend(self.held.drain(..self.held.len() - kept));
    }

    /// The fault of a piece, which the word in it names. A whole body has all of them.
    fn fault(&self, bytes: &[u8]) -> &str {
        let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
        match self.fault.split_once('/') {
            Some((fault, "middle")) if has(b"two") => fault,
            Some((fault, "last")) if has(b"three") => fault,
            _ => "",
        }
    }
}

impl ResponseBody for Replacer {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Progress {
        match self.fault(bytes) {
            "panic" => panic!("as the test wants"),
            "ok" => return Progress::Ended(Ending::Complete),
            "timeout" | "kill" => {
                self.held.extend_from_slice(bytes);
                return Progress::More;
            }
            _ => {}
        }
        self.held.extend_from_slice(bytes);
        if self.held.windows(REFUSED.len()).any(|window| window == REFUSED) {
            return Progress::Ended(Ending::Refused(self.stop(Stop::Overload, out)));
        }
        if self.release == HeadRelease::AtOnce {
            self.release(false, out);
        }
        Progress::More
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Ending {
        self.release(true, out);
        Ending::Complete
    }

    fn stop(&mut self, _: Stop, out: &mut Vec<u8>) -> Denial {
        self.held.clear();
        out.extend_from_slice(ENDING.as_bytes());
        denial()
    }

    fn held_bytes(&self) -> usize {
        self.held.len()
    }
}

fn processor(phase: Arc<dyn ResponsePhase>, settings: ProcessorSettings) -> Processor {
    let shared = Shared::new(&settings);
    Processor::new(phase, settings, shared, system_clock())
}

async fn serve_phase(tasks: &mut JoinSet<()>, phase: Arc<dyn ResponsePhase>, settings: ProcessorSettings) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = processor(phase, settings).into_server();
    tasks.spawn(async move {
        let server = tonic::transport::Server::builder().add_service(service);
        server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
    });
    loopback(port)
}

/// Serves Picket's service over [`Replacing`] as long as `tasks` lives; gives its address.
pub async fn replacing(tasks: &mut JoinSet<()>, settings: ProcessorSettings) -> Value {
    serve_phase(tasks, Arc::new(Replacing), settings).await
}

/// The same without policies about responses.
pub async fn unguarded(tasks: &mut JoinSet<()>) -> Value {
    serve_phase(tasks, Arc::new(Unguarded), settings()).await
}

/// Serves Picket's service over [`Replacing`] on a socket file until the process is killed.
pub async fn until_killed(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    let incoming = accepted(listener);
    let long = Duration::from_secs(60);
    let settings = ProcessorSettings { deadline: long, hold_max: long, ..ProcessorSettings::default() };
    let service = processor(Arc::new(Replacing), settings);
    let service = service.into_server();
    tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
}

fn accepted(listener: UnixListener) -> impl futures_util::Stream<Item = std::io::Result<tokio::net::UnixStream>> {
    futures_util::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    })
}
