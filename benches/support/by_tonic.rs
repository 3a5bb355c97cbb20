//! A server that evaluates nothing, as tonic serves it.

use envoy_types::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;

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
    runtime.block_on({ server }.add_service(AuthorizationServer::new(NoOp)).serve(address)).unwrap();
}
