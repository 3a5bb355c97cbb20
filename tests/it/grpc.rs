//! Fields of gRPC messages: descriptor sets, messages by hand, and what holds of them.

mod calls;
mod messages;
pub mod oracle;
mod policies;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use picket::catalog::grpc::{Descriptors, Method};

/// Orders: refunds with every kind of nesting, a stream, every scalar, and what only proto2 has.
const ORDERS: &str = r#"
syntax = "proto3";
package shop.v1;
import "old.proto";
service Orders {
  rpc Refund (RefundRequest) returns (Reply);
  rpc Upload (stream RefundRequest) returns (Reply);
  rpc Watch (RefundRequest) returns (stream Reply);
  rpc Try (Scalars) returns (Reply);
  rpc Old (old.Old) returns (Reply);
  rpc Count (Many) returns (Reply);
}
message Reply { string note = 1; }
message Many { repeated Sparse items = 1; }
message Sparse {
  optional bool a = 1; optional bool b = 2; optional bool c = 3; optional bool d = 4; optional bool e = 5;
  optional bool f = 6; optional bool g = 7; optional bool h = 8; optional bool i = 9; optional bool j = 10;
}
message Money { string currency = 1; int64 units = 2; }
message Item { string sku = 1; uint32 count = 2; }
enum Reason {
  option allow_alias = true;
  REASON_UNKNOWN = 0;
  BROKEN = 1;
  LATE = 2;
  TOO_LATE = 2;
}
message RefundRequest {
  string order_id = 1;
  Money amount = 2;
  Reason reason = 3;
  repeated Item items = 4;
  map<string, Money> labels = 5;
  oneof to { string card = 6; Money voucher = 7; }
  optional bool notify = 8;
  bytes receipt = 9;
  repeated sint32 steps = 10;
  RefundRequest inner = 11;
  map<bool, string> flags = 12;
  repeated Reason reasons = 13;
}
message Scalars {
  double a = 1; float b = 2; int32 c = 3; int64 d = 4; uint32 e = 5; uint64 f = 6; sint32 g = 7; sint64 h = 8;
  fixed32 i = 9; fixed64 j = 10; sfixed32 k = 11; sfixed64 l = 12; bool m = 13; string n = 14; bytes o = 15;
}
"#;
const OLD: &str = r#"
syntax = "proto2";
package old;
enum Kind { FIRST = 1; SECOND = 2; }
message Old {
  required string name = 1;
  optional Kind kind = 2;
  optional int32 limit = 3 [default = 7];
  repeated int32 numbers = 4;
  optional group Part = 5 { optional string x = 1; }
  map<int32, Kind> kinds = 6;
  extensions 100 to 199;
}
"#;
/// The messages of `tonic_health`.
const HEALTH: &str = r#"
syntax = "proto3";
package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse { int32 status = 1; }
service Health {
  rpc Check (HealthCheckRequest) returns (HealthCheckResponse);
  rpc Watch (HealthCheckRequest) returns (stream HealthCheckResponse);
}
"#;

struct Files;

impl protox::file::FileResolver for Files {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        path.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<protox::file::File, protox::Error> {
        let text = match name {
            "orders.proto" => ORDERS,
            "old.proto" => OLD,
            "health.proto" => HEALTH,
            _ => return Err(protox::Error::file_not_found(name)),
        };
        protox::file::File::from_source(name, text)
    }
}

/// The descriptor set of `orders.proto` or `health.proto`, as a file holds it.
pub fn set(file: &str) -> Vec<u8> {
    let mut compiler = protox::Compiler::with_file_resolver(Files);
    compiler.include_imports(true).open_file(file).unwrap();
    compiler.encode_file_descriptor_set()
}

/// The same as a policy tree holds it.
pub fn set_text(file: &str) -> String {
    STANDARD.encode(set(file))
}

/// A method of `shop.v1.Orders`.
pub fn method(name: &str) -> Method {
    Descriptors::decode(&set("orders.proto")).unwrap().method("shop.v1.Orders", name).unwrap().clone()
}

/// A varint.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// A field written as a varint.
pub fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field written with its length: a text, bytes, a message, a packed list.
pub fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// A field of eight bytes.
pub fn fixed64(field: u64, value: [u8; 8]) -> Vec<u8> {
    [varint(field << 3 | 1), value.to_vec()].concat()
}

/// A field of four bytes.
pub fn fixed32(field: u64, value: [u8; 4]) -> Vec<u8> {
    [varint(field << 3 | 5), value.to_vec()].concat()
}

/// A message in its frame.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}
