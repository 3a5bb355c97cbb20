//! Shared parts of the examples: an engine over a policy directory, and a call to evaluate.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picket::app::elicitation_key;
use picket::approval::Approvals;
use picket::call::{Body, Call, CanonicalPath, Headers, Host, Peer, Target, UnixMillis};
use picket::check::elicitation::StateTokens;
use picket::check::{Checker, Judge as _, Profile};
use picket::entity::Entities;
use picket::keys::Keys;
use picket::policy::{self, Store};
use tokio::time::Instant;

/// Loads the policies of `folder`, a path from the repository's root, and builds an engine over them.
///
/// # Errors
/// Every problem of the policies, one a line.
pub async fn engine(folder: &str, entities: Entities, approvals: Approvals) -> Result<Checker, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    // The store keeps the last good version in force. A server also runs `Store::run`, which watches the folder.
    let policies = Arc::new(Store::new(&policy::Settings::new(folder)));
    policies.load_now().await;
    let status = policies.status();
    let problems: Vec<String> = status.unreadable.iter().chain(&status.problems).map(ToString::to_string).collect();
    if policies.current().is_none() {
        return Err(problems.join("\n").into());
    }
    Ok(Checker {
        listener: "example".to_owned(),
        // How a caller is identified (default: the peer's certificate) and how a service is found (default: by the
        // route's context extension `service`).
        profile: Profile::default(),
        policies,
        entities: Arc::new(entities),
        approvals: Arc::new(approvals),
        // Seals the state of MCP elicitations; this key lives as long as the process.
        state_tokens: StateTokens::new(elicitation_key::load(None)?, Duration::from_secs(600)),
        // Token issuers' keys. With none, every token is refused.
        keys: Arc::new(Keys::none()),
        // No verification of cached decisions, and no cache.
        verifier: None,
        streams: Arc::default(),
        cache: None,
    })
}

/// A call as Envoy would describe it: from a workload with a certificate, to a service that the route names.
///
/// # Errors
/// The path is not canonical.
pub fn call(method: &str, service: &str, path: &str, headers: &[(&str, &str)]) -> Result<Call, Box<dyn Error>> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let caller = "spiffe://cluster.local/ns/web/sa/frontend";
    Ok(Call {
        peer: Peer { principal: Some(caller.to_owned()), ..Peer::default() },
        method: method.to_owned(),
        scheme: "http".to_owned(),
        host: Host::parse("orders.shop.svc.cluster.local").map_err(|failure| failure.to_string())?,
        target: Target::Path { path: CanonicalPath::parse(path).map_err(|failure| failure.to_string())?, query: None },
        path_sent: path.to_owned(),
        upgrade: None,
        headers: Headers::raw(headers.iter().map(|(name, value)| (*name, value.as_bytes()))),
        body: Body::NotSent,
        extensions: BTreeMap::from([("service".to_owned(), service.to_owned())]),
        verified_tokens: BTreeMap::new(),
        received_at: UnixMillis(i64::try_from(since.as_millis())?),
    })
}

/// Evaluates the call and prints one line.
pub async fn print_verdict(engine: &Checker, call: &Call) {
    let deadline = Instant::now() + Duration::from_secs(5);
    let judgement = engine.judge_long(call, deadline).await;
    let text = match &judgement.result {
        Ok(verdict) => {
            let policies = verdict.determining.join(" ");
            format!("{} {} {policies}", verdict.decision().as_str(), verdict.reason().as_str())
        }
        // No verdict: the call is denied, with a code that docs/operating.md explains.
        Err(failure) => format!("failure {failure}"),
    };
    println!("{} {}: {}", call.method, call.path_sent, text.trim_end());
}
