//! The command line: the commands, and their exit codes.
//!
//! Knows: every command. Must not know: how any of them works.

pub mod bench;
pub mod catalog;
pub mod demo;
pub mod explain;
pub mod mask;
pub mod offline;
pub mod render;
pub mod serve;
pub mod test;
pub mod validate;
pub mod version;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

use picket_core::problem::Problem;

/// How a command ended; the numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or allowed.
    Ok = 0,
    /// Picket failed.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A policy, schema or setting is wrong.
    Invalid = 3,
    /// Policy tests failed.
    TestsFailed = 4,
    /// Denied.
    Deny = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Authorization server for Envoy and Istio meshes, with Cedar policies.
#[derive(Debug, Parser)]
#[command(name = "picket", version, after_help = AFTER_HELP, arg_required_else_help = true)]
struct Cli {
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  picket serve --policies policies
  picket validate policies
  picket explain --policies policies --call call.yaml
  picket test --policies policies

Exit codes: 0 ok or allow, 1 internal failure, 2 usage, 3 invalid policy, schema or
configuration, 4 tests failed, 5 deny or a refused response. Colours follow the terminal and NO_COLOR.";

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs; versioned by its field `v`.
    Json,
    /// JUnit's XML, for `picket test`.
    Junit,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs Picket behind a real Envoy on this machine, with example calls.
    Demo(demo::Args),
    /// Runs the server that answers the checks of Envoy and Istio.
    Serve(serve::Args),
    /// Checks a policy directory and reports every problem.
    Validate(validate::Args),
    /// Explains why one call is allowed or denied.
    Explain(explain::Args),
    /// Shows what would leave of a response.
    Mask(mask::Args),
    /// Runs policy tests.
    Test(test::Args),
    /// Measures the cost of a decision with these policies.
    Bench(bench::Args),
    /// Helps to write the catalogue.
    Catalog(catalog::Args),
    /// Prints the version.
    Version(version::Args),
}

/// The definition of the command line: every command with its help.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command.
#[must_use]
pub fn run() -> Exit {
    let cli = Cli::parse();
    if cli.output == Output::Junit && !matches!(cli.command, Command::Test(_)) {
        eprintln!("`-o junit` is for `picket test`; this command knows text and json");
        return Exit::Usage;
    }
    match cli.command {
        Command::Demo(args) => demo::run(&args, cli.output),
        Command::Serve(args) => serve::run(&args, cli.output),
        Command::Validate(args) => validate::run(&args, cli.output),
        Command::Explain(args) => explain::run(&args, cli.output),
        Command::Mask(args) => mask::run(&args, cli.output),
        Command::Test(args) => test::run(&args, cli.output),
        Command::Bench(args) => bench::run(&args, cli.output),
        Command::Catalog(args) => catalog::run(&args, cli.output),
        Command::Version(args) => version::run(&args, cli.output),
    }
}

/// Prints problems: text to stderr, JSON to stdout.
pub fn report(problems: &[Problem], output: Output) {
    match output {
        Output::Text | Output::Junit => problems.iter().for_each(|problem| eprintln!("{problem}")),
        Output::Json => {
            let problem = |p: &Problem| {
                let severity = format!("{:?}", p.severity).to_lowercase();
                serde_json::json!({"severity": severity, "file": p.file, "message": p.message, "help": p.help})
            };
            let problems: Vec<_> = problems.iter().map(problem).collect();
            println!("{}", serde_json::json!({"v": 1, "problems": problems}));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_in_the_docs_is_a_command() {
        let docs = [
            include_str!("../README.md"),
            include_str!("../docs/testing.md"),
            include_str!("../docs/content.md"),
            include_str!("../docs/rollout.md"),
            include_str!("../docs/operating.md"),
        ];
        let lines = docs.iter().flat_map(|text| text.lines()).filter(|line| line.starts_with("picket "));
        let mut seen = 0;
        for line in lines {
            let parsed = Cli::command().try_get_matches_from(line.split_whitespace());
            assert!(parsed.is_ok(), "`{line}`: {}", parsed.unwrap_err());
            seen += 1;
        }
        assert!(seen > 3, "the docs name no commands: the test looks in the wrong place");
    }

    #[test]
    fn every_help_has_examples() {
        let command = Cli::command();
        for part in std::iter::once(&command).chain(command.get_subcommands()) {
            let help = part.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "`{}` has no examples", part.get_name());
        }
    }
}
