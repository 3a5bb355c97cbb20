//! `picket serve`: reads the settings, builds the parts, runs the server.
//!
//! Knows: the order of these three. Must not know: what a setting or a part does.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use super::{Exit, Output, report};
use picket_core::decision::limits::STACK_BYTES;
use picket_core::problem::Problem;
use picket_core::problem::chain;
use picket_server::app::{App, compose};
use picket_server::config::{self, Config, Effective, Sources};
use picket_server::server::{Ended, Server, Shutdown, descriptors};
use picket_server::telemetry::spans::{Color, subscribe};

/// Arguments of `picket serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Configuration file; nothing in it is required.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the policies; the same as `--set policies.dir=DIR`.
    #[arg(short, long, value_name = "DIR")]
    policies: Option<String>,
    /// Sets one setting. Can be repeated; the last one wins.
    #[arg(long, value_name = "SECTION.FIELD=VALUE")]
    set: Vec<String>,
    /// Verifies every Nth decision by plain Cedar, off the request path.
    #[arg(long, value_name = "1/N", value_parser = every)]
    verify_decisions: Option<u64>,
    /// Prints the effective settings, with the origin of each, and exits.
    #[arg(long)]
    print_config: bool,
}

const AFTER_HELP: &str = "\
Examples:
  picket serve --policies policies
  picket serve --config picket.yaml
  picket serve --set listeners.0.address=unix:/run/picket/authz.sock
  PICKET_SHUTDOWN__PRE_DRAIN=10s picket serve --config picket.yaml --print-config";

/// Serves until a signal.
#[must_use]
pub fn run(args: &Args, output: Output) -> Exit {
    let mut effective = match read(args) {
        Ok(effective) => effective,
        Err(problems) => {
            report(&problems, output);
            return Exit::Invalid;
        }
    };
    if args.print_config {
        print!("{}", config::print::effective(&effective.tree));
        return Exit::Ok;
    }
    let log = &mut effective.config.telemetry.log;
    if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) {
        log.color = Color::Always;
    }
    // Begun before everything else, so that warnings about the settings are seen.
    if let Err(error) = subscribe(log) {
        report(&[Problem::error("telemetry.log", error.to_string())], output);
        return Exit::Invalid;
    }
    for warning in &effective.warnings {
        tracing::warn!("{warning}");
    }
    descriptors::raise();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = match builder.enable_all().thread_stack_size(STACK_BYTES).build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "could not start the runtime");
            return Exit::Internal;
        }
    };
    let exit = runtime.block_on(serve(effective.config, output));
    // What still blocks a thread must not hold the exit.
    runtime.shutdown_background();
    exit
}

fn read(args: &Args) -> Result<Effective, Vec<Problem>> {
    let file = args.config.as_deref().map(text).transpose().map_err(|problem| vec![*problem])?;
    let mut flags: Vec<_> = args.set.iter().map(|set| (set.clone(), format!("--set {set}"))).collect();
    if let Some(dir) = &args.policies {
        // Quoted: a folder may be called `8` or `yes`.
        flags.push((format!("policies.dir={}", serde_json::Value::from(dir.as_str())), "--policies".to_owned()));
    }
    if let Some(every) = args.verify_decisions {
        flags.push((format!("limits.verify_every={every}"), "--verify-decisions".to_owned()));
    }
    config::load(&Sources { file, environment: config::environment(), flags })
}

fn every(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix("1/").and_then(|number| number.parse().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| "is not of the form `1/N`, such as `1/1000`".to_owned())
}

fn text(path: &Path) -> Result<(String, String), Box<Problem>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Problem::error(&name, format!("could not read the configuration: {error}")))?;
    Ok((name, text))
}

async fn serve(config: Config, output: Output) -> Exit {
    let shutdown = Shutdown::default();
    // Followed from the first moment: before, a signal would end the process as if it had crashed.
    let work = async {
        tokio::select! {
            app = compose(config, None) => run_app(app, &shutdown, output).await,
            () = shutdown.force.cancelled() => Exit::Internal,
        }
    };
    shutdown.on_signals(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "could not follow signals");
        Exit::Internal
    })
}

async fn run_app(app: Result<App, Vec<Problem>>, shutdown: &Shutdown, output: Output) -> Exit {
    let app = match app {
        Ok(app) => app,
        Err(problems) => {
            report(&problems, output);
            return Exit::Invalid;
        }
    };
    let server = match Server::bind(app.server) {
        Ok(server) => server,
        Err(problem) => {
            tracing::error!("{}", chain(&problem));
            return Exit::Internal;
        }
    };
    for (name, address) in server.addresses() {
        tracing::info!(listener = name, %address, "listening on `{address}`");
    }
    match server.run(shutdown.clone()).await {
        Ended::Drained(_) => Exit::Ok,
        Ended::Forced => Exit::Internal,
    }
}
