//! The tonic service: passes checks and responses on as bytes.
//!
//! Knows: tonic's services and codecs. Must not know: what is in a check or a reply.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use envoy_types::pb::envoy::service::auth::v3::authorization_server::SERVICE_NAME;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{EncodeBody, EncodeBuf, Encoder, SingleMessageCompressionOverride};
use tonic::metadata::{GRPC_CONTENT_TYPE, MetadataMap};
use tonic::server::NamedService;

use super::{Authz, Reply, read};
use crate::lanes::Lane;
use picket_core::identity::proxy::ProxyIdentity;

/// The one method's path.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The client of a check: the connection that it came over.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// The connection's part of the threads for long work.
    pub lane: Option<Lane>,
    /// The proxy, if it has a certificate.
    pub proxy: Option<ProxyIdentity>,
}

/// Serves [`Authz`].
#[derive(Debug, Clone)]
pub struct CheckServer(Arc<Authz>);

impl CheckServer {
    pub(super) fn new(authz: Authz) -> Self {
        Self(Arc::new(authz))
    }
}

impl NamedService for CheckServer {
    const NAME: &'static str = SERVICE_NAME;
}

impl<B> tonic::codegen::Service<http::Request<B>> for CheckServer
where
    B: tonic::codegen::Body + Send + Unpin + 'static,
    B::Error: Into<tonic::codegen::StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Later<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let authz = Arc::clone(&self.0);
        Box::pin(async move {
            if request.uri().path() != CHECK {
                return Ok(Status::unimplemented("the service has no such method").into_http());
            }
            // The time counts from the headers on: a check that comes slowly has less of it left.
            let started = Instant::now();
            let (http::request::Parts { headers, mut extensions, .. }, body) = request.into_parts();
            let client = Client { lane: extensions.remove::<Lane>(), proxy: extensions.remove::<ProxyIdentity>() };
            drop(extensions);
            let metadata = MetadataMap::from_headers(headers);
            let deadline = authz.deadline(started, &metadata);
            let check = read::message(body, authz.message_bytes_max(), deadline).await;
            // In a place of its own: a request that waits for its body would hold room for all that follows.
            let reply = Box::pin(async move { authz.reply_since(started, check, client, &metadata).await });
            Ok(reply.await.map_or_else(Status::into_http, sent))
        })
    }
}

fn sent(reply: Reply) -> http::Response<Body> {
    let (reply, plain) = (stream::once(std::future::ready(Ok(reply))), SingleMessageCompressionOverride::Disable);
    let body = EncodeBody::new_server(ReplyEncoder, reply, None, plain, None);
    let mut response = http::Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    response
}

struct ReplyEncoder;

impl Encoder for ReplyEncoder {
    type Item = Reply;
    type Error = Status;

    fn encode(&mut self, reply: Reply, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        reply.write(out)
    }
}
