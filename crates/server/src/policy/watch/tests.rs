use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// Longest that a change may go unnoticed by the watch; these tests use the real clock, for the
/// kernel's events do not follow a paused one.
const PROMISE: Duration = Duration::from_secs(1);

async fn is_noticed(watch: &Watch) -> bool {
    tokio::time::timeout(PROMISE, watch.changed()).await.is_ok()
}

/// A tree `v1` in a home, and a link `live` that leads to it; the watch is armed.
async fn armed() -> (TempDir, PathBuf, Watch) {
    let home = TempDir::new().unwrap();
    for version in ["v1", "v2"] {
        fs::create_dir_all(home.path().join(version).join("mesh")).unwrap();
        fs::create_dir_all(home.path().join(version).join("namespaces/shop")).unwrap();
        fs::write(home.path().join(version).join("mesh/a.cedar"), version).unwrap();
    }
    symlink("v1", home.path().join("live")).unwrap();
    let live = home.path().join("live");
    let watch = Watch::new(&live);
    assert!(is_noticed(&watch).await, "the first call returns at once");
    (home, live, watch)
}

#[tokio::test]
async fn reading_the_tree_is_not_a_change() {
    let (_home, live, watch) = armed().await;
    fs::read(live.join("mesh/a.cedar")).unwrap();
    fs::read_dir(live.join("mesh")).unwrap().for_each(drop);
    assert!(tokio::time::timeout(PROMISE / 2, watch.changed()).await.is_err());
}

#[tokio::test]
async fn files_outside_the_tree_are_not_a_change() {
    let (home, live, watch) = armed().await;
    fs::write(home.path().join("decisions.log"), "{}").unwrap();
    fs::write(home.path().join("decisions.log"), "{}{}").unwrap();
    assert!(tokio::time::timeout(PROMISE / 2, watch.changed()).await.is_err());
    fs::write(live.join("mesh/a.cedar"), "2").unwrap();
    assert!(is_noticed(&watch).await);
}

#[tokio::test]
async fn every_way_of_publishing_is_noticed_again_and_again() {
    type Publish = fn(&Path, &Path);
    let rows: [(&str, Publish); 11] = [
        ("new folder of descriptors", |_, live| fs::create_dir(live.join("descriptors")).unwrap()),
        ("descriptors in it", |_, live| fs::write(live.join("descriptors/shop.binpb"), "1").unwrap()),
        ("write in place", |_, live| fs::write(live.join("mesh/a.cedar"), "2").unwrap()),
        ("editor's rename", |_, live| {
            fs::write(live.join("mesh/.a.cedar.tmp"), "3").unwrap();
            fs::rename(live.join("mesh/.a.cedar.tmp"), live.join("mesh/a.cedar")).unwrap();
        }),
        ("the file that was renamed", |_, live| fs::write(live.join("mesh/a.cedar"), "4").unwrap()),
        ("link swap", |home, live| {
            symlink("v2", home.join("next")).unwrap();
            fs::rename(home.join("next"), live).unwrap();
        }),
        ("write behind the new link", |_, live| fs::write(live.join("mesh/a.cedar"), "5").unwrap()),
        ("new namespace", |_, live| fs::create_dir(live.join("namespaces/pay")).unwrap()),
        ("file in the new namespace", |_, live| fs::write(live.join("namespaces/pay/a.cedar"), "1").unwrap()),
        ("vanished", |home, _| fs::rename(home.join("v2"), home.join("gone")).unwrap()),
        ("returned", |home, _| fs::rename(home.join("gone"), home.join("v2")).unwrap()),
    ];
    let (home, live, watch) = armed().await;
    for (name, publish) in rows {
        publish(home.path(), &live);
        assert!(is_noticed(&watch).await, "{name}");
    }
}

/// To watch a thousand folders anew costs more than to read what changed in one.
#[tokio::test]
async fn folders_are_watched_again_if_a_name_changed_and_not_for_a_files_content() {
    type Change = fn(&Path);
    let rows: [(&str, Change, bool); 4] = [
        ("write in place", |mesh| fs::write(mesh.join("a.cedar"), "2").unwrap(), false),
        ("new file", |mesh| fs::write(mesh.join("b.cedar"), "1").unwrap(), true),
        ("write into it", |mesh| fs::write(mesh.join("b.cedar"), "2").unwrap(), false),
        ("rename", |mesh| fs::rename(mesh.join("b.cedar"), mesh.join("a.cedar")).unwrap(), true),
    ];
    let (_home, live, watch) = armed().await;
    for (name, change, is_stale) in rows {
        change(&live.join("mesh"));
        let dirty = async {
            while !watch.inner.signal.dirty.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(tokio::time::timeout(PROMISE, dirty).await.is_ok(), "{name}");
        assert_eq!(watch.inner.signal.stale.load(Ordering::SeqCst), is_stale, "{name}");
        assert!(is_noticed(&watch).await, "{name}");
    }
}

#[tokio::test]
async fn a_swapped_config_map_volume_is_noticed_twice() {
    let volume = TempDir::new().unwrap();
    let publish = |generation: &str| {
        fs::create_dir_all(volume.path().join(generation).join("mesh")).unwrap();
        symlink(generation, volume.path().join("..data_tmp")).unwrap();
        fs::rename(volume.path().join("..data_tmp"), volume.path().join("..data")).unwrap();
    };
    publish("..2026_01");
    let watch = Watch::new(volume.path());
    assert!(is_noticed(&watch).await);
    for generation in ["..2026_02", "..2026_03"] {
        publish(generation);
        assert!(is_noticed(&watch).await, "{generation}");
    }
}

#[tokio::test]
async fn a_link_further_up_the_path_is_watched() {
    let home = TempDir::new().unwrap();
    for version in ["v1", "v2"] {
        fs::create_dir_all(home.path().join(version).join("policies")).unwrap();
    }
    symlink("v1", home.path().join("current")).unwrap();
    let watch = Watch::new(&home.path().join("current/policies"));
    assert!(is_noticed(&watch).await);
    symlink("v2", home.path().join("next")).unwrap();
    fs::rename(home.path().join("next"), home.path().join("current")).unwrap();
    assert!(is_noticed(&watch).await);
}

#[tokio::test]
async fn a_directory_that_does_not_exist_yet_is_noticed_when_it_appears() {
    let home = TempDir::new().unwrap();
    let watch = Watch::new(&home.path().join("policies"));
    assert!(is_noticed(&watch).await);
    fs::create_dir(home.path().join("policies")).unwrap();
    assert!(is_noticed(&watch).await);
}

#[tokio::test]
async fn a_hint_that_was_dropped_while_waiting_is_given_again() {
    let (_home, live, watch) = armed().await;
    fs::write(live.join("mesh/a.cedar"), "2").unwrap();
    // Dropped in the quiet period at the latest.
    let _ = tokio::time::timeout(QUIET / 2, watch.changed()).await;
    assert!(is_noticed(&watch).await);
}

#[tokio::test]
async fn a_namespaces_link_out_of_the_tree_is_not_followed_by_the_watch() {
    let (home, live, watch) = armed().await;
    let elsewhere = TempDir::new().unwrap();
    symlink(elsewhere.path(), live.join("namespaces/shop/..data")).unwrap();
    assert!(is_noticed(&watch).await);
    fs::write(elsewhere.path().join("log"), "much, and all the time").unwrap();
    assert!(tokio::time::timeout(PROMISE / 2, watch.changed()).await.is_err());
    fs::write(home.path().join("v1/namespaces/shop/a.cedar"), "2").unwrap();
    assert!(is_noticed(&watch).await);
}
