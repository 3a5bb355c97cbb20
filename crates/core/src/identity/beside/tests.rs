//! Every place of a good token against every place and every sort of a second credential.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::call::{Body, Call, Target};
use crate::failure::Code;
use crate::identity::TokenKind;
use crate::identity::fixtures::*;
use crate::identity::settings::{
    ForeignTokens, FormTokens, MetadataSource, OtherCredentials, Places, Settings, Source, TokenSource,
};
use crate::identity::{KeyRing, KeySet, identify, is_momentary};

mod spellings;

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("k1"));

const FOREIGN: &str = "https://nobody.example";
const OPAQUE: &str = "opaque-0123456789";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Authorization,
    Header,
    Cookie,
    Query,
    AccessToken,
    Form,
}

const PLACES: [At; 6] = [At::Authorization, At::Header, At::Cookie, At::Query, At::AccessToken, At::Form];

impl At {
    fn is_exclusive(self) -> bool {
        matches!(self, Self::AccessToken | Self::Form)
    }
}

/// Who verified the good token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Proxy,
    Us,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    Same,
    /// The same claims behind `alg: none`.
    Unsigned,
    /// Our issuer's name, other claims, the good token's signature.
    Forged,
    ForgedUnsigned,
    ForeignUnsigned,
    Foreign,
    OtherSubject,
    BoundToAnother,
    Expired,
    /// The same claims with one more by the name of another.
    RepeatedMember,
    Garbage,
    Opaque,
}

const SECONDS: [Second; 12] = [
    Second::Same,
    Second::Unsigned,
    Second::Forged,
    Second::ForgedUnsigned,
    Second::ForeignUnsigned,
    Second::Foreign,
    Second::OtherSubject,
    Second::BoundToAnother,
    Second::Expired,
    Second::RepeatedMember,
    Second::Garbage,
    Second::Opaque,
];

fn good() -> String {
    SIGNER.token(&claims())
}

fn encoded(payload: &str) -> String {
    URL_SAFE_NO_PAD.encode(payload)
}

fn unsigned(claims: &Value) -> String {
    format!("{}.{}.", encoded(r#"{"alg":"none","typ":"at+jwt"}"#), encoded(&claims.to_string()))
}

/// `claims` behind the good token's header and signature.
fn forged(payload: &str) -> String {
    let good = good();
    let parts: Vec<&str> = good.split('.').collect();
    format!("{}.{}.{}", parts[0], encoded(payload), parts[2])
}

impl Second {
    fn text(self) -> String {
        let other = |changes: Value| with(claims(), changes);
        match self {
            Self::Same => GOOD.clone(),
            Self::Unsigned => unsigned(&claims()),
            Self::Forged => forged(&other(json!({"sub": "admin"})).to_string()),
            Self::ForgedUnsigned => unsigned(&other(json!({"sub": "admin"}))),
            Self::ForeignUnsigned => unsigned(&other(json!({"iss": FOREIGN}))),
            Self::Foreign => SIGNER.token(&other(json!({"iss": FOREIGN, "sub": "admin"}))),
            Self::OtherSubject => SIGNER.token(&other(json!({"sub": "user-2"}))),
            Self::BoundToAnother => SIGNER.token(&other(json!({"cnf": {"x5t#S256": URL_SAFE_NO_PAD.encode([1; 32])}}))),
            Self::Expired => SIGNER.token(&other(json!({"exp": NOW - 600}))),
            Self::RepeatedMember => forged(&claims().to_string().replacen('{', r#"{"sub":"admin","#, 1)),
            Self::Garbage => "eyJhbGciOiJFUzI1NiJ9.%%%.AAAA".to_owned(),
            Self::Opaque => OPAQUE.to_owned(),
        }
    }

    /// What a profile that leaves foreign tokens to services leaves to them where nothing else came.
    fn is_for_services(self) -> bool {
        matches!(self, Self::ForeignUnsigned | Self::Foreign | Self::Opaque)
    }
}

/// ECDSA signs differently every time; the good token is one text.
static GOOD: LazyLock<String> = LazyLock::new(good);

fn places() -> Places {
    let one = |name: &str| BTreeSet::from([name.to_owned()]);
    Places { headers: one("x-token"), cookies: one("sid"), query: one("tok") }
}

fn settings(by: By, foreign_tokens: ForeignTokens) -> Settings {
    let mut rules = claim_rules();
    let mut sources = Vec::new();
    match by {
        By::Proxy => {}
        By::Us => {
            rules.issuer = "https://edge.example".to_owned();
            sources.push(verified(&["idp"]));
        }
    }
    sources.push(TokenSource::Metadata(Box::new(MetadataSource {
        key: "jwt".to_owned(),
        claims: rules,
        from: places(),
    })));
    Settings { foreign_tokens, ..tokens(&sources) }
}

fn ring() -> KeyRing {
    let keys = Arc::new(KeySet::parse(SIGNER.jwks().as_bytes(), TokenKind::Access).unwrap());
    KeyRing::new([issuer_rules(), svid_rules()]).with_keys("idp", &keys).with_keys("spire", &keys)
}

fn with_query(mut call: Call, pair: &str) -> Call {
    let Target::Path { query, .. } = &mut call.target else { unreachable!() };
    *query = Some(query.as_ref().map_or_else(|| pair.to_owned(), |query| format!("{query}&{pair}")));
    call
}

fn with_form(mut call: Call, pair: &str) -> Call {
    let before = match &call.body {
        Body::Complete(bytes) => format!("{}&", String::from_utf8_lossy(bytes)),
        _ => String::new(),
    };
    call.body = Body::Complete(format!("{before}{pair}").into_bytes().into());
    call.method = "POST".to_owned();
    if call.headers.has("content-type") {
        call
    } else {
        call.header("content-type", "application/x-www-form-urlencoded")
    }
}

fn put(call: Call, at: At, text: &str) -> Call {
    match at {
        At::Authorization => call.bearer(text),
        At::Header => call.header("x-token", text),
        At::Cookie => call.header("cookie", &format!("a=b; sid={text}")),
        At::Query => with_query(call, &format!("tok={text}")),
        At::AccessToken => with_query(call, &format!("access_token={text}")),
        At::Form => with_form(call, &format!("access_token={text}")),
    }
}

/// The good token at its place, as whoever verifies it leaves it.
fn with_good(by: By, at: At) -> Call {
    let call = put(call(), at, &GOOD);
    match by {
        By::Proxy => call.metadata("jwt", claims()),
        By::Us => call,
    }
}

/// The subject, or the code of the refusal.
fn show(call: &Call, settings: &Settings) -> Result<Option<String>, Code> {
    let result = identify(call, settings, &ring());
    result.map(|identity| identity.token.map(|token| token.subject)).map_err(|rejection| rejection.failure.code)
}

#[track_caller]
fn assert_refused(call: &Call, settings: &Settings, what: &str) {
    let code = show(call, settings).expect_err(what);
    let of_tokens = [Code::TokenRejected, Code::TokenRepeated, Code::TokenNotBound, Code::TokenExpired];
    assert!(of_tokens.contains(&code), "{what}: {code:?}");
    assert!(is_momentary(call, settings), "{what} may be remembered");
}

/// Where a token can be good: anywhere to the proxy, in `authorization` to us.
fn goods() -> impl Iterator<Item = (By, At)> {
    PLACES.into_iter().map(|at| (By::Proxy, at)).chain([(By::Us, At::Authorization)])
}

#[test]
fn a_second_credential_is_the_verified_token_or_the_call_is_denied() {
    let mut rows = 0;
    for foreign in [ForeignTokens::Rejected, ForeignTokens::Absent] {
        for (by, first) in goods() {
            let settings = settings(by, foreign);
            let base = with_good(by, first);
            assert_eq!(show(&base, &settings), Ok(Some("user-1".to_owned())), "{by:?} {first:?}");
            for second in PLACES {
                for sort in SECONDS {
                    rows += 1;
                    let what = format!("{by:?} {first:?}, then {sort:?} in {second:?}, {foreign:?}");
                    let call = put(base.clone(), second, &sort.text());
                    let is_one_place = first == second && second == At::Authorization;
                    let is_good =
                        sort == Second::Same && !(first.is_exclusive() || second.is_exclusive() || is_one_place);
                    if is_good {
                        assert_eq!(show(&call, &settings), Ok(Some("user-1".to_owned())), "{what}");
                    } else {
                        assert_refused(&call, &settings, &what);
                    }
                }
            }
        }
    }
    assert_eq!(rows, 2 * 7 * 6 * 12);
}

#[test]
fn two_methods_of_rfc_6750_are_one_invalid_request() {
    let settings = settings(By::Proxy, ForeignTokens::Rejected);
    for (first, second) in [
        (At::Authorization, At::AccessToken),
        (At::Authorization, At::Form),
        (At::AccessToken, At::Form),
        (At::AccessToken, At::AccessToken),
        (At::Form, At::Form),
        (At::Header, At::AccessToken),
    ] {
        let call = put(with_good(By::Proxy, first), second, &GOOD);
        assert_eq!(show(&call, &settings), Err(Code::TokenRepeated), "{first:?} {second:?}");
    }
}

#[test]
fn an_unverified_credential_never_counts_as_absent() {
    for foreign in [ForeignTokens::Rejected, ForeignTokens::Absent] {
        for by in [By::Proxy, By::Us] {
            let settings = settings(by, foreign);
            assert_eq!(show(&call(), &settings), Ok(None));
            assert!(!is_momentary(&call(), &settings));
            for at in PLACES {
                for sort in SECONDS {
                    let what = format!("{by:?} {sort:?} in {at:?}, {foreign:?}");
                    let call = put(call(), at, &sort.text());
                    let is_good = by == By::Us && at == At::Authorization && sort == Second::Same;
                    // Settled by `strict`, as ever.
                    let is_another_scheme = at == At::Authorization && sort == Second::Opaque;
                    let is_other_subject = by == By::Us && at == At::Authorization && sort == Second::OtherSubject;
                    if is_good || is_other_subject {
                        assert!(matches!(show(&call, &settings), Ok(Some(_))), "{what}");
                    } else if is_another_scheme || (foreign == ForeignTokens::Absent && sort.is_for_services()) {
                        assert_eq!(show(&call, &settings), Ok(None), "{what}");
                        assert!(is_momentary(&call, &settings), "{what}");
                    } else {
                        assert_refused(&call, &settings, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn only_credentials_of_services_pass_by_the_profile() {
    let passed = |foreign| Settings { other_credentials: OtherCredentials::Passed, ..settings(By::Proxy, foreign) };
    for sort in SECONDS {
        let call = put(with_good(By::Proxy, At::Header), At::Authorization, &sort.text());
        let is_good = |foreign| show(&call, &passed(foreign)).is_ok();
        assert_eq!(is_good(ForeignTokens::Absent), sort == Second::Same || sort.is_for_services(), "{sort:?}");
        assert_eq!(is_good(ForeignTokens::Rejected), matches!(sort, Second::Same | Second::Opaque), "{sort:?}");
        // It is about `authorization` alone.
        let elsewhere = put(with_good(By::Proxy, At::Header), At::Cookie, &sort.text());
        assert_eq!(show(&elsewhere, &passed(ForeignTokens::Absent)).is_ok(), sort == Second::Same, "{sort:?}");
    }
}

#[test]
fn two_payloads_of_the_proxy_agree_or_are_refused() {
    let mut edge = claim_rules();
    edge.users = false;
    let edge = TokenSource::Metadata(Box::new(MetadataSource {
        key: "edge".to_owned(),
        claims: edge,
        from: Places::default(),
    }));
    let settings = tokens(&[metadata(), edge]);
    let one = call().metadata("jwt", claims());
    assert!(show(&one.clone().metadata("edge", claims()), &settings).is_ok());
    let other = one.clone().metadata("edge", with(claims(), json!({"sub": "user-2"})));
    assert_eq!(show(&other, &settings), Err(Code::TokenRepeated));
    let bad = one.metadata("edge", with(claims(), json!({"aud": "other"})));
    assert_eq!(show(&bad, &settings), Err(Code::TokenRejected));
}

#[test]
fn a_jwt_svid_next_to_another_proof_is_the_same_workloads() {
    let svid = |sub: &str, more: Value| {
        let claims = with(with(claims(), json!({"iss": "https://spire.example", "sub": sub})), more);
        SIGNER.sign(&with(SIGNER.header(), json!({"typ": null})), &claims)
    };
    let svids = Settings { sources: vec![Source::Peer, jwt_svid("spire")], ..Settings::default() };
    let by_us = Settings { tokens: vec![verified(&["idp"])], ..svids.clone() };
    let by_proxy = Settings { tokens: vec![metadata()], ..svids.clone() };
    for settings in [&svids, &by_us, &by_proxy] {
        let peer = call().principal(WEB);
        assert!(show(&peer.clone().bearer(&svid(WEB, json!({}))), settings).is_ok());
        assert_refused(&peer.clone().bearer(&svid(GATEWAY, json!({}))), settings, "another's");
        assert_refused(&peer.clone().bearer(&svid(WEB, json!({"cnf": {"jkt": "x"}}))), settings, "bound");
        assert_refused(&peer.clone().bearer(&Second::Foreign.text()), settings, "foreign");
        assert_refused(&with_query(peer.clone(), "access_token=x"), settings, "in the query");
    }
    let both = call().metadata("jwt", claims()).bearer(&svid(WEB, json!({})));
    assert_eq!(show(&both, &by_proxy), Ok(Some("user-1".to_owned())));
    assert_refused(&both.principal(GATEWAY), &by_proxy, "a workload and a token, and a second workload");
}

#[test]
fn a_profile_without_token_sources_reads_none() {
    for at in PLACES {
        for sort in SECONDS {
            let call = put(call(), at, &sort.text());
            assert_eq!(show(&call, &Settings::default()), Ok(None));
            assert!(!is_momentary(&call, &Settings::default()));
        }
    }
    let unread = Settings { form_tokens: FormTokens::NotRead, ..settings(By::Proxy, ForeignTokens::Rejected) };
    let form = put(call(), At::Form, &Second::Forged.text());
    assert_eq!(show(&form, &unread), Ok(None));
    assert!(!is_momentary(&form, &unread));
}
