//! Properties of every response; whole responses are in `goldens`.

mod forms;
mod goldens;

use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use expect_test::expect;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use std::collections::BTreeSet;

use picket_core::call::{Body, CanonicalPath, Headers, Host, Peer, Target, UnixMillis};
use picket_core::decision::snapshot::Tree;
use picket_core::decision::{Snapshot, Verdict};
use picket_core::obligation::Changeable;

/// Loading takes its time in a debug build; one is enough for all tests.
static EMPTY: std::sync::LazyLock<Option<std::sync::Arc<Snapshot>>> =
    std::sync::LazyLock::new(|| Snapshot::load(&Tree::default(), None).snapshot);

fn call(target: Target, headers: &[(&str, &str)]) -> Call {
    let headers = headers.iter().copied();
    Call {
        peer: Peer::default(),
        method: "GET".to_owned(),
        scheme: "https".to_owned(),
        host: Host::parse("orders.shop").unwrap(),
        target,
        path_sent: "/".to_owned(),
        upgrade: None,
        headers: Headers::raw(headers),
        body: Body::NotSent,
        extensions: Default::default(),
        verified_tokens: Default::default(),
        received_at: UnixMillis(1),
    }
}

fn get(headers: &[(&str, &str)]) -> Call {
    call(Target::Path { path: CanonicalPath::parse("/").unwrap(), query: None }, headers)
}

fn judgement(result: Result<Effect, Code>) -> Judgement {
    let verdict =
        |effect| Verdict { effect, determining: vec!["shop/a".to_owned()], errors: Vec::new(), would_be: None };
    Judgement {
        result: result.map(verdict).map_err(|code| Failure::new(code, "secret detail")),
        identity: None,
        service: Some("shop/orders".to_owned()),
        protocol: None,
        query: None,
        snapshot: EMPTY.clone(),
        reply: picket_core::denial_format::DenialFormat::Plain,
        document: None,
        reduced: None,
        is_too_long: false,
        prepared: Default::default(),
        digest: None,
        content: None,
        masked: Default::default(),
        release: None,
    }
}

/// The answer with an id that is the same in every run.
fn answer(judgement: Judgement, call: Option<&Call>, caller: Caller) -> Answer {
    super::answer(Arc::new(judgement), Uuid::from_u128(0x7f3c), call, caller)
}

fn denial(status: Option<u16>, public_reason: Option<&str>) -> Denial {
    let public_reason = public_reason.map(str::to_owned);
    Denial { reason: Reason::PolicyForbid, status, public_reason, detail: "secret detail".to_owned() }
}

fn map<const N: usize, M: FromIterator<(String, String)>>(pairs: [(&str, &str); N]) -> M {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_code_has_its_row() {
    let row = |code: &Code| {
        let http = answer(judgement(Err(*code)), None, Caller::Http);
        let grpc = answer(judgement(Err(*code)), None, Caller::Grpc);
        let defers = if deferrable(&http.judgement).is_some() { " deferrable" } else { "" };
        let rpc = http.response().unwrap().status.unwrap().code;
        format!("{} {} grpc {} rpc {rpc}{defers}\n", code.as_str(), http.status, grpc.status)
    };
    expect![[r#"
        malformed_request 400 grpc 403 rpc 7
        tcp_unsupported 403 grpc 403 rpc 7
        path_refused 400 grpc 403 rpc 7
        host_refused 400 grpc 403 rpc 7
        query_refused 400 grpc 403 rpc 7
        header_duplicated 400 grpc 403 rpc 7
        header_refused 400 grpc 403 rpc 7
        too_large 431 grpc 403 rpc 7
        method_override 400 grpc 403 rpc 7
        body_incomplete 413 grpc 403 rpc 7
        body_encoded 415 grpc 403 rpc 7
        body_refused 400 grpc 403 rpc 7
        message_refused 400 grpc 403 rpc 7
        header_mismatch 400 grpc 403 rpc 7
        version_refused 400 grpc 403 rpc 7
        rpc_method_unknown 404 grpc 403 rpc 7
        stream_refused 403 grpc 403 rpc 7
        method_not_allowed 405 grpc 403 rpc 7
        number_refused 400 grpc 403 rpc 7
        connect_refused 403 grpc 403 rpc 7
        upgrade_refused 403 grpc 403 rpc 7
        peer_rejected 403 grpc 403 rpc 7
        xfcc_rejected 403 grpc 403 rpc 7
        trust_domain_refused 403 grpc 403 rpc 7
        token_rejected 401 grpc 401 rpc 16
        token_expired 401 grpc 401 rpc 16
        token_not_bound 403 grpc 403 rpc 7
        token_repeated 400 grpc 403 rpc 7
        task_rejected 403 grpc 403 rpc 7
        task_expired 403 grpc 403 rpc 7
        task_not_bound 403 grpc 403 rpc 7
        unmapped 403 grpc 403 rpc 7
        protocol_mismatch 400 grpc 403 rpc 7
        release_too_large 403 grpc 403 rpc 7
        release_foreign 403 grpc 403 rpc 7
        approval_used 403 grpc 403 rpc 7
        query_invalid 400 grpc 403 rpc 7
        bundle_invalid 503 grpc 503 rpc 14
        entities_unavailable 503 grpc 503 rpc 14 deferrable
        keys_unavailable 503 grpc 503 rpc 14 deferrable
        deadline 503 grpc 503 rpc 14 deferrable
        overload 503 grpc 503 rpc 14 deferrable
        not_ready 503 grpc 503 rpc 14 deferrable
        internal 503 grpc 503 rpc 14 deferrable
    "#]]
    .assert_eq(&Code::ALL.iter().map(row).collect::<String>());
}

#[test]
fn p45_two_denials_differ_by_id_and_public_code_only() {
    let body = |result: Result<Effect, Code>, caller| match answer(judgement(result), Some(&get(&[])), caller)
        .response()
        .unwrap()
        .http_response
    {
        Some(HttpResponse::DeniedResponse(denied)) => (denied.status, denied.headers, denied.body),
        other => panic!("{other:?}"),
    };
    for caller in [Caller::Http, Caller::Grpc] {
        let plain = body(Ok(Effect::Deny(denial(None, None))), caller);
        let mut other = denial(None, None);
        other.reason = Reason::NoPermit;
        assert_eq!(plain, body(Ok(Effect::Deny(other)), caller));
        for code in [Code::PeerRejected, Code::XfccRejected, Code::Unmapped, Code::TokenNotBound] {
            assert_eq!(plain, body(Err(code), caller), "{code:?}");
        }
        assert!(!plain.2.contains("secret") && !plain.2.contains("shop"), "{}", plain.2);
    }
}

#[test]
fn statuses_that_are_no_denial_never_slip_out() {
    for status in [0, 100, 200, 302, 399, 500, 600, 700, u16::MAX] {
        let answer = answer(judgement(Ok(Effect::Deny(denial(Some(status), None)))), None, Caller::Http);
        assert_eq!(answer.status, 403, "{status}");
    }
}

#[test]
fn an_allow_that_cannot_be_carried_out_is_a_failure() {
    let allow = || judgement(Ok(Effect::Allow(Mutations::default())));
    let rows = [
        answer(allow(), None, Caller::Http),
        answer(Judgement { snapshot: None, ..allow() }, Some(&get(&[])), Caller::Http),
        answer(Judgement { service: None, ..allow() }, Some(&get(&[])), Caller::Http),
    ];
    for answer in rows {
        assert_eq!(answer.judgement.result.as_ref().unwrap_err().code, Code::Internal);
        assert_eq!((answer.status, answer.response().unwrap().status.unwrap().code), (503, UNAVAILABLE));
    }
}

/// What becomes of mutations on an ordinary GET: the reason, if it is a denial.
fn unmet(mutations: Mutations, call: &Call) -> Option<(Reason, String)> {
    let answer = answer(judgement(Ok(Effect::Allow(mutations))), Some(call), Caller::Http);
    assert_eq!(
        answer.status == 200,
        matches!(answer.response().unwrap().http_response, Some(HttpResponse::OkResponse(_)))
    );
    match answer.judgement.result.clone().unwrap().effect {
        Effect::Allow(_) => None,
        Effect::Deny(denial) | Effect::Challenge(_, denial) => Some((denial.reason, denial.detail)),
    }
}

#[test]
fn p18_p31_p37_a_mutation_that_cannot_be_carried_out_denies() {
    let set = |name: &str, value: &str| Mutations { set_headers: map([(name, value)]), ..Mutations::default() };
    let query = |key: &str, value: &str| Mutations { set_query: map([(key, value)]), ..Mutations::default() };
    let both = Mutations { remove_headers: names(["x-a"]), ..set("x-a", "1") };
    let rows = [
        set("x-a", "a\r\nx: y"),
        set("x-a", "\0"),
        set("x-a", "\u{e9}"),
        set("X-A", "1"),
        set("x a", "1"),
        set("", "1"),
        set(":path", "/admin"),
        set("host", "other"),
        set("content-length", "0"),
        set("transfer-encoding", "chunked"),
        set("content_length", "0"),
        set("connection", "x"),
        set("te", "x"),
        set("upgrade", "x"),
        Mutations { response_headers: map([("x-a", "a\nb")]), ..Mutations::default() },
        Mutations { remove_headers: names([":path"]), ..Mutations::default() },
        Mutations { remove_headers: names(["host"]), ..Mutations::default() },
        Mutations { metadata: map([("decision", "allow")]), ..Mutations::default() },
        query("a", "b&admin=1"),
        query("a", "b#"),
        query("a", "%zz"),
        query("", "b"),
        query("a=b", "c"),
        both,
    ];
    for mutations in rows {
        let shown = format!("{mutations:?}");
        let (reason, detail) = unmet(mutations, &get(&[])).expect(&shown);
        assert_eq!(reason, Reason::ObligationUnmet, "{shown}");
        assert!(!detail.contains(['\r', '\n', '\0']), "{detail}");
    }
    let connect = call(Target::Authority, &[]);
    assert!(unmet(query("a", "b"), &connect).is_some());
    assert!(unmet(Mutations { remove_query: names(["a"]), ..Mutations::default() }, &connect).is_some());
    assert_eq!(unmet(query("a", "b"), &get(&[])), None);
    assert_eq!(unmet(set("x-a", "a=\"b\", c"), &connect), None);
}

#[test]
fn p32_more_than_the_caps_denies() {
    let many = |count: usize, bytes: usize| Mutations {
        set_headers: (0..count).map(|n| (format!("x-{n:03}"), "a".repeat(bytes))).collect(),
        ..Mutations::default()
    };
    assert_eq!(unmet(many(64, 10), &get(&[])), None);
    assert!(unmet(many(65, 0), &get(&[])).is_some());
    assert_eq!(unmet(many(1, 16 * 1024 - 5), &get(&[])), None);
    assert!(unmet(many(1, 16 * 1024 - 4), &get(&[])).is_some());
}

#[test]
fn p15_headers_that_policies_can_set_are_set_or_stripped() {
    let headers = [
        ("x-picket-user", "admin"),
        ("x_picket_user", "admin"),
        ("x-picket_role", "admin"),
        ("x-team", "red"),
        ("x_team", "red"),
        ("x-other", "kept"),
        ("x-picketing", "kept"),
    ];
    let changeable = Changeable { set_headers: names(["x-team", "x-caller", "host"]), ..Changeable::default() };
    let strip = |mutations: &Mutations| {
        mutations::ok_response(mutations, &get(&headers), &changeable).unwrap().headers_to_remove.join(" ")
    };
    let none = "x-caller x-picket-user x-picket_role x-team x_picket_user x_team";
    assert_eq!(strip(&Mutations::default()), none);
    let set = Mutations { set_headers: map([("x-team", "web")]), ..Mutations::default() };
    assert_eq!(strip(&set), "x-caller x-picket-user x-picket_role x_picket_user x_team");
    let set = Mutations { set_headers: map([("x_team", "web"), ("x-picket-user", "a")]), ..Mutations::default() };
    assert_eq!(strip(&set), "x-caller x-picket_role x-team x_picket_user");
}

#[test]
fn p15_a_header_is_stripped_in_every_spelling_that_servers_read_as_the_same() {
    for mark in "!#$%&'*+-.^_`|~".chars() {
        let [set, removed, own] =
            ["xMteam", "xMdebug", "xMpicketMuser"].map(|name| name.replace('M', &mark.to_string()));
        let headers =
            [(set.as_str(), "red"), (&removed, "1"), (&own, "admin"), ("xteam", "kept"), ("x-debugs", "kept")];
        let changeable = Changeable { set_headers: names(["x-team"]), ..Changeable::default() };
        let verdict = Mutations {
            set_headers: map([("x-team", "web")]),
            remove_headers: names(["x-debug"]),
            ..Mutations::default()
        };
        let ok = mutations::ok_response(&verdict, &get(&headers), &changeable).unwrap();
        let mut expected = names(["x-debug", &removed, &own]);
        if mark != '-' {
            expected.insert(set.clone());
        }
        assert_eq!(ok.headers_to_remove.iter().cloned().collect::<BTreeSet<_>>(), expected, "{mark}");
    }
}

#[test]
fn p15_a_query_key_that_a_policy_could_set_is_set_or_stripped() {
    let with = |query: Option<&str>| {
        let path = CanonicalPath::parse("/a").unwrap();
        call(Target::Path { path, query: query.map(str::to_owned) }, &[])
    };
    let changeable =
        Changeable { set_query: names(["tenant", "role"]), remove_query: names(["debug"]), ..Changeable::default() };
    let sets = Mutations { set_query: map([("tenant", "acme")]), ..Mutations::default() };
    let removes = Mutations { remove_query: names(["debug"]), ..Mutations::default() };
    for (mutations, query, removed) in [
        (Mutations::default(), None, ""),
        (Mutations::default(), Some("a=1"), ""),
        (Mutations::default(), Some("tenant=evil&a=1&role&tenant=x"), "role tenant"),
        (Mutations::default(), Some("debug=1"), "debug"),
        (sets.clone(), Some("tenant=evil&role=1"), "role"),
        (removes, Some("tenant=evil"), "debug tenant"),
    ] {
        let ok = mutations::ok_response(&mutations, &with(query), &changeable).unwrap();
        assert_eq!(ok.query_parameters_to_remove.join(" "), removed, "{mutations:?} {query:?}");
        assert_eq!(ok.query_parameters_to_set.len(), mutations.set_query.len());
    }
    // Envoy up to 1.39.0 crashes on a change to a query that is not there.
    let connect = mutations::ok_response(&Mutations::default(), &call(Target::Authority, &[]), &changeable).unwrap();
    assert!(connect.query_parameters_to_remove.is_empty());
}

fn any_effect() -> impl Strategy<Value = Effect> {
    let text = || proptest::option::of(".{0,12}");
    let pairs = || proptest::collection::btree_map(".{0,10}", ".{0,10}", 0..4);
    let set = || proptest::collection::btree_set(".{0,10}", 0..4);
    let denial = (proptest::option::of(any::<u16>()), text(), proptest::sample::select(Reason::ALL.to_vec()));
    let denial = denial.prop_map(|(status, public_reason, reason)| Denial {
        reason,
        status,
        public_reason,
        detail: String::new(),
    });
    let mutations = (pairs(), set(), pairs(), pairs(), set(), pairs()).prop_map(
        |(set_headers, remove_headers, response_headers, set_query, remove_query, metadata)| Mutations {
            set_headers,
            remove_headers,
            response_headers,
            set_query,
            remove_query,
            metadata,
            log_full: false,
        },
    );
    let challenge = prop_oneof![
        set().prop_map(|scopes| Challenge::Login { scopes }),
        (text(), any::<Option<u64>>()).prop_map(|(acr, max_age_seconds)| Challenge::StepUp { acr, max_age_seconds }),
        set().prop_map(|scopes| Challenge::AddScope { scopes }),
        (set(), any::<bool>()).prop_map(|(scopes, is_user)| Challenge::NarrowToken { scopes, is_user }),
        text().prop_map(|kind| Challenge::Approve { kind }),
    ];
    prop_oneof![
        mutations.prop_map(Effect::Allow),
        Just(Effect::Allow(Mutations::default())),
        denial.clone().prop_map(Effect::Deny),
        (challenge, denial).prop_map(|(challenge, denial)| Effect::Challenge(challenge, denial)),
    ]
}

proptest! {
    #[test]
    fn every_answer_has_its_status_and_only_an_allow_is_ok(
        result in prop_oneof![any_effect().prop_map(Ok), proptest::sample::select(Code::ALL.to_vec()).prop_map(Err)],
        grpc in any::<bool>(),
        known in any::<bool>(),
    ) {
        let allow = known && matches!(result, Ok(Effect::Allow(_)));
        let call = get(&[("x-picket-a", "b")]);
        let caller = if grpc { Caller::Grpc } else { Caller::Http };
        let answer = answer(judgement(result), known.then_some(&call), caller);
        let code = answer.response().unwrap().status.expect("an answer without a status is an allow to Envoy").code;
        prop_assert!(answer.response().unwrap().dynamic_metadata.is_some());
        match answer.response().unwrap().http_response {
            Some(HttpResponse::OkResponse(ok)) => {
                prop_assert!(allow && code == OK && answer.status == 200);
                prop_assert!(ok.headers_to_remove.contains(&"x-picket-a".to_owned()));
            }
            Some(HttpResponse::DeniedResponse(denied)) => {
                prop_assert!(code != OK && (400..600).contains(&denied.status.unwrap().code));
                let clean = |value: &str| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
                prop_assert!(denied.headers.iter().all(|option| clean(&option.header.as_ref().unwrap().value)));
                prop_assert!(!grpc || [401, 403, 503].contains(&answer.status));
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
