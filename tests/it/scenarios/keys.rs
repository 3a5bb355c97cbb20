//! Issuers with keys made for this run, and tokens written by the scenarios.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde::Deserialize;
use serde_json::{Value, json};

use super::world::World;

/// A token as a scenario writes it.
#[derive(Clone, Deserialize)]
pub struct Written {
    header: Value,
    pub claims: Value,
    #[serde(default = "valid")]
    signature: String,
}

fn valid() -> String {
    "valid".to_owned()
}

/// A key of each kind that tokens name; every issuer has both, under each of its ids.
struct Key {
    ec: KeyPair,
    rsa: KeyPair,
}

/// All issuers of a world, by `iss`.
pub struct Issuers(BTreeMap<String, Key>);

impl Issuers {
    pub fn new(world: &World) -> Self {
        let key = || Key {
            ec: KeyPair::generate().unwrap(),
            rsa: KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
        };
        Self(world.issuers.keys().map(|name| (name.clone(), key())).collect())
    }

    /// The key set of an issuer, with all of its key ids.
    pub fn key_set(&self, issuer: &str, ids: &[String]) -> String {
        let key = &self.0[issuer];
        let (x, y) = key.ec.public_key_raw()[1..].split_at(32);
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        let (n, e) = rsa_parts(key.rsa.public_key_raw());
        let [n, e] = [n, e].map(|part| URL_SAFE_NO_PAD.encode(part));
        let both = |id: &String| {
            [
                json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "alg": "ES256", "x": x, "y": y}),
                json!({"kty": "RSA", "kid": id, "use": "sig", "alg": "RS256", "n": n, "e": e}),
            ]
        };
        json!({"keys": ids.iter().flat_map(both).collect::<Vec<_>>()}).to_string()
    }

    /// The token, signed as it says.
    pub fn mint(&self, token: &Written) -> String {
        let [header, claims] = [&token.header, &token.claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{claims}");
        let issuer = token.claims["iss"].as_str().unwrap_or_default();
        // An issuer that the world does not have signs with another's key: it could not be verified either way.
        let key = self.0.get(issuer).unwrap_or_else(|| self.0.values().next().unwrap());
        let (algorithm, key) = match token.header["alg"].as_str() {
            Some("RS256") => (Algorithm::RS256, EncodingKey::from_rsa_der(&rsa_private(&key.rsa))),
            // A shared secret made of the public key: the classic confusion.
            Some("HS256") => (Algorithm::HS256, EncodingKey::from_secret(key.rsa.public_key_raw())),
            _ => (Algorithm::ES256, EncodingKey::from_ec_der(key.ec.serialized_der())),
        };
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
        match token.signature.as_str() {
            "valid" => format!("{message}.{signature}"),
            "none" => format!("{message}."),
            "invalid" => {
                let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
                bytes[0] ^= 1;
                format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes))
            }
            other => panic!("unknown signature `{other}`"),
        }
    }
}

/// Modulus and exponent of a PKCS#1 public key: a DER sequence of two integers.
fn rsa_parts(der: &[u8]) -> (&[u8], &[u8]) {
    fn element(der: &[u8]) -> (&[u8], &[u8]) {
        let (length, header) = match der[1] {
            short @ 0..=0x7f => (usize::from(short), 2),
            0x81 => (usize::from(der[2]), 3),
            _ => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
        };
        (&der[header..header + length], &der[header + length..])
    }
    let (n, rest) = element(element(der).0);
    let unsigned = |bytes: &'_ [u8]| bytes.iter().take_while(|byte| **byte == 0).count();
    (&n[unsigned(n)..], element(rest).0)
}

/// The PKCS#1 key inside PKCS#8.
fn rsa_private(pair: &KeyPair) -> Vec<u8> {
    use x509_parser::asn1_rs::{FromDer as _, OctetString, Sequence};
    let (_, outer) = Sequence::from_der(pair.serialized_der()).unwrap();
    // version INTEGER, algorithm SEQUENCE, key OCTET STRING
    let (rest, _) = x509_parser::asn1_rs::Integer::from_der(&outer.content).unwrap();
    let (rest, _) = Sequence::from_der(rest).unwrap();
    let (_, key) = OctetString::from_der(rest).unwrap();
    key.as_ref().to_vec()
}
