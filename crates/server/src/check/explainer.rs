//! Evaluates calls for explanations, without an effect that a later call could notice.
//!
//! Knows: which parts of a [`Checker`] have effects. Must not know: how an explanation is put.

use std::sync::Arc;

use tokio::time::Instant;

use super::judgement::Judgement;
use super::profile::Profile;
use super::time::Time;
use super::{Checker, PolicyState, not_ready};
use picket_core::call::Call;
use picket_core::failure::Failure;
use picket_core::identity::Identity;

/// Judges without effect: it has nothing to use an approval up with, to remember an answer or a decision in, or to ask an
/// issuer for new keys. Sources of facts and of approvals are asked as for a call.
#[derive(Debug)]
pub struct Explainer(Checker);

impl Explainer {
    /// Takes everything from a checker that has an effect.
    #[must_use]
    pub fn of(checker: Checker) -> Self {
        // Every part is named, so that a new one is thought about here.
        let Checker { listener, profile, policies, entities, approvals, state_tokens, keys, verifier: _, cache: _ } =
            checker;
        Self(Checker {
            listener,
            profile,
            policies,
            entities: Arc::new(entities.looking()),
            approvals: Arc::new(approvals.looking()),
            state_tokens,
            keys: Arc::new(keys.looking()),
            verifier: None,
            // An explanation needs everything that is known, which a remembered judgement does not keep.
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

    /// Judges a call whose caller is said, not proven: for policy tests, where there is no connection and no key.
    ///
    /// Everything after the identity is as in [`Explainer::judge`].
    pub async fn judge_as(&self, caller: Result<Identity, Failure>, call: &Call, deadline: Instant) -> Arc<Judgement> {
        match self.state() {
            Some(state) => self.0.evaluate_request(|_, _| caller, call, &state, Time::long(deadline)).await.0,
            None => Arc::new(Judgement::failed(not_ready())),
        }
    }

    fn state(&self) -> Option<PolicyState> {
        let PolicyState { snapshot, keys } = self.0.state()?;
        Some(PolicyState { snapshot: Arc::new(snapshot.looking()), keys })
    }
}
