//! What the admin services ask: what is loaded, the metrics, and why a call is answered as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::admin::{AdminBackend, Answer, Unit};
use super::compose::clock;
use crate::check::explainer::Explainer;
use crate::check::explanation::Explanation;
use crate::courtesy::lanes;
use crate::envoy::{decode, json};
use crate::policy::Store;
use crate::telemetry::Telemetry;

/// How long an explanation may take; nobody's call waits for it.
const EXPLAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers the admin services.
#[derive(Debug)]
pub struct Backend {
    policies: Arc<Store>,
    telemetry: Arc<Telemetry>,
    explainers: BTreeMap<String, Arc<Explainer>>,
}

impl Backend {
    /// `explainers` judge calls of each profile, by its name.
    #[must_use]
    pub fn new(policies: Arc<Store>, telemetry: Arc<Telemetry>, explainers: BTreeMap<String, Arc<Explainer>>) -> Self {
        Self { policies, telemetry, explainers }
    }

    async fn explained(&self, call_json: &str, profile: &str) -> Result<String, String> {
        let known = || self.explainers.keys().cloned().collect::<Vec<_>>().join(", ");
        let explainer = self
            .explainers
            .get(profile)
            .cloned()
            .ok_or_else(|| format!("there is no profile `{profile}` (known: {})", known()))?;
        let request = json::check_request(call_json).map_err(|error| error.to_string())?;
        let call = decode::call(&decode::Sent::of(&request), decode::Limits::default(), clock()())
            .map_err(|failure| format!("the call is denied before it is judged: {failure}"))?;
        let deadline = Instant::now() + EXPLAIN_TIMEOUT;
        // Every policy is looked at again, piece by piece: no call should wait behind that.
        let explaining = lanes::run("explain", async move {
            let judgement = explainer.judge(&call, deadline).await;
            Explanation::of(&judgement, &call, explainer.profile()).json().to_string()
        });
        match tokio::time::timeout_at(deadline, explaining).await {
            Ok(Ok(explanation)) => Ok(explanation),
            Ok(Err(_)) => Err("explaining the call broke off; the log says why".to_owned()),
            Err(_) => Err("the call was not explained in time".to_owned()),
        }
    }
}

impl AdminBackend for Backend {
    fn loaded(&self) -> bool {
        self.policies.current().is_some()
    }

    fn units(&self) -> Vec<Unit> {
        let (status, snapshot) = (self.policies.status(), self.policies.current());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let at = status.succeeded_at.and_then(|at| u64::try_from(at.seconds()).ok()).unwrap_or(now);
        let refused = |unit: &str| {
            let folder = if unit == "mesh" { String::new() } else { format!("namespaces/{unit}/") };
            let problems = status.problems.iter().filter(|problem| {
                problem.file.starts_with(&folder) && (unit != "mesh" || !problem.file.starts_with("namespaces/"))
            });
            let text: Vec<String> = problems.map(ToString::to_string).collect();
            status.refused.contains(unit).then(|| text.join("; "))
        };
        let unit = |(name, digest): (&String, &String)| Unit {
            name: name.clone(),
            digest: digest.clone(),
            age_seconds: now.saturating_sub(at),
            refused: refused(name),
        };
        let mut units: Vec<Unit> =
            snapshot.iter().flat_map(|snapshot| snapshot.digests().iter().map(unit).collect::<Vec<_>>()).collect();
        if units.is_empty() {
            let nothing = |name: &String| Unit { name: name.clone(), refused: refused(name), ..Unit::default() };
            units.extend(status.refused.iter().map(nothing));
        }
        units
    }

    fn metrics(&self) -> String {
        self.telemetry.metrics().render()
    }

    fn explain<'a>(&'a self, call_json: &'a str, profile: &'a str) -> Answer<'a, Result<String, String>> {
        Box::pin(self.explained(call_json, profile))
    }
}
