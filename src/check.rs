//! The path of one call; the only place where order is decided.
//!
//! Knows: every step between a call and its verdict, and their order. Must not know: the proxy's protocol,
//! how any step works.

mod approved;
pub mod explanation;
pub mod verify;

use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;

use crate::approval::Approvals;
use crate::call::Call;
use crate::catalog::Protocol;
use crate::decision::{self, Snapshot, Verdict};
use crate::entity::Entities;
use crate::failure::{Code, Failure};
use crate::identity::{self, Identity};
use crate::keys::Keys;
use crate::mapping::{self, Place, action};
use crate::policy::Store;
use crate::query::Query;

/// How the calls of one kind of listener are read.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// Who is calling.
    pub identity: identity::Settings,
    /// What is called.
    pub mapping: mapping::Settings,
}

/// Everything that became of one call, for the answer, the log and the metrics.
#[derive(Debug)]
pub struct Judgement {
    /// Id of the decision: a UUID of version 7.
    pub decision_id: uuid::Uuid,
    /// The verdict, or why there is none.
    pub result: Result<Verdict, Failure>,
    /// Who called, as far as it was found out.
    pub identity: Option<Identity>,
    /// The called service's id, as far as it was found out.
    pub service: Option<String>,
    /// What the service speaks.
    pub protocol: Option<Protocol>,
    /// What was asked, with the facts that were found, as far as it was found out.
    pub query: Option<Query>,
    /// What it was judged by.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Digest of what was asked, as approvals are bound by; where a policy can see an approval and all that was
    /// asked is known.
    pub digest: Option<String>,
}

impl Judgement {
    /// A judgement about which nothing is known but why it failed.
    #[must_use]
    pub fn failed(failure: Failure) -> Self {
        Self {
            decision_id: uuid::Uuid::now_v7(),
            result: Err(failure),
            identity: None,
            service: None,
            protocol: None,
            query: None,
            snapshot: None,
            digest: None,
        }
    }
}

/// Judges calls: the seam between the edge that speaks a proxy's protocol and everything behind it.
pub trait Judge: Send + Sync {
    /// Judges one call. Never fails and never panics on purpose: what cannot be judged is a
    /// [`Failure`] inside the [`Judgement`]. Returns by `deadline`.
    fn judge<'a>(&'a self, call: &'a Call, deadline: Instant) -> Pin<Box<dyn Future<Output = Judgement> + Send + 'a>>;
}

/// Judges the calls of one listener.
#[derive(Debug)]
pub struct Checker {
    /// Name of the listener.
    pub listener: String,
    /// How its calls are read.
    pub profile: Profile,
    /// Where policies come from.
    pub policies: Arc<Store>,
    /// Where facts come from.
    pub entities: Arc<Entities>,
    /// Where approvals come from, and what was used of them.
    pub approvals: Arc<Approvals>,
    /// Where issuers' keys come from.
    pub keys: Arc<Keys>,
    /// Verifies some decisions off the request path, where that is wanted.
    pub verifier: Option<Arc<verify::Verifier>>,
}

/// Finds out who is calling, once a snapshot is there.
trait Who: FnOnce() -> Result<Identity, Failure> + Send {}

impl<F: FnOnce() -> Result<Identity, Failure> + Send> Who for F {}

impl Checker {
    /// Judges a call whose caller is said, not proven: for policy tests, where there is no connection and no key.
    ///
    /// Everything after the identity is as in [`Judge::judge`].
    pub async fn judge_as(&self, caller: Result<Identity, Failure>, call: &Call, deadline: Instant) -> Judgement {
        self.judged(|| caller, call, deadline).await
    }

    async fn judged(&self, who: impl Who, call: &Call, deadline: Instant) -> Judgement {
        let mut judgement = Judgement::failed(not_ready());
        judgement.result = self.verdict(who, call, deadline, &mut judgement).await;
        judgement
    }

    async fn verdict(
        &self,
        who: impl Who,
        call: &Call,
        deadline: Instant,
        known: &mut Judgement,
    ) -> Result<Verdict, Failure> {
        // One snapshot per call: a reload between two reads would judge new facts by old policies.
        let snapshot = self.policies.current().ok_or_else(not_ready)?;
        known.snapshot = Some(Arc::clone(&snapshot));
        let identity = known.identity.insert(who()?);
        let place = Place { listener: &self.listener, home: &self.profile.identity.home_trust_domain };
        let service = mapping::service(call, &self.profile.mapping, snapshot.catalog(), place.home)?;
        known.service = Some(service.id.clone());
        known.protocol = Some(service.protocol);
        let asked = action::asked(call, &service, &self.profile.mapping)?;
        let mut reads = self.entities.needs(snapshot.reads(service.namespace()));
        self.approvals.needs(&service.id, &reads.clone(), &mut reads);
        let query = mapping::query(call, identity, &service, &asked, &reads, place)?;
        let query = known.query.insert(query);
        known.digest = approved::digest(&asked, query, &reads);
        let facts = self.entities.fetch(&snapshot, query, &reads, deadline);
        let approval = self.approvals.find(&service.id, query, &reads, known.digest.as_deref(), deadline);
        let (facts, approval) = futures_util::future::try_join(facts, approval).await?;
        if let Some(approval) = &approval {
            query.context.insert("approval".to_owned(), approval.value.clone());
        }
        let verdict = decision::decide(&snapshot, query, &facts)?;
        if let Some(approval) = &approval
            && approved::is_used_up(&snapshot, query, approval, &verdict)
        {
            self.approvals.consume(approval, deadline).await?;
        }
        if let Some(verifier) = &self.verifier {
            verifier.offer(&snapshot, query);
        }
        Ok(verdict)
    }

    fn identify(&self, call: &Call) -> Result<Identity, Failure> {
        identity::identify(call, &self.profile.identity, &self.keys.ring()).map_err(|rejection| {
            if let Some(issuer) = &rejection.unknown_key_of {
                self.keys.hint_unknown_key(issuer);
            }
            rejection.failure
        })
    }
}

impl Judge for Checker {
    fn judge<'a>(&'a self, call: &'a Call, deadline: Instant) -> Pin<Box<dyn Future<Output = Judgement> + Send + 'a>> {
        Box::pin(self.judged(|| self.identify(call), call, deadline))
    }
}

fn not_ready() -> Failure {
    Failure::new(Code::NotReady, "no policies are loaded")
}
