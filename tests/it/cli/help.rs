//! The help of every command, so that a change of it is seen.

use expect_test::{ExpectFile, expect_file};

use super::picket;

#[test]
fn help_is_what_was_reviewed() {
    let commands: [(&str, ExpectFile); 8] = [
        ("validate", expect_file!["help/validate.txt"]),
        ("explain", expect_file!["help/explain.txt"]),
        ("test", expect_file!["help/test.txt"]),
        ("bench", expect_file!["help/bench.txt"]),
        ("serve", expect_file!["help/serve.txt"]),
        ("version", expect_file!["help/version.txt"]),
        ("catalog", expect_file!["help/catalog.txt"]),
        ("demo", expect_file!["help/demo.txt"]),
    ];
    for (command, golden) in commands {
        golden.assert_eq(&picket(&[command, "--help"]).ends_with(0).stdout);
    }
}

#[test]
fn the_summary_lists_every_command() {
    let run = picket(&["--help"]).ends_with(0);
    for command in ["serve", "validate", "explain", "test", "bench", "version", "catalog", "demo"] {
        assert!(run.stdout.contains(&format!("\n  {command} ")), "`{command}` is missing in:\n{}", run.stdout);
    }
}
