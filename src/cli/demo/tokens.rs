//! A throw-away issuer of access tokens, so that a demonstration can log somebody in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};

/// `iss` of the tokens.
pub const ISSUER: &str = "https://login.example";
/// `aud` of the tokens.
pub const AUDIENCE: &str = "https://billing.example";

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

    /// A token of a person who logged in `login_age` seconds ago, good for ten minutes.
    ///
    /// # Errors
    /// [`TokenError::Sign`].
    pub fn token(&self, subject: &str, scope: &str, acr: Option<&str>, login_age: i64) -> Result<String, TokenError> {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "client_id": "back-office", "scope": scope,
            "iat": now, "exp": now + 600, "auth_time": now - login_age,
        });
        if let (Some(acr), Value::Object(claims)) = (acr, &mut claims) {
            claims.insert("acr".to_owned(), acr.into());
        }
        let header =
            Header { typ: Some("at+jwt".to_owned()), kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::ES256) };
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }
}
