//! Readiness: no calls before everything is loaded that their evaluation needs.

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::SHOP;
use crate::harness::orders;
use crate::harness::server::Server;

/// A key set of one public key.
const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "alg": "ES256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

async fn server(file: &std::path::Path, wait: &str) -> Server {
    let jwks = serde_json::json!({"file": file});
    let claims = serde_json::json!({"issuer": "https://idp.example", "audiences": ["shop"], "kind": "access"});
    let issuer = serde_json::json!({"name": "idp", "jwks": jwks, "algorithms": ["ES256"], "claims": claims});
    let issuers = format!("keys.issuers=[{issuer}]");
    Server::start(SHOP, &[&issuers, "keys.min_interval=1s", &format!("keys.ready_wait={wait}")]).await
}

async fn is_ready(server: &Server) -> bool {
    server.http("/readyz").await.starts_with("HTTP/1.1 200")
}

async fn becomes_ready(server: &Server) -> Duration {
    let start = Instant::now();
    while !is_ready(server).await {
        assert!(start.elapsed() < Duration::from_secs(30), "{}", server.http("/readyz?verbose").await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    start.elapsed()
}

#[tokio::test]
async fn a_server_that_never_had_an_issuers_keys_is_not_ready_until_it_has() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jwks.json");
    let server = server(&file, "1h").await;
    assert!(!is_ready(&server).await);
    let verbose = server.http("/readyz?verbose").await;
    assert!(verbose.contains("keys of issuer idp: never loaded, not ready without them"), "{verbose}");
    // A client that calls all the same gets an answer: calls without tokens need no keys.
    assert_eq!(server.client().await.ask(orders()).await.status, 200);
    std::fs::write(&file, KEYS).unwrap();
    becomes_ready(&server).await;
    // Keys that were had stay in force, and so does readiness.
    std::fs::remove_file(&file).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(is_ready(&server).await);
}

#[tokio::test]
async fn keys_that_never_come_hold_readiness_up_for_the_time_that_is_set() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jwks.json");
    assert!(is_ready(&server(&file, "0s").await).await);
    let server = server(&file, "2s").await;
    assert!(!is_ready(&server).await);
    assert!(becomes_ready(&server).await > Duration::from_millis(500));
    let verbose = server.http("/readyz?verbose").await;
    assert!(verbose.contains("keys of issuer idp: never loaded, its tokens are rejected"), "{verbose}");
}
