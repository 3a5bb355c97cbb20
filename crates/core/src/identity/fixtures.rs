//! Test data for identity: calls, certificates, signers, tokens. Boring and denied by default.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{CertificateParams, IsCa, KeyPair, SanType};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::TokenKind;
use super::rules::{ClaimRules, IssuerRules, SignatureAlgorithm};
use super::settings::{
    JwtSvidSource, MetadataSource, Places, Settings, Source, TaskSource, TokenSource, VerifiedSource, XfccSource,
};
use super::{KeyRing, KeySet};
use crate::call::{Body, Call, CanonicalPath, Headers, Host, Peer, Target, UnixMillis};

/// 2026-01-01T00:00:00Z, in seconds.
pub(crate) const NOW: i64 = 1_767_225_600;
pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const AUDIENCE: &str = "https://orders.example";
pub(crate) const WEB: &str = "spiffe://cluster.local/ns/web/sa/frontend";
pub(crate) const GATEWAY: &str = "spiffe://cluster.local/ns/edge/sa/gateway";
pub(crate) const SIDECAR: &str = "spiffe://cluster.local/ns/shop/sa/orders";

/// A call from nobody.
pub(crate) fn call() -> Call {
    Call {
        peer: Peer::default(),
        method: "GET".to_owned(),
        scheme: "https".to_owned(),
        host: Host::parse("orders.shop").unwrap(),
        target: Target::Path { path: CanonicalPath::parse("/v1/orders").unwrap(), query: None },
        path_sent: "/v1/orders".to_owned(),
        upgrade: None,
        headers: Headers::default(),
        body: Body::NotSent,
        extensions: BTreeMap::new(),
        verified_tokens: BTreeMap::new(),
        received_at: UnixMillis(NOW * 1000),
    }
}

impl Call {
    pub(crate) fn principal(mut self, principal: &str) -> Self {
        self.peer.principal = Some(principal.to_owned());
        self
    }

    pub(crate) fn certificate(mut self, pem: &str) -> Self {
        let encoded = percent_encoding::utf8_percent_encode(pem, percent_encoding::NON_ALPHANUMERIC);
        self.peer.certificate = Some(encoded.to_string());
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let mut entries: Vec<_> = self.headers.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        entries.push((name.to_owned(), value.as_bytes().to_owned()));
        self.headers = Headers::raw(entries);
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn metadata(mut self, key: &str, payload: Value) -> Self {
        self.verified_tokens.insert(key.to_owned(), payload);
        self
    }
}

/// A leaf that is valid around [`NOW`], changed by `change`; as PEM, with its SHA-256.
pub(crate) fn certificate(uris: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (String, [u8; 32]) {
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    params.not_before = rcgen::date_time_ymd(2025, 12, 31);
    params.not_after = rcgen::date_time_ymd(2026, 1, 2);
    params.is_ca = IsCa::ExplicitNoCa;
    change(&mut params);
    let leaf = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    (leaf.pem(), Sha256::digest(leaf.der()).into())
}

/// A key pair of an issuer.
pub(crate) struct Signer {
    pub(crate) id: &'static str,
    key: EncodingKey,
    public: Vec<u8>,
}

impl Signer {
    pub(crate) fn new(id: &'static str) -> Self {
        let pair = KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        Self { id, key, public: pair.public_key_raw().to_vec() }
    }

    /// Its public key as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        let (x, y) = self.public[1..].split_at(32);
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "alg": "ES256", "x": x, "y": y})
    }

    /// A key set of this key alone.
    pub(crate) fn jwks(&self) -> String {
        json!({"keys": [self.jwk()]}).to_string()
    }

    /// A good access token's header.
    pub(crate) fn header(&self) -> Value {
        json!({"alg": "ES256", "typ": "at+jwt", "kid": self.id})
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{claims}");
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }
}

/// Claims of a good access token.
pub(crate) fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "user-1", "aud": AUDIENCE, "exp": NOW + 300, "iat": NOW - 10, "client_id": "app"})
}

/// `base` with the members of `changes`; `null` removes one.
pub(crate) fn with(mut base: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(name);
        } else {
            base[name] = value.clone();
        }
    }
    base
}

pub(crate) fn claim_rules() -> ClaimRules {
    ClaimRules {
        issuer: ISSUER.to_owned(),
        audiences: BTreeSet::from([AUDIENCE.to_owned()]),
        kind: TokenKind::Access,
        users: true,
        leeway: Duration::from_secs(30),
        trust_domain: None,
        lifetime_max: None,
        actors: BTreeMap::new(),
    }
}

pub(crate) fn issuer_rules() -> IssuerRules {
    IssuerRules {
        name: "idp".to_owned(),
        algorithms: BTreeSet::from([SignatureAlgorithm::Es256]),
        allow_untyped: false,
        claims: claim_rules(),
    }
}

pub(crate) fn svid_rules() -> IssuerRules {
    let claims = ClaimRules {
        issuer: "https://spire.example".to_owned(),
        kind: TokenKind::JwtSvid,
        trust_domain: Some("cluster.local".to_owned()),
        ..claim_rules()
    };
    IssuerRules { name: "spire".to_owned(), claims, ..issuer_rules() }
}

pub(crate) const TASKS: &str = "https://txn.example";

pub(crate) fn task_rules() -> IssuerRules {
    let claims = ClaimRules {
        issuer: TASKS.to_owned(),
        audiences: BTreeSet::from(["cluster.local".to_owned()]),
        kind: TokenKind::Transaction,
        users: false,
        ..claim_rules()
    };
    IssuerRules { name: "tts".to_owned(), claims, ..issuer_rules() }
}

/// Claims of a good task token, made for [`WEB`].
pub(crate) fn task_claims() -> Value {
    json!({
        "iss": TASKS, "aud": "cluster.local", "sub": "user-1", "iat": NOW - 20, "exp": NOW + 100, "txn": "txn-1",
        "req_wl": WEB, "tctx": {"task_id": "TASK-1", "tools": ["tickets.get"]},
    })
}

/// A ring of one issuer that has the signer's key.
pub(crate) fn ring(rules: IssuerRules, signer: &Signer) -> KeyRing {
    let keys = KeySet::parse(signer.jwks().as_bytes(), rules.claims.kind).unwrap();
    let name = rules.name.clone();
    KeyRing::new([rules]).with_keys(&name, &Arc::new(keys))
}

pub(crate) fn xfcc(hops: u8, proxies: &[&str]) -> Settings {
    let proxies = proxies.iter().map(|proxy| (*proxy).to_owned()).collect();
    Settings { sources: vec![Source::Xfcc(XfccSource { hops, proxies })], ..Settings::default() }
}

pub(crate) fn verified(names: &[&str]) -> TokenSource {
    TokenSource::Verified(VerifiedSource { issuers: names.iter().map(|name| (*name).to_owned()).collect() })
}

pub(crate) fn metadata() -> TokenSource {
    TokenSource::Metadata(Box::new(MetadataSource {
        key: "jwt".to_owned(),
        claims: claim_rules(),
        from: Places::default(),
    }))
}

/// A profile that looks at tasks of the issuer `tts`, beside `settings`.
pub(crate) fn tasks(settings: Settings) -> Settings {
    Settings { task: TaskSource { issuers: BTreeSet::from(["tts".to_owned()]) }, ..settings }
}

/// A profile that looks at tokens.
pub(crate) fn tokens(sources: &[TokenSource]) -> Settings {
    Settings { tokens: sources.to_vec(), ..Settings::default() }
}

pub(crate) fn jwt_svid(name: &str) -> Source {
    Source::JwtSvid(JwtSvidSource { issuer: name.to_owned() })
}
