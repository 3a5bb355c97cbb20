//! The response phase of a server with policies about responses: reads bodies, and writes what leaves.
//!
//! Knows: content codings, media types, rulings, the threads for long work. Must not know: the proxy's protocol, how policies
//! are evaluated ([`super::response`] does it), how detectors find anything.
//!
//! A body in a form that is not read is evaluated once, as one with an unread part, before its head leaves.

mod denial;
mod form;
mod format;
mod plans;
mod reader;
mod shadow;

use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::Instant;

use super::request_forward::RequestForwarder;
use super::response::{Begun, GuardedResponse, Refusal, Report, ResponseChecker, ResponseHead as Head};
use super::response_phase::{
    Begin, Coding as HeadCoding, Content, Forward, Guard, HeadRelease, Later, Passage, Reading, RequestStream,
    ResponseHead, ResponsePhase,
};
use crate::lanes::{self, Lane};
use form::{Form, coding, media_type};
use picket_core::call::UnixMillis;
use picket_core::decision::allowance::Pace;
use picket_core::failure::{Code, Failure};
use picket_core::identity::SpiffeId;
use picket_core::response::inflate::Inflater;
use picket_core::response::plan::Limits;
use picket_core::response::ruling::{End, Ruling, Seen, Summary};
use plans::Plans;
use reader::Reader;
use shadow::{ROOM, ShadowBody, Watcher};

/// Evaluates the responses to the calls of one listener, with their bodies.
pub struct Responses {
    checker: ResponseChecker,
    requests: RequestForwarder,
    plans: Plans,
    lane: Lane,
}

impl Responses {
    /// Evaluates with `checker`; `requests` decides about requests.
    #[must_use]
    pub fn new(checker: ResponseChecker, requests: RequestForwarder) -> Self {
        Self { checker, requests, plans: Plans::default(), lane: Lane::new() }
    }

    async fn begin_guarded(&self, head: ResponseHead, deadline: Instant) -> Begin {
        let form = Form::of(&head);
        let media_type = media_type(&head);
        let begun = {
            let of_policies = head_of(&head, form, &media_type, deadline);
            self.checker.begin(&of_policies, Pace::Quick)
        };
        let begun = match begun {
            Begun::TooLong(report) => self.begin_long((head.clone(), form, media_type.clone(), deadline), report).await,
            begun => begun,
        };
        match begun {
            Begun::Pass => Begin::Pass,
            Begun::Released => Begin::Release,
            Begun::Refuse(refusal) => Begin::Refuse(denial::of(&refusal)),
            Begun::RefuseCall(response) => Begin::Refuse(denial::of_call(&response)),
            Begun::Read(response) => self.read(*response, &head, form, &media_type),
            Begun::Watch(response) => self.watch(*response, &head, form, &media_type),
            Begun::TooLong(report) => {
                report.late();
                Begin::Refuse(denial::failed(Code::Deadline))
            }
        }
    }

    /// Evaluates on a thread for long work. Without one its report is dropped, which reports the response.
    async fn begin_long(&self, head: (ResponseHead, Form, SmolStr, Instant), report: Report) -> Begun {
        let checker = self.checker.clone();
        let work = async move {
            let (head, form, media_type, deadline) = &head;
            checker.begin_reported(&head_of(head, *form, media_type, *deadline), Pace::Long, report)
        };
        lanes::run(self.lane.clone(), work).await.unwrap_or_else(|_| Begun::Refuse(Box::new(Refusal::late())))
    }

    /// Begins to read a body.
    fn read(&self, mut response: GuardedResponse, head: &ResponseHead, form: Form, media_type: &SmolStr) -> Begin {
        if head.content == Content::Absent {
            return pass(response);
        }
        let plan = self.plans.of(response.snapshot(), &response.guard().masks, response.tested());
        let (plan, random) = match (plan, random()) {
            (Ok(plan), Some(random)) => (plan, random),
            (Err(error), _) => return fail(response, format!("a detector {error}")),
            (_, None) => return fail(response, "the system has no random numbers".to_owned()),
        };
        let Some(coding) = coding(head, form) else { return unread(response, media_type) };
        // A client could read a list in a text too.
        if response.expects_list() && !matches!(form, Form::Events | Form::Json) {
            return unread(response, media_type);
        }
        let document_max = plan.limits.document_bytes_max as u64;
        let Some(body) = form.body(plan, &response, random) else { return unread(response, media_type) };
        let leaves = match form {
            Form::Events => HeadRelease::AtOnce,
            Form::Json | Form::Text | Form::Grpc | Form::Unread => HeadRelease::WithBody,
        };
        let inflater = coding.map(|coding| Inflater::new(coding, form.inflated_max(document_max)));
        let coding = if inflater.is_some() { HeadCoding::Removed } else { HeadCoding::Kept };
        let instead = format::of(&response);
        let shadow = self.copy(&mut response, form);
        let body = Box::new(Reader::new(response, body, inflater, instead, shadow));
        Begin::Read(Reading { body, head: leaves, coding })
    }

    /// Begins to read a copy of a body that passes unread.
    fn watch(&self, mut response: GuardedResponse, head: &ResponseHead, form: Form, media_type: &SmolStr) -> Begin {
        if head.content == Content::Absent {
            return pass(response);
        }
        let coding = coding(head, form);
        if !form.is_read(&response) || coding.is_none() {
            let (seen, summary) = unread_part(media_type);
            response.rule_shadow(&seen, summary);
            return pass(response);
        }
        let passage = if response.guard().is_open() { Passage::Unchanged } else { Passage::Private };
        match self.copy(&mut response, form) {
            Some(shadow) => {
                let document_max = Limits::default().document_bytes_max as u64;
                let inflater = coding.flatten().map(|coding| Inflater::new(coding, form.inflated_max(document_max)));
                Begin::Watch(Box::new(Watcher::new(response, shadow, inflater)), passage)
            }
            None => pass(response),
        }
    }

    /// The copy of a body for the policies in shadow mode, if they read one.
    fn copy(&self, response: &mut GuardedResponse, form: Form) -> Option<ShadowBody> {
        let mut shadow = response.take_shadow()?;
        let content = shadow.content();
        let plan = self.plans.of(response.snapshot(), shadow.mask_lists(), &content.tested);
        // Nothing of a copy leaves, so its stand-ins need no random part.
        let body = plan.ok().and_then(|plan| form.body(plan, response, [0; 8]));
        let Some(body) = body else {
            shadow.give_up(Code::Internal.as_str());
            response.return_shadow(shadow);
            return None;
        };
        Some(ShadowBody::new(shadow, body, &ROOM))
    }
}

/// Reports a response that nothing reads.
fn pass(response: GuardedResponse) -> Begin {
    let is_open = response.guard().is_open();
    response.finish(End::Complete, Summary::default(), Duration::ZERO);
    if is_open { Begin::Pass } else { Begin::Release }
}

fn head_of<'a>(head: &'a ResponseHead, form: Form, media_type: &SmolStr, deadline: Instant) -> Head<'a> {
    Head {
        record: head.record.as_deref(),
        proxy: head.proxy.as_ref().map(SpiffeId::as_str).unwrap_or_default(),
        code_details: head.code_details.as_deref(),
        at: head.received_at,
        status: head.status,
        media_type: media_type.clone(),
        is_stream: form == Form::Events,
        deadline,
    }
}

fn random() -> Option<[u8; 8]> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).ok().map(|()| random)
}

fn fail(response: GuardedResponse, detail: String) -> Begin {
    Begin::Refuse(denial::of(&response.fail(Failure::new(Code::Internal, detail))))
}

/// Evaluates a body that is not read. Nothing can be masked in it.
fn unread(mut response: GuardedResponse, media_type: &SmolStr) -> Begin {
    let (seen, summary) = unread_part(media_type);
    if response.expects_list() {
        response.refuse_list();
    }
    response.rule_shadow(&seen, summary.clone());
    let end = match response.rule(&seen) {
        Ruling::Release { masks } if masks.is_empty() => End::Complete,
        Ruling::Release { .. } => End::NotMaskable,
        Ruling::Refuse => End::Refused,
    };
    let denial = denial::ended(response.refusal(), end, &mut *format::of(&response));
    response.finish(end, summary, Duration::ZERO);
    if end.is_complete() { Begin::Release } else { Begin::Refuse(denial) }
}

/// What is seen of a body that is not read.
fn unread_part(media_type: &SmolStr) -> (Seen, Summary) {
    let mut seen = Seen::default();
    // A text that is not read may hold anything; of other media policies may name the type.
    let is_text = media_type.is_empty() || media_type.starts_with("text/") || media_type.contains("json");
    if is_text {
        seen.inspected = false;
    } else {
        seen.passed.insert(media_type.clone());
    }
    (seen, Summary { frames: 1, frames_unread: 1, ..Summary::default() })
}

impl ResponsePhase for Responses {
    fn guard(&self, record: Option<&str>, proxy: Option<&SpiffeId>, at: UnixMillis) -> Guard {
        let proxy = proxy.map(SpiffeId::as_str).unwrap_or_default();
        if self.checker.is_open(record.unwrap_or_default(), proxy, at) { Guard::Open } else { Guard::Guarded }
    }

    fn forward(&self, stream: &RequestStream<'_>) -> Forward {
        self.requests.forward(stream)
    }

    fn begin(&self, head: ResponseHead, deadline: Instant) -> Later<'_, Begin> {
        Box::pin(async move {
            let begun = tokio::time::timeout_at(deadline, self.begin_guarded(head, deadline)).await;
            begun.unwrap_or_else(|_| Begin::Refuse(denial::failed(Code::Deadline)))
        })
    }
}
