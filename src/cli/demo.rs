//! `picket demo`: a real Envoy, Picket and a sample shop on this machine, with example calls.
//!
//! Knows: the arguments. Must not know: how the environment works; that is `picket_demo`.

use std::path::{Path, PathBuf};

use picket_core::problem::chain;
use picket_demo::{Ended, Options, Scenario};

use super::{Exit, Output};

/// Arguments of `picket demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Envoy's binary. Without it: `ENVOY_PATH`, the search path, or a download of 40 MB, once.
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// Runs the agents' scenario instead of the shop's: tool calls, tasks, and logins that must be fresh.
    #[arg(long, conflicts_with = "content")]
    agents: bool,
    /// Runs the content scenario: answers of a model that leave masked, and a prompt that is refused.
    #[arg(long)]
    content: bool,
    /// Keeps everything running after the calls, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

const AFTER_HELP: &str = "\
Examples:
  picket demo
  picket demo --agents
  picket demo --content
  picket demo --keep
  picket demo --envoy /usr/local/bin/envoy

Ends with 0 if every verdict was the expected one, with 4 if one was not.";

/// Runs the demo.
#[must_use]
pub fn run(args: &Args, output: Output) -> Exit {
    let scenario = match (args.agents, args.content) {
        (_, true) => Scenario::Content,
        (true, false) => Scenario::Agents,
        (false, false) => Scenario::Shop,
    };
    let options = Options {
        envoy: args.envoy.as_deref(),
        build_tree: &Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
        scenario,
        keep: args.keep,
        json: output == Output::Json,
    };
    match picket_demo::run(options) {
        Ok(Ended::AsExpected) => Exit::Ok,
        Ok(Ended::Otherwise) => Exit::TestsFailed,
        Err(error) => {
            eprintln!("{}", chain(&error));
            Exit::Internal
        }
    }
}
