//! The part of an exchange that is about the response: head, body, trailers, and what leaves of them.
//!
//! Knows: the states of a response and the filter's modes. Must not know: what a body contains.

use envoy_types::pb::envoy::service::ext_proc::v3::{HttpBody, HttpHeaders, HttpTrailers, ProcessingResponse};
use tokio::time::Instant;

use super::{Exchange, State, Unfinished};
use crate::check::response_phase::{Begin, Content, Ending, HeadRelease, Passage, Reading, ResponseHead, Stop};
use crate::envoy::ext_proc::headers::{self, Headers};
use crate::envoy::ext_proc::messages::{self, Direction, Last, PIECE_BYTES_MAX};
use crate::envoy::ext_proc::mode::{BodyMode, Modes};
use crate::envoy::ext_proc::reader::{self, Part, Reader, Step};
use crate::envoy::ext_proc::{Processor, denials, stats};

impl Exchange {
    pub(super) async fn head(
        &mut self,
        head: HttpHeaders,
        details: Option<String>,
        modes: Modes,
    ) -> Result<(), Unfinished> {
        if !matches!(self.state, State::Ahead) {
            return Err(Unfinished::Malformed("a response has a second head"));
        }
        let content = if head.end_of_stream { Content::Absent } else { Content::Follows };
        let (status, headers) = headers::head(head).ok_or(Unfinished::Malformed("a response has no status"))?;
        let head = ResponseHead {
            record: self.record.take(),
            proxy: self.proxy.clone(),
            status,
            headers: headers.clone(),
            code_details: details,
            content,
            received_at: (self.processor.clock)(),
        };
        let passing = || match content {
            Content::Absent => State::Over(Instant::now()),
            Content::Follows => State::Passing,
        };
        match begin(&self.processor, head).await {
            Begin::Pass => {
                self.state = passing();
                self.send(messages::head(Direction::Response, None)).await
            }
            Begin::Release => {
                self.state = passing();
                self.send(messages::head(Direction::Response, Some(headers::of_released(&headers)))).await
            }
            Begin::Watch(copy, passage) => {
                let mutation = match passage {
                    Passage::Unchanged => None,
                    Passage::Private => Some(headers::of_released(&headers)),
                };
                self.state = State::Watching(copy);
                self.send(messages::head(Direction::Response, mutation)).await
            }
            Begin::Refuse(denial) => self.deny(denial).await,
            Begin::Read(reading) => self.begin_reading(reading, &headers, content, modes.response).await,
        }
    }

    async fn begin_reading(
        &mut self,
        reading: Reading,
        headers: &Headers,
        content: Content,
        mode: BodyMode,
    ) -> Result<(), Unfinished> {
        if let BodyMode::Unfit(_) = mode {
            // The policies have changed since the first message.
            stats::count(&self.processor.shared.stats.unfit_modes);
            return self.deny(denials::unfit_mode()).await;
        }
        let Reading { body, head, coding } = reading;
        let mut reader = Reader::new(body, Some(headers::of_read(headers, coding)));
        match (content, head, mode) {
            (Content::Absent, _, _) => {
                let (reader, step) = reader.read(Part::Rest(Vec::new()), &self.lane).await?;
                // A body that does not exist cannot become one.
                let step = Step { out: Vec::new(), ..step };
                return self.after_bodiless(reader, step).await;
            }
            // Envoy holds the head until the whole body is answered.
            (Content::Follows, HeadRelease::AtOnce, _) | (Content::Follows, _, BodyMode::Whole) => {
                self.send(messages::head(Direction::Response, reader.head.take())).await?;
            }
            (Content::Follows, HeadRelease::WithBody, _) => {}
        }
        self.state = State::Reading(reader);
        Ok(())
    }

    async fn after_bodiless(&mut self, mut reader: Reader, step: Step) -> Result<(), Unfinished> {
        match step.ending {
            Some(Ending::Refused(denial)) => self.deny(denial).await,
            Some(Ending::Complete) | None => {
                self.state = State::Over(Instant::now());
                self.send(messages::head(Direction::Response, reader.head.take())).await
            }
        }
    }

    pub(super) async fn body(&mut self, body: HttpBody, mode: BodyMode) -> Result<(), Unfinished> {
        let HttpBody { body, end_of_stream, .. } = body;
        match std::mem::replace(&mut self.state, State::Over(Instant::now())) {
            State::Ahead => Err(Unfinished::Malformed("a body came before its head")),
            State::Over(_) => Ok(()),
            State::Passing => {
                // In other modes the trailers may follow after a piece that is the last one.
                if !end_of_stream {
                    self.state = State::Passing;
                }
                self.send(messages::passed(Direction::Response, mode, body, Last::of(end_of_stream))).await
            }
            State::Watching(copy) => {
                // Nothing waits for the copy: what it reads has left.
                let piece = body.clone();
                self.send(messages::passed(Direction::Response, mode, body, Last::of(end_of_stream))).await?;
                let copy = reader::watch(copy, part_of(piece, end_of_stream, mode), &self.lane).await;
                if !end_of_stream {
                    self.state = copy.map_or(State::Passing, State::Watching);
                }
                Ok(())
            }
            State::Reading(reader) => {
                let part = part_of(body, end_of_stream, mode);
                let (reader, step) = reader.read(part, &self.lane).await?;
                self.after(reader, step, None, mode).await
            }
        }
    }

    pub(super) async fn trailers(&mut self, trailers: HttpTrailers, mode: BodyMode) -> Result<(), Unfinished> {
        match std::mem::replace(&mut self.state, State::Over(Instant::now())) {
            State::Ahead => Err(Unfinished::Malformed("trailers came before their head")),
            State::Over(_) => Ok(()),
            State::Passing => self.send(messages::trailers(Direction::Response, None)).await,
            State::Watching(copy) => {
                self.send(messages::trailers(Direction::Response, None)).await?;
                let _ended = reader::watch(copy, Part::Rest(Vec::new()), &self.lane).await;
                Ok(())
            }
            State::Reading(reader) => {
                let (reader, step) = reader.read(Part::Rest(Vec::new()), &self.lane).await?;
                let mutation = headers::of_read_trailers(trailers);
                self.after(reader, step, Some(messages::trailers(Direction::Response, Some(mutation))), mode).await
            }
        }
    }

    /// Ends a response that holds too much, or for too long.
    pub(super) async fn stop(&mut self, stop: Stop) -> Result<(), Unfinished> {
        let State::Reading(mut reader) = std::mem::replace(&mut self.state, State::Over(Instant::now())) else {
            return Ok(());
        };
        if stop == Stop::Overload {
            stats::count(&self.processor.shared.stats.sheds);
        }
        let step = reader.stop(stop)?;
        self.after_duplex(reader, step, None).await
    }

    /// Sends what came of a part; `trailers` are the answer to trailers that end the body.
    async fn after(
        &mut self,
        reader: Reader,
        step: Step,
        trailers: Option<ProcessingResponse>,
        mode: BodyMode,
    ) -> Result<(), Unfinished> {
        match (mode, step.ending) {
            (BodyMode::Whole, Some(Ending::Refused(denial))) => self.deny(denial).await,
            (BodyMode::Whole, Some(Ending::Complete) | None) => match trailers {
                // The body of a response without one: only its trailers came.
                Some(trailers) => self.send(trailers).await,
                None => self.send(messages::whole(step.out)).await,
            },
            (BodyMode::Duplex | BodyMode::Unfit(_), ending) => {
                let step = Step { out: step.out, ending };
                self.after_duplex(reader, step, trailers).await
            }
        }
    }

    async fn after_duplex(
        &mut self,
        mut reader: Reader,
        step: Step,
        trailers: Option<ProcessingResponse>,
    ) -> Result<(), Unfinished> {
        let Step { out, ending } = step;
        let has_ended = ending.is_some();
        if has_ended {
            self.held.clear();
        }
        if let (Some(Ending::Refused(denial)), true) = (ending, reader.head.is_some()) {
            return self.deny(denial).await;
        }
        if let Some(mutation) = reader.head.take_if(|_| has_ended || !out.is_empty()) {
            self.send(messages::head(Direction::Response, Some(mutation))).await?;
        }
        let ends_here = Last::of(has_ended && trailers.is_none());
        self.pieces(&out, ends_here).await?;
        if let Some(trailers) = trailers {
            return self.send(trailers).await;
        }
        if has_ended {
            return Ok(());
        }
        let is_full = self.held.set(reader.held_bytes()).is_err();
        self.state = State::Reading(reader);
        if is_full { Box::pin(self.stop(Stop::Overload)).await } else { Ok(()) }
    }

    /// Sends bytes of a body in pieces that Envoy takes.
    async fn pieces(&mut self, out: &[u8], last: Last) -> Result<(), Unfinished> {
        let mut pieces = out.chunks(PIECE_BYTES_MAX).peekable();
        if pieces.peek().is_none() && last == Last::Yes {
            return self.send(messages::piece(Direction::Response, Vec::new(), last)).await;
        }
        while let Some(piece) = pieces.next() {
            let last = if pieces.peek().is_some() { Last::No } else { last };
            self.send(messages::piece(Direction::Response, piece.to_vec(), last)).await?;
        }
        Ok(())
    }
}

fn part_of(body: Vec<u8>, end_of_stream: bool, mode: BodyMode) -> Part {
    if end_of_stream || mode == BodyMode::Whole { Part::Rest(body) } else { Part::Some(body) }
}

/// What happens to the response; it is refused where that is not known in time.
async fn begin(processor: &Processor, head: ResponseHead) -> Begin {
    let deadline = Instant::now() + processor.settings.deadline;
    match tokio::time::timeout_at(deadline, processor.phase.begin(head, deadline)).await {
        Ok(begin) => begin,
        Err(_elapsed) => Begin::Refuse(denials::late()),
    }
}
