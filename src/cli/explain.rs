//! `picket explain`: explains why one call is allowed or denied, offline or by a running server.
//!
//! Knows: the forms a call can be written in. Must not know: how a verdict comes about.

mod live;
mod release;
mod tools;

use std::io::Read as _;
use std::path::PathBuf;

use super::offline::form::{self, Given};
use super::offline::response::Cuts;
use super::offline::sent::ResponseArgs;
use super::offline::{Configuration, OfflineChecker, Policies, PolicyArgs, Problems, block_on, conclude, directory_of};
use super::render::Files;
use super::{Exit, Output};
use picket_core::call::UnixMillis;
use picket_core::problem::Problem;
use picket_server::config::Config;
use picket_server::envoy::authz::system_clock;

/// Arguments of `picket explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    from: PolicyArgs,
    /// The call: a call file in YAML or JSON, or Envoy's CheckRequest (not with --tools); `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    call: PathBuf,
    /// Queries a running server's admin port instead.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["policies", "config"])]
    live: Option<String>,
    /// Lists the tools of this MCP server that the caller could be allowed to call with some arguments.
    #[arg(long, value_name = "SERVICE", conflicts_with = "live")]
    tools: Option<String>,
    /// Explains also what would leave of this response to the call; `-` reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["live", "tools"])]
    response: Option<PathBuf>,
    #[command(flatten)]
    sent: ResponseArgs,
}

const AFTER_HELP: &str = "\
Examples:
  picket explain --call call.yaml
  picket explain --policies policies --call recorded-check.json -o json
  picket explain --live 127.0.0.1:9193 --call recorded-check.json
  echo '{request: {service: shop/orders, path: /v1/orders}}' | picket explain --call -
  picket explain --tools agents/deploy-mcp --call caller.yaml
  picket explain --call call.yaml --response answer.json

A call file:
  caller: {spiffe: spiffe://cluster.local/ns/web/sa/frontend, token: {sub: alice, scope: orders:read}}
  request: {service: shop/orders, method: GET, path: /v1/orders/7, headers: {accept: text/html}}
  # or  grpc: {service: shop/inventory, method: shop.inventory.v1.Stock/Get}

Claims count as verified. Look-ups are not made: give their results under
`facts: {principal, resource, call}`. Without --config every issuer is known and the host may
name the service. Exit codes: 0 for an allow, 5 for anything else, 3 if policies do not load.

With --tools only the caller and the facts of the call file count; the service is the named one,
however a profile would find it. A line has `allowed`, `challenged` or `never`, a tool of the
catalogue, and the permits that may hold or the forbids that always do.
Exit codes: 0, or 5 if the caller is rejected before any policy is evaluated.

With --response every ruling about the response follows: at its start, at the first finding of
each detector and at the first part that cannot be read, with the policies that decided and the
detectors that are masked. It shows names and counts, never a text; `picket mask` shows what
would leave. Exit codes: 0 if the response leaves, 5 if it is refused or the call is denied.";

/// Explains one call.
#[must_use]
pub fn run(args: &Args, output: Output) -> Exit {
    conclude(block_on(explain(args, output)), output, |exit| exit)
}

fn fault(message: impl Into<String>) -> Problems {
    (vec![Problem::error("explain", message)], Files::default())
}

async fn explain(args: &Args, output: Output) -> Result<Exit, Problems> {
    let (name, text) = read(args).map_err(fault)?;
    let form = if args.tools.is_some() { form::read_caller } else { form::read };
    let (given, now) = form(&name, &text).map_err(|problem| {
        let mut files = Files::default();
        files.add(&name, &text);
        (vec![*problem], files)
    })?;
    match &args.live {
        Some(address) => {
            let asked = live::ask(address, &args.from.profile, (&given, now), output).await;
            Ok(asked.unwrap_or_else(|message| {
                eprintln!("{message}");
                Exit::Internal
            }))
        }
        None => offline(args, &given, now.unwrap_or_else(|| system_clock()()), output).await,
    }
}

fn read(args: &Args) -> Result<(String, String), String> {
    if args.call.as_os_str() == "-" {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        return read.map(|_| ("standard input".to_owned(), text)).map_err(|error| format!("could not read: {error}"));
    }
    let name = args.call.display().to_string();
    match std::fs::read_to_string(&args.call) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(format!("could not read `{name}`: {error}")),
    }
}

async fn offline(args: &Args, given: &Given, now: UnixMillis, output: Output) -> Result<Exit, Problems> {
    let config = configuration(args)?;
    if let (Some(config), Some(said)) = (&config, &given.trust_domain) {
        at_home(config, &args.from.profile, said).map_err(|problem| (vec![*problem], Files::default()))?;
    }
    let policies = Policies::load(&directory_of(args.from.policies.as_deref(), config.as_ref())).await;
    let files = Files::new(policies.tree.files.clone());
    if policies.snapshot.is_none() {
        return Err((policies.problems, files));
    }
    let checker = match &config {
        Some(config) => OfflineChecker::configured(&policies, config, &args.from.profile).map_err(fault)?,
        None if args.from.profile != "default" => return Err(fault("a profile is named, but no --config that has it")),
        None => OfflineChecker::plain(&policies),
    };
    if given.caller.is_none() {
        checker.fetch_keys().await;
    }
    if let (Some(service), Some(snapshot)) = (&args.tools, &policies.snapshot) {
        let list = tools::list(&checker, snapshot, service, (given, now)).await.map_err(fault)?;
        return Ok(tools::print(service, &list, output));
    }
    let checker = if args.response.is_some() { checker.with_responses().map_err(fault)? } else { checker };
    let judged = checker.judge(given, now).await.map_err(fault)?;
    let explanation = judged.explanation();
    let release = match &args.response {
        Some(file) => {
            if file.as_os_str() == "-" && args.call.as_os_str() == "-" {
                return Err(fault("the call and the response are both `-`: name a file for one of them"));
            }
            let sent = args.sent.read(file).map_err(fault)?;
            Some(checker.respond((&judged, given), &sent, &Cuts::Places(Vec::new()), now).await)
        }
        None => None,
    };
    match output {
        Output::Text | Output::Junit => {
            print!("{}", explanation.text());
            print!("{}", release.iter().map(release::text).collect::<String>());
            if policies.errors() > 0 {
                println!("\n  part of the policies did not load; see `picket validate`");
            }
        }
        Output::Json => {
            let mut json = explanation.json();
            if let (Some(release), Some(members)) = (&release, json.as_object_mut()) {
                members.insert("response".to_owned(), release::json(release));
            }
            println!("{json}");
        }
    }
    Ok(release.map_or_else(|| exit(explanation.decision()), |release| release::exit(&release)))
}

/// A profile sets the home trust domain; a call with another one would be evaluated as no call of the proxy is.
fn at_home(config: &Config, profile: &str, said: &str) -> Result<(), Box<Problem>> {
    let home = config.profiles.get(profile).map(|profile| profile.identity.home_trust_domain.as_str());
    let Some(home) = home.filter(|home| *home != said) else { return Ok(()) };
    let message = format!("the call has the `trust_domain` `{said}`, and profile `{profile}` is at home in `{home}`");
    let help = "leave it out of the call: `identity.home_trust_domain` of the profile sets it";
    Err(Box::new(Problem::error("explain", message).help(help)))
}

fn configuration(args: &Args) -> Result<Option<Config>, Problems> {
    let Some(path) = &args.from.config else { return Ok(None) };
    let configuration = Configuration::read(path);
    let mut files = Files::default();
    files.add(&configuration.name, &configuration.text);
    configuration.read.map(|(config, _)| Some(config)).map_err(|problems| (problems, files))
}

fn exit(decision: &str) -> Exit {
    if decision == "allow" { Exit::Ok } else { Exit::Deny }
}
