//! A task token over the wire: verified by a key set in a file, and read by a policy.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::issuer::Issuer;
use crate::harness::server::Server;
use crate::harness::{Check, FRONTEND, check};

const TREE: &[(&str, &str)] = &[(
    "namespaces/shop/a.cedar",
    r#"permit (principal is Workload, action == Action::"GET", resource)
       when { principal has task && principal.task.active && resource in principal.task.paths };"#,
)];

async fn server(issuer: &Issuer, home: &TempDir) -> Server {
    let key_set = home.path().join("keys.json");
    std::fs::write(&key_set, issuer.key_set()).unwrap();
    let keys = format!(
        "keys.issuers=[{{name: tts, jwks: {{file: '{}'}}, \
         claims: {{issuer: 'https://txn.example', audiences: [cluster.local], kind: transaction}}}}]",
        key_set.display()
    );
    Server::start(TREE, &["profiles={default: {identity: {task: {issuers: [tts]}}}}", &keys]).await
}

fn claims(paths: &Value) -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({
        "iss": "https://txn.example", "aud": "cluster.local", "sub": "alice", "iat": now - 1, "exp": now + 60,
        "txn": "t", "req_wl": FRONTEND, "tctx": {"paths": paths},
    })
}

fn get(path: &str) -> Check {
    check("GET", path).service("shop/orders").by(FRONTEND)
}

#[tokio::test]
async fn a_call_outside_its_task_is_denied_and_so_is_one_without_a_task() {
    let (issuer, home) = (Issuer::new("t1"), TempDir::new().unwrap());
    let server = server(&issuer, &home).await;
    let mut client = server.client().await;
    let token = issuer.task_token(&claims(&json!(["shop/orders/v1/"])));
    let empty = issuer.task_token(&claims(&json!([])));
    let forged = Issuer::new("t1").task_token(&claims(&json!(["shop/orders"])));
    for (check, expected) in [
        (get("/v1/orders/1").header("txn-token", &token), (200, "policy_permit")),
        (get("/v1/orders/1").header("txn-token", &token), (200, "policy_permit")),
        (get("/v1admin").header("txn-token", &token), (403, "no_permit")),
        (get("/v2").header("txn-token", &token), (403, "no_permit")),
        (get("/v1/orders/1").header("txn-token", &empty), (403, "no_permit")),
        (get("/v1/orders/1"), (403, "no_permit")),
        (get("/v1/orders/1").bearer(&token), (403, "no_permit")),
        (get("/v1/orders/1").header("txn-token", &forged), (403, "task_rejected")),
        (get("/v1/orders/1").header("txn-token", &token).header("txn-token", &token), (403, "task_rejected")),
    ] {
        let said = client.ask(check.clone()).await;
        assert_eq!((said.status, said.reason.as_str()), expected, "{check:?}");
    }
}
