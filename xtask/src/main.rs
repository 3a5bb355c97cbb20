//! One command for each developer task: `cargo xtask` lists them, `cargo xtask TASK` runs one.
//!
//! Knows: the commands and scripts that a task consists of, and how long it takes.
//! Must not know: what the scripts do.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

/// One program call. `cargo` means the cargo that runs this program.
struct Step {
    /// Environment variables that are set for the program.
    environment: &'static [(&'static str, &'static str)],
    program: &'static str,
    arguments: &'static [&'static str],
}

struct Task {
    name: &'static str,
    summary: &'static str,
    /// Rough, on two cores, with dependencies built.
    duration: &'static str,
    /// Run in this order; the first failure ends the task. Arguments of the command line go to the last step.
    steps: &'static [Step],
}

const fn step(program: &'static str, arguments: &'static [&'static str]) -> Step {
    Step { environment: &[], program, arguments }
}

/// Rewrites golden files. Both variables are set: tests of whole files read the first, `expect_test` reads the second.
const fn update(arguments: &'static [&'static str]) -> Step {
    Step { environment: &[("UPDATE", "1"), ("UPDATE_EXPECT", "1")], program: "cargo", arguments }
}

const TASKS: &[Task] = &[
    Task {
        name: "ci",
        summary: "Everything that a change must pass (.ci/run)",
        duration: "20 min",
        steps: &[step(".ci/run", &[])],
    },
    Task {
        name: "lint",
        summary: "Check formatting and run clippy",
        duration: "minutes",
        steps: &[
            step("cargo", &["fmt", "--all", "--check"]),
            step("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        ],
    },
    Task {
        name: "test",
        summary: "Run all tests, or those that match: `cargo xtask test --test it tidy`",
        duration: "8 min",
        steps: &[step("cargo", &["test"])],
    },
    Task {
        name: "tidy",
        summary: "Check sizes, imports between modules, dependencies and docs (tests/it/tidy)",
        duration: "1 min",
        steps: &[step("cargo", &["test", "--test", "it", "tidy::"])],
    },
    Task {
        name: "docs",
        summary: "Rewrite docs/config.md, docs/metrics.md and deploy/config.yaml, then build the API docs",
        duration: "minutes",
        steps: &[
            update(&["test", "--lib", "--", "config::", "telemetry::metrics"]),
            step("cargo", &["doc", "--no-deps"]),
        ],
    },
    Task {
        name: "goldens",
        summary: "Rewrite every golden file except Envoy's; then read `git diff`",
        duration: "minutes",
        steps: &[update(&["test", "--lib"]), update(&["test", "--test", "it", "--", "cases::", "matrix::", "cli::"])],
    },
    Task {
        name: "fuzz",
        summary: "Fuzz checks and policies for ten minutes each, bodies briefly (docs/fuzzing.md)",
        duration: "20 min",
        steps: &[Step {
            environment: &[("FUZZ_SECONDS", "600")],
            program: "cargo",
            arguments: &["test", "--test", "it", "fuzz::", "--", "--nocapture", "--test-threads=1"],
        }],
    },
    Task {
        name: "mutants",
        summary: "Break the engine line by line and show that a test fails; an argument picks rows",
        duration: "1 min a row",
        steps: &[step("tests/mutations/run", &[])],
    },
    Task {
        name: "instructions",
        summary: "Compare instruction counts with benches/baseline; needs valgrind",
        duration: "minutes",
        steps: &[step("benches/instructions", &["--check"])],
    },
    Task {
        name: "bench",
        summary: "Measure what docs/performance.md reports and rewrite its tables; arguments pick parts",
        duration: "30 min",
        steps: &[step("benches/all", &[])],
    },
    Task {
        name: "deny",
        summary: "Check licences, bans and sources of dependencies; needs cargo-deny",
        duration: "seconds",
        steps: &[step("cargo", &["deny", "check", "licenses", "bans", "sources"])],
    },
    Task {
        name: "image",
        summary: "Build the container image; needs docker",
        duration: "minutes",
        steps: &[step("docker", &["build", "-f", "deploy/Dockerfile", "-t", "picket:dev", "."])],
    },
];

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(name) = arguments.next() else {
        print!("{}", list());
        return ExitCode::SUCCESS;
    };
    let Some(task) = TASKS.iter().find(|task| name == task.name) else {
        eprint!("there is no task `{}`\n\n{}", name.display(), list());
        return ExitCode::from(2);
    };
    run(task, arguments.collect())
}

fn list() -> String {
    let mut text = "usage: cargo xtask TASK [ARGUMENTS]\n\n".to_owned();
    for task in TASKS {
        text += &format!("  {:<13} {:<12} {}\n", task.name, task.duration, task.summary);
    }
    text
}

fn run(task: &Task, mut more: Vec<OsString>) -> ExitCode {
    for (at, step) in task.steps.iter().enumerate() {
        let is_last = at + 1 == task.steps.len();
        let more = if is_last { std::mem::take(&mut more) } else { Vec::new() };
        let status = command(step).args(more).status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                eprintln!("`{} {}` failed: {status}", step.program, step.arguments.join(" "));
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("could not start `{}`: {error}", step.program);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn command(step: &Step) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = match step.program {
        "cargo" => std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        // A script of this repository: a relative program would be looked for in the caller's directory.
        script if script.contains('/') => root.join(script).into(),
        other => other.into(),
    };
    let mut command = Command::new(program);
    command.args(step.arguments).envs(step.environment.iter().copied()).current_dir(root);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_of_a_task_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for step in TASKS.iter().flat_map(|task| task.steps).filter(|step| step.program.contains('/')) {
            assert!(root.join(step.program).is_file(), "{}", step.program);
        }
    }

    #[test]
    fn no_two_tasks_have_one_name() {
        let mut names: Vec<_> = TASKS.iter().map(|task| task.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TASKS.len());
    }
}
