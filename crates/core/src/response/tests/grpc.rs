//! Messages of gRPC under policies: masks, lengths, cuts, and what could not be read.

use std::path::Path;
use std::sync::Arc;

use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MapKey, Value};
use regex::Regex;

use super::draw::{Draw, cases};
use super::helpers::{guard, mask, open, plan, secrets, stand_ins};
use crate::catalog::grpc::{Descriptors, Method};
use crate::content::detectors::{FieldDetector, FieldMask};
use crate::content::json_path::JsonPath;
use crate::response::grpc::GrpcStream;
use crate::response::plan::Plan;
use crate::response::ruling::{Body as _, End, Progress, Ruling, Seen};

const PROTO: &str = r#"
syntax = "proto3";
package desk.v1;
service Desk {
  rpc Watch (Question) returns (stream Answer);
}
message Question {}
enum Kind { UNKNOWN = 0; OTHER = 1; }
message Answer {
  string text = 1;
  int64 number = 2;
  Answer inner = 3;
  repeated string lines = 4;
  map<string, string> tags = 5;
  bytes blob = 6;
  double price = 7;
  repeated int64 codes = 8;
  Kind kind = 9;
  bool done = 10;
}
"#;

struct Files;

impl protox::file::FileResolver for Files {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        path.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<protox::file::File, protox::Error> {
        protox::file::File::from_source(name, PROTO)
    }
}

fn method() -> Method {
    let mut compiler = protox::Compiler::with_file_resolver(Files);
    let set = compiler.include_imports(true).open_file("desk.proto").unwrap().encode_file_descriptor_set();
    Descriptors::decode(&set).unwrap().method("desk.v1.Desk", "Watch").unwrap().clone()
}

/// A message in its frame.
fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

fn answer(method: &Method, fields: &[(&str, Value)]) -> Vec<u8> {
    let mut message = DynamicMessage::new(method.output.clone());
    fields.iter().for_each(|(name, value)| message.set_field_by_name(name, value.clone()));
    framed(&message.encode_to_vec())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// What leaves of the pieces, and how the response ended.
fn run(plan: &Plan, method: &Method, rule: fn(&Seen) -> Ruling, pieces: &[Vec<u8>]) -> (Vec<u8>, End) {
    let mut body = GrpcStream::new(Arc::new(plan.clone()), method, stand_ins());
    let (mut rule, mut output) = (rule, Vec::new());
    for piece in pieces {
        if let Progress::Ended(end) = body.push(piece, &mut rule, &mut output) {
            return (output, end);
        }
    }
    let Progress::Ended(end) = body.finish(&mut rule, &mut output) else { panic!("the body did not end") };
    (output, end)
}

#[test]
fn a_value_over_two_messages_is_masked_and_every_length_fits() {
    let method = method();
    let inner = |text: &str| {
        let mut inner = DynamicMessage::new(method.output.clone());
        inner.set_field_by_name("text", Value::String(text.to_owned()));
        Value::Message(inner)
    };
    let fields = |one: &str, two: &str| {
        [
            answer(&method, &[("number", Value::I64(7)), ("inner", inner(one))]),
            answer(&method, &[("inner", inner(two))]),
        ]
    };
    // The length of a text, and of the message around it, has one byte less or more than before.
    let long = "x".repeat(120);
    let sent = fields(&format!("{long}KEY-12"), "345 now");
    let left = fields(&format!("{long}[key]"), " now");
    assert_eq!(run(&secrets(), &method, mask, &sent), (left.concat(), End::Complete));
    let short = "y".repeat(119);
    let (sent, left) = (
        [answer(&method, &[("text", text(&format!("{short}KEY-12345")))])],
        answer(&method, &[("text", text(&format!("{short}[key]")))]),
    );
    assert!(sent[0].len() - left.len() > 4, "{sent:?}");
    assert_eq!(run(&secrets(), &method, mask, &sent), (left, End::Complete));
}

#[test]
fn json_inside_a_text_is_read_with_its_escapes() {
    let method = method();
    let sent = [answer(&method, &[("text", text(r#"{"a":"\u004bEY-12345"}"#))])];
    let left = answer(&method, &[("text", text(r#"{"a":"[key]"}"#))]);
    assert_eq!(run(&secrets(), &method, mask, &sent), (left, End::Complete));
    let broken = [answer(&method, &[("text", text(r#"{"a":"\u004bEY-12345",}"#))])];
    assert_eq!(run(&secrets(), &method, guard, &broken), (Vec::new(), End::Refused));
}

#[test]
fn a_value_that_cannot_be_masked_where_it_is_never_leaves() {
    let method = method();
    let plan = plan(&[("digits", "12345"), ("key", "KEY-[0-9]{5}")]);
    let tags = |key: &str| Value::Map([(MapKey::String(key.to_owned()), text("v"))].into());
    for fields in [
        [("number", Value::I64(12345))],
        [("codes", Value::List(vec![Value::I64(1), Value::I64(-12345)]))],
        [("price", Value::F64(12345.0))],
        [("blob", Value::Bytes("KEY-12345".into()))],
        [("tags", tags("KEY-12345"))],
    ] {
        let sent = [answer(&method, &fields)];
        assert_eq!(run(&plan, &method, mask, &sent), (Vec::new(), End::NotMaskable), "{fields:?}");
        // A policy that only sees it lets it out as it came.
        assert_eq!(run(&plan, &method, open, &sent), (sent[0].clone(), End::Complete), "{fields:?}");
    }
    let value = Value::Map([(MapKey::String("k".to_owned()), text("KEY-12345"))].into());
    let left = Value::Map([(MapKey::String("k".to_owned()), text("[key]"))].into());
    let (sent, left) = ([answer(&method, &[("tags", value)])], answer(&method, &[("tags", left)]));
    assert_eq!(run(&plan, &method, mask, &sent), (left, End::Complete));
}

#[test]
fn a_message_that_could_not_be_read_counts_as_unread() {
    let method = method();
    let fine = answer(&method, &[("text", text("fine")), ("done", Value::Bool(true)), ("kind", Value::EnumNumber(1))]);
    assert_eq!(run(&secrets(), &method, guard, std::slice::from_ref(&fine)), (fine.clone(), End::Complete));
    let mut compressed = fine.clone();
    compressed[0] = 1;
    let mut deep = vec![0x1a, 0];
    for _ in 0..70 {
        deep = [&[0x1a][..], &[u8::try_from(deep.len()).unwrap()], &deep].concat();
    }
    for (what, message) in [
        ("a field that the descriptor does not have", framed(b"\x5a\x01a")),
        ("a text that is not UTF-8", framed(b"\x0a\x01\xff")),
        ("a value of another type", framed(b"\x08\x01")),
        ("a group", framed(b"\x0b\x0c")),
        ("a message that ends within a value", framed(b"\x0a\x09a")),
        ("a length in more bytes than it needs", framed(b"\x0a\x81\x00a")),
        ("a truth value that is a number", framed(b"\x50\x02")),
        ("more levels than are read", framed(&deep)),
        ("bytes that are not text", framed(b"\x32\x02\xff\xfe")),
        ("a compressed message", compressed),
    ] {
        assert_eq!(
            run(&secrets(), &method, guard, std::slice::from_ref(&message)),
            (Vec::new(), End::Refused),
            "{what}"
        );
        assert_eq!(
            run(&Plan::default(), &method, guard, std::slice::from_ref(&message)),
            (Vec::new(), End::Refused),
            "{what}"
        );
        assert_eq!(run(&secrets(), &method, open, std::slice::from_ref(&message)), (message, End::Complete), "{what}");
    }
    let paths = vec![JsonPath::parse("$.text").unwrap()];
    let fields = vec![FieldDetector { name: "f".to_owned(), paths, mask: FieldMask::Null }];
    let plan = Plan { fields, ..secrets() };
    assert_eq!(run(&plan, &method, guard, &[fine]), (Vec::new(), End::Refused), "detectors of fields need JSON");
}

#[test]
fn an_incomplete_last_message_is_withheld_and_a_long_one_ends_the_response() {
    let method = method();
    let fine = answer(&method, &[("text", text("fine"))]);
    for cut in 1..fine.len() {
        let pieces = [fine.clone(), fine[..cut].to_vec()];
        assert_eq!(run(&secrets(), &method, mask, &pieces), (fine.clone(), End::Cut), "{cut}");
    }
    let mut short = secrets();
    short.limits.event_bytes_max = fine.len();
    assert_eq!(run(&short, &method, mask, std::slice::from_ref(&fine)), (fine.clone(), End::Complete));
    // Its length is enough to know.
    let long = answer(&method, &[("text", text("fine!"))]);
    assert_eq!(run(&short, &method, mask, &[long[..5].to_vec()]), (Vec::new(), End::TooLong));
    let grows = plan(&[("longer-than-its-value", "fine")]);
    let grows = Plan { limits: short.limits, ..grows };
    assert_eq!(run(&grows, &method, mask, &[fine]), (Vec::new(), End::TooLong));
}

/// A message with drawn texts; each text is noted with its path.
fn drawn(
    draw: &mut Draw,
    method: &Method,
    path: &str,
    depth: usize,
    texts: &mut Vec<(String, String)>,
) -> DynamicMessage {
    // With it the length of a text is near the longest that is written in one byte.
    const LONG: &str = concat!(
        "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
        "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
    );
    const PARTS: &[&str] = &[
        "KEY-12345",
        "KEY-",
        "12345",
        "1",
        "23",
        "-",
        "é",
        "staff:",
        "ann",
        " ",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        LONG,
    ];
    let mut one = |draw: &mut Draw, path: String| {
        let text: String = (0..draw.below(5)).map(|_| draw.one(PARTS)).collect();
        // A text without presence that is empty is not sent.
        texts.push((path, text.clone()));
        Value::String(text)
    };
    let mut message = DynamicMessage::new(method.output.clone());
    message.set_field_by_name("text", one(draw, format!("{path}/text")));
    let lines = (0..draw.below(3)).map(|at| one(draw, format!("{path}/lines/{at}"))).collect();
    message.set_field_by_name("lines", Value::List(lines));
    message.set_field_by_name("number", Value::I64(9));
    if depth < 2 && draw.below(2) == 0 {
        let inner = drawn(draw, method, &format!("{path}/inner"), depth + 1, texts);
        message.set_field_by_name("inner", Value::Message(inner));
    }
    message
}

/// Sets the texts of a message in the order in which [`drawn`] noted them.
fn with_texts(message: &mut DynamicMessage, texts: &mut impl Iterator<Item = String>) {
    message.set_field_by_name("text", Value::String(texts.next().unwrap()));
    let count = message.get_field_by_name("lines").unwrap().as_list().unwrap().len();
    let lines = (0..count).map(|_| Value::String(texts.next().unwrap())).collect();
    message.set_field_by_name("lines", Value::List(lines));
    if message.has_field_by_name("inner") {
        let mut inner = message.get_field_by_name("inner").unwrap().as_message().unwrap().clone();
        with_texts(&mut inner, texts);
        message.set_field_by_name("inner", Value::Message(inner));
    }
}

/// Masks a text in pieces with a regular expression over all of it: the mask is where the value begins.
fn masked(pieces: &[&str]) -> Vec<String> {
    let whole = pieces.concat();
    let values: Vec<_> = Regex::new("(KEY-[0-9]{5})|(staff:[a-z]+)").unwrap().captures_iter(&whole).collect();
    let mut from = 0;
    let mut masked = Vec::new();
    for piece in pieces {
        let mut text = String::new();
        for (at, character) in piece.char_indices().map(|(at, character)| (from + at, character)) {
            let value = values.iter().find(|value| value.get(0).unwrap().range().contains(&at));
            match value {
                None => text.push(character),
                Some(value) if value.get(0).unwrap().start() == at => {
                    text.push_str(if value.get(1).is_some() { "[key]" } else { "[staff]" });
                }
                Some(_) => {}
            }
        }
        from += piece.len();
        masked.push(text);
    }
    masked
}

#[test]
fn messages_equal_a_reference_by_another_library_at_every_cut() {
    let (mut draw, method, plan) = (Draw::new(), method(), secrets());
    for _ in 0..cases(150) {
        let mut texts: Vec<(String, String)> = Vec::new();
        let mut messages = Vec::new();
        for _ in 0..1 + draw.below(3) {
            messages.push(drawn(&mut draw, &method, "", 0, &mut texts));
        }
        let sent: Vec<u8> = messages.iter().flat_map(|message| framed(&message.encode_to_vec())).collect();
        let mut left: Vec<String> = texts.iter().map(|(_, text)| text.clone()).collect();
        for path in texts.iter().map(|(path, _)| path).collect::<std::collections::BTreeSet<_>>() {
            let places: Vec<usize> = (0..texts.len()).filter(|at| texts[*at].0 == *path).collect();
            let pieces: Vec<&str> = places.iter().map(|at| texts[*at].1.as_str()).collect();
            for (at, text) in places.iter().zip(masked(&pieces)) {
                left[*at] = text;
            }
        }
        let mut cuts = vec![vec![sent.clone()]];
        cuts.extend([1, 7, 60].map(|longest| draw.pieces(&sent, longest)));
        for pieces in cuts {
            let (output, end) = run(&plan, &method, mask, &pieces);
            assert_eq!(end, End::Complete);
            let mut rest = output.as_slice();
            let mut left = left.clone().into_iter();
            for message in &messages {
                let length = usize::try_from(u32::from_be_bytes(rest[1..5].try_into().unwrap())).unwrap();
                let got = DynamicMessage::decode(method.output.clone(), &rest[5..5 + length]).unwrap();
                rest = &rest[5 + length..];
                let mut expected = message.clone();
                with_texts(&mut expected, &mut left);
                // A masked text may be empty, and is sent all the same.
                assert_eq!(got.encode_to_vec(), expected.encode_to_vec(), "{texts:?}");
            }
            assert!(rest.is_empty());
        }
    }
}
