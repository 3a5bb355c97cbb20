//! Texts that a denied caller can and cannot read.

use super::*;

pub(super) const NOTICE: Notice<'_> = Notice {
    decision_id: Uuid::nil(),
    title: "Forbidden",
    reason: None,
    remedy: None,
    authenticate: None,
    retry_after_seconds: None,
};

#[test]
fn a_denial_shows_its_id_and_its_public_reason_only() {
    let id = Uuid::nil();
    assert_eq!(NOTICE.problem_json(), format!(r#"{{"decision_id":"{id}","title":"Forbidden"}}"#));
    assert_eq!(NOTICE.message(), format!("denied (decision {id})"));
    let change = Challenge::Approve { kind: Some("change".to_owned()) };
    let told = Notice { reason: Some("outside_task"), remedy: Some(&change), ..NOTICE };
    assert_eq!(
        told.problem_json(),
        format!(
            r#"{{"decision_id":"{id}","reason":"outside_task","remedy":{{"approval":"change","kind":"approve"}},"title":"Forbidden"}}"#
        )
    );
    assert_eq!(told.message(), format!("denied: outside_task (decision {id})"));
}

#[test]
fn every_remedy_is_shown_with_its_parameters() {
    let scopes = || ["b".to_owned(), "a".to_owned()].into();
    let rows = [
        (Challenge::Login { scopes: [].into() }, r#"{"kind":"login"}"#),
        (Challenge::Login { scopes: scopes() }, r#"{"kind":"login","scope":"a b"}"#),
        (
            Challenge::StepUp { acr: Some("urn:x".to_owned()), max_age_seconds: Some(300) },
            r#"{"acr_values":"urn:x","kind":"step_up","max_age":300}"#,
        ),
        (Challenge::AddScope { scopes: scopes() }, r#"{"kind":"add_scope","scope":"a b"}"#),
        (Challenge::NarrowToken { scopes: scopes(), is_user: true }, r#"{"kind":"narrow_token","scope":"a b"}"#),
        (Challenge::Approve { kind: None }, r#"{"kind":"approve"}"#),
    ];
    for (challenge, expected) in rows {
        assert_eq!(json(&Remedy::of(&challenge)), expected);
    }
}

#[test]
fn p31_an_invalid_reason_is_not_passed_on() {
    for reason in ["", "a b", "a\r\nx: y", "<script>", "é", &"a".repeat(65)] {
        let challenge = Challenge::Approve { kind: Some(reason.to_owned()) };
        let notice = Notice { reason: Some(reason), remedy: Some(&challenge), ..NOTICE };
        assert_eq!(notice.message(), NOTICE.message(), "{reason:?}");
        assert!(notice.problem_json().contains(r#""remedy":{"kind":"approve"}"#), "{reason:?}");
        let versions = Versions { supported: &[], requested: Some(reason) };
        assert_eq!(versions.requested(), None, "{reason:?}");
    }
}
