//! `picket demo`: a real Envoy, Picket and a sample shop on this machine, with example calls.
//!
//! Knows everything below assembly. The parts that drive Envoy are also the harness of the tests with the real Envoy.

pub mod certs;
pub mod client;
pub mod config;
mod environment;
pub mod envoy;
pub mod folder;
mod logins;
pub mod process;
mod runner;
mod scenario;
mod settings;
mod show;
pub mod tls;
mod tokens;
mod tree;
pub mod upstream;

use std::path::{Path, PathBuf};

use super::{Exit, Output};
use crate::decision::limits::STACK_BYTES;
use crate::problem::chain;
use environment::Environment;
use envoy::{Places, cache_folder, find};
use scenario::Scenario;
use show::{Colours, Place};

/// Arguments of `picket demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Envoy's binary. Without it: `ENVOY_PATH`, the search path, or a download of 40 MB, once.
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// Runs the agents' scenario instead of the shop's: tool calls, tasks, and logins that must be fresh.
    #[arg(long)]
    agents: bool,
    /// Keeps everything running after the calls, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

const AFTER_HELP: &str = "\
Examples:
  picket demo
  picket demo --agents
  picket demo --keep
  picket demo --envoy /usr/local/bin/envoy

Ends with 0 if every verdict was the expected one, with 4 if one was not.";

/// Runs the demo.
#[must_use]
pub fn run(args: &Args, output: Output) -> Exit {
    let binary = match binary(args.envoy.as_deref()) {
        Ok(binary) => binary,
        Err(error) => return failed(&error),
    };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = match builder.enable_all().thread_stack_size(STACK_BYTES).build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let exit = runtime.block_on(perform(&binary, args, output));
    runtime.shutdown_background();
    exit
}

fn failed(error: &dyn std::error::Error) -> Exit {
    eprintln!("{}", chain(error));
    Exit::Internal
}

fn binary(named: Option<&Path>) -> Result<PathBuf, envoy::EnvoyError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let build_tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let cache = cache_folder(&build_tree, variable("XDG_CACHE_HOME").as_deref(), variable("HOME").as_deref());
    let (envoy_path, search_path) = (variable("ENVOY_PATH"), std::env::var_os("PATH"));
    let places = Places { named, variable: envoy_path.as_deref(), search_path: search_path.as_deref(), cache: &cache };
    find(places, &mut |said| eprintln!("{said}"))
}

async fn perform(binary: &Path, args: &Args, output: Output) -> Exit {
    let scenario = if args.agents { Scenario::Agents } else { Scenario::Shop };
    let mut environment = match Environment::start(binary, scenario).await {
        Ok(environment) => environment,
        Err(error) => return failed(&error),
    };
    let exit = match calls(&mut environment, scenario, output).await {
        Ok(exit) => exit,
        Err(error) => failed(&error),
    };
    if args.keep {
        eprintln!("Still running; Ctrl-C ends it. Envoy's admin: http://{}", environment.admin());
        // If no handler can be installed the demonstration just ends.
        drop(tokio::signal::ctrl_c().await);
    }
    environment.stop().await;
    exit
}

/// Makes the calls and shows each as it ends.
async fn calls(environment: &mut Environment, scenario: Scenario, output: Output) -> std::io::Result<Exit> {
    let (folder, port) = (environment.folder().path().to_owned(), environment.mesh.port());
    let place = Place { folder: &folder, port, colours: Colours::wanted() };
    if output == Output::Text {
        println!("{}", head(scenario, &place));
    }
    let (mut good, mut all) = (0, Vec::new());
    for (number, step) in scenario.steps().iter().enumerate() {
        let played = runner::run(environment, step).await?;
        good += usize::from(played.surprises.is_empty());
        match output {
            Output::Text | Output::Junit => println!("{}", show::call(number + 1, step, &played, &place)),
            Output::Json => all.push(show::json(step, &played, &place)),
        }
    }
    let as_expected = good == scenario.steps().len();
    match output {
        Output::Text | Output::Junit => println!("{good} of {} calls ended as expected.", scenario.steps().len()),
        Output::Json => println!("{}", serde_json::json!({"v": 1, "calls": all, "as_expected": as_expected})),
    }
    Ok(if as_expected { Exit::Ok } else { Exit::TestsFailed })
}

fn head(scenario: Scenario, place: &Place<'_>) -> String {
    let folder = place.folder.display();
    format!(
        "{} through Envoy on port {}; Picket checks every call.\n\
         Policies, certificates and the decision log are in {folder}\n\
         To repeat a call: start with --keep, cd there, and use its curl line.\n",
        scenario.about(),
        place.port
    )
}
