use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Claims, read, whole_number};
use crate::call::UnixMillis;
use crate::failure::{Code, Failure};
use crate::identity::fixtures::{NOW, WEB, claim_rules, claims, svid_rules, with};
use crate::identity::rules::ClaimRules;
use crate::identity::{Token, TokenKind};

fn read_at(changes: Value, rules: &ClaimRules, now: i64) -> Result<Claims, Failure> {
    read(&with(claims(), changes), rules, UnixMillis(now * 1000))
}

fn token(changes: Value) -> Token {
    read_at(changes, &claim_rules(), NOW).unwrap().token
}

fn refused(changes: Value) -> Failure {
    let text = changes.to_string();
    read_at(changes, &claim_rules(), NOW).expect_err(&text)
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

#[test]
fn a_good_token_gives_its_claims() {
    let token = token(json!({
        "jti": "id-1", "acr": "urn:example:phr", "amr": ["pwd", "otp"], "auth_time": NOW - 60, "roles": ["admin"],
        "aud": ["https://orders.example", "https://other.example"], "scope": "read write",
    }));
    assert_eq!((token.subject.as_str(), token.kind), ("user-1", TokenKind::Access));
    assert_eq!((token.client_id.as_deref(), token.token_id.as_deref()), (Some("app"), Some("id-1")));
    assert_eq!((token.acr.as_deref(), token.amr), (Some("urn:example:phr"), Some(set(&["pwd", "otp"]))));
    assert_eq!(
        (token.expires_at, token.issued_at),
        (UnixMillis((NOW + 300) * 1000), Some(UnixMillis((NOW - 10) * 1000)))
    );
    assert_eq!(token.auth_time, Some(UnixMillis((NOW - 60) * 1000)));
    assert_eq!((token.audiences.len(), token.roles), (2, set(&["admin"])));
    assert_eq!((token.actor, token.actor_depth), (None, 0));
}

#[test]
fn an_issuer_without_persons_asserts_no_login() {
    let changes = json!({"acr": "urn:example:phr", "amr": ["otp"], "auth_time": NOW - 60});
    let rules = ClaimRules { users: false, ..claim_rules() };
    let token = read_at(changes, &rules, NOW).unwrap().token;
    assert_eq!((token.acr, token.amr, token.auth_time, token.is_user), (None, None, None, false));
    assert!(read_at(json!({"acr": 1}), &rules, NOW).is_err());
}

#[test]
fn p21_issuer_audience_and_required_claims_are_checked_again() {
    for changes in [
        json!({"iss": "https://idp.example/"}),
        json!({"iss": "https://evil.example"}),
        json!({"iss": null}),
        json!({"iss": ["https://idp.example"]}),
        json!({"aud": null}),
        json!({"aud": []}),
        json!({"aud": "https://orders.example.evil"}),
        json!({"aud": ["https://other.example"]}),
        json!({"aud": [7, "https://orders.example"]}),
        json!({"aud": {"https://orders.example": true}}),
        json!({"exp": null}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
    ] {
        assert_eq!(refused(changes).code, Code::TokenRejected);
    }
    for payload in [json!(null), json!([]), json!("x"), json!({"failed_status": {"code": 16}})] {
        assert!(read(&payload, &claim_rules(), UnixMillis(NOW * 1000)).is_err());
    }
}

#[test]
fn a_token_is_good_from_nbf_to_exp_give_or_take_the_leeway() {
    let rules = claim_rules();
    let strict = ClaimRules { leeway: Duration::ZERO, ..claim_rules() };
    let start = |name: &str, at: i64| json!({name: at});
    for (changes, rules, good) in [
        (start("exp", NOW - 29), &rules, true),
        (start("exp", NOW - 30), &rules, false),
        (start("exp", NOW + 1), &strict, true),
        (start("exp", NOW), &strict, false),
        (start("nbf", NOW + 30), &rules, true),
        (start("nbf", NOW + 31), &rules, false),
        (start("nbf", NOW), &strict, true),
        (start("nbf", NOW + 1), &strict, false),
        (start("iat", NOW + 30), &rules, true),
        (start("iat", NOW + 31), &rules, false),
    ] {
        let text = changes.to_string();
        let result = read_at(changes, rules, NOW);
        assert_eq!(
            result.as_ref().map(|_| ()).map_err(|failure| failure.code),
            good.then_some(()).ok_or(Code::TokenExpired),
            "{text}"
        );
    }
}

#[test]
fn p22_numbers_that_are_not_exact_integers_are_refused() {
    for (text, expected) in [
        ("0", Some(0)),
        ("-5", Some(-5)),
        ("1767225600.0", Some(1_767_225_600)),
        ("9007199254740991", Some(9_007_199_254_740_991)),
        ("9007199254740992", None),
        ("9007199254740993", None),
        ("9007199254740993.0", None),
        ("18446744073709551615", None),
        ("1e300", None),
        ("1.5", None),
        ("\"5\"", None),
        ("true", None),
    ] {
        assert_eq!(whole_number(&serde_json::from_str(text).unwrap()), expected, "{text}");
    }
    for name in ["exp", "nbf", "iat", "auth_time"] {
        for value in [json!(9_007_199_254_740_993_i64), json!(NOW as f64 + 0.5), json!(NOW.to_string()), json!([NOW])] {
            assert_eq!(refused(json!({name: value})).code, Code::TokenRejected, "{name}");
        }
    }
}

#[test]
fn scopes_are_united_for_too_much_and_intersected_for_enough() {
    for (changes, claimed, proven) in [
        (json!({}), &[][..], &[][..]),
        (json!({"scope": ""}), &[], &[]),
        (json!({"scope": "a  b"}), &["a", "b"], &["a", "b"]),
        (json!({"scope": ["a", "b c"]}), &["a", "b", "c"], &["a", "b", "c"]),
        (json!({"scp": "a b"}), &["a", "b"], &["a", "b"]),
        (json!({"scope": "a b", "scp": ["b", "c"]}), &["a", "b", "c"], &["b"]),
        (json!({"scope": "a", "scp": []}), &["a"], &[]),
        (json!({"scope": "a", "scp": null}), &["a"], &["a"]),
    ] {
        let token = token(changes);
        assert_eq!((token.scopes_claimed, token.scopes_proven), (set(claimed), set(proven)));
    }
}

#[test]
fn every_power_granted_counts_as_claimed_and_none_as_proven() {
    let details = |details: Value| json!({"scope": "a", "authorization_details": details});
    for (changes, claimed) in [
        (details(json!([])), &["a"][..]),
        (
            details(json!([{"type": "mcp", "actions": ["get", "set"], "locations": ["https://x"]}])),
            &["a", "mcp:get", "mcp:set"],
        ),
        (details(json!([{"type": "mcp"}, {"type": "pay", "actions": []}])), &["a", "mcp", "pay"]),
        (details(json!([{"type": "mcp", "privileges": ["admin"]}])), &["a", "mcp", "mcp:admin"]),
        (
            details(json!([{"type": "mcp", "actions": ["x"], "privileges": ["y"], "limit": {"max": 1}}])),
            &["a", "mcp:x", "mcp:y"],
        ),
        (json!({"scope": "a", "entitlements": "gold"}), &["a", "entitlement:gold"]),
        (
            json!({"scope": "a", "entitlements": ["gold", {"value": "vault", "primary": true}]}),
            &["a", "entitlement:gold", "entitlement:vault"],
        ),
        (json!({"scope": "a", "groups": ["admins"], "may_act": {"sub": "x"}}), &["a"]),
    ] {
        let token = token(changes);
        assert_eq!((token.scopes_claimed, token.scopes_proven), (set(claimed), set(&["a"])));
    }
}

#[test]
fn a_possible_actor_is_not_an_actor() {
    let token = token(json!({"may_act": {"sub": WEB}}));
    assert_eq!((token.actor, token.actor_depth), (None, 0));
}

#[test]
fn a_bound_on_a_tokens_life_counts_from_iat() {
    let rules = ClaimRules { lifetime_max: Some(Duration::from_secs(310)), ..claim_rules() };
    for (changes, good) in [
        (json!({}), true),
        (json!({"exp": NOW + 301}), false),
        (json!({"iat": NOW - 11}), false),
        (json!({"iat": null}), false),
        (json!({"exp": NOW + 200, "iat": NOW}), true),
    ] {
        let text = changes.to_string();
        let code = read_at(changes, &rules, NOW).map(|_| ()).map_err(|failure| failure.code);
        assert_eq!(code, good.then_some(()).ok_or(Code::TokenRejected), "{text}");
    }
}

#[test]
fn a_claim_of_the_wrong_type_refuses_the_token() {
    for changes in [
        json!({"authorization_details": {"type": "mcp"}}),
        json!({"authorization_details": "[]"}),
        json!({"authorization_details": [7]}),
        json!({"authorization_details": [{"actions": ["get"]}]}),
        json!({"authorization_details": [{"type": ""}]}),
        json!({"authorization_details": [{"type": 7}]}),
        json!({"authorization_details": [{"type": "mcp", "actions": "get"}]}),
        json!({"authorization_details": [{"type": "mcp", "actions": [7]}]}),
        json!({"authorization_details": [{"type": "mcp", "locations": "https://x"}]}),
        json!({"authorization_details": [{"type": "mcp", "datatypes": [{}]}]}),
        json!({"authorization_details": [{"type": "mcp", "privileges": {}}]}),
        json!({"authorization_details": [{"type": "mcp", "identifier": 7}]}),
        json!({"entitlements": 7}),
        json!({"entitlements": [[]]}),
        json!({"entitlements": [{"display": "x"}]}),
        json!({"act": {"sub": "a", "iss": 7}}),
        json!({"scope": 7}),
        json!({"scope": {"a": 1}}),
        json!({"scp": [["a"]]}),
        json!({"roles": {"admin": true}}),
        json!({"roles": ["a", 1]}),
        json!({"amr": 1}),
        json!({"acr": 1}),
        json!({"jti": 1}),
        json!({"client_id": 1}),
        json!({"azp": []}),
        json!({"act": "x"}),
        json!({"act": {}}),
        json!({"act": {"sub": 1}}),
        json!({"act": {"sub": "a", "act": {"iss": "b"}}}),
        json!({"act": {"sub": "spiffe://X/y"}}),
        json!({"act": {"sub": "SPIFFE://x/y"}}),
        json!({"cnf": "x"}),
        json!({"cnf": {"x5t#S256": 1}}),
        json!({"cnf": {"x5t#S256": "AAAA"}}),
        json!({"cnf": {"x5t#S256": "not base64"}}),
    ] {
        assert_eq!(refused(changes).code, Code::TokenRejected);
    }
}

#[test]
fn the_outermost_actor_acts_and_the_others_are_history() {
    let nested = |depth: u32| {
        (0..depth).fold(Value::Null, |inner, level| match inner {
            Value::Null => json!({"sub": format!("actor-{level}")}),
            inner => json!({"sub": format!("actor-{level}"), "act": inner}),
        })
    };
    let two = token(json!({"act": nested(2)}));
    assert_eq!((two.actor.as_deref(), two.actor_depth), (Some("actor-1"), 2));
    assert_eq!(token(json!({"act": nested(8)})).actor_depth, 8);
    assert!(refused(json!({"act": nested(9)})).detail.contains("deeper"));
}

#[test]
fn a_person_is_a_subject_that_differs_from_every_named_client() {
    let users = claim_rules();
    let machines = ClaimRules { users: false, ..claim_rules() };
    for (changes, rules, expected) in [
        (json!({}), &users, true),
        (json!({}), &machines, false),
        (json!({"client_id": null}), &users, false),
        (json!({"client_id": null, "azp": "app"}), &users, true),
        (json!({"sub": "app"}), &users, false),
        (json!({"sub": "app", "client_id": null, "azp": "app"}), &users, false),
        (json!({"sub": "app", "client_id": "other", "azp": "app"}), &users, false),
    ] {
        let text = changes.to_string();
        assert_eq!(read_at(changes, rules, NOW).unwrap().token.is_user, expected, "{text}");
    }
}

#[test]
fn p25_a_jwt_svid_names_a_workload_of_its_issuers_domain() {
    let rules = svid_rules().claims;
    for (sub, expected) in [
        (WEB, Ok(TokenKind::JwtSvid)),
        ("spiffe://other.example/ns/web/sa/frontend", Err(Code::TrustDomainRefused)),
        ("spiffe://cluster.local", Err(Code::TokenRejected)),
        ("user-1", Err(Code::TokenRejected)),
    ] {
        let result = read_at(json!({"iss": "https://spire.example", "sub": sub}), &rules, NOW);
        assert_eq!(result.map(|claims| claims.token.kind).map_err(|failure| failure.code), expected, "{sub}");
    }
}

#[test]
fn a_service_account_must_be_named_without_doubt() {
    let rules = ClaimRules { kind: TokenKind::Kubernetes, ..claim_rules() };
    let good = "system:serviceaccount:web:frontend";
    let private = |namespace: &str, account: &str| json!({"sub": good, "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account}}});
    assert_eq!(read_at(private("web", "frontend"), &rules, NOW).unwrap().token.kind, TokenKind::Kubernetes);
    assert!(read_at(json!({"sub": good}), &rules, NOW).is_ok());
    for changes in [
        private("shop", "frontend"),
        private("web", "admin"),
        json!({"sub": good, "kubernetes.io": "x"}),
        json!({"sub": "system:serviceaccount:web"}),
        json!({"sub": "system:serviceaccount:web:"}),
        json!({"sub": "system:serviceaccount::frontend"}),
        json!({"sub": "system:serviceaccount:web:frontend:x"}),
        json!({"sub": "user-1"}),
    ] {
        let text = changes.to_string();
        assert_eq!(read_at(changes, &rules, NOW).expect_err(&text).code, Code::TokenRejected);
    }
    let said = refused(json!({"sub": good})).detail;
    assert!(said.contains("not of kind `kubernetes`"), "read as access token it would escape its binding: {said}");
}
