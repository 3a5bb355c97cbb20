//! `picket explain --live`: sends the call to a running server's explain service.
//!
//! Knows: what a server finds out itself, and so takes from no call's file. Must not know: policies, configurations.

use super::{Exit, Output, exit};
use crate::cli::offline::form::{Catalogued, Given, RequestSpec};
use picket_core::call::UnixMillis;
use picket_server::app::admin::proto;

/// Asks the admin service of a running server.
///
/// # Errors
/// The call says what a running server takes from nobody; the server cannot be asked.
pub(super) async fn ask(
    address: &str,
    profile: &str,
    (given, now): (&Given, Option<UnixMillis>),
    output: Output,
) -> Result<Exit, String> {
    if let Some((key, why)) = offline_only(given, now) {
        return Err(format!("`{key}` cannot be given with --live: {why}"));
    }
    let call_json = match &given.sent {
        RequestSpec::Check(text) => text.clone(),
        RequestSpec::Http(_) | RequestSpec::Grpc(_) | RequestSpec::Mcp(_) => {
            given.sent.check_json(given.caller.as_ref(), Catalogued::default())?
        }
    };
    let unreachable = |error: &dyn std::error::Error| format!("could not query `{address}`: {error}");
    let client = proto::admin_client::AdminClient::connect(format!("http://{address}")).await;
    let mut client = client.map_err(|error| unreachable(&error))?;
    let request = proto::ExplainRequest { call_json, profile: profile.to_owned() };
    let answer =
        client.explain(request).await.map_err(|status| format!("`{address}` answers: {}", status.message()))?;
    let explained: serde_json::Value = serde_json::from_str(&answer.into_inner().explanation_json)
        .map_err(|error| format!("`{address}` did not answer with JSON: {error}"))?;
    match output {
        Output::Json => println!("{explained}"),
        Output::Text | Output::Junit => match serde_json::to_string_pretty(&explained) {
            Ok(pretty) => println!("{pretty}"),
            Err(error) => return Err(error.to_string()),
        },
    }
    Ok(exit(explained.get("decision").and_then(serde_json::Value::as_str).unwrap_or_default()))
}

/// The first key of the call that would not reach the server, and why: without it another call would be explained.
fn offline_only(given: &Given, now: Option<UnixMillis>) -> Option<(&'static str, &'static str)> {
    const CHECK: &str = "a running server verifies tokens itself; give it the whole check instead";
    let Given { caller, trust_domain, sent, facts, approval } = given;
    let caller = caller.as_ref();
    let described = match sent {
        RequestSpec::Grpc(grpc) => grpc.message.is_some(),
        RequestSpec::Http(_) | RequestSpec::Mcp(_) | RequestSpec::Check(_) => false,
    };
    let rows = [
        ("token", caller.is_some_and(|caller| caller.token.is_some()), CHECK),
        ("task", caller.is_some_and(|caller| caller.task.is_some()), CHECK),
        (
            "proof",
            caller.is_some_and(|caller| caller.proof.is_some()),
            "a running server verifies workloads itself; give it the whole check instead",
        ),
        (
            "facts",
            facts.principal.is_some() || facts.resource.is_some() || facts.call.is_some(),
            "a running server looks facts up itself; leave them out",
        ),
        ("approval", approval.is_some(), "a running server looks approvals up itself; leave it out"),
        ("trust_domain", trust_domain.is_some(), "a running server's profile sets it; leave it out"),
        ("now", now.is_some(), "a running server uses its own clock; leave it out"),
        ("message", described, "only its bytes can be sent to a running server; give it the whole check instead"),
    ];
    rows.into_iter().find_map(|(key, is_said, why)| is_said.then_some((key, why)))
}
