//! Compares a model's answer with what the client got of it.
//!
//! Knows: both texts, the record of the response in the decision log. Must not know: how a call is made.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::client::{Answer, Piece};
use super::provider::SentAnswer;
use super::scenario::Release;
use super::transcript::{arrivals, texts};

/// How long the decision log may take to show a response.
const LOGGED: Duration = Duration::from_secs(3);
/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// Least time between the first and the last frame at the client; the provider takes 40 ms for each.
const SPREAD_LEAST: Duration = Duration::from_millis(60);

/// An answer of a model, and what became of it.
#[derive(Debug, serde::Serialize)]
pub struct Answered {
    /// Texts that the model sent, by frame.
    pub sent: Vec<String>,
    /// Texts that the client got, by frame.
    pub received: Vec<String>,
    /// When each frame arrived, in milliseconds after the first byte of the response.
    pub arrived_ms: Vec<u64>,
    /// Outcome in the decision log: `released`, `filtered`, `masked` or `refused`.
    pub outcome: String,
    /// The policies that determined it.
    pub policies: Vec<String>,
    /// Findings by detector.
    pub findings: Value,
    #[serde(skip)]
    is_untouched: bool,
}

impl Answered {
    /// What became of the answer that was sent.
    pub async fn of(sent: &SentAnswer, answer: &Answer, pieces: &[Piece], log: &Path, decision_id: &str) -> Self {
        let record = record(log, decision_id).await.unwrap_or_default();
        let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let policies = record.get("determining").and_then(Value::as_array);
        let policies = policies.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let milliseconds = |at: Duration| u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        Self {
            sent: texts(&sent.body),
            received: texts(&answer.text()),
            arrived_ms: arrivals(pieces).into_iter().map(milliseconds).collect(),
            outcome: text("outcome"),
            policies,
            findings: record.get("findings").cloned().unwrap_or_default(),
            is_untouched: sent.body.as_bytes() == answer.body,
        }
    }
}

/// The record of the response to a call, once the log has it.
async fn record(log: &Path, decision_id: &str) -> Option<Value> {
    let begin = Instant::now();
    loop {
        let lines = std::fs::read_to_string(log).unwrap_or_default();
        let mut records = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found =
            records.find(|record| record["phase"] == "response" && record["decision_id"].as_str() == Some(decision_id));
        if found.is_some() || begin.elapsed() > LOGGED {
            return found;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Everything that is not as it must be.
#[must_use]
pub fn surprises(release: Option<&Release>, answered: Option<&Answered>) -> Vec<String> {
    let (release, answered) = match (release, answered) {
        (Some(release), Some(answered)) => (release, answered),
        (None, None) => return Vec::new(),
        (Some(_), None) => return vec!["the model did not get the call".to_owned()],
        (None, Some(_)) => return vec!["the model got the call".to_owned()],
    };
    let mut found = Vec::new();
    let got = answered.received.concat();
    match release.text {
        Some(text) if got != text => found.push(format!("the client got `{got}` instead of `{text}`")),
        None if answered.sent.iter().any(|sent| got.contains(sent.as_str())) => {
            found.push(format!("the client got `{got}`"));
        }
        Some(_) | None => {}
    }
    if answered.outcome != release.outcome || !answered.policies.iter().any(|policy| policy == release.policy) {
        let Answered { outcome, policies, .. } = answered;
        found.push(format!("the response was `{outcome}` by {policies:?} instead of {release:?}"));
    }
    if release.outcome == "released" && !answered.is_untouched {
        found.push("a released answer differs from the one that was sent".to_owned());
    }
    let is_stream = answered.sent.len() > 1;
    if is_stream && release.text.is_some() {
        let (first, last) = (answered.arrived_ms.first(), answered.arrived_ms.last());
        let spread = last.copied().unwrap_or_default().saturating_sub(first.copied().unwrap_or_default());
        if Duration::from_millis(spread) < SPREAD_LEAST {
            found.push(format!("all frames arrived within {spread} ms"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Answered, Release, surprises};

    fn answered() -> Answered {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Answered {
            sent: texts(&["a 1", "2"]),
            received: texts(&["a [x]", ""]),
            arrived_ms: vec![0, 80],
            outcome: "masked".to_owned(),
            policies: texts(&["m/p", "m/q"]),
            findings: serde_json::Value::Null,
            is_untouched: false,
        }
    }

    #[test]
    fn every_difference_from_the_expected_release_is_reported() {
        let release = Release { outcome: "masked", policy: "m/p", text: Some("a [x]") };
        let count = |release: &Release, answered: &Answered| surprises(Some(release), Some(answered)).len();
        assert_eq!(count(&release, &answered()), 0);
        assert_eq!(count(&Release { text: Some("a"), ..release }, &answered()), 1);
        assert_eq!(count(&Release { policy: "m/r", ..release }, &answered()), 1);
        assert_eq!(count(&release, &Answered { arrived_ms: vec![0, 9], ..answered() }), 1);
        let released = Answered { outcome: "released".to_owned(), ..answered() };
        assert_eq!(count(&release, &released), 1);
        assert_eq!(count(&Release { outcome: "released", ..release }, &released), 1, "it is not what was sent");
        let leaked = Answered { received: vec!["a 1".to_owned()], ..answered() };
        assert_eq!(count(&Release { text: None, ..release }, &leaked), 1);
        assert_eq!(count(&Release { text: None, ..release }, &answered()), 0);
        assert_eq!((surprises(None, Some(&answered())).len(), surprises(Some(&release), None).len()), (1, 1));
        assert!(surprises(None, None).is_empty());
    }
}
