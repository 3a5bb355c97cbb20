//! The states of the automaton, and the extent of patterns.

use super::*;
use crate::content::pattern::parse;

fn automaton(patterns: &[&str]) -> Automaton {
    let parsed: Vec<Hir> = patterns.iter().map(|pattern| parse(pattern).unwrap()).collect();
    let settling = vec![Settling::Allowed; patterns.len()];
    Automaton::build(&parsed.iter().collect::<Vec<_>>(), &settling, Automaton::SET).unwrap()
}

fn after(automaton: &Automaton, text: &str) -> State {
    text.bytes().fold(automaton.start(), |state, byte| automaton.next(state, byte))
}

#[test]
fn a_state_accepts_with_the_last_byte_and_not_one_later() {
    let automaton = automaton(&["ab", "a[bc]+"]);
    assert_eq!(automaton.accepted(after(&automaton, "ab")), [0, 1]);
    assert_eq!(automaton.accepted(after(&automaton, "abc")), [1]);
    assert!(automaton.accepted(after(&automaton, "a")).is_empty());
    assert!(!automaton.is_accepting(DEAD));
}

#[test]
fn a_state_is_dead_as_soon_as_nothing_can_match() {
    let automaton = automaton(&["abc", "xy"]);
    assert_eq!(after(&automaton, "ax"), DEAD);
    assert_eq!(after(&automaton, "abcd"), DEAD);
    assert!(automaton.extends(after(&automaton, "ab")));
    assert!(!automaton.extends(after(&automaton, "abc")));
}

#[test]
fn a_match_is_settled_when_only_its_end_is_open() {
    let open = automaton(&["ab[cä]*"]);
    assert!(open.is_settled(after(&open, "ab")) && open.is_settled(after(&open, "abä")));
    let run = automaton(&["ab[c]*d"]);
    assert!(!run.is_settled(after(&run, "abc")));
    let longer = automaton(&["ab[c]*", "abcc[x]"]);
    assert!(!longer.is_settled(after(&longer, "ab")), "the second pattern could be longer");
    assert!(longer.is_settled(after(&longer, "abccc")));
}

#[test]
fn the_extent_of_a_pattern_is_computed() {
    for (pattern, expected) in [
        (r"INC-[0-9]{4}-[0-9]{5}", "bounded, at most 14 bytes"),
        ("(?:ab|ä)c?", "bounded, at most 3 bytes"),
        ("password: .*", "open-ended after at most 10 bytes"),
        ("ey[A-Za-z]{4,}(?:\\.[a-z]*)?", "open-ended after at most 6 bytes"),
        ("[a-z0-9-]+\\.corp", "run"),
        ("a.*b", "run"),
    ] {
        let extent = Extent::of(&parse(pattern).unwrap(), Settling::Allowed, Automaton::PATTERN).unwrap();
        assert_eq!(extent.to_string(), expected, "{pattern}");
    }
    let whole = Extent::of(&parse("a[b]*").unwrap(), Settling::Forbidden, Automaton::PATTERN).unwrap();
    assert_eq!(whole, Extent::Run);
}

#[test]
fn a_pattern_over_its_cost_is_an_error() {
    let pattern = parse(r"[ab]*a[ab]{40}").unwrap();
    let limit = Automaton::PATTERN.table_bytes_max;
    assert_eq!(Extent::of(&pattern, Settling::Allowed, Automaton::PATTERN), Err(TooCostly { table_bytes_max: limit }));
}
