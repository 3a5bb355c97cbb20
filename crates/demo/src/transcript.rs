//! Texts of an answer, frame by frame: what the upstream sent and what the client got.
//!
//! Knows: OpenAI's Chat Completions API, lists of MCP. Must not know: policies, what should have left.

use std::time::Duration;

use serde_json::Value;

use super::client::Piece;

/// The start of a frame in an event stream.
const FRAME: &str = "data: ";

/// The texts of an answer: one for each frame of an event stream, or that of the only document.
#[must_use]
pub fn texts(body: &str) -> Vec<String> {
    let frames: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix(FRAME)).collect();
    let documents = if frames.is_empty() { vec![body] } else { frames };
    documents
        .into_iter()
        .filter_map(|document| serde_json::from_str(document).ok())
        .filter_map(|it| text(&it))
        .collect()
}

/// The text of one frame or document, the names of a list of tools; none of one that only ends an answer.
fn text(document: &Value) -> Option<String> {
    if let Some(tools) = document.pointer("/result/tools").and_then(Value::as_array) {
        let names = tools.iter().filter_map(|tool| tool.get("name")?.as_str());
        return Some(names.collect::<Vec<_>>().join(", "));
    }
    let places = ["/choices/0/delta/content", "/choices/0/message/content", "/choices/0/message/refusal"];
    places.iter().find_map(|place| document.pointer(place)?.as_str()).map(str::to_owned)
}

/// When each frame of an event stream began to arrive, after the first byte of the response.
#[must_use]
pub fn arrivals(pieces: &[Piece]) -> Vec<Duration> {
    let (mut raw, mut arrivals) = (String::new(), Vec::new());
    let begin = pieces.first().map(|piece| piece.at).unwrap_or_default();
    for piece in pieces {
        raw.push_str(&String::from_utf8_lossy(&piece.bytes));
        arrivals.resize(raw.matches(FRAME).count(), piece.at.saturating_sub(begin));
    }
    arrivals
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::client::Piece;
    use super::{arrivals, texts};

    #[test]
    fn each_frame_has_its_text_and_a_document_the_text_of_its_message() {
        let frame = |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
        let stream = frame("a") + &frame("") + "data: {\"choices\":[{\"delta\":{}}]}\n\ndata: [DONE]\n\n";
        assert_eq!(texts(&stream), ["a", ""]);
        assert_eq!(texts(r#"{"choices":[{"message":{"content":"b"}}]}"#), ["b"]);
        assert_eq!(texts(r#"{"choices":[{"message":{"content":null,"refusal":"c"}}]}"#), ["c"]);
        assert_eq!(texts(r#"{"result":{"tools":[{"name":"d"},{"name":"e"}]}}"#), ["d, e"]);
        assert_eq!(texts("no answer of a model"), Vec::<String>::new());
    }

    #[test]
    fn a_frame_arrives_with_its_first_bytes() {
        let piece = |at, text: &str| Piece { at: Duration::from_millis(at), bytes: text.as_bytes().to_vec() };
        let pieces = [piece(5, "HTTP/1.1 200 OK\r\n\r\n"), piece(7, "data: 1\n\ndata: 2"), piece(9, "\n\ndata: 3\n\n")];
        assert_eq!(arrivals(&pieces), [2, 2, 4].map(Duration::from_millis));
    }
}
