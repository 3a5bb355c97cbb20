//! Evaluates calls for explanations, without an effect that a later call could notice.
//!
//! Knows: which parts of a [`Checker`] have effects. Must not know: how an explanation is rendered.

use std::sync::Arc;

use tokio::time::Instant;

use super::judgement::Judgement;
use super::profile::Profile;
use super::request_streams::RequestStreams;
use super::time::Time;
use super::{Checker, PolicyState, not_ready};
use picket_core::call::Call;
use picket_core::failure::Failure;
use picket_core::identity::Identity;

/// Evaluates without effect: it cannot use up an approval, cache an answer or a decision, or request new keys from an
/// issuer. It queries sources of facts and of approvals as for a call.
#[derive(Debug)]
pub struct Explainer(Checker);

impl Explainer {
    /// Removes everything from a checker that has an effect.
    #[must_use]
    pub fn of(checker: Checker) -> Self {
        // Every part is named, so that the compiler reports a new one here.
        let Checker {
            listener,
            profile,
            policies,
            entities,
            approvals,
            state_tokens,
            keys,
            verifier: _,
            streams: _,
            cache: _,
        } = checker;
        Self(Checker {
            listener,
            profile,
            policies,
            entities: Arc::new(entities.read_only()),
            approvals: Arc::new(approvals.read_only()),
            state_tokens,
            keys: Arc::new(keys.read_only()),
            verifier: None,
            // No request follows, and the profile's promise is what is explained.
            streams: Arc::new(RequestStreams::assumed()),
            // An explanation needs the whole judgement, and a cached one is reduced.
            cache: None,
        })
    }

    /// How its calls are read.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.0.profile
    }

    /// As [`Judge::judge_long`](super::Judge::judge_long), without effect.
    pub async fn judge(&self, call: &Call, deadline: Instant) -> Arc<Judgement> {
        match self.state() {
            Some(state) => self.0.evaluate(call, &state, Time::long(deadline)).await,
            None => Arc::new(Judgement::failed(not_ready())),
        }
    }

    /// Evaluates a call with an asserted caller: for policy tests, which have no connection and no key.
    ///
    /// Every step after the identity is as in [`Explainer::judge`].
    pub async fn judge_as(&self, caller: Result<Identity, Failure>, call: &Call, deadline: Instant) -> Arc<Judgement> {
        match self.state() {
            Some(state) => self.0.evaluate_request(|_, _| caller, call, &state, Time::long(deadline)).await.0,
            None => Arc::new(Judgement::failed(not_ready())),
        }
    }

    fn state(&self) -> Option<PolicyState> {
        let PolicyState { snapshot, keys } = self.0.state()?;
        Some(PolicyState { snapshot: Arc::new(snapshot.read_only()), keys })
    }
}
