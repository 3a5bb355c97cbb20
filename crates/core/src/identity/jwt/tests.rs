use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::failure::Code;
use crate::identity::TokenKind;
use crate::identity::fixtures::{AUDIENCE, NOW, Signer, call, claims, issuer_rules, ring, tokens, verified, with};
use crate::identity::rules::{IssuerRules, SignatureAlgorithm};
use crate::identity::settings::{ForeignTokens, Settings};
use crate::identity::{Identity, KeyRing, KeySet, Rejection, identify};

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("k1"));
static STRANGER: LazyLock<Signer> = LazyLock::new(|| Signer::new("k1"));

fn profile() -> Settings {
    tokens(&[verified(&["idp"])])
}

fn run(token: &str, rules: IssuerRules) -> Result<Identity, Rejection> {
    identify(&call().bearer(token), &profile(), &ring(rules, &SIGNER))
}

fn code(result: Result<Identity, Rejection>) -> Result<bool, Code> {
    result.map(|identity| identity.token.is_some()).map_err(|rejection| rejection.failure.code)
}

fn refused(token: &str) -> String {
    let rejection = run(token, issuer_rules()).expect_err(token);
    assert_eq!(rejection.failure.code, Code::TokenRejected, "{rejection}");
    rejection.failure.detail
}

#[test]
fn a_token_signed_by_the_issuers_key_is_good() {
    assert_eq!(code(run(&SIGNER.token(&claims()), issuer_rules())), Ok(true));
}

#[test]
fn a_token_signed_by_another_issuer_is_rejected() {
    assert!(refused(&STRANGER.token(&claims())).contains("no key"));
    let token = SIGNER.token(&claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let forged = URL_SAFE_NO_PAD.encode(with(claims(), json!({"sub": "admin"})).to_string());
    assert!(refused(&format!("{header}.{forged}.{signature}")).contains("no key"));
    for signature in ["", "AAAA", "%%%"] {
        assert!(refused(&format!("{signed}.{signature}")).contains("no key"));
    }
}

#[test]
fn the_algorithm_is_the_issuers_choice_and_never_the_tokens() {
    let public = SIGNER.jwks();
    let hmac = jsonwebtoken::EncodingKey::from_secret(public.as_bytes());
    for alg in ["none", "None", "", "HS256", "RS256", "PS256", "ES384", "EdDSA", "es256"] {
        let header = with(SIGNER.header(), json!({"alg": alg}));
        assert!(refused(&SIGNER.sign(&header, &claims())).contains("pins"), "{alg}");
    }
    let header = URL_SAFE_NO_PAD.encode(with(SIGNER.header(), json!({"alg": "HS256"})).to_string());
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims().to_string()));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &hmac, jsonwebtoken::Algorithm::HS256).unwrap();
    assert!(refused(&format!("{message}.{signature}")).contains("pins"));
    // Pinned to another family, the issuer's own key is of no use.
    let rules = IssuerRules { algorithms: BTreeSet::from([SignatureAlgorithm::Rs256]), ..issuer_rules() };
    assert_eq!(code(run(&SIGNER.token(&claims()), rules.clone())), Err(Code::TokenRejected));
    let confused = SIGNER.sign(&with(SIGNER.header(), json!({"alg": "RS256"})), &claims());
    assert_eq!(code(run(&confused, rules)), Err(Code::TokenRejected));
}

#[test]
fn only_the_type_of_an_access_token_passes_as_one() {
    let untyped = IssuerRules { allow_untyped: true, ..issuer_rules() };
    for (typ, strict, lenient) in [
        (json!("at+jwt"), true, true),
        (json!("AT+JWT"), true, true),
        (json!("application/at+jwt"), true, true),
        (json!("JWT"), false, true),
        (Value::Null, false, true),
        (json!("id+jwt"), false, false),
        (json!("logout+jwt"), false, false),
        (json!("txntoken+jwt"), false, false),
        (json!("dpop+jwt"), false, false),
        (json!(""), false, false),
        (json!(7), false, false),
    ] {
        let token = SIGNER.sign(&with(SIGNER.header(), json!({"typ": typ})), &claims());
        assert_eq!(run(&token, issuer_rules()).is_ok(), strict, "{typ}");
        assert_eq!(run(&token, untyped.clone()).is_ok(), lenient, "{typ}, untyped allowed");
    }
    let mut kubernetes = issuer_rules();
    kubernetes.claims.kind = TokenKind::Kubernetes;
    assert_eq!(code(run(&SIGNER.token(&claims()), kubernetes)), Err(Code::TokenRejected));
}

#[test]
fn a_header_that_is_not_understood_refuses_the_token() {
    for changes in [json!({"crit": ["b64"], "b64": false}), json!({"crit": []}), json!({"kid": 7})] {
        refused(&SIGNER.sign(&with(SIGNER.header(), changes), &claims()));
    }
    let doubled = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","alg":"none","typ":"at+jwt","kid":"k1"}"#);
    let token = SIGNER.token(&claims());
    let (_, rest) = token.split_once('.').unwrap();
    assert!(refused(&format!("{doubled}.{rest}")).contains("header"));
}

#[test]
fn text_that_resembles_a_token_is_rejected_and_never_absent() {
    for token in ["..", "a.b.c", "....", "a.b.c.d.e", "e30.e30.", "eyJ.eyJ.eyJ", "e30=.e30=.e30="] {
        refused(token);
    }
    refused(&format!("{}.x.y", "a".repeat(16 * 1024)));
}

#[test]
fn an_unknown_key_id_is_refused_and_named_to_the_key_holder() {
    let unknown = SIGNER.sign(&with(SIGNER.header(), json!({"kid": "k2"})), &claims());
    let rejection = run(&unknown, issuer_rules()).unwrap_err();
    assert_eq!((rejection.failure.code, rejection.unknown_key_of.as_deref()), (Code::TokenRejected, Some("idp")));
    let known = run(&STRANGER.token(&claims()), issuer_rules()).unwrap_err();
    assert_eq!(known.unknown_key_of, None, "a forged signature under a known id asks for no fetch");
}

#[test]
fn a_token_without_key_id_is_tried_against_every_key() {
    let header = with(SIGNER.header(), json!({"kid": null}));
    assert_eq!(code(run(&SIGNER.sign(&header, &claims()), issuer_rules())), Ok(true));
    let rejection = run(&STRANGER.sign(&header, &claims()), issuer_rules()).unwrap_err();
    assert_eq!(rejection.unknown_key_of.as_deref(), Some("idp"), "it may be signed by a newer key");
}

#[test]
fn keys_that_were_never_had_are_a_failure_of_ours() {
    let ring = KeyRing::new([issuer_rules()]);
    let result = identify(&call().bearer(&SIGNER.token(&claims())), &profile(), &ring);
    assert_eq!(code(result), Err(Code::KeysUnavailable));
}

#[test]
fn expired_and_misdirected_tokens_are_refused_after_their_signature() {
    let expired = SIGNER.token(&with(claims(), json!({"exp": NOW - 60})));
    assert_eq!(code(run(&expired, issuer_rules())), Err(Code::TokenExpired));
    let elsewhere = SIGNER.token(&with(claims(), json!({"aud": "https://other.example"})));
    assert!(refused(&elsewhere).contains("aud"));
    // A forger learns nothing about the claims that a stranger's signature covers.
    let forged = STRANGER.token(&with(claims(), json!({"exp": NOW - 60})));
    assert!(refused(&forged).contains("no key"));
}

#[test]
fn a_foreign_token_counts_as_absent_only_by_the_profile() {
    let foreign = STRANGER.token(&with(claims(), json!({"iss": "https://other.example"})));
    assert!(refused(&foreign).contains("not configured"));
    let lenient = Settings { foreign_tokens: ForeignTokens::Absent, ..profile() };
    let ring = ring(issuer_rules(), &SIGNER);
    assert_eq!(code(identify(&call().bearer(&foreign), &lenient, &ring)), Ok(false));
    let forged = STRANGER.token(&claims());
    assert_eq!(code(identify(&call().bearer(&forged), &lenient, &ring)), Err(Code::TokenRejected));
    for broken in ["a.b.c", "e30.e30.e30"] {
        assert_eq!(code(identify(&call().bearer(broken), &lenient, &ring)), Err(Code::TokenRejected), "{broken}");
    }
}

#[test]
fn keys_that_are_not_for_signatures_verify_nothing() {
    let good = SIGNER.jwk();
    for (changes, usable) in [
        (json!({}), true),
        (json!({"use": null, "alg": null}), true),
        (json!({"key_ops": ["verify"]}), true),
        (json!({"use": "enc"}), false),
        (json!({"use": "jwt-svid"}), false),
        (json!({"key_ops": ["encrypt"]}), false),
        (json!({"key_ops": []}), false),
        (json!({"alg": "ES384"}), false),
        (json!({"alg": "HS256"}), false),
        (json!({"alg": "made-up"}), false),
        (json!({"crv": "P-521"}), false),
        (json!({"crv": "P-1"}), false),
        (json!({"kty": "oct", "k": "c2VjcmV0"}), false),
        (json!({"d": "c2VjcmV0"}), false),
        (json!({"x": null}), false),
    ] {
        let json = json!({"keys": [with(good.clone(), changes.clone())]}).to_string();
        assert_eq!(KeySet::parse(json.as_bytes(), TokenKind::Access).is_ok(), usable, "{changes}");
    }
    let svid =
        json!({"keys": [with(good.clone(), json!({"use": "jwt-svid"})), with(good, json!({"use": "x509-svid"}))]});
    assert_eq!(KeySet::parse(svid.to_string().as_bytes(), TokenKind::JwtSvid).unwrap().len(), 1);
    for json in ["", "null", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[1]}"] {
        assert!(KeySet::parse(json.as_bytes(), TokenKind::Access).is_err(), "{json}");
    }
}

#[test]
fn the_generation_moves_when_keys_change_and_only_then() {
    let one = ring(issuer_rules(), &SIGNER);
    let keys = |signer: &Signer| Arc::new(KeySet::parse(signer.jwks().as_bytes(), TokenKind::Access).unwrap());
    assert_eq!(one.with_keys("idp", &keys(&SIGNER)).generation(), one.generation());
    assert_eq!(one.with_keys("nobody", &keys(&STRANGER)).generation(), one.generation());
    let two = one.with_keys("idp", &keys(&STRANGER));
    assert_eq!(two.generation(), one.generation() + 1);
    let call = call().bearer(&SIGNER.token(&claims()));
    assert_eq!(code(identify(&call, &profile(), &two)), Err(Code::TokenRejected), "a withdrawn key verifies nothing");
    assert_eq!(two.issuer("idp").unwrap().rules.claims.audiences, BTreeSet::from([AUDIENCE.to_owned()]));
}

#[test]
fn a_token_without_key_id_is_tried_against_few_keys_only() {
    let others: Vec<_> = (0..8).map(|_| STRANGER.jwk()).collect();
    let set = |before: usize| {
        let keys: Vec<_> = others.iter().take(before).cloned().chain([SIGNER.jwk()]).collect();
        Arc::new(KeySet::parse(json!({"keys": keys}).to_string().as_bytes(), TokenKind::Access).unwrap())
    };
    let token = SIGNER.sign(&with(SIGNER.header(), json!({"kid": null})), &claims());
    for (before, expected) in [(7, Ok(true)), (8, Err(Code::TokenRejected))] {
        let ring = KeyRing::new([issuer_rules()]).with_keys("idp", &set(before));
        assert_eq!(code(identify(&call().bearer(&token), &profile(), &ring)), expected, "behind {before} others");
    }
}

#[test]
fn a_cached_signature_ends_with_its_key_and_with_the_tokens_time() {
    let one = ring(issuer_rules(), &SIGNER);
    let mut bearer = call().bearer(&SIGNER.token(&claims()));
    let (signed, signature) = bearer_of(&bearer);
    let fingerprint = KeySet::fingerprint(&signed, &signature);
    let keys = one.issuer("idp").unwrap().keys.clone().unwrap();
    assert!(!keys.has_verified(&fingerprint));
    assert_eq!(code(identify(&bearer, &profile(), &one)), Ok(true));
    assert!(keys.has_verified(&fingerprint), "the second call need not verify");
    assert_eq!(code(identify(&bearer, &profile(), &one)), Ok(true));
    // The same token, later than its end: remembered or not, it is expired.
    bearer.received_at.0 += 24 * 3_600_000;
    assert_eq!(code(identify(&bearer, &profile(), &one)), Err(Code::TokenExpired));
    let stranger = KeySet::parse(STRANGER.jwks().as_bytes(), TokenKind::Access).unwrap();
    assert!(!stranger.has_verified(&fingerprint), "other keys remember nothing of it");
    // One bit of the signature is another token.
    assert!(!keys.has_verified(&KeySet::fingerprint(&signed, &format!("{signature}A"))));
}

fn bearer_of(call: &crate::call::Call) -> (String, String) {
    let header = call.headers.single("authorization").unwrap().unwrap();
    let (signed, signature) = header.strip_prefix("Bearer ").unwrap().rsplit_once('.').unwrap();
    (signed.to_owned(), signature.to_owned())
}
