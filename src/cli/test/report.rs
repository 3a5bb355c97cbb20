//! Test results as text, JSON and JUnit XML.
//!
//! Pure. Knows: results. Must not know: how they came about.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::coverage::Coverage;
use crate::cli::render::count;

/// The result of one test.
#[derive(Debug, Clone)]
pub struct CaseResult {
    /// The suite's name.
    pub suite: String,
    /// The suite's file.
    pub file: String,
    /// The test's name.
    pub name: String,
    /// Its cell of a matrix.
    pub cell: Option<String>,
    /// Its result.
    pub result: TestResult,
}

/// The result of one test.
#[derive(Debug, Clone)]
pub enum TestResult {
    /// Everything was as expected.
    Passed,
    /// Something was not.
    Failed {
        /// The differences, a line each.
        differences: Vec<String>,
        /// Why the call was answered as it was.
        explanation: String,
    },
    /// It was not run, for this reason.
    Skipped(String),
}

impl CaseResult {
    /// The test's name with the cell.
    fn full_name(&self) -> String {
        match &self.cell {
            Some(cell) => format!("{} [{cell}]", self.name),
            None => self.name.clone(),
        }
    }
}

/// All results.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order they were run.
    pub outcomes: Vec<CaseResult>,
    /// The coverage, if requested.
    pub coverage: Option<Coverage>,
}

impl Report {
    /// Passed, failed, skipped.
    #[must_use]
    pub fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        let [passed, failed, skipped] = &mut counts;
        for outcome in &self.outcomes {
            match outcome.result {
                TestResult::Passed => *passed += 1,
                TestResult::Failed { .. } => *failed += 1,
                TestResult::Skipped(_) => *skipped += 1,
            }
        }
        counts
    }

    /// Suites by file, each with its tests, in the order they were run.
    fn suites(&self) -> BTreeMap<(&str, &str), Vec<&CaseResult>> {
        let mut suites: BTreeMap<(&str, &str), Vec<&CaseResult>> = BTreeMap::new();
        for outcome in &self.outcomes {
            suites.entry((&outcome.file, &outcome.suite)).or_default().push(outcome);
        }
        suites
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for ((file, suite), outcomes) in self.suites() {
            let _ = writeln!(text, "{suite}  ({file})");
            // Cells that passed share a line; nobody reads a hundred of them.
            let mut passed: BTreeMap<&str, usize> = BTreeMap::new();
            for outcome in outcomes.iter().filter(|o| o.cell.is_some() && matches!(o.result, TestResult::Passed)) {
                *passed.entry(&outcome.name).or_default() += 1;
            }
            for outcome in outcomes {
                match (&outcome.result, &outcome.cell) {
                    (TestResult::Passed, None) => {
                        let _ = writeln!(text, "  ok    {}", outcome.name);
                    }
                    (TestResult::Passed, Some(_)) => {
                        if let Some(cells) = passed.remove(outcome.name.as_str()) {
                            let _ = writeln!(text, "  ok    {} ({})", outcome.name, count(cells, "call", "calls"));
                        }
                    }
                    (TestResult::Skipped(reason), _) => {
                        let _ = writeln!(text, "  skip  {}: {reason}", outcome.full_name());
                    }
                    (TestResult::Failed { differences, explanation }, _) => {
                        let _ = writeln!(text, "  FAIL  {}", outcome.full_name());
                        indented(differences.iter().map(String::as_str), "        ", &mut text);
                        indented(explanation.lines(), "        | ", &mut text);
                    }
                }
            }
        }
        if let Some(coverage) = &self.coverage {
            let _ = writeln!(text, "\n{}", coverage.text());
        }
        let [passed, failed, skipped] = self.counts();
        let _ = writeln!(text, "{passed} passed, {failed} failed, {skipped} skipped");
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let test = |outcome: &CaseResult| {
            let (result, differences, explanation) = match &outcome.result {
                TestResult::Passed => ("passed", Vec::new(), None),
                TestResult::Skipped(reason) => ("skipped", vec![reason.clone()], None),
                TestResult::Failed { differences, explanation } => {
                    ("failed", differences.clone(), Some(explanation.clone()))
                }
            };
            json!({"suite": outcome.suite, "file": outcome.file, "name": outcome.full_name(), "result": result,
                   "messages": differences, "explanation": explanation})
        };
        let [passed, failed, skipped] = self.counts();
        json!({"v": 1, "passed": passed, "failed": failed, "skipped": skipped,
               "tests": self.outcomes.iter().map(test).collect::<Vec<_>>(),
               "coverage": self.coverage.as_ref().map(Coverage::json)})
    }

    /// For build servers.
    #[must_use]
    pub fn junit(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
        for ((file, suite), outcomes) in self.suites() {
            let of = |wanted: fn(&TestResult) -> bool| outcomes.iter().filter(|o| wanted(&o.result)).count();
            let failed = of(|result| matches!(result, TestResult::Failed { .. }));
            let skipped = of(|result| matches!(result, TestResult::Skipped(_)));
            let _ = writeln!(
                xml,
                "  <testsuite name=\"{}\" file=\"{}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\">",
                escaped(suite),
                escaped(file),
                outcomes.len()
            );
            outcomes.iter().for_each(|outcome| test_case(outcome, &mut xml));
            xml.push_str("  </testsuite>\n");
        }
        xml.push_str("</testsuites>\n");
        xml
    }
}

fn test_case(outcome: &CaseResult, xml: &mut String) {
    let open =
        format!("    <testcase classname=\"{}\" name=\"{}\"", escaped(&outcome.suite), escaped(&outcome.full_name()));
    let _ = match &outcome.result {
        TestResult::Passed => writeln!(xml, "{open}/>"),
        TestResult::Skipped(reason) => {
            writeln!(xml, "{open}><skipped message=\"{}\"/></testcase>", escaped(reason))
        }
        TestResult::Failed { differences, explanation } => writeln!(
            xml,
            "{open}><failure message=\"{}\">{}</failure></testcase>",
            escaped(&differences.join("; ")),
            escaped(explanation)
        ),
    };
}

fn indented<'a>(lines: impl Iterator<Item = &'a str>, by: &str, text: &mut String) {
    for line in lines {
        let _ = writeln!(text, "{}", format!("{by}{line}").trim_end());
    }
}

/// Text as it may stand in XML; what XML cannot hold at all becomes a blank.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            other if other.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let outcome = |name: &str, result| CaseResult {
            suite: "s<1>".to_owned(),
            file: "a_test.yaml".to_owned(),
            name: name.to_owned(),
            cell: None,
            result,
        };
        let failed = TestResult::Failed {
            differences: vec!["status: expected 1, got 2".to_owned()],
            explanation: "DENY  \"x\"\u{1}\n".to_owned(),
        };
        let outcomes = vec![
            outcome("a", TestResult::Passed),
            outcome("b", failed),
            outcome("c", TestResult::Skipped("later".to_owned())),
        ];
        Report { outcomes, coverage: None }
    }

    #[test]
    fn text_says_what_differs_and_counts() {
        let text = report().text();
        assert!(text.contains("  FAIL  b\n        status: expected 1, got 2\n        | DENY"), "{text}");
        assert!(text.ends_with("1 passed, 1 failed, 1 skipped\n"), "{text}");
    }

    #[test]
    fn xml_cannot_be_broken_by_names_or_explanations() {
        let xml = report().junit();
        assert!(xml.contains("name=\"s&lt;1&gt;\"") && xml.contains("DENY  &quot;x&quot; "), "{xml}");
        assert!(!xml.contains('\u{1}'));
    }
}
