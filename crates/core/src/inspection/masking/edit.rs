//! Replaces parts of a text.
//!
//! Knows: ranges. Must not know: why a part is replaced.

use std::cmp::Reverse;
use std::ops::Range;

/// A part of a text, in bytes, and what replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub at: Range<usize>,
    pub with: String,
}

/// Both lists as one, in the order of the text and without overlaps.
///
/// Edits that overlap become one of all their bytes, so that no part of a value is left. Its text is that of the longest if
/// it covers the others, and else that of the first. Of equal parts the one of `first` counts.
pub(super) fn merged(first: Vec<Edit>, second: Vec<Edit>) -> Vec<Edit> {
    let mut all = first;
    all.extend(second);
    all.sort_by_key(|edit| (edit.at.start, Reverse(edit.at.end)));
    let mut merged: Vec<Edit> = Vec::with_capacity(all.len());
    for edit in all {
        match merged.last_mut() {
            // The first one begins first, or covers the other.
            Some(last) if edit.at.start < last.at.end => last.at.end = last.at.end.max(edit.at.end),
            Some(_) | None => merged.push(edit),
        }
    }
    merged
}

/// The text with these edits, which are in its order and do not overlap.
pub(super) fn apply(text: &str, edits: &[Edit]) -> String {
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for edit in edits {
        out.push_str(text.get(at..edit.at.start).unwrap_or_default());
        out.push_str(&edit.with);
        at = edit.at.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(at: Range<usize>, with: &str) -> Edit {
        Edit { at, with: with.to_owned() }
    }

    #[test]
    fn overlapping_parts_are_replaced_completely() {
        let shown = |first, second| apply("0123456789", &merged(first, second));
        assert_eq!(shown(vec![edit(1..4, "a")], vec![edit(3..6, "b")]), "0a6789");
        assert_eq!(shown(vec![edit(3..6, "b")], vec![edit(1..8, "a")]), "0a89");
        assert_eq!(shown(vec![edit(1..3, "a")], vec![edit(1..3, "b"), edit(3..4, "c")]), "0ac456789");
        assert_eq!(shown(vec![], vec![]), "0123456789");
    }
}
