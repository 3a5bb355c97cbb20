use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::super::fixtures::{call, json, with_headers};
use super::*;

const JSON: (&str, &str) = ("content-type", "application/json");
const V1: (&str, &str) = ("a2a-version", "1.0");

fn rules(endpoint: &str) -> A2a {
    A2a {
        endpoint: CanonicalPath::parse(endpoint).unwrap(),
        versions: [Version::V03, Version::V10].into(),
        bindings: [Binding::Jsonrpc, Binding::Rest].into(),
    }
}

fn show(reading: Result<Reading, Failure>) -> String {
    match reading {
        Ok(Reading::Card) => "card".to_owned(),
        Ok(Reading::Message(message)) => {
            let mut shown = message.ask.action().to_owned();
            let facts = [("task", message.task_id), ("context", message.context_id), ("push", message.push_host)];
            for (name, value) in facts {
                value.into_iter().for_each(|value| shown.push_str(&format!(" {name}={value}")));
            }
            shown
        }
        Err(failure) => failure.code.as_str().to_owned(),
    }
}

/// The one door: what a call is read as. `body` empty: none.
fn read_as(method: &str, target: &str, headers: &[(&str, &str)], body: &str, rules: &A2a) -> String {
    let document = (!body.is_empty()).then(|| json(body));
    show(read(&with_headers(call(method, target), headers), document.as_ref(), rules))
}

fn rpc(version: &[(&str, &str)], method: &str, params: &str) -> String {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    let headers: Vec<_> = [JSON].into_iter().chain(version.iter().copied()).collect();
    read_as("POST", "/a2a", &headers, &body, &rules("/a2a"))
}

fn rest(method: &str, target: &str, body: &str) -> String {
    read_as(method, target, &[JSON, V1], body, &rules("/"))
}

#[test]
fn every_method_of_0_3_is_its_action() {
    let message = r#"{"message":{"messageId":"m","role":"user","parts":[{"kind":"text","text":"hi"}]}}"#;
    let rows = [
        ("message/send", message, "a2a.send"),
        ("message/stream", message, "a2a.send"),
        ("tasks/get", r#"{"id":"t","historyLength":3}"#, "a2a.task.read task=t"),
        ("tasks/resubscribe", r#"{"id":"t"}"#, "a2a.task.read task=t"),
        ("tasks/cancel", r#"{"id":"t","metadata":{}}"#, "a2a.task.cancel task=t"),
        (
            "tasks/pushNotificationConfig/set",
            r#"{"taskId":"t","pushNotificationConfig":{"url":"https://Hook.Example:8443/x"}}"#,
            "a2a.push.configure task=t push=hook.example",
        ),
        (
            "tasks/pushNotificationConfig/get",
            r#"{"id":"t","pushNotificationConfigId":"c"}"#,
            "a2a.push.configure task=t",
        ),
        ("tasks/pushNotificationConfig/list", r#"{"id":"t"}"#, "a2a.push.configure task=t"),
        ("tasks/pushNotificationConfig/delete", r#"{"id":"t"}"#, "a2a.push.configure task=t"),
        ("agent/getAuthenticatedExtendedCard", "null", "a2a.send"),
        ("SendMessage", message, "rpc_method_unknown"),
        ("tasks/list", "{}", "rpc_method_unknown"),
        ("message/Send", message, "rpc_method_unknown"),
    ];
    for (method, params, expected) in rows {
        assert_eq!(rpc(&[], method, params), expected, "{method}");
        assert_eq!(rpc(&[("a2a-version", "0.3")], method, params), expected, "{method}");
    }
}

#[test]
fn every_method_of_1_0_is_its_action() {
    let message = r#"{"tenant":"x","message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}],"taskId":"t","contextId":"c"}}"#;
    let rows = [
        ("SendMessage", message, "a2a.send task=t context=c"),
        ("SendStreamingMessage", message, "a2a.send task=t context=c"),
        ("GetTask", r#"{"id":"t"}"#, "a2a.task.read task=t"),
        ("ListTasks", r#"{"contextId":"c","pageSize":3}"#, "a2a.task.read context=c"),
        ("SubscribeToTask", r#"{"id":"t"}"#, "a2a.task.read task=t"),
        ("CancelTask", r#"{"id":"t"}"#, "a2a.task.cancel task=t"),
        (
            "CreateTaskPushNotificationConfig",
            r#"{"taskId":"t","id":"c","url":"https://hook.example/x","authentication":{"scheme":"Bearer"}}"#,
            "a2a.push.configure task=t push=hook.example",
        ),
        ("GetTaskPushNotificationConfig", r#"{"taskId":"t","id":"c"}"#, "a2a.push.configure task=t"),
        ("ListTaskPushNotificationConfigs", r#"{"taskId":"t"}"#, "a2a.push.configure task=t"),
        ("DeleteTaskPushNotificationConfig", r#"{"taskId":"t","id":"c"}"#, "a2a.push.configure task=t"),
        ("GetExtendedAgentCard", "{}", "a2a.send"),
        ("message/send", message, "rpc_method_unknown"),
    ];
    for (method, params, expected) in rows {
        assert_eq!(rpc(&[V1], method, params), expected, "{method}");
    }
}

#[test]
fn a_message_that_is_not_of_its_version_is_refused() {
    let send = |message: &str, more: &str| format!(r#"{{"message":{message}{more}}}"#);
    let good = r#"{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}],"futureMember":1}"#;
    let push = |config: &str| format!(r#","configuration":{{"taskPushNotificationConfig":{config}}}"#);
    let rows = [
        (send(good, ""), "a2a.send"),
        (send(good, r#","metadata":null"#), "a2a.send"),
        (send(good, &push(r#"{"url":"https://hook.example/a"}"#)), "a2a.send push=hook.example"),
        (send(good, &push(r#"{"url":"http://[::1]:9/a"}"#)), "a2a.send push=[::1]"),
        (send(good, &push(r#"{"url":"https://hook.example/a","taskId":"t"}"#)), "a2a.send task=t push=hook.example"),
        (send(good, &push("null")), "a2a.send"),
        (send(good, &push("{}")), "message_refused"),
        (send(good, &push(r#"{"url":"https://good@evil.example/"}"#)), "message_refused"),
        (send(good, &push(r#"{"url":"hook.example"}"#)), "message_refused"),
        (send(good, &push(r#"{"url":"https://a/","Url":"https://b/"}"#)), "message_refused"),
        (send(good, r#","configuration":{"pushNotificationConfig":{"url":"https://a/"}}"#), "message_refused"),
        (send(good, r#","configuration":{"task_push_notification_config":{"url":"https://a/"}}"#), "message_refused"),
        (send(good, r#","configuration":[]"#), "message_refused"),
        (send(good, r#","metadata":[]"#), "message_refused"),
        (send(good, r#","extra":1"#), "message_refused"),
        (send(good, r#","tenant":"""#), "message_refused"),
        (send("null", ""), "message_refused"),
        (send(r#"{"role":"ROLE_USER","parts":[{}]}"#, ""), "message_refused"),
        (send(r#"{"messageId":"m","role":"user","parts":[{}]}"#, ""), "message_refused"),
        (send(r#"{"messageId":"m","role":"ROLE_USER"}"#, ""), "message_refused"),
        (send(r#"{"messageId":"m","role":"ROLE_USER","parts":[]}"#, ""), "message_refused"),
        (send(r#"{"messageId":"m","role":"ROLE_USER","parts":["hi"]}"#, ""), "message_refused"),
        (send(r#"{"messageId":"m","role":"ROLE_USER","parts":[{}],"taskId":7}"#, ""), "message_refused"),
        (send(r#"{"messageId":"m","role":"ROLE_USER","parts":[{}],"taskId":""}"#, ""), "message_refused"),
        // A server that reads the definition's own spelling would find a task that we would not.
        (send(r#"{"messageId":"m","role":"ROLE_USER","parts":[{}],"task_id":"t"}"#, ""), "message_refused"),
        (send(r#"{"messageId":"m","role":"ROLE_USER","parts":[{}],"TaskId":"t"}"#, ""), "message_refused"),
    ];
    for (params, expected) in &rows {
        assert_eq!(rpc(&[V1], "SendMessage", params), *expected, "{params}");
    }
    let two = r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{}],"taskId":"a"},"configuration":{"taskPushNotificationConfig":{"url":"https://a/","taskId":"b"}}}"#;
    assert_eq!(rpc(&[V1], "SendMessage", two), "message_refused", "two tasks");
    assert_eq!(rpc(&[V1], "GetTask", "{}"), "message_refused", "no task");
    assert_eq!(rpc(&[V1], "GetTask", r#"{"id":"t","taskId":"t"}"#), "message_refused");
    assert_eq!(rpc(&[V1], "GetTask", r#"{"name":"tasks/t"}"#), "message_refused");
    assert_eq!(rpc(&[V1], "CreateTaskPushNotificationConfig", r#"{"taskId":"t"}"#), "message_refused", "no url");
    assert_eq!(rpc(&[], "tasks/pushNotificationConfig/set", r#"{"taskId":"t"}"#), "message_refused", "no config");
    let foreign = r#"{"taskId":"t","pushNotificationConfig":{"url":"https://a/","taskId":"u"}}"#;
    assert_eq!(rpc(&[], "tasks/pushNotificationConfig/set", foreign), "message_refused", "a member of 1.0");
}

#[test]
fn an_envelope_that_is_not_exactly_json_rpc_is_refused() {
    let rows = [
        (r#"{"jsonrpc":"2.0","id":"a","method":"tasks/get","params":{"id":"t"}}"#, "a2a.task.read task=t"),
        (r#"{"jsonrpc":"2.0","id":-7,"method":"tasks/get","params":{"id":"t"}}"#, "a2a.task.read task=t"),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"tasks/get","params":{"id":"t"}}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"tasks/get","params":{"id":"t"}}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","method":"tasks/get","params":{"id":"t"}}"#, "message_refused"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"tasks/get","params":{"id":"t"}}"#, "message_refused"),
        (r#"{"id":1,"method":"tasks/get","params":{"id":"t"}}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":["t"]}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get"}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":"t"},"x":1}"#, "message_refused"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":"t"}}]"#, "message_refused"),
        ("7", "message_refused"),
        ("", "message_refused"),
    ];
    for (body, expected) in rows {
        assert_eq!(read_as("POST", "/a2a", &[JSON], body, &rules("/a2a")), expected, "{body}");
    }
}

#[test]
fn the_version_is_the_one_that_header_and_query_name() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"t"}}"#;
    let old = r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":"t"}}"#;
    let good = "a2a.task.read task=t";
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);
    let rows: &[Row<'_>] = &[
        ("/a2a", &[JSON, V1], body, good),
        ("/a2a", &[JSON], old, good),
        ("/a2a", &[JSON, ("a2a-version", "")], old, good),
        ("/a2a?A2A-Version=1.0", &[JSON], body, good),
        ("/a2a?A2A-Version=1.0", &[JSON, V1], body, good),
        ("/a2a?A2A-Version=1.0&A2A-Version=1.0", &[JSON], body, good),
        ("/a2a?A2A-Version=0.3", &[JSON, V1], body, "header_mismatch"),
        ("/a2a?A2A-Version=1.0", &[JSON, ("a2a-version", "0.3")], old, "header_mismatch"),
        ("/a2a?a2a_version=1.0", &[JSON, ("a2a-version", "0.3")], old, "header_mismatch"),
        ("/a2a?A2A%2dVersion=1.0", &[JSON, ("a2a-version", "0.3")], old, "header_mismatch"),
        ("/a2a?A2A-Version=1.0&A2A-Version=0.3", &[JSON], body, "header_mismatch"),
        ("/a2a", &[JSON, V1, V1], body, "header_duplicated"),
        ("/a2a", &[JSON, V1, ("a2a_version", "0.3")], body, "header_duplicated"),
        ("/a2a", &[JSON, ("a2a-version", "1.0, 1.0")], body, "version_refused"),
        ("/a2a", &[JSON, ("a2a-version", "1.0.0")], body, "version_refused"),
        ("/a2a", &[JSON, ("a2a-version", "2.0")], body, "version_refused"),
        ("/a2a?x=%zz", &[JSON, V1], body, "query_refused"),
        ("/a2a?x=1;y=2", &[JSON, V1], body, "query_refused"),
        ("/a2a?x=%ff", &[JSON, V1], body, "query_refused"),
        ("/a2a?x=1#y", &[JSON, V1], body, "query_refused"),
        ("/a2a?x=%0a", &[JSON, V1], body, "query_refused"),
    ];
    for (target, headers, body, expected) in rows {
        assert_eq!(read_as("POST", target, headers, body, &rules("/a2a")), *expected, "{target} {headers:?}");
    }
    let only = |version| A2a { versions: BTreeSet::from([version]), ..rules("/a2a") };
    assert_eq!(read_as("POST", "/a2a", &[JSON, V1], body, &only(Version::V03)), "version_refused");
    assert_eq!(read_as("POST", "/a2a", &[JSON], old, &only(Version::V10)), "version_refused");
}

#[test]
fn a_rest_path_is_its_operation_or_nothing() {
    let message = r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}]}}"#;
    let rows = [
        ("POST", "/message:send", message, "a2a.send"),
        ("POST", "/message:stream", message, "a2a.send"),
        ("POST", "/blue/message:send", message, "a2a.send"),
        ("POST", "/message:send", "", "message_refused"),
        ("GET", "/message:send", "", "method_not_allowed"),
        ("POST", "/message:other", message, "protocol_mismatch"),
        ("GET", "/tasks", "", "a2a.task.read"),
        ("GET", "/tasks?contextId=c&pageSize=2", "", "a2a.task.read context=c"),
        ("GET", "/tasks?context_id=c", "", "query_refused"),
        ("GET", "/tasks?contextId=c&contextId=d", "", "query_refused"),
        ("GET", "/tasks/t", "", "a2a.task.read task=t"),
        ("GET", "/tasks/a:b", "", "a2a.task.read task=a:b"),
        ("GET", "/tasks/t?id=t", "", "a2a.task.read task=t"),
        ("GET", "/tasks/t?id=u", "", "message_refused"),
        ("GET", "/tasks/t?ID=u", "", "query_refused"),
        ("GET", "/tasks/t%20u", "", "message_refused"),
        ("GET", "/tasks/t", "{}", "message_refused"),
        ("GET", "/blue/tasks/t", "", "a2a.task.read task=t"),
        ("GET", "/blue/tasks/t?tenant=red", "", "message_refused"),
        ("HEAD", "/tasks/t", "", "method_not_allowed"),
        ("POST", "/tasks/t:cancel", "", "a2a.task.cancel task=t"),
        ("POST", "/tasks/t:cancel", r#"{"id":"t","metadata":{}}"#, "a2a.task.cancel task=t"),
        ("POST", "/tasks/t:cancel", r#"{"id":"u"}"#, "message_refused"),
        ("POST", "/tasks/t:cancel", r#"{"x":"u"}"#, "message_refused"),
        ("GET", "/tasks/t:cancel", "", "method_not_allowed"),
        ("POST", "/tasks/:cancel", "", "message_refused"),
        ("GET", "/tasks/t:subscribe", "", "a2a.task.read task=t"),
        ("POST", "/tasks/t:subscribe", "", "a2a.task.read task=t"),
        ("GET", "/tasks/t/pushNotificationConfigs", "", "a2a.push.configure task=t"),
        ("POST", "/tasks/t/pushNotificationConfigs", r#"{"url":"https://h/"}"#, "a2a.push.configure task=t push=h"),
        ("POST", "/tasks/t/pushNotificationConfigs", r#"{"url":"https://h/","taskId":"u"}"#, "message_refused"),
        ("GET", "/tasks/t/pushNotificationConfigs/c", "", "a2a.push.configure task=t"),
        ("DELETE", "/tasks/t/pushNotificationConfigs/c", "", "a2a.push.configure task=t"),
        ("DELETE", "/tasks/t/pushNotificationConfigs/c?id=d", "", "message_refused"),
        ("GET", "/extendedAgentCard", "", "a2a.send"),
        ("GET", "/blue/extendedAgentCard", "", "a2a.send"),
        // Readable with and without the tenant `tasks`.
        ("GET", "/tasks/tasks", "", "path_refused"),
        ("GET", "/tasks/extendedAgentCard", "", "path_refused"),
        ("POST", "/tasks/message:send", message, "path_refused"),
        ("GET", "/tasks/tasks/pushNotificationConfigs", "", "path_refused"),
        ("GET", "/a/b/tasks", "", "protocol_mismatch"),
        ("GET", "/admin", "", "protocol_mismatch"),
        ("POST", "/v1/message:send", message, "a2a.send"),
    ];
    for (method, target, body, expected) in rows {
        assert_eq!(rest(method, target, body), expected, "{method} {target} {body}");
    }
}

#[test]
fn a_binding_or_version_that_is_not_listed_is_refused() {
    let body = r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}]}}"#;
    let only = |binding| A2a { bindings: BTreeSet::from([binding]), ..rules("/a2a") };
    let send = |headers: &[(&str, &str)], rules: &A2a| read_as("POST", "/a2a/message:send", headers, body, rules);
    assert_eq!(send(&[JSON, V1], &rules("/a2a")), "a2a.send");
    assert_eq!(send(&[JSON], &rules("/a2a")), "version_refused");
    assert_eq!(send(&[V1], &rules("/a2a")), "message_refused");
    assert_eq!(send(&[("content-type", "text/plain"), V1], &rules("/a2a")), "message_refused");
    assert_eq!(send(&[("content-type", "application/a2a+json; charset=UTF-8"), V1], &rules("/a2a")), "a2a.send");
    assert_eq!(send(&[JSON, V1], &only(Binding::Jsonrpc)), "protocol_mismatch");
    assert_eq!(read_as("POST", "/a2a", &[JSON, V1], body, &only(Binding::Rest)), "protocol_mismatch");
    assert_eq!(read_as("POST", "/b2b/message:send", &[JSON, V1], body, &rules("/a2a")), "protocol_mismatch");
    for method in ["GET", "DELETE", "PUT", "post"] {
        assert_eq!(read_as(method, "/a2a", &[JSON, V1], "", &rules("/a2a")), "method_not_allowed", "{method}");
    }
}

#[test]
fn the_public_card_is_read_as_plain_http() {
    let rules = rules("/a2a");
    for path in ["/.well-known/agent-card.json", "/.well-known/agent.json", "/a2a/.well-known/agent-card.json"] {
        assert_eq!(read_as("GET", path, &[], "", &rules), "card", "{path}");
        assert_eq!(read_as("HEAD", path, &[], "", &rules), "card", "{path}");
        assert_eq!(read_as("POST", path, &[JSON], "{}", &rules), "method_not_allowed", "{path}");
    }
    assert_eq!(read_as("GET", "/.well-known/other", &[], "", &rules), "protocol_mismatch");
    assert_eq!(read_as("GET", "/x/.well-known/agent-card.json", &[], "", &rules), "protocol_mismatch");
}

fn golden(version: &[(&str, &str)], body: &str, expected: Expect) {
    let headers: Vec<_> = [JSON].into_iter().chain(version.iter().copied()).collect();
    let call = with_headers(call("POST", "/a2a"), &headers);
    expected.assert_debug_eq(&read(&call, Some(&json(body)), &rules("/a2a")).unwrap());
}

#[test]
fn a_realistic_message_gives_these_facts() {
    let body = r#"{
      "jsonrpc": "2.0", "id": "9d4e", "method": "SendStreamingMessage",
      "params": {
        "message": {
          "messageId": "c0ffee", "role": "ROLE_USER", "contextId": "ctx-7", "taskId": "task-42",
          "parts": [{"text": "Roll back the release", "mediaType": "text/plain"}, {"data": {"release": 7}}],
          "extensions": ["https://example.com/ext/v1"], "referenceTaskIds": ["task-41"]
        },
        "configuration": {
          "acceptedOutputModes": ["text/plain"], "historyLength": 10, "returnImmediately": true,
          "taskPushNotificationConfig": {
            "id": "p1", "url": "https://Hooks.Example:8443/a2a?secret=1", "token": "t0ken",
            "authentication": {"scheme": "Bearer", "credentials": "c"}
          }
        },
        "metadata": {"trace": "1"}
      }
    }"#;
    golden(
        &[V1],
        body,
        expect![[r#"
        Message(
            Message {
                version: V10,
                id: Some(
                    Text(
                        "9d4e",
                    ),
                ),
                ask: Send,
                task_id: Some(
                    "task-42",
                ),
                context_id: Some(
                    "ctx-7",
                ),
                push_host: Some(
                    "hooks.example",
                ),
            },
        )
    "#]],
    );
}

proptest! {
    #[test]
    fn whatever_is_sent_is_read_or_refused(
        method in "GET|POST|DELETE|PUT", path in "(/[a-zA-Z:.%0-9-]{1,12}){0,4}/?", query in "\\PC{0,20}",
        version in "0\\.3|1\\.0|\\PC{0,3}", body in super::super::fixtures::document(),
    ) {
        let Ok(path) = CanonicalPath::parse(&path) else { return Ok(()) };
        let mut call = with_headers(call(&method, "/"), &[JSON, ("a2a-version", &version)]);
        call.target = Target::Path { path, query: Some(query) };
        for rules in [rules("/"), rules("/a2a")] {
            let _ = read(&call, Some(&body), &rules);
            let _ = read(&call, None, &rules);
        }
    }
}
