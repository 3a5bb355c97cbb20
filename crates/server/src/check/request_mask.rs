//! Masks the request of a call, and evaluates the masked request.
//!
//! Knows: offers of the PDP, the body of a call, which headers depend on it. Must not know: who masks the request that the
//! proxy holds, how detectors find anything.
//!
//! A service gets the masked request, so the policies have to allow that one too. Everything that they, an approval or
//! another rule read of the request has to be the same in both, or the call is denied.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::admissible::{of_family, plainly_named};
use super::content::Inspections;
use super::payload::Requested;
use super::profile::Processor;
use super::request::Request;
use super::time::in_time;
use super::{Checker, approval_use, batch, payload};
use picket_core::call::{Body, Call};
use picket_core::catalog::Service;
use picket_core::content::mask::StandIns;
use picket_core::decision::Snapshot;
use picket_core::decision::decide::{self, Cacheability, Decided, MaskOffer};
use picket_core::decision::verdict::{Decision, Effect};
use picket_core::failure::{Code, Failure};
use picket_core::identity::{self, Identity};
use picket_core::inspection::masking::{self, NotMaskable, Shape};
use picket_core::inspection::{self, Inspection};
use picket_core::mapping;
use picket_core::mapping::action::What;
use picket_core::obligation::Mutations;
use picket_core::query::{Facts, Family, Query, Reads};
use picket_core::release::{BodyDigest, BodyShape, RequestMask};

/// Parts of names of headers that depend on the exact body.
const OF_THE_BODY: [&str; 7] = ["signature", "digest", "md5", "sha256", "checksum", "hmac", "crc32"];

/// What masking needs of the operations that were evaluated, in their order.
#[derive(Debug)]
pub(super) enum Evaluated {
    /// No request of the listener is masked, so nothing is kept.
    NotKept,
    Kept(Vec<Operation>),
}

#[derive(Debug)]
pub(super) struct Operation {
    facts: Facts,
    has_approval: bool,
    /// The changes that the permits make.
    mutations: Mutations,
    /// What has to be masked for it.
    detectors: BTreeSet<SmolStr>,
    determining: Vec<String>,
}

/// Why a request is not masked.
enum Unmasked {
    /// The call is denied, for this reason.
    Refused(String),
    /// There is no verdict.
    Failed(Failure),
}

impl From<&str> for Unmasked {
    fn from(detail: &str) -> Self {
        Self::Refused(detail.to_owned())
    }
}

/// The parts of a call that both evaluations use.
#[derive(Clone, Copy)]
pub(super) struct Steps<'a> {
    pub request: Request<'a>,
    pub identity: &'a Identity,
    pub service: &'a Service,
    pub family: Family,
    pub reads: &'a Reads,
    pub requested: &'a Requested,
}

impl Evaluated {
    /// No operation.
    pub fn of(processor: &Processor) -> Self {
        if processor.requests { Self::Kept(Vec::with_capacity(1)) } else { Self::NotKept }
    }

    /// Takes an operation, and returns whether it is allowed, or would be if it were masked. `without_masks` says why
    /// nothing can be masked.
    pub fn take(
        &mut self,
        decided: &mut Decided,
        facts: Facts,
        has_approval: bool,
        without_masks: impl FnOnce() -> Option<&'static str>,
    ) -> bool {
        if decided.mask.is_some()
            && let Some(why) = without_masks()
        {
            decided.mask = None;
            explain(decided, why);
        }
        let (mutations, detectors) = match (&decided.verdict.effect, &decided.mask) {
            (Effect::Allow(mutations), _) => (mutations, BTreeSet::new()),
            (Effect::Deny(_), Some(MaskOffer { detectors, mutations })) => (mutations, detectors.clone()),
            (Effect::Deny(_) | Effect::Challenge(..), _) => return false,
        };
        if let Self::Kept(operations) = self {
            let (mutations, determining) = (mutations.clone(), decided.verdict.determining.clone());
            operations.push(Operation { facts, has_approval, mutations, detectors, determining });
        }
        true
    }

    fn operations(&self) -> &[Operation] {
        match self {
            Self::NotKept => &[],
            Self::Kept(operations) => operations,
        }
    }

    fn detectors(&self) -> BTreeSet<SmolStr> {
        self.operations().iter().flat_map(|operation| operation.detectors.iter().cloned()).collect()
    }
}

impl Checker {
    /// Why no request to a service can be masked here; `None` if it can.
    pub(super) fn without_masks(&self, service: &str, call: &Call) -> Option<&'static str> {
        if !self.profile.processor.requests {
            return Some("a request cannot be masked: the profile has no `processor: {requests: true}`");
        }
        let is_proven = self.streams.is_recent(&self.listener, service, call.received_at);
        (!is_proven).then_some(
            "a request cannot be masked: no ext_proc stream of the service came with the request mode `BUFFERED` \
             within ten minutes",
        )
    }

    /// The verdict on a call from those on its operations, and the mask of its request.
    ///
    /// A call of which every operation is allowed, or would be if it were masked, is masked and decided again. It is denied
    /// where that is not possible.
    pub(super) fn settled(
        &self,
        steps: Steps<'_>,
        evaluated: &Evaluated,
        decisions: Vec<Decided>,
    ) -> Result<(Decided, Option<RequestMask>), Failure> {
        let is_masked =
            decisions.iter().all(Decided::is_allowed_or_masked) && decisions.iter().any(|one| one.mask.is_some());
        let allowance = steps.request.allowance;
        let mut whole = in_time(batch::together(decisions)?, allowance)?;
        if !is_masked {
            return Ok((whole, None));
        }
        match self.try_masked(steps, evaluated) {
            Ok((decided, mask)) => Ok((in_time(decided, allowance)?, Some(mask))),
            Err(Unmasked::Failed(failure)) => Err(failure),
            Err(Unmasked::Refused(detail)) => {
                explain(&mut whole, detail);
                Ok((whole, None))
            }
        }
    }

    fn try_masked(&self, steps: Steps<'_>, evaluated: &Evaluated) -> Result<(Decided, RequestMask), Unmasked> {
        let Steps { request, service, requested, reads, .. } = steps;
        let (call, snapshot) = (request.call, &request.state.snapshot);
        if evaluated.operations().iter().any(|operation| operation.has_approval) {
            return Err("an approval covers the request as it came".into());
        }
        if identity::reads_body(call, &self.profile.identity) {
            return Err("the body may hold a credential".into());
        }
        let detectors = evaluated.detectors();
        let (bytes, shape) = (maskable(call)?, shape(requested)?);
        let random = random().ok_or("the system has no random numbers")?;
        let is_late = || request.allowance.is_over();
        let mut stand_ins = StandIns::new(random);
        let body = masking::mask(bytes, shape, (snapshot.detectors(), &detectors), &mut stand_ins, &is_late);
        let body = body.map_err(not_maskable)?;
        let mask = RequestMask {
            detectors,
            shape: recorded(shape),
            random,
            judged: BodyDigest::of(bytes),
            masked: BodyDigest::of(&body),
        };
        let call = Call { body: Body::Complete(body.into()), ..call.clone() };
        let mut reply = payload::reply_of(service);
        let again = payload::read(&call, service, &self.profile.mapping, reads, &mut reply);
        let again = again.map_err(|failure| Unmasked::Refused(format!("the masked request is invalid: {failure}")))?;
        if again.ids != requested.ids
            || again.answers != requested.answers
            || again.asked.len() != requested.asked.len()
        {
            return Err("the mask changes an id or an answer".into());
        }
        nothing_left(&again, &mask.detectors, snapshot, &is_late)?;
        let decided = self.decided_again(steps, &call, &again, evaluated, &mask.detectors)?;
        Ok((decided, mask))
    }

    /// The verdict on the masked request, which has to read the same to all policies.
    fn decided_again(
        &self,
        steps: Steps<'_>,
        masked: &Call,
        again: &Requested,
        evaluated: &Evaluated,
        detectors: &BTreeSet<SmolStr>,
    ) -> Result<Decided, Unmasked> {
        let Steps { request, identity, service, family, reads, requested } = steps;
        let (snapshot, allowance) = (&request.state.snapshot, request.allowance);
        let query_of = |call, asked| -> Result<Query, Failure> {
            let query = mapping::query(call, identity, service, asked, reads, self.place(snapshot))?;
            of_family(family, query)
        };
        let inspections = Inspections::of(again, &reads.content, snapshot.detectors(), allowance);
        let inspections = inspections.map_err(Unmasked::Failed)?;
        let both = requested.asked.iter().zip(&again.asked).zip(evaluated.operations());
        let mut decisions = Vec::with_capacity(evaluated.operations().len());
        for (number, ((before, after), operation)) in both.enumerate() {
            let queries = (query_of(request.call, before), query_of(masked, after));
            let (Ok(known), Ok(mut query)) = queries else { return Err("the masked request is invalid".into()) };
            let digests = [approval_use::digest(before, &known, reads), approval_use::digest(after, &query, reads)];
            if !is_same(&known, &query) || digests[0] != digests[1] {
                return Err("the mask changes a value that a policy, an approval or the name of a resource uses".into());
            }
            inspections.add_to(&mut query, number);
            let query = plainly_named(snapshot, &mut query).map_err(Unmasked::Failed)?;
            let mut decided =
                decide::decide_within(snapshot, query, &operation.facts, allowance).map_err(Unmasked::Failed)?;
            let mutations = match (&decided.verdict.effect, &decided.mask) {
                (Effect::Allow(mutations), _) => mutations.clone(),
                // A forbid that does not test findings asks for masks of which nothing is left to do.
                (Effect::Deny(_), Some(offer)) if offer.detectors.is_subset(detectors) => offer.mutations.clone(),
                (Effect::Deny(_) | Effect::Challenge(..), _) => return Err("the masked request is not allowed".into()),
            };
            if mutations != operation.mutations {
                return Err("the permits of the masked request make other changes".into());
            }
            decided.verdict.effect = Effect::Allow(mutations);
            decided.verdict.determining.extend(operation.determining.iter().cloned());
            decided.verdict.determining.sort();
            decided.verdict.determining.dedup();
            decisions.push(decided);
        }
        let whole = batch::together(decisions).map_err(Unmasked::Failed)?;
        match whole.verdict.decision() {
            Decision::Allow => Ok(Decided { cacheability: Cacheability::Never, mask: None, ..whole }),
            _ => Err("the permits for the messages of one batch set different changes".into()),
        }
    }
}

/// Adds the reason to a denial that a mask could lift.
fn explain(decided: &mut Decided, detail: impl Into<String>) {
    match &mut decided.verdict.effect {
        Effect::Deny(denial) => denial.detail = detail.into(),
        Effect::Allow(_) | Effect::Challenge(..) => {}
    }
}

/// Whether a header depends on the exact body: the service would reject a masked one, or prove with it that it was masked.
#[must_use]
pub fn depends_on_body(name: &str, value: &[u8]) -> bool {
    let is_of_body = !name.starts_with("want-") && OF_THE_BODY.iter().any(|part| name.contains(part));
    // The signature of AWS covers the digest of the body; digests may also come behind it.
    let is_aws =
        name == "authorization" && value.trim_ascii_start().get(..5).is_some_and(|s| s.eq_ignore_ascii_case(b"AWS4-"));
    is_of_body || is_aws || name == "trailer"
}

/// The bytes of a body that can be replaced.
fn maskable(call: &Call) -> Result<&[u8], Unmasked> {
    if call.headers.iter().any(|(name, value)| depends_on_body(name, value)) {
        return Err("a header has a digest or a signature of the body".into());
    }
    match &call.body {
        Body::Complete(bytes) => Ok(bytes),
        Body::Encoded { .. } => Err("a body in a content encoding is not masked".into()),
        Body::NotSent | Body::Unproven(_) => Err("the body did not arrive completely".into()),
    }
}

fn shape(requested: &Requested) -> Result<Shape, Unmasked> {
    let is_json = |message: &inspection::Message| match message {
        inspection::Message::Json { .. } => true,
        inspection::Message::Empty | inspection::Message::Opaque => false,
    };
    let first = requested.asked.first().filter(|_| requested.messages.iter().all(is_json));
    match first.map(|asked| &asked.what) {
        Some(What::Mcp(_)) => Ok(Shape::Rpc),
        Some(What::Llm(_)) => Ok(Shape::Model),
        Some(What::A2a(_) | What::Http { .. }) => Ok(Shape::Json),
        Some(What::Grpc { .. }) | None => Err("only JSON is masked in requests".into()),
    }
}

fn recorded(shape: Shape) -> BodyShape {
    match shape {
        Shape::Json => BodyShape::Json,
        Shape::Model => BodyShape::Model,
        Shape::Rpc => BodyShape::Rpc,
    }
}

fn random() -> Option<[u8; 8]> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).ok().map(|()| random)
}

fn not_maskable(error: NotMaskable) -> Unmasked {
    match error {
        NotMaskable::Late => Unmasked::Failed(Failure::new(Code::Deadline, error.to_string())),
        NotMaskable::Body
        | NotMaskable::Name
        | NotMaskable::Number
        | NotMaskable::Sealed
        | NotMaskable::Bytes
        | NotMaskable::Nested
        | NotMaskable::Field
        | NotMaskable::Unknown
        | NotMaskable::StandIns
        | NotMaskable::Detector => Unmasked::Refused(error.to_string()),
    }
}

/// Searches the masked request once more: a mask may have made a new value, and nothing may be unread.
fn nothing_left(
    again: &Requested,
    detectors: &BTreeSet<SmolStr>,
    snapshot: &Snapshot,
    is_late: &dyn Fn() -> bool,
) -> Result<(), Unmasked> {
    let presences = snapshot.detectors().presences(|name| detectors.contains(name));
    let presences = presences.map_err(|_| "a detector cannot be run")?;
    for message in &again.messages {
        let inspected = inspection::inspect(message, &presences, is_late);
        let Inspection { found, unread } = inspected.map_err(|_| not_maskable(NotMaskable::Late))?;
        if unread.is_some() || !found.is_empty() {
            return Err("the masked request still holds a value".into());
        }
    }
    Ok(())
}

/// Whether two queries say the same, apart from findings.
fn is_same(one: &Query, other: &Query) -> bool {
    // A field that is missing here does not compile.
    let Query { principal, action, resource, context, bags, namespace } = one;
    principal == &other.principal
        && action == &other.action
        && resource == &other.resource
        && context == &other.context
        && bags == &other.bags
        && namespace == &other.namespace
}
