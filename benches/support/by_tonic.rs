//! A server that evaluates nothing and changes no response, as tonic serves it.

use envoy_types::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeadersResponse, ProcessingRequest, ProcessingResponse,
    StreamedBodyResponse, TrailersResponse,
};
use futures_util::{Stream, StreamExt as _};

use super::noop::{NoOp, config};

/// Serves the first listener of a configuration as tonic's own server does, with the same limits, until its process
/// ends.
pub fn serve_by_tonic(config_file: &str) {
    let config = config(config_file);
    let picket::server::socket::Address::Tcp(address) = config.listeners[0].address else { unreachable!() };
    let limits = config.limits.connection;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .max_concurrent_streams(limits.streams_max)
        .http2_max_pending_accept_reset_streams(Some(limits.streams_max as usize))
        .http2_max_header_list_size(limits.header_bytes_max)
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .max_connection_age(limits.age_max);
    let server = { server }.add_service(AuthorizationServer::new(NoOp)).add_service(ExternalProcessorServer::new(NoOp));
    runtime.block_on(server.serve(address)).unwrap();
}

/// Sends every message of a response back as it came.
#[tonic::async_trait]
impl ExternalProcessor for NoOp {
    type ProcessStream = std::pin::Pin<Box<dyn Stream<Item = Result<ProcessingResponse, tonic::Status>> + Send>>;

    async fn process(
        &self,
        request: tonic::Request<tonic::Streaming<ProcessingRequest>>,
    ) -> Result<tonic::Response<Self::ProcessStream>, tonic::Status> {
        let answers = request.into_inner().map(|message| {
            let response = same(message?.request.ok_or_else(|| tonic::Status::invalid_argument("an empty message"))?);
            Ok(ProcessingResponse { response: Some(response), ..ProcessingResponse::default() })
        });
        Ok(tonic::Response::new(Box::pin(answers)))
    }
}

fn same(message: Request) -> Response {
    match message {
        Request::RequestHeaders(_) => Response::RequestHeaders(HeadersResponse::default()),
        Request::RequestBody(_) => Response::RequestBody(BodyResponse::default()),
        Request::RequestTrailers(_) => Response::RequestTrailers(TrailersResponse::default()),
        Request::ResponseHeaders(_) => Response::ResponseHeaders(HeadersResponse::default()),
        Request::ResponseTrailers(_) => Response::ResponseTrailers(TrailersResponse::default()),
        Request::ResponseBody(piece) => {
            let piece = StreamedBodyResponse {
                body: piece.body,
                end_of_stream: piece.end_of_stream,
                ..StreamedBodyResponse::default()
            };
            let body_mutation = Some(BodyMutation { mutation: Some(Mutation::StreamedResponse(piece)) });
            let response = Some(CommonResponse { body_mutation, ..CommonResponse::default() });
            Response::ResponseBody(BodyResponse { response })
        }
    }
}
