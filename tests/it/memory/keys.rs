//! What is in the key under which a judgement is remembered, a part at a time.

use super::*;
use crate::harness::FRONTEND;

/// Calls that differ in who calls and in nothing else.
#[test]
fn two_callers_never_answer_for_each_other() {
    let runtime = Runtime::new().unwrap();
    let permit = format!("@id(\"one\") permit (principal == Workload::\"{FRONTEND}\", action, resource);");
    let twins = runtime.block_on(Twins::new(tree(&[("namespaces/shop/a.cedar", &permit)]), &Profile::default()));
    let other = orders().by("spiffe://cluster.local/ns/web/sa/other");
    let nobody = orders().by("");
    let [allowed, refused, _] = [orders(), other, nobody].map(|call| {
        let first = twins.ask(&runtime, &call.0);
        assert_eq!(twins.ask(&runtime, &call.0), first);
        first
    });
    assert!(allowed.contains("policy_permit") && refused.contains("no_permit"), "{allowed} {refused}");
    assert_eq!(twins.hits(), 3);
    twins.assert_same_records(&runtime);
}

#[test]
fn two_listeners_never_answer_for_each_other() {
    let runtime = Runtime::new().unwrap();
    let twins = runtime.block_on(Twins::new(tree(&[("namespaces/shop/a.cedar", PERMIT_ALL)]), &Profile::default()));
    let call = decoded(&orders());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let seats = [Seat::in_memory(&twins.memory), Seat::in_memory(&twins.memory)];
    let judged = seats.map(|seat| {
        let checker = checker(&twins.store, &Profile::default(), Some(seat));
        runtime.block_on(async { checker.judge(&call, deadline).done().await })
    });
    assert!(judged.iter().all(|judgement| judgement.reduced.is_some()));
    assert_eq!(twins.hits(), 0);
}

/// A call that was under way when a newer snapshot came is judged by its own.
#[test]
fn a_call_never_gets_the_answer_of_a_newer_snapshot() {
    let runtime = Runtime::new().unwrap();
    let twins = runtime.block_on(Twins::new(tree(&[("namespaces/shop/a.cedar", PERMIT_ALL)]), &Profile::default()));
    let (seat, call) = (Seat::in_memory(&twins.memory), decoded(&orders()));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let checker = checker(&twins.store, &Profile::default(), None);
    let judgement = runtime.block_on(async { checker.judge(&call, deadline).done().await });
    let snapshot = twins.store.current().unwrap();
    let (reads, settable) = (snapshot.reads("shop"), snapshot.settable_headers("shop"));
    let (profile, service) = (Profile::default(), snapshot.catalog().service("shop/orders").unwrap());
    let reduced = Reduced::of(&call, Looks { profile: &profile, service, reads, settable }).unwrap();
    let key = |snapshot| seat.key(Generations { snapshot, keys: 0 }, &reduced);
    assert!(seat.recall(&key(2)).is_none());
    seat.remember(key(2), Remembered::Judgement(judgement));
    assert!(seat.recall(&key(2)).is_some());
    assert!(seat.recall(&key(1)).is_none());
}
