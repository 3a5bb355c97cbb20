//! Evictions: silent peers go first, and many peers of one origin never shut out another.

use std::net::SocketAddr;

use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::*;

fn peer(last: u8) -> Peer {
    Peer::Tcp(SocketAddr::from(([10, 0, 0, last], 1)))
}

fn enter(slots: &Arc<Slots>, origin: Origin) -> Slot {
    slots.enter(origin, place(slots).expect("there is no place")).0
}

/// A permit, if there is one now.
fn place(slots: &Slots) -> Option<Place> {
    tokio::task::unconstrained(slots.place()).now_or_never().flatten()
}

fn is_evicted(slot: &Slot) -> bool {
    slot.activity.evicted.is_cancelled()
}

fn count(slots: &Slots) -> (usize, usize) {
    let pools = slots.pools();
    (pools.newcomers.count, pools.admitted.count)
}

#[test]
fn an_origin_is_an_address_or_half_of_one() {
    let of = |text: &str| Origin::of(&Peer::Tcp(text.parse().unwrap()));
    assert_eq!(of("10.0.0.1:1"), of("10.0.0.1:2"));
    assert_eq!(of("10.0.0.1:1"), of("[::ffff:10.0.0.1]:1"));
    assert_ne!(of("10.0.0.1:1"), of("10.0.0.2:1"));
    assert_eq!(of("[2001:db8::1]:1"), of("[2001:db8::2:3]:1"));
    assert_ne!(of("[2001:db8::1]:1"), of("[2001:db8:0:1::1]:1"));
    assert_eq!(Origin::of(&Peer::Unix), Origin::Unix);
}

#[tokio::test]
async fn silent_peers_are_evicted_before_others() {
    let slots = Slots::new(3, 9);
    let origin = Origin::of(&peer(1));
    let all = [(); 3].map(|()| enter(&slots, origin));
    all[0].activity.record_data();
    let next = enter(&slots, origin);
    next.activity.record_data();
    assert_eq!(all.each_ref().map(is_evicted), [false, true, false]);
    let last = enter(&slots, origin);
    assert_eq!(all.each_ref().map(is_evicted), [false, true, true]);
    last.activity.record_data();
    // All have sent something: the oldest is evicted.
    let _other = enter(&slots, origin);
    assert_eq!((is_evicted(&all[0]), is_evicted(&next), is_evicted(&last)), (true, false, false));
}

#[tokio::test]
async fn many_peers_of_one_origin_do_not_evict_those_of_another() {
    let slots = Slots::new(8, 8);
    let proxy = enter(&slots, Origin::of(&peer(200)));
    proxy.activity.record_data();
    let mut crowd = Vec::new();
    for number in 0..20 {
        crowd.retain(|slot| !is_evicted(slot));
        crowd.push(enter(&slots, Origin::of(&peer(number % 2))));
        crowd.iter().for_each(|slot| slot.activity.record_data());
        assert!(!is_evicted(&proxy), "after {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_admitted_peer_with_the_oldest_request_is_evicted() {
    let slots = Slots::new(3, 3);
    let mut all = Vec::new();
    for last in 1..=3 {
        let slot = enter(&slots, Origin::of(&peer(last)));
        slot.record_request();
        all.push(slot);
        tokio::time::advance(std::time::Duration::from_millis(10)).await;
    }
    all[0].record_request();
    enter(&slots, Origin::of(&peer(4))).record_request();
    assert_eq!(all.iter().map(is_evicted).collect::<Vec<_>>(), [false, true, false]);
}

#[tokio::test]
async fn a_peer_evicted_before_it_is_admitted_is_not_admitted() {
    let slots = Slots::new(1, 1);
    let first = enter(&slots, Origin::Unix);
    let second = enter(&slots, Origin::Unix);
    first.admit();
    assert_eq!((is_evicted(&first), is_evicted(&second), count(&slots)), (true, false, (1, 0)));
    drop((first, second));
    assert_eq!(count(&slots), (0, 0));
}

#[tokio::test]
async fn no_connection_is_accepted_before_evicted_ones_have_ended() {
    let slots = Slots::new(1, 1);
    let mut held: Vec<Slot> = Vec::new();
    while let Some(place) = place(&slots) {
        held.push(slots.enter(Origin::Unix, place).0);
    }
    assert_eq!(held.len(), 2 + ENDING_MAX);
    drop(held.remove(0));
    assert!(place(&slots).is_some());
}

/// A step of a random test: a peer of an origin connects, sends, requests, or leaves.
#[derive(Debug, Clone, Copy)]
enum Step {
    Come(u8),
    Send(usize),
    Request(usize),
    Leave(usize),
}

/// In any order of arrivals, the pools stay within their sizes. A lone peer of an address is never shut out by many
/// peers of others, nor a peer that sends by silent peers of its address. In the end nothing is held.
#[tokio::test]
async fn no_order_of_arrivals_overfills_a_pool_or_shuts_out_an_active_peer() {
    let step = prop_oneof![
        4 => (0_u8..3).prop_map(Step::Come),
        4 => any::<usize>().prop_map(Step::Send),
        1 => any::<usize>().prop_map(Step::Request),
        2 => any::<usize>().prop_map(Step::Leave),
    ];
    let inputs = (any::<bool>(), prop::collection::vec(step, 1..300));
    picket_properties::holds(256, inputs, |(is_alone, steps)| play(is_alone, &steps));
}

fn play(is_alone: bool, steps: &[Step]) {
    let slots = Slots::new(8, 8);
    let proxy = enter(&slots, Origin::of(&peer(if is_alone { 200 } else { 0 })));
    proxy.activity.record_data();
    let mut open: Vec<Slot> = Vec::new();
    for step in steps {
        let at = |index: usize| index % open.len().max(1);
        match *step {
            Step::Come(origin) => {
                // Evicted connections end by themselves.
                open.retain(|slot| !is_evicted(slot));
                open.push(enter(&slots, Origin::of(&peer(origin))));
            }
            Step::Send(index) if is_alone => {
                open.get(at(index)).into_iter().for_each(|slot| slot.activity.record_data())
            }
            Step::Request(index) => open.get(at(index)).into_iter().for_each(Slot::record_request),
            Step::Leave(index) if !open.is_empty() => drop(open.swap_remove(at(index))),
            Step::Send(_) | Step::Leave(_) => {}
        }
        let (newcomers, admitted) = count(&slots);
        assert!(newcomers <= 8 && admitted <= 8, "{newcomers} {admitted}");
        let alive = open.iter().filter(|slot| !is_evicted(slot)).count();
        assert_eq!(newcomers + admitted, alive + 1);
        assert!(!is_evicted(&proxy), "a proxy was shut out");
    }
    drop((open, proxy));
    assert_eq!(count(&slots), (0, 0));
}
