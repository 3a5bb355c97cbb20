//! Renders problems for people, with the lines of their file, or as JSON.
//!
//! Knows: problems and the texts of their files. Must not know: where problems come from.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};
use serde_json::{Value, json};

use picket_core::problem::{Problem, Severity};

/// Most lines of a file that one problem shows: a whole policy would hide the next problem.
const FRAME_LINES_MAX: usize = 4;

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// With escape codes.
    Colors,
    /// Without.
    Plain,
}

impl Paint {
    /// The style that standard output supports and `NO_COLOR` allows.
    #[must_use]
    pub fn of_stdout() -> Self {
        let allowed = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if allowed && std::io::stdout().is_terminal() { Self::Colors } else { Self::Plain }
    }
}

/// The texts of the files that problems are about.
#[derive(Debug, Clone, Default)]
pub struct Files(BTreeMap<String, Arc<str>>);

impl Files {
    /// These files, by the names that problems use.
    #[must_use]
    pub fn new(files: BTreeMap<String, Arc<str>>) -> Self {
        Self(files)
    }

    /// One more file.
    pub fn add(&mut self, name: &str, text: &str) {
        self.0.insert(name.to_owned(), text.into());
    }

    /// A problem's file without a place after its name, and its text.
    fn of(&self, problem: &Problem) -> Option<(&str, &Arc<str>)> {
        let name = self.0.keys().find(|name| {
            let rest = problem.file.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        })?;
        self.0.get(name).map(|text| (name.as_str(), text))
    }

    /// Line and column of a problem, both from 1; columns count characters.
    #[must_use]
    pub fn place(&self, problem: &Problem) -> Option<(usize, usize)> {
        let (_, text) = self.of(problem)?;
        let before = text.get(..problem.span.as_ref()?.start)?;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
        Some((before.matches('\n').count() + 1, column + 1))
    }
}

/// Problems for people; notes take a line each, and one more for their help.
#[must_use]
pub fn text(problems: &[Problem], files: &Files, paint: Paint) -> String {
    let mut drawn = String::new();
    for problem in problems {
        match problem.severity {
            Severity::Note => {
                let place = files.place(problem).map_or_else(String::new, |(line, _)| format!(":{line}"));
                let _ = writeln!(drawn, "note: {}{place}: {}", problem.file, problem.message);
                if let Some(help) = &problem.help {
                    let _ = writeln!(drawn, "  help: {help}");
                }
            }
            Severity::Warning | Severity::Error => frame(problem, files, paint, &mut drawn),
        }
    }
    drawn
}

fn frame(problem: &Problem, files: &Files, paint: Paint, drawn: &mut String) {
    let source = files.of(problem).zip(problem.span.clone());
    let source = source.filter(|((_, text), span)| text.get(span.clone()).is_some());
    let message = match source {
        Some(_) => problem.message.clone(),
        None => format!("{}: {}", problem.file, problem.message),
    };
    let mut diagnostic = MietteDiagnostic::new(message).with_severity(match problem.severity {
        Severity::Error => miette::Severity::Error,
        Severity::Warning => miette::Severity::Warning,
        Severity::Note => miette::Severity::Advice,
    });
    if let Some(help) = &problem.help {
        diagnostic = diagnostic.with_help(help);
    }
    let report = match source {
        Some(((name, text), span)) => {
            let length = text.get(span.clone()).map_or(0, shown_length);
            let label = LabeledSpan::new(None, span.start, length);
            Report::new(diagnostic.with_label(label)).with_source_code(NamedSource::new(name, text.to_string()))
        }
        None => Report::new(diagnostic),
    };
    let theme = match paint {
        Paint::Colors => GraphicalTheme::unicode(),
        Paint::Plain => GraphicalTheme::unicode_nocolor(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(110);
    if handler.render_report(drawn, report.as_ref()).is_err() {
        let _ = writeln!(drawn, "{problem}");
    }
}

fn shown_length(text: &str) -> usize {
    text.split_inclusive('\n').take(FRAME_LINES_MAX).map(str::len).sum::<usize>().min(text.trim_end().len())
}

/// Problems for programs.
#[must_use]
pub fn json(problems: &[Problem], files: &Files) -> Value {
    let one = |problem: &Problem| {
        let place = files.place(problem);
        json!({
            "severity": severity(problem.severity),
            "file": files.of(problem).map_or(problem.file.as_str(), |(name, _)| name),
            "line": place.map(|(line, _)| line),
            "column": place.map(|(_, column)| column),
            "message": problem.message,
            "help": problem.help,
        })
    };
    problems.iter().map(one).collect()
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// `1 error`, `2 errors`.
#[must_use]
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let mut files = Files::default();
        files.add("a.cedar", "é one\ntwo three\n4\n5\n6\n7\n");
        files
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let at = |file: &str, span| files().place(&Problem::error(file, "x").at(Some(span)));
        assert_eq!(at("a.cedar", 0..1), Some((1, 1)));
        assert_eq!(at("a.cedar", 3..4), Some((1, 3)));
        assert_eq!(at("a.cedar:9:9", 11..14), Some((2, 5)));
        assert_eq!(at("b.cedar", 0..1), None);
        assert_eq!(at("a.cedar", 900..901), None);
    }

    #[test]
    fn a_frame_shows_the_line_and_the_help_and_no_more_than_a_few_lines() {
        let problem = Problem::error("a.cedar", "wrong").at(Some(7..25)).help("right");
        let drawn = text(&[problem], &files(), Paint::Plain);
        assert!(drawn.contains("two three") && drawn.contains("help: right"), "{drawn}");
        assert!(!drawn.contains("\u{1b}["), "{drawn}");
        let outside = Problem::error("a.cedar", "wrong").at(Some(900..901));
        assert!(text(&[outside], &files(), Paint::Plain).contains("a.cedar: wrong"));
    }
}
