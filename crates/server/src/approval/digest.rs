//! The digest of an action, which binds an approval to exactly that action. Pure.
//!
//! Knows: RFC 8785's spelling of texts and objects, SHA-256. Must not know: where an approval is kept.

use sha2::{Digest as _, Sha256};

use picket_core::query::{Query, action};

/// The prefix of digests.
const PREFIX: &str = "sha256:";

/// The digest of one call's request: `sha256:` and 64 hexadecimal digits in lower case.
///
/// It is the SHA-256 of the RFC 8785 text of an object with the members `action`, `arguments`, `principal` and
/// `resource`. `principal` and `resource` are ids of entities, `action` is the action's id, and `arguments` is
/// the RFC 8785 text of the call's arguments, `null` for a call that provably has none. What is in none of the
/// four (headers, a URL's query) is not bound. `docs/approvals.md` shows how others compute it.
///
/// ```
/// let digest = picket_server::approval::digest::of(
///     "spiffe://cluster.local/ns/agents/sa/coder",
///     "mcp.tools.call",
///     "agents/deploy/deploy.production",
///     r#"{"environment":"production","service":"checkout"}"#,
/// );
/// assert_eq!(digest, "sha256:f2abc2e205c25aef7ae29d23efd6e47d15fd12583044d8561258716ae8f46eb0");
/// ```
#[must_use]
pub fn of(principal: &str, action: &str, resource: &str, arguments: &str) -> String {
    let mut hash = Sha256::new();
    // Members in RFC 8785's order.
    hash.update(b"{\"action\":");
    hash.update(text(action));
    hash.update(b",\"arguments\":");
    hash.update(arguments);
    hash.update(b",\"principal\":");
    hash.update(text(principal));
    hash.update(b",\"resource\":");
    hash.update(text(resource));
    hash.update(b"}");
    format!("{PREFIX}{}", hex::encode(hash.finalize()))
}

/// The digest of a query's request; `arguments` as above, absent if they are not known completely: then there is no
/// digest, since unread arguments could be anything.
#[must_use]
pub fn of_query(query: &Query, arguments: Option<&str>) -> Option<String> {
    arguments
        .map(|arguments| of(&query.principal.uid.id, action::bare(&query.action), &query.resource.uid.id, arguments))
}

/// A text as RFC 8785 spells it, which is how serde_json spells it too: the test below holds it to that.
fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: [&str; 4] = ["spiffe://td/ns/a/sa/b", "mcp.tools.call", "ns/mcp/tool", r#"{"a":1}"#];

    #[test]
    fn any_part_that_is_swapped_changes_the_digest() {
        let of =
            |[principal, action, resource, arguments]: [&str; 4]| super::of(principal, action, resource, arguments);
        let mut seen = std::collections::BTreeSet::from([of(CALL)]);
        for (part, others) in [
            (0, ["spiffe://td/ns/a/sa/c", "unauthenticated", ""]),
            (1, ["mcp.resources.read", "POST", "MCP.tools.call"]),
            (2, ["ns/mcp/tool2", "ns/mcp2/tool", "ns/mcp/tool\""]),
            (3, [r#"{"a":2}"#, r#"{"a":1,"b":null}"#, "null"]),
        ] {
            for other in others {
                let mut call = CALL;
                call[part] = other;
                assert!(seen.insert(of(call)), "{call:?} has the digest of another");
            }
        }
        // Nothing can be moved from one part into its neighbour.
        assert_ne!(of(["a\",\"resource\":\"b", "c", "d", "1"]), of(["a", "c", "b\",\"resource\":\"d", "1"]));
    }

    #[test]
    fn texts_are_spelt_as_in_rfc_8785() {
        let rows = [
            ("\u{8}\u{9}\u{a}\u{c}\u{d}\"\\/", r#""\b\t\n\f\r\"\\/""#),
            ("\0\u{1f}\u{7f}", "\"\\u0000\\u001f\u{7f}\""),
            ("é€\u{2028}😀", "\"é€\u{2028}😀\""),
        ];
        for (plain, spelt) in rows {
            assert_eq!(text(plain), spelt);
        }
    }
}
