//! Effects in Envoy of the header and query changes of an answer.

use envoy_types::ext_authz::v3::pb::{
    CheckResponse, HeaderAppendAction, HeaderValue, HeaderValueOption, OkHttpResponse, QueryParameter,
};
use expect_test::expect_file;
use serde_json::json;

use super::{denied, header, list, ok, option, row, table};
use crate::envoy::bench::{Bench, Outcome, get, listener};

const APPENDS: [(Option<bool>, &str); 3] = [(None, "unset"), (Some(false), "false"), (Some(true), "true")];
const ACTIONS: [HeaderAppendAction; 4] = [
    HeaderAppendAction::AppendIfExistsOrAdd,
    HeaderAppendAction::AddIfAbsent,
    HeaderAppendAction::OverwriteIfExistsOrAdd,
    HeaderAppendAction::OverwriteIfExists,
];

async fn bench() -> Bench {
    Bench::start(vec![listener("plain"), listener("validate").authz(json!({"validate_mutations": true}))], &[]).await
}

/// All settings of one header option, each under a name of its own.
fn matrix() -> Vec<(String, &'static str, HeaderAppendAction, Option<bool>)> {
    let all = APPENDS.iter().flat_map(|(append, word)| ACTIONS.map(|action| (*append, *word, action)));
    all.map(|(append, word, action)| (format!("r-{word}-{}", action as i32), word, action, append)).collect()
}

fn named(name: &str, value: &str, raw: &str) -> HeaderValue {
    HeaderValue { key: name.into(), value: value.into(), raw_value: raw.into() }
}

#[tokio::test]
async fn append_action_counts_for_response_headers_only() {
    let bench = bench().await;
    let option_of = |name: &str, append, action| option(named(name, "new", ""), append, action);
    let all: Vec<HeaderValueOption> =
        matrix().iter().map(|(n, _, action, append)| option_of(n, *append, *action)).collect();
    let twice: Vec<HeaderValueOption> = matrix()
        .iter()
        .flat_map(|(n, _, action, append)| ["one", "two"].map(|value| option(named(n, value, ""), *append, *action)))
        .collect();
    let present: Vec<String> = matrix().iter().map(|(name, ..)| format!("{name}: old")).collect();
    let present: Vec<&str> = present.iter().map(String::as_str).collect();
    let on_request = ok(OkHttpResponse { headers: all.clone(), ..Default::default() });
    let on_response = ok(OkHttpResponse { response_headers_to_add: all, ..Default::default() });
    let with = bench.send("plain", on_request.clone(), &get(&present)).await;
    let without = bench.send("plain", on_request, &get(&[])).await;
    let back_with = bench.send("plain", on_response.clone(), &get(&present)).await;
    let back_without = bench.send("plain", on_response, &get(&[])).await;
    let no = bench.send("plain", denied(403, twice), &get(&[])).await;
    let mut rows = vec![row([
        "append",
        "append_action",
        "request had it",
        "request had not",
        "response had it",
        "response had not",
        "denied, twice",
    ])];
    for (name, word, action, _) in matrix() {
        let to = |outcome: &Outcome| list(&outcome.upstream().unwrap().values(&name));
        let back = |outcome: &Outcome| list(&outcome.answer().values(&name).collect::<Vec<_>>());
        let action = action.as_str_name();
        let cells = [to(&with), to(&without), back(&back_with), back(&back_without), back(&no)];
        rows.push([word.to_owned(), action.to_owned()].into_iter().chain(cells).collect());
    }
    expect_file!["../golden/header_actions.txt"].assert_eq(&table(&rows));
}

#[tokio::test]
async fn a_raw_value_alone_sets_an_empty_header() {
    let bench = bench().await;
    let values = [("r-value", "plain", ""), ("r-raw", "", "raw"), ("r-both", "plain", "raw"), ("r-none", "", "")];
    let headers: Vec<_> = values
        .map(|(name, value, raw)| option(named(name, value, raw), None, HeaderAppendAction::OverwriteIfExistsOrAdd))
        .into();
    let request = get(&["r-value: old", "r-raw: old", "r-both: old", "r-none: old"]);
    let on_request = ok(OkHttpResponse { headers: headers.clone(), ..Default::default() });
    let on_response = ok(OkHttpResponse { response_headers_to_add: headers.clone(), ..Default::default() });
    let to = bench.send("plain", on_request, &request).await;
    let back = bench.send("plain", on_response, &request).await;
    let no = bench.send("plain", denied(403, headers), &request).await;
    let mut rows = vec![row(["filled", "request", "response", "denied"])];
    for (name, ..) in values {
        let answered = |outcome: &Outcome| quoted(&outcome.answer().values(name).collect::<Vec<_>>());
        rows.push(vec![
            name[2..].to_owned(),
            quoted(&to.upstream().unwrap().values(name)),
            answered(&back),
            answered(&no),
        ]);
    }
    expect_file!["../golden/header_values.txt"].assert_eq(&table(&rows));
}

fn quoted(values: &[&str]) -> String {
    list(&values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>())
}

/// Single changes, and what the upstream or the caller gets.
fn changes() -> Vec<(&'static str, CheckResponse)> {
    let set = |headers: Vec<HeaderValueOption>| ok(OkHttpResponse { headers, ..Default::default() });
    let remove = |names: &[&str]| {
        ok(OkHttpResponse { headers_to_remove: names.iter().map(|n| (*n).to_owned()).collect(), ..Default::default() })
    };
    let query = |key: &str, value: &str| {
        let parameter = QueryParameter { key: key.into(), value: value.into() };
        ok(OkHttpResponse { query_parameters_to_set: vec![parameter], ..Default::default() })
    };
    let mut both = set(vec![header("x-a", "new")]);
    if let Some(envoy_types::ext_authz::v3::pb::HttpResponse::OkResponse(inside)) = &mut both.http_response {
        inside.headers_to_remove.push("x-a".into());
    }
    let many = |count: usize| set((0..count).map(|n| header(&format!("x-n{n}"), "v")).collect());
    let response = |name: &str, value: &str| {
        ok(OkHttpResponse { response_headers_to_add: vec![header(name, value)], ..Default::default() })
    };
    vec![
        ("set and remove x-a", both),
        ("set X-A (upper case)", set(vec![header("X-A", "new")])),
        ("set x-a twice", set(vec![header("x-a", "one"), header("x-a", "two")])),
        ("set x-a empty", set(vec![header("x-a", "")])),
        ("set x-a with CR LF", set(vec![header("x-a", "a\r\nx-b: injected")])),
        ("set x-a with NUL", set(vec![header("x-a", "a\0b")])),
        ("set x-a with UTF-8", set(vec![header("x-a", "ä")])),
        ("set a name with a blank", set(vec![header("x a", "v")])),
        ("set a name with CR LF", set(vec![header("x-a\r\nx-b", "v")])),
        ("set an empty name", set(vec![header("", "v")])),
        ("set :path", set(vec![header(":path", "/other")])),
        ("set :method", set(vec![header(":method", "POST")])),
        ("set :authority", set(vec![header(":authority", "other")])),
        ("set host", set(vec![header("host", "other")])),
        ("remove host", remove(&["host"])),
        ("remove :path", remove(&[":path"])),
        ("remove X-A (upper case)", remove(&["X-A"])),
        ("set 80 headers (limit 100)", many(80)),
        ("set 120 headers (limit 100)", many(120)),
        ("response header with CR LF", response("x-a", "a\r\nx-b: injected")),
        ("denied header with CR LF", denied(403, vec![header("x-a", "a\r\nx-b: injected")])),
        ("denied content-length", denied(403, vec![header("content-length", "0")])),
        ("query q=ab", query("q", "ab")),
        ("query q=a-b", query("q", "a-b")),
        ("query q=a+b", query("q", "a+b")),
        ("query q=a%2Fb", query("q", "a%2Fb")),
        ("query q=a%2fb", query("q", "a%2fb")),
        ("query q=a b", query("q", "a b")),
        ("query q=a%20b", query("q", "a%20b")),
        ("query q=1&admin=1", query("q", "1&admin=1")),
        ("query q=CR LF", query("q", "a\r\nx-b: injected")),
    ]
}

/// The effect of a change in a few words.
fn show(outcome: &Outcome) -> String {
    let mut text = outcome.status();
    if let Some(seen) = outcome.upstream() {
        let (host, a) = (list(&seen.values("host")), list(&seen.values("x-a")));
        text.push_str(&format!(" upstream `{}` host {host} x-a {a}", seen.line));
        text.push_str(if seen.values("x-b").is_empty() { "" } else { " INJECTED" });
        text.push_str(&format!(" ({} headers)", seen.headers.len()));
    }
    if let Ok(answer) = &outcome.answer {
        let got = answer.headers.iter().filter(|(name, _)| name == "x-a" || name == "x-b");
        got.for_each(|(name, value)| text.push_str(&format!(" caller got {name} {value}")));
    }
    text.escape_debug().to_string()
}

#[tokio::test]
async fn p31_p32_injected_lines_and_too_many_headers_are_stopped_by_validation_and_limits() {
    let bench = bench().await;
    let mut rows = vec![row(["change", "as Envoy comes", "validate_mutations"])];
    let request = b"GET /p?q=old HTTP/1.1\r\nhost: orders.shop\r\nconnection: close\r\nx-a: old\r\n\r\n";
    for (name, reply) in changes() {
        let plain = bench.send("plain", reply.clone(), request).await;
        let validated = bench.send("validate", reply, request).await;
        rows.push(vec![name.to_owned(), show(&plain), show(&validated)]);
    }
    expect_file!["../golden/changes.txt"].assert_eq(&table(&rows));
}
