//! `picket bench`: measures the cost of a decision with these policies on this machine.
//!
//! Knows: the offline judge, the PDP, how figures are printed. Must not know: how a verdict comes about.
//!
//! Calls become queries once, outside of what is timed: the figures are the PDP's alone, without the wire,
//! tokens and look-ups.

mod calls;
mod measure;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::offline::form::{self, Given};
use super::offline::{OfflineChecker, Policies, block_on, conclude, directory_of};
use super::render::{Files, count};
use super::{Exit, Output};
use measure::{Figures, Mix};
use picket_core::decision::Snapshot;
use picket_core::problem::Problem;
use picket_core::query::Query;
use picket_server::envoy::authz::system_clock;
use picket_server::telemetry::metrics;

/// Most generated calls: each one is evaluated once before the measurement.
const CALLS_MAX: usize = 4096;

/// Arguments of `picket bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The policy directory. Default: `policies`.
    #[arg(short, long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The calls: a YAML list of call files as in `picket explain`. Default: generated from the catalogue.
    #[arg(long, value_name = "FILE")]
    calls: Option<PathBuf>,
    /// How long to measure, both rounds together.
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
}

const AFTER_HELP: &str = "\
Examples:
  picket bench
  picket bench --policies policies --seconds 10 -o json
  picket bench --calls calls.yaml

Evaluates in this process, on one processor, in two rounds. The calls of the first differ in every
header that policies read; the second repeats its calls, so that the cache answers. Without --calls,
every workload and an unknown one call every route. Figures hold for this machine only.";

fn seconds(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    let fits = number.filter(|number| (0.01..=3600.0).contains(number));
    fits.ok_or_else(|| "from 0.01 to 3600 seconds".to_owned())
}

/// Measures and prints.
#[must_use]
pub fn run(args: &Args, output: Output) -> Exit {
    conclude(block_on(prepare(args)), output, |prepared| {
        let report = Report::of(&prepared, Duration::from_secs_f64(args.seconds / 2.0));
        match output {
            Output::Text | Output::Junit => print!("{}", report.text()),
            Output::Json => println!("{}", report.json()),
        }
        Exit::Ok
    })
}

/// The calls to measure.
struct Prepared {
    snapshot: std::sync::Arc<Snapshot>,
    queries: Vec<Query>,
    /// Calls that were refused before they became a query.
    refused: usize,
    /// Calls that the catalogue would give; more than were taken where there are too many.
    possible: usize,
}

async fn prepare(args: &Args) -> Result<Prepared, (Vec<Problem>, Files)> {
    let policies = Policies::load(&directory_of(args.policies.as_deref(), None)).await;
    let files = Files::new(policies.tree.files.clone());
    let Some(snapshot) = policies.snapshot.clone().filter(|_| policies.errors() == 0) else {
        return Err((policies.problems, files));
    };
    let fault = |message: String| (vec![Problem::error("bench", message)], Files::default());
    let (given, possible) = match &args.calls {
        Some(path) => {
            let given = written(path)?;
            let possible = given.len();
            (given, possible)
        }
        None => calls::generated(snapshot.catalog(), CALLS_MAX),
    };
    let (checker, now) = (OfflineChecker::plain(&policies), system_clock()());
    let mut prepared = Prepared { snapshot, queries: Vec::with_capacity(given.len()), refused: 0, possible };
    for call in &given {
        let judged = checker.judge(call, now).await.map_err(fault)?;
        match judged.answer.judgement.query.clone() {
            Some(query) => prepared.queries.push(query),
            None => prepared.refused += 1,
        }
    }
    if prepared.queries.is_empty() {
        return Err(fault("no call reaches the policies; see `picket explain`".to_owned()));
    }
    Ok(prepared)
}

fn written(path: &std::path::Path) -> Result<Vec<Given>, (Vec<Problem>, Files)> {
    let name = path.display().to_string();
    let mut files = Files::default();
    let text = std::fs::read_to_string(path)
        .map_err(|error| (vec![Problem::error(&name, format!("could not read: {error}"))], Files::default()))?;
    files.add(&name, &text);
    form::read_list(&name, &text).map_err(|problem| (vec![*problem], files))
}

/// Everything that is printed.
struct Report {
    varying: Figures,
    repeated: Figures,
    candidates: measure::Candidates,
    policies: usize,
    calls: usize,
    possible: usize,
    refused: usize,
    rss_bytes: Option<u64>,
}

impl Report {
    fn of(prepared: &Prepared, each: Duration) -> Self {
        let Prepared { snapshot, queries, refused, possible } = prepared;
        // Counting comes first and warms what every server has warm after its first calls.
        let candidates = measure::candidates(snapshot, queries);
        Self {
            candidates,
            varying: measure::round(snapshot, queries, Mix::Varying, each),
            repeated: measure::round(snapshot, queries, Mix::Repeated, each),
            policies: snapshot.policy_ids().values().map(Vec::len).sum(),
            calls: queries.len(),
            possible: *possible,
            refused: *refused,
            rss_bytes: metrics::resident_bytes(),
        }
    }

    /// The slower round comes first, so that no reader mistakes the cache's figures for the policies'.
    fn json(&self) -> Value {
        let latency = |of: &Figures| {
            json!({"p50": of.microseconds(0.5), "p90": of.microseconds(0.9), "p99": of.microseconds(0.99),
                   "p999": of.microseconds(0.999)})
        };
        json!({
            "v": 1,
            "latency_us": latency(&self.varying),
            "decisions_per_second": self.varying.per_second(),
            "repeated": {
                "latency_us": latency(&self.repeated),
                "decisions_per_second": self.repeated.per_second(),
            },
            "candidates": {"p50": self.candidates.at(0.5), "p99": self.candidates.at(0.99)},
            "policies": self.policies,
            "calls": self.calls,
            "calls_possible": self.possible,
            "calls_refused": self.refused,
            "rss_bytes": self.rss_bytes,
            "note": NOTE,
            "build": BUILD,
        })
    }

    fn text(&self) -> String {
        let calls = count(self.calls, "call", "calls");
        let mut text = format!("{}, {calls}", count(self.policies, "policy", "policies"));
        if self.calls + self.refused < self.possible {
            text += &format!(" of {} from the catalogue", self.possible);
        }
        if self.refused > 0 {
            text += &format!("; {} rejected before any policy is evaluated", self.refused);
        }
        text += &format!(
            "\n\n{:<18}{:>10}{:>10}{:>10}{:>10}{:>16}\n",
            "microseconds", "p50", "p90", "p99", "p99.9", "decisions/s"
        );
        for (name, of) in [("headers differ", &self.varying), ("calls repeat", &self.repeated)] {
            let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|quantile| of.microseconds(quantile));
            text += &format!("{name:<18}{p50:>10.1}{p90:>10.1}{p99:>10.1}{p999:>10.1}{:>16.0}\n", of.per_second());
        }
        text +=
            &format!("\ncandidates per decision: p50 {}, p99 {}\n", self.candidates.at(0.5), self.candidates.at(0.99));
        if let Some(bytes) = self.rss_bytes {
            text += &format!("resident memory: {} MiB\n", bytes / (1024 * 1024));
        }
        if BUILD == "debug" {
            text += "this is a debug build, many times slower than a release\n";
        }
        text + NOTE + "\n"
    }
}

const NOTE: &str = "figures hold for this machine only, one thread, without the wire, tokens and look-ups";
const BUILD: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn the_cache_answers_repeated_calls_and_none_with_other_headers() {
        let dir = tempfile::tempdir().unwrap();
        let policy = "permit (principal, action == Action::\"GET\", resource)\n\
                      when { context.http.headers.hasTag(\"x-a\") && context.http.headers.getTag(\"x-a\") == \"b\" };";
        std::fs::create_dir_all(dir.path().join("namespaces/shop")).unwrap();
        std::fs::write(dir.path().join("namespaces/shop/a.cedar"), policy).unwrap();
        std::fs::write(dir.path().join("catalog.yaml"), "services: [{id: shop/orders}]").unwrap();
        // The calls' own file has no place in a policy tree.
        let elsewhere = tempfile::tempdir().unwrap();
        let calls = elsewhere.path().join("calls.yaml");
        std::fs::write(&calls, "- request: {service: shop/orders, headers: {x-a: b}}").unwrap();
        let args = Args { policies: Some(dir.path().to_owned()), calls: Some(calls), seconds: 1.0 };
        let prepared = block_on(prepare(&args)).unwrap().map_err(|(problems, _)| problems).unwrap();
        let (snapshot, queries) = (&prepared.snapshot, &prepared.queries);
        assert_eq!(measure::candidates(snapshot, queries).at(0.5), 1);
        let hits = || snapshot.engine().stats().decision_hits.load(Relaxed);
        let before = hits();
        measure::round(snapshot, queries, Mix::Varying, Duration::from_millis(5));
        assert_eq!(hits(), before, "memory answered a call with a header it had never seen");
        measure::round(snapshot, queries, Mix::Repeated, Duration::from_millis(5));
        assert!(hits() > before, "memory did not answer a repeated call");
    }
}
