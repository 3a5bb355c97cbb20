//! Results of MCP's list methods, in each version, as they leave.

use expect_test::{Expect, expect};

use super::*;
use crate::response::format::fixtures::{document, spliced};

/// The result as it leaves, where entries with `secret` in their names are removed.
fn leaves(result: &str, kind: ListKind) -> String {
    let json = document(result);
    let mut choice = |_, name: &str| if name.contains("secret") { Choice::Drop } else { Choice::Keep };
    let mut reading = Reading::complete();
    match filter(json.node(), kind, &mut choice, &mut reading) {
        Ok(()) => spliced(result, json.node(), &reading.edits),
        Err(unreadable) => unreadable.to_string(),
    }
}

fn check(result: &str, kind: ListKind, expected: &Expect) {
    expected.assert_eq(&leaves(result, kind));
}

#[test]
fn an_entry_that_may_never_be_used_is_removed_and_all_else_stays_byte_for_byte() {
    // A blank and `1e3` show that nothing is written again.
    check(
        r#"{ "tools":[{"name":"secret.read","inputSchema":{}}, {"name":"b","x":1e3},{"name":"secret"}], "nextCursor":"c2" }"#,
        ListKind::Tools,
        &expect![[r#"{ "tools":[{"name":"b","x":1e3}], "nextCursor":"c2" }"#]],
    );
    check(
        r#"{"resources":[{"uri":"file:///a","name":"secret"},{"uri":"file:///secret","name":"b"}]}"#,
        ListKind::Resources,
        &expect![[r#"{"resources":[{"uri":"file:///a","name":"secret"}]}"#]],
    );
    check(
        r#"{"resourceTemplates":[{"uriTemplate":"file:///{secret}","name":"a"},{"uriTemplate":"file:///{b}","name":"b"}]}"#,
        ListKind::ResourceTemplates,
        &expect![[r#"{"resourceTemplates":[{"uriTemplate":"file:///{b}","name":"b"}]}"#]],
    );
    check(
        r#"{"prompts":[{"name":"secret"},{"name":"b","title":"B"}]}"#,
        ListKind::Prompts,
        &expect![[r#"{"prompts":[{"name":"b","title":"B"}]}"#]],
    );
}

#[test]
fn pr8_a_page_may_end_up_empty_and_keeps_its_cursor() {
    check(
        r#"{"tools":[{"name":"secret"}],"nextCursor":"c2"}"#,
        ListKind::Tools,
        &expect![[r#"{"tools":[],"nextCursor":"c2"}"#]],
    );
    check(r#"{"tools":[]}"#, ListKind::Tools, &expect![[r#"{"tools":[]}"#]]);
    check(r#"{"resultType":"input_required"}"#, ListKind::Tools, &expect![[r#"{"resultType":"input_required"}"#]]);
}

#[test]
fn a_filtered_list_is_private_to_caches() {
    // Version 2026-07-28.
    check(
        r#"{"tools":[{"name":"a"}],"ttlMs":300000,"cacheScope":"public"}"#,
        ListKind::Tools,
        &expect![[r#"{"tools":[{"name":"a"}],"ttlMs":300000,"cacheScope":"private"}"#]],
    );
    check(
        r#"{"tools":[{"name":"a"}],"cacheScope":"private"}"#,
        ListKind::Tools,
        &expect![[r#"{"tools":[{"name":"a"}],"cacheScope":"private"}"#]],
    );
    check(
        r#"{"tools":[{"name":"a"}],"cacheScope":null}"#,
        ListKind::Tools,
        &expect![[r#"{"tools":[{"name":"a"}],"cacheScope":"private"}"#]],
    );
}

#[test]
fn an_entry_without_a_name_that_all_clients_read_the_same_is_removed() {
    check(
        r#"{"tools":[{},7,"a",{"name":null},{"Name":"a"},{"name":"a","NAME":"secret"},{"name":"b"}]}"#,
        ListKind::Tools,
        &expect![[r#"{"tools":[{"name":"b"}]}"#]],
    );
}

#[test]
fn a_result_that_clients_may_read_as_another_list_is_unreadable() {
    for result in
        [r#"{"Tools":[{"name":"secret"}]}"#, r#"{"tools":[],"TOOLS":[]}"#, r#"{"tools":{}}"#, "[]", r#"{"tools":null}"#]
    {
        assert_eq!(leaves(result, ListKind::Tools), Unreadable.to_string(), "{result}");
    }
}

#[test]
fn a_list_with_an_entry_that_could_not_be_evaluated_is_not_sent_without_it() {
    let text = r#"{"tools":[{"name":"secret"},{"name":"late"},{"name":"b"}],"cacheScope":"public"}"#;
    let json = document(text);
    let mut reading = Reading::complete();
    let mut choice = |_, name: &str| if name == "late" { Choice::Fail } else { Choice::Drop };
    assert_eq!(filter(json.node(), ListKind::Tools, &mut choice, &mut reading), Err(Unreadable));
    assert_eq!(reading, Reading::complete(), "nothing was added");
}

#[test]
fn entries_are_counted_by_what_happens_to_them() {
    let json = document(r#"{"tools":[{"name":"secret"},7,{"name":"b"}]}"#);
    let mut reading = Reading::complete();
    let mut choice = |_, name: &str| if name == "b" { Choice::Keep } else { Choice::Drop };
    filter(json.node(), ListKind::Tools, &mut choice, &mut reading).unwrap();
    assert_eq!((reading.lists.entries, reading.lists.dropped, reading.lists.refused), (3, 2, 0));
}

#[test]
fn an_answer_looks_like_the_list_that_it_has() {
    for (result, expected) in [
        (r#"{"content":[]}"#, Ok(None)),
        (r#"{"tools":[]}"#, Ok(Some(ListKind::Tools))),
        // Filtering says that it is unreadable.
        (r#"{"Prompts":[]}"#, Ok(Some(ListKind::Prompts))),
        (r#"{"resourceTemplates":[]}"#, Ok(Some(ListKind::ResourceTemplates))),
        (r#"{"tools":[],"prompts":[]}"#, Err(Unreadable)),
        ("[]", Ok(None)),
    ] {
        assert_eq!(kind_of(document(result).node()), expected, "{result}");
    }
}
