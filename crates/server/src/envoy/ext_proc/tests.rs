//! Exchanges about one response: order, ends, deadlines and limits, without a connection.

mod watching;

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest, ProtocolConfiguration,
};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;

use super::*;
use crate::check::response_phase::*;
use crate::envoy::authz::system_clock;
use picket_core::call::UnixMillis;

/// Holds every letter `h` until a letter `r`, which releases them in capitals; `f` refuses, `p` panics.
struct Letters(usize);

impl ResponseBody for Letters {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Progress {
        for byte in bytes {
            match byte {
                b'h' => self.0 += 1,
                b'r' => out.extend(std::iter::repeat_n(b'H', std::mem::take(&mut self.0))),
                b'f' => return Progress::Ended(Ending::Refused(self.stop(Stop::Overload, out))),
                b'p' => panic!("as the test wants"),
                other => out.push(*other),
            }
        }
        Progress::More
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Ending {
        out.extend(std::iter::repeat_n(b'H', std::mem::take(&mut self.0)));
        Ending::Complete
    }

    fn stop(&mut self, stop: Stop, out: &mut Vec<u8>) -> Denial {
        out.extend_from_slice(format!("<{stop:?}>").as_bytes());
        Denial { status: 403, headers: Vec::new(), body: Vec::new(), reason: "test" }
    }

    fn held_bytes(&self) -> usize {
        self.0
    }
}

struct Phase(HeadRelease);

impl ResponsePhase for Phase {
    fn guard(&self, _: Option<&str>, _: Option<&SpiffeId>, _: UnixMillis) -> Guard {
        Guard::Guarded
    }

    fn forward(&self, _: &RequestStream<'_>) -> Forward {
        Forward::AsItCame
    }

    fn begin(&self, _: ResponseHead, _: Instant) -> Later<'_, Begin> {
        let reading = Reading { body: Box::new(Letters(0)), head: self.0, coding: Coding::Kept };
        Box::pin(std::future::ready(Begin::Read(reading)))
    }
}

/// Both ends of one stream.
struct Stream {
    messages: mpsc::UnboundedSender<Result<ProcessingRequest, Status>>,
    answers: Answers,
    processor: Processor,
}

fn processor(head: HeadRelease) -> Processor {
    of_phase(Phase(head))
}

fn of_phase(phase: impl ResponsePhase + 'static) -> Processor {
    let settings = ProcessorSettings { held_bytes_max: 100_000, streams_max: 1, ..ProcessorSettings::default() };
    let shared = Shared::new(&settings);
    Processor::new(Arc::new(phase), settings, shared, system_clock())
}

fn stream(processor: &Processor) -> Stream {
    let (messages, incoming) = mpsc::unbounded_channel();
    let incoming = futures_util::stream::unfold(incoming, |mut incoming| async move {
        incoming.recv().await.map(|message| (message, incoming))
    });
    let answers = processor.answers(Box::pin(incoming), None, Lane::new());
    Stream { messages, answers, processor: processor.clone() }
}

fn head(end_of_stream: bool) -> Request {
    let header = |key: &str, value: &[u8]| HeaderValue {
        key: key.to_owned(),
        raw_value: value.to_vec(),
        ..HeaderValue::default()
    };
    let headers = Some(HeaderMap { headers: vec![header(":status", b"200"), header("content-length", b"9")] });
    Request::ResponseHeaders(HttpHeaders { headers, end_of_stream, ..HttpHeaders::default() })
}

fn body(bytes: &str, end_of_stream: bool) -> Request {
    Request::ResponseBody(HttpBody { body: bytes.as_bytes().to_vec(), end_of_stream, ..HttpBody::default() })
}

impl Stream {
    fn send(&self, request: Request) {
        let config = ProtocolConfiguration { response_body_mode: 4, ..ProtocolConfiguration::default() };
        let message =
            ProcessingRequest { request: Some(request), protocol_config: Some(config), ..ProcessingRequest::default() };
        self.messages.send(Ok(message)).unwrap();
    }

    /// The next answer as a word; `-` if none comes within a second.
    async fn next(&mut self) -> String {
        match tokio::time::timeout(Duration::from_secs(1), self.answers.next()).await {
            Err(_) => "-".to_owned(),
            Ok(None) => "finished".to_owned(),
            Ok(Some(Err(status))) => format!("{:?}", status.code()),
            Ok(Some(Ok(answer))) => show(answer.response.unwrap()),
        }
    }

    /// All answers until the stream waits or ends.
    async fn all(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let next = self.next().await;
            if next == "-" {
                return all;
            }
            all.push(next);
            if !matches!(all.last().and_then(|last| last.chars().next()), Some('a'..='e' | 'g'..='z')) {
                return all;
            }
        }
    }
}

fn show(response: Response) -> String {
    match response {
        Response::RequestHeaders(_) => "request".to_owned(),
        Response::ResponseHeaders(head) => {
            let mutation = head.response.and_then(|common| common.header_mutation).unwrap_or_default();
            format!("head without {}", mutation.remove_headers.join(" "))
        }
        Response::ResponseBody(body) => match body.response.and_then(|common| common.body_mutation?.mutation) {
            Some(Mutation::StreamedResponse(piece)) => {
                let text = String::from_utf8(piece.body).unwrap();
                let text = if text.len() > 20 { format!("{} bytes", text.len()) } else { text };
                format!("body `{text}`{}", if piece.end_of_stream { " end" } else { "" })
            }
            other => format!("body {other:?}"),
        },
        Response::ResponseTrailers(_) => "trailers".to_owned(),
        Response::ImmediateResponse(denial) => format!("denied {} {}", denial.status.unwrap().code, denial.details),
        other => format!("{other:?}"),
    }
}

const HEAD: &str = "head without content-length";

#[tokio::test(start_paused = true)]
async fn the_head_of_a_stream_leaves_at_once_and_another_one_with_its_body() {
    let mut at_once = stream(&processor(HeadRelease::AtOnce));
    at_once.send(head(false));
    assert_eq!(at_once.all().await, [HEAD]);
    at_once.send(body("a", false));
    assert_eq!(at_once.all().await, ["body `a`"]);
    let mut waits = stream(&processor(HeadRelease::WithBody));
    waits.send(head(false));
    waits.send(body("hh", false));
    assert!(waits.all().await.is_empty());
    waits.send(body("", true));
    assert_eq!(waits.all().await, [HEAD, "body `HH` end"]);
}

#[tokio::test(start_paused = true)]
async fn everything_after_the_end_of_a_response_is_ignored() {
    let mut stream = stream(&processor(HeadRelease::AtOnce));
    stream.send(head(false));
    stream.send(body("a", true));
    stream.send(body("h", true));
    stream.send(body("p", true));
    stream.send(head(true));
    stream.send(Request::ResponseTrailers(HttpTrailers::default()));
    assert_eq!(stream.all().await, [HEAD, "body `a` end"]);
    drop(std::mem::replace(&mut stream.messages, mpsc::unbounded_channel().0));
    assert_eq!(stream.next().await, "finished");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_does_not_end_its_stream_does_not_keep_it_open() {
    let mut stream = stream(&processor(HeadRelease::AtOnce));
    stream.send(head(true));
    assert_eq!(stream.next().await, HEAD);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(stream.next().await, "finished");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_before_its_response_never_ends_normally() {
    let before: [&[Request]; 4] =
        [&[], &[head(false)], &[head(false), body("ah", false)], &[Request::RequestHeaders(HttpHeaders::default())]];
    for requests in before {
        let mut stream = stream(&processor(HeadRelease::AtOnce));
        requests.iter().for_each(|request| stream.send(request.clone()));
        drop(std::mem::replace(&mut stream.messages, mpsc::unbounded_channel().0));
        let all = stream.all().await;
        assert_eq!(all.last().unwrap(), "Cancelled", "{all:?}");
        assert_eq!(stream.processor.shared.stats().unfinished(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_in_an_order_that_no_proxy_has_end_the_stream_with_an_error() {
    let trailers = || Request::ResponseTrailers(HttpTrailers::default());
    let without_status = Request::ResponseHeaders(HttpHeaders::default());
    for requests in [vec![body("a", false)], vec![trailers()], vec![head(false), head(false)], vec![without_status]] {
        let mut stream = stream(&processor(HeadRelease::AtOnce));
        requests.into_iter().for_each(|request| stream.send(request));
        let all = stream.all().await;
        assert_eq!(all.last().unwrap(), "InvalidArgument", "{all:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_stream_with_an_error() {
    // A long body panics on another thread.
    for (text, clock) in [("ap", 0), (&*"p".repeat(70_000), 1)] {
        let mut stream = stream(&processor(HeadRelease::AtOnce));
        stream.send(head(false));
        stream.send(body(text, false));
        if clock == 1 {
            tokio::time::resume();
        }
        let all = stream.all().await;
        assert_eq!(all, [HEAD, "Internal"]);
        assert_eq!(stream.processor.shared.stats().panics(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_status_before_the_head_has_left_and_an_ending_afterwards() {
    let mut waits = stream(&processor(HeadRelease::WithBody));
    waits.send(head(false));
    waits.send(body("hf", false));
    assert_eq!(waits.all().await, ["denied 403 picket_test"]);
    let mut left = stream(&processor(HeadRelease::AtOnce));
    left.send(head(false));
    left.send(body("ahf", false));
    left.send(body("h", true));
    assert_eq!(left.all().await, [HEAD, "body `a<Overload>` end"]);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_held_for_a_limited_time() {
    let hold_max = ProcessorSettings::default().hold_max;
    for (head_release, expected) in
        [(HeadRelease::AtOnce, &["body `<HeldTooLong>` end"][..]), (HeadRelease::WithBody, &["denied 403 picket_test"])]
    {
        let mut stream = stream(&processor(head_release));
        stream.send(head(false));
        stream.send(body("h", false));
        drop(stream.all().await);
        tokio::time::advance(hold_max / 2).await;
        // More of what is held does not begin the time again.
        stream.send(body("h", false));
        assert!(stream.all().await.is_empty());
        tokio::time::advance(hold_max / 2).await;
        assert_eq!(stream.all().await, expected);
    }
    let mut idle = stream(&processor(HeadRelease::AtOnce));
    idle.send(head(false));
    idle.send(body("hr", false));
    assert_eq!(idle.all().await, [HEAD, "body `H`"]);
    tokio::time::advance(hold_max * 100).await;
    idle.send(body("a", false));
    assert_eq!(idle.all().await, ["body `a`"], "a stream that holds nothing was ended");
}

#[tokio::test]
async fn a_response_that_holds_more_than_the_process_may_ends() {
    let mut stream = stream(&processor(HeadRelease::AtOnce));
    stream.send(head(false));
    stream.send(body(&"h".repeat(100_000), false));
    assert_eq!(stream.all().await, [HEAD]);
    assert_eq!(stream.processor.shared.held_bytes(), 100_000);
    stream.send(body("h", false));
    assert_eq!(stream.all().await, ["body `<Overload>` end"]);
    assert_eq!(stream.processor.shared.held_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_response_too_many_is_refused_at_its_first_message() {
    let processor = processor(HeadRelease::AtOnce);
    let first = stream(&processor);
    let mut second = stream(&processor);
    second.send(Request::RequestHeaders(HttpHeaders::default()));
    assert_eq!(second.all().await, ["denied 503 picket_overload"]);
    assert_eq!(processor.shared.streams(), 1);
    drop(first);
    let mut third = stream(&processor);
    third.send(Request::RequestHeaders(HttpHeaders::default()));
    assert_eq!(third.all().await, ["request"]);
    drop((second, third));
    assert_eq!(processor.shared.streams(), 0);
}

#[tokio::test]
async fn a_long_body_leaves_in_pieces_that_envoy_takes() {
    let mut stream = stream(&processor(HeadRelease::AtOnce));
    stream.send(head(false));
    stream.send(body(&"a".repeat(150_000), true));
    assert_eq!(stream.all().await, [HEAD, "body `65536 bytes`", "body `65536 bytes`", "body `18928 bytes` end"]);
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_ignores_answers_is_refused_where_a_policy_is_about_responses() {
    let processor = processor(HeadRelease::AtOnce);
    let stream = stream(&processor);
    let config = ProtocolConfiguration { response_body_mode: 4, ..ProtocolConfiguration::default() };
    for (observability_mode, protocol_config) in [(true, Some(config)), (false, None)] {
        let request = Some(Request::RequestHeaders(HttpHeaders::default()));
        let message =
            ProcessingRequest { request, observability_mode, protocol_config, ..ProcessingRequest::default() };
        let modes = super::mode::Modes::of(&message);
        assert!(matches!(modes.response, super::mode::BodyMode::Unfit(_)), "{observability_mode}");
    }
    let mut stream = stream;
    let request = Some(Request::RequestHeaders(HttpHeaders::default()));
    let message = ProcessingRequest { request, observability_mode: true, ..ProcessingRequest::default() };
    stream.messages.send(Ok(message)).unwrap();
    assert_eq!(stream.all().await, ["denied 500 picket_response_mode"]);
    assert_eq!(stream.processor.shared.stats().unfit_modes(), 1);
}
