//! An issuer with one key, and a call with one of its tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use picket_core::call::{Body, Call, CanonicalPath, Headers, Host, Peer, Target, UnixMillis};
use picket_core::identity::TokenKind;
use picket_core::identity::rules::ClaimRules;
use picket_core::identity::settings::{Settings, TokenSource, VerifiedSource};
use rcgen::KeyPair;
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z, in seconds.
const NOW: i64 = 1_767_225_600;
const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "https://orders.example";

/// A key pair of the issuer.
pub struct Signer {
    id: &'static str,
    key: EncodingKey,
    public: Vec<u8>,
}

impl Signer {
    pub fn new(id: &'static str) -> Self {
        let pair = KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        Self { id, key, public: pair.public_key_raw().to_vec() }
    }

    /// Its public key as a JWK.
    pub fn jwk(&self) -> Value {
        let (x, y) = self.public[1..].split_at(32);
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "alg": "ES256", "x": x, "y": y})
    }

    /// A key set of this key alone.
    pub fn jwks(&self) -> String {
        json!({"keys": [self.jwk()]}).to_string()
    }

    /// A call with a good access token of this key.
    pub fn call(&self) -> Call {
        let header = Header { typ: Some("at+jwt".into()), kid: Some(self.id.into()), ..Header::new(Algorithm::ES256) };
        let claims = json!({
            "iss": ISSUER, "sub": "user-1", "aud": AUDIENCE, "exp": NOW + 300, "iat": NOW - 10, "client_id": "app",
        });
        let token = jsonwebtoken::encode(&header, &claims, &self.key).unwrap();
        Call {
            peer: Peer::default(),
            method: "GET".to_owned(),
            scheme: "https".to_owned(),
            host: Host::parse("orders.shop").unwrap(),
            target: Target::Path { path: CanonicalPath::parse("/v1/orders").unwrap(), query: None },
            path_sent: "/v1/orders".to_owned(),
            upgrade: None,
            headers: Headers::raw(vec![("authorization".to_owned(), format!("Bearer {token}").into_bytes())]),
            body: Body::NotSent,
            extensions: BTreeMap::new(),
            verified_tokens: BTreeMap::new(),
            received_at: UnixMillis(NOW * 1000),
        }
    }
}

pub fn claim_rules() -> ClaimRules {
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

/// A profile that reads tokens of the issuer `idp`.
pub fn profile() -> Settings {
    let source = TokenSource::Verified(VerifiedSource { issuers: ["idp".to_owned()].into() });
    Settings { tokens: vec![source], ..Settings::default() }
}
