use expect_test::{Expect, expect};

use super::super::fixtures::{call, json, with_headers};
use super::*;

mod anthropic;
mod drawn;

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

/// The one door: reads a body at one of the three paths.
fn request(path: &str, body: &str) -> Result<Request, Failure> {
    let protocol = if path == MESSAGES { Protocol::Anthropic } else { Protocol::Openai };
    read(&call("POST", path), Some(&json(body)), protocol)
}

/// A good body of the API with more members.
fn good(path: &str, more: &str) -> String {
    let least = match path {
        CHAT => r#""messages":[{"role":"user","content":"hi"}]"#,
        RESPONSES => r#""input":"hi""#,
        _ => r#""max_tokens":9,"messages":[{"role":"user","content":"hi"}]"#,
    };
    let comma = if more.is_empty() { "" } else { "," };
    format!(r#"{{"model":"m",{least}{comma}{more}}}"#)
}

fn fact<T>(path: &str, more: &str, fact: impl Fn(Request) -> T) -> Result<T, &'static str> {
    request(path, &good(path, more)).map(fact).map_err(|failure| failure.code.as_str())
}

fn words(set: BTreeSet<String>) -> String {
    set.into_iter().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_request_may_have_a_limited_number_of_unknown_parameters() {
    let unknown = |count: usize| (0..count).map(|n| format!("\"x{n}\":1")).collect::<Vec<_>>().join(",");
    for path in [CHAT, RESPONSES, MESSAGES] {
        let found = fact(path, &unknown(64), |request| request.hosted_tools.len());
        assert_eq!(found, Ok(64), "{path}");
        assert_eq!(fact(path, &unknown(65), |_| ()), Err("message_refused"), "{path}");
        let absent = unknown(65).replace(":1", ":null");
        assert_eq!(fact(path, &absent, |request| request.hosted_tools.len()), Ok(0), "{path}");
    }
}

#[test]
fn only_requests_to_models_are_read() {
    let rows = [
        ("POST", CHAT, Protocol::Openai, "ok"),
        ("POST", "/v1/responses", Protocol::Openai, "message_refused"),
        ("POST", MESSAGES, Protocol::Openai, "protocol_mismatch"),
        ("POST", CHAT, Protocol::Anthropic, "protocol_mismatch"),
        ("POST", CHAT, Protocol::Http, "protocol_mismatch"),
        ("GET", CHAT, Protocol::Openai, "method_not_allowed"),
        ("DELETE", "/v1/responses", Protocol::Openai, "method_not_allowed"),
        ("GET", "/v1/responses/r_1", Protocol::Openai, "protocol_mismatch"),
        ("POST", "/v1/responses/r_1/cancel", Protocol::Openai, "protocol_mismatch"),
        ("GET", "/v1/models", Protocol::Openai, "protocol_mismatch"),
        ("POST", "/v1/messages/batches", Protocol::Anthropic, "protocol_mismatch"),
        ("POST", "/V1/chat/completions", Protocol::Openai, "protocol_mismatch"),
    ];
    for (method, path, protocol, expected) in rows {
        let mut body = json(&good(CHAT, ""));
        if path == RESPONSES {
            body = json(&good(RESPONSES, "").replace("\"hi\"", "7"));
        }
        let code = read(&call(method, path), Some(&body), protocol).map_or_else(|f| f.code.as_str(), |_| "ok");
        assert_eq!(code, expected, "{method} {path} {protocol:?}");
    }
    let none = read(&call("POST", CHAT), None, Protocol::Openai).map_err(|failure| failure.code);
    assert_eq!(none, Err(Code::MessageRefused), "no body");
    let form = with_headers(call("POST", CHAT), &[("content-type", "multipart/form-data; boundary=x")]);
    let form = read(&form, Some(&json(&good(CHAT, ""))), Protocol::Openai).map_err(|failure| failure.code);
    assert_eq!(form, Err(Code::MessageRefused), "another content type");
}

#[test]
fn a_parameter_of_the_wrong_type_or_spelling_is_refused() {
    let rows = [
        (CHAT, r#"{"messages":[{}]}"#),
        (CHAT, r#"{"model":"","messages":[{}]}"#),
        (CHAT, r#"{"model":7,"messages":[{}]}"#),
        (CHAT, r#"{"model":"m\u0007","messages":[{}]}"#),
        (CHAT, r#"{"model":"m"}"#),
        (CHAT, r#"{"model":"m","messages":[]}"#),
        (CHAT, r#"{"model":"m","messages":"hi"}"#),
        (CHAT, r#"{"model":"m","messages":["hi"]}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"stream":"true"}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"store":1}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"Store":true}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"maxTokens":9}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"max_tokens":9.5}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"max_tokens":-1}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"max_tokens":"9"}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"max_tokens":9,"max_completion_tokens":8}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"tools":{}}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"tools":[7]}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"tools":[{"type":"function"}]}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"tools":[{"type":7,"name":"x"}]}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"tools":[{"Type":"mcp","name":"x"}]}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"functions":[{}]}"#),
        (CHAT, r#"{"model":"m","messages":[{}],"web_search_options":true}"#),
        (CHAT, "[]"),
        (RESPONSES, r#"{"model":"m","input":{}}"#),
        (RESPONSES, r#"{"model":"m","input":"x","max_output_tokens":[]}"#),
        (RESPONSES, r#"{"model":"m","input":"x","previousResponseId":"r"}"#),
        (RESPONSES, r#"{"model":"m","input":"x","tools":[{"type":"mcp","server_label":"x"}]}"#),
        (RESPONSES, r#"{"model":"m","input":"x","tools":[{"type":"mcp","server_url":"https://a@b/"}]}"#),
        (
            RESPONSES,
            r#"{"model":"m","input":"x","tools":[{"type":"mcp","serverUrl":"https://b/","connector_id":"c"}]}"#,
        ),
        (MESSAGES, r#"{"model":"m","messages":[{}]}"#),
        (MESSAGES, r#"{"model":"m","messages":[{}],"max_tokens":9,"mcp_servers":[{}]}"#),
        (MESSAGES, r#"{"model":"m","messages":[{}],"max_tokens":9,"mcp_servers":[{"url":"b"}]}"#),
        (MESSAGES, r#"{"model":"m","messages":[{}],"max_tokens":9,"mcp_servers":{"url":"https://b"}}"#),
    ];
    for (path, body) in rows {
        assert_eq!(request(path, body).map_err(|failure| failure.code), Err(Code::MessageRefused), "{path} {body}");
    }
}

#[test]
fn storage_by_the_provider_is_known_without_a_statement_in_the_request() {
    let rows = [
        (CHAT, "", false),
        (CHAT, r#""store":true"#, true),
        (CHAT, r#""store":null"#, false),
        (RESPONSES, "", true),
        (RESPONSES, r#""store":null"#, true),
        (RESPONSES, r#""store":false"#, false),
        (MESSAGES, "", false),
    ];
    for (path, more, stored) in rows {
        assert_eq!(fact(path, more, |request| request.stored), Ok(stored), "{path} {more}");
    }
}

#[test]
fn the_bound_on_tokens_is_found_under_every_name() {
    let rows = [
        (CHAT, "", None),
        (CHAT, r#""max_tokens":7"#, Some(7)),
        (CHAT, r#""max_completion_tokens":7"#, Some(7)),
        (CHAT, r#""max_completion_tokens":7,"max_tokens":7"#, Some(7)),
        (CHAT, r#""max_completion_tokens":null,"max_tokens":7"#, Some(7)),
        (RESPONSES, r#""max_output_tokens":0"#, Some(0)),
        (MESSAGES, "", Some(9)),
    ];
    for (path, more, tokens) in rows {
        assert_eq!(fact(path, more, |request| request.max_output_tokens), Ok(tokens), "{path} {more}");
    }
}

#[test]
fn a_hosted_tool_never_counts_as_the_clients_own() {
    let rows = [
        (CHAT, r#""tools":[{"type":"function","function":{"name":"pay"}}]"#, "pay", ""),
        (CHAT, r#""tools":[{"type":"custom","custom":{"name":"sql"}}],"functions":[{"name":"old"}]"#, "old sql", ""),
        (CHAT, r#""web_search_options":{}"#, "", "web_search"),
        (CHAT, r#""web_search_options":null"#, "", ""),
        (CHAT, r#""plugins":[{"id":"web"}],"nothing":null"#, "", "parameter:plugins"),
        (RESPONSES, r#""tools":[{"type":"function","name":"pay"},{"type":"custom","name":"sql"}]"#, "pay sql", ""),
        (RESPONSES, r#""tools":[{"type":"web_search"},{"type":"web_search_preview_2025_03_11"}]"#, "", "web_search"),
        (
            RESPONSES,
            r#""tools":[{"type":"file_search"},{"type":"code_interpreter"},{"type":"computer_use_preview"},{"type":"image_generation"}]"#,
            "computer_use_preview",
            "code_interpreter file_search image_generation",
        ),
        (RESPONSES, r#""tools":[{"type":"time_machine"}]"#, "", "time_machine"),
        (RESPONSES, r#""tools":[{"type":"functions","name":"pay"}]"#, "pay", "functions"),
        (RESPONSES, r#""tools":[{"type":"local_shell"},{"type":"apply_patch"}]"#, "apply_patch local_shell", ""),
        (
            RESPONSES,
            r#""tools":[{"type":"namespace","name":"crm","tools":[{"type":"function","name":"pay"},{"type":"mcp","server_url":"https://h/"}]}]"#,
            "pay",
            "mcp",
        ),
        (MESSAGES, r#""tools":[{"name":"pay"},{"type":"custom","name":"sql"}]"#, "pay sql", ""),
        (MESSAGES, r#""tools":[{"type":"bash_20250124","name":"bash"}]"#, "bash", ""),
        (
            MESSAGES,
            r#""tools":[{"type":"web_search_20250305","name":"web_search"},{"type":"code_execution_20250825"},{"type":"web_fetch_20250910"}]"#,
            "",
            "code_execution web_fetch web_search",
        ),
        (MESSAGES, r#""tools":[{"type":"mcp_toolset","mcp_server_name":"x"}]"#, "", "mcp"),
        (MESSAGES, r#""mcp_servers":[{"url":"https://h/"}]"#, "", "mcp"),
        (MESSAGES, r#""container":{"skills":[{"skill_id":"x"}]}"#, "", "item:none skills"),
        (MESSAGES, r#""container":{"skills":[{"type":"custom","skill_id":"x"}]}"#, "", "skills"),
        // What the client runs, by its date; what else begins alike is another tool.
        (MESSAGES, r#""tools":[{"type":"memory_20250818","name":"memory"}]"#, "memory", ""),
        (MESSAGES, r#""tools":[{"type":"computer_20251124","name":"computer"}]"#, "computer", ""),
        (MESSAGES, r#""tools":[{"type":"browser_toolset_20260801"}]"#, "browser_toolset_20260801", ""),
        (MESSAGES, r#""tools":[{"type":"computer_of_ours"}]"#, "", "computer_of_ours"),
        (
            RESPONSES,
            r#""tools":[{"type":"computer"},{"type":"shell","environment":{"type":"local"}}]"#,
            "computer shell",
            "",
        ),
        (RESPONSES, r#""tools":[{"type":"shell"}]"#, "", "shell"),
        (RESPONSES, r#""tools":[{"type":"shell","environment":{"type":"container_auto"}}]"#, "", "shell"),
        (RESPONSES, r#""tools":[{"type":"shell","environment":{"type":"Local"}}]"#, "", "item:Local shell"),
        (
            RESPONSES,
            r#""tools":[{"type":"tool_search"},{"type":"web_search_and_mail"}]"#,
            "",
            "tool_search web_search_and_mail",
        ),
        (RESPONSES, r#""tools":[{"type":"tool_search","execution":"client"}]"#, "tool_search", ""),
        (RESPONSES, r#""tools":[{"type":"web_search","name":"run_shell"}]"#, "run_shell", "web_search"),
    ];
    for (path, more, names, hosted) in rows {
        let found = fact(path, more, |request| (words(request.tool_names), words(request.hosted_tools)));
        assert_eq!(found, Ok((names.to_owned(), hosted.to_owned())), "{path} {more}");
    }
}

#[test]
fn every_server_that_the_provider_would_call_is_named_once() {
    let mcp = |members: &str| format!(r#""tools":[{{"type":"mcp",{members}}}]"#);
    let rows = [
        (
            RESPONSES,
            mcp(r#""server_url":"HTTPS://Mcp.Example:443/sse/?key=s""#),
            "https://mcp.example/sse",
            "https://mcp.example",
        ),
        (
            RESPONSES,
            mcp(r#""server_url":"http://mcp.example:8080""#),
            "http://mcp.example:8080/",
            "http://mcp.example:8080",
        ),
        (RESPONSES, mcp(r#""connector_id":"gmail""#), "connector:gmail", "connector:gmail"),
        // A server is called whatever the tool says it is.
        (RESPONSES, r#""tools":[{"type":"new","server_url":"https://h/x"}]"#.to_owned(), "https://h/x", "https://h"),
        (
            MESSAGES,
            r#""mcp_servers":[{"type":"url","url":"https://h:443/x","name":"h"}]"#.to_owned(),
            "https://h/x",
            "https://h",
        ),
    ];
    for (path, more, servers, origins) in &rows {
        let found = fact(path, more, |request| (words(request.hosted_servers), words(request.hosted_origins)));
        assert_eq!(found, Ok(((*servers).to_owned(), (*origins).to_owned())), "{path} {more}");
    }
}

#[test]
fn history_that_the_provider_stores_is_not_missed() {
    let rows = [
        (CHAT, r#"{"model":"m","messages":[{"role":"assistant","audio":{"id":"a"}}]}"#, true),
        (CHAT, r#"{"model":"m","messages":[{"role":"assistant","audio":null,"content":"x"}]}"#, false),
        (CHAT, r#"{"model":"m","messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}]}"#, true),
        (CHAT, r#"{"model":"m","messages":[{"content":[{"type":"file","file":{"file_data":"f"}}]}]}"#, false),
        (RESPONSES, r#"{"model":"m","input":"x","previous_response_id":"r"}"#, true),
        (RESPONSES, r#"{"model":"m","input":"x","previous_response_id":null}"#, false),
        (RESPONSES, r#"{"model":"m","input":"x","conversation":{"id":"c"}}"#, true),
        (RESPONSES, r#"{"model":"m","input":"x","prompt":{"id":"p"}}"#, true),
        (RESPONSES, r#"{"model":"m","input":[{"type":"item_reference","id":"i"}]}"#, true),
        (RESPONSES, r#"{"model":"m","input":[{"content":[{"type":"input_image","file_id":"f"}]}]}"#, true),
        (RESPONSES, r#"{"model":"m","input":[{"type":"function_call_output","output":[{"file_id":"f"}]}]}"#, true),
        (RESPONSES, r#"{"model":"m","input":[{"type":"function_call","arguments":"{\"file_id\":1}"}]}"#, false),
        (MESSAGES, r#"{"model":"m","max_tokens":1,"messages":[{}],"container":"c"}"#, true),
        (
            MESSAGES,
            r#"{"model":"m","max_tokens":1,"messages":[{"content":[{"type":"tool_result","content":[{"type":"document","source":{"type":"file","file_id":"f"}}]}]}]}"#,
            true,
        ),
        (
            MESSAGES,
            r#"{"model":"m","max_tokens":1,"messages":[{"content":[{"type":"tool_use","input":{"file_id":"f"}}]}]}"#,
            false,
        ),
    ];
    for (path, body, hidden) in rows {
        assert_eq!(request(path, body).map(|request| request.hidden_history).unwrap(), hidden, "{path} {body}");
    }
}

fn golden(path: &str, body: &str, expected: Expect) {
    expected.assert_debug_eq(&request(path, body).unwrap());
}

#[test]
fn a_realistic_chat_completion_gives_these_facts() {
    let body = r#"{
      "model": "gpt-5.1", "stream": true, "stream_options": {"include_usage": true}, "max_completion_tokens": 1024,
      "messages": [
        {"role": "system", "content": "You help people pay."},
        {"role": "user", "content": [{"type": "text", "text": "Pay 7 to Ann"}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function",
          "function": {"name": "pay", "arguments": "{\"to\":\"Ann\"}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "done"}
      ],
      "tools": [{"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}, "strict": true}},
                {"type": "function", "function": {"name": "balance"}}],
      "tool_choice": "auto", "temperature": 0.2, "user": "u-1", "metadata": {"team": "pay"}
    }"#;
    golden(
        CHAT,
        body,
        expect![[r#"
        Request {
            api: "openai.chat",
            model: "gpt-5.1",
            other_models: {},
            checkers: {},
            stream: true,
            max_output_tokens: Some(
                1024,
            ),
            tool_names: {
                "balance",
                "pay",
            },
            hosted_tools: {},
            hosted_servers: {},
            hosted_origins: {},
            hosted_domains: {},
            stored: false,
            hidden_history: false,
        }
    "#]],
    );
}

#[test]
fn a_realistic_response_gives_these_facts() {
    let body = r#"{
      "model": "gpt-5.1", "instructions": "Be brief.", "max_output_tokens": 500, "previous_response_id": "resp_1",
      "input": [{"role": "user", "content": [{"type": "input_text", "text": "What is new in ticket 7?"}]}],
      "tools": [
        {"type": "mcp", "server_label": "tickets", "server_url": "https://Mcp.Tickets.Example/sse", "require_approval": "never"},
        {"type": "web_search", "filters": {"allowed_domains": ["example.com"]}},
        {"type": "function", "name": "close_ticket", "parameters": {}}
      ],
      "reasoning": {"effort": "low"}
    }"#;
    golden(
        RESPONSES,
        body,
        expect![[r#"
        Request {
            api: "openai.responses",
            model: "gpt-5.1",
            other_models: {},
            checkers: {},
            stream: false,
            max_output_tokens: Some(
                500,
            ),
            tool_names: {
                "close_ticket",
            },
            hosted_tools: {
                "mcp",
                "web_search",
            },
            hosted_servers: {
                "https://mcp.tickets.example/sse",
            },
            hosted_origins: {
                "https://mcp.tickets.example",
            },
            hosted_domains: {
                "example.com",
            },
            stored: true,
            hidden_history: true,
        }
    "#]],
    );
}
