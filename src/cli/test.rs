//! `picket test`: runs policy tests.
//!
//! Knows: where suites lie, in which order they run, what a run means to a script. Must not know: how a call is
//! judged. Policies are loaded, calls read and answers written by the server's own code, on a frozen clock.

pub mod coverage;
pub mod expect;
pub mod matrix;
pub mod report;
pub mod suite;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::offline::response::{Cuts, Leaving};
use super::offline::{
    Configuration, Judged, OfflineChecker, Policies, PolicyArgs, Problems, block_on, conclude, directory_of,
};
use super::render::Files;
use super::{Exit, Output};
use coverage::Coverage;
use picket_core::problem::{Problem, Severity};
use picket_server::config::Config;
use report::{CaseResult, Report, TestResult};
use suite::Case;

/// The end of a suite's file name.
const SUFFIX: &str = "_test.yaml";

/// Arguments of `picket test`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Suites, or folders to search for `*_test.yaml`. Default: the policy directory.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    from: PolicyArgs,
    /// Runs only tests with this text in their suite, name or matrix cell.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Stops at the first failed test.
    #[arg(long)]
    fail_fast: bool,
    /// Reports the policies that the tests reached.
    #[arg(long)]
    coverage: bool,
}

const AFTER_HELP: &str = "\
Examples:
  picket test
  picket test --policies policies --coverage
  picket test policies/tests/orders_test.yaml --filter refund
  picket test -o junit > results.xml

docs/testing.md describes suites. Ends with 0 where all tests pass, with 4 where one fails or
none was run, with 3 where policies or suites cannot be read.";

/// Runs the tests.
#[must_use]
pub fn run(args: &Args, output: Output) -> Exit {
    conclude(block_on(report(args)), output, |report| {
        match output {
            Output::Text => print!("{}", report.text()),
            Output::Json => println!("{}", report.json()),
            Output::Junit => print!("{}", report.junit()),
        }
        let [passed, failed, _] = report.counts();
        if passed + failed == 0 {
            eprintln!("no test was run; suites are files with names that end with `{SUFFIX}`");
        }
        if failed > 0 || passed == 0 { Exit::TestsFailed } else { Exit::Ok }
    })
}

fn fault(message: impl Into<String>) -> Problems {
    (vec![Problem::error("test", message)], Files::default())
}

async fn report(args: &Args) -> Result<Report, Problems> {
    let config = configuration(args.from.config.as_deref())?;
    let dir = directory_of(args.from.policies.as_deref(), config.as_ref());
    let policies = Policies::load(&dir).await;
    // A test of half the policies would prove nothing about the whole.
    let snapshot = match &policies.snapshot {
        Some(snapshot) if policies.errors() == 0 => snapshot,
        Some(_) | None => {
            let errors = policies.problems.into_iter().filter(|problem| problem.severity == Severity::Error).collect();
            return Err((errors, Files::new(policies.tree.files)));
        }
    };
    let cases = cases(args, &dir)?;
    let checker = match &config {
        Some(config) => OfflineChecker::configured(&policies, config, &args.from.profile).map_err(fault)?,
        None if args.from.profile != "default" => return Err(fault("a profile is named, but no --config that has it")),
        None => OfflineChecker::plain(&policies),
    };
    let checker = match cases.iter().any(|case| case.response.is_some()) {
        true => Checkers { responding: Some(checker.with_responses().map_err(fault)?), plain: checker },
        false => Checkers { responding: None, plain: checker },
    };
    if cases.iter().any(|case| case.given.caller.is_none()) {
        checker.plain.fetch_keys().await;
    }
    let known: BTreeSet<String> = snapshot.policy_ids().into_values().flatten().collect();
    let mut report = Report { outcomes: Vec::new(), coverage: args.coverage.then(|| Coverage::of(snapshot)) };
    for case in cases {
        let result = judged(&checker, &case, &known, report.coverage.as_mut()).await;
        let failed = matches!(result, TestResult::Failed { .. });
        report.outcomes.push(CaseResult {
            suite: case.suite,
            file: case.file,
            name: case.name,
            cell: case.cell,
            result,
        });
        if failed && args.fail_fast {
            break;
        }
    }
    Ok(report)
}

/// The checker of calls, and that of calls with a response.
#[derive(Debug)]
struct Checkers {
    plain: OfflineChecker,
    responding: Option<OfflineChecker>,
}

async fn judged(
    checkers: &Checkers,
    case: &Case,
    known: &BTreeSet<String>,
    coverage: Option<&mut Coverage>,
) -> TestResult {
    if let Some(reason) = &case.skip {
        return TestResult::Skipped(reason.clone());
    }
    let checker = match (&case.response, &checkers.responding) {
        (Some(_), Some(responding)) => responding,
        (Some(_) | None, _) => &checkers.plain,
    };
    match checker.judge(&case.given, case.now).await {
        Err(message) => TestResult::Failed { differences: vec![message], explanation: String::new() },
        Ok(judged) => {
            let responded = responded(checker, &judged, case).await;
            if let Some(coverage) = coverage {
                coverage.add(&judged);
                if let Some(Ok(left)) = &responded {
                    coverage.add_response(left);
                }
            }
            let mut differences = expect::differences(&case.expected, &judged, known);
            differences.extend(expect::response::differences(&case.expected, responded.as_ref(), known));
            match differences {
                differences if differences.is_empty() => TestResult::Passed,
                differences => TestResult::Failed { differences, explanation: judged.explanation().text() },
            }
        }
    }
}

/// Evaluates a case's response. Without cuts of its own it arrives completely, and once more byte by byte: where a
/// body is cut changes nothing.
async fn responded(checker: &OfflineChecker, judged: &Judged, case: &Case) -> Option<Result<Leaving, String>> {
    let (sent, cuts) = case.response.as_ref()?;
    let respond = async |cuts: &Cuts| checker.respond((judged, &case.given), sent, cuts, case.now).await;
    let whole = respond(cuts.as_ref().unwrap_or(&Cuts::Places(Vec::new()))).await;
    if let (Ok(whole), None) = (&whole, cuts) {
        let bytewise = respond(&Cuts::Size(1)).await;
        if let Some(difference) = bytewise.map_or_else(Some, |bytewise| whole.differs(&bytewise)) {
            return Some(Err(format!("the body has another result byte by byte: {difference}")));
        }
    }
    Some(whole)
}

fn configuration(path: Option<&Path>) -> Result<Option<Config>, Problems> {
    let Some(path) = path else { return Ok(None) };
    let configuration = Configuration::read(path);
    let mut files = Files::default();
    files.add(&configuration.name, &configuration.text);
    configuration.read.map(|(config, _)| Some(config)).map_err(|problems| (problems, files))
}

/// All cases of all suites that the filter leaves.
fn cases(args: &Args, dir: &Path) -> Result<Vec<Case>, Problems> {
    let places = if args.paths.is_empty() { vec![dir.to_owned()] } else { args.paths.clone() };
    let (mut cases, mut problems, mut files) = (Vec::new(), Vec::new(), Files::default());
    let mut suites = Vec::new();
    for place in &places {
        let mut found = Vec::new();
        if let Err(error) = find(place, &mut found) {
            problems.push(Problem::error(place.display().to_string(), format!("cannot be read: {error}")));
        }
        // A tree's library is there to copy from; its suites are about policies that the tree does not load.
        let library = place.join("library");
        suites.extend(found.into_iter().filter(|suite| !suite.starts_with(&library)));
    }
    suites.sort();
    suites.dedup();
    for path in suites {
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Err(error) => problems.push(Problem::error(name, format!("cannot be read: {error}"))),
            Ok(text) => match suite::load(&path, &name, &text) {
                Ok(found) => cases.extend(found),
                Err(found) => {
                    files.add(&name, &text);
                    problems.extend(found);
                }
            },
        }
    }
    if let Some(filter) = &args.filter {
        cases.retain(|case| {
            let texts = [Some(&case.suite), Some(&case.name), case.cell.as_ref()];
            texts.into_iter().flatten().any(|text| text.contains(filter.as_str()))
        });
    }
    if problems.is_empty() { Ok(cases) } else { Err((problems, files)) }
}

/// Adds a suite, or every suite below a folder; dot names are skipped.
fn find(place: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !place.is_dir() {
        std::fs::metadata(place)?;
        found.push(place.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(place)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            find(&entry.path(), found)?;
        } else if name.ends_with(SUFFIX) {
            found.push(entry.path());
        }
    }
    Ok(())
}
