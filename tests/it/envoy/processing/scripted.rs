//! A processor that answers as the request's header `x-do` says, and records the messages.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::ProcessingMode;
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::{BodySendMode, HeaderSendMode};
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeadersResponse, ImmediateResponse, ProcessingRequest,
    ProcessingResponse, StreamedBodyResponse, TrailersResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use futures_util::{Stream, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::transport::server::TcpIncoming;
use tonic::{Status, Streaming};

use crate::envoy::bench::loopback;

type Answer = Result<ProcessingResponse, Status>;

/// The messages of all streams so far, each stream as a line.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Scripted(Seen);

#[tonic::async_trait]
impl ExternalProcessor for Scripted {
    type ProcessStream = Pin<Box<dyn Stream<Item = Answer> + Send>>;

    async fn process(
        &self,
        request: tonic::Request<Streaming<ProcessingRequest>>,
    ) -> Result<tonic::Response<Self::ProcessStream>, Status> {
        let (sender, answers) = mpsc::channel(64);
        let script =
            Script { answers: sender, seen: self.0.clone(), line: None, wish: String::new(), waits: false, held: 0 };
        let answers = futures_util::stream::unfold(answers, |mut answers| async move {
            answers.recv().await.map(|answer| (answer, answers))
        });
        // The script runs as long as its answers are read.
        let run = futures_util::stream::once(script.run(request.into_inner()));
        let run = run.filter_map(|()| std::future::ready(None));
        Ok(tonic::Response::new(Box::pin(futures_util::stream::select(answers, run))))
    }
}

/// One stream.
struct Script {
    answers: mpsc::Sender<Answer>,
    seen: Seen,
    /// Where its line is.
    line: Option<usize>,
    wish: String,
    /// Whether the answer to the head of the response waits for the end of its body.
    waits: bool,
    /// Bytes of the body that were not answered yet.
    held: usize,
}

fn answer(response: Response) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), ..ProcessingResponse::default() }
}

fn value<'a>(map: Option<&'a HeaderMap>, name: &str) -> &'a str {
    let found = map.and_then(|map| map.headers.iter().find(|header| header.key == name));
    found.map_or("", |HeaderValue { raw_value, .. }| str::from_utf8(raw_value).unwrap())
}

impl Script {
    fn note(&mut self, what: &str) {
        let mut seen = self.seen.0.lock().unwrap();
        let line = *self.line.get_or_insert_with(|| {
            seen.push(String::new());
            seen.len() - 1
        });
        // A test that has ended has taken its lines.
        if let Some(line) = seen.get_mut(line) {
            line.push_str(if line.is_empty() { "" } else { ", " });
            line.push_str(what);
        }
    }

    fn wants(&self, word: &str) -> bool {
        self.wish.split(' ').any(|wish| wish == word)
    }

    async fn send(&self, response: Response) {
        drop(self.answers.send(Ok(answer(response))).await);
    }

    async fn run(mut self, mut incoming: Streaming<ProcessingRequest>) {
        while let Ok(Some(message)) = incoming.message().await {
            let Some(request) = message.request else { continue };
            if !self.answer(request).await {
                return;
            }
        }
    }

    /// Answers one message; returns whether the stream continues.
    async fn answer(&mut self, request: Request) -> bool {
        let end = |is_end: bool| if is_end { " end" } else { "" };
        match request {
            Request::RequestHeaders(head) => {
                self.wish = value(head.headers.as_ref(), "x-do").to_owned();
                self.note(&format!("request head{}", end(head.end_of_stream)));
                let mut head = answer(Response::RequestHeaders(HeadersResponse::default()));
                if self.wants("skip") {
                    let skip = i32::from(HeaderSendMode::Skip);
                    head.mode_override = Some(ProcessingMode {
                        request_header_mode: HeaderSendMode::Send.into(),
                        response_header_mode: skip,
                        request_trailer_mode: skip,
                        response_trailer_mode: skip,
                        ..ProcessingMode::default()
                    });
                }
                drop(self.answers.send(Ok(head)).await);
            }
            Request::RequestBody(body) => {
                self.note(&format!("request {} bytes{}", body.body.len(), end(body.end_of_stream)));
                self.send(Response::RequestBody(BodyResponse::default())).await;
            }
            Request::RequestTrailers(_) => self.send(Response::RequestTrailers(TrailersResponse::default())).await,
            Request::ResponseHeaders(head) => {
                let status = value(head.headers.as_ref(), ":status");
                self.note(&format!("head {status}{}", end(head.end_of_stream)));
                if self.wants("wait") && !head.end_of_stream {
                    self.waits = true;
                } else {
                    self.head().await;
                }
            }
            Request::ResponseBody(body) => {
                self.note(&format!("{} bytes{}", body.body.len(), end(body.end_of_stream)));
                return self.body(body.body, body.end_of_stream).await;
            }
            Request::ResponseTrailers(_) => {
                self.note("trailers");
                if std::mem::take(&mut self.waits) {
                    self.head().await;
                    if self.held > 0 {
                        self.piece(self.held, false).await;
                    }
                }
                self.send(Response::ResponseTrailers(TrailersResponse::default())).await;
            }
        }
        true
    }

    async fn head(&self) {
        let mut head = answer(Response::ResponseHeaders(HeadersResponse::default()));
        if self.wants("override") {
            let send = i32::from(HeaderSendMode::Send);
            head.mode_override = Some(ProcessingMode {
                request_header_mode: send,
                response_header_mode: send,
                response_body_mode: BodySendMode::FullDuplexStreamed.into(),
                response_trailer_mode: send,
                ..ProcessingMode::default()
            });
        }
        drop(self.answers.send(Ok(head)).await);
    }

    async fn body(&mut self, body: Vec<u8>, is_end: bool) -> bool {
        let is_point = is_end || self.wants("at-once");
        if is_point && self.wants("error") {
            drop(self.answers.send(Err(Status::internal("scripted"))).await);
            return false;
        }
        if is_point && self.wants("ok") {
            return false;
        }
        if is_point && self.wants("deny") {
            let status = Some(HttpStatus { code: 403 });
            self.send(Response::ImmediateResponse(ImmediateResponse {
                status,
                body: b"denied".to_vec(),
                ..ImmediateResponse::default()
            }))
            .await;
            return true;
        }
        self.held += body.len();
        if self.waits && !is_end {
            return true;
        }
        if std::mem::take(&mut self.waits) {
            self.head().await;
        }
        let held = std::mem::take(&mut self.held);
        if self.wants("whole") || self.wants("shorter") {
            let bytes = if self.wants("shorter") { 1 } else { held };
            self.changed(Mutation::Body(b"x".repeat(bytes))).await;
        } else {
            self.piece(held, is_end || self.wants("early")).await;
        }
        true
    }

    async fn piece(&self, bytes: usize, end_of_stream: bool) {
        let body = b"x".repeat(bytes);
        let piece = StreamedBodyResponse { body, end_of_stream, ..StreamedBodyResponse::default() };
        self.changed(Mutation::StreamedResponse(piece)).await;
    }

    async fn changed(&self, mutation: Mutation) {
        let body_mutation = Some(BodyMutation { mutation: Some(mutation) });
        let response = Some(CommonResponse { body_mutation, ..CommonResponse::default() });
        self.send(Response::ResponseBody(BodyResponse { response })).await;
    }
}

/// Serves on a free port as long as `tasks` lives; gives the address.
pub async fn serve(tasks: &mut JoinSet<()>) -> (Seen, Value) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let service = ExternalProcessorServer::new(Scripted(seen.clone()));
    tasks.spawn(async move {
        let server = tonic::transport::Server::builder().add_service(service);
        server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
    });
    (seen, loopback(port))
}
