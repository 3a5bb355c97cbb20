//! The gRPC service as tonic serves it: checks are handed on as they came, replies are sent as they were written.
//!
//! Knows: tonic's services and codecs. Must not know: what is in a check or a reply.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use envoy_types::pb::envoy::service::auth::v3::authorization_server::SERVICE_NAME;
use prost::bytes::{Buf as _, Bytes};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};

use super::{Authz, Reply};

/// The one method's path.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

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
    B: tonic::codegen::Body + Send + 'static,
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
            let bytes_max = Some(authz.message_bytes_max());
            let mut grpc = Grpc::new(CheckCodec).apply_max_message_size_config(bytes_max, None);
            Ok(grpc.unary(Check(authz), request).await)
        })
    }
}

struct Check(Arc<Authz>);

impl UnaryService<Bytes> for Check {
    type Response = Reply;
    type Future = Later<Result<Response<Reply>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let authz = Arc::clone(&self.0);
        Box::pin(async move {
            let (metadata, _extensions, check) = request.into_parts();
            authz.reply(&check, &metadata).await.map(Response::new)
        })
    }
}

/// Checks in, replies out.
struct CheckCodec;

impl Codec for CheckCodec {
    type Encode = Reply;
    type Decode = Bytes;
    type Encoder = ReplyEncoder;
    type Decoder = CheckDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ReplyEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        CheckDecoder
    }
}

struct CheckDecoder;

impl Decoder for CheckDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, check: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(check.copy_to_bytes(check.remaining())))
    }
}

struct ReplyEncoder;

impl Encoder for ReplyEncoder {
    type Item = Reply;
    type Error = Status;

    fn encode(&mut self, reply: Reply, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        reply.write(out)
    }
}
