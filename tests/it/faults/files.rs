//! Real files under a running server: links that are swapped, files half written, folders gone.
//!
//! The kernel's events need the real clock, so these tests measure it, with room for a busy machine.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::server::{Client, Server, write};
use crate::harness::{FORBID_ALL, PERMIT_ALL, orders};
use crate::support::tree;

/// Twice what is promised for the watch.
const WATCH: Duration = Duration::from_secs(2);
/// The promised interval of the poll.
const POLL: Duration = Duration::from_secs(10);
const SHOP: &str = "namespaces/shop/a.cedar";

/// Two trees `open` and `shut`, and a link `live` to the first.
fn home() -> Arc<TempDir> {
    let home = TempDir::new().unwrap();
    write(&home.path().join("open"), &tree(&[(SHOP, PERMIT_ALL)]));
    write(&home.path().join("shut"), &tree(&[(SHOP, FORBID_ALL)]));
    symlink("open", home.path().join("live")).unwrap();
    Arc::new(home)
}

async fn serve(home: &Arc<TempDir>, folder: &str, poll: &str) -> (Server, Client) {
    let dir = format!("policies.dir={}", home.path().join(folder).display());
    let server = Server::over(Arc::clone(home), &[&dir, &format!("policies.poll={poll}")]).await;
    let client = server.client().await;
    (server, client)
}

fn swap(home: &Path, to: &str) {
    symlink(to, home.join("next")).unwrap();
    std::fs::rename(home.join("next"), home.join("live")).unwrap();
}

/// Sends checks until the answer is `status`; fails after `limit`.
async fn until(client: &mut Client, status: i32, limit: Duration) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the kernel's events follow the real clock")]
    let start = Instant::now();
    while client.ask(orders()).await.status != status {
        assert!(start.elapsed() < limit, "still not {status} after {:?}", start.elapsed());
        tokio::task::yield_now().await;
    }
    start.elapsed()
}

#[tokio::test]
async fn a_swapped_link_is_in_force_within_a_second_or_two() {
    let home = home();
    let (_server, mut client) = serve(&home, "live", "1h").await;
    assert_eq!(client.ask(orders()).await.status, 200);
    for (to, status) in [("shut", 403), ("open", 200), ("shut", 403), ("open", 200), ("shut", 403)] {
        swap(home.path(), to);
        until(&mut client, status, WATCH).await;
    }
}

#[tokio::test]
async fn a_link_swapped_behind_the_watchs_back_is_in_force_within_the_poll() {
    // A folder between the watched ones is replaced; whether or not the watch sees it, the poll does.
    let home = home();
    let (_server, mut client) = serve(&home, "live/../live", "1s").await;
    assert_eq!(client.ask(orders()).await.status, 200);
    swap(home.path(), "shut");
    until(&mut client, 403, POLL).await;
}

#[tokio::test]
async fn half_written_files_and_vanished_folders_change_nothing() {
    let home = home();
    let (server, mut client) = serve(&home, "shut", "100ms").await;
    let before = client.ask(orders()).await;
    let (shut, file) = (home.path().join("shut"), home.path().join("shut").join(SHOP));
    // The file grows to a permit, byte by byte as far as the test checks, and never ends.
    for end in (1..PERMIT_ALL.len() - 1).step_by(5) {
        std::fs::write(&file, &PERMIT_ALL[..end]).unwrap();
        assert_eq!(client.ask(orders()).await, before, "after {end} bytes");
    }
    refused(&server, "shop").await;
    assert_eq!(client.ask(orders()).await, before);
    // The namespace's folder goes, then everything.
    std::fs::remove_dir_all(shut.join("namespaces")).unwrap();
    refused(&server, "shop").await;
    assert_eq!(client.ask(orders()).await, before);
    std::fs::remove_dir_all(&shut).unwrap();
    server.http("/readyz").await;
    assert_eq!(client.ask(orders()).await, before);
    write(&shut, &tree(&[(SHOP, PERMIT_ALL)]));
    until(&mut client, 200, POLL).await;
}

/// Waits until `/metrics` says that the newest version of a unit was refused: visible within 2 s is the promise.
async fn refused(server: &Server, unit: &str) {
    #[expect(clippy::disallowed_methods, reason = "the kernel's events follow the real clock")]
    let start = Instant::now();
    let line = format!("picket_policy_rejected{{policy_namespace=\"{unit}\"}} 1");
    loop {
        let metrics = server.http("/metrics").await;
        if metrics.contains(&line) {
            return;
        }
        let found: Vec<&str> = metrics.lines().filter(|line| line.contains("rejected")).collect();
        assert!(start.elapsed() < 2 * WATCH, "`{line}` does not appear: {found:?}");
    }
}
