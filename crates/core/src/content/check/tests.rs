//! Files of every kind, and every error in one.

use std::sync::Arc;

use super::*;
use crate::content::automaton::Extent;
use crate::content::detectors::FieldMask;
use crate::content::file::parse;
use crate::content::json_path::Step;
use crate::content::mask::StandIns;
use crate::content::scanner::Scanner;

const FILE: &str = r#"
detectors:
  incident:  {pattern: 'INC-\d{4}-\d{5}', mask: {fixed: "[incident]"}}
  staff:     {email: {domains: [corp.example]}}
  codenames: {words: [bluebird, "night heron"]}
  salary:    {fields: ["$..salary"]}
  bonus:     {fields: ["$.bonus"], mask: null}
  note:      {fields: ["$.note"], mask: {fixed: "-"}}
  card:      {builtin: card, mask: {keep_last: 4}}
  customer:  {builtin: email, mask: {pseudonym: customer, restore: false}}
  named:     {builtin: generic_secret}
"#;

fn masked(detectors: &Detectors, text: &str) -> String {
    let matcher = Arc::new(detectors.matcher(|_| true).unwrap());
    Scanner::whole(matcher, HOLD_BYTES_MAX, text, &mut StandIns::new([0; 8])).unwrap().text
}

#[test]
fn a_file_of_every_kind_is_read() {
    let detectors = parse("detectors.yaml", FILE).unwrap();
    let masks: Vec<&FieldMask> = detectors.fields().iter().map(|field| &field.mask).collect();
    assert_eq!(masks, [&FieldMask::Drop, &FieldMask::Null, &FieldMask::Fixed("-".to_owned())]);
    assert!(detectors.fields()[0].finds(&[Step::Name("a".to_owned()), Step::Name("salary".to_owned())]));
    for (text, expected) in [
        ("see INC-2026-00042.", "see [incident]."),
        ("bob@mail.corp.example", "[staff]"),
        ("BlueBird and Night  Heron, bluebirds", "[codenames] and [codenames], bluebirds"),
        ("4111 1111 1111 1111", "****1111"),
        ("eve@other.example", "customer-0000000000000000-1"),
        ("eve@notcorp.example", "customer-0000000000000000-1"),
        ("token: a1B2c3D4e5F6g7H8i9J0", "[named]"),
        ("10.0.0.1", "[ip_address]"),
    ] {
        assert_eq!(masked(&detectors, text), expected);
    }
}

#[test]
fn the_order_of_the_file_decides_between_equal_values() {
    let first = parse("d", "detectors: {b: {pattern: 'x1'}, a: {pattern: 'x[0-9]'}}").unwrap();
    assert_eq!(masked(&first, "x1"), "[b]");
    let last = parse("d", "detectors: {b: {pattern: 'x[0-9]'}, a: {pattern: 'x1'}}").unwrap();
    assert_eq!(masked(&last, "x1"), "[b]");
}

#[test]
fn without_a_file_the_built_in_detectors_are_there() {
    let empty = parse("d", "").unwrap();
    let built_in = Detectors::built_in().unwrap();
    assert_eq!(empty.names().collect::<Vec<_>>(), built_in.names().collect::<Vec<_>>());
    assert!(empty.has("jwt") && !empty.has("generic_secret"));
    assert!(parse("d", "detectors:\n").unwrap().has("jwt"));
}

#[test]
fn the_extent_of_every_pattern_is_shown() {
    let detectors =
        parse("d", "detectors: {a: {pattern: 'x.*'}, b: {pattern: '[a-z]+@corp'}, c: {pattern: 'xyz'}}").unwrap();
    let extents = detectors.extents().unwrap();
    assert_eq!(extents[0], ("a", "x.*", Extent::OpenEnded { prefix_bytes_max: 1 }));
    assert_eq!(extents[1], ("b", "[a-z]+@corp", Extent::Run));
    assert_eq!(extents[2], ("c", "xyz", Extent::Bounded { bytes_max: 3 }));
}

#[test]
fn an_error_says_what_is_wrong_and_what_would_be_right() {
    for (entry, message, help) in [
        ("x: {patern: a}", "unknown key `patern`", "did you mean `pattern`?"),
        ("x: {mask: {fixed: a}}", "detector `x` finds nothing", "one of: pattern, email"),
        ("x: {pattern: a, builtin: card}", "detector `x` is of several kinds", "one of: pattern"),
        ("X: {pattern: a}", "`X` is not a name of a detector", "a-z"),
        ("card: {pattern: a}", "`card` is a built-in detector", "write `builtin: card`"),
        ("x: {builtin: crad}", "there is no built-in detector `crad`", "did you mean `card`?"),
        ("x: {pattern: 'a('}", "the pattern does not parse at byte 1: unclosed group", "`regex`"),
        ("x: {pattern: '^a'}", "has an assertion", "remove it"),
        ("x: {pattern: 'a*'}", "matches the empty text", "at least one"),
        ("x: {pattern: '[ab]*a[ab]{40}'}", "needs a table of more than", "limit its repetitions"),
        ("x: {pattern: 'a[bc]{9000}[de]{9000}'}", "18001 bytes must be held", "repeat less"),
        ("x: {email: {domains: []}}", "`domains` has 0 items", "write 1 to"),
        ("x: {email: {domains: ['@corp']}}", "`@corp` is not a domain", "without `@`"),
        ("x: {email: {domain: a}}", "unknown key `domain`", "did you mean `domains`?"),
        ("x: {words: [ab]}", "word `ab` has fewer than 3", "longer word"),
        ("x: {fields: ['a.b']}", "does not begin with `$`", "RFC 9535"),
        ("x: {fields: ['$.a'], mask: {keep_last: 2}}", "the mask does not fit", "drop, null"),
        ("x: {fields: ['$.a'], mask: dorp}", "the mask does not fit", "drop, null"),
        ("x: {pattern: a, mask: drop}", "the mask does not fit", "{keep_last: N}"),
        ("x: {pattern: a, mask: null}", "the mask does not fit", "{keep_last: N}"),
        ("x: {pattern: a, mask: {}}", "the mask does not fit", "{keep_last: N}"),
        ("x: {pattern: a, mask: {fixed: 'a\"'}}", "the fixed mask does not fit", "without `\"`"),
        ("x: {pattern: a, mask: {fixed: 'a\\b'}}", "the fixed mask does not fit", "without `\"`"),
        ("x: {pattern: a, mask: {keep_last: 9}}", "`keep_last` is 9", "write 1 to 8"),
        ("x: {pattern: a, mask: {fixed: a, keep_last: 2}}", "the mask does not fit", "one of"),
        ("x: {pattern: a, mask: {keep: 2}}", "unknown key `keep`", "known keys: fixed"),
        ("x: {builtin: email, mask: {pseudonym: x, restore: true}}", "no value is restored yet", "without `restore`"),
        ("x: {pattern: a, mask: {fixed: a, restore: true}}", "`restore` without `pseudonym`", "stand-in"),
        ("x: {pattern: a, mask: {pseudonym: 'a-b'}}", "pseudonym `a-b` is not a word", "a-z"),
        ("x: {pattern: 'ab+', mask: {pseudonym: a}}", "needs a value of limited length", "{1,64}"),
    ] {
        let text = format!("detectors:\n  {entry}\n");
        let problems = parse("detectors.yaml", &text).unwrap_err();
        let problem = &problems[0];
        assert!(problem.message.contains(message), "{entry}: {problem}");
        assert!(problem.help.as_deref().unwrap_or_default().contains(help), "{entry}: {problem}");
        assert!(problem.span.is_some(), "{entry}: no place");
    }
}

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    let problems = parse("d", "detectors: {X: {pattern: 'a('}, y: {builtin: z}, w: {words: [a]}}").unwrap_err();
    assert_eq!(problems.len(), 4);
    assert!(parse("d", "detectors: {a: {pattern: b}, a: {pattern: c}}").is_err());
    assert!(parse("d", "detector: {}").unwrap_err()[0].help.as_deref().unwrap().contains("`detectors`"));
}

#[test]
fn a_set_over_its_cost_is_an_error() {
    let costly = |name: char| format!("{name}: {{pattern: '[ab{name}]*{name}[ab{name}]{{13}}'}}");
    let text = format!("detectors: {{{}}}", ('c'..='h').map(costly).collect::<Vec<_>>().join(", "));
    let problems = parse("d", &text).unwrap_err();
    assert!(problems[0].message.contains("the set of all detectors needs a table"), "{}", problems[0]);
}
