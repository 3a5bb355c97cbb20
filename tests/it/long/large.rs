//! A large check costs the threads of the calls what receiving it costs, and no more.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use bytes::Bytes;
use futures_util::FutureExt as _;
use picket::call::{Body, Call};
use picket::check::Pending;
use prost::Message as _;
use tonic::metadata::MetadataMap;

use super::*;

/// Where a judge evaluates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Here,
    Elsewhere,
}

/// A judge that allows, and notes where the bytes of the last body stand in memory.
struct Notes {
    place: Place,
    body: Mutex<Range<usize>>,
}

impl Judge for Notes {
    fn judge<'a>(&'a self, call: &'a Call, _: Instant) -> Evaluation<'a> {
        let Body::Complete(bytes) = &call.body else { panic!("{:?}", call.body) };
        *self.body.lock().unwrap() = addresses(bytes);
        let begun = Judgement::failed(Failure::new(Code::Internal, ""));
        Evaluation::Ready(match self.place {
            Place::Here => allowed(),
            Place::Elsewhere => Arc::new(Judgement { is_too_long: true, ..begun }),
        })
    }

    fn judge_long<'a>(&'a self, _: &'a Call, _: Instant) -> Pending<'a> {
        Box::pin(async { allowed() })
    }
}

fn addresses(bytes: &[u8]) -> Range<usize> {
    let begin = bytes.as_ptr().addr();
    begin..begin + bytes.len()
}

/// A message that tells which thread frees it.
struct Told {
    message: Vec<u8>,
    freed_on: Sender<String>,
}

impl AsRef<[u8]> for Told {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        drop(self.freed_on.send(std::thread::current().name().unwrap_or_default().to_owned()));
    }
}

/// What became of a check with a body of so many bytes.
struct Became {
    /// Whether it was answered as far as a turn of its connection goes.
    is_answered_at_once: bool,
    message: Range<usize>,
    body: Range<usize>,
    freed_on: String,
}

async fn ask(bytes: usize, place: Place) -> Became {
    let (tell, told) = channel();
    let message = Told { message: tool(bytes).0.encode_to_vec(), freed_on: tell };
    let within = addresses(message.as_ref());
    let notes = Arc::new(Notes { place, body: Mutex::default() });
    let authz = authz(notes.clone(), Arc::new(|_| {}));
    let metadata = MetadataMap::new();
    let mut reply = Box::pin(authz.reply(Bytes::from_owner(message), &metadata));
    let first = (&mut reply).now_or_never();
    let is_answered_at_once = first.is_some();
    let reply = match first {
        Some(reply) => reply,
        None => reply.await,
    };
    assert_eq!(said(&reply.unwrap().into_response().unwrap()).reason, "policy_permit");
    let body = notes.body.lock().unwrap().clone();
    let freed_on = told.recv_timeout(Duration::from_secs(20)).unwrap();
    Became { is_answered_at_once, message: within, body, freed_on }
}

#[tokio::test]
async fn a_large_check_is_not_decoded_where_others_wait() {
    for (bytes, is_quick) in [(100, true), (50_000, true), (100_000, false), (900_000, false)] {
        // Another thread may be done before this one looks, but not every time.
        let mut at_once = 0;
        for _ in 0..20 {
            at_once += usize::from(ask(bytes, Place::Here).await.is_answered_at_once);
        }
        assert_eq!(at_once == 20, is_quick, "{bytes}: {at_once} of 20");
    }
}

#[tokio::test]
async fn a_body_is_never_copied() {
    for (bytes, place) in [(100, Place::Here), (50_000, Place::Elsewhere), (900_000, Place::Elsewhere)] {
        let Became { message, body, .. } = ask(bytes, place).await;
        assert!(body.len() > bytes && message.start < body.start && body.end <= message.end, "{bytes}: a copy");
    }
}

#[tokio::test]
async fn a_thread_for_long_work_frees_what_it_decoded_or_evaluated() {
    let rows = [
        (50_000, Place::Here, false),
        (50_000, Place::Elsewhere, true),
        (100_000, Place::Here, true),
        (900_000, Place::Elsewhere, true),
    ];
    for (bytes, place, is_long) in rows {
        let freed_on = ask(bytes, place).await.freed_on;
        assert_eq!(freed_on.starts_with("long-"), is_long, "{bytes}, {place:?}: freed on `{freed_on}`");
    }
}

/// Forms may hold tokens, so they are read whatever the policies read.
#[tokio::test]
async fn a_large_form_is_searched_for_tokens_where_nobody_waits() {
    let mut checker = checker("").await;
    checker.profile.identity.sources = serde_json::from_value(json!([{"jwt_svid": {"issuer": "mesh"}}])).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    for (kind, bytes, is_long) in [
        ("application/x-www-form-urlencoded", 100_000, true),
        ("application/x-www-form-urlencoded", 100, false),
        ("application/octet-stream", 100_000, false),
    ] {
        let mut form = check("POST", "/").host("orders.shop").service("shop/orders").by(FRONTEND);
        form = form.header("content-type", kind).header("content-length", &bytes.to_string());
        form = form.header("x-envoy-auth-partial-body", "false");
        form.http().raw_body = vec![b'a'; bytes];
        let begun = checker.judge(&call(&form), deadline).done().await;
        assert_eq!(begun.is_too_long, is_long, "{kind}, {bytes}");
    }
}
