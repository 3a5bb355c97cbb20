//! Evaluations that are ready at once, and those that are pending.

use std::sync::Arc;
use std::time::Duration;

use picket::check::cache::{Admission, CheckCache, ListenerCache};
use picket::check::{Checker, Evaluation, Judge as _, Profile};
use picket::envoy::decode;
use tokio::runtime::Runtime;

use super::{Twins, checker};
use crate::harness::{Check, FRONTEND, PERMIT_ALL, check};
use crate::support::{NOW, tree};

/// Whether the evaluation of a call is ready or pending.
fn pace(runtime: &Runtime, checker: &Checker, check: &Check) -> &'static str {
    let call = decode::call(&decode::CheckView::of(&check.0), decode::Limits::default(), NOW).unwrap();
    let judging = checker.judge(&call, tokio::time::Instant::now() + Duration::from_secs(30));
    let pace = match &judging {
        Evaluation::Ready(_) => "known",
        Evaluation::Pending(_) => "pending",
    };
    assert!(runtime.block_on(judging.done()).result.is_ok());
    pace
}

#[test]
fn an_evaluation_is_pending_for_hot_namespaces_and_calls_with_more_to_read() {
    let runtime = Runtime::new().unwrap();
    let crowd: String = (0..30).map(|n| PERMIT_ALL.replace("all", &format!("p{n}"))).collect();
    let files = [("namespaces/shop/a.cedar", crowd.as_str()), ("namespaces/pay/a.cedar", PERMIT_ALL)];
    let twins = runtime.block_on(Twins::new(tree(&files), &Profile::default()));
    let memory = Arc::new(CheckCache::new(Admission::SecondSight));
    let checker = checker(&twins.store, &Profile::default(), Some(ListenerCache::new(&memory)));
    let to = |service: &str, path: &str| check("GET", path).service(service).by(FRONTEND);
    let asked = |service, path| pace(&runtime, &checker, &to(service, path));
    assert_eq!(asked("shop/orders", "/1"), "known", "nobody can know yet");
    assert_eq!(asked("shop/orders", "/2"), "pending");
    assert_eq!([asked("pay/billing", "/1"), asked("pay/billing", "/2")], ["known", "known"], "another namespace");
    assert_eq!([asked("shop/orders", "/1"), asked("shop/orders", "/1")], ["pending", "known"]);
}
