use std::sync::{Arc, LazyLock};

use serde_json::json;

use super::TokenKind;
use super::fixtures::*;
use super::settings::{Bindings, Certificate, MetadataSource, Places, Settings, Source, TokenSource};
use super::{Binding, Identity, KeyRing, KeySet, Proof, Rejection, identify};
use crate::call::{Call, Headers};
use crate::failure::Code;
use crate::setting::CheckSettings as _;

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("k1"));

/// A ring of the issuers `idp` and `spire`, both signing with the same key.
fn both() -> KeyRing {
    let keys = Arc::new(KeySet::parse(SIGNER.jwks().as_bytes(), TokenKind::Access).unwrap());
    KeyRing::new([issuer_rules(), svid_rules()]).with_keys("idp", &keys).with_keys("spire", &keys)
}

fn run(call: &Call, settings: &Settings) -> Result<Identity, Rejection> {
    identify(call, settings, &both())
}

/// `<workload>/<subject of the token>`, or the failure's code.
fn show(call: &Call, settings: &Settings) -> String {
    match run(call, settings) {
        Err(rejection) => rejection.failure.code.as_str().to_owned(),
        Ok(identity) => {
            let workload = identity.workload.map_or("-".to_owned(), |workload| workload.id.to_string());
            let token = identity.token.map_or("-".to_owned(), |token| token.subject);
            format!("{workload} {token}")
        }
    }
}

fn svid(sub: &str) -> String {
    let claims = with(claims(), json!({"iss": "https://spire.example", "sub": sub}));
    SIGNER.sign(&with(SIGNER.header(), json!({"typ": null})), &claims)
}

#[test]
fn a_call_without_credentials_has_no_identity() {
    assert_eq!(run(&call(), &Settings::default()).unwrap(), Identity::default());
    assert_eq!(run(&call(), &tokens(&[metadata(), verified(&["idp"])])).unwrap(), Identity::default());
}

#[test]
fn a_rejected_certificate_never_falls_back_to_a_weaker_source() {
    let mut settings = xfcc(1, &[SIDECAR]);
    settings.sources = [Source::Peer, settings.sources[0].clone(), jwt_svid("spire")].to_vec();
    let call = call().header("x-forwarded-client-cert", &format!("By={SIDECAR};URI={WEB}")).bearer(&svid(WEB));
    assert_eq!(show(&call.clone(), &settings), format!("{WEB} -"));
    assert_eq!(show(&call.clone().principal("CN=web"), &settings), "peer_rejected");
    assert_eq!(show(&call.clone().certificate("x"), &settings), "peer_rejected");
    assert_eq!(show(&call.principal("spiffe://other.example/x"), &settings), "trust_domain_refused");
}

#[test]
fn p25_only_the_home_trust_domain_and_the_allowed_ones_may_call() {
    let foreign = "spiffe://other.example/ns/web/sa/frontend";
    let mut settings = Settings::default();
    assert_eq!(show(&call().principal(WEB), &settings), format!("{WEB} -"));
    assert_eq!(show(&call().principal(foreign), &settings), "trust_domain_refused");
    settings.allowed_trust_domains.insert("other.example".to_owned());
    assert_eq!(show(&call().principal(foreign), &settings), format!("{foreign} -"));
    settings.home_trust_domain = "prod.example".to_owned();
    assert_eq!(show(&call().principal(WEB), &settings), "trust_domain_refused");
}

#[test]
fn a_jwt_svid_is_an_identity_only_by_the_profile() {
    let svids = Settings { sources: vec![Source::Peer, jwt_svid("spire")], ..Settings::default() };
    let presented = call().bearer(&svid(WEB));
    let identity = run(&presented, &svids).unwrap();
    assert_eq!(identity.workload.unwrap().proof, Proof::JwtSvid);
    assert_eq!(identity.token, None);
    assert_eq!(show(&presented, &Settings::default()), "- -");
    assert_eq!(show(&presented, &tokens(&[verified(&["spire"])])), format!("- {WEB}"));
    let both = Settings { tokens: vec![verified(&["idp", "spire"])], ..svids.clone() };
    assert_eq!(show(&presented, &both), format!("{WEB} {WEB}"));
    assert_eq!(show(&call().bearer(&SIGNER.token(&claims())), &both), "- user-1");
    let bound = SIGNER.sign(
        &with(SIGNER.header(), json!({"typ": null})),
        &with(claims(), json!({"iss": "https://spire.example", "sub": WEB, "cnf": {"jkt": "x"}})),
    );
    assert_eq!(show(&call().bearer(&bound), &svids), "token_not_bound");
    // Settings that name such an issuer do not load.
    let access = Settings { sources: vec![jwt_svid("idp")], ..Settings::default() };
    assert_eq!(show(&call().bearer(&SIGNER.token(&claims())), &access), "token_rejected");
}

#[test]
fn without_a_token_source_tokens_are_not_read() {
    for value in ["Bearer a.b.c", "Bearer x, Bearer y", "Basic eA=="] {
        assert_eq!(show(&call().header("authorization", value), &Settings::default()), "- -", "{value}");
    }
}

#[test]
fn other_schemes_are_absent_unless_the_profile_is_strict() {
    let lenient = tokens(&[verified(&["idp"])]);
    let strict = Settings { strict: true, ..lenient.clone() };
    for value in
        ["Basic dXNlcjpwYXNz", "Bearer opaque", "Bearer ", "Bearer", "", "DPoP a.b.c", "Digest a=\"b\", c=\"d\""]
    {
        let call = call().header("authorization", value);
        assert_eq!(show(&call, &lenient), "- -", "{value}");
        assert_eq!(show(&call, &strict), "token_rejected", "{value}");
        let beside = Settings { tokens: vec![metadata()], ..strict.clone() };
        assert_eq!(show(&call.metadata("jwt", claims()), &beside), "token_rejected", "{value}");
    }
    assert_eq!(show(&call(), &strict), "- -");
}

#[test]
fn the_scheme_is_read_as_leniently_as_any_service_would() {
    let settings = tokens(&[verified(&["idp"])]);
    let token = SIGNER.token(&claims());
    for scheme in ["Bearer ", "bearer ", "BEARER  ", "Bearer\t", "  Bearer "] {
        let call = call().header("authorization", &format!("{scheme}{token}"));
        assert_eq!(show(&call, &settings), "- user-1", "{scheme:?}");
    }
}

#[test]
fn two_authorizations_are_refused_in_either_spelling() {
    let token = SIGNER.token(&claims());
    for settings in [tokens(&[verified(&["idp"])]), tokens(&[metadata()])] {
        let good = call().metadata("jwt", claims());
        let twice = good.clone().bearer(&token).header("authorization", "Basic x");
        assert_eq!(show(&twice, &settings), "token_rejected");
        for value in [format!("Basic x,Bearer {token}"), format!("Bearer {token}, Bearer {token}"), "Bearer a,b".into()]
        {
            let mut joined = good.clone();
            joined.headers = Headers::joined(vec![("authorization".to_owned(), value.clone().into_bytes())]);
            assert_eq!(show(&joined, &settings), "token_rejected", "{value}");
        }
    }
}

#[test]
fn p21_only_claims_under_the_configured_key_count() {
    let settings = tokens(&[metadata()]);
    assert_eq!(show(&call().metadata("jwt", claims()), &settings), "- user-1");
    assert_eq!(show(&call().metadata("other", claims()), &settings), "- -");
    assert_eq!(show(&call().header("x-jwt-payload", &claims().to_string()), &settings), "- -");
    for payload in [json!({}), json!("x"), json!(null), json!({"failed_status": {"code": 16, "message": "expired"}})] {
        assert_eq!(show(&call().metadata("jwt", payload), &settings), "token_rejected");
    }
    let stale = with(claims(), json!({"exp": NOW - 60}));
    assert_eq!(show(&call().metadata("jwt", stale), &settings), "token_expired");
}

#[test]
fn p21_a_token_the_proxy_should_have_verified_and_did_not_is_refused() {
    let settings = tokens(&[metadata()]);
    let call = call().bearer(&SIGNER.token(&claims()));
    assert_eq!(show(&call, &settings), "token_rejected");
    assert_eq!(show(&call.metadata("jwt", claims()), &settings), "- user-1");
}

#[test]
fn one_token_is_good_whichever_source_has_it_and_two_are_refused() {
    let mut rules = claim_rules();
    rules.issuer = "https://edge.example".to_owned();
    let edge = MetadataSource { key: "edge".to_owned(), claims: rules, from: Places::default() };
    let edge = TokenSource::Metadata(Box::new(edge));
    let settings = tokens(&[edge, verified(&["idp"])]);
    let edge_claims = with(claims(), json!({"iss": "https://edge.example", "sub": "edge-user"}));
    let ours = call().bearer(&SIGNER.token(&claims()));
    assert_eq!(show(&ours, &settings), "- user-1");
    assert_eq!(show(&call().metadata("edge", edge_claims.clone()), &settings), "- edge-user");
    assert_eq!(show(&ours.clone().metadata("edge", edge_claims), &settings), "token_repeated");
    assert_eq!(show(&ours.metadata("edge", claims()), &settings), "token_rejected", "a bad one is no absent one");
}

#[test]
fn a_token_bound_to_the_peers_certificate_needs_that_certificate() {
    use base64::Engine as _;
    let (pem, hash) = certificate(&[WEB], |_| {});
    let x5t = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash);
    let token = SIGNER.token(&with(claims(), json!({"cnf": {"x5t#S256": x5t}})));
    let settings = tokens(&[verified(&["idp"])]);
    let peer = call().principal(WEB).bearer(&token);
    let identity = run(&peer.clone().certificate(&pem), &settings).unwrap();
    assert_eq!(identity.token.unwrap().binding, Binding::Bound);
    let (stolen_by, _) = certificate(&[WEB], |_| {});
    assert_eq!(show(&peer.clone().certificate(&stolen_by), &settings), "token_not_bound");
    assert_eq!(show(&peer, &settings), "token_not_bound");
    let unchecked = Settings { bindings: Bindings::Unchecked, ..settings.clone() };
    assert_eq!(run(&peer, &unchecked).unwrap().token.unwrap().binding, Binding::Unchecked);

    // Behind a proxy the certificate is the one in its element, not the proxy's own.
    let element = |hash: [u8; 32]| format!("By={GATEWAY};Hash={};URI={WEB}", hex::encode(hash));
    let forwarded = Settings { tokens: settings.tokens.clone(), ..xfcc(1, &[GATEWAY]) };
    let behind = call().bearer(&token);
    let good = behind.clone().header("x-forwarded-client-cert", &element(hash));
    assert_eq!(show(&good, &forwarded), format!("{WEB} user-1"));
    let bad = behind.header("x-forwarded-client-cert", &element([0; 32]));
    assert_eq!(show(&bad, &forwarded), "token_not_bound");
}

#[test]
fn the_peer_is_refused_before_its_token_is() {
    let settings = tokens(&[verified(&["idp"])]);
    assert_eq!(show(&call().principal("CN=web").bearer("a.b.c"), &settings), "peer_rejected");
    assert_eq!(show(&call().principal(WEB).bearer("a.b.c"), &settings), "token_rejected");
    assert_eq!(run(&call().bearer("a.b.c"), &settings).unwrap_err().failure.code, Code::TokenRejected);
}

#[test]
fn settings_are_read_strictly() {
    let yaml = "
sources:
  - peer
  - xfcc: {hops: 2, proxies: ['spiffe://cluster.local/ns/edge/sa/gateway']}
  - jwt_svid: {issuer: spire}
certificate: required
tokens:
  - metadata:
      key: jwt
      claims: {issuer: 'https://idp.example', audiences: [a], leeway: 10s}
      from: {headers: [x-token], cookies: [sid], query: [tok]}
  - verified: {issuers: [idp]}
task: {issuers: [tts]}
foreign_tokens: absent
other_credentials: passed
form_tokens: not_read
bindings: unchecked
home_trust_domain: cluster.local
allowed_trust_domains: [other.example]
";
    let mut other = task_rules();
    other.name = "other".to_owned();
    let issuers = [issuer_rules(), svid_rules(), task_rules(), other];
    let settings: Settings = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!(settings.certificate, Certificate::Required);
    assert_eq!((settings.problems(), settings.issuer_problems(&issuers)), (Vec::new(), Vec::new()));
    assert_eq!(Settings::default().problems(), []);
    assert!(serde_saphyr::from_str::<Settings>("sauces: []").is_err());
    assert!(serde_saphyr::from_str::<Settings>("task: {issuer: tts}").is_err());
    assert!(serde_saphyr::from_str::<Settings>("form_tokens: false").is_err());
    assert!(serde_saphyr::from_str::<Settings>("sources: [{xfcc: {hops: 1, proxy: []}}]").is_err());
}

#[test]
fn every_problem_of_settings_is_reported() {
    let mut other = task_rules();
    other.name = "other".to_owned();
    let issuers = [issuer_rules(), svid_rules(), task_rules(), other];
    let bad: Settings = serde_saphyr::from_str(
        "
sources: [peer, peer, {xfcc: {hops: 0}}, {xfcc: {hops: 2}}, {xfcc: {hops: 1, proxies: [x]}}, {jwt_svid: {issuer: idp}}, {jwt_svid: {issuer: none}}]
tokens:
  - metadata:
      key: ''
      claims: {issuer: '', audiences: [], leeway: 1h, kind: jwt_svid}
      from: {headers: [Cookie, 'x y']}
  - verified: {issuers: []}
  - verified: {issuers: [nobody]}
  - verified: {issuers: [tts]}
task: {issuers: [idp, tts, other, missing]}
home_trust_domain: Cluster
",
    )
    .unwrap();
    let found = bad.problems().into_iter().chain(bad.issuer_problems(&issuers));
    let found = found.map(|problem| problem.to_string()).collect::<Vec<_>>().join("\n");
    for part in [
        "`home_trust_domain`: `Cluster` is not a valid trust domain",
        "`sources[1]`: repeats",
        "`sources[2].xfcc.hops`: 0 is out of range",
        "`sources[3].xfcc.proxies`: more than one hop",
        "`sources[4].xfcc.proxies`: `x` is not a SPIFFE id",
        "`sources[5].jwt_svid.issuer`: issuer `idp` is not of kind",
        "`sources[6].jwt_svid.issuer`: no issuer is named `none`",
        "`tokens[0].metadata.key`: is empty",
        "`tokens[0].metadata.from.headers`: header `Cookie` is always read",
        "`tokens[0].metadata.from.headers`: `x y` is not a name",
        "`tokens[0].metadata.claims.issuer`: is empty",
        "`tokens[0].metadata.claims.audiences`: ",
        "`tokens[0].metadata.claims.leeway`: ",
        "`tokens[0].metadata.claims.trust_domain`: kind `jwt_svid` needs it",
        "`tokens[1].verified.issuers`: is empty",
        "`tokens[2].verified.issuers`: no issuer is named `nobody`",
        "`tokens[3].verified.issuers`: issuer `tts` is of kind `transaction`",
        "`task.issuers`: issuer `idp` is of kind `access`",
        "`task.issuers`: issuer `tts` has the same `iss`",
        "`task.issuers`: no issuer is named `missing`",
    ] {
        assert!(found.contains(part), "`{part}` is missing in:\n{found}");
    }
}
