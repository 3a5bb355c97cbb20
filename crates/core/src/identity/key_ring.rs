//! The cached public keys of the issuers.
//!
//! Knows: which keys of a JWK set may verify which signatures. Must not know: where key sets come from
//! (`keys` fetches them) or what tokens say.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use sha2::{Digest, Sha256};

use super::TokenKind;
use super::rules::{IssuerRules, SignatureAlgorithm};

/// All configured issuers with the keys had so far. Immutable; a change makes a new ring.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    generation: u64,
    issuers: BTreeMap<String, Issuer>,
}

/// One issuer: its rules, and its keys once they have been had.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// How its tokens are verified.
    pub rules: Arc<IssuerRules>,
    /// Its keys; `None` until a first key set was had.
    pub keys: Option<Arc<KeySet>>,
}

impl KeyRing {
    /// A ring that knows the issuers and none of their keys.
    #[must_use]
    pub fn new(issuers: impl IntoIterator<Item = IssuerRules>) -> Self {
        let issuers = issuers
            .into_iter()
            .map(|rules| (rules.name.clone(), Issuer { rules: Arc::new(rules), keys: None }))
            .collect();
        Self { generation: 0, issuers }
    }

    /// Moves at every change of any issuer's keys; what is cached by it never outlives a key.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The issuer of that name.
    #[must_use]
    pub fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.issuers.get(name)
    }

    /// The same ring with other keys for one issuer. Equal keys or an unknown issuer change nothing.
    #[must_use]
    pub fn with_keys(&self, name: &str, keys: &Arc<KeySet>) -> Self {
        let mut next = self.clone();
        if let Some(issuer) = next.issuers.get_mut(name)
            && issuer.keys.as_ref().is_none_or(|old| old.digest != keys.digest)
        {
            issuer.keys = Some(Arc::clone(keys));
            next.generation += 1;
        }
        next
    }
}

/// The usable signing keys of one issuer.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
    digest: [u8; 32],
    /// Hashes of tokens that these very keys verified. The set is dropped with the keys, so a token never outlives
    /// the key that signed it; its claims, times and binding are checked on every call.
    verified: moka::sync::Cache<[u8; 32], ()>,
}

#[derive(Debug)]
struct VerifyingKey {
    id: Option<String>,
    algorithms: Vec<SignatureAlgorithm>,
    material: DecodingKey,
}

/// Why a document is not a key set that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetProblem {
    /// It is not a JSON object with a list `keys`.
    #[error("it is not a JSON object with a list `keys`")]
    Malformed,
    /// It holds too many keys.
    #[error("it holds more than {KEYS_MAX} keys")]
    TooMany,
    /// None of its keys can verify a signature.
    #[error("none of its keys can verify a signature (RSA, P-256, P-384 or Ed25519, `use` not for something else)")]
    NoUsableKey,
}

/// Most tokens whose signature is remembered, for each issuer.
const VERIFIED_MAX: u64 = 10_000;

/// More keys than any issuer publishes.
const KEYS_MAX: usize = 128;

/// How many keys one token is tried against: enough for a rotation, and few enough that tokens without
/// a key id are no way to keep us busy.
const KEYS_TRIED_MAX: usize = 8;

#[derive(serde::Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Names a token by everything its signature depends on.
    pub(super) fn fingerprint(signed: &str, signature: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(signed.as_bytes());
        hash.update(b".");
        hash.update(signature.as_bytes());
        hash.finalize().into()
    }

    /// Whether these keys have verified this token's signature before.
    pub(super) fn has_verified(&self, token: &[u8; 32]) -> bool {
        self.verified.contains_key(token)
    }

    /// Remembers a token whose signature these keys verified.
    pub(super) fn remember(&self, token: [u8; 32]) {
        self.verified.insert(token, ());
    }

    /// Reads a JWK set. Keys that cannot verify signatures are left out: other types, another `use`,
    /// `key_ops` without `verify`, shared secrets, and private keys, which are secrets no more.
    ///
    /// # Errors
    /// [`KeySetProblem`]; a set without any usable key is an error, so that the last good one stays.
    pub fn parse(json: &[u8], kind: TokenKind) -> Result<Self, KeySetProblem> {
        let document: Document = serde_json::from_slice(json).map_err(|_| KeySetProblem::Malformed)?;
        if document.keys.len() > KEYS_MAX {
            return Err(KeySetProblem::TooMany);
        }
        let keys: Vec<VerifyingKey> = document.keys.into_iter().filter_map(|key| usable(key, kind)).collect();
        if keys.is_empty() {
            return Err(KeySetProblem::NoUsableKey);
        }
        let verified = moka::sync::Cache::new(VERIFIED_MAX);
        Ok(Self { keys, digest: Sha256::digest(json).into(), verified })
    }

    /// How many usable keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none; never true of a set that was parsed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether any key has this id.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// The first few keys that may verify a signature of this algorithm, of this id where the token names one.
    pub(super) fn candidates(
        &self,
        id: Option<&str>,
        algorithm: SignatureAlgorithm,
    ) -> impl Iterator<Item = &DecodingKey> {
        self.keys
            .iter()
            .filter(move |key| id.is_none() || key.id.as_deref() == id)
            .filter(move |key| key.algorithms.contains(&algorithm))
            .map(|key| &key.material)
            .take(KEYS_TRIED_MAX)
    }
}

fn usable(json: serde_json::Value, kind: TokenKind) -> Option<VerifyingKey> {
    if json.get("d").is_some() {
        return None;
    }
    let Ok(jwk) = serde_json::from_value::<Jwk>(json) else { return None };
    let signs = match &jwk.common.public_key_use {
        None | Some(PublicKeyUse::Signature) => true,
        Some(PublicKeyUse::Other(other)) => kind == TokenKind::JwtSvid && other == "jwt-svid",
        Some(PublicKeyUse::Encryption) => false,
    };
    let verifies = jwk.common.key_operations.as_ref().is_none_or(|ops| ops.contains(&KeyOperations::Verify));
    if !signs || !verifies {
        return None;
    }
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => SignatureAlgorithm::RSA.to_vec(),
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => vec![SignatureAlgorithm::Es256],
            EllipticCurve::P384 => vec![SignatureAlgorithm::Es384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            vec![SignatureAlgorithm::EdDsa]
        }
        _ => return None,
    };
    if let Some(named) = jwk.common.key_algorithm {
        algorithms.retain(|algorithm| jsonwebtoken::jwk::KeyAlgorithm::from(algorithm.engine()) == named);
    }
    let Ok(material) = DecodingKey::from_jwk(&jwk) else { return None };
    (!algorithms.is_empty()).then_some(VerifyingKey { id: jwk.common.key_id, algorithms, material })
}
