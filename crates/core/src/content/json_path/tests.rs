//! Paths and the locations that they select.

use super::*;

/// A location written as `a/0/b`; digits are an index.
fn location(text: &str) -> Vec<Step> {
    let step = |part: &str| part.parse().map_or_else(|_| Step::Name(part.to_owned()), Step::Index);
    text.split('/').filter(|part| !part.is_empty()).map(step).collect()
}

#[test]
fn a_path_selects_what_rfc_9535_says() {
    for (path, selected, others) in [
        ("$.a", &["a"] as &[&str], &["", "b", "a/b", "0"] as &[&str]),
        ("$..a", &["a", "b/a", "b/0/a", "a/a"], &["a/b", "b"]),
        ("$.*", &["a", "0"], &["a/b", ""]),
        ("$..*", &["a", "a/b", "0/1"], &[""]),
        ("$['a-b'].c", &["a-b/c"], &["a-b", "c"]),
        ("$[\"a\"]['b','c']", &["a/b", "a/c"], &["a/d"]),
        ("$.a[2]", &["a/2"], &["a/1", "a"]),
        ("$.a[1:5:2]", &["a/1", "a/3"], &["a/0", "a/2", "a/5"]),
        ("$.a[:2]", &["a/0", "a/1"], &["a/2"]),
        ("$.a[3:]", &["a/3", "a/9"], &["a/2"]),
        ("$.a[ 0 , 2 ]", &["a/0", "a/2"], &["a/1"]),
        ("$..a..b", &["a/b", "x/a/y/b", "a/a/b"], &["b/a", "b"]),
        ("$..a.b", &["a/b", "a/a/b"], &["a/x/b"]),
        ("$..[0]", &["0", "a/0"], &["a/1"]),
        (r"$['\u00e9\ud83d\ude00\'']", &["é😀'"], &["e"]),
        ("$.été", &["été"], &[]),
    ] {
        let parsed = JsonPath::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        for place in selected {
            assert!(parsed.selects(&location(place)), "{path} selects {place}");
        }
        for place in others {
            assert!(!parsed.selects(&location(place)), "{path} does not select {place}");
        }
    }
}

#[test]
fn an_invalid_path_is_rejected_at_its_place() {
    for (path, at, reason) in [
        ("", 0, "does not begin"),
        ("a.b", 0, "does not begin"),
        ("$", 1, "whole document"),
        ("$a", 1, "a segment begins"),
        ("$.", 2, "name is missing"),
        ("$.a-b", 3, "a segment begins"),
        ("$.1", 2, "name is missing"),
        ("$[?@.a]", 2, "a filter"),
        ("$[-1]", 2, "from the end"),
        ("$[01]", 2, "leading zero"),
        ("$[99999999999]", 2, "too large"),
        ("$[::0]", 5, "step 0"),
        ("$['a]", 5, "not closed"),
        ("$['a' 'b']", 6, "`,` or `]`"),
        ("$[]", 2, "is missing"),
        (r"$['\x']", 5, "escape is unknown"),
        (r"$['\ud800']", 9, "surrogate"),
        (r"$['\u12']", 8, "four hexadecimal"),
        ("$['a'] ", 6, "a segment begins"),
    ] {
        let error = JsonPath::parse(path).unwrap_err();
        assert!(error.at == at && error.reason.contains(reason), "{path}: {error}");
    }
    assert!(JsonPath::parse(&format!("$.{}", "a".repeat(1030))).is_err());
}
