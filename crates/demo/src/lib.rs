//! The environment of `picket demo`: a real Envoy, Picket and a sample shop on this machine, with example calls.
//!
//! Knows: the server, Envoy's binary, certificates and tokens. Must not know: the command line.
//!
//! The parts that drive Envoy are also the harness of the tests with the real Envoy.
//!
//! - [`certs`], [`tls`], `tokens`, `logins`: credentials of the callers, and the TLS of both sides
//! - [`config`], [`envoy`], [`process`]: Envoy's configuration, its binary, and its process
//! - [`folder`], `tree`, `settings`: the files that Picket reads, and its settings
//! - [`client`], [`upstream`], `provider`: the two ends of a call
//! - `transcript`, `answers`: the texts of a model's answer, and how it must have left
//! - `scenario`, `environment`, `runner`, `show`: the calls, the parts that run, one call after the other, and the output

mod answers;
pub mod certs;
pub mod client;
pub mod config;
mod environment;
pub mod envoy;
pub mod folder;
mod logins;
pub mod process;
mod provider;
mod runner;
mod scenario;
mod settings;
mod show;
pub mod tls;
mod tokens;
mod transcript;
mod tree;
pub mod upstream;

use std::path::{Path, PathBuf};

use environment::{Environment, EnvironmentError};
use envoy::{EnvoyError, Places, cache_folder, find};
use picket_core::decision::limits::STACK_BYTES;
pub use scenario::Scenario;
use show::{Colours, Place};

/// What to run, and how it is printed.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Envoy's binary; without it `ENVOY_PATH`, the search path, or a download.
    pub envoy: Option<&'a Path>,
    /// The folder of build products, where a download may be kept.
    pub build_tree: &'a Path,
    /// The calls.
    pub scenario: Scenario,
    /// Whether everything stays up after the calls, until Ctrl-C.
    pub keep: bool,
    /// Whether the result is one line of JSON instead of text.
    pub json: bool,
}

/// Whether the demo showed what it is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every call ended as its scenario says.
    AsExpected,
    /// One did not.
    Otherwise,
}

/// Why the demo could not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No Envoy.
    #[error(transparent)]
    Envoy(#[from] EnvoyError),
    /// A part did not start.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The runtime, a file or a connection failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Starts everything, makes the calls of the scenario, and prints each as it ends.
///
/// # Errors
/// See [`DemoError`]. Everything that was started is stopped before.
pub fn run(options: Options<'_>) -> Result<Ended, DemoError> {
    let binary = binary(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build()?;
    let ended = runtime.block_on(perform(&binary, options));
    runtime.shutdown_background();
    ended
}

fn binary(options: Options<'_>) -> Result<PathBuf, EnvoyError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let (cache_home, home) = (variable("XDG_CACHE_HOME"), variable("HOME"));
    let cache = cache_folder(options.build_tree, cache_home.as_deref(), home.as_deref());
    let (envoy_path, search_path) = (variable("ENVOY_PATH"), std::env::var_os("PATH"));
    let (named, variable) = (options.envoy, envoy_path.as_deref());
    let places = Places { named, variable, search_path: search_path.as_deref(), cache: &cache };
    find(places, &mut |said| eprintln!("{said}"))
}

async fn perform(binary: &Path, options: Options<'_>) -> Result<Ended, DemoError> {
    let scenario = options.scenario;
    let mut environment = Environment::start(binary, scenario).await?;
    let ended = calls(&mut environment, scenario, options).await;
    if options.keep {
        eprintln!("Still running; Ctrl-C ends it. Envoy's admin: http://{}", environment.admin());
        // If no handler can be installed the demonstration just ends.
        drop(tokio::signal::ctrl_c().await);
    }
    environment.stop().await;
    Ok(ended?)
}

/// Makes the calls and shows each as it ends.
async fn calls(environment: &mut Environment, scenario: Scenario, options: Options<'_>) -> std::io::Result<Ended> {
    let (folder, port) = (environment.folder().path().to_owned(), environment.mesh.port());
    let place = Place { folder: &folder, port, colours: Colours::wanted() };
    if !options.json {
        println!("{}", head(scenario, &place));
    }
    let (mut good, mut all) = (0, Vec::new());
    for (number, step) in scenario.steps().iter().enumerate() {
        let played = runner::run(environment, step).await?;
        good += usize::from(played.surprises.is_empty());
        if options.json {
            all.push(show::json(step, &played, &place));
        } else {
            println!("{}", show::call(number + 1, step, &played, &place));
        }
    }
    let as_expected = good == scenario.steps().len();
    if options.json {
        println!("{}", serde_json::json!({"v": 1, "calls": all, "as_expected": as_expected}));
    } else {
        println!("{good} of {} calls ended as expected.", scenario.steps().len());
    }
    Ok(if as_expected { Ended::AsExpected } else { Ended::Otherwise })
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
