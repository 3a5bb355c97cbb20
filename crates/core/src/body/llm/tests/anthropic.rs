use super::*;

#[test]
fn a_realistic_message_gives_these_facts() {
    let body = r#"{
      "model": "claude-sonnet-4-5", "max_tokens": 2048, "stream": true, "system": [{"type": "text", "text": "Be brief."}],
      "messages": [
        {"role": "user", "content": "Look it up"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "lookup", "input": {"q": "x"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "42"}]}
      ],
      "tools": [{"name": "lookup", "input_schema": {"type": "object"}},
                {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}],
      "mcp_servers": [{"type": "url", "url": "https://mcp.example:443/v1/", "name": "example", "authorization_token": "s"}],
      "thinking": {"type": "enabled", "budget_tokens": 1024}
    }"#;
    golden(
        MESSAGES,
        body,
        expect![[r#"
        Request {
            api: "anthropic.messages",
            model: "claude-sonnet-4-5",
            other_models: {},
            checkers: {},
            stream: true,
            max_output_tokens: Some(
                2048,
            ),
            tool_names: {
                "lookup",
            },
            hosted_tools: {
                "mcp",
                "web_search",
            },
            hosted_servers: {
                "https://mcp.example/v1",
            },
            hosted_origins: {
                "https://mcp.example",
            },
            hosted_domains: {},
            stored: false,
            hidden_history: false,
        }
    "#]],
    );
}
