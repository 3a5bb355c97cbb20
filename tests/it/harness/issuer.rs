//! An issuer of tokens with a key of its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::KeyPair;
use serde_json::{Value, json};

/// `iss` of every token here.
pub const ISSUER: &str = "https://idp.example";
/// `aud` of every token here.
pub const AUDIENCE: &str = "shop";

/// Signs tokens by a P-256 key.
pub struct Issuer {
    id: String,
    key: EncodingKey,
    public: Vec<u8>,
}

impl Issuer {
    /// An issuer with a key of this id.
    pub fn new(id: &str) -> Self {
        let pair = KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        Self { id: id.to_owned(), key, public: pair.public_key_raw().to_vec() }
    }

    /// Its key set.
    pub fn key_set(&self) -> String {
        let (x, y) = self.public[1..].split_at(32);
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        let key = json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "alg": "ES256", "x": x, "y": y});
        json!({"keys": [key]}).to_string()
    }

    /// A good access token of `alice`, living for five minutes.
    pub fn token(&self) -> String {
        self.token_of(ISSUER)
    }

    /// The same with another `iss`.
    pub fn token_of(&self, issuer: &str) -> String {
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({"iss": issuer, "sub": "alice", "aud": AUDIENCE, "exp": now + 300, "iat": now - 5});
        self.sign(&json!({"alg": "ES256", "typ": "at+jwt", "kid": self.id}), &claims)
    }

    /// A task token with these claims.
    pub fn task_token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "typ": "txntoken+jwt", "kid": self.id}), claims)
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{claims}");
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }
}
