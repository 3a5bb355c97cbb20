//! A custom source of facts: the worker on call may cancel orders.
//!
//! Implements the port [`EntitySource`]. The facts' types are in `examples/roster/facts.cedarschema`, the policy that
//! reads them is next to it. `cargo run --example entity_source` prints:
//!
//! ```text
//! DELETE /v1/orders/7: deny no_permit
//! the shift begins
//! DELETE /v1/orders/7: allow policy_permit shop/on-call-cancels-orders
//! ```

mod support;

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use picket::approval::Approvals;
use picket::decision::FactsType;
use picket::entity::{Entities, EntitySource, Knowledge};
use picket::failure::{Code, Failure};
use picket::query::{Facts, Query, Reads, Value};
use serde_json::json;
use tokio::time::Instant;

/// The workers on call. A real source would query a service, and cache its answers.
#[derive(Default)]
struct Roster(Mutex<BTreeSet<String>>);

impl EntitySource for Roster {
    /// Appears in failures and in logs.
    fn name(&self) -> &str {
        "roster"
    }

    /// Called once for each call, with what the policies of this call can read. A source that waits for a network must
    /// give up at `deadline`: late facts are a failure, and the call is denied.
    fn fetch<'a>(
        &'a self,
        query: &'a Query,
        known: &'a Arc<dyn Knowledge>,
        _reads: &'a Reads,
        _deadline: Instant,
    ) -> BoxFuture<'a, Result<Facts, Failure>> {
        let on_call = self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(query.principal.uid.id.as_str());
        async move {
            // The schema defines valid facts: a fact that does not fit is an error.
            let value = known.typed(FactsType::Call, &json!({"onCall": on_call}));
            let value = value.map_err(|why| Failure::new(Code::EntitiesUnavailable, format!("`roster`: {why}")))?;
            let Value::Record(call) = value else { return Ok(Facts::default()) };
            // `call` becomes `context.env.facts`; the principal and the resource can get attributes and groups.
            Ok(Facts { call, ..Facts::default() })
        }
        .boxed()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let roster = Arc::new(Roster::default());
    let entities = Entities::over(vec![roster.clone()]);
    let engine = support::engine("examples/roster", entities, Approvals::none()).await?;
    let cancel = support::call("DELETE", "shop/orders", "/v1/orders/7", &[])?;
    support::print_verdict(&engine, &cancel).await;

    println!("the shift begins");
    let frontend = "spiffe://cluster.local/ns/web/sa/frontend".to_owned();
    roster.0.lock().unwrap_or_else(PoisonError::into_inner).insert(frontend);
    support::print_verdict(&engine, &cancel).await;
    Ok(())
}
