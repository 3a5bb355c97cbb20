//! Messages by hand: what is read, and what has two readings or none.

use picket::body::grpc::{Refused, fields};
use picket::body::json::Limits;
use picket::call::CanonicalPath;
use picket::catalog::grpc::UnknownFields;
use picket::mapping::action::{Asked, What};

use super::{bytes, fixed32, fixed64, method, number, oracle};

fn shown(name: &str, message: &[u8], unknown: UnknownFields) -> Result<String, Refused> {
    fields(message, &method(name), unknown, Limits::default()).map(|message| message.fields.node().canonical())
}

#[track_caller]
fn reads(name: &str, message: &[u8], expected: &str) {
    let read = shown(name, message, UnknownFields::Refused).unwrap();
    assert_eq!(read, expected);
    let (_, other) = oracle::read(message, &method(name).input).unwrap();
    assert_eq!(other.node().canonical(), expected, "the other reader's");
}

#[track_caller]
fn refuses(name: &str, message: &[u8], expected: &Refused) {
    assert_eq!(shown(name, message, UnknownFields::Refused).as_ref(), Err(expected));
}

#[test]
fn an_omitted_field_has_its_default_only_without_presence() {
    reads("Refund", b"", r#"{"order_id":"","reason":"REASON_UNKNOWN","receipt":""}"#);
    // The same, with the defaults spelt out.
    let spelt = [bytes(1, b""), number(3, 0), bytes(9, b"")].concat();
    reads("Refund", &spelt, r#"{"order_id":"","reason":"REASON_UNKNOWN","receipt":""}"#);
    let present = [number(8, 0), bytes(2, b""), bytes(6, b"")].concat();
    let expected = r#"{"amount":{"currency":"","units":0},"card":"","notify":false,"order_id":"","reason":"REASON_UNKNOWN","receipt":""}"#;
    reads("Refund", &present, &sorted(expected));
    reads("Old", &bytes(1, b"a"), r#"{"name":"a"}"#);
}

/// The canonical spelling.
fn sorted(text: &str) -> String {
    picket::body::json::parse(text.as_bytes(), Limits::default()).unwrap().node().canonical()
}

#[test]
fn fields_are_named_as_in_the_file_and_keep_their_values() {
    let money = |units| [bytes(1, b"EUR"), number(2, units)].concat();
    let item = |sku: &[u8], count| [bytes(1, sku), number(2, count)].concat();
    let entry = |key: &[u8], value: &[u8]| [bytes(1, key), bytes(2, value)].concat();
    let message = [
        bytes(1, b"o-1"),
        bytes(2, &money(u64::MAX)),
        number(3, 2),
        bytes(4, &item(b"a", 1)),
        bytes(4, &item("é/~".as_bytes(), u64::from(u32::MAX))),
        bytes(5, &entry(b"x/y", &money(1))),
        bytes(5, &entry(b"", b"")),
        bytes(7, &money(5)),
        number(8, 1),
        bytes(9, &[0, 255]),
        bytes(10, &[1, 2]),
        number(10, 3),
        bytes(12, &[]),
        bytes(12, &number(1, 1)),
        bytes(13, &[0, 1]),
    ];
    let expected = r#"{"order_id":"o-1","amount":{"currency":"EUR","units":-1},"reason":"LATE",
        "items":[{"sku":"a","count":1},{"sku":"é/~","count":4294967295}],
        "labels":{"x/y":{"currency":"EUR","units":1},"":{"currency":"","units":0}},
        "voucher":{"currency":"EUR","units":5},"notify":true,"receipt":"AP8=","steps":[-1,1,-2],
        "flags":{"false":"","true":""},"reasons":["REASON_UNKNOWN","BROKEN"]}"#;
    reads("Refund", &message.concat(), &sorted(expected));
}

#[test]
fn every_scalar_keeps_its_exact_value() {
    let message = [
        fixed64(1, 0.1_f64.to_le_bytes()),
        fixed32(2, 0.1_f32.to_le_bytes()),
        number(3, i64::from(i32::MIN) as u64),
        number(4, i64::MIN as u64),
        number(5, u64::from(u32::MAX)),
        number(6, u64::MAX),
        number(7, u64::from(u32::MAX)),
        number(8, u64::MAX),
        fixed32(9, u32::MAX.to_le_bytes()),
        fixed64(10, u64::MAX.to_le_bytes()),
        fixed32(11, i32::MIN.to_le_bytes()),
        fixed64(12, i64::MIN.to_le_bytes()),
        number(13, 1),
        bytes(14, "\u{0}é😀".as_bytes()),
        bytes(15, b"\xff"),
    ];
    let expected = r#"{"a":0.1,"b":0.1,"c":-2147483648,"d":-9223372036854775808,"e":4294967295,"f":18446744073709551615,
        "g":-2147483648,"h":-9223372036854775808,"i":4294967295,"j":18446744073709551615,"k":-2147483648,
        "l":-9223372036854775808,"m":true,"n":"\u0000é😀","o":"/w=="}"#;
    reads("Try", &message.concat(), &sorted(expected));
    let extremes = [fixed64(1, f64::MAX.to_le_bytes()), fixed32(2, (-0.0_f32).to_le_bytes())].concat();
    assert!(
        shown("Try", &extremes, UnknownFields::Refused).unwrap().starts_with(r#"{"a":1.7976931348623157e+308,"b":0,"#)
    );
}

#[test]
fn messages_with_two_readings_are_rejected() {
    let own = |name: &str| format!("shop.v1.RefundRequest.{name}");
    let money = bytes(2, &bytes(1, b"EUR"));
    let entry = |key: &[u8]| bytes(5, &bytes(1, key));
    let repeated = |name| Refused::Repeated(own(name));
    for (message, expected) in [
        // The last wins to most, the first to some.
        ([bytes(1, b"a"), bytes(1, b"b")].concat(), repeated("order_id")),
        ([bytes(1, b"a"), bytes(1, b"a")].concat(), repeated("order_id")),
        ([number(3, 0), number(3, 1)].concat(), repeated("reason")),
        // Messages are merged.
        ([money.clone(), bytes(2, &number(2, 1))].concat(), repeated("amount")),
        (bytes(2, &[number(2, 1), number(2, 1)].concat()), Refused::Repeated("shop.v1.Money.units".into())),
        ([entry(b"a"), entry(b"b"), entry(b"a")].concat(), Refused::RepeatedKey(own("labels"))),
        ([entry(b""), bytes(5, b"")].concat(), Refused::RepeatedKey(own("labels"))),
        ([bytes(6, b"1"), bytes(7, b"")].concat(), Refused::Oneof(own("to"))),
        // Cut to 32 bits, or not.
        (number(3, 1 << 32), Refused::Value(own("reason"))),
        (number(3, 9), Refused::Value(own("reason"))),
        (number(8, 2), Refused::Value(own("notify"))),
        (number(10, 1 << 32), Refused::Value(own("steps"))),
        (bytes(1, b"\xff"), Refused::NotUtf8(own("order_id"))),
        (bytes(1, b"\xed\xa0\x80"), Refused::NotUtf8(own("order_id"))),
        // Parsed as an unknown field, or rejected.
        (number(1, 0), Refused::Type(own("order_id"))),
        (bytes(3, b""), Refused::Type(own("reason"))),
        (number(2, 0), Refused::Type(own("amount"))),
        (number(5, 0), Refused::Type(own("labels"))),
        (fixed32(10, [0; 4]), Refused::Type(own("steps"))),
        (number(14, 0), Refused::Unknown { message: "shop.v1.RefundRequest".into(), number: 14 }),
        (bytes(5, &number(3, 0)), Refused::Unknown { message: own("LabelsEntry"), number: 3 }),
    ] {
        refuses("Refund", &message, &expected);
    }
    let own = |name: &str| format!("shop.v1.Scalars.{name}");
    for (message, name) in [
        (number(3, u64::from(u32::MAX)), "c"),
        (number(3, 1 << 31), "c"),
        (number(5, 1 << 32), "e"),
        (number(7, 1 << 32), "g"),
        (fixed64(1, f64::NAN.to_le_bytes()), "a"),
        (fixed32(2, f32::INFINITY.to_le_bytes()), "b"),
    ] {
        refuses("Try", &message, &Refused::Value(own(name)));
    }
}

#[test]
fn invalid_messages_are_rejected() {
    for (message, expected) in [
        (vec![0x0a], Refused::Cut),
        (vec![0x0a, 2, b'a'], Refused::Cut),
        (vec![0x80], Refused::Cut),
        (fixed64(1, [0; 8])[..8].to_vec(), Refused::Cut),
        (vec![0x00, 0], Refused::Tag),
        (vec![0x0e, 0], Refused::Tag),
        (super::number(1 << 29, 0), Refused::Tag),
        (vec![0x0b, 0x0c], Refused::Group),
        (vec![0x0c], Refused::Group),
        // A byte more than the value needs; a 65th bit; an eleventh byte.
        (vec![0x8a, 0x00, 0], Refused::Varint),
        (vec![0x0a, 0x80, 0x00], Refused::Varint),
        (vec![0x18, 0x81, 0x80, 0x00], Refused::Varint),
        ([vec![0x18], vec![0xff; 9], vec![0x02]].concat(), Refused::Varint),
        ([vec![0x18], vec![0x80; 10], vec![0x01]].concat(), Refused::Varint),
        (bytes(10, &[0x80]), Refused::Cut),
    ] {
        refuses("Refund", &message, &expected);
    }
}

#[test]
fn proto2_has_required_fields_and_closed_enumerations() {
    refuses("Old", b"", &Refused::Missing("old.Old.name".into()));
    let old = |more: Vec<u8>| [bytes(1, b"a"), more].concat();
    reads("Old", &old(number(2, 2)), r#"{"kind":"SECOND","name":"a"}"#);
    reads("Old", &old([number(4, 1), bytes(4, &[2, 3])].concat()), r#"{"name":"a","numbers":[1,2,3]}"#);
    reads("Old", &old(bytes(6, b"")), r#"{"kinds":{"0":"FIRST"},"name":"a"}"#);
    refuses("Old", &old(vec![0x2b, 0x2c]), &Refused::Group);
    refuses("Old", &old(bytes(5, b"")), &Refused::Type("old.Old.part".into()));
    for unknown in [UnknownFields::Refused, UnknownFields::Allowed] {
        let read = shown("Old", &old(number(2, 3)), unknown);
        assert_eq!(read, Err(Refused::Value("old.Old.kind".into())), "to some the field is then not there");
    }
    refuses("Old", &old(number(100, 1)), &Refused::Unknown { message: "old.Old".into(), number: 100 });
}

#[test]
fn unknown_fields_are_skipped_only_by_the_service_and_reported() {
    let read = |message: &[u8]| fields(message, &method("Refund"), UnknownFields::Allowed, Limits::default()).unwrap();
    let plain = read(&bytes(1, b"a"));
    assert!(plain.is_whole);
    let more = read(&[bytes(1, b"a"), number(99, 1), fixed32(98, [0; 4]), bytes(97, b"\xff"), number(99, 2)].concat());
    assert_eq!((more.fields, more.is_whole), (plain.fields, false));
    let newer = read(&number(3, 9));
    assert_eq!(newer.fields.node().pointer("/reason").and_then(|reason| reason.scalar()).as_deref(), Some("9"));
    assert!(!newer.is_whole);
    assert!(!read(&bytes(2, &number(9, 1))).is_whole);
}

#[test]
fn depth_length_and_number_are_bounded() {
    let nested = |depth: usize| (0..depth).fold(Vec::new(), |inner, _| bytes(11, &inner));
    let limits = Limits::default();
    let read = |message: &[u8]| fields(message, &method("Refund"), UnknownFields::Refused, limits);
    assert!(read(&nested(limits.depth_max)).is_ok());
    assert_eq!(read(&nested(limits.depth_max + 1)), Err(Refused::TooDeep(limits.depth_max)));
    let long = bytes(9, &vec![0; limits.bytes_max]);
    assert_eq!(read(&long), Err(Refused::TooLong { bytes: long.len(), max: limits.bytes_max }));
    assert_eq!(read(&bytes(10, &vec![0; limits.values_max + 1])), Err(Refused::TooMany(limits.values_max)));
    // Each item has no byte of its own, and two defaults.
    let items = bytes(4, b"").repeat(limits.values_max / 2);
    assert_eq!(read(&items), Err(Refused::TooMany(limits.values_max)));
    // Each item is one value of two bytes, and has ten fields to be looked for.
    let read = |items: usize| {
        let message = bytes(1, b"").repeat(items);
        fields(&message, &method("Count"), UnknownFields::Refused, limits).map(drop)
    };
    assert_eq!((read(13_000), read(13_200)), (Ok(()), Err(Refused::TooMany(1 << 17))));
}

#[test]
fn an_approval_is_for_all_fields_and_for_no_message_with_others() {
    let asked = |message: &[u8]| {
        let message = fields(message, &method("Refund"), UnknownFields::Allowed, Limits::default()).unwrap();
        let [service, method] = ["shop.v1.Orders", "Refund"].map(str::to_owned);
        let path = CanonicalPath::parse("/shop.v1.Orders/Refund").unwrap();
        Asked { path, what: What::Grpc { service, method, message: Some(message) } }
    };
    let approved = |message: &[u8]| asked(message).arguments().map(|arguments| arguments.node().canonical());
    let order = approved(&bytes(1, b"o-1")).unwrap();
    assert_eq!(order, r#"{"order_id":"o-1","reason":"REASON_UNKNOWN","receipt":""}"#);
    // Left out or sent as zero: one message, one approval.
    assert_eq!(approved(&[bytes(1, b"o-1"), number(3, 0)].concat()), Some(order));
    assert_eq!(approved(&[bytes(1, b"o-1"), number(99, 0)].concat()), None);
}
