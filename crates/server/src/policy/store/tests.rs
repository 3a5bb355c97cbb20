use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::*;
use crate::policy::Reading;

/// A source that gives what it is told to.
#[derive(Default)]
struct Fake {
    next: Mutex<Option<Result<Reading, Vec<Problem>>>>,
    hint: tokio::sync::Notify,
}

impl Fake {
    fn give(&self, files: &[(&str, &str)]) {
        *self.next.lock().unwrap() = Some(Ok(reading(files)));
    }

    fn fail(&self, message: &str) {
        *self.next.lock().unwrap() = Some(Err(vec![Problem::error("", message)]));
    }
}

impl PolicySource for Fake {
    fn read(&self) -> BoxFuture<'_, Result<Reading, Vec<Problem>>> {
        let next = self.next.lock().unwrap().clone().unwrap_or_else(|| Err(vec![Problem::error("", "nothing yet")]));
        async move { next }.boxed()
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        self.hint.notified().boxed()
    }
}

/// A snapshot of nothing, distinct from every other.
fn fresh() -> Arc<Snapshot> {
    Snapshot::load(&Tree::default(), None).snapshot.unwrap()
}

fn reading(files: &[(&str, &str)]) -> Reading {
    let mut reading = Reading::default();
    for (path, text) in files {
        reading.tree.files.insert((*path).to_owned(), (*text).into());
        if let Some((folder, _)) = path.rsplit_once('/') {
            reading.tree.folders.insert(folder.to_owned());
        }
    }
    reading
}

/// What the fake loader was given, newest last.
type Seen = Arc<Mutex<Vec<Tree>>>;

/// Refuses every unit with a file that says `bad`; breaks off at one that says `panic`.
fn loader(seen: Seen) -> Loader {
    Arc::new(move |tree, base| {
        seen.lock().unwrap().push(tree.clone());
        let mut refused = BTreeSet::new();
        for (path, text) in &tree.files {
            assert_ne!(&**text, "panic");
            if matches!(&**text, "bad" | "this namespace could not be read") {
                let unit = path.strip_prefix("namespaces/").and_then(|rest| rest.split('/').next());
                refused.insert(unit.unwrap_or(PLATFORM).to_owned());
            }
        }
        let problems = refused.iter().map(|unit| Problem::error(unit.clone(), "bad")).collect();
        let snapshot = if refused.contains(PLATFORM) { base.previous.cloned() } else { Some(fresh()) };
        Loaded { snapshot, refused: refused.into_iter().collect(), problems, ..Loaded::default() }
    })
}

fn store() -> (Arc<Fake>, Seen, Arc<Store>) {
    let (fake, seen) = (Arc::new(Fake::default()), Seen::default());
    let store = Store::over(fake.clone(), loader(seen.clone()), Duration::from_secs(10));
    (fake, seen, Arc::new(store))
}

fn last(seen: &Seen) -> BTreeMap<String, String> {
    let seen = seen.lock().unwrap();
    seen.last().unwrap().files.iter().map(|(path, text)| (path.clone(), text.to_string())).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_in_force_before_the_first_good_reading() {
    let (fake, _, store) = store();
    assert_eq!(store.load_now().await, LoadOutcome::Refused);
    fake.give(&[("mesh/a.cedar", "bad")]);
    assert_eq!(store.load_now().await, LoadOutcome::Refused);
    assert!(store.current().is_none());
    assert!(!store.status().ready);
    fake.give(&[("mesh/a.cedar", "1")]);
    assert_eq!(store.load_now().await, LoadOutcome::Ok);
    assert!(store.current().is_some());
    assert!(store.status().is_current());
    assert!(store.status().succeeded_at.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_reading_is_not_loaded_again() {
    let (fake, seen, store) = store();
    fake.give(&[("mesh/a.cedar", "1")]);
    store.load_now().await;
    let before = store.current().unwrap();
    assert_eq!(store.load_now().await, LoadOutcome::Unchanged);
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert!(Arc::ptr_eq(&before, &store.current().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn fifty_bad_updates_change_nothing() {
    let (fake, _, store) = store();
    fake.give(&[("mesh/a.cedar", "1"), ("namespaces/shop/a.cedar", "1")]);
    store.load_now().await;
    let before = store.current().unwrap();
    for round in 0..50 {
        match round % 5 {
            0 => fake.fail("unreadable"),
            1 => fake.give(&[
                ("mesh/a.cedar", "bad"),
                ("namespaces/shop/a.cedar", "1"),
                ("mesh/n.cedar", &round.to_string()),
            ]),
            2 => fake.give(&[("mesh/a.cedar", "panic"), ("mesh/n.cedar", &round.to_string())]),
            3 => fake.give(&[("mesh/a.cedar", "bad"), ("manifest.yaml", &format!("parts: {{ # {round}"))]),
            _ => {
                *fake.next.lock().unwrap() = Some(Ok(Reading {
                    withheld: [(PLATFORM.to_owned(), vec![Problem::error("stray", "bad")])].into(),
                    ..reading(&[("namespaces/shop/a.cedar", "panic"), ("namespaces/shop/n.cedar", &round.to_string())])
                }))
            }
        }
        assert_eq!(store.load_now().await, LoadOutcome::Refused, "round {round}");
        assert!(Arc::ptr_eq(&before, &store.current().unwrap()), "round {round}");
        assert!(!store.status().is_current(), "round {round}");
    }
    assert_eq!(store.status().counts.refused, 50);
}

#[tokio::test(start_paused = true)]
async fn a_vanished_namespace_is_loaded_with_the_files_it_last_had_in_force() {
    let (fake, seen, store) = store();
    fake.give(&[("mesh/a.cedar", "1"), ("namespaces/shop/a.cedar", "1")]);
    store.load_now().await;
    fake.give(&[("mesh/a.cedar", "1"), ("namespaces/shop/a.cedar", "bad")]);
    store.load_now().await;
    fake.give(&[("mesh/a.cedar", "2")]);
    assert_eq!(store.load_now().await, LoadOutcome::Refused);
    assert_eq!(last(&seen)["namespaces/shop/a.cedar"], "1");
    assert_eq!(last(&seen)["mesh/a.cedar"], "2");
    assert_eq!(store.status().refused, BTreeMap::from([("shop".to_owned(), Why::Missing)]));
    fake.give(&[("mesh/a.cedar", "2"), ("namespaces/shop/a.cedar", "3")]);
    assert_eq!(store.load_now().await, LoadOutcome::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_missing_folder_without_a_good_version_stays_rejected() {
    let (fake, seen, store) = store();
    fake.give(&[("mesh/a.cedar", "1"), ("namespaces/shop/a.cedar", "bad")]);
    store.load_now().await;
    fake.give(&[("mesh/a.cedar", "2")]);
    assert_eq!(store.load_now().await, LoadOutcome::Refused);
    assert!(last(&seen).contains_key("namespaces/shop/refused.cedar"));
    assert!(store.status().refused.contains_key("shop"));
}

#[tokio::test(start_paused = true)]
async fn a_reading_equal_to_the_active_one_clears_the_problems() {
    let (fake, _, store) = store();
    fake.give(&[("mesh/a.cedar", "1")]);
    store.load_now().await;
    fake.fail("volume gone");
    store.load_now().await;
    assert!(store.status().to_string().contains("volume gone"));
    fake.give(&[("mesh/a.cedar", "1")]);
    assert_eq!(store.load_now().await, LoadOutcome::Unchanged);
    assert!(store.status().is_current());
}

#[tokio::test(start_paused = true)]
async fn a_change_without_a_hint_is_in_force_within_the_poll() {
    let (fake, seen, store) = store();
    fake.give(&[("mesh/a.cedar", "1")]);
    let cancel = CancellationToken::new();
    let watch = async {
        tokio::time::advance(Duration::from_secs(1)).await;
        fake.give(&[("mesh/a.cedar", "2")]);
        let started = tokio::time::Instant::now();
        while seen.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(started.elapsed() <= Duration::from_millis(10_100));
        cancel.cancel();
    };
    tokio::join!(store.run(cancel.clone()), watch);
}

#[tokio::test(start_paused = true)]
async fn a_change_with_a_hint_does_not_wait_for_the_poll() {
    let (fake, seen, store) = store();
    fake.give(&[("mesh/a.cedar", "1")]);
    let cancel = CancellationToken::new();
    let watch = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        fake.give(&[("mesh/a.cedar", "2")]);
        fake.hint.notify_one();
        let started = tokio::time::Instant::now();
        while seen.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(started.elapsed() < Duration::from_secs(1));
        cancel.cancel();
    };
    tokio::join!(store.run(cancel.clone()), watch);
}

#[tokio::test]
async fn half_written_files_are_never_in_force() {
    let root = tempfile::TempDir::new().unwrap();
    let path = root.path().join("mesh/a.cedar");
    std::fs::create_dir(root.path().join("mesh")).unwrap();
    std::fs::write(&path, "0 end").unwrap();
    // A text is whole when it ends so: stands for parsing.
    let loader: Loader = Arc::new(|tree, base| {
        let whole = tree.files.values().all(|text| text.ends_with(" end"));
        let refused = if whole { Vec::new() } else { vec![PLATFORM.to_owned()] };
        Loaded { snapshot: if whole { Some(fresh()) } else { base.previous.cloned() }, refused, ..Loaded::default() }
    });
    let settings = Settings::new(root.path());
    let store = Store::over(Arc::new(Directory::new(&settings)), loader, settings.poll);
    assert_eq!(store.load_now().await, LoadOutcome::Ok);
    let before = store.current().unwrap();
    for torn in ["", "1", "1 e", "1 en"] {
        write(&path, torn);
        assert_eq!(store.load_now().await, LoadOutcome::Refused, "{torn:?}");
        assert!(Arc::ptr_eq(&before, &store.current().unwrap()), "{torn:?}");
    }
    write(&path, "1 end");
    assert_eq!(store.load_now().await, LoadOutcome::Ok);
    assert!(!Arc::ptr_eq(&before, &store.current().unwrap()));
}

/// The kernel's events need the real clock; the poll is too far away to help.
#[tokio::test]
async fn a_swapped_link_is_in_force_by_the_watch_alone() {
    let home = tempfile::TempDir::new().unwrap();
    for version in ["v1", "v2", "v3"] {
        std::fs::create_dir_all(home.path().join(version).join("mesh")).unwrap();
        write(&home.path().join(version).join("mesh/a.cedar"), version);
    }
    std::os::unix::fs::symlink("v1", home.path().join("live")).unwrap();
    let (loads, mut loaded) = tokio::sync::mpsc::unbounded_channel();
    let loader: Loader = Arc::new(move |tree, _| {
        loads.send(tree.files["mesh/a.cedar"].to_string()).unwrap();
        Loaded { snapshot: Some(fresh()), ..Loaded::default() }
    });
    let source = Arc::new(Directory::new(&Settings::new(home.path().join("live"))));
    let store = Store::over(source, loader, Duration::from_secs(3600));
    let cancel = CancellationToken::new();
    let swaps = async {
        assert_eq!(loaded.recv().await.unwrap(), "v1");
        for version in ["v2", "v3"] {
            std::os::unix::fs::symlink(version, home.path().join("next")).unwrap();
            std::fs::rename(home.path().join("next"), home.path().join("live")).unwrap();
            let seen = tokio::time::timeout(Duration::from_secs(5), loaded.recv()).await;
            assert_eq!(seen.unwrap().unwrap(), version);
        }
        cancel.cancel();
    };
    tokio::join!(store.run(cancel.clone()), swaps);
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// A loader that takes its time for a namespace that says `slow`, and ends when it is told to or when nobody waits any more.
fn slow_loader(go: Arc<std::sync::atomic::AtomicBool>) -> Loader {
    Arc::new(move |tree, base| {
        let is_slow = tree.files.get("namespaces/shop/a.cedar").is_some_and(|text| text.starts_with("slow"));
        let late = (base.begin)("shop", picket_core::decision::load::Stakes::Delay);
        let postponed = match base.purpose {
            Purpose::Activate if is_slow && base.donors.is_empty() => vec!["shop".to_owned()],
            Purpose::Activate => Vec::new(),
            Purpose::Donor => {
                while !go.load(std::sync::atomic::Ordering::SeqCst) && !late() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Vec::new()
            }
        };
        Loaded { snapshot: Some(fresh()), postponed, ..Loaded::default() }
    })
}

async fn ends(store: &Store) {
    tokio::time::timeout(Duration::from_secs(10), store.ended.notified()).await.unwrap();
    // It is told before the thread has ended.
    while !store.memory.lock().await.slow.are_ended() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn slow_namespaces_are_loaded_separately_and_delay_no_other() {
    let (fake, go) = (Arc::new(Fake::default()), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let store = Store::over(fake.clone(), slow_loader(go.clone()), Duration::from_secs(10));
    fake.give(&[("mesh/a.cedar", "1"), ("namespaces/shop/a.cedar", "1")]);
    assert_eq!(store.load_now().await, LoadOutcome::Ok);
    fake.give(&[("mesh/a.cedar", "2"), ("namespaces/shop/a.cedar", "slow")]);
    assert_eq!(store.load_now().await, LoadOutcome::Refused);
    assert_eq!(store.status().refused, BTreeMap::from([("shop".to_owned(), Why::Loading)]));
    let before = store.current().unwrap();
    fake.give(&[("mesh/a.cedar", "3"), ("namespaces/shop/a.cedar", "slow")]);
    assert_eq!(store.load_now().await, LoadOutcome::Refused);
    assert!(!Arc::ptr_eq(&before, &store.current().unwrap()), "the mesh's edit waits");
    go.store(true, std::sync::atomic::Ordering::SeqCst);
    ends(&store).await;
    assert_eq!(store.load_now().await, LoadOutcome::Ok);
    assert!(store.status().is_current());
}

#[tokio::test]
async fn an_outdated_load_is_not_finished() {
    let fake = Arc::new(Fake::default());
    let store = Store::over(fake.clone(), slow_loader(Arc::default()), Duration::from_secs(10));
    fake.give(&[("namespaces/shop/a.cedar", "1")]);
    store.load_now().await;
    fake.give(&[("namespaces/shop/a.cedar", "slow")]);
    assert_eq!(store.load_now().await, LoadOutcome::Refused);
    fake.give(&[("namespaces/shop/a.cedar", "2")]);
    assert_eq!(store.load_now().await, LoadOutcome::Ok);
    // It would go on for ever if it were not told to stop.
    tokio::time::timeout(Duration::from_secs(10), store.ended.notified()).await.unwrap();
}
