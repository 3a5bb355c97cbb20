//! Inspects the messages of a call, where a policy reads what is in them.
//!
//! Knows: plans, detectors, messages. Must not know: protocols, verdicts.

use smol_str::SmolStr;

use super::payload::Requested;
use picket_core::content::detector_set::DetectorSet;
use picket_core::decision::allowance::Allowance;
use picket_core::failure::{Code, Failure};
use picket_core::inspection::{self, Inspection};
use picket_core::query::{ContentPlan, Query, Value, action};

/// The inspections of a call's messages: one for each operation, or one that all have in common.
#[derive(Debug, Default)]
pub(super) struct Inspections(Vec<Option<Inspection>>);

impl Inspections {
    /// Inspects every message of an operation that has its content in the context.
    ///
    /// # Errors
    /// `deadline` if a message is not read by then.
    pub fn of(
        requested: &Requested,
        plan: &ContentPlan,
        detectors: &DetectorSet,
        allowance: &Allowance<'_>,
    ) -> Result<Self, Failure> {
        if !plan.is_tested() {
            return Ok(Self::default());
        }
        let presences = detectors.presences(|name| plan.tests(name));
        let presences = presences.map_err(|error| Failure::new(Code::Internal, format!("a detector {error}")))?;
        let late = |_| Failure::new(Code::Deadline, "the message was not inspected by the deadline");
        let each = requested.messages.iter().zip(&requested.asked).map(|(message, asked)| {
            let is_seen = action::has_content(asked.action());
            is_seen.then(|| inspection::inspect(message, &presences, &|| allowance.is_over())).transpose().map_err(late)
        });
        Ok(Self(each.collect::<Result<_, _>>()?))
    }

    /// Sets the content in the query of the operation with this number.
    pub fn add_to(&self, query: &mut Query, number: usize) {
        let inspection = self.0.get(number).or(self.0.first()).and_then(Option::as_ref);
        if let Some(Inspection { found, unread }) = inspection {
            query.context.insert(SmolStr::new_static("found"), Value::texts(found.iter().cloned()));
            query.context.insert(SmolStr::new_static("inspected"), Value::Bool(unread.is_none()));
        }
    }

    /// What was found in all messages together; `None` if none was inspected.
    pub fn together(self) -> Option<Inspection> {
        self.0.into_iter().flatten().reduce(|mut all, next| {
            all.found.extend(next.found);
            all.unread = all.unread.or(next.unread);
            all
        })
    }
}
