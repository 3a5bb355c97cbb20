//! Property of every call with two credentials: one of them is rejected unless both are one token.
//!
//! Draws where the proxy found the good token, where the other one is and its spelling. The policy allows every call,
//! so a call is denied only for its credentials. Seeds are as in `props`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use picket::check::Profile;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::direct::Direct;
use crate::harness::{Check, PERMIT_ALL, orders, said};
use crate::props::holds;
use crate::support::{NOW, tree};

/// A profile with sources of every kind of place.
pub fn profile() -> Profile {
    crate::props::tokens_and_peer()
}

pub fn claims() -> Value {
    let now = NOW.seconds();
    json!({"iss": "https://idp.example", "sub": "alice", "aud": "shop", "exp": now + 300, "iat": now - 5})
}

/// A token as the proxy has verified it: these tests never check its signature.
fn token(claims: &str, signature: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"at+jwt"}"#);
    format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims))
}

pub fn good() -> String {
    token(&claims().to_string(), "c2lnbmF0dXJl")
}

/// Credentials that are not the good token.
fn others() -> Vec<String> {
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims.to_string()
    };
    let good = claims().to_string();
    vec![
        token(&with("sub", json!("admin")), "c2lnbmF0dXJl"),
        token(&with("SUB", json!("admin")), "c2lnbmF0dXJl"),
        token(&with("iss", json!("https://nobody.example")), "c2lnbmF0dXJl"),
        token(&with("cnf", json!({"jkt": "x"})), "c2lnbmF0dXJl"),
        token(&with("exp", json!(1)), "c2lnbmF0dXJl"),
        token(&good.replacen('{', r#"{"sub":"admin","#, 1), "c2lnbmF0dXJl"),
        token(&good, ""),
        token("{}", "c2lnbmF0dXJl"),
        token("no json", "c2lnbmF0dXJl"),
        "opaque".to_owned(),
        "eyJhbGciOiJub25lIn0.x".to_owned(),
    ]
}

/// Spellings by place; `@` is the credential. What a form says comes last.
const AUTHORIZATION: &[&str] = &[
    "Bearer @",
    "bearer  @",
    "BEARER\t@",
    "Bearer@",
    "DPoP @",
    "JWT @",
    "@",
    "Bearer x,Bearer @",
    "Token token=\"@\"",
];
const HEADERS: &[(&str, &str)] =
    &[("x-token", "@"), ("x-token", "Bearer @"), ("x_token", "@"), ("x-token", "a, @"), ("X-TOKEN", "@")];
const COOKIES: &[&str] =
    &["sid=@", "a=b; sid=@", "sid=\"@\"", "SID=@", "s%69d=@", "a=b,sid=@", "a=b;sid = @", "sid[]=@", "sid=x @"];
const QUERIES: &[&str] = &["tok=@", "a=b&TOK=@", "t%6fk=@", "a=b;tok=@", "tok[]=@", "+tok=@", "%74ok=@"];
const ACCESS_TOKENS: &[&str] = &[
    "access_token=@",
    "a=b&access_token=@",
    "access%5ftoken=@",
    "ACCESS_TOKEN=@",
    "access-token=@",
    "access.token=@",
    "access_token[]=@",
    "access[token=@",
    "a=b;access_token=@",
    "a=b?access_token=@",
    "%2561ccess_token=@",
    "+access_token=@",
    "access_token%00=@",
    "%c1%a1ccess_token=@",
];
const TYPES: &[&str] = &[
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded;charset=utf-8",
    "Application/X-WWW-Form-URLencoded",
    "application/json, application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=ibm037",
];

/// One spelling of one place.
#[derive(Debug, Clone, Copy)]
enum Place {
    Authorization(usize),
    Header(usize),
    Cookie(usize),
    Query(usize),
    AccessToken(usize),
    /// A form of that type and spelling, sent whole or not at all.
    Form(usize, usize, bool),
}

impl Place {
    fn put(self, check: Check, token: &str) -> Check {
        let fill = |text: &str| text.replace('@', token);
        match self {
            Self::Authorization(at) => check.header("authorization", &fill(AUTHORIZATION[at])),
            Self::Header(at) => check.header(&HEADERS[at].0.to_lowercase(), &fill(HEADERS[at].1)),
            Self::Cookie(at) => check.header("cookie", &fill(COOKIES[at])),
            Self::Query(at) => in_query(check, &keyed(QUERIES[at], token)),
            Self::AccessToken(at) => in_query(check, &keyed(ACCESS_TOKENS[at], token)),
            Self::Form(kind, at, is_whole) => {
                let mut check = check.header("content-type", TYPES[kind]);
                check.http().method = "POST".to_owned();
                if !is_whole {
                    return check;
                }
                let body = keyed(ACCESS_TOKENS[at], token).into_bytes();
                let length = body.len().to_string();
                check.http().raw_body = body;
                check.header("x-envoy-auth-partial-body", "false").header("content-length", &length)
            }
        }
    }
}

/// The pair with the credential as its value.
fn keyed(pair: &str, token: &str) -> String {
    let (key, _) = pair.rsplit_once('=').unwrap();
    format!("{key}={token}")
}

fn in_query(mut check: Check, pair: &str) -> Check {
    let path = check.http().path.clone();
    let mark = if path.contains('?') { '&' } else { '?' };
    check.http().path = format!("{path}{mark}{pair}");
    check
}

fn places() -> impl Strategy<Value = Place> {
    prop_oneof![
        (0..AUTHORIZATION.len()).prop_map(Place::Authorization),
        (0..HEADERS.len()).prop_map(Place::Header),
        (0..COOKIES.len()).prop_map(Place::Cookie),
        (0..QUERIES.len()).prop_map(Place::Query),
        (0..ACCESS_TOKENS.len()).prop_map(Place::AccessToken),
        (0..TYPES.len(), 0..ACCESS_TOKENS.len(), any::<bool>())
            .prop_map(|(kind, at, is_whole)| Place::Form(kind, at, is_whole)),
    ]
}

/// Every first spelling, where the proxy takes tokens from; `None` where it removed the token.
fn firsts() -> impl Strategy<Value = Option<Place>> {
    prop::sample::select(vec![
        None,
        Some(Place::Authorization(0)),
        Some(Place::Header(0)),
        Some(Place::Cookie(0)),
        Some(Place::Query(0)),
        Some(Place::AccessToken(0)),
    ])
}

fn with_first(first: Option<Place>) -> Check {
    let verified = orders().claims(&claims());
    first.map_or_else(|| verified.clone(), |place| place.put(verified.clone(), &good()))
}

#[test]
fn a_good_token_is_good_at_each_place_of_its_own() {
    let runtime = Runtime::new().unwrap();
    let direct = runtime.block_on(Direct::with(tree(&[("namespaces/shop/a.cedar", PERMIT_ALL)]), profile()));
    let ask = |check: Check| said(&runtime.block_on(direct.ask(check.0)));
    assert_eq!(ask(orders()).status, 200);
    for first in [Place::Authorization(0), Place::Header(0), Place::Cookie(0), Place::Query(0), Place::AccessToken(0)] {
        assert_eq!(ask(with_first(Some(first))).status, 200, "{first:?}");
    }
    // The same token again does not count as a second one, but for the methods of RFC 6750.
    for (first, second, status) in [
        (Place::Header(0), Place::Authorization(0), 200),
        (Place::Header(0), Place::Cookie(0), 200),
        (Place::Cookie(0), Place::Header(1), 200),
        (Place::Query(0), Place::Cookie(2), 200),
        (Place::Header(0), Place::AccessToken(0), 400),
        (Place::Authorization(0), Place::AccessToken(2), 400),
        (Place::Authorization(0), Place::Authorization(0), 400),
    ] {
        let said = ask(second.put(with_first(Some(first)), &good()));
        assert_eq!(said.status, status, "{first:?} {second:?} {said:?}");
    }
}

#[test]
fn no_call_with_another_credential_is_allowed() {
    let runtime = Runtime::new().unwrap();
    let direct = runtime.block_on(Direct::with(tree(&[("namespaces/shop/a.cedar", PERMIT_ALL)]), profile()));
    let drawn = (firsts(), places(), prop::sample::select(others()), any::<bool>());
    holds(3000, drawn, |(first, place, other, is_alone)| {
        let base = if is_alone { orders() } else { with_first(first) };
        let said = said(&runtime.block_on(direct.ask(place.put(base, &other).0)));
        // Alone, another scheme or an opaque Bearer does not count as a token: `strict` rejects it.
        let is_passed_over = is_alone && matches!(place, Place::Authorization(_)) && other == "opaque";
        assert!(said.status != 200 || is_passed_over, "{said:?}");
    });
}
