use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Of few names, so that parts have some in common.
fn uid() -> impl Strategy<Value = Uid> {
    (prop_oneof![Just("Group"), Just("Team")], 0..12_u8).prop_map(|(kind, id)| Uid::new(kind, id.to_string()))
}

/// One change to a set of names.
#[derive(Debug, Clone)]
enum Change {
    Insert(Uid),
    Extend(Vec<Uid>),
    Share(Vec<Uid>),
    /// Both parts of another set: its own, and what it shares.
    Merge(Vec<Uid>, Vec<Uid>),
    ShareTheLastAgain,
}

fn change() -> impl Strategy<Value = Change> {
    let names = || vec(uid(), 0..6);
    prop_oneof![
        uid().prop_map(Change::Insert),
        names().prop_map(Change::Extend),
        names().prop_map(Change::Share),
        (names(), names()).prop_map(|(own, shared)| Change::Merge(own, shared)),
        Just(Change::ShareTheLastAgain),
    ]
}

/// What changes make, and what they make of a plain set.
fn changed(changes: &[Change]) -> (Ancestors, BTreeSet<Uid>) {
    let (mut ours, mut plain) = (Ancestors::default(), BTreeSet::new());
    let mut last = Arc::new(Memberships::from_iter([]));
    for change in changes {
        match change.clone() {
            Change::Insert(uid) => {
                ours.insert(uid.clone());
                plain.insert(uid);
            }
            Change::Extend(names) => {
                ours.extend(names.iter().cloned());
                plain.extend(names);
            }
            Change::Share(names) => {
                last = Arc::new(names.iter().cloned().collect());
                ours.share(&last);
                plain.extend(names);
            }
            Change::Merge(own, shared) => {
                let mut other: Ancestors = own.iter().cloned().collect();
                other.share(&Arc::new(shared.iter().cloned().collect()));
                ours.merge(other);
                plain.extend(own.into_iter().chain(shared));
            }
            Change::ShareTheLastAgain => ours.share(&last),
        }
    }
    (ours, plain)
}

proptest! {
    #[test]
    fn ancestors_are_what_a_plain_set_of_the_same_names_is(changes in vec(change(), 0..8), asked in vec(uid(), 0..24)) {
        let (ours, plain) = changed(&changes);
        prop_assert!(ours.iter().eq(&plain), "{:?} is not {:?}", ours, plain);
        for uid in asked.iter().chain(&plain) {
            prop_assert_eq!(ours.contains(uid), plain.contains(uid), "{}", uid);
        }
        prop_assert_eq!(ours.is_empty(), plain.is_empty());
        prop_assert_eq!(ours.unsorted().cloned().collect::<BTreeSet<Uid>>(), plain.clone());
        prop_assert!(ours.len_max() >= plain.len());
        prop_assert_eq!(format!("{ours:?}"), format!("{plain:?}"));
        let kinds: BTreeSet<&str> = ours.kinds().map(SmolStr::as_str).collect();
        prop_assert_eq!(kinds, plain.iter().map(|uid| uid.kind.as_str()).collect());
        prop_assert_eq!(&ours, &plain.iter().cloned().collect(), "in parts and in one");
    }

    #[test]
    fn ancestors_are_equal_where_their_names_are(one in vec(change(), 0..3), two in vec(change(), 0..3)) {
        let ((one, plain_one), (two, plain_two)) = (changed(&one), changed(&two));
        prop_assert_eq!(one == two, plain_one == plain_two, "{:?} and {:?}", one, two);
    }
}

#[test]
fn shared_ancestors_are_never_copied_and_never_stored_twice() {
    let part: Arc<Memberships> = Arc::new([Uid::new("Group", "a")].into_iter().collect());
    let mut one = Ancestors::default();
    one.share(&part);
    one.share(&part);
    assert_eq!(Arc::strong_count(&part), 2);
    let mut two = Ancestors::from([Uid::new("Group", "b")]);
    two.merge(one.clone());
    two.merge(one);
    assert_eq!((Arc::strong_count(&part), two.own.len()), (2, 1));
}
