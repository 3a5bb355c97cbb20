//! Chooses the entries of MCP's lists that leave: those that some call of the caller could use.
//!
//! Knows: the record of the request, the policies when the response began, declared facts. Must not know: results of lists, bodies.
//!
//! An entry is dropped only if no call of it could be allowed, and none could get a challenge. One that stays may still be denied.
//! The snapshot is that of the response's begin, also for lists that arrive on a stream after policies have changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::Instant;

use super::ResponseChecker;
use crate::check::time::Time;
use crate::entity::Entities;
use picket_core::body::mcp::ListKind;
use picket_core::decision::Snapshot;
use picket_core::decision::allowance::{Allowance, Pace};
use picket_core::decision::reachable::{Reachable, Unknown, reachable_within};
use picket_core::decision::schema::cedar_values;
use picket_core::failure::{Code, Failure};
use picket_core::mapping::list;
use picket_core::query::{Additions, Facts, Node, Query, Uid};
use picket_core::response::format::lists::Choice;

/// Time for all entries of one response, as a multiple of that of one check. A list of 10,000 tools takes a fraction of it.
const TIMES_MAX: u32 = 20;

/// Most choices that are kept: a stream may bring lists without end.
const CHOICES_MAX: usize = 65_536;

/// Chooses entries for one caller.
#[derive(Debug)]
pub struct EntryFilter {
    snapshot: Arc<Snapshot>,
    home: String,
    service: SmolStr,
    principal: Node,
    /// Whether a lookup can give another call other facts.
    has_lookups: bool,
    /// Time that is left.
    left: Duration,
    /// Choices so far: a server may repeat a name.
    chosen: HashMap<(ListKind, SmolStr), Choice>,
    evaluated: u64,
}

impl EntryFilter {
    /// Chooses by these policies. `principal` holds what they read of the caller
    /// ([`list_coverage`](picket_core::decision::release::list_coverage)).
    #[must_use]
    pub fn new(checker: &ResponseChecker, snapshot: Arc<Snapshot>, service: &str, principal: Node) -> Self {
        Self {
            snapshot,
            home: checker.home.clone(),
            service: service.into(),
            principal,
            has_lookups: checker.has_lookups,
            left: checker.evaluation_max.saturating_mul(TIMES_MAX),
            chosen: HashMap::new(),
            evaluated: 0,
        }
    }

    /// How many queries were evaluated.
    #[must_use]
    pub fn evaluated(&self) -> u64 {
        self.evaluated
    }

    /// The choice for one entry. The same for every entry of this kind and name.
    pub fn choose(&mut self, kind: ListKind, name: &str) -> Choice {
        if let Some(known) = self.chosen.get(&(kind, SmolStr::new(name))) {
            return *known;
        }
        let began = Instant::now();
        let choice = self.evaluate(kind, name, began + self.left).unwrap_or(Choice::Fail);
        self.left = self.left.saturating_sub(began.elapsed());
        if self.chosen.len() >= CHOICES_MAX {
            self.chosen.clear();
        }
        self.chosen.insert((kind, SmolStr::new(name)), choice);
        choice
    }

    fn evaluate(&mut self, kind: ListKind, name: &str, deadline: Instant) -> Result<Choice, Failure> {
        // A call of a service that the catalogue lost, or that is no MCP server any more, has no verdict.
        let service = self.snapshot.catalog().service(&self.service).filter(|service| service.mcp.is_some());
        let queries = service.map(|service| list::queries(&self.principal, service, kind, name, &self.home));
        let is_template = kind == ListKind::ResourceTemplates;
        for mut query in queries.unwrap_or_default() {
            // Such a call is refused before a policy is evaluated.
            if self.snapshot.known_spelling(&query.namespace, &query.resource.uid).is_some() {
                continue;
            }
            complete(&self.snapshot, &mut query)?;
            self.evaluated += 1;
            let time = Time { deadline, pace: Pace::Long };
            let unknown = Unknown { facts: self.has_lookups, resource: is_template };
            let best = reachable_within(&self.snapshot, &query, unknown, &Allowance::new(&time, Pace::Long))?;
            if Instant::now() >= deadline {
                return Err(Failure::new(Code::Deadline, "the entries of a list were not evaluated in time"));
            }
            match best.reachable {
                Reachable::Allowed | Reachable::Challenged => return Ok(Choice::Keep),
                Reachable::Never => {}
            }
        }
        Ok(Choice::Drop)
    }
}

/// Adds the declared facts of the resource. The record has those of the principal.
fn complete(snapshot: &Snapshot, query: &mut Query) -> Result<(), Failure> {
    let caller = std::mem::replace(&mut query.principal, Node::new(Uid::new("Unauthenticated", "")));
    let declared = Entities::declared(snapshot, query);
    query.principal = caller;
    let facts = Facts { principal: Additions::default(), ..declared? };
    cedar_values::complete(query, &facts).map_err(|detail| Failure::new(Code::EntitiesUnavailable, detail))
}
