//! Tables of what is one document and what is not, of numbers by value, of canonical spellings.

use super::*;

fn read(text: &str) -> Result<Json, Refused> {
    parse(text.as_bytes(), Limits::default())
}

fn json(text: &str) -> Json {
    read(text).unwrap_or_else(|refused| panic!("{text}: {refused}"))
}

fn number(text: &str) -> Number<'_> {
    Number::parse(text).unwrap()
}

#[test]
fn anything_but_exactly_one_document_is_rejected() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "not JSON at byte 0"),
        (b" ", "not JSON"),
        (b"{} {}", "not JSON at byte 3"),
        (b"{}x", "not JSON at byte 2"),
        (b"\x0b{}", "not JSON at byte 0"),
        (b"{}\0", "not JSON at byte 2"),
        ("\u{a0}{}".as_bytes(), "not JSON at byte 0"),
        (b"\xef\xbb\xbf{}", "byte-order mark"),
        (b"\xff\xfe{\0}\0", "not UTF-8 at byte 0"),
        (b"\"\xc0\xaf\"", "not UTF-8 at byte 1"),
        (b"\"\xed\xa0\x80\"", "not UTF-8"),
        (b"[1,]", "not JSON"),
        (b"[,1]", "not JSON"),
        (b"[1 2]", "not JSON"),
        (b"{\"a\":1,}", "not JSON"),
        (b"{a:1}", "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b"{\"a\" 1}", "not JSON"),
        (b"{1:1}", "not JSON"),
        (b"[1", "not JSON"),
        (b"{\"a\":1", "not JSON"),
        (b"\"a", "not JSON"),
        (b"\"a\nb\"", "not JSON"),
        (b"\"a\tb\"", "not JSON"),
        (b"\"\0\"", "not JSON"),
        (b"\"\\x41\"", "not JSON"),
        (b"\"\\u12g4\"", "not JSON"),
        (b"\"\\ud800\"", "not JSON"),
        (b"\"\\udc00\"", "not JSON"),
        (b"\"\\ud800\\ud800\"", "not JSON"),
        (b"\"\\udc00\\ud800\"", "not JSON"),
        (b"\"\\ud800x\"", "not JSON"),
        (b"{\"\\ud800\":1}", "not JSON"),
        (b"/*c*/1", "not JSON"),
        (b"1//c", "not JSON"),
    ];
    all_refused(cases);
}

#[test]
fn numbers_and_keys_have_one_spelling_and_one_place() {
    let cases: &[(&[u8], &str)] = &[
        (b"NaN", "not JSON"),
        (b"-NaN", "not JSON"),
        (b"Infinity", "not JSON"),
        (b"-Infinity", "not JSON"),
        (b"nul", "not JSON"),
        (b"True", "not JSON"),
        (b"truefalse", "not JSON"),
        (b"01", "not JSON"),
        (b"-01", "not JSON"),
        (b"00", "not JSON"),
        (b"+1", "not JSON"),
        (b".5", "not JSON"),
        (b"1.", "not JSON"),
        (b"-", "not JSON"),
        (b"1e", "not JSON"),
        (b"1e+", "not JSON"),
        (b"1.e1", "not JSON"),
        (b"0x10", "not JSON"),
        (b"1_000", "not JSON"),
        ("１".as_bytes(), "not JSON"),
        (b"1e1234567890123456789", "exponent beyond 18 digits"),
        // Written with 18 digits, but 1.1e+1000000000000000000 in its canonical spelling.
        (b"11e999999999999999999", "exponent beyond 18 digits"),
        (b"0.01e-999999999999999999", "exponent beyond 18 digits"),
        (br#"{"a":1,"a":1}"#, "the key `a` occurs twice"),
        (br#"{"a":1,"b":2,"\u0061":3}"#, "the key `a` occurs twice"),
        (br#"[{"x":{"\/":1,"/":2}}]"#, "the key `/` occurs twice"),
        (br#"{"":1,"":2}"#, "the key `` occurs twice"),
        (br#"{"\ud83d\ude00":1,"\uD83D\uDE00":2}"#, "occurs twice"),
    ];
    all_refused(cases);
}

fn all_refused(cases: &[(&[u8], &str)]) {
    for (bytes, expected) in cases {
        let shown = String::from_utf8_lossy(bytes);
        let refused = parse(bytes, Limits::default()).expect_err(&shown).to_string();
        assert!(refused.contains(expected), "{shown}: {refused}");
    }
}

#[test]
fn valid_json_is_read_without_loss() {
    let cases = [
        ("\t\r\n 1 \n", "1"),
        ("\"\\u0000\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\\"\\\\é\"", "text \0😀/\u{8}\u{c}\n\r\t\"\\é"),
        ("\"\u{feff}\u{7f}\"", "text \u{feff}\u{7f}"),
        ("\"12345678\"", "text 12345678"),
        ("\"1234567\\u00e912345678\"", "text 1234567é12345678"),
        ("[]", "[]"),
        ("{ }", "{}"),
        ("[[],[ ],{},\"\"]", "[[], [], {}, text ]"),
        (r#"{"b":null,"a":[true,false]}"#, "{b: null, a: [true, false]}"),
        (r#"{"\u0062":{"c":[{"d":-1.50E+3}]},"":0}"#, "{b: {c: [{d: -1.50E+3}]}, : 0}"),
        // The key by which another library smuggles numbers is a key like any other.
        (r#"{"$serde_json::private::Number":"1"}"#, "{$serde_json::private::Number: text 1}"),
    ];
    for (text, expected) in cases {
        assert_eq!(seen(json(text).node()), expected, "{text}");
    }
}

#[test]
fn documents_are_equal_by_their_values() {
    for text in ["[]", "{}", r#"{"a":[]}"#, r#"[1,{"b":"x"}]"#] {
        let (one, other) = (json(text), json(&format!(" {text} ")));
        assert_eq!(one, other, "{text}");
        assert_eq!(format!("{one:?}"), text);
        assert!(format!("{:?}", one.node().value()).len() >= text.len(), "{text}");
    }
    let (a, b) = (json(r#"{"a":1,"b":[2]}"#), json(r#"{"b":[2],"a":1}"#));
    assert_ne!(a, b, "members keep their order");
    assert_eq!(a.node().get("b").unwrap().to_json(), b.node().get("b").unwrap().to_json());
    assert_ne!(json("1.0"), json("1"));
    assert_eq!(Json::empty(), json("{}"));
    let sizes = |json: &Json| json.node().mixed_objects().map(Object::len).collect::<Vec<_>>();
    let mixed = json(r#"[{"a":{"A":1,"a":2,"b":3}},[[{"\u00e9":1}]],{"c":1,"C":{}},3]"#);
    assert_eq!(sizes(&mixed), [3, 1, 2]);
    assert_eq!(sizes(&mixed.node().pointer("/1").unwrap().to_json()), [1]);
    assert_eq!(sizes(&mixed.node().pointer("/2/C").unwrap().to_json()), [0; 0]);
}

/// What a document is, spelled with nothing decoded or sorted.
fn seen(node: Node<'_>) -> String {
    match node.value() {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.as_str().to_owned(),
        Value::Text(text) => format!("text {text}"),
        Value::List(items) => format!("[{}]", items.iter().map(seen).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<String> = members.iter().map(|(key, value)| format!("{key}: {}", seen(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

#[test]
fn p19_a_repeated_key_is_found_in_objects_of_any_size() {
    for size in [2, 8, 9, 16, 17, 5000] {
        let mut members: Vec<String> = (0..size).map(|n| format!("\"k{n}\":{n}")).collect();
        assert!(read(&format!("{{{}}}", members.join(","))).is_ok(), "{size}");
        members.push("\"k0\":1".to_owned());
        let refused = read(&format!("{{{}}}", members.join(","))).unwrap_err();
        assert!(matches!(refused, Refused::RepeatedKey { .. }), "{size}: {refused}");
    }
}

#[test]
fn every_limit_is_exact() {
    let limits = Limits { bytes_max: 20, depth_max: 3, values_max: 5 };
    let read = |text: &str| parse(text.as_bytes(), limits);
    assert!(read(&format!("\"{}\"", "x".repeat(18))).is_ok());
    assert!(matches!(read(&format!("\"{}\"", "x".repeat(19))), Err(Refused::TooLong { bytes: 21, max: 20 })));
    assert!(read("[[{}]]").is_ok());
    assert!(matches!(read("[[[[]]]]"), Err(Refused::TooDeep { max: 3, .. })));
    assert!(matches!(read("[[{\"a\":{}}]]"), Err(Refused::TooDeep { .. })));
    assert!(read("[1,2,3,4]").is_ok());
    assert!(matches!(read("[1,2,3,4,5]"), Err(Refused::TooMany { max: 5, .. })));
    assert!(matches!(read("{\"a\":[1,2,3,4]}"), Err(Refused::TooMany { .. })));
}

#[test]
fn p41_deep_nesting_ends_in_a_refusal_and_not_in_a_full_stack() {
    for open in ["[", "{\"a\":"] {
        let refused = read(&open.repeat(100_000)).unwrap_err();
        assert!(matches!(refused, Refused::TooDeep { max: 64, .. }), "{refused}");
    }
}

#[test]
fn numbers_are_compared_by_value() {
    let cases = [
        ("1000", &["1e3", "1000.0", "1E+3", "10.00e2", "1000e0", "1000e-0", "100000e-2"][..], "1000"),
        ("0", &["-0", "0.0", "-0.000e5", "0e999999999999999999"], "0"),
        ("-1.5", &["-15e-1", "-0.15e1", "-1.50"], "-1.5"),
        ("0.1", &["1e-1", "0.10"], "0.1"),
        ("0.00001", &["1e-5"], "0.00001"),
        ("0.000001", &["1e-6"], "0.000001"),
        ("1e-7", &["0.0000001"], "1e-7"),
        ("123e-9", &["1.23e-7"], "1.23e-7"),
        ("1e20", &["100000000000000000000"], "100000000000000000000"),
        ("1e21", &["1000000000000000000000"], "1e+21"),
        ("123456789012345678901", &["1.23456789012345678901e20"], "123456789012345678901"),
        ("1234567890123456789012", &[], "1.234567890123456789012e+21"),
        ("9007199254740993", &["9007199254740993.0"], "9007199254740993"),
        ("1e999999999999999999", &["10e999999999999999998"], "1e+999999999999999999"),
        ("1e-999999999999999999", &[], "1e-999999999999999999"),
        ("0.11e999999999999999999", &[], "1.1e+999999999999999998"),
        ("5e-324", &[], "5e-324"),
        ("1.7976931348623157e308", &[], "1.7976931348623157e+308"),
    ];
    for (written, alike, canonical) in cases {
        for written in std::iter::once(&written).chain(alike) {
            assert_eq!(number(written).canonical(), canonical, "{written}");
        }
    }
    assert_ne!(number("9007199254740993").canonical(), number("9007199254740992").canonical());
    assert_ne!(number("0.1").canonical(), number("0.1000000000000000055511151231257827").canonical());
}

#[test]
fn a_whole_number_of_64_bits_is_exact_or_nothing() {
    let cases = [
        ("0", Some(0)),
        ("-0", Some(0)),
        ("-0.0e7", Some(0)),
        ("1e3", Some(1000)),
        ("1000.000", Some(1000)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("-922337203685477580.8e1", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("1e18", Some(1_000_000_000_000_000_000)),
        ("1e19", None),
        ("1e999999999999999999", None),
        ("1.5", None),
        ("1e-1", None),
        ("10e-1", Some(1)),
        ("1e-999999999999999999", None),
    ];
    for (written, expected) in cases {
        assert_eq!(number(written).to_i64(), expected, "{written}");
    }
}

#[test]
fn a_decimal_has_four_places_and_is_exact_or_nothing() {
    let cases = [
        ("0", Some("0.0")),
        ("-0.0", Some("0.0")),
        ("12.5", Some("12.5")),
        ("-12.5000", Some("-12.5")),
        ("3", Some("3.0")),
        ("-0.0001", Some("-0.0001")),
        ("1e-4", Some("0.0001")),
        ("1e-5", None),
        ("0.12345", None),
        ("0.1234500e1", Some("1.2345")),
        ("922337203685477.5807", Some("922337203685477.5807")),
        ("922337203685477.5808", None),
        ("-922337203685477.5808", Some("-922337203685477.5808")),
        ("1e999999999999999999", None),
        ("1e-999999999999999999", None),
    ];
    for (written, expected) in cases {
        assert_eq!(number(written).to_decimal().as_deref(), expected, "{written}");
    }
}

#[test]
fn pointers_find_exactly_one_node() {
    let json = json(r#"{"a":{"b/c":[10,{"~x":"t"}],"":0},"0":"zero","01":1}"#);
    let cases = [
        ("", Some(r#"{"0":"zero","01":1,"a":{"":0,"b/c":[10,{"~x":"t"}]}}"#)),
        ("/a/b~1c/0", Some("10")),
        ("/a/b~1c/1/~0x", Some("\"t\"")),
        ("/a/", Some("0")),
        ("/0", Some("\"zero\"")),
        ("/a/b~1c/00", None),
        ("/a/b~1c/+1", None),
        ("/a/b~1c/-", None),
        ("/a/b~1c/2", None),
        ("/a/b~1c/", None),
        ("/a/b/c", None),
        ("/a/b~2c", None),
        ("/a~", None),
        ("a", None),
        ("/0/x", None),
    ];
    for (pointer, expected) in cases {
        let found = json.node().pointer(pointer).map(Node::canonical);
        assert_eq!(found.as_deref(), expected, "{pointer}");
    }
}

#[test]
fn leaves_are_listed_by_pointers_that_find_them() {
    let json = json(r#"{"a":{"b/c":[10,{"~x":null}],"":[]},"e":{},"t":"x"}"#);
    let leaves = json.node().leaves(100).unwrap();
    let shown: Vec<String> = leaves.iter().map(|(pointer, leaf)| format!("{pointer} {}", leaf.kind())).collect();
    assert_eq!(shown, ["/a/b~1c/0 number", "/a/b~1c/1/~0x null", "/a/ array", "/e object", "/t string"]);
    for (pointer, node) in json.node().nodes(100).unwrap() {
        assert_eq!(json.node().pointer(&pointer), Some(node), "{pointer}");
    }
    assert_eq!(json.node().nodes(8).unwrap().len(), 8);
    assert_eq!(json.node().nodes(7), Err(TooManyNodes(7)));
}

#[test]
fn the_canonical_spelling_is_that_of_rfc_8785() {
    let cases = [
        (
            r#"{ "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
                 "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false] }"#,
            // The first number has 17 digits and stays exact, where a double has 333333333.3333333.
            "{\"literals\":[null,true,false],\"numbers\":[333333333.33333329,1e+30,4.5,0.002,1e-27],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
        ),
        (
            r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#,
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}",
        ),
        ("[ ]", "[]"),
        ("\"\\u007f\\u2028\"", "\"\u{7f}\u{2028}\""),
    ];
    for (text, expected) in cases {
        assert_eq!(json(text).node().canonical(), expected);
        assert_eq!(json(expected).node().canonical(), expected, "not a fixed point");
    }
}

#[test]
fn a_refusal_never_repeats_more_of_the_body_than_a_short_key() {
    let secret = "s3cret".repeat(20);
    let refused = read(&format!("{{\"{secret}\":1,\"{secret}\":2}}")).unwrap_err().to_string();
    assert!(refused.len() < 160, "{refused}");
    let refused = read("{\"\\u001b[2J\":1,\"\\u001b[2J\":1}").unwrap_err().to_string();
    assert!(!refused.contains('\u{1b}'), "{refused}");
}
