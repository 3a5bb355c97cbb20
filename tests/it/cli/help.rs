//! The help of every command, so that a change of it is seen.

use expect_test::expect_file;

use super::{picket, root};

/// Every command and command of a command that clap knows, as the words that call it.
fn commands() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, words: &[String], found: &mut Vec<Vec<String>>) {
        for part in command.get_subcommands() {
            let words: Vec<String> = words.iter().cloned().chain([part.get_name().to_owned()]).collect();
            below(part, &words, found);
            found.push(words);
        }
    }
    let mut found = Vec::new();
    below(&picket::cli::command(), &[], &mut found);
    assert!(found.len() > 7, "{found:?}");
    found
}

#[test]
fn help_equals_the_reviewed_text() {
    for words in commands() {
        let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let golden = root().join("tests/it/cli/help").join(words.join("-")).with_extension("txt");
        expect_file![golden].assert_eq(&picket(&arguments).ends_with(0).stdout);
    }
}

#[test]
fn every_golden_is_a_commands() {
    let known: Vec<String> = commands().iter().map(|words| format!("{}.txt", words.join("-"))).collect();
    for entry in std::fs::read_dir(root().join("tests/it/cli/help")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name), "`{name}` is the help of no command");
    }
}

#[test]
fn the_summary_lists_every_command() {
    let run = picket(&["--help"]).ends_with(0);
    for words in commands().iter().filter(|words| words.len() == 1) {
        assert!(run.stdout.contains(&format!("\n  {} ", words.join(" "))), "{words:?} is missing in:\n{}", run.stdout);
    }
}
