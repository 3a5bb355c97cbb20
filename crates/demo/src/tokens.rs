//! A throw-away issuer of access tokens for the demo's logins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};

/// `iss` of the tokens.
pub const ISSUER: &str = "https://login.example";
/// `iss` of task tokens.
pub const TASK_ISSUER: &str = "https://tasks.example";

const KEY_ID: &str = "demo";

/// Signs access tokens by ES256.
pub struct Issuer {
    key: EncodingKey,
    public: Vec<u8>,
}

/// Why a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No key pair.
    #[error("could not make a key pair")]
    Key(#[from] rcgen::Error),
    /// No signature.
    #[error("could not sign a token")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

impl Issuer {
    /// An issuer with a fresh key.
    ///
    /// # Errors
    /// [`TokenError::Key`].
    pub fn new() -> Result<Self, TokenError> {
        let pair = KeyPair::generate()?;
        Ok(Self { key: EncodingKey::from_ec_der(pair.serialized_der()), public: pair.public_key_raw().to_vec() })
    }

    /// Its key set, as JSON.
    #[must_use]
    pub fn jwks(&self) -> String {
        // An uncompressed point: one byte that says so, then both coordinates of 32 bytes.
        let coordinate = |from: usize| URL_SAFE_NO_PAD.encode(self.public.get(from..from + 32).unwrap_or_default());
        let key = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY_ID,
            "x": coordinate(1), "y": coordinate(33),
        });
        json!({"keys": [key]}).to_string()
    }

    /// A token with these claims in addition to the usual times, valid for ten minutes; `kind` is its `typ`.
    ///
    /// # Errors
    /// [`TokenError::Sign`].
    pub fn token(&self, kind: &str, claims: Value) -> Result<String, TokenError> {
        let now = jiff::Timestamp::now().as_second();
        let mut all = json!({"iss": ISSUER, "iat": now, "exp": now + 600});
        if let (Value::Object(claims), Value::Object(all)) = (claims, &mut all) {
            all.extend(claims);
        }
        let header =
            Header { typ: Some(kind.to_owned()), kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::ES256) };
        Ok(jsonwebtoken::encode(&header, &all, &self.key)?)
    }
}
