//! The key of a cached result, a part at a time.

use super::*;
use crate::harness::FRONTEND;

/// Both calls of a row are cached, and the policy distinguishes them by the part in question alone.
#[test]
fn calls_that_differ_in_one_part_never_answer_for_each_other() {
    let runtime = Runtime::new().unwrap();
    let by_caller = format!("principal == Workload::\"{FRONTEND}\"");
    let with = |change: fn(&mut Check)| {
        let mut check = orders();
        change(&mut check);
        check
    };
    let at = |path: &str| {
        let mut check = orders();
        check.http().path = path.to_owned();
        check
    };
    let rows = [
        ("caller", by_caller.as_str(), orders(), orders().by("spiffe://cluster.local/ns/web/sa/other")),
        ("no caller", &by_caller, orders(), orders().by("")),
        (
            "header",
            r#"context.http.headers.hasTag("x-role") && context.http.headers.getTag("x-role") == "admin""#,
            orders().header("x-role", "admin"),
            orders().header("x-role", "user"),
        ),
        ("path", r#"context.http.path == "/v1/orders/1""#, orders(), at("/v1/orders/2")),
        (
            "query",
            r#"context.http.query.hasTag("key") && context.http.query.getTag("key") == "1""#,
            at("/v1/orders/1?key=1"),
            at("/v1/orders/1?key=2"),
        ),
        ("method", r#"action == Action::"GET""#, orders(), with(|check| check.http().method = "DELETE".to_owned())),
        (
            "host",
            r#"context.http.host == "one.shop""#,
            with(|check| check.http().host = "one.shop".to_owned()),
            with(|check| check.http().host = "two.shop".to_owned()),
        ),
        (
            "address",
            r#"context.env has sourceIp && context.env.sourceIp == ip("10.0.0.1")"#,
            from(orders(), Some("10.0.0.1")),
            from(orders(), Some("10.0.0.2")),
        ),
    ];
    for (part, condition, one, other) in rows {
        let policy =
            format!("@id(\"one\") permit (principal, action in Action::\"any\", resource) when {{ {condition} }};");
        let twins = runtime.block_on(Twins::new(tree(&[("namespaces/shop/a.cedar", &policy)]), &Profile::default()));
        let [allowed, refused] = [one, other].map(|call| {
            let first = twins.ask(&runtime, &call.0);
            assert_eq!(twins.ask(&runtime, &call.0), first, "{part}");
            first
        });
        assert!(allowed.contains("policy_permit"), "{part}: {allowed}");
        assert!(refused.contains("no_permit"), "{part}: {refused}");
        assert_eq!(twins.hits(), 2, "{part}");
        twins.assert_same_records(&runtime);
    }
}

/// Values that are sent under a name that a policy can set or remove are in the key, though no policy reads them.
#[test]
fn calls_that_differ_in_what_is_replaced_or_refused_never_answer_for_each_other() {
    let runtime = Runtime::new().unwrap();
    let policies = r#"
        @id("told") @set_query("tenant=acme") @remove_query("debug") @remove_headers("x-debug")
        permit (principal, action in Action::"read", resource);
        @id("untold") permit (principal, action in Action::"write", resource);"#;
    let twins = runtime.block_on(Twins::new(tree(&[("namespaces/shop/a.cedar", policies)]), &Profile::default()));
    let at = |method: &str, query: &str| {
        let mut check = orders();
        check.http().method = method.to_owned();
        check.http().path = format!("/v1/orders/1{query}");
        check
    };
    let rows = [
        at("PUT", ""),
        at("PUT", "?tenant=evil"),
        at("PUT", "?%74enant=evil"),
        at("GET", ""),
        at("GET", "?tenant=evil"),
        at("GET", "?Tenant=evil"),
        at("GET", "?debug=1"),
        at("GET", "?%64ebug=1"),
        at("GET", "").header("x_debug", "1"),
        at("GET", "").header("x.debug", "1"),
    ];
    // Both services give the same answers, first and again, so the one with a cache gave no call another's answer.
    let first: Vec<String> = rows.iter().map(|check| twins.ask(&runtime, &check.0)).collect();
    for (check, first) in rows.iter().zip(&first) {
        assert_eq!(twins.ask(&runtime, &check.0), *first);
    }
    let refused: Vec<bool> = first.iter().map(|answer| answer.contains("query_refused")).collect();
    assert_eq!(refused, [false, false, true, false, false, true, false, true, false, false]);
    assert_ne!(first[0], first[1], "a key that could have been set is stripped");
    for (answer, sent) in [(&first[8], "x_debug"), (&first[9], "x.debug")] {
        assert!(answer.contains(sent), "`{sent}` is left: {answer}");
    }
}

#[test]
fn two_listeners_never_answer_for_each_other() {
    let runtime = Runtime::new().unwrap();
    let twins = runtime.block_on(Twins::new(tree(&[("namespaces/shop/a.cedar", PERMIT_ALL)]), &Profile::default()));
    let call = decoded(&orders());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let listeners = [ListenerCache::new(&twins.memory), ListenerCache::new(&twins.memory)];
    let judged = listeners.map(|cache| {
        let checker = checker(&twins.store, &Profile::default(), Some(cache));
        runtime.block_on(async { checker.judge(&call, deadline).done().await })
    });
    assert!(judged.iter().all(|judgement| judgement.reduced.is_some()));
    assert_eq!(twins.hits(), 0);
}

/// A call that was in flight when a newer snapshot was loaded is evaluated by its own.
#[test]
fn a_call_never_gets_the_answer_of_a_newer_snapshot() {
    let runtime = Runtime::new().unwrap();
    let twins = runtime.block_on(Twins::new(tree(&[("namespaces/shop/a.cedar", PERMIT_ALL)]), &Profile::default()));
    let (cache, call) = (ListenerCache::new(&twins.memory), decoded(&orders()));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let checker = checker(&twins.store, &Profile::default(), None);
    let judgement = runtime.block_on(async { checker.judge(&call, deadline).done().await });
    let snapshot = twins.store.current().unwrap();
    let (family, changeable) = (Family::Get, snapshot.changeable("shop"));
    let reads = snapshot.reads("shop/orders", family);
    let (profile, service) = (Profile::default(), snapshot.catalog().service("shop/orders").unwrap());
    let reduced =
        CacheKeyParts::of(&call, Relevance { profile: &profile, service, family, reads, changeable }).unwrap();
    let key = |snapshot| cache.key(Versions { snapshot, keys: 0 }, &reduced);
    assert!(cache.get(&key(2)).is_none());
    cache.insert(key(2), Entry::Judgement(judgement));
    assert!(cache.get(&key(2)).is_some());
    assert!(cache.get(&key(1)).is_none());
}

/// Every place that a profile reads for tokens is in the key: a cached answer to a call without a credential never
/// answers the same call with one.
#[test]
fn a_call_with_a_credential_never_gets_the_answer_of_one_without() {
    let runtime = Runtime::new().unwrap();
    let reads_length = r#"@id("length") forbid (principal, action == Action::"POST", resource)
        when { context.http.headers.hasTag("content-length") && context.http.headers.getTag("content-length") == "9" };"#;
    let tree = tree(&[("namespaces/shop/a.cedar", PERMIT_ALL), ("namespaces/shop/b.cedar", reads_length)]);
    let twins = runtime.block_on(Twins::new(tree, &crate::credentials::profile()));
    let post = || {
        let mut check = orders();
        check.http().method = "POST".to_owned();
        check
    };
    let at = |query: &str| {
        let mut check = orders();
        check.http().path = format!("/v1/orders/1?{query}");
        check
    };
    let form = "application/x-www-form-urlencoded";
    let rows = [
        (orders(), orders().header("authorization", "Bearer a.b.c")),
        (orders(), orders().header("x-token", "opaque")),
        (orders(), orders().header("x_token", "opaque")),
        (orders().header("cookie", "a=b"), orders().header("cookie", "a=b; sid=opaque")),
        (at("a=b"), at("a=b&tok=opaque")),
        (at("a=b"), at("a=b&access%5Ftoken=opaque")),
        (post().header("content-type", "application/json"), post().header("content-type", form)),
        (post(), post().header("transfer-encoding", "chunked")),
        (post(), post().header("content_type", form)),
    ];
    for (without, with) in rows {
        let hits = twins.hits();
        for _ in 0..2 {
            assert!(twins.ask(&runtime, &without.0).contains("policy_permit"), "{without:?}");
            let answer = twins.ask(&runtime, &with.0);
            assert!(answer.contains("token_rejected") || answer.contains("body_incomplete"), "{with:?}: {answer}");
        }
        assert!(twins.hits() > hits, "the call without a credential is remembered: {without:?}");
    }
    // A body of another type does not count as a form, also if a policy reads only its length.
    let hits = twins.hits();
    let json = post().header("content-type", "application/json").header("content-length", "5");
    for _ in 0..3 {
        assert!(twins.ask(&runtime, &json.0).contains("policy_permit"));
    }
    assert!(twins.hits() > hits, "a body that is no form is remembered");
    twins.assert_same_records(&runtime);
}
