//! Bytes of a release draft.
//!
//! Knows: the form of a draft in bytes, version 2. Must not know: seals.
//!
//! A draft has one form in bytes, and every other form is rejected: sets and maps ascend, and no byte is left over.
//! Nothing is allocated by a length that the bytes state before they prove it.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::coverage::{Coverage, EntityCoverage, Within};
use super::{Allowed, BodyDigest, BodyShape, DRAFT_BYTES_MAX, Judged, RecordProblem, ReleaseDraft, RequestMask};
use crate::query::{Ancestors, Node, Record, Uid, Value};

const VERSION: u8 = 2;
/// Deepest value within values.
const DEPTH_MAX: u8 = 16;

const DENIED: u8 = 0;
const ALLOWED: u8 = 1;
const OPEN: u8 = 2;
/// A mask of the request follows, and then one of the others.
const MASKED: u8 = 3;

/// The bytes of a draft.
///
/// # Errors
/// [`RecordProblem::TooLarge`].
pub(super) fn encode(draft: &ReleaseDraft, mask: Option<&RequestMask>) -> Result<Vec<u8>, RecordProblem> {
    let mut out = Writer(Vec::with_capacity(512));
    out.byte(VERSION);
    if let Some(mask) = mask {
        out.byte(MASKED);
        out.mask(mask);
    }
    match draft {
        ReleaseDraft::Denied => out.byte(DENIED),
        ReleaseDraft::Open { service } => {
            out.byte(OPEN);
            out.text(service);
        }
        ReleaseDraft::Allowed(allowed) => {
            out.byte(ALLOWED);
            out.allowed(allowed);
        }
    }
    if out.is_full() { Err(RecordProblem::TooLarge) } else { Ok(out.0) }
}

/// The draft of these bytes, and the mask of the request.
///
/// # Errors
/// [`RecordProblem::UnknownVersion`] or [`RecordProblem::Malformed`].
pub(super) fn decode(bytes: &[u8]) -> Result<(Option<RequestMask>, ReleaseDraft), RecordProblem> {
    let mut input = Reader(bytes);
    if input.byte()? != VERSION {
        return Err(RecordProblem::UnknownVersion);
    }
    let (mask, kind) = match input.byte()? {
        MASKED => (Some(input.mask()?), input.byte()?),
        kind => (None, kind),
    };
    let draft = match kind {
        DENIED => ReleaseDraft::Denied,
        OPEN => ReleaseDraft::Open { service: input.text()? },
        ALLOWED => ReleaseDraft::Allowed(Box::new(input.allowed()?)),
        _ => return Err(RecordProblem::Malformed),
    };
    if input.0.is_empty() { Ok((mask, draft)) } else { Err(RecordProblem::Malformed) }
}

/// Writes up to one byte more than the longest draft; then it is full, and writes no more.
struct Writer(Vec<u8>);

impl Writer {
    fn is_full(&self) -> bool {
        self.0.len() > DRAFT_BYTES_MAX
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if !self.is_full() {
            // One byte more than fits says that it is full.
            let room = DRAFT_BYTES_MAX + 1 - self.0.len();
            self.0.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    fn byte(&mut self, byte: u8) {
        self.bytes(&[byte]);
    }

    /// A length; one that has no two bytes belongs to something that does not fit.
    fn length(&mut self, length: usize) {
        self.bytes(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.bytes(text.as_bytes());
    }

    fn mask(&mut self, mask: &RequestMask) {
        // A field that is missing here does not compile.
        let RequestMask { detectors, shape, random, judged, masked } = mask;
        self.texts(detectors);
        self.byte(shape.tag());
        self.bytes(random);
        self.bytes(&judged.0);
        self.bytes(&masked.0);
    }

    fn allowed(&mut self, allowed: &Allowed) {
        // A field that is missing here does not compile.
        let Allowed { service, judged, principal, env, coverage, carries_another_result, lists, masked } = allowed;
        let Coverage { principal: of_principal, resource: of_resource, env: of_env } = coverage;
        self.text(service);
        self.length(judged.len());
        for Judged { rpc_id, action, method, resource } in judged {
            self.byte(u8::from(rpc_id.is_some()));
            self.text(rpc_id.as_deref().unwrap_or_default());
            self.text(action);
            self.text(method);
            self.node(resource);
        }
        self.node(principal);
        self.record(env);
        self.coverage(of_principal);
        self.coverage(of_resource);
        self.texts(of_env);
        self.byte(u8::from(*carries_another_result));
        self.byte(u8::from(lists.is_some()));
        lists.iter().for_each(|digest| self.bytes(digest));
        self.texts(masked);
    }

    fn texts(&mut self, texts: &BTreeSet<SmolStr>) {
        self.length(texts.len());
        texts.iter().for_each(|text| self.text(text));
    }

    fn coverage(&mut self, coverage: &EntityCoverage) {
        let EntityCoverage::Parts { paths, within } = coverage else { return self.byte(0) };
        match within {
            Within::Any => self.byte(1),
            Within::These(named) => {
                self.byte(2);
                self.length(named.len());
                named.iter().for_each(|uid| self.uid(uid));
            }
        }
        self.length(paths.len());
        for path in paths {
            self.length(path.len());
            path.iter().for_each(|step| self.text(step));
        }
    }

    fn node(&mut self, node: &Node) {
        self.uid(&node.uid);
        self.record(&node.attributes);
        self.length(node.ancestors.iter().count());
        node.ancestors.iter().for_each(|uid| self.uid(uid));
    }

    fn uid(&mut self, uid: &Uid) {
        self.text(&uid.kind);
        self.text(&uid.id);
    }

    fn record(&mut self, record: &Record) {
        self.length(record.len());
        for (name, value) in record {
            self.text(name);
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.tagged(b's', text),
            Value::Duration(text) => self.tagged(b'd', text),
            Value::Ip(text) => self.tagged(b'i', text),
            Value::Decimal(text) => self.tagged(b'.', text),
            Value::Long(number) => self.number(b'n', *number),
            Value::Time(millis) => self.number(b't', *millis),
            Value::Bool(flag) => self.bytes(&[b'b', u8::from(*flag)]),
            Value::Set(items) => {
                self.byte(b'[');
                self.length(items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Record(record) => {
                self.byte(b'{');
                self.record(record);
            }
            Value::Entity(uid) => {
                self.byte(b'e');
                self.uid(uid);
            }
        }
    }

    fn tagged(&mut self, tag: u8, text: &str) {
        self.byte(tag);
        self.text(text);
    }

    fn number(&mut self, tag: u8, number: i64) {
        self.byte(tag);
        self.bytes(&number.to_be_bytes());
    }
}

type Read<T> = Result<T, RecordProblem>;

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn chunk<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk::<N>().ok_or(RecordProblem::Malformed)?;
        self.0 = rest;
        Ok(*chunk)
    }

    fn byte(&mut self) -> Read<u8> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordProblem::Malformed),
        }
    }

    fn length(&mut self) -> Read<usize> {
        self.chunk().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    fn number(&mut self) -> Read<i64> {
        self.chunk().map(i64::from_be_bytes)
    }

    fn text(&mut self) -> Read<SmolStr> {
        let length = self.length()?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(RecordProblem::Malformed)?;
        self.0 = rest;
        std::str::from_utf8(text).map(SmolStr::from).map_err(|_| RecordProblem::Malformed)
    }

    /// Items in ascending order, each once.
    fn ascending<T: Ord + Clone>(&mut self, read: impl Fn(&mut Self) -> Read<T>) -> Read<BTreeSet<T>> {
        let mut items = BTreeSet::new();
        for _ in 0..self.length()? {
            let item = read(self)?;
            if items.last().is_some_and(|last| *last >= item) {
                return Err(RecordProblem::Malformed);
            }
            items.insert(item);
        }
        Ok(items)
    }

    fn texts(&mut self) -> Read<BTreeSet<SmolStr>> {
        self.ascending(Self::text)
    }

    fn mask(&mut self) -> Read<RequestMask> {
        let detectors = self.texts()?;
        let shape = BodyShape::of_tag(self.byte()?);
        match shape {
            Some(shape) if !detectors.is_empty() => Ok(RequestMask {
                detectors,
                shape,
                random: self.chunk()?,
                judged: BodyDigest(self.chunk()?),
                masked: BodyDigest(self.chunk()?),
            }),
            Some(_) | None => Err(RecordProblem::Malformed),
        }
    }

    fn allowed(&mut self) -> Read<Allowed> {
        let service = self.text()?;
        let mut judged = Vec::new();
        for _ in 0..self.length()? {
            let has_id = self.flag()?;
            let rpc_id = self.text()?;
            if !has_id && !rpc_id.is_empty() {
                return Err(RecordProblem::Malformed);
            }
            let (action, method, resource) = (self.text()?, self.text()?, self.node()?);
            judged.push(Judged { rpc_id: has_id.then_some(rpc_id), action, method, resource });
        }
        if judged.is_empty() {
            return Err(RecordProblem::Malformed);
        }
        Ok(Allowed {
            service,
            judged,
            principal: self.node()?,
            env: self.record(0)?,
            coverage: Coverage { principal: self.coverage()?, resource: self.coverage()?, env: self.texts()? },
            carries_another_result: self.flag()?,
            lists: if self.flag()? { Some(self.chunk()?) } else { None },
            masked: self.texts()?,
        })
    }

    fn coverage(&mut self) -> Read<EntityCoverage> {
        let within = match self.byte()? {
            0 => return Ok(EntityCoverage::Whole),
            1 => Within::Any,
            2 => Within::These(self.ascending(Self::uid)?),
            _ => return Err(RecordProblem::Malformed),
        };
        let path = |input: &mut Self| (0..input.length()?).map(|_| input.text()).collect::<Read<Vec<_>>>();
        Ok(EntityCoverage::Parts { paths: self.ascending(path)?, within })
    }

    fn node(&mut self) -> Read<Node> {
        let mut node = Node::new(self.uid()?);
        node.attributes = self.record(0)?;
        node.ancestors = self.ascending(Self::uid)?.into_iter().collect::<Ancestors>();
        Ok(node)
    }

    fn uid(&mut self) -> Read<Uid> {
        let kind = self.text()?;
        Ok(Uid { kind, id: self.text()? })
    }

    fn record(&mut self, depth: u8) -> Read<Record> {
        let mut fields: Vec<(SmolStr, Value)> = Vec::new();
        for _ in 0..self.length()? {
            let name = self.text()?;
            if fields.last().is_some_and(|(last, _)| *last >= name) {
                return Err(RecordProblem::Malformed);
            }
            fields.push((name, self.value(depth)?));
        }
        Ok(fields.into_iter().collect())
    }

    fn value(&mut self, depth: u8) -> Read<Value> {
        if depth >= DEPTH_MAX {
            return Err(RecordProblem::Malformed);
        }
        Ok(match self.byte()? {
            b's' => Value::String(self.text()?),
            b'd' => Value::Duration(self.text()?),
            b'i' => Value::Ip(self.text()?),
            b'.' => Value::Decimal(self.text()?),
            b'n' => Value::Long(self.number()?),
            b't' => Value::Time(self.number()?),
            b'b' => Value::Bool(self.flag()?),
            b'[' => Value::Set(self.ascending(|input| input.value(depth + 1))?),
            b'{' => Value::Record(self.record(depth + 1)?),
            b'e' => Value::Entity(self.uid()?),
            _ => return Err(RecordProblem::Malformed),
        })
    }
}
