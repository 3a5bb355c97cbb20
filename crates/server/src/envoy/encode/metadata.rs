//! Dynamic metadata of every response, for access logs and later filters.
//!
//! Envoy stores it as `envoy.filters.http.ext_authz`, for denials as well.

use std::collections::BTreeMap;

use prost::encoding::{WireType, encode_varint, encoded_len_varint};
use uuid::Uuid;

use crate::check::Judgement;
use picket_core::catalog::MESH;
use picket_core::decision::verdict::{Decision, Effect};

/// Numbers of fields: in an entry of `google.protobuf.Struct`, in a `Value`, and of what structs and lists repeat.
const KEY: u8 = 1;
const VALUE: u8 = 2;
const TEXT: u8 = 3;
const STRUCT: u8 = 5;
const LIST: u8 = 6;
const REPEATED: u8 = 1;

/// One thing that is told.
enum Told<'a> {
    Text(&'a str),
    Texts(&'a [String]),
    Fields([Option<(&'a str, &'a str)>; 2]),
}

/// Our own keys, and the one that Envoy adds. `@metadata` may not use them: a log reader could not tell who speaks.
const RESERVED: [&str; 8] =
    ["decision", "decision_id", "digests", "ext_authz_duration", "policies", "reason", RELEASE, "service"];
/// The key of the release record.
const RELEASE: &str = "release";

/// Whether a verdict's metadata can be sent beside our own.
pub(super) fn check(metadata: &BTreeMap<String, String>) -> Result<(), String> {
    match metadata.keys().find(|key| RESERVED.contains(&key.as_str())) {
        Some(key) => Err(format!("metadata key `{key}` is one of Picket's own")),
        None => Ok(()),
    }
}

/// Appends what is told about a decision, as the field `tag` that is a `google.protobuf.Struct`.
pub(super) fn write(tag: u8, judgement: &Judgement, decision_id: Uuid, record: Option<&str>, out: &mut Vec<u8>) {
    let mut id = Uuid::encode_buffer();
    let id = decision_id.as_hyphenated().encode_lower(&mut id);
    let mut told = told(judgement, id);
    told.extend(record.map(|record| (RELEASE, Told::Text(record))));
    begin(tag, told.iter().map(|(key, value)| field(entry(key, value.size()))).sum(), out);
    for (key, value) in &told {
        begin_entry(key, value.size(), out);
        value.put(out);
    }
}

fn told<'a>(judgement: &'a Judgement, decision_id: &'a str) -> Vec<(&'a str, Told<'a>)> {
    let mut told = Vec::with_capacity(8);
    let mut policies = &[][..];
    let (decision, reason) = match &judgement.result {
        Ok(verdict) => {
            policies = verdict.determining.as_slice();
            if let Effect::Allow(mutations) = &verdict.effect {
                told.extend(mutations.metadata.iter().map(|(key, value)| (key.as_str(), Told::Text(value))));
            }
            (verdict.decision(), verdict.reason().as_str())
        }
        Err(failure) => (Decision::Error, failure.code.as_str()),
    };
    told.extend([
        ("decision_id", Told::Text(decision_id)),
        ("decision", Told::Text(decision.as_str())),
        ("reason", Told::Text(reason)),
        ("policies", Told::Texts(policies)),
        ("digests", Told::Fields(digests(judgement))),
    ]);
    told.extend(judgement.service.as_deref().map(|service| ("service", Told::Text(service))));
    told
}

/// Digests of the units that judge the call: the mesh's and the called namespace's.
fn digests(judgement: &Judgement) -> [Option<(&str, &str)>; 2] {
    let Some(snapshot) = &judgement.snapshot else { return [None; 2] };
    let digest = |unit| snapshot.digests().get(unit).map(|hex| (unit, hex.as_str()));
    // No namespace has this name: it is the platform's.
    [digest(MESH), judgement.namespace().and_then(digest)]
}

impl Told<'_> {
    /// How many bytes it takes as a `google.protobuf.Value`.
    fn size(&self) -> usize {
        field(match self {
            Self::Text(text) => text.len(),
            Self::Texts(texts) => texts.iter().map(|text| field(field(text.len()))).sum(),
            Self::Fields(fields) => {
                fields.iter().flatten().map(|(key, text)| field(entry(key, field(text.len())))).sum()
            }
        })
    }

    /// Appends it as a `google.protobuf.Value`.
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => put(TEXT, text, out),
            Self::Texts(texts) => {
                begin(LIST, texts.iter().map(|text| field(field(text.len()))).sum(), out);
                for text in *texts {
                    begin(REPEATED, field(text.len()), out);
                    put(TEXT, text, out);
                }
            }
            Self::Fields(fields) => {
                let fields = || fields.iter().flatten();
                begin(STRUCT, fields().map(|(key, text)| field(entry(key, field(text.len())))).sum(), out);
                for (key, text) in fields() {
                    begin_entry(key, field(text.len()), out);
                    put(TEXT, text, out);
                }
            }
        }
    }
}

/// Bytes of a field that holds so many; all numbers of fields here take one.
fn field(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}

/// Bytes of an entry whose value takes so many.
fn entry(key: &str, value: usize) -> usize {
    field(key.len()) + field(value)
}

fn begin_entry(key: &str, value: usize, out: &mut Vec<u8>) {
    begin(REPEATED, entry(key, value), out);
    put(KEY, key, out);
    begin(VALUE, value, out);
}

fn begin(tag: u8, bytes: usize, out: &mut Vec<u8>) {
    out.push((tag << 3) | WireType::LengthDelimited as u8);
    match u8::try_from(bytes) {
        // Most are so short that they stand as they are.
        Ok(short @ ..=0x7f) => out.push(short),
        Ok(_) | Err(_) => encode_varint(bytes as u64, out),
    }
}

fn put(tag: u8, text: &str, out: &mut Vec<u8>) {
    begin(tag, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}
