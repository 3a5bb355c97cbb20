//! `picket mask`: shows what would leave of a response.
//!
//! Knows: the flags, and the request that they stand for. Must not know: how a response is evaluated or masked.

mod request;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::json;

use super::offline::form::{self, Caller, Given};
use super::offline::response::{Cuts, Leaving};
use super::offline::sent::ResponseArgs;
use super::offline::{Configuration, OfflineChecker, Policies, PolicyArgs, Problems, block_on, conclude, directory_of};
use super::render::Files;
use super::{Exit, Output};
use picket_core::call::UnixMillis;
use picket_core::decision::Snapshot;
use picket_core::problem::Problem;
use picket_server::check::response::Outcome;
use picket_server::config::Config;
use picket_server::envoy::authz::system_clock;

/// Arguments of `picket mask`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    from: PolicyArgs,
    /// The caller's SPIFFE ID.
    #[arg(long = "as", value_name = "CALLER", required_unless_present = "call")]
    caller: Option<String>,
    /// The service that answers, as `<namespace>/<name>`.
    #[arg(long, value_name = "SERVICE", required_unless_present = "call")]
    service: Option<String>,
    /// The action of the call. Default: GET, or a call of a model or tool.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// The path, model, tool, resource, prompt or MCP method. Default: `/`, or the catalogue's first one.
    #[arg(long, value_name = "NAME")]
    resource: Option<String>,
    /// The API of a call of a model. Default: the service's own.
    #[arg(long, value_enum)]
    api: Option<Api>,
    /// The call instead, as for `picket explain --call`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["caller", "service", "action", "resource", "api"])]
    call: Option<PathBuf>,
    #[command(flatten)]
    response: ResponseArgs,
    /// The body of the response; `-` reads standard input.
    #[arg(value_name = "FILE")]
    body: PathBuf,
}

/// An API of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Api {
    /// Chat Completions of OpenAI
    Chat,
    /// Responses of OpenAI
    Responses,
    /// Messages of Anthropic
    Messages,
}

const AFTER_HELP: &str = "\
Examples:
  picket mask --as spiffe://cluster.local/ns/desk/sa/agent --service models/gateway answer.json
  picket mask --as spiffe://a/b --service desk/tools --resource notes.read result.json
  curl -s $URL | picket mask --as spiffe://a/b --service desk/tickets --resource /tickets/7 -
  picket mask --as spiffe://a/b --service a/mcp --action mcp.server.use --resource tools/list -
  picket mask --call call.yaml --content-type text/event-stream recorded.sse

Writes what the client would get to standard output, and the outcome with its findings to
standard error: names of detectors and counts, never a text of the response.
Exit codes: 0 if the response leaves, masked or not; 5 if it is refused or the call is denied;
3 if policies do not load. A call with more than a caller and a resource (token, arguments,
facts) is written into a file for --call.";

/// Shows what would leave.
#[must_use]
pub fn run(args: &Args, output: Output) -> Exit {
    conclude(block_on(mask(args)), output, |result| match result {
        Ok(leaving) => print(&leaving, output),
        Err(denied) => {
            match output {
                Output::Text | Output::Junit => eprintln!("{denied}"),
                Output::Json => println!("{}", json!({"v": 1, "outcome": "no_response", "detail": denied})),
            }
            Exit::Deny
        }
    })
}

fn fault(message: impl Into<String>) -> Problems {
    (vec![Problem::error("mask", message)], Files::default())
}

/// Evaluates the response; the inner error is a call that is not allowed.
async fn mask(args: &Args) -> Result<Result<Leaving, String>, Problems> {
    let config = configuration(args.from.config.as_deref())?;
    let policies = Policies::load(&directory_of(args.from.policies.as_deref(), config.as_ref())).await;
    // A part of the policies would let out more than all of them.
    let snapshot = match &policies.snapshot {
        Some(snapshot) if policies.errors() == 0 => snapshot,
        Some(_) | None => return Err((policies.problems, Files::new(policies.tree.files))),
    };
    let checker = match &config {
        Some(config) => OfflineChecker::configured(&policies, config, &args.from.profile).map_err(fault)?,
        None if args.from.profile != "default" => return Err(fault("a profile is named, but no --config that has it")),
        None => OfflineChecker::plain(&policies),
    };
    let checker = checker.with_responses().map_err(fault)?;
    let sent = args.response.read(&args.body).map_err(fault)?;
    let (given, now) = given(args, snapshot, &sent.body)?;
    if given.caller.is_none() {
        checker.fetch_keys().await;
    }
    let judged = checker.judge(&given, now).await.map_err(fault)?;
    Ok(checker.respond((&judged, &given), &sent, &Cuts::Places(Vec::new()), now).await)
}

fn configuration(path: Option<&Path>) -> Result<Option<Config>, Problems> {
    let Some(path) = path else { return Ok(None) };
    let configuration = Configuration::read(path);
    let mut files = Files::default();
    files.add(&configuration.name, &configuration.text);
    configuration.read.map(|(config, _)| Some(config)).map_err(|problems| (problems, files))
}

/// The call that the response answers.
fn given(args: &Args, snapshot: &Snapshot, body: &[u8]) -> Result<(Given, UnixMillis), Problems> {
    let now = || system_clock()();
    if let Some(file) = &args.call {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|error| fault(format!("could not read `{name}`: {error}")))?;
        let (given, at) = form::read(&name, &text).map_err(|problem| {
            let mut files = Files::default();
            files.add(&name, &text);
            (vec![*problem], files)
        })?;
        return Ok((given, at.unwrap_or_else(now)));
    }
    let named = request::Named {
        service: args.service.as_deref().unwrap_or_default(),
        action: args.action.as_deref(),
        resource: args.resource.as_deref(),
        api: args.api,
    };
    let sent = request::of(&named, snapshot.catalog(), body).map_err(fault)?;
    let caller = Caller { spiffe: args.caller.clone(), ..Caller::default() };
    Ok((
        Given { caller: Some(caller), trust_domain: None, sent, facts: form::GivenFacts::default(), approval: None },
        now(),
    ))
}

fn print(leaving: &Leaving, output: Output) -> Exit {
    match output {
        Output::Text | Output::Junit => {
            eprint!("{}", text(leaving));
            let mut out = std::io::stdout().lock();
            if let Err(error) = out.write_all(&leaving.body).and_then(|()| out.flush()) {
                eprintln!("could not write the response: {error}");
                return Exit::Internal;
            }
        }
        Output::Json => println!("{}", as_json(leaving)),
    }
    match leaving.outcome {
        Outcome::Released | Outcome::Filtered | Outcome::Masked => Exit::Ok,
        Outcome::Refused => Exit::Deny,
    }
}

fn text(leaving: &Leaving) -> String {
    let mut text = leaving.outcome.as_str().to_owned();
    if let Some(reason) = leaving.reason {
        text += &format!(" ({reason})");
    }
    text += &format!(", status {}\n", leaving.status);
    let findings: Vec<String> =
        leaving.findings.iter().map(|(detector, count)| format!("{detector} {count}")).collect();
    for (name, list) in [("findings", findings), ("policies", leaving.policies.clone())] {
        if !list.is_empty() {
            text += &format!("{name}: {}\n", list.join(", "));
        }
    }
    if leaving.unread > 0 {
        text += &format!("not read: {} of its parts\n", leaving.unread);
    }
    if leaving.dropped > 0 {
        text += &format!("dropped: {} entries of lists\n", leaving.dropped);
    }
    text
}

fn as_json(leaving: &Leaving) -> serde_json::Value {
    let Leaving { outcome, reason, is_replaced, status, body, findings, unread, dropped, policies, .. } = leaving;
    json!({
        "v": 1, "outcome": outcome.as_str(), "reason": reason, "replaced": is_replaced, "status": status,
        "findings": findings, "unread": unread, "dropped": dropped, "policies": policies, "body": String::from_utf8_lossy(body),
    })
}
