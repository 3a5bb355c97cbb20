//! Public metadata (RFC 9728) that Picket answers with for services which have none of their own.

use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use picket::decision::verdict::{Decision, Reason};
use picket::envoy::json;

use crate::harness::direct::Direct;
use crate::harness::server::Server;
use crate::harness::{Check, PERMIT_ALL, check, said};

const CATALOG: &str = "
services:
  - id: agents/deploy-mcp
    token:
      serve_metadata: true
      resource: https://deploy-mcp.example/mcp
      authorization_servers: ['https://idp.example']
      scopes_supported: ['deploy:run']
  - {id: agents/plain, token: {resource_metadata: 'https://plain.example/.well-known/oauth-protected-resource'}}
";
const PATH: &str = "/.well-known/oauth-protected-resource/mcp";
const DOCUMENT: &str = r#"{"resource":"https://deploy-mcp.example/mcp","authorization_servers":["https://idp.example"],"scopes_supported":["deploy:run"],"bearer_methods_supported":["header"]}"#;

fn tree() -> [(&'static str, &'static str); 1] {
    [("catalog.yaml", CATALOG)]
}

fn body(response: &CheckResponse) -> String {
    json::check_response(response)["deniedResponse"]["body"].as_str().unwrap_or_default().to_owned()
}

fn asked(method: &str, path: &str) -> Check {
    check(method, path).service("agents/deploy-mcp")
}

#[tokio::test]
async fn the_document_is_served_to_any_client_before_any_evaluation() {
    let direct = Direct::new(&tree()).await;
    let anybody = [
        asked("GET", PATH),
        asked("HEAD", PATH),
        asked("GET", PATH).by("not a spiffe id"),
        asked("GET", PATH).header("x-forwarded-client-cert", "URI=spiffe://a/b;\""),
        asked("GET", PATH).bearer("a.b.c"),
    ];
    for call in anybody {
        let (response, seen) = direct.judged(call.0).await;
        let said = said(&response);
        assert_eq!((said.status, said.decision.as_str(), said.reason.as_str()), (200, "deny", "metadata"));
        assert_eq!(body(&response), DOCUMENT);
        let verdict = seen.result.unwrap();
        assert_eq!((verdict.decision(), verdict.reason()), (Decision::Deny, Reason::Metadata));
        assert!(seen.query.is_none(), "nothing was asked of the policies");
    }
}

#[tokio::test]
async fn any_other_request_than_for_the_document_is_evaluated() {
    let files = [tree()[0], ("namespaces/agents/a.cedar", PERMIT_ALL)];
    let (shut, open) = (Direct::new(&tree()).await, Direct::new(&files).await);
    let others = [
        asked("POST", PATH),
        asked("OPTIONS", PATH),
        asked("GET", "/.well-known/oauth-protected-resource"),
        asked("GET", "/.well-known/oauth-protected-resource/mcp/x"),
        asked("GET", "/.well-known/oauth-protected-resource/MCP"),
        asked("GET", "/.well-known/oauth-protected-resource/mcp?x=1"),
        asked("GET", PATH).header("upgrade", "websocket").header("connection", "upgrade"),
        check("GET", PATH).service("agents/plain"),
        check("GET", "/.well-known/oauth-protected-resource").service("agents/plain"),
        check("GET", PATH).service("agents/unknown"),
        check("GET", PATH),
    ];
    for call in others {
        let shown = format!("{:?}", call.0.attributes.as_ref().unwrap().request);
        let denied = shut.ask(call.clone().0).await;
        assert!(said(&denied).status >= 400 && said(&denied).reason != "metadata", "{shown}");
        assert!(said(&open.ask(call.0).await).reason != "metadata", "{shown}");
    }
}

#[tokio::test]
async fn a_challenge_points_to_the_document_that_is_served() {
    let direct = Direct::new(&tree()).await;
    let response = direct.ask(asked("GET", "/mcp").0).await;
    assert_eq!(said(&response).status, 401);
    let header = r#"Bearer resource_metadata=\"https://deploy-mcp.example/.well-known/oauth-protected-resource/mcp\""#;
    assert!(json::check_response(&response).to_string().contains(header), "{:?}", response);
}

#[tokio::test]
async fn the_answer_has_its_name_in_log_and_metrics() {
    let server = Server::start(&tree(), &[]).await;
    let said = server.client().await.ask(asked("GET", PATH)).await;
    assert_eq!((said.status, said.reason.as_str()), (200, "metadata"));
    let metrics = server.http("/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with("picket_decisions_total") && line.contains("metadata"));
    let line = line.expect("the answer is counted under its name");
    assert!(line.contains(r#"decision="deny""#) && line.contains(r#"policy_namespace="_other""#), "{line}");
}
