//! The result of a call, for the answer, the log and the metrics.

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;

use super::prepared::Prepared;
use super::release_record::Drafted;
use picket_core::call::Call;
use picket_core::catalog::{Protocol, Service, namespace_of};
use picket_core::decision::verdict::Effect;
use picket_core::decision::{Snapshot, Verdict};
use picket_core::denial_format::DenialFormat;
use picket_core::failure::{Code, Failure};
use picket_core::identity::Identity;
use picket_core::inspection::Inspection;
use picket_core::obligation::metadata::Document;
use picket_core::query::{Node, Query, Record};

/// The result of a call and everything that led to it, for the answer, the log and the metrics.
#[derive(Debug)]
pub struct Judgement {
    /// The verdict, or the failure without one.
    pub result: Result<Verdict, Failure>,
    /// The caller, if it was identified.
    pub identity: Option<Identity>,
    /// The called service's id, if it was found.
    pub service: Option<String>,
    /// The protocol of the service.
    pub protocol: Option<Protocol>,
    /// The query with its facts, if it was built. If [`Judgement::reduced`] is set, only the names of its entities are
    /// left.
    pub query: Option<Query>,
    /// The snapshot of the evaluation.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The response format of a denial.
    pub reply: DenialFormat,
    /// The document that Picket answers with; only with [`Verdict::answered`].
    pub document: Option<Document>,
    /// The relevant parts of the call, if the judgement is cached and so answers every call with equal parts.
    pub reduced: Option<Call>,
    /// The bytes that edges prepared, if the judgement is cached.
    pub prepared: Prepared,
    /// The evaluation was interrupted, because it takes longer than other calls may wait. It has to be repeated by
    /// [`super::Judge::judge_long`]. The result is a failure.
    pub is_too_long: bool,
    /// Digest of the request, which binds approvals. Set if a policy can see an approval and the whole request is
    /// known.
    pub digest: Option<String>,
    /// What was found in the call's messages. Set if a policy reads it.
    pub content: Option<Inspection>,
    /// Detectors with values that are masked in the request before its service gets it. Set for an allow on these terms.
    pub masked: BTreeSet<SmolStr>,
    /// The draft of the call's release record: set for an allow if a proxy sends the response to be evaluated.
    pub release: Option<Drafted>,
}

impl Judgement {
    /// A failed judgement without further details.
    #[must_use]
    pub fn failed(failure: Failure) -> Self {
        Self {
            result: Err(failure),
            identity: None,
            service: None,
            protocol: None,
            query: None,
            snapshot: None,
            reply: DenialFormat::Plain,
            document: None,
            reduced: None,
            prepared: Prepared::default(),
            is_too_long: false,
            digest: None,
            content: None,
            masked: BTreeSet::new(),
            release: None,
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
            content: self.content.clone(),
            prepared: Prepared::default(),
            is_too_long: false,
            // Only the allow itself is on these terms.
            masked: BTreeSet::new(),
            release: None,
        }
    }

    /// The called service's namespace, if it was found.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        namespace_of(self.service.as_deref()?)
    }

    /// Returns whether it describes other calls completely: one with an obligation for the full record does not.
    pub(super) fn is_repeatable(&self) -> bool {
        match &self.result {
            Ok(Verdict { effect: Effect::Allow(mutations), .. }) => !mutations.log_full,
            Ok(Verdict { effect: Effect::Deny(_) | Effect::Challenge(..), .. }) => true,
            Err(_) => false,
        }
    }

    /// Makes it the judgement of every call that reduces to `reduced`.
    pub(super) fn answer_all(&mut self, reduced: Call) {
        self.query = self.query.take().map(names_only);
        self.reduced = Some(reduced);
    }
}

/// A judgement under construction: the steps of a check fill its fields, and no reader gets it before
/// [`Draft::finish`].
///
/// It is allocated in its `Arc` from the start: it is large, and would be moved often.
#[derive(Debug)]
pub(super) struct Draft(Arc<Judgement>);

/// The fields of a draft that steps fill as they reach them, without the result.
pub(super) struct Fields<'a> {
    pub identity: &'a mut Option<Identity>,
    pub service: &'a mut Option<String>,
    pub protocol: &'a mut Option<Protocol>,
    pub query: &'a mut Option<Query>,
    pub snapshot: &'a mut Option<Arc<Snapshot>>,
    pub reply: &'a mut DenialFormat,
    pub document: &'a mut Option<Document>,
    pub digest: &'a mut Option<String>,
    pub content: &'a mut Option<Inspection>,
    pub masked: &'a mut BTreeSet<SmolStr>,
    pub release: &'a mut Option<Drafted>,
}

impl Fields<'_> {
    /// Sets the called service and its protocol.
    pub fn set_service(&mut self, service: &Service) {
        *self.service = Some(service.id.clone());
        *self.protocol = Some(service.protocol);
    }
}

impl Draft {
    /// A draft with empty fields.
    pub fn new() -> Self {
        Self(Arc::new(Judgement::failed(Failure::new(Code::Internal, "the check ended without a result"))))
    }

    /// The fields to fill.
    pub fn fields(&mut self) -> Fields<'_> {
        let Judgement {
            identity,
            service,
            protocol,
            query,
            snapshot,
            reply,
            document,
            digest,
            content,
            masked,
            release,
            ..
        } = self.judgement();
        Fields { identity, service, protocol, query, snapshot, reply, document, digest, content, masked, release }
    }

    /// Records that the evaluation was interrupted, see [`Judgement::is_too_long`].
    pub fn took_too_long(&mut self) {
        self.judgement().is_too_long = true;
    }

    /// The judgement with its result.
    pub fn finish(mut self, result: Result<Verdict, Failure>) -> Arc<Judgement> {
        self.judgement().result = result;
        self.0
    }

    fn judgement(&mut self) -> &mut Judgement {
        match Arc::get_mut(&mut self.0) {
            Some(judgement) => judgement,
            None => unreachable!("a draft has a single owner"),
        }
    }
}

/// Drops the known attributes of a query's entities, which a cached judgement does not need.
fn names_only(query: Query) -> Query {
    Query {
        principal: Node::new(query.principal.uid),
        resource: Node::new(query.resource.uid),
        context: Record::new(),
        bags: Vec::new(),
        ..query
    }
}
