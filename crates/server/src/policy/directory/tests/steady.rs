//! Units that do not change during a read, and units that do.

use super::super::read::UnitReading;
use super::*;

/// Writes a file all the time, until it is dropped.
struct Writer(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Writer {
    fn new(mut write: impl FnMut(u64) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let rounds = move || (0..).take_while(|_| !stopped.load(Ordering::SeqCst)).for_each(&mut write);
        Self(stop, Some(std::thread::spawn(rounds)))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        self.1.take().unwrap().join().unwrap();
    }
}

// The real clock: the writer is a thread, which a paused one would outrun.
#[tokio::test]
async fn a_unit_that_changes_all_the_time_is_withheld_and_delays_no_other() {
    for (busy, unit, other) in [
        ("mesh/guard.cedar", "mesh", "namespaces/shop/a.cedar"),
        ("namespaces/shop/a.cedar", "shop", "mesh/guard.cedar"),
    ] {
        let root = tree(&GOOD);
        let directory = Directory::new(&Settings::new(root.path()));
        assert!(directory.read().await.unwrap().withheld.is_empty());
        let path = root.path().join(busy);
        let _writer = Writer::new(move |round| fs::write(&path, round.to_string()).unwrap());
        let mut was_withheld = false;
        // On a busy machine the writer may rest for as long as a reading takes, and that reading is then good.
        for round in 0..20 {
            let news = format!("// {round}");
            fs::write(root.path().join(other), &news).unwrap();
            let reading = directory.read().await.unwrap();
            assert_eq!(&*reading.tree.files[other], news, "{unit} keeps back what others have");
            was_withheld |= reading.changing.contains(unit);
            assert_eq!(reading.withheld.contains_key(unit), !reading.tree.files.contains_key(busy));
            if was_withheld {
                assert!(
                    reading.withheld.get(unit).is_none_or(|problems| problems[0].message.contains("still changing"))
                );
                break;
            }
        }
        assert!(was_withheld, "{unit} was never found to be changing");
    }
}

#[tokio::test]
async fn a_namespace_that_is_only_touched_counts_as_it_is() {
    let root = tree(&GOOD);
    let directory = Directory::new(&Settings::new(root.path()));
    directory.read().await.unwrap();
    let path = root.path().join("namespaces/shop/a.cedar");
    let _writer = Writer::new(move |round| {
        let time = std::time::UNIX_EPOCH + Duration::from_secs(round);
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    });
    for round in 0..3 {
        let news = format!("// {round}");
        fs::write(root.path().join("mesh/guard.cedar"), &news).unwrap();
        let reading = directory.read().await.unwrap();
        assert_eq!((&*reading.tree.files["mesh/guard.cedar"], reading.withheld.len()), (&*news, 0));
    }
}

/// Every state a unit can be in: gone, and two texts with two stamps each.
#[test]
fn a_unit_holds_still_as_it_was_before_or_as_it_last_was_when_it_held_still() {
    let states: [Option<(&str, u64)>; 5] = [None, Some(("a", 1)), Some(("a", 2)), Some(("b", 1)), Some(("b", 2))];
    let units = |state: Option<(&str, u64)>| -> Units {
        let unit = |(text, inode): (&str, u64)| UnitReading {
            files: [("f".to_owned(), text.into())].into(),
            stamps: [("f".to_owned(), (std::time::UNIX_EPOCH, inode))].into(),
            ..UnitReading::default()
        };
        state.map(|state| ("shop".to_owned(), unit(state))).into_iter().collect()
    };
    let text = |state: Option<(&str, u64)>| state.map(|(text, _)| text.to_owned());
    let mut rows = 0;
    for remembered in states {
        for before in [None].into_iter().chain(states.map(Some)) {
            for now in states {
                let (units_now, units_before) = (units(now), before.map(units));
                let found =
                    moving(&units_now, &digests(&units_now), units_before.as_ref(), &digests(&units(remembered)));
                let holds = text(now) == text(remembered) || before == Some(now);
                assert_eq!(found.is_empty(), holds, "remembered {remembered:?}, before {before:?}, now {now:?}");
                rows += 1;
            }
        }
    }
    assert_eq!(rows, 150);
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
