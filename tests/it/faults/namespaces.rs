//! With any change to one namespace's folder, the edits of all others become active.
//!
//! Every run draws new histories and prints its seed; `PROPS_SEED=<seed> cargo test --test it faults::namespaces`
//! repeats a run, `PROPS_CASES=<n>` runs more of them. The directory is a real one, and so are the watch and the
//! loader.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use picket::decision::Snapshot;
use picket::decision::snapshot::Namespace;
use picket::policy::directory::{Directory, NAMESPACE_ENTRIES_MAX};
use picket::policy::{Settings, Store};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An edit is in force within a second, in a release build on a quiet machine. Here it may take as long as a busy machine
/// makes it: what is held up by a namespace never comes at all, since the poll is an hour away.
const IN_FORCE_MAX: Duration = Duration::from_secs(20);
const CATALOG: &str = "services:\n  - {id: web/files, hosts: [files.web]}\n";
const EVIL_SERVICE: &str = "  - {id: evil/x, hosts: [x.evil]}\n";
const PERMIT: &str = r#"permit (principal, action in Action::"any", resource);"#;

/// Something done to a folder, the so-manieth time.
type Deed = fn(&Path, u64);

/// Deeds of a namespace's writers to its folder, which exists when they begin.
const DEEDS: &[(&str, Deed)] = &[
    ("a good edit", |evil, n| write(evil, "a.cedar", &format!("@id(\"p{n}\") {PERMIT}"))),
    ("a bad edit", |evil, n| write(evil, "a.cedar", &format!("permit ( // {n}"))),
    ("a literal of its own service", |evil, _| {
        write(evil, "x.cedar", r#"permit (principal, action in Action::"any", resource in Service::"evil/x");"#);
    }),
    ("many policies", |evil, n| write(evil, "m.cedar", &format!("@id(\"m{n}\") {PERMIT}{}", PERMIT.repeat(1500)))),
    ("too many policies", |evil, _| write(evil, "s.cedar", &";".repeat(20_001))),
    ("dot files", |evil, _| (0..=NAMESPACE_ENTRIES_MAX).for_each(|n| write(evil, &format!(".{n}"), ""))),
    ("large files", |evil, _| (0..17).for_each(|n| sparse(evil, &format!("l{n}.cedar"), 1 << 20))),
    ("a file of a terabyte", |evil, _| sparse(evil, "t.cedar", 1 << 40)),
    ("a pipe", |evil, _| {
        let _ = std::process::Command::new("mkfifo").arg(evil.join("pipe.cedar")).status();
    }),
    ("a loop", |evil, _| link(evil, "loop.cedar", "loop.cedar")),
    ("a link to endless zeros", |evil, _| link(evil, "zero.cedar", "/dev/zero")),
    ("a link to the mesh", |evil, _| link(evil, "mesh.cedar", "../../mesh/guard.cedar")),
    ("a volume of another's", |evil, _| link(evil, "..data", "../web")),
    ("a volume elsewhere", |evil, _| link(evil, "..data", "/proc")),
    ("a name that is not UTF-8", |evil, _| drop(fs::write(evil.join(OsStr::from_bytes(b"\xff.cedar")), ""))),
    ("a name of two lines", |evil, _| write(evil, "a\nunit mesh: gone", "")),
    ("the longest name", |evil, _| write(evil, &format!("{}.cedar", "n".repeat(249)), "")),
    ("a deep folder", |evil, _| drop(fs::create_dir_all(evil.join("d/".repeat(200))))),
    ("a folder that is gone", |evil, _| remove(evil)),
    ("a file for a folder", |evil, _| {
        remove(evil);
        let _ = fs::write(evil, "");
    }),
    ("a link for a folder", |evil, _| {
        remove(evil);
        let _ = symlink("../mesh", evil);
    }),
    ("a new beginning", |evil, _| {
        remove(evil);
        let _ = fs::create_dir(evil);
    }),
];

fn write(evil: &Path, name: &str, text: &str) {
    // An earlier deed may have made it impossible.
    let _ = fs::write(evil.join(name), text);
}

fn sparse(evil: &Path, name: &str, bytes: u64) {
    let _ = fs::File::create(evil.join(name)).and_then(|file| file.set_len(bytes));
}

fn link(evil: &Path, name: &str, target: &str) {
    let _ = symlink(target, evil.join(name));
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|what| what.is_symlink())
}

fn remove(evil: &Path) {
    let _ = fs::remove_file(evil);
    let _ = fs::remove_dir_all(evil);
}

/// Splitmix64: the seed is all that is needed to draw the same again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// A tree on the disk, and the store over it.
struct Mesh {
    root: TempDir,
    store: Arc<Store>,
    cancel: CancellationToken,
    _tasks: JoinSet<()>,
    history: Vec<String>,
}

impl Mesh {
    async fn new() -> Self {
        let root = TempDir::new().unwrap();
        for folder in ["mesh", "namespaces/web", "namespaces/evil"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("catalog.yaml"), format!("{CATALOG}{EVIL_SERVICE}")).unwrap();
        fs::write(root.path().join("mesh/guard.cedar"), "").unwrap();
        fs::write(root.path().join("namespaces/web/a.cedar"), "").unwrap();
        fs::write(root.path().join("namespaces/evil/a.cedar"), PERMIT).unwrap();
        let source = Arc::new(Directory::new(&Settings::new(root.path())));
        let store = Arc::new(Store::over(source, Arc::new(Snapshot::load_on), Duration::from_secs(3600)));
        store.load_now().await;
        assert!(store.status().is_current(), "{}", store.status());
        let cancel = CancellationToken::new();
        let (running, stop) = (store.clone(), cancel.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { running.run(stop).await });
        Self { root, store, cancel, _tasks: tasks, history: Vec::new() }
    }

    fn evil(&self) -> PathBuf {
        self.root.path().join("namespaces/evil")
    }

    /// Waits until the policy is in force; says how long it took.
    async fn comes(&self, unit: &str, id: &str) -> Duration {
        let begun = Instant::now();
        loop {
            let snapshot = self.store.current().unwrap();
            let loaded = match (unit, snapshot.namespace(unit)) {
                ("mesh", _) => Some(snapshot.mesh()),
                (_, Some(Namespace::Loaded(loaded))) => Some(loaded),
                (_, Some(Namespace::Invalid) | None) => None,
            };
            if loaded.is_some_and(|loaded| loaded.entry(&format!("{unit}/{id}")).is_some()) {
                return begun.elapsed();
            }
            let history = &self.history;
            assert!(
                begun.elapsed() < IN_FORCE_MAX,
                "{unit}/{id} is held up after {history:?}: {}",
                self.store.status()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn step(&mut self, random: &mut Random, n: u64) -> Duration {
        for _ in 0..=random.below(3) {
            let (name, deed) = DEEDS[random.below(DEEDS.len())];
            self.history.push(name.to_owned());
            if is_link(&self.evil()) {
                // The link leads to a folder of others, and only they write there.
                remove(&self.evil());
                fs::create_dir(self.evil()).unwrap();
            }
            deed(&self.evil(), n);
        }
        // With the edit its service may go, and come back.
        if random.below(3) == 0 {
            let services = if random.below(2) == 0 { EVIL_SERVICE } else { "" };
            self.history.push(format!("catalogue with `{}`", services.trim()));
            fs::write(self.root.path().join("catalog.yaml"), format!("{CATALOG}{services}")).unwrap();
        }
        let text = format!(r#"@id("r{n}") forbid (principal, action in Action::"any", resource is Path);"#);
        fs::write(self.root.path().join("mesh/guard.cedar"), text).unwrap();
        let took = self.comes("mesh", &format!("r{n}")).await;
        fs::write(self.root.path().join("namespaces/web/a.cedar"), format!("@id(\"w{n}\") {PERMIT}")).unwrap();
        self.comes("web", &format!("w{n}")).await;
        // A reading in the midst of these very edits may have found them changing, and the next one does not.
        let begun = Instant::now();
        while self.store.status().refused.keys().any(|unit| *unit != "evil") {
            assert!(begun.elapsed() < IN_FORCE_MAX, "after {:?}: {}", self.history, self.store.status());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        took
    }
}

/// Writes a file all the time, every so many milliseconds, until it is dropped.
struct Busy(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Busy {
    fn new(file: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let write = move || {
            for n in (0_u64..).take_while(|_| !stopped.load(Ordering::SeqCst)) {
                if !file.parent().is_some_and(is_link) {
                    let _ = fs::write(&file, format!("// {n}\n{PERMIT}"));
                }
                std::thread::sleep(Duration::from_millis(30));
            }
        };
        Self(stop, Some(std::thread::spawn(write)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        let _ = self.1.take().map(std::thread::JoinHandle::join);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_history_of_one_namespace_holds_up_an_edit_of_others() {
    let seed = picket_properties::seed();
    let mut random = Random(seed);
    let mut slowest = Duration::ZERO;
    for _ in 0..picket_properties::cases(2) {
        let mut mesh = Mesh::new().await;
        let busy = (random.below(2) == 0).then(|| Busy::new(mesh.evil().join("busy.cedar")));
        mesh.history.push(format!("PROPS_SEED={seed}, busy: {}", busy.is_some()));
        for n in 0..6 {
            slowest = slowest.max(mesh.step(&mut random, n).await);
        }
        drop(busy);
        // And it is not shut out for what it was.
        remove(&mesh.evil());
        fs::create_dir(mesh.evil()).unwrap();
        fs::write(mesh.evil().join("a.cedar"), format!("@id(\"good\") {PERMIT}")).unwrap();
        mesh.comes("evil", "good").await;
        mesh.cancel.cancel();
    }
    println!("the slowest edit of the mesh was in force after {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_written_to_all_the_time_holds_up_no_forbid() {
    let mesh = Mesh::new().await;
    let _busy = Busy::new(mesh.evil().join("busy.cedar"));
    for n in 0..3 {
        let text = format!(r#"@id("r{n}") forbid (principal, action in Action::"any", resource is Path);"#);
        fs::write(mesh.root.path().join("mesh/guard.cedar"), text).unwrap();
        mesh.comes("mesh", &format!("r{n}")).await;
    }
    mesh.cancel.cancel();
}

/// Each deed by itself: a drawn history may leave one out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_one_namespace_can_do_holds_up_a_forbid_of_the_mesh() {
    let mut mesh = Mesh::new().await;
    for (n, (name, deed)) in DEEDS.iter().enumerate() {
        mesh.history = vec![(*name).to_owned()];
        remove(&mesh.evil());
        fs::create_dir(mesh.evil()).unwrap();
        deed(&mesh.evil(), 0);
        let text = format!(r#"@id("r{n}") forbid (principal, action in Action::"any", resource is Path);"#);
        fs::write(mesh.root.path().join("mesh/guard.cedar"), text).unwrap();
        mesh.comes("mesh", &format!("r{n}")).await;
        assert!(!mesh.store.status().refused.contains_key("mesh"), "{name}: {}", mesh.store.status());
    }
    mesh.cancel.cancel();
}
