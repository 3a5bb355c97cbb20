use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::*;

fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn tree(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().unwrap();
    write(root.path(), files);
    root
}

const GOOD: [(&str, &str); 5] = [
    ("catalog.yaml", "services: []"),
    ("mesh/guard.cedar", "forbid(principal, action, resource);"),
    ("namespaces/shop/a.cedar", "permit(principal, action, resource);"),
    ("namespaces/web/a.cedar", ""),
    ("tests/anything.bin", "\0"),
];

fn files(reading: &Reading) -> Vec<&str> {
    reading.tree.files.keys().map(String::as_str).collect()
}

#[test]
fn everything_that_belongs_is_read_and_nothing_else() {
    let root = tree(&GOOD);
    write(
        root.path(),
        &[("README.md", ""), ("mesh/.guard.cedar.swp", ""), ("mesh/guard.cedar~", ""), ("library/x", "")],
    );
    fs::create_dir(root.path().join("namespaces/empty")).unwrap();
    let reading = read(root.path()).unwrap();
    assert_eq!(
        files(&reading),
        ["catalog.yaml", "mesh/guard.cedar", "namespaces/shop/a.cedar", "namespaces/web/a.cedar"]
    );
    let folders: Vec<&str> = reading.tree.folders.iter().map(String::as_str).collect();
    assert_eq!(folders, ["mesh", "namespaces/empty", "namespaces/shop", "namespaces/web"]);
    assert!(reading.withheld.is_empty());
}

#[test]
fn what_is_wrong_withholds_its_unit_whole_and_no_other() {
    type Break = fn(&Path);
    let rows: [(&str, Break, &str); 12] = [
        ("stray file at the top", |root| write(root, &[("policy.cedar", "")]), "mesh"),
        ("stray folder at the top", |root| write(root, &[("meshes/a.cedar", "")]), "mesh"),
        ("reserved namespace", |root| write(root, &[("namespaces/mesh/a.cedar", "")]), "mesh"),
        ("namespace that is no DNS label", |root| write(root, &[("namespaces/a.b/a.cedar", "")]), "mesh"),
        ("stray file in a namespace", |root| write(root, &[("namespaces/shop/a.ceder", "")]), "shop"),
        ("sub-folder of a namespace", |root| write(root, &[("namespaces/shop/more/a.cedar", "")]), "shop"),
        ("not UTF-8", |root| fs::write(root.join("namespaces/shop/b.cedar"), b"// \xff").unwrap(), "shop"),
        (
            "one byte too large",
            |root| write(root, &[("namespaces/shop/b.cedar", &" ".repeat(1024 * 1024 + 1))]),
            "shop",
        ),
        ("link loop", |root| symlink("b.cedar", root.join("namespaces/shop/b.cedar")).unwrap(), "shop"),
        ("link to nothing", |root| symlink("gone", root.join("namespaces/shop/b.cedar")).unwrap(), "shop"),
        (
            "link out of the tree",
            |root| symlink("/etc/hostname", root.join("namespaces/shop/b.cedar")).unwrap(),
            "shop",
        ),
        ("namespace that links to nothing", |root| symlink("gone", root.join("namespaces/pay")).unwrap(), "pay"),
    ];
    for (name, break_it, unit) in rows {
        let root = tree(&GOOD);
        break_it(root.path());
        let reading = read(root.path()).unwrap();
        let withheld: Vec<&str> = reading.withheld.keys().map(String::as_str).collect();
        assert_eq!(withheld, [unit], "{name}");
        assert!(reading.withheld[unit][0].help.is_some(), "{name}: says what would be right");
        let here = |path: &str| reading.tree.files.contains_key(path);
        assert_eq!(here("mesh/guard.cedar"), unit != "mesh", "{name}");
        assert_eq!(here("namespaces/shop/a.cedar"), unit != "shop", "{name}");
        assert!(here("namespaces/web/a.cedar"), "{name}");
    }
}

#[test]
fn a_file_of_exactly_1_mib_is_read() {
    let root = tree(&[("mesh/a.cedar", &" ".repeat(1024 * 1024))]);
    assert!(read(root.path()).unwrap().withheld.is_empty());
}

/// A file of `length` zeros, which takes no room on the disk.
fn sparse(root: &Path, path: &str, length: u64) {
    write(root, &[(path, "")]);
    File::options().write(true).open(root.join(path)).unwrap().set_len(length).unwrap();
}

#[test]
fn a_file_is_as_large_as_its_kind_may_be_and_the_help_fits_it() {
    let (mib, whole) = (1 << 20, 64 << 20);
    let rows = [
        ("mesh/a.cedar", mib, "mesh", "is larger than 1 MiB", "split it into several files"),
        ("namespaces/shop/a.cedar", mib, "shop", "is larger than 1 MiB", "split it into several files"),
        ("catalog.yaml", whole, "mesh", "is larger than 64 MiB", "it cannot be split"),
        ("entities.json", whole, "mesh", "is larger than 64 MiB", "it cannot be split"),
        ("descriptors/a.binpb", whole, "mesh", "is larger than 64 MiB", "make a set of its own for each service"),
    ];
    for (path, most, unit, message, help) in rows {
        let root = tree(&[]);
        sparse(root.path(), path, most);
        let reading = read(root.path()).unwrap();
        assert!(reading.withheld.is_empty() && reading.tree.files.contains_key(path), "{path}");
        sparse(root.path(), path, most + 1);
        let problem = &read(root.path()).unwrap().withheld[unit][0];
        assert!(problem.message.contains(message), "{path}: {}", problem.message);
        assert!(problem.help.as_ref().unwrap().starts_with(help), "{path}: {:?}", problem.help);
    }
}

#[test]
fn a_directory_of_large_files_is_refused_before_it_fills_the_memory() {
    let root = tree(&[("catalog.yaml", ""), ("mesh/a.cedar", "")]);
    // A descriptor set counts as it is held: base64 makes 400 bytes of 300.
    for (path, length) in [("catalog.yaml", 100), ("descriptors/a.binpb", 300), ("mesh/a.cedar", 100)] {
        sparse(root.path(), path, length);
    }
    assert!(read_within(root.path(), 600).unwrap().0.withheld.is_empty());
    let problems = read_within(root.path(), 599).unwrap_err();
    assert_eq!(problems[0].file, "mesh/a.cedar");
    assert!(problems[0].message.contains("larger than 512 MiB together") && problems[0].help.is_some());
}

/// Between listing a folder and opening what it lists, a file may become a link.
#[test]
fn what_became_a_link_since_it_was_listed_is_not_followed() {
    let root = tree(&[("mesh/a.cedar", "one")]);
    let link = root.path().join("mesh/b.cedar");
    symlink("/etc/hostname", &link).unwrap();
    let fault = content(&Folder::Mesh, &link).err().unwrap();
    assert_eq!(fault.0, "was replaced while it was read");
    assert!(content(&Folder::Mesh, &root.path().join("mesh/a.cedar")).is_ok());

    let (home, elsewhere) = (fs::canonicalize(root.path()).unwrap(), tree(&[("a.cedar", "two")]));
    fs::rename(home.join("mesh"), home.join("gone")).unwrap();
    symlink(elsewhere.path(), home.join("mesh")).unwrap();
    let mut reader = Reader {
        home: home.clone(),
        reading: Reading::default(),
        stamps: Stamps::default(),
        entries: 0,
        room: TREE_BYTES_MAX,
    };
    reader.enter(&Folder::Mesh, &home.join("mesh")).unwrap();
    assert!(reader.reading.withheld["mesh"][0].message.contains("was replaced while it was read"));
}

#[test]
fn a_directory_that_is_missing_or_a_file_cannot_be_read() {
    let root = tree(&[("file", "")]);
    assert!(read(&root.path().join("gone")).is_err());
    assert!(read(&root.path().join("file")).is_err());
}

/// A projected volume as the kubelet lays it out: user-visible links through `..data`.
fn publish(volume: &Path, generation: &str, files: &[(&str, &str)]) {
    write(&volume.join(generation), files);
    symlink(generation, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    for (path, _) in files {
        let top = path.split('/').next().unwrap();
        let _ = symlink(Path::new("..data").join(top), volume.join(top));
    }
}

#[test]
fn a_projected_volume_is_read_from_one_generation() {
    let volume = TempDir::new().unwrap();
    publish(
        volume.path(),
        "..2026_01",
        &[("catalog.yaml", "1"), ("mesh/a.cedar", "1"), ("namespaces/shop/a.cedar", "1")],
    );
    let first = read(volume.path()).unwrap();
    assert_eq!(files(&first), ["catalog.yaml", "mesh/a.cedar", "namespaces/shop/a.cedar"]);
    publish(volume.path(), "..2026_02", &[("catalog.yaml", "2"), ("mesh/a.cedar", "2")]);
    fs::remove_dir_all(volume.path().join("..2026_01")).unwrap();
    let second = read(volume.path()).unwrap();
    // The kubelet removes dangling links a moment later; `namespaces` is still one of them here.
    assert!(second.withheld.is_empty(), "{:?}", second.withheld);
    assert!(second.tree.files.values().all(|text| &**text == "2"));
}

#[test]
fn a_namespace_may_be_a_config_map_volume_of_its_own() {
    let root = tree(&GOOD);
    fs::create_dir(root.path().join("namespaces/pay")).unwrap();
    publish(&root.path().join("namespaces/pay"), "..2026_01", &[("a.cedar", "pay")]);
    let reading = read(root.path()).unwrap();
    assert!(reading.withheld.is_empty(), "{:?}", reading.withheld);
    assert_eq!(&*reading.tree.files["namespaces/pay/a.cedar"], "pay");
}

// The real clock: the writer is a thread, which a paused one would outrun.
#[tokio::test]
async fn a_directory_that_is_written_to_all_the_time_is_still_changing() {
    let root = tree(&GOOD);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (path, stop) = (root.path().join("mesh/guard.cedar"), stop.clone());
        std::thread::spawn(move || {
            for round in 0_u64.. {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                fs::write(&path, round.to_string()).unwrap();
            }
        })
    };
    let directory = Directory::new(&Settings::new(root.path()));
    let mut refused = None;
    // On a busy machine the writer may rest for as long as a reading takes, and that reading is then good.
    for _ in 0..20 {
        refused = directory.read().await.err();
        if refused.is_some() {
            break;
        }
    }
    stop.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    assert!(refused.unwrap()[0].message.contains("still changing"));
}

#[tokio::test(start_paused = true)]
async fn a_reading_counts_only_when_seen_twice_and_then_needs_no_pause() {
    let root = tree(&GOOD);
    let directory = Directory::new(&Settings::new(root.path()));
    let started = tokio::time::Instant::now();
    let first = directory.read().await.unwrap();
    assert_eq!(started.elapsed(), PAUSE);
    assert_eq!(directory.read().await.unwrap(), first);
    assert_eq!(started.elapsed(), PAUSE);
}

#[tokio::test]
async fn links_swapped_at_full_speed_never_give_a_mixed_reading() {
    let home = TempDir::new().unwrap();
    for generation in ["a", "b"] {
        let texts: Vec<(String, &str)> =
            (0..20).map(|n| (format!("{generation}/mesh/{n}.cedar"), generation)).collect();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        write(home.path(), &texts);
    }
    symlink("a", home.path().join("live")).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = {
        let (home, stop) = (home.path().to_owned(), stop.clone());
        std::thread::spawn(move || {
            for generation in ["b", "a"].into_iter().cycle() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                symlink(generation, home.join("next")).unwrap();
                fs::rename(home.join("next"), home.join("live")).unwrap();
            }
        })
    };
    for _ in 0..200 {
        let reading = read(&home.path().join("live")).unwrap();
        let texts: std::collections::BTreeSet<&str> = reading.tree.files.values().map(|text| &**text).collect();
        assert_eq!((texts.len(), reading.tree.files.len()), (1, 20));
    }
    stop.store(true, Ordering::SeqCst);
    swapper.join().unwrap();
}
