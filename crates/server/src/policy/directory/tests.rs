use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

mod steady;

use super::super::layout::Folder;
use super::read::{TreeReader, content, units};
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
fn an_invalid_file_withholds_its_whole_unit_and_no_other() {
    type Break = fn(&Path);
    let rows: [(&str, Break, &str); 21] = [
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
        ("namespace that is a file", |root| write(root, &[("namespaces/pay", "")]), "pay"),
        ("namespace that is a pipe", |root| pipe(root, "namespaces/pay"), "pay"),
        ("pipe", |root| pipe(root, "namespaces/shop/b.cedar"), "shop"),
        ("too many entries, all passed over", |root| entries(root, "shop", NAMESPACE_ENTRIES_MAX + 1), "shop"),
        (
            "too many bytes",
            |root| (0..=16).for_each(|n| sparse(root, &format!("namespaces/shop/{n}.cedar"), 1 << 20)),
            "shop",
        ),
        (
            "too many policies",
            |root| write(root, &[("namespaces/shop/b.cedar", &";".repeat(NAMESPACE_POLICIES_MAX + 1))]),
            "shop",
        ),
        (
            "volume that leads out of the tree",
            |root| symlink("/etc", root.join("namespaces/shop/..data")).unwrap(),
            "shop",
        ),
        ("name that is not UTF-8", |root| named(root, b"\xff.cedar"), "shop"),
        ("name of two lines", |root| named(root, b"a\nunit mesh: all is well.cedar"), "shop"),
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

fn pipe(root: &Path, path: &str) {
    assert!(std::process::Command::new("mkfifo").arg(root.join(path)).status().unwrap().success());
}

fn entries(root: &Path, namespace: &str, count: usize) {
    for n in 0..count {
        write(root, &[(&format!("namespaces/{namespace}/.{n}"), "")]);
    }
}

fn named(root: &Path, name: &[u8]) {
    fs::write(root.join("namespaces/shop").join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
}

#[test]
fn a_namespace_of_many_faults_names_some_of_them() {
    let root = tree(&GOOD);
    (0..100).for_each(|n| named(root.path(), format!("{n}.txt").as_bytes()));
    let reading = read(root.path()).unwrap();
    assert_eq!(reading.withheld["shop"].len(), 33);
    assert!(reading.withheld["shop"][32].message.contains("further problems"));
}

/// To open a pipe waits for whoever writes to it, and nobody does.
#[test]
fn a_file_that_became_a_pipe_since_it_was_listed_is_not_waited_for() {
    let root = tree(&GOOD);
    pipe(root.path(), "mesh/b.cedar");
    let (done, told) = std::sync::mpsc::channel();
    let path = root.path().join("mesh/b.cedar");
    std::thread::spawn(move || done.send(content(&Folder::Mesh, &path).err().map(|fault| fault.0)));
    let fault = told.recv_timeout(Duration::from_secs(10)).expect("the reading waits");
    assert_eq!(fault.as_deref(), Some("was replaced while it was read"));
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
    let within =
        |tree_bytes| steady(units(root.path(), Limits { tree_bytes, ..Limits::default() }).unwrap(), BTreeSet::new());
    assert!(within(600).withheld.is_empty());
    let reading = within(599);
    assert!(reading.tree.files.is_empty());
    let problem = &reading.withheld[PLATFORM][0];
    assert!(problem.message.contains("the platform's folders hold the most bytes") && problem.help.is_some());
    // A namespace that takes the room is what goes, and the platform stays.
    sparse(root.path(), "namespaces/shop/a.cedar", 10);
    sparse(root.path(), "namespaces/evil/a.cedar", 300);
    let reading = within(700);
    assert_eq!(reading.withheld.keys().collect::<Vec<_>>(), ["evil"]);
    assert!(
        reading.tree.files.contains_key("namespaces/shop/a.cedar") && reading.tree.files.contains_key("mesh/a.cedar")
    );
}

/// Between listing a folder and opening what it lists, a file may become a link.
#[test]
fn a_file_replaced_by_a_link_is_not_followed() {
    let root = tree(&[("mesh/a.cedar", "one")]);
    let link = root.path().join("mesh/b.cedar");
    symlink("/etc/hostname", &link).unwrap();
    let fault = content(&Folder::Mesh, &link).err().unwrap();
    assert_eq!(fault.0, "was replaced while it was read");
    assert!(content(&Folder::Mesh, &root.path().join("mesh/a.cedar")).is_ok());

    let (home, elsewhere) = (fs::canonicalize(root.path()).unwrap(), tree(&[("a.cedar", "two")]));
    fs::rename(home.join("mesh"), home.join("gone")).unwrap();
    symlink(elsewhere.path(), home.join("mesh")).unwrap();
    let mut reader = TreeReader::new(home.clone(), Limits::default());
    reader.enter(&Folder::Mesh, &home.join("mesh")).unwrap();
    assert!(reader.units["mesh"].problems[0].message.contains("was replaced while it was read"));
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
