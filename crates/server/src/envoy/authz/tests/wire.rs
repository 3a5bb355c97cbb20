//! The service over a real connection: what tonic adds to it.

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::*;

/// Runs `talk` against the service on a loopback port of its own.
async fn served<T>(bench: Bench, talk: impl AsyncFnOnce(AuthorizationClient<tonic::transport::Channel>) -> T) -> T {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = format!("http://{}", incoming.local_addr().unwrap());
    let server = Server::builder().add_service(bench.authz.into_server()).serve_with_incoming(incoming);
    let client = async { talk(AuthorizationClient::connect(address).await.unwrap()).await };
    tokio::select! {
        told = client => told,
        ended = server => panic!("the server ended: {ended:?}"),
    }
}

#[tokio::test]
async fn a_denial_is_an_ok_answer_to_grpc() {
    let answer = served(Bench::new(Fake::Panics), async |mut client| client.check(request("/")).await).await;
    assert_eq!(denied(answer.unwrap().into_inner()), 503);
}

#[tokio::test]
async fn a_check_beyond_the_message_limit_is_denied() {
    let mut bench = Bench::new(Fake::Allows);
    bench.authz.settings.message_bytes_max = 1024;
    let (small, large) = served(bench, async |mut client| {
        let small = client.check(request("/")).await;
        (small, client.check(request(&format!("/{}", "a".repeat(1024)))).await)
    })
    .await;
    assert_eq!(small.unwrap().into_inner().status.unwrap().code, 0);
    assert_eq!(denied(large.unwrap().into_inner()), 431);
}
