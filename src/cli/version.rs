//! `picket version`.

use super::{Exit, Output};

/// Arguments of `picket version`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  picket version\n  picket version -o json")]
pub struct Args {}

/// Prints the version.
#[must_use]
pub fn run(_: &Args, output: Output) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    match output {
        Output::Text | Output::Junit => println!("picket {version}"),
        Output::Json => println!("{}", serde_json::json!({"v": 1, "version": version})),
    }
    Exit::Ok
}
