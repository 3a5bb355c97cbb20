//! The seal of a release record: encrypts it for one proxy, and opens it.
//!
//! Knows: the key, the form of a sealed record. Must not know: clocks, random numbers, what a record says.
//!
//! Every record is encrypted under a key of its own, which follows from the shared key and the record's salt. So the
//! number of records under one shared key is not limited by the nonces of AES-GCM (2^32 random ones, NIST SP 800-38D,
//! section 8.3), which a busy mesh uses up in days.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{DraftBytes, RECORD_BYTES_MAX, RecordProblem, ReleaseRecord, codec};
use crate::call::UnixMillis;

/// Begins a sealed record of this version.
const PREFIX: &str = "picket1.";
/// Begins a sealed record of any version.
const ANY_PREFIX: &str = "picket";
/// Distinguishes release records from everything else that a key may ever seal.
const PURPOSE: &[u8] = b"picket release record, version 1";
/// Shortest key, in bytes.
pub const KEY_BYTES_MIN: usize = 32;
/// Length of a salt, in bytes: random ones do not repeat in practice.
pub const SALT_BYTES: usize = 24;
const TIME_BYTES: usize = 8;
const ID_BYTES: usize = 16;

/// The key that seals records; replicas that serve one proxy share it.
#[derive(Clone)]
pub struct ReleaseKey(hmac::Key);

impl std::fmt::Debug for ReleaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReleaseKey")
    }
}

impl ReleaseKey {
    /// A key of these bytes; `None` for fewer than [`KEY_BYTES_MIN`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= KEY_BYTES_MIN).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// The key of the record with this salt.
    fn of_record(&self, salt: &[u8; SALT_BYTES]) -> Result<LessSafeKey, Unspecified> {
        let bytes = [PURPOSE, salt].concat();
        let key = hmac::sign(&self.0, &bytes);
        UnboundKey::new(&AES_256_GCM, key.as_ref()).map(LessSafeKey::new)
    }
}

/// What makes a record that of one call.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// When the request was evaluated.
    pub at: UnixMillis,
    /// The bytes of the decision's id.
    pub decision_id: [u8; ID_BYTES],
    /// The identity of the proxy that requests the check; empty for one without a certificate.
    pub proxy: &'a str,
    /// Random bytes, used for no other record.
    pub salt: [u8; SALT_BYTES],
}

/// Seals the record of one call.
///
/// # Errors
/// [`RecordProblem::TooLarge`] if the text is longer than [`RECORD_BYTES_MAX`].
pub fn seal(key: &ReleaseKey, stamp: &Stamp<'_>, draft: &DraftBytes) -> Result<String, RecordProblem> {
    let mut bytes = Vec::with_capacity(TIME_BYTES + ID_BYTES + draft.0.len() + 16);
    bytes.extend_from_slice(&stamp.at.0.to_be_bytes());
    bytes.extend_from_slice(&stamp.decision_id);
    bytes.extend_from_slice(&draft.0);
    // Sealing fails only for bytes beyond the limits of AES-GCM, which are far above ours.
    let key = key.of_record(&stamp.salt).map_err(|_| RecordProblem::TooLarge)?;
    let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
    key.seal_in_place_append_tag(nonce, Aad::from(bound_to(stamp.proxy)), &mut bytes)
        .map_err(|_| RecordProblem::TooLarge)?;
    let sealed = [stamp.salt.as_slice(), &bytes].concat();
    let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed));
    if text.len() > RECORD_BYTES_MAX { Err(RecordProblem::TooLarge) } else { Ok(text) }
}

/// Opens a record that a proxy returned with a response.
///
/// `age_max_millis` also limits how far the clock that stamped it may be ahead.
///
/// # Errors
/// [`RecordProblem`], for every text that [`seal`] did not make for this proxy within this time.
pub fn open(
    key: &ReleaseKey,
    text: &str,
    proxy: &str,
    now: UnixMillis,
    age_max_millis: u64,
) -> Result<ReleaseRecord, RecordProblem> {
    if text.is_empty() {
        return Err(RecordProblem::Missing);
    }
    if text.len() > RECORD_BYTES_MAX {
        return Err(RecordProblem::TooLarge);
    }
    let encoded = text.strip_prefix(PREFIX).ok_or_else(|| {
        if text.starts_with(ANY_PREFIX) { RecordProblem::UnknownVersion } else { RecordProblem::Foreign }
    })?;
    let mut bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| RecordProblem::Foreign)?;
    let (salt, sealed) = bytes.split_first_chunk_mut::<SALT_BYTES>().ok_or(RecordProblem::Foreign)?;
    let key = key.of_record(salt).map_err(|_| RecordProblem::Foreign)?;
    let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
    let opened = key.open_in_place(nonce, Aad::from(bound_to(proxy)), sealed).map_err(|_| RecordProblem::Foreign)?;
    let (at, rest) = opened.split_first_chunk::<TIME_BYTES>().ok_or(RecordProblem::Malformed)?;
    let (decision_id, draft) = rest.split_first_chunk::<ID_BYTES>().ok_or(RecordProblem::Malformed)?;
    let at = UnixMillis(i64::from_be_bytes(*at));
    if at.0.abs_diff(now.0) > age_max_millis {
        return Err(RecordProblem::Expired);
    }
    let (mask, draft) = codec::decode(draft)?;
    Ok(ReleaseRecord { at, decision_id: *decision_id, mask, draft })
}

/// The data that the seal binds in addition to the record.
fn bound_to(proxy: &str) -> Vec<u8> {
    [PURPOSE, proxy.as_bytes()].concat()
}
