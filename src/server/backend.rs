//! What the admin services ask: what is loaded, the metrics, and why a call is answered as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::admin::{AdminBackend, Answer, Unit};
use super::compose::clock;
use crate::check::explanation::Explanation;
use crate::check::{Checker, Judge as _};
use crate::envoy::{decode, json};
use crate::keys::Keys;
use crate::policy::Store;
use crate::telemetry::Telemetry;

/// How long an explanation may take; nobody's call waits for it.
const EXPLAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers the admin services.
#[derive(Debug)]
pub struct Backend {
    policies: Arc<Store>,
    telemetry: Arc<Telemetry>,
    checkers: BTreeMap<String, Arc<Checker>>,
    keys: Arc<Keys>,
    ready_anyway: Instant,
}

impl Backend {
    /// `checkers` judge calls of each profile, by its name. From `ready_anyway` on, keys that were never had are no
    /// reason to be not ready.
    #[must_use]
    pub fn new(
        policies: Arc<Store>,
        telemetry: Arc<Telemetry>,
        checkers: BTreeMap<String, Arc<Checker>>,
        keys: Arc<Keys>,
        ready_anyway: Instant,
    ) -> Self {
        Self { policies, telemetry, checkers, keys, ready_anyway }
    }

    async fn explained(&self, call_json: &str, profile: &str) -> Result<String, String> {
        let known = || self.checkers.keys().cloned().collect::<Vec<_>>().join(", ");
        let checker = self
            .checkers
            .get(profile)
            .ok_or_else(|| format!("there is no profile `{profile}` (known: {})", known()))?;
        let request = json::check_request(call_json).map_err(|error| error.to_string())?;
        let call = decode::call(&decode::Sent::of(&request), decode::Limits::default(), clock()())
            .map_err(|failure| format!("the call is denied before it is judged: {failure}"))?;
        let judgement = checker.judge(&call, Instant::now() + EXPLAIN_TIMEOUT).done().await;
        Ok(Explanation::of(&judgement, &call, &checker.profile).json().to_string())
    }
}

impl AdminBackend for Backend {
    fn loaded(&self) -> bool {
        self.policies.current().is_some()
    }

    fn keys_never_had(&self) -> Vec<String> {
        self.keys.never_had().map(str::to_owned).collect()
    }

    fn waits_for_keys(&self) -> bool {
        // The clock is read only where it matters: this is asked every 100 ms, and by every probe.
        self.keys.never_had().next().is_some() && Instant::now() < self.ready_anyway
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
