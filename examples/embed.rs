//! Embeds the engine: loads the sample policies, evaluates calls in this process, prints the verdicts.
//!
//! No Envoy and no port. `cargo run --example embed` prints:
//!
//! ```text
//! GET /v1/orders/7: allow policy_permit shop/storefront-reads
//! DELETE /v1/orders/7: deny no_permit
//! GET /admin/users: deny no_permit
//! GET /v1/returns: failure unmapped: the catalogue has no service `shop/returns`
//! ```

mod support;

use std::error::Error;

use picket::approval::Approvals;
use picket::entity::Entities;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // No sources of facts but the catalogue, and no approvals. `entity_source.rs` and `approval_source.rs` add them.
    let engine = support::engine("policies", Entities::over(Vec::new()), Approvals::none()).await?;
    for (method, path) in [("GET", "/v1/orders/7"), ("DELETE", "/v1/orders/7"), ("GET", "/admin/users")] {
        support::print_verdict(&engine, &support::call(method, "shop/orders", path, &[])?).await;
    }
    // A service that the catalogue does not have: a failure, which is a denial too.
    support::print_verdict(&engine, &support::call("GET", "shop/returns", "/v1/returns", &[])?).await;
    Ok(())
}
