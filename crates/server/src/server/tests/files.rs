//! Socket files.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::super::socket::{Accept as _, Address, Listener};

fn bind(path: &Path) -> std::io::Result<Listener> {
    Listener::bind(&Address::Unix(path.to_owned()))
}

#[tokio::test]
async fn a_socket_file_is_for_owner_and_group_and_goes_with_its_listener() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut listener = bind(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let (accepted, connected) = tokio::join!(listener.accept(), tokio::net::UnixStream::connect(&path));
    assert!(accepted.is_ok() && connected.is_ok());
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stale_socket_file_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    assert!(bind(&path).is_ok());
}

#[tokio::test]
async fn a_socket_in_use_and_a_file_that_is_not_a_socket_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (used, file) = (dir.path().join("used"), dir.path().join("file"));
    let _listener = std::os::unix::net::UnixListener::bind(&used).unwrap();
    std::fs::write(&file, "precious").unwrap();
    std::os::unix::fs::symlink(&file, dir.path().join("link")).unwrap();
    for (name, why) in [("used", "in use by another process"), ("file", "is not a socket"), ("link", "is not a socket")]
    {
        let error = bind(&dir.path().join(name)).unwrap_err().to_string();
        assert!(error.contains(why), "`{name}`: {error}");
    }
    assert!(used.exists());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[tokio::test]
async fn a_socket_file_of_another_process_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let ours = bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
    drop(ours);
    assert!(path.exists());
}

#[test]
fn addresses_are_read_strictly() {
    for (text, local) in [
        ("127.0.0.1:1", Some(true)),
        ("[::1]:1", Some(true)),
        ("unix:/run/p", Some(true)),
        ("0.0.0.0:1", Some(false)),
        ("[::]:1", Some(false)),
        ("10.1.2.3:1", Some(false)),
        ("unix:p", None),
        ("localhost:1", None),
        ("127.0.0.1", None),
        ("", None),
    ] {
        assert_eq!(text.parse::<Address>().ok().map(|address| address.is_local()), local, "`{text}`");
    }
}
