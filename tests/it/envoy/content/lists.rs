//! Lists of MCP servers: what a client of the real Envoy gets of them, as a document and on a stream.

use serde_json::{Value, json};

use super::answers::Answer;
use super::holes::CALLER;
use super::site::{Request, Setup, Site, sample};
use crate::harness::server::Server;

const CATALOG: &str = "services:
- {id: agents/tickets, hosts: [mcp.local], protocol: mcp, mcp: {endpoint: /mcp}, tools: {read: {}, write: {}}}
- {id: agents/plain, hosts: [plain.local], protocol: mcp, mcp: {endpoint: /mcp, lists: unfiltered}, tools: {read: {}}}
";
const POLICIES: &str = r#"@id("server") permit (principal, action == Action::"mcp.server.use", resource);
@id("read") permit (principal, action == Action::"mcp.tools.call", resource is Tool) when { resource.name == "read" };
@id("release") permit (principal, action == Action::"release", resource);"#;
const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";
const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"write"}, {"name":"read","x":1e3},{"name":"drop"}],"nextCursor":"c"}}"#;
const FILTERED: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"read","x":1e3}],"nextCursor":"c"}}"#;

fn request(host: &str, method: &str, params: &Value) -> Request {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let mut request = Request::post(host, "/mcp", &body);
    request.headers.push(("mcp-protocol-version".to_owned(), "2025-11-25".to_owned()));
    request.headers.push(("accept".to_owned(), "application/json, text/event-stream".to_owned()));
    request
}

#[tokio::test]
async fn a_client_gets_the_entries_that_it_could_use() {
    let settings = ["profiles.default.processor.responses=true", "profiles.default.mapping.service=[host]"];
    let files = [("catalog.yaml", CATALOG), ("mesh/a.cedar", POLICIES)];
    let server = Server::start(&files, &settings).await;
    let site = Site::start(Setup::new(&server.port("ext_authz"), sample())).await;
    let told = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}"#;
    let stream = |list: &str| format!("data: {told}\n\nevent: message\ndata: {list}\n\n");
    for (name, content_type, sent, expected) in [
        ("a document", JSON, LIST.to_owned(), FILTERED.to_owned()),
        ("a stream", EVENTS, stream(LIST), stream(FILTERED)),
    ] {
        let list = request("mcp.local", "tools/list", &json!({}));
        let answer = Answer::new(content_type, sent.as_bytes());
        let cut = Answer { pieces: sent.as_bytes().chunks(17).map(<[u8]>::to_vec).collect(), ..answer.clone() };
        for answer in [answer, cut] {
            let received = site.send(CALLER, &list, answer).await.unwrap();
            assert_eq!((received.status, received.text()), (200, expected.clone()), "{name}");
            assert_eq!(received.values("cache-control").collect::<Vec<_>>(), ["private"], "{name}");
        }
        let list = request("plain.local", "tools/list", &json!({}));
        let received = site.send(CALLER, &list, Answer::new(content_type, sent.as_bytes())).await.unwrap();
        assert_eq!(received.text(), sent, "{name}");
    }
    // A list as a text might be read by a client.
    let list = request("mcp.local", "tools/list", &json!({}));
    let received = site.send(CALLER, &list, Answer::new("text/plain", LIST.as_bytes())).await.unwrap();
    let text = received.text();
    assert!(
        received.status == 200 && text.contains("\"error\"") && !text.contains("write"),
        "{} {text}",
        received.status
    );
    // The same policies decide about the calls.
    let result = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#;
    for (tool, expected) in [("read", 200), ("write", 403), ("drop", 403)] {
        let call = request("mcp.local", "tools/call", &json!({"name": tool, "arguments": {}}));
        let received = site.send(CALLER, &call, Answer::new(JSON, result.as_bytes())).await.unwrap();
        assert_eq!(received.status, expected, "{tool}");
    }
}
