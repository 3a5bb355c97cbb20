//! An issuer of tokens, made for one test: its key never leaves the process.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};

pub const ISSUER: &str = "https://login.example";
pub const AUDIENCE: &str = "people";

/// Signs access tokens by ES256.
pub struct Issuer {
    key: EncodingKey,
    public: Vec<u8>,
}

impl Issuer {
    pub fn new() -> Self {
        let pair = KeyPair::generate().unwrap();
        Self { key: EncodingKey::from_ec_der(pair.serialized_der()), public: pair.public_key_raw().to_vec() }
    }

    /// Its key set, for a file.
    pub fn key_set(&self) -> String {
        let (x, y) = self.public[1..].split_at(32);
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k", "x": x, "y": y}]})
            .to_string()
    }

    /// A token with these claims in addition to the usual ones, valid for five minutes; `authorization` as a header
    /// line.
    pub fn bearer(&self, claims: Value) -> String {
        format!("authorization: Bearer {}", self.token(claims))
    }

    pub fn token(&self, claims: Value) -> String {
        let now = jiff::Timestamp::now().as_second();
        let mut all = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now - 5, "exp": now + 300});
        super::bench::merge(&mut all, claims);
        let header =
            Header { typ: Some("at+jwt".to_owned()), kid: Some("k".to_owned()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, &all, &self.key).unwrap()
    }
}

/// Settings that have Picket verify its tokens; the key set lies in that file.
pub fn settings(file: &std::path::Path) -> Value {
    let claims = json!({"issuer": ISSUER, "audiences": [AUDIENCE]});
    json!({
        "keys": {"issuers": [{"name": "login", "jwks": {"file": file}, "algorithms": ["ES256"], "claims": claims}]},
        "profiles": {"default": {"identity": {"sources": ["peer"], "tokens": [{"verified": {"issuers": ["login"]}}]}}},
    })
}
