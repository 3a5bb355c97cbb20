//! A response that is read: hands its body over, where no other call waits for that.
//!
//! Knows: which work takes long, and for how long bytes are held. Must not know: the proxy's messages.

use std::panic::{AssertUnwindSafe, catch_unwind};

use envoy_types::pb::envoy::service::ext_proc::v3::HeaderMutation;
use tokio::time::Instant;

use crate::check::response_phase::{BodyCopy, Denial, Ending, Progress, ResponseBody, Stop};
use crate::lanes::{self, Broken, Lane};

/// The body of a response, and its head as long as that waits.
pub(super) struct Reader {
    body: Box<dyn ResponseBody>,
    /// The changes to the head; `None` once it has left.
    pub head: Option<HeaderMutation>,
    held_since: Option<Instant>,
}

/// What came of a part of a body.
pub(super) struct Step {
    /// The bytes that may leave.
    pub out: Vec<u8>,
    /// How the body ended, if it did.
    pub ending: Option<Ending>,
}

/// A part of a body.
pub(super) enum Part {
    /// Bytes, and more may follow.
    Some(Vec<u8>),
    /// The last bytes.
    Rest(Vec<u8>),
}

/// Reading panicked, or no thread could be started for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    Panicked,
    NoThread,
}

impl Reader {
    pub fn new(body: Box<dyn ResponseBody>, head: Option<HeaderMutation>) -> Self {
        Self { body, head, held_since: None }
    }

    /// Since when bytes are held without a pause.
    pub fn held_since(&self) -> Option<Instant> {
        self.held_since
    }

    /// Bytes that are held now.
    pub fn held_bytes(&self) -> usize {
        self.body.held_bytes()
    }

    /// Hands a part over: at once, or in `lane` if that takes long.
    pub async fn read(mut self, part: Part, lane: &Lane) -> Result<(Self, Step), Failed> {
        let bytes = match &part {
            Part::Some(bytes) | Part::Rest(bytes) => bytes.len(),
        };
        let step = if self.body.takes_long(bytes) {
            let Self { mut body, head, held_since } = self;
            let reading = lanes::run(lane.clone(), async move {
                let step = step(body.as_mut(), &part);
                (body, step)
            });
            let (body, step) = reading.await.map_err(Failed::of)?;
            self = Self { body, head, held_since };
            step
        } else {
            let body = self.body.as_mut();
            catch_unwind(AssertUnwindSafe(|| step(body, &part))).map_err(|_panic| Failed::Panicked)?
        };
        self.held_since = match (self.held_bytes(), step.out.is_empty()) {
            (0, _) => None,
            (_, true) => self.held_since.or_else(|| Some(Instant::now())),
            (_, false) => Some(Instant::now()),
        };
        Ok((self, step))
    }

    /// Ends the body before its end.
    pub fn stop(&mut self, stop: Stop) -> Result<Step, Failed> {
        let mut out = Vec::new();
        let body = self.body.as_mut();
        let stopped: Result<Denial, _> = catch_unwind(AssertUnwindSafe(|| body.stop(stop, &mut out)));
        let denial = stopped.map_err(|_panic| Failed::Panicked)?;
        Ok(Step { out, ending: Some(Ending::Refused(denial)) })
    }
}

/// Hands a part of a copy over; `None` if reading it failed. At the end of the body its drop reports the response.
pub(super) async fn watch(copy: Box<dyn BodyCopy>, part: Part, lane: &Lane) -> Option<Box<dyn BodyCopy>> {
    let bytes = match &part {
        Part::Some(bytes) | Part::Rest(bytes) => bytes.len(),
    };
    let is_long = copy.takes_long(bytes);
    let read = move || {
        let mut copy = copy;
        match part {
            Part::Some(bytes) => copy.push(&bytes),
            Part::Rest(bytes) => {
                copy.push(&bytes);
                copy.finish();
            }
        }
        copy
    };
    if is_long {
        return lanes::run(lane.clone(), async move { read() }).await.ok();
    }
    catch_unwind(AssertUnwindSafe(read)).ok()
}

impl Failed {
    pub fn of(broken: Broken) -> Self {
        match broken {
            Broken::Panicked(_) => Self::Panicked,
            Broken::NoThread => Self::NoThread,
        }
    }
}

fn step(body: &mut dyn ResponseBody, part: &Part) -> Step {
    let mut out = Vec::new();
    let (bytes, is_rest) = match part {
        Part::Some(bytes) => (bytes, false),
        Part::Rest(bytes) => (bytes, true),
    };
    let ending = match body.push(bytes, &mut out) {
        Progress::Ended(ending) => Some(ending),
        Progress::More if is_rest => Some(body.finish(&mut out)),
        Progress::More => None,
    };
    Step { out, ending }
}
