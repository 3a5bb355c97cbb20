//! Plain English: banned words in the first lines of modules and in the texts that people read.
//!
//! `docs/style.md` explains each word and holds the same list.

use super::{Source, assert_none, files, root, without_tests_and_comments};

/// A word or phrase in lower case, and the plain words for it. A `*` at the end covers every ending.
const BANNED: &[(&str, &str)] = &[
    ("judg*", "evaluate, check, decide"),
    ("ask*", "call, query, request, look up"),
    ("told", "reported, sent"),
    ("tell", "report, send"),
    ("tells", "reports, sends"),
    ("said", "asserted, given, set"),
    ("spoken", "used"),
    ("speak*", "apply to, use"),
    ("remember*", "cache, record"),
    ("look at", "read, check"),
    ("looks at", "reads, checks"),
    ("looked at", "read, checked"),
    ("taken up", "accepted, applied"),
    ("taken for", "parsed as, mistaken for"),
    ("put", "format, write, set"),
    ("beside", "next to, in addition to"),
    ("whose", "with"),
    ("whom", "the caller, the client"),
    ("whoever", "any client"),
    ("whatever", "any, regardless of"),
    ("nobody", "no client, no user"),
    ("somebody", "a client, a user"),
    ("anybody", "any client, any user"),
    ("goes on", "continues, has more data"),
    ("broke off", "was interrupted"),
    ("broken off", "interrupted"),
    ("passed over", "skipped, ignored"),
    ("is no", "is not a"),
    ("are no", "are not"),
    ("is none", "is invalid, is not one"),
    ("stand", "be, occur"),
    ("stands", "is, occurs"),
    ("alike", "the same, equal"),
    ("anew", "again"),
    ("learn*", "read, get"),
    ("becomes of", "happens to"),
    ("became of", "happened to"),
    ("in whose", "in the"),
    ("in force", "active"),
    ("taken into use", "activated"),
    ("feign*", "claim, forge"),
    ("stranger*", "an unknown client"),
    ("for want of", "without"),
    ("give or take", "plus or minus"),
    ("hang on", "depend on"),
    ("hangs on", "depends on"),
    ("let in", "admitted"),
    ("lets in", "admits"),
    ("come whole", "arrive completely"),
    ("came whole", "arrived completely"),
    ("cut off", "truncated, closed"),
    ("lie", "be, belong"),
    ("lies", "is, belongs"),
    ("a yes", "an allow"),
    ("a say", "an effect"),
];

/// Words that turn a statement into a relative clause where they begin it.
const OPENINGS: &[&str] = &["What", "Who", "Whose", "Whom", "Whether", "Which", "That", "Of", "By which", "In whose"];

/// One text that people read, with its line.
#[derive(Debug, PartialEq, Eq)]
struct Text {
    line: usize,
    text: String,
}

/// The string literals of code that hold several words, without the line breaks that only fit the margin.
///
/// Messages of failures and problems, log lines, metric help and `#[error]` texts are all literals with blanks; names
/// and keys have none.
fn messages(code: &str) -> Vec<Text> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some((after, raw)) = next_literal(rest) {
        let line = 1 + code[..code.len() - after.len()].matches('\n').count();
        let Some(end) = literal_end(after, raw) else { break };
        let text = joined_lines(&after[..end]);
        if text.trim().contains(' ') && text.chars().any(char::is_lowercase) {
            found.push(Text { line, text });
        }
        rest = &after[end + 1..];
    }
    found
}

/// The code from the first character of the next string literal on, and the hashes of a raw literal.
fn next_literal(code: &str) -> Option<(&str, Option<usize>)> {
    let mut at = 0;
    loop {
        let quote = at + code[at..].find(['"', '\'', '/'])?;
        let after = &code[quote + 1..];
        if code[quote..].starts_with("//") {
            at = quote + code[quote..].find('\n')?;
        } else if code[quote..].starts_with('\'') {
            at = quote + 1 + char_literal(after);
        } else if code[quote..].starts_with('"') {
            let before = &code[..quote];
            let hashes = before.len() - before.trim_end_matches('#').len();
            let is_raw = before[..quote - hashes].ends_with('r');
            return Some((after, is_raw.then_some(hashes)));
        } else {
            at = quote + 1;
        }
    }
}

/// Bytes behind `'` that belong to a character literal; 0 for a lifetime.
fn char_literal(after: &str) -> usize {
    let mut chars = after.char_indices();
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => 2 + after[2..].find('\'').map_or(0, |end| end + 1),
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 0,
    }
}

/// Where the literal ends that begins `after`.
fn literal_end(after: &str, raw: Option<usize>) -> Option<usize> {
    if let Some(hashes) = raw {
        return after.find(&format!("\"{}", "#".repeat(hashes)));
    }
    let mut is_escaped = false;
    after.find(|c| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    })
}

fn joined_lines(literal: &str) -> String {
    let mut parts = literal.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start())
}

/// The texts of clap's help: doc comments of files that define arguments.
fn help(file: &Source) -> Vec<Text> {
    if !file.text.contains("clap::") {
        return Vec::new();
    }
    let lines = file.text.lines().enumerate();
    lines
        .filter_map(|(at, line)| Some(Text { line: at + 1, text: line.trim_start().strip_prefix("/// ")?.to_owned() }))
        .collect()
}

fn first_line(file: &Source) -> Option<Text> {
    Some(Text { line: 1, text: file.text.lines().next()?.strip_prefix("//! ")?.to_owned() })
}

/// The text without the parts between backticks: names and examples keep their spelling.
fn without_names(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Returns whether `words` occurs in `text` as whole words.
fn holds(text: &str, words: &str) -> bool {
    let (stem, is_open) = words.strip_suffix('*').map_or((words, false), |stem| (stem, true));
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(stem).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + stem.len()..]);
        let is_there = matches!(words, "is no" | "are no") && before.to_lowercase().trim_end().ends_with("there");
        !before.ends_with(is_word) && (is_open || !after.starts_with(is_word)) && !is_there
    })
}

/// Every finding in one text.
fn findings(file: &Source, text: &Text) -> Vec<String> {
    let plain = without_names(&text.text);
    let lower = plain.to_lowercase();
    let banned = BANNED.iter().filter(|(words, _)| holds(&lower, words));
    let mut found: Vec<String> = banned.map(|(words, instead)| format!("`{words}`: {instead}")).collect();
    let opens = |word: &&&str| plain.strip_prefix(**word).is_some_and(|rest| rest.starts_with(' '));
    found.extend(OPENINGS.iter().find(opens).map(|word| format!("begins with `{word}`: name the subject first")));
    found.into_iter().map(|found| format!("{}:{}: {found}: {:?}", file.path, text.line, text.text)).collect()
}

/// All findings of one source file.
fn all_findings(file: &Source) -> Vec<String> {
    let is_test = !file.path.starts_with("src/")
        || file.path.ends_with("/tests.rs")
        || file.path.contains("/tests/")
        || file.path.ends_with("/fixtures.rs");
    let mut texts: Vec<Text> = first_line(file).into_iter().collect();
    if !is_test {
        texts.extend(messages(&without_tests_and_comments(&file.text)));
        texts.extend(help(file));
    }
    texts.iter().flat_map(|text| findings(file, text)).collect()
}

#[test]
fn first_lines_and_messages_are_plain_english() {
    let all = files(&["src", "crates", "tests", "benches", "examples", "xtask"], "rs");
    let found: Vec<String> = all.iter().flat_map(all_findings).collect();
    assert_none(&found, "Write it plainly; docs/style.md has the words. Names stay, in backticks.");
}

#[test]
fn style_md_explains_every_banned_word() {
    let text = std::fs::read_to_string(root().join("docs/style.md")).unwrap();
    let missing = BANNED.iter().filter(|(words, _)| !text.contains(&format!("`{words}`")));
    let missing: Vec<String> = missing.map(|(words, _)| format!("`{words}` is missing in docs/style.md")).collect();
    assert_none(&missing, "Add a row to the list of words.");
}

#[test]
fn messages_are_found_in_literals_of_all_kinds() {
    let code = "let a = \"one two\";\nlet b = '\"'; f::<'a>(\"x\", \"it \\\"is\\\" \\\n     long\"); // \"not me\"\nr#\"raw \"text\" here\"#";
    let found: Vec<(usize, String)> = messages(code).into_iter().map(|text| (text.line, text.text)).collect();
    let expected = [(1, "one two"), (2, "it \\\"is\\\" long"), (4, "raw \"text\" here")];
    assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
}

#[test]
fn banned_words_are_found_whole_and_names_are_left_alone() {
    let found = |text: &str| {
        let file = Source { path: "src/a.rs".to_owned(), text: String::new() };
        findings(&file, &Text { line: 1, text: text.to_owned() }).len()
    };
    assert_eq!(found("it is judged again"), 1);
    assert_eq!(found("`judged` is a name, and a task masks nothing"), 0);
    assert_eq!(found("`a` is no scope"), 1);
    assert_eq!(found("there is no scope `a`"), 0);
    assert_eq!(found("What a call is"), 1);
    assert_eq!(found("Offers what a call needs"), 0);
}
