//! Headers in the proxy's name, which any caller can write.

use tokio::runtime::Runtime;

use super::holds;
use crate::harness::direct::Direct;
use crate::harness::orders;

/// Reads the header that the caller names: no literal key shows the loader which.
const BY_NAME: &str = r#"
permit (principal, action == Action::"GET", resource) when {
    context.http.query.hasTag("h") && context.http.headers.hasTag(context.http.query.getTag("h"))
};
"#;

#[test]
fn p13_no_policy_sees_what_a_caller_writes_in_the_proxys_name() {
    let runtime = Runtime::new().unwrap();
    let direct = runtime.block_on(Direct::new(&[("namespaces/shop/a.cedar", BY_NAME)]));
    let is_allowed = |name: &str| {
        let mut check = orders().header(name, "10.0.0.1");
        check.http().path = format!("/v1/orders/1?h={name}");
        runtime.block_on(direct.judged(check.0)).1.is_allow()
    };
    assert!(is_allowed("x-envoyed") && is_allowed("x-role"), "other headers are seen");
    holds(300, "x[-_]envoy[-_][a-z0-9_-]{0,24}", |name| assert!(!is_allowed(&name), "{name} is seen"));
}
