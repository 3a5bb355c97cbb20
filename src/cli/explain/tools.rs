//! `picket explain --tools`: lists the tools of an MCP server that a caller could be allowed to call.
//!
//! Each tool is called once, without arguments, by the server's own code; what became of that call is left aside, and
//! only who called what is asked about.

use serde_json::json;

use super::{Exit, Output};
use crate::cli::offline::OfflineChecker;
use crate::cli::offline::form::{Given, Mcp, RequestSpec};
use picket_core::call::UnixMillis;
use picket_core::catalog::{Protocol, Service, mcp};
use picket_core::decision::Snapshot;
use picket_core::decision::reachable::{Best, reachable};
use picket_core::failure::Failure;

/// The tools by name, or why no policy is asked about them.
pub(super) type List = Result<Vec<(String, Best)>, Failure>;

/// What the caller could be allowed of each tool that the catalogue lists.
///
/// # Errors
/// There is no such MCP server, or the caller cannot be read.
pub(super) async fn list(
    checker: &OfflineChecker,
    snapshot: &Snapshot,
    service: &str,
    (given, now): (&Given, UnixMillis),
) -> Result<List, String> {
    let found = snapshot.catalog().service(service);
    let found = found.ok_or_else(|| format!("the catalogue has no service `{service}`"))?;
    if found.protocol != Protocol::Mcp {
        return Err(format!("`{service}` is not an MCP server: its protocol is `{}`", found.protocol.as_str()));
    }
    let (checker, mut tools) = (checker.of_service(service), Vec::new());
    for name in found.tools.keys() {
        let given = Given { sent: RequestSpec::Mcp(call(found, name)), ..given.clone() };
        let judged = checker.judge(&given, now).await?;
        let judgement = &judged.answer.judgement;
        let best = match (&judgement.result, &judgement.query) {
            (Err(failure), _) => return Ok(Err(failure.clone())),
            (Ok(_), Some(query)) => reachable(snapshot, query),
            (Ok(_), None) => return Err(format!("a call of `{name}` is answered without a policy")),
        };
        match best {
            Ok(best) => tools.push((name.clone(), best)),
            Err(failure) => return Ok(Err(failure)),
        }
    }
    Ok(Ok(tools))
}

/// A call of a tool in the newest version that its server speaks.
fn call(service: &Service, tool: &str) -> Mcp {
    let spoken: Option<&mcp::Mcp> = service.mcp.as_ref();
    let plain = Mcp::default();
    let known = service.tools.get(tool);
    // What does not fit the tool's schema is refused before a policy is asked.
    let arguments = known.and_then(|tool| tool.input.as_ref()).map(|input| input.sample()).unwrap_or_default();
    let mirrored = known.into_iter().flat_map(|tool| &tool.headers).filter_map(|(argument, header)| {
        let value = arguments.get(argument)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some((format!("mcp-param-{header}"), text.into()))
    });
    Mcp {
        service: Some(service.id.clone()),
        tool: Some(tool.to_owned()),
        headers: mirrored.collect(),
        version: spoken.and_then(|mcp| mcp.versions.last().copied()).unwrap_or(plain.version),
        path: spoken.map(|mcp| mcp.endpoint.to_string()),
        arguments: arguments.clone().into(),
        ..plain
    }
}

/// Prints the list, or why there is none.
pub(super) fn print(service: &str, list: &List, output: Output) -> Exit {
    let tools = match list {
        Ok(tools) => tools,
        Err(failure) => {
            let code = failure.code.as_str();
            match output {
                Output::Text | Output::Junit => println!("ERROR  {code}\n  {}", failure.detail),
                Output::Json => {
                    let error = json!({"code": code, "detail": failure.detail});
                    println!("{}", json!({"v": 1, "service": service, "error": error}));
                }
            }
            return Exit::Deny;
        }
    };
    match output {
        Output::Text | Output::Junit => {
            let width = tools.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
            for (name, best) in tools {
                let policies = best.policies.join(", ");
                let line = format!("{:<10}  {name:<width$}  ({policies})", best.reachable.as_str());
                println!("{}", line.trim_end_matches("()").trim_end());
            }
        }
        Output::Json => {
            let tool = |(name, best): &(String, Best)| json!({"name": name, "could": best.reachable.as_str(), "policies": best.policies});
            let tools: Vec<_> = tools.iter().map(tool).collect();
            println!("{}", json!({"v": 1, "service": service, "tools": tools}));
        }
    }
    Exit::Ok
}
