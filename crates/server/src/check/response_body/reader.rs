//! Reads one body: inflates it, has it scanned, and evaluates what is found.
//!
//! Knows: one response and its body. Must not know: headers, the proxy's protocol.

use std::time::Duration;

use tokio::time::Instant;

use super::shadow::ShadowBody;
use super::{denial, format};
use crate::check::response::GuardedResponse;
use crate::check::response_phase::{Denial, Ending, Progress, QUICK_BYTES_MAX, ResponseBody, Stop};
use picket_core::response::format::Format;
use picket_core::response::inflate::{Inflater, Step};
use picket_core::response::ruling::{self, Body, End};

/// One body that is read.
pub(super) struct Reader {
    /// `None` once the outcome was reported.
    response: Option<GuardedResponse>,
    body: Box<dyn Body>,
    inflater: Option<Inflater>,
    /// Writes the document that a client gets instead of a refused one.
    format: Box<dyn Format>,
    /// The copy for policies in shadow mode.
    shadow: Option<ShadowBody>,
    held_since: Option<Instant>,
    held: Duration,
}

impl Reader {
    /// A body of which nothing was read.
    pub fn new(
        response: GuardedResponse,
        body: Box<dyn Body>,
        inflater: Option<Inflater>,
        format: Box<dyn Format>,
        shadow: Option<ShadowBody>,
    ) -> Self {
        let (held_since, held) = (None, Duration::ZERO);
        Self { response: Some(response), body, inflater, format, shadow, held_since, held }
    }

    /// Scans inflated bytes.
    fn scan(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> ruling::Progress {
        let Self { response, body, shadow, .. } = self;
        let Some(response) = response else { return ruling::Progress::Ended(End::Refused) };
        // Before the body: it has then seen everything that a refusal may be about.
        shadow.iter_mut().for_each(|shadow| shadow.push(bytes));
        if response.is_outdated()
            && let ended @ ruling::Progress::Ended(_) = body.rule_again(&mut |seen| response.rule(seen), out)
        {
            return ended;
        }
        body.push(bytes, &mut |seen| response.rule(seen), out)
    }

    fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> ruling::Progress {
        let Some(mut inflater) = self.inflater.take() else { return self.scan(bytes, out) };
        let mut inflated = Vec::new();
        let progress = loop {
            inflated.clear();
            match inflater.step(&mut bytes, &mut inflated) {
                Err(_) => break self.body.stop(End::Undecodable, out),
                Ok(Step::Idle) => break ruling::Progress::More,
                Ok(Step::Again) => {
                    if let ended @ ruling::Progress::Ended(_) = self.scan(&inflated, out) {
                        break ended;
                    }
                }
            }
        };
        self.inflater = Some(inflater);
        progress
    }

    /// Notes how long bytes are held.
    fn note_hold(&mut self) {
        match (self.body.held_bytes() > 0, self.held_since) {
            (true, None) => self.held_since = Some(Instant::now()),
            (false, Some(since)) => {
                self.held = self.held.max(since.elapsed());
                self.held_since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Reports the outcome, and returns how the body ends for the edge.
    fn ended(&mut self, end: End) -> Ending {
        self.note_hold();
        let refused = match (end, &self.response) {
            (End::Complete | End::Cut, _) => None,
            // By the format of now: it knows the reason that a policy stated.
            (_, Some(response)) => Some(denial::ended(response.refusal(), end, &mut *format::of(response))),
            (_, None) => Some(denial::ended(None, end, &mut *self.format)),
        };
        self.report(end);
        refused.map_or(Ending::Complete, Ending::Refused)
    }

    fn report(&mut self, end: End) {
        if let Some(mut response) = self.response.take() {
            if let Some(shadow) = self.shadow.take() {
                response.return_shadow(shadow.into_response());
            }
            let held = self.held_since.map_or(self.held, |since| self.held.max(since.elapsed()));
            response.finish(end, self.body.summary(), held);
        }
    }
}

impl ResponseBody for Reader {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Progress {
        let progress = self.feed(bytes, out);
        self.note_hold();
        match progress {
            ruling::Progress::More => Progress::More,
            ruling::Progress::Ended(end) => Progress::Ended(self.ended(end)),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Ending {
        let is_cut = self.inflater.as_ref().is_some_and(|inflater| inflater.finish().is_err());
        let progress = if is_cut {
            self.shadow.iter_mut().for_each(|shadow| shadow.give_up(End::Undecodable.as_str()));
            self.body.stop(End::Undecodable, out)
        } else {
            let Self { response, body, shadow, .. } = self;
            shadow.iter_mut().for_each(ShadowBody::finish);
            match response {
                Some(response) => body.finish(&mut |seen| response.rule(seen), out),
                None => ruling::Progress::Ended(End::Refused),
            }
        };
        match progress {
            ruling::Progress::Ended(end) => self.ended(end),
            // A body that goes on after its end is a defect; nothing of it may leave as if it were complete.
            ruling::Progress::More => self.ended(End::Refused),
        }
    }

    fn stop(&mut self, stop: Stop, out: &mut Vec<u8>) -> Denial {
        let end = match stop {
            Stop::HeldTooLong => End::HeldTooLong,
            Stop::Overload => End::Overload,
        };
        self.body.stop(end, out);
        match self.ended(end) {
            Ending::Refused(denial) => denial,
            Ending::Complete => denial::ended(None, end, &mut *self.format),
        }
    }

    fn held_bytes(&self) -> usize {
        self.body.held_bytes()
    }

    fn takes_long(&self, bytes: usize) -> bool {
        let is_slow = self.response.as_ref().is_some_and(GuardedResponse::takes_long);
        let copied = self.shadow.as_ref().map_or(0, ShadowBody::held_bytes);
        is_slow || bytes.max(self.held_bytes()).max(copied) > QUICK_BYTES_MAX
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.report(End::Abandoned);
    }
}
