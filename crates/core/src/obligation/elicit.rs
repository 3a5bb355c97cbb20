//! The sealed state that an MCP client returns from an approval page: it names the call that it was issued for.
//!
//! Knows: the seal. Must not know: clocks, files, where the key comes from, whether anything was approved.
//!
//! The note is the key of the question that the client is asked, so it comes back as a key of its answers. It cannot
//! be the `requestState`: that belongs to the server behind, and servers refuse one that they did not make.
//!
//! The note comes from the client, so it is an assertion of nobody until its seal is checked, and it never allows
//! anything: it ties a retry to the call that was denied, and the approval itself is looked up. Nothing is in it but
//! the time of its end; what it is bound to is known again at the retry and only goes into the seal.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::call::UnixMillis;

/// How our notes begin. A server asks by keys of its own, which are its affair.
const PREFIX: &str = "picket1.";
/// Parts notes from everything else that a key may ever seal.
const PURPOSE: &[u8] = b"picket mcp approval note, version 1";
/// Shortest key, in bytes: that of the seal.
pub const KEY_BYTES_MIN: usize = 32;
const SEAL_BYTES: usize = 32;
const TIME_BYTES: usize = 8;

/// The key that seals notes; replicas that answer one another's clients share it.
#[derive(Clone)]
pub struct StateKey(hmac::Key);

impl std::fmt::Debug for StateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateKey")
    }
}

impl StateKey {
    /// A key of these bytes; `None` for fewer than [`KEY_BYTES_MIN`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= KEY_BYTES_MIN).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }
}

/// The call that a state is bound to: it is invalid with any other call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundTo<'a> {
    /// Type and id of the principal (`Workload::"spiffe://…"`).
    pub principal: &'a str,
    /// The issuer of the token; empty without one.
    pub issuer: &'a str,
    /// The subject of the token; empty without one.
    pub subject: &'a str,
    /// Id of the called service.
    pub service: &'a str,
    /// The JSON-RPC method.
    pub method: &'a str,
    /// Name of the tool or prompt, or the resource's URI.
    pub name: &'a str,
    /// Digest of the arguments' canonical form.
    pub arguments: &'a [u8],
}

/// The maker of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Ours: seal and time are good.
    Picket,
    /// The called server, which validates it itself.
    Server,
}

/// Why a note of ours is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateProblem {
    /// It is not a state, or its seal is not that of this call.
    #[error("`inputResponses` belongs to the elicitation of another call")]
    Foreign,
    /// Its time is over.
    #[error("the elicitation state in `inputResponses` has expired")]
    Expired,
}

/// Seals a note that is good until `end`.
#[must_use]
pub fn seal(key: &StateKey, bound: &BoundTo<'_>, end: UnixMillis) -> String {
    let time = end.0.to_be_bytes();
    let tag = hmac::sign(&key.0, &sealed(bound, time));
    let note: Vec<u8> = time.iter().chain(tag.as_ref()).copied().collect();
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(note))
}

/// Checks a note that came back with a call.
///
/// # Errors
/// [`StateProblem`], for what begins like a note of ours and is not good for this call now.
pub fn check(key: &StateKey, note: &str, bound: &BoundTo<'_>, now: UnixMillis) -> Result<Maker, StateProblem> {
    let Some(text) = note.strip_prefix(PREFIX) else { return Ok(Maker::Server) };
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| StateProblem::Foreign)?;
    let (time, tag) = bytes.split_first_chunk::<TIME_BYTES>().ok_or(StateProblem::Foreign)?;
    if tag.len() != SEAL_BYTES {
        return Err(StateProblem::Foreign);
    }
    // The seal first: the time of a note that is not ours says nothing.
    hmac::verify(&key.0, &sealed(bound, *time), tag).map_err(|_| StateProblem::Foreign)?;
    if i64::from_be_bytes(*time) <= now.0 { Err(StateProblem::Expired) } else { Ok(Maker::Picket) }
}

/// What is sealed. Each part goes with its length, so that no two calls have the same.
fn sealed(bound: &BoundTo<'_>, time: [u8; TIME_BYTES]) -> Vec<u8> {
    let BoundTo { principal, issuer, subject, service, method, name, arguments } = *bound;
    let texts = [principal, issuer, subject, service, method, name].map(str::as_bytes);
    let parts = [PURPOSE, &time].into_iter().chain(texts).chain([arguments]);
    parts.flat_map(|part| part.len().to_be_bytes().into_iter().chain(part.iter().copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: BoundTo<'_> = BoundTo {
        principal: r#"Workload::"spiffe://a/ns/b/sa/c""#,
        issuer: "https://idp.example",
        subject: "ana",
        service: "agents/deploy-mcp",
        method: "tools/call",
        name: "deploy.production",
        arguments: &[7; 32],
    };
    const END: UnixMillis = UnixMillis(1_000_000);

    fn key(byte: u8) -> StateKey {
        StateKey::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_note_is_good_for_its_call_until_its_end() {
        let note = seal(&key(1), &BOUND, END);
        assert_eq!(check(&key(1), &note, &BOUND, UnixMillis(999_999)), Ok(Maker::Picket));
        assert_eq!(check(&key(1), &note, &BOUND, END), Err(StateProblem::Expired));
        assert_eq!(check(&key(2), &note, &BOUND, UnixMillis(0)), Err(StateProblem::Foreign));
    }

    #[test]
    fn a_note_is_good_for_no_other_call() {
        let note = seal(&key(1), &BOUND, END);
        let others = [
            BoundTo { principal: r#"Workload::"spiffe://a/ns/b/sa/d""#, ..BOUND },
            BoundTo { issuer: "https://other.example", ..BOUND },
            BoundTo { subject: "bob", ..BOUND },
            BoundTo { subject: "", ..BOUND },
            BoundTo { service: "agents/other", ..BOUND },
            BoundTo { method: "prompts/get", ..BOUND },
            BoundTo { name: "deploy.staging", ..BOUND },
            BoundTo { arguments: &[8; 32], ..BOUND },
            BoundTo { arguments: &[], ..BOUND },
            // Parts that run together as one text must not be taken for one another.
            BoundTo { method: "tools/calld", name: "eploy.production", ..BOUND },
        ];
        for other in others {
            assert_eq!(check(&key(1), &note, &other, UnixMillis(0)), Err(StateProblem::Foreign), "{other:?}");
        }
    }

    #[test]
    fn a_note_with_one_byte_changed_is_foreign() {
        let note = seal(&key(1), &BOUND, END);
        let bytes = URL_SAFE_NO_PAD.decode(note.strip_prefix(PREFIX).unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(changed));
            assert_eq!(check(&key(1), &changed, &BOUND, UnixMillis(0)), Err(StateProblem::Foreign), "byte {at}");
        }
        for cut in ["picket1.", "picket1.AAAA", "picket1.!", &note[..note.len() - 1], &format!("{note}AAAA")] {
            assert_eq!(check(&key(1), cut, &BOUND, UnixMillis(0)), Err(StateProblem::Foreign), "{cut}");
        }
    }

    #[test]
    fn a_note_of_another_maker_is_the_servers_affair() {
        for note in ["", "abc", "picket2.AAAA", "eyJhbGciOi"] {
            assert_eq!(check(&key(1), note, &BOUND, END), Ok(Maker::Server), "{note}");
        }
    }

    #[test]
    fn a_short_key_is_invalid_and_no_key_is_shown() {
        assert!(StateKey::new(&[1; KEY_BYTES_MIN - 1]).is_none());
        assert_eq!(format!("{:?}", key(1)), "StateKey");
    }
}
