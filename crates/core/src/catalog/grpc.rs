//! gRPC services in the catalogue: the methods that a descriptor set describes, and their messages.
//!
//! Knows: descriptor sets as compilers of `.proto` files write them. Must not know: the bytes of a call.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use prost_types::FileDescriptorSet;

use crate::problem::Problem;

/// The folder of a policy tree that holds descriptor sets.
pub const FOLDER: &str = "descriptors";
/// How the names of descriptor sets end.
pub const ENDING: &str = ".binpb";

/// The `grpc:` part of a service.
#[derive(Debug, Clone)]
pub struct Grpc {
    /// The described methods.
    pub descriptors: Arc<Descriptors>,
    /// Handling of a message with a field that its descriptor does not have.
    pub unknown_fields: UnknownFields,
}

/// Handling of a message with a field that its descriptor does not have: no policy can see such a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownFields {
    /// It is refused.
    #[default]
    Refused,
    /// The known fields are evaluated.
    Allowed,
}

/// The methods of one descriptor set.
#[derive(Debug, Default)]
pub struct Descriptors {
    methods: BTreeMap<String, Method>,
}

/// A described method.
#[derive(Debug, Clone)]
pub struct Method {
    /// The message a caller sends.
    pub input: MessageDescriptor,
    /// The message the service answers with.
    pub output: MessageDescriptor,
    /// Whether a caller sends a stream of them.
    pub is_client_streaming: bool,
}

impl Descriptors {
    /// Reads a set, `google.protobuf.FileDescriptorSet` with everything it imports.
    ///
    /// # Errors
    /// What is wrong with it, as a lower-case fragment.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let files = FileDescriptorSet::decode(bytes).map_err(|error| error.to_string())?.file;
        if let Some(newer) = files.iter().find(|file| !matches!(file.syntax(), "" | "proto2" | "proto3")) {
            return Err(format!(
                "`{}` has the syntax `{}`; only proto2 and proto3 are supported",
                newer.name(),
                newer.syntax()
            ));
        }
        // The library panics on some sets that no compiler writes; a reload must not.
        let pool = std::panic::catch_unwind(|| DescriptorPool::decode(bytes));
        let pool =
            pool.map_err(|_| "its parts contradict each other".to_owned())?.map_err(|error| error.to_string())?;
        sound(&pool)?;
        let mut methods = BTreeMap::new();
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let name = format!("{}/{}", method.parent_service().full_name(), method.name());
            let (input, output) = (method.input(), method.output());
            let described = Method { input, output, is_client_streaming: method.is_client_streaming() };
            methods.insert(name, described);
        }
        if methods.is_empty() {
            return Err("it describes no method".to_owned());
        }
        Ok(Self { methods })
    }

    /// The method `method` of `package.Service`.
    #[must_use]
    pub fn method(&self, service: &str, method: &str) -> Option<&Method> {
        self.named(&format!("{service}/{method}"))
    }

    /// The method with this name as in [`Self::methods`].
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Method> {
        self.methods.get(name)
    }

    /// All methods by `package.Service/Method`.
    pub fn methods(&self) -> impl Iterator<Item = (&str, &Method)> {
        self.methods.iter().map(|(name, method)| (name.as_str(), method))
    }
}

/// Checks what readers of messages rely on and no compiler would leave out.
fn sound(pool: &DescriptorPool) -> Result<(), String> {
    if let Some(empty) = pool.all_enums().find(|one| one.values().len() == 0) {
        return Err(format!("the enumeration `{}` has no value", empty.full_name()));
    }
    let is_broken = |entry: &MessageDescriptor| {
        entry.is_map_entry() && (entry.get_field(1).is_none() || entry.get_field(2).is_none())
    };
    match pool.all_messages().find(is_broken) {
        Some(entry) => Err(format!("the map entry `{}` lacks its key or its value", entry.full_name())),
        None => Ok(()),
    }
}

impl Method {
    /// Whether a message can have a scalar at this JSON pointer.
    #[must_use]
    pub fn has(&self, pointer: &str) -> bool {
        let mut tokens = pointer.split('/').skip(1);
        let mut message = self.input.clone();
        loop {
            let field = tokens.next().and_then(|name| message.get_field_by_name(name));
            let Some(kind) = field.and_then(|field| item(&field, &mut tokens)) else { return false };
            match kind {
                Kind::Message(inner) => message = inner,
                _ => return tokens.next().is_none(),
            }
        }
    }
}

/// What one item of a field is: past the index of a list, or the key of a map.
fn item<'a>(field: &FieldDescriptor, tokens: &mut impl Iterator<Item = &'a str>) -> Option<Kind> {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            tokens.next()?;
            Some(entry.map_entry_value_field().kind())
        }
        kind if field.is_list() => {
            let index = tokens.next()?;
            index.bytes().all(|byte| byte.is_ascii_digit()).then_some(kind)
        }
        kind => Some(kind),
    }
}

/// The descriptor sets of a policy tree, by name; `None` for one that cannot be read.
#[derive(Debug, Default)]
pub struct Sets(BTreeMap<String, Option<Arc<Descriptors>>>);

impl Sets {
    /// Reads the sets among a tree's files; the others are skipped. A tree holds texts: a set's bytes are base64
    /// in it.
    ///
    /// What cannot be read is noted in `problems`, and is there all the same: whoever names it has named a file.
    #[must_use]
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>, problems: &mut Vec<Problem>) -> Self {
        let mut sets = BTreeMap::new();
        for (path, text) in files {
            let Some(name) = path.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/')) else { continue };
            let bytes = STANDARD.decode(text).map_err(|error| error.to_string());
            let read = bytes.and_then(|bytes| Descriptors::decode(&bytes));
            if let Err(why) = &read {
                let problem = Problem::error(path, format!("this is not a descriptor set: {why}"));
                problems.push(problem.help("write it with `protoc --include_imports --descriptor_set_out=FILE`"));
            }
            sets.insert(name.to_owned(), read.ok().map(Arc::new));
        }
        Self(sets)
    }

    /// The set of this name: `None` where there is no such file, an inner `None` where it cannot be read.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Option<&Arc<Descriptors>>> {
        self.0.get(name).map(Option::as_ref)
    }

    /// Names of all sets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
