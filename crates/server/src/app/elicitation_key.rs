//! Sealing keys: of the state that MCP clients bring back from an approval page, and of release records.
//!
//! Knows: where the key comes from. Must not know: what is sealed with it.

use std::path::Path;

use picket_core::obligation::elicit::{KEY_BYTES_MIN, StateKey};

/// Longest key file, in bytes. A longer file is not a key.
const KEY_BYTES_MAX: u64 = 1024;

/// The key in `file`, or a random one for this process alone.
///
/// A line feed at the end of the file does not count.
///
/// # Errors
/// A fragment that says what is wrong with the file, or that the system gives no random bytes. Never the content of the
/// file.
pub fn load(file: Option<&Path>) -> Result<StateKey, String> {
    load_as(file, StateKey::new)
}

/// As [`load`], a key of another kind; `new` makes it from at least [`KEY_BYTES_MIN`] bytes.
///
/// # Errors
/// As [`load`].
pub fn load_as<K>(file: Option<&Path>, new: impl Fn(&[u8]) -> Option<K>) -> Result<K, String> {
    let Some(file) = file else { return random(new) };
    let shown = file.display();
    let cannot = |error| format!("`{shown}` cannot be read: {error}");
    let length = std::fs::metadata(file).map_err(cannot)?.len();
    let wrong = || format!("`{shown}` has {length} bytes; a key has {KEY_BYTES_MIN} to {KEY_BYTES_MAX}");
    if length > KEY_BYTES_MAX {
        return Err(wrong());
    }
    let bytes = std::fs::read(file).map_err(cannot)?;
    new(bytes.strip_suffix(b"\n").unwrap_or(&bytes)).ok_or_else(wrong)
}

fn random<K>(new: impl Fn(&[u8]) -> Option<K>) -> Result<K, String> {
    let mut bytes = [0; KEY_BYTES_MIN];
    let filled = aws_lc_rs::rand::fill(&mut bytes);
    filled.ok().and_then(|()| new(&bytes)).ok_or_else(|| "the system gives no random bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use picket_core::call::UnixMillis;
    use picket_core::obligation::elicit::{BoundTo, seal};

    const BOUND: BoundTo<'_> = BoundTo {
        principal: "p",
        issuer: "",
        subject: "",
        service: "s/s",
        method: "tools/call",
        name: "t",
        arguments: &[],
    };

    fn sealed(key: &StateKey) -> String {
        seal(key, &BOUND, UnixMillis(1))
    }

    #[test]
    fn replicas_with_one_file_have_one_key_and_others_have_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            load(Some(&path))
        };
        let key = write("a", &[b'k'; 32]).unwrap();
        assert_eq!(sealed(&key), sealed(&write("b", b"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\n").unwrap()));
        assert_ne!(sealed(&key), sealed(&write("c", &[b'k'; 33]).unwrap()));
        assert_ne!(sealed(&load(None).unwrap()), sealed(&load(None).unwrap()));
        for bad in [&[b'k'; 31][..], b"", &[b'k'; 1025], b"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\n"] {
            let problem = write("bad", bad).unwrap_err();
            assert!(problem.ends_with("a key has 32 to 1024") && !problem.contains("kk"), "{problem}");
        }
        let problem = load(Some(&folder.path().join("absent"))).unwrap_err();
        assert!(problem.contains("cannot be read"), "{problem}");
    }
}
