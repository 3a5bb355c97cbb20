//! The commands as scripts see them: help, exit codes, output.
//!
//! The binary is run as it ships. Goldens: `UPDATE_EXPECT=1 cargo test --test it cli` rewrites them.

mod bench;
mod catalog;
mod explain;
mod help;
mod mask;
mod release;
mod responses;
mod test;
mod tools;
mod validate;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Result of a command.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    #[track_caller]
    fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Runs the binary in the repository's root, or wherever the test's files are.
fn picket(arguments: &[&str]) -> Run {
    picket_in(&root(), arguments, "")
}

fn picket_in(dir: &Path, arguments: &[&str], stdin: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_picket"))
        .args(arguments)
        .current_dir(dir)
        // Nothing of the machine that runs the tests may change what is printed.
        .env_clear()
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A policy directory of the given files, with the catalogue of the other tests.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let all = [("catalog.yaml", crate::support::CATALOG)];
    for (path, text) in all.iter().chain(files) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

#[test]
fn exit_codes_differ() {
    picket(&["version"]).ends_with(0);
    picket(&[]).ends_with(2);
    picket(&["validate", "--nonsense"]).ends_with(2);
    picket(&["validate", "-o", "junit"]).ends_with(2);
    picket(&["explain"]).ends_with(2);
    picket(&["mask"]).ends_with(2);
    picket(&["validate", "no-such-directory"]).ends_with(3);
    picket(&["serve", "--set", "nonsense=1"]).ends_with(3);
    picket(&["test", "--filter", "no test has this name"]).ends_with(4);
}
