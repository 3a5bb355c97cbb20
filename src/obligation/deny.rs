//! What the caller reads of a denial: as little as lets an operator find it in the log.
//!
//! Knows: RFC 9457. Must not know: policies, why exactly the call was denied.
//!
//! Two denials of one status differ by their decision id and by the reason code a policy published, and by
//! nothing else: a caller must not learn from the text which rule stopped it.

use uuid::Uuid;

/// Longest reason code that is passed on, in bytes.
const REASON_BYTES_MAX: usize = 64;

/// What the caller may know of a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice<'a> {
    /// Id of the decision.
    pub decision_id: Uuid,
    /// Title of the status (`Forbidden`).
    pub title: &'a str,
    /// Reason code that a policy publishes, or a failure's code.
    pub reason: Option<&'a str>,
    /// The approval that would help, where one would; its kind, if the policy names one.
    pub approval: Option<Option<&'a str>>,
}

impl Notice<'_> {
    /// The body for HTTP callers: `application/problem+json`.
    #[must_use]
    pub fn problem_json(&self) -> String {
        // Filled in the order of the alphabet, so that the text is the same whichever map serde_json was built with.
        let mut problem = serde_json::Map::new();
        problem.insert("decision_id".to_owned(), self.decision_id.to_string().into());
        if let Some(reason) = self.reason() {
            problem.insert("reason".to_owned(), reason.into());
        }
        if let Some(kind) = self.approval {
            let mut remedy = serde_json::Map::new();
            if let Some(kind) = kind.filter(|kind| is_code(kind)) {
                remedy.insert("approval".to_owned(), kind.into());
            }
            remedy.insert("kind".to_owned(), "approve".into());
            problem.insert("remedy".to_owned(), remedy.into());
        }
        problem.insert("title".to_owned(), self.title.into());
        serde_json::Value::Object(problem).to_string()
    }

    /// The text for gRPC callers, who read it as `grpc-message`.
    #[must_use]
    pub fn message(&self) -> String {
        match self.reason() {
            Some(reason) => format!("denied: {reason} (decision {})", self.decision_id),
            None => format!("denied (decision {})", self.decision_id),
        }
    }

    fn reason(&self) -> Option<&str> {
        self.reason.filter(|reason| is_code(reason))
    }
}

/// Reason codes are words; anything else stays in the log.
fn is_code(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !text.is_empty() && text.len() <= REASON_BYTES_MAX && text.bytes().all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: Notice<'_> = Notice { decision_id: Uuid::nil(), title: "Forbidden", reason: None, approval: None };

    #[test]
    fn a_denial_shows_its_id_and_its_public_reason_only() {
        let id = Uuid::nil();
        assert_eq!(NOTICE.problem_json(), format!(r#"{{"decision_id":"{id}","title":"Forbidden"}}"#));
        assert_eq!(NOTICE.message(), format!("denied (decision {id})"));
        let told = Notice { reason: Some("outside_task"), approval: Some(Some("change")), ..NOTICE };
        assert_eq!(
            told.problem_json(),
            format!(
                r#"{{"decision_id":"{id}","reason":"outside_task","remedy":{{"approval":"change","kind":"approve"}},"title":"Forbidden"}}"#
            )
        );
        assert_eq!(told.message(), format!("denied: outside_task (decision {id})"));
    }

    #[test]
    fn p31_a_reason_that_is_no_word_is_not_passed_on() {
        for reason in ["", "a b", "a\r\nx: y", "<script>", "é", &"a".repeat(65)] {
            let notice = Notice { reason: Some(reason), approval: Some(Some(reason)), ..NOTICE };
            assert_eq!(notice.message(), NOTICE.message(), "{reason:?}");
            assert!(notice.problem_json().contains(r#""remedy":{"kind":"approve"}"#), "{reason:?}");
        }
    }
}
