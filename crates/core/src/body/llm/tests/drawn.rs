use proptest::prelude::*;

use super::super::super::fixtures::document;
use super::*;

proptest! {
    #[test]
    fn whatever_is_sent_is_read_or_refused(body in document()) {
        for path in [CHAT, RESPONSES] {
            let _ = read(&call("POST", path), Some(&body), Protocol::Openai);
        }
        let _ = read(&call("POST", MESSAGES), Some(&body), Protocol::Anthropic);
    }

    /// Whatever else a request says: a server it names is in the facts, or the request is refused.
    #[test]
    fn a_server_is_found_whatever_stands_around_it(extra in document(), kind in "[a-z_]{1,9}") {
        let tool = format!(r#"{{"type":"{kind}","name":"n","server_url":"https://Evil.Example/x"}}"#);
        let extra = extra.node().canonical();
        let body = json(&good(RESPONSES, &format!(r#""tools":[{tool}],"metadata":{extra}"#)));
        let read = read(&call("POST", RESPONSES), Some(&body), Protocol::Openai).unwrap();
        prop_assert!(read.hosted_origins.contains("https://evil.example"));
    }
}
