//! Finds the bytes of each value and key of a document that was parsed.
//!
//! Knows: where tokens of valid JSON begin and end. Must not know: which values anybody wants.

use std::ops::Range;

/// The bytes of each value and key, by [`super::Node::place`]; those of a text have its quotes.
///
/// `text` must be what [`super::parse()`] accepted: this pass over it checks nothing.
///
/// ```
/// use picket_core::body::json::spans;
///
/// let text = r#"{"a": [1, "b\""]}"#;
/// let parts: Vec<&str> = spans(text).into_iter().map(|span| &text[span]).collect();
/// assert_eq!(parts, [text, r#""a""#, r#"[1, "b\""]"#, "1", r#""b\"""#]);
/// ```
#[must_use]
pub fn spans(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut spans, mut open, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let from = at;
        match byte {
            b'"' => at = end_of_text(bytes, from),
            b'{' | b'[' => {
                open.push(spans.len());
                at += 1;
            }
            b'}' | b']' => {
                at += 1;
                let span = open.pop().and_then(|place: usize| spans.get_mut(place));
                if let Some(span) = span {
                    let Range { start, .. } = *span;
                    *span = start..at;
                }
                continue;
            }
            b' ' | b'\n' | b'\t' | b'\r' | b',' | b':' => {
                at += 1;
                continue;
            }
            _ => at += scalar(bytes.get(from..).unwrap_or_default()),
        }
        spans.push(from..at);
    }
    spans
}

/// Behind the quote that closes the text that begins at `from`.
fn end_of_text(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

fn scalar(rest: &[u8]) -> usize {
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r');
    rest.iter().position(ends).unwrap_or(rest.len()).max(1)
}
