//! The codes of calls with a body that cannot be evaluated.

use picket::failure::Code;

use crate::harness::{Check, FRONTEND, check};

/// A permit, and a forbid that reads a number.
pub const POLICIES: &str = r#"permit (principal, action in Action::"any", resource);
forbid (principal, action == Action::"mcp.tools.call", resource)
when { context.numbers.hasTag("/n") && context.numbers.getTag("/n") > 5 };
forbid (principal, action == Action::"grpc.call", resource)
when { context has fields && context.fields.hasTag("/order_id") && context.fields.getTag("/order_id") == "x" };"#;

/// A call of a tool, as a client of the newest version sends it, with its body, headers and method changed.
fn call(method: &str, body: &str, headers: &[(&str, &str)]) -> Check {
    let length = body.len().to_string();
    let own = [
        ("content-type", "application/json"),
        ("content-length", length.as_str()),
        ("x-envoy-auth-partial-body", "false"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "t"),
    ];
    let kept = own.iter().filter(|(name, _)| !headers.iter().any(|(other, _)| other == name));
    let headers = kept.chain(headers).filter(|(_, value)| !value.is_empty());
    let mut check = check(method, "/mcp").service("agents/tools").by(FRONTEND);
    for (name, value) in headers {
        check = check.header(name, value);
    }
    check.http().raw_body = body.as_bytes().to_vec();
    check
}

fn message(method: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"name":"t","arguments":{arguments},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

/// A call of the tool `t` of `agents/tools` with these arguments.
pub fn tool_call(arguments: &str) -> Check {
    call("POST", &message("tools/call", arguments), &[])
}

/// A call for the result of another call.
pub fn tasks_get() -> Check {
    let body = message("tasks/get", "{}").replace("\"name\":\"t\"", "\"taskId\":\"t\"");
    call("POST", &body, &[("mcp-method", "tasks/get"), ("mcp-name", "")])
}

/// Code, status, listener and check.
pub fn rows() -> Vec<(Code, i32, &'static str, Check)> {
    let good = message("tools/call", "{}");
    let stream = check("POST", "/shop.v1.Orders/Upload").service("agents/orders").by(FRONTEND);
    let post = |body: &str, headers: &[(&str, &str)]| call("POST", body, headers);
    vec![
        (Code::BodyIncomplete, 413, "default", post(&good, &[("x-envoy-auth-partial-body", "true")])),
        (Code::BodyEncoded, 415, "default", post(&good, &[("content-encoding", "gzip")])),
        (Code::BodyRefused, 400, "default", post(r#"{"a":1,"a":2}"#, &[])),
        (Code::MessageRefused, 400, "default", post("{}", &[])),
        (Code::HeaderMismatch, 400, "default", post(&good, &[("mcp-name", "u")])),
        (Code::VersionRefused, 400, "default", post(&good, &[("mcp-protocol-version", "2024-11-05")])),
        (Code::RpcMethodUnknown, 404, "default", post(&message("tools/Call", "{}"), &[("mcp-method", "tools/Call")])),
        (Code::StreamRefused, 403, "default", stream.header("content-type", "application/grpc")),
        (Code::MethodNotAllowed, 405, "default", call("PUT", &good, &[])),
        (Code::NumberRefused, 400, "default", post(&message("tools/call", r#"{"n":1e30}"#), &[])),
    ]
}
