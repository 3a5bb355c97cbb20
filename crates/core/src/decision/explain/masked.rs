//! Masks an explanation: the values of headers and of the query, and the texts that policies compare them with.
//!
//! Either may be a secret: an API key in a header, and the text that a permit expects there. The name of a header does
//! not always reveal that it holds a secret, so no value is shown. The explanation shows only whether a value is
//! present and whether it is the expected one.

use cedar_policy::pst::{BinaryOp, Expr};

use crate::decision::accesses::bag_of;

/// Shown instead of a value.
pub const MASKED: &str = "***";
/// The text before a name: of a tag, or of an entity.
const BEFORE_NAMES: [&str; 3] = ["getTag(", "hasTag(", "::"];

/// Returns whether a map's values are hidden. An unknown map may be the headers.
pub(super) fn is_hidden(map: &Expr) -> bool {
    match bag_of(map) {
        Some(bag) => matches!(bag, "headers" | "query"),
        None => map.to_string() != "context.taskParams",
    }
}

/// Returns whether an expression reads a hidden value.
pub(super) fn reads_hidden(expr: &Expr) -> bool {
    let visit = |node: &Expr| match node {
        Expr::BinaryOp { op: BinaryOp::GetTag, left, .. } if is_hidden(left) => Some(true),
        _ => None,
    };
    expr.reduce(&visit, &|one, other| one || other, false)
}

/// A condition, as Cedar writes it, without its texts; names of tags and entities stay.
pub(super) fn without_texts(condition: &str) -> String {
    let (mut shown, mut rest) = (String::new(), condition);
    while let Some((before, from)) = rest.split_once('"') {
        shown.push_str(before);
        let end = closing(from);
        let text = from.get(..end).unwrap_or(from);
        let is_name = BEFORE_NAMES.iter().any(|name| shown.ends_with(name));
        shown.push('"');
        shown.push_str(if is_name { text } else { MASKED });
        shown.push('"');
        rest = from.get(end.saturating_add(1)..).unwrap_or_default();
    }
    shown.push_str(rest);
    shown
}

/// The end of a text after its opening quote; the end of all if no quote closes it.
fn closing(text: &str) -> usize {
    let mut escaped = false;
    let end = text.find(|character| {
        let closes = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        closes
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_hidden_and_names_are_not() {
        for (condition, shown) in [
            (r#"h.getTag("x-key") == "s3cret""#, r#"h.getTag("x-key") == "***""#),
            (r#"["a\"b", "c"].contains(h.getTag("x-key"))"#, r#"["***", "***"].contains(h.getTag("x-key"))"#),
            (r#"h.getTag("x-key") like "s3*""#, r#"h.getTag("x-key") like "***""#),
            (
                r#"principal in Group::"a" && "s\\" == h.getTag("k")"#,
                r#"principal in Group::"a" && "***" == h.getTag("k")"#,
            ),
            (r#"a == "open"#, r#"a == "***""#),
            ("principal.token.isUser", "principal.token.isUser"),
        ] {
            assert_eq!(without_texts(condition), shown);
        }
    }
}
