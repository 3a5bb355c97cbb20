use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;

fn key(id: &str) -> RedemptionKey {
    RedemptionKey { system: "changes".to_owned(), id: id.to_owned() }
}

const NOW: UnixMillis = UnixMillis(1_000_000);
const LATER: UnixMillis = UnixMillis(2_000_000);

fn memory() -> Embedded {
    Embedded::open(None, &TaskTracker::new()).unwrap()
}

#[tokio::test]
async fn an_approval_is_used_once_independent_of_others() {
    let store = memory();
    assert_eq!(store.is_used(key("a")).await, Ok(false));
    assert_eq!(store.consume(key("a"), LATER, NOW).await, Ok(true));
    assert_eq!(store.consume(key("a"), LATER, NOW).await, Ok(false));
    assert_eq!(store.is_used(key("a")).await, Ok(true));
    let elsewhere = RedemptionKey { system: "access".to_owned(), id: "a".to_owned() };
    for other in [key("b"), key("A"), key(""), elsewhere] {
        assert_eq!(store.consume(other.clone(), LATER, NOW).await, Ok(true), "{other:?}");
    }
}

#[test]
fn the_file_is_never_readable_by_others() {
    let dir = TempDir::new().unwrap();
    let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    let file = dir.path().join("new");
    drop(Embedded::open(Some(&file), &TaskTracker::new()).unwrap());
    assert_eq!(mode(&file), 0o600);
    for (was, becomes) in [(0o644, 0o640), (0o666, 0o640), (0o640, 0o640), (0o600, 0o600), (0o777, 0o640)] {
        std::fs::set_permissions(&file, Permissions::from_mode(was)).unwrap();
        drop(Embedded::open(Some(&file), &TaskTracker::new()).unwrap());
        assert_eq!(mode(&file), becomes, "{was:o}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_race_exactly_one_is_first() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("uses");
    for store in [memory(), Embedded::open(Some(&file), &TaskTracker::new()).unwrap()] {
        let store = Arc::new(store);
        for id in ["a", "b", "c"] {
            let mut racing = JoinSet::new();
            for _ in 0..32 {
                let store = Arc::clone(&store);
                racing.spawn(async move { store.consume(key(id), LATER, NOW).await.unwrap() });
            }
            let first = racing.join_all().await.into_iter().filter(|first| *first).count();
            assert_eq!(first, 1, "{id}");
        }
    }
}

#[tokio::test]
async fn a_use_survives_a_restart_and_a_second_process_cannot_have_the_file() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("uses");
    let open = || Embedded::open(Some(&file), &TaskTracker::new());
    let store = open().unwrap();
    assert_eq!(store.consume(key("a"), LATER, NOW).await, Ok(true));
    let refused = open().unwrap_err();
    assert!(refused.contains("already open"), "{refused}");
    drop(store);
    let store = open().unwrap();
    assert_eq!(store.is_used(key("a")).await, Ok(true));
    assert_eq!(store.consume(key("a"), LATER, NOW).await, Ok(false));
}

#[tokio::test]
async fn a_use_is_on_the_disk_before_it_is_answered() {
    let dir = TempDir::new().unwrap();
    let (file, copy) = (dir.path().join("uses"), dir.path().join("copy"));
    let store = Embedded::open(Some(&file), &TaskTracker::new()).unwrap();
    assert_eq!(store.consume(key("a"), LATER, NOW).await, Ok(true));
    // What a crash would leave behind: the file as it is, without a good end.
    std::fs::copy(&file, &copy).unwrap();
    let after = Embedded::open(Some(&copy), &TaskTracker::new()).unwrap();
    assert_eq!(after.consume(key("a"), LATER, NOW).await, Ok(false));
}

#[tokio::test]
async fn a_use_is_deleted_after_its_end_and_never_before() {
    let store = memory();
    for (id, until) in [("a", 10), ("b", 20), ("c", 30)] {
        assert_eq!(store.consume(key(id), UnixMillis(until), UnixMillis(1)).await, Ok(true));
    }
    assert_eq!(store.consume(key("x"), UnixMillis(40), UnixMillis(20)).await, Ok(true));
    let mut used = Vec::new();
    for id in ["a", "b", "c", "x"] {
        used.push(store.is_used(key(id)).await.unwrap());
    }
    assert_eq!(used, [false, true, true, true]);
}

#[tokio::test]
async fn a_full_store_allows_nothing_until_something_is_over() {
    let store = Embedded { uses_max: 2, ..memory() };
    for id in ["a", "b"] {
        assert_eq!(store.consume(key(id), LATER, NOW).await, Ok(true));
    }
    assert!(store.consume(key("c"), LATER, NOW).await.unwrap_err().contains("full"));
    assert_eq!(store.consume(key("a"), LATER, NOW).await, Ok(false));
    assert_eq!(store.consume(key("c"), UnixMillis(3_000_000), UnixMillis(2_000_001)).await, Ok(true));
}

#[test]
fn a_file_that_is_not_a_store_is_rejected_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("uses");
    std::fs::write(&file, "somebody's notes".repeat(500)).unwrap();
    assert!(Embedded::open(Some(&file), &TaskTracker::new()).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "somebody's notes".repeat(500));
    assert!(Embedded::open(Some(&dir.path().join("no/such/folder")), &TaskTracker::new()).is_err());
}
