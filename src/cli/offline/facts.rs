//! Facts that are given with a call, in place of look-ups.
//!
//! Knows: the types of `facts.cedarschema`. Must not know: files, policies.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::form;
use picket_core::decision::snapshot::FactsType;
use picket_core::failure::{Code, Failure};
use picket_core::query::{Facts, Query, Reads, Value};
use picket_server::entity::{EntitySource, Knowledge};

impl EntitySource for form::GivenFacts {
    fn name(&self) -> &'static str {
        "facts given with the call"
    }

    fn fetch<'a>(
        &'a self,
        query: &'a Query,
        known: &'a Arc<dyn Knowledge>,
        _: &'a Reads,
        _: Instant,
    ) -> BoxFuture<'a, Result<Facts, Failure>> {
        std::future::ready(self.typed(query, &**known)).boxed()
    }
}

impl form::GivenFacts {
    fn typed(&self, query: &Query, known: &dyn Knowledge) -> Result<Facts, Failure> {
        let misfit = |what: &str, why: String| {
            Failure::new(Code::EntitiesUnavailable, format!("the given facts about the {what} do not fit: {why}"))
        };
        let mut facts = Facts::default();
        // As with look-ups, a caller without identity has no facts.
        if let Some(json) = self.principal.as_ref().filter(|_| query.principal.uid.kind == "Workload") {
            let value = known.typed(FactsType::Workload, json).map_err(|why| misfit("principal", why))?;
            facts.principal.attributes.insert("facts".into(), value);
        }
        if let Some(json) = &self.resource {
            let value = known.typed(FactsType::Service, json).map_err(|why| misfit("resource", why))?;
            facts.resource.attributes.insert("facts".into(), value);
        }
        if let Some(json) = &self.call {
            let value = known.typed(FactsType::Call, json).map_err(|why| misfit("call", why))?;
            let Value::Record(fields) = value else { return Err(misfit("call", "they are not a record".to_owned())) };
            facts.call = fields;
        }
        Ok(facts)
    }
}
