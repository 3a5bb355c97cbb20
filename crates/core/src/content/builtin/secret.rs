//! Private keys, JSON Web Tokens, and named secrets without a form of their own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Form, form};
use crate::content::validator::{Candidate, Validator};

/// A private key in PEM from its first line on, up to its last line or the end of the text.
///
/// A single `-` belongs to the headers of old keys (`Proc-Type`); two begin the last line.
pub(super) static PRIVATE_KEY: [Form; 1] = [form(
    concat!(
        "-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-[^-])*",
        "(?:-{1,5}(?:E(?:N(?:D(?: [A-Z0-9 ]{0,64}-{0,5})?)?)?)?)?"
    ),
    Validator::None,
)];

/// A header that begins with `{"` and names an algorithm, and a payload that begins with `{"` (RFC 7515).
pub(super) static JWT: [Form; 1] =
    [form(r"eyJ[A-Za-z0-9_-]{8,1024}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?", Validator::Match(jwt))];

/// An assignment to a name of secrets: long values from 16 characters on, short ones whole.
pub(super) static GENERIC_SECRET: [Form; 2] = [
    form(
        concat!(
            "(?i:pass(?:word|wd|phrase)|pwd|secret|token|api[_-]?key|access[_-]?key|auth[_-]?key|credentials?)",
            r#"["']?[ \t]{0,3}(?::=|=>|:|=)[ \t]{0,3}["']?[A-Za-z0-9+/_.~=!@#$%^&*-]{16,}"#
        ),
        Validator::Match(long_secret),
    ),
    form(
        concat!(
            "(?i:pass(?:word|wd|phrase)|pwd|secret|token|api[_-]?key|access[_-]?key|auth[_-]?key|credentials?)",
            r#"["']?[ \t]{0,3}(?::=|=>|:|=)[ \t]{0,3}["']?[A-Za-z0-9+/_.~=!@#$%^&*-]{8,15}"#
        ),
        Validator::WithNext(short_secret),
    ),
];

/// Bits of a character of a random value of 16 characters: English prose has less.
const LONG_ENTROPY_MIN: f64 = 3.2;
const SHORT_ENTROPY_MIN: f64 = 2.5;

/// Accepts a token with a header of JSON that names an algorithm. Reads the header only.
fn jwt(candidate: &Candidate<'_>) -> Option<usize> {
    let (header, _) = candidate.text.split_once('.')?;
    let header: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    header.get("alg").is_some_and(serde_json::Value::is_string).then_some(candidate.text.len())
}

/// Accepts a value with the entropy of a key in its first 16 characters. Reads no more of it.
fn long_secret(candidate: &Candidate<'_>) -> Option<usize> {
    let value: String = value(candidate.text)?.chars().take(16).collect();
    (is_mixed(&value) && entropy(&value) >= LONG_ENTROPY_MIN).then_some(candidate.text.len())
}

fn short_secret(candidate: &Candidate<'_>) -> Option<usize> {
    let value = value(candidate.text)?;
    let is_longer = candidate.after.is_some_and(|after| after.is_ascii_graphic() && !"\"'`,;)]}>".contains(after));
    (!is_longer && is_mixed(value) && entropy(value) >= SHORT_ENTROPY_MIN).then_some(candidate.text.len())
}

/// The value of an assignment.
fn value(text: &str) -> Option<&str> {
    let (_, value) = text.split_once([':', '='])?;
    Some(value.trim_start_matches([':', '=', '>', ' ', '\t', '"', '\'']))
}

/// Whether a value has letters and digits.
fn is_mixed(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_digit()) && value.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Shannon's entropy in bits a character.
fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX));
    let parts = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / total);
    -parts.map(|share| share * share.log2()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use crate::content::builtin::tests::{check, masked};

    /// A key in PEM, composed so that this file holds none.
    fn pem(kind: &str, body: &str) -> String {
        format!("-----{} {kind}PRIVATE KEY-----\n{body}\n-----{} {kind}PRIVATE KEY-----", "BEGIN", "END")
    }

    #[test]
    fn private_keys() {
        let headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIB";
        let hits = [pem("", "MIIB+/=="), pem("RSA ", headers), pem("EC ", "MIIB"), pem("OPENSSH ", "b3Bl\r\nbnNz")];
        let public = pem("", "MIIB").replace("PRIVATE", "PUBLIC");
        let hits: Vec<&str> = hits.iter().map(String::as_str).collect();
        check("private_key", &hits, &[&public, "-----BEGIN CERTIFICATE-----", "---- BEGIN PRIVATE KEY", "PRIVATE KEY"]);
    }

    #[test]
    fn a_key_is_suppressed_to_its_last_line_or_the_end_of_the_text() {
        masked("private_key", &format!("a {} b-c", pem("", "MIIB")), "a [private_key] b-c");
        let open = pem("", "MIIB");
        let open = &open[..open.rfind("\n-----").unwrap()];
        masked("private_key", &format!("a {open}\nand all that follows."), "a [private_key]");
    }

    #[test]
    fn jwts() {
        let head = concat!("eyJhbGciOiJI", "UzI1NiJ9");
        let body = concat!("eyJzdWIiOiIx", "MjM0NTY3ODkwIn0");
        let no_algorithm = concat!("eyJhIjoi", "YiJ9AAAA");
        check(
            "jwt",
            &[&format!("{head}.{body}.c2lnbmF0dXJl"), &format!("{head}.{body}."), &format!("{head}.{body}")],
            &[
                &format!("{no_algorithm}.{body}.c2ln"),
                head,
                &format!("{head}.abc.def"),
                &format!("{head} {body}"),
                "eyJ.eyJ.x",
                "data:application/json;base64,eyJhIjoiYiJ9",
            ],
        );
    }

    #[test]
    fn generic_secrets() {
        check(
            "generic_secret",
            &[
                concat!("password = \"Tr0ub4", "dor&3xyzQ9\""),
                concat!("API_KEY: 9f86d081", "884c7d659a2feaa0"),
                concat!("client_secret=>'q8Zr4t", "Uw1xYp'"),
                concat!("token:=a1B2c3D4", "e5F6g7H8i9J0k1L2m3N4"),
            ],
            &[
                "password: hunter",
                "password = ${DB_PASSWORD}",
                "password: changemechangeme",
                "token: aaaaaaaaaaaaaaa1",
                "the secret is out",
                "secret: \"see the vault\"",
                "tokens: 12345678901234567890",
                "api_key: process.env.API_KEY",
            ],
        );
    }
}
