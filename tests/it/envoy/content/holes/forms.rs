//! Forms of a response that the request did not want, and one that is not read.

use serde_json::json;

use super::{CALLER, SECRET, chat, document, server, show};
use crate::envoy::content::answers::Answer;
use crate::envoy::content::site::{Request, Setup, Site, sample};

#[tokio::test]
async fn fe8_a_response_is_read_by_its_own_form_and_not_by_the_one_that_was_requested() {
    let server = server(&[]).await;
    let site = Site::start(Setup::new(&server.port("ext_authz"), sample())).await;
    let message = json!({"role": "user", "content": "x"});
    let streamed = json!({"model": "m", "stream": true, "messages": [message]});
    let streamed = Request::post("llm.local", "/v1/chat/completions", &streamed);
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": format!("see {SECRET}")}}]});
    let events = Answer::new("text/event-stream", format!("data: {chunk}\n\ndata: [DONE]\n\n").as_bytes());
    for (case, request, answer) in
        [("a document in place of a stream", streamed, document()), ("a stream in place of a document", chat(), events)]
    {
        let received = site.send(CALLER, &request, answer).await.unwrap();
        assert_eq!(show(&received), "200 masked", "{case}: {}", received.text());
    }
}

#[tokio::test]
async fn fe14_an_event_stream_of_aws_could_not_be_read_and_is_refused() {
    let server = server(&[]).await;
    let site = Site::start(Setup::new(&server.port("ext_authz"), sample())).await;
    // Lengths and checksums do not matter: the type is not read.
    let frame = [&[0, 0, 0, 64, 0, 0, 0, 0][..], format!("{{\"bytes\":\"see {SECRET}\"}}").as_bytes()].concat();
    let answer = Answer::new("application/vnd.amazon.eventstream", &frame);
    let received = site.send(CALLER, &chat(), answer).await.unwrap();
    assert_eq!(received.status, 403, "{}", show(&received));
    assert!(!received.text().contains("INC") && received.text().contains("permission_error"), "{}", received.text());
}
