//! The result of a call, for the answer, the log and the metrics.

use std::sync::Arc;

use super::prepared::Prepared;
use picket_core::call::Call;
use picket_core::catalog::{Protocol, Service, namespace_of};
use picket_core::decision::verdict::Effect;
use picket_core::decision::{Snapshot, Verdict};
use picket_core::failure::{Code, Failure};
use picket_core::identity::Identity;
use picket_core::obligation::metadata::Document;
use picket_core::query::{Node, Query, Record};
use picket_core::reply::Reply;

/// Everything that became of a call, for the answer, the log and the metrics.
#[derive(Debug)]
pub struct Judgement {
    /// The verdict, or why there is none.
    pub result: Result<Verdict, Failure>,
    /// Who called, as far as it was found out.
    pub identity: Option<Identity>,
    /// The called service's id, as far as it was found out.
    pub service: Option<String>,
    /// What the service speaks.
    pub protocol: Option<Protocol>,
    /// What was asked, with the facts that were found, as far as it was found out. Where [`Judgement::reduced`] is
    /// there, only the names of its entities are left.
    pub query: Option<Query>,
    /// What it was judged by.
    pub snapshot: Option<Arc<Snapshot>>,
    /// In whose language a refusal is put.
    pub reply: Reply,
    /// What Picket answers itself; only with [`Verdict::answered`].
    pub document: Option<Document>,
    /// What was looked at of the call, where the judgement is remembered and so answers every call that is the same
    /// in this.
    pub reduced: Option<Call>,
    /// What edges prepared, where the judgement is remembered.
    pub prepared: Prepared,
    /// Judging was broken off, because it takes longer than others' calls may wait for it: it is to be made again by
    /// [`super::Judge::judge_long`]. The result is a failure.
    pub is_too_long: bool,
    /// Digest of what was asked, as approvals are bound by; where a policy can see an approval and all that was
    /// asked is known.
    pub digest: Option<String>,
}

impl Judgement {
    /// A judgement about which nothing is known but why it failed.
    #[must_use]
    pub fn failed(failure: Failure) -> Self {
        Self {
            result: Err(failure),
            identity: None,
            service: None,
            protocol: None,
            query: None,
            snapshot: None,
            reply: Reply::Plain,
            document: None,
            reduced: None,
            prepared: Prepared::default(),
            is_too_long: false,
            digest: None,
        }
    }

    /// The same judgement with another result, which holds for one call.
    #[must_use]
    pub fn with_result(&self, result: Result<Verdict, Failure>) -> Self {
        Self {
            result,
            identity: self.identity.clone(),
            service: self.service.clone(),
            protocol: self.protocol,
            query: self.query.clone(),
            snapshot: self.snapshot.clone(),
            reduced: None,
            reply: self.reply.clone(),
            document: None,
            digest: self.digest.clone(),
            prepared: Prepared::default(),
            is_too_long: false,
        }
    }

    /// The called service's namespace, as far as it was found out.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        namespace_of(self.service.as_deref()?)
    }

    /// Whether it says all there is to say about another call: one that asks for the full record does not.
    pub(super) fn is_repeatable(&self) -> bool {
        match &self.result {
            Ok(Verdict { effect: Effect::Allow(mutations), .. }) => !mutations.log_full,
            Ok(Verdict { effect: Effect::Deny(_) | Effect::Challenge(..), .. }) => true,
            Err(_) => false,
        }
    }

    /// Makes it the judgement of every call that is cut down to `reduced`.
    pub(super) fn answer_all(&mut self, reduced: Call) {
        self.query = self.query.take().map(names_only);
        self.reduced = Some(reduced);
    }
}

/// A judgement in the making: the steps of a check fill its fields, and nobody sees it before [`Draft::finish`].
///
/// It has its final place from the start: it is large, and would be moved often.
#[derive(Debug)]
pub(super) struct Draft(Arc<Judgement>);

/// The fields of a draft that steps fill, as far as they come. The result is not among them.
pub(super) struct Fields<'a> {
    pub identity: &'a mut Option<Identity>,
    pub service: &'a mut Option<String>,
    pub protocol: &'a mut Option<Protocol>,
    pub query: &'a mut Option<Query>,
    pub snapshot: &'a mut Option<Arc<Snapshot>>,
    pub reply: &'a mut Reply,
    pub document: &'a mut Option<Document>,
    pub digest: &'a mut Option<String>,
}

impl Fields<'_> {
    /// Sets the called service and what it speaks.
    pub fn set_service(&mut self, service: &Service) {
        *self.service = Some(service.id.clone());
        *self.protocol = Some(service.protocol);
    }
}

impl Draft {
    /// A draft with empty fields.
    pub fn new() -> Self {
        Self(Arc::new(Judgement::failed(Failure::new(Code::Internal, "the check did not end"))))
    }

    /// The fields to fill.
    pub fn fields(&mut self) -> Fields<'_> {
        let Judgement { identity, service, protocol, query, snapshot, reply, document, digest, .. } = self.judgement();
        Fields { identity, service, protocol, query, snapshot, reply, document, digest }
    }

    /// Says that the evaluation was broken off, see [`Judgement::is_too_long`].
    pub fn took_too_long(&mut self) {
        self.judgement().is_too_long = true;
    }

    /// The judgement, with its result.
    pub fn finish(mut self, result: Result<Verdict, Failure>) -> Arc<Judgement> {
        self.judgement().result = result;
        self.0
    }

    fn judgement(&mut self) -> &mut Judgement {
        match Arc::get_mut(&mut self.0) {
            Some(judgement) => judgement,
            None => unreachable!("nobody else has a draft"),
        }
    }
}

/// A query without what is known of its entities, which a remembered judgement has no use for.
fn names_only(query: Query) -> Query {
    Query {
        principal: Node::new(query.principal.uid),
        resource: Node::new(query.resource.uid),
        context: Record::new(),
        bags: Vec::new(),
        ..query
    }
}
