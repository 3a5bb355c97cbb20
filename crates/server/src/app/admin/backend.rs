//! The backend of the services for operators: loaded policies, metrics, explanations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::{AdminBackend, Answer, Unit};
use crate::check::explainer::Explainer;
use crate::check::explanation::Explanation;
use crate::envoy::authz::system_clock;
use crate::envoy::{decode, json};
use crate::keys::Keys;
use crate::lanes::{self, Lane};
use crate::policy::layout::namespace_of;
use crate::policy::status::Why;
use crate::policy::{PLATFORM, Status, Store};
use crate::telemetry::Telemetry;
use picket_core::problem::Severity;

/// Time limit of an explanation. No call of a proxy waits for one.
const EXPLAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Most problems of a unit that are shown.
const PROBLEMS_SHOWN: usize = 8;

/// Implements the backend over the modules of a running server.
#[derive(Debug)]
pub struct Backend {
    policies: Arc<Store>,
    telemetry: Arc<Telemetry>,
    explainers: BTreeMap<String, Arc<Explainer>>,
    keys: Arc<Keys>,
    limits: decode::Limits,
    ready_anyway: Instant,
}

impl Backend {
    /// `explainers` explain calls of each profile, by its name, decoded by `limits`. From `ready_anyway` on, missing keys do not make the
    /// server unready.
    #[must_use]
    pub fn new(
        policies: Arc<Store>,
        telemetry: Arc<Telemetry>,
        explainers: BTreeMap<String, Arc<Explainer>>,
        keys: Arc<Keys>,
        limits: decode::Limits,
        ready_anyway: Instant,
    ) -> Self {
        Self { policies, telemetry, explainers, keys, limits, ready_anyway }
    }

    async fn explained(&self, call_json: &str, profile: &str) -> Result<String, String> {
        let known = || self.explainers.keys().cloned().collect::<Vec<_>>().join(", ");
        let explainer = self
            .explainers
            .get(profile)
            .cloned()
            .ok_or_else(|| format!("there is no profile `{profile}` (known: {})", known()))?;
        let request = json::check_request(call_json).map_err(|error| error.to_string())?;
        let call = decode::call(&decode::CheckView::of(&request), self.limits, system_clock()())
            .map_err(|failure| format!("the call is denied before it is evaluated: {failure}"))?;
        let deadline = Instant::now() + EXPLAIN_TIMEOUT;
        // Every policy is evaluated again, piece by piece: no call should wait behind that.
        let explaining = lanes::run(Lane::named("explain"), async move {
            let judgement = explainer.judge(&call, deadline).await;
            Explanation::of(&judgement, &call, explainer.profile()).json().to_string()
        });
        match tokio::time::timeout_at(deadline, explaining).await {
            Ok(Ok(explanation)) => Ok(explanation),
            Ok(Err(_)) => Err("could not explain the call; the log says why".to_owned()),
            Err(_) => Err("the call was not explained in time".to_owned()),
        }
    }
}

/// Why the newest version of a unit is not active, for people; `None` if it is. An unreadable directory counts for the
/// platform.
fn why(status: &Status, unit: &str) -> Option<String> {
    let unread = status.unreadable.iter().filter(|_| unit == PLATFORM);
    let why = status.refused.get(unit);
    let own = status.problems.iter().filter(|problem| {
        why.is_some() && problem.severity == Severity::Error && namespace_of(&problem.file).unwrap_or(PLATFORM) == unit
    });
    let problems: Vec<String> = unread.chain(own).map(ToString::to_string).collect();
    let shown = problems.iter().take(PROBLEMS_SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    let more = match problems.len().saturating_sub(PROBLEMS_SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    match (why, status.unreadable.is_empty() || unit != PLATFORM) {
        (None, true) => None,
        (Some(why), true) => Some(format!("{}: {shown}{more}", why.as_str())),
        (_, false) => Some(format!("{}: {shown}{more}", Why::Unreadable.as_str())),
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
        // Read the clock only where it matters: this runs every 100 ms, and for every probe.
        self.keys.never_had().next().is_some() && Instant::now() < self.ready_anyway
    }

    fn units(&self) -> Vec<Unit> {
        let (status, snapshot) = (self.policies.status(), self.policies.current());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let at = status.succeeded_at.and_then(|at| u64::try_from(at.seconds()).ok()).unwrap_or(now);
        let refused = |unit: &str| why(&status, unit);
        let unit = |(name, digest): (&String, &String)| Unit {
            name: name.clone(),
            digest: digest.clone(),
            age_seconds: now.saturating_sub(at),
            refused: refused(name),
        };
        let mut units: Vec<Unit> =
            snapshot.iter().flat_map(|snapshot| snapshot.digests().iter().map(unit).collect::<Vec<_>>()).collect();
        let known: BTreeSet<String> = units.iter().map(|unit| unit.name.clone()).collect();
        let unread = (!status.unreadable.is_empty()).then_some(PLATFORM);
        let missing: BTreeSet<&str> = status.refused.keys().map(String::as_str).chain(unread).collect();
        let missing = missing.into_iter().filter(|name| !known.contains(*name));
        units.extend(missing.map(|name| Unit { name: name.to_owned(), refused: refused(name), ..Unit::default() }));
        units
    }

    fn metrics(&self) -> String {
        self.telemetry.metrics().render()
    }

    fn explain<'a>(&'a self, call_json: &'a str, profile: &'a str) -> Answer<'a, Result<String, String>> {
        Box::pin(self.explained(call_json, profile))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use picket_core::problem::Problem;

    #[test]
    fn a_unit_that_is_not_active_has_its_own_reason() {
        let problems = vec![
            Problem::error("namespaces/evil", "holds more than it may"),
            Problem::error("namespaces/evil/a.cedar", "is wrong"),
            Problem::warning("namespaces/evil/a.cedar", "is odd"),
            Problem::error("catalog.yaml", "is wrong too"),
        ];
        let mut status = Status { problems, ..Status::default() };
        assert_eq!(why(&status, "evil"), None);
        status.refused = [("evil".to_owned(), Why::Unreadable), (PLATFORM.to_owned(), Why::Invalid)].into();
        let text = why(&status, "evil").unwrap();
        assert_eq!(text, "unreadable: namespaces/evil: holds more than it may; namespaces/evil/a.cedar: is wrong");
        assert_eq!(why(&status, PLATFORM).unwrap(), "invalid: catalog.yaml: is wrong too");
        assert_eq!(why(&status, "shop"), None);
        status.unreadable = vec![Problem::error("", "the volume is gone")];
        assert!(why(&status, PLATFORM).unwrap().starts_with("unreadable: : the volume is gone"));
        status.problems = (0..20).map(|n| Problem::error("namespaces/evil/a.cedar", format!("{n}"))).collect();
        assert!(why(&status, "evil").unwrap().ends_with("; and 12 more"));
    }
}
