//! Maps a gRPC call: the action is `grpc.call`, the resource its method.
//!
//! Knows: the form of a gRPC call, the fields of its message. Must not know: descriptor sets, other protocols.

use smol_str::format_smolstr;

use super::action::Spoken;
use super::context::ContextParts;
use super::resource::{scope_facts, within};
use super::values::Values;
use crate::body::grpc::Message;
use crate::call::{Call, CanonicalPath};
use crate::catalog::Service;
use crate::catalog::routes::Scopes;
use crate::failure::{Code, Failure};
use crate::query::{Node, Reads, Uid, Value};

/// The schema's action for every call.
pub(super) fn action() -> &'static str {
    "grpc.call"
}

/// Adds the fields of the message.
///
/// # Errors
/// As [`Values::of`].
pub(super) fn context(message: &Message, reads: &Reads, parts: &mut ContextParts) -> Result<(), Failure> {
    let values = Values::of(message.fields.node(), &reads.fields, reads)?;
    parts.set_bag("Bag", "fields", values.args);
    parts.set_bag("NumberBag", "numbers", values.numbers);
    parts.set_bag("DecimalBag", "decimals", values.decimals);
    Ok(())
}

/// `Method::"shop/inventory/shop.v1.Inventory/Get"` inside `Method::"shop/inventory/shop.v1.Inventory"`.
pub(super) fn resource(service: &Service, grpc_service: &str, method: &str) -> Node {
    let whole = within(service, grpc_service);
    let mut node = Node::new(Uid::new("Method", format_smolstr!("{whole}/{method}")));
    node.ancestors.insert(Uid::new("Method", whole));
    node.set("labels", Value::texts(&service.labels));
    let exact = service.methods.get(&format!("{grpc_service}/{method}"));
    let scopes: Option<&Scopes> = exact.or_else(|| service.methods.get(grpc_service));
    node.attributes.extend(scopes.into_iter().flat_map(scope_facts));
    node
}

/// A gRPC call: POST, a content type of the family, and a path of exactly service and method.
///
/// # Errors
/// `protocol_mismatch`.
pub(super) fn spoken(call: &Call, path: CanonicalPath) -> Result<Spoken, Failure> {
    let mismatch = |detail: &str| Failure::new(Code::ProtocolMismatch, detail);
    if call.method != "POST" {
        return Err(mismatch("a gRPC call must be a POST"));
    }
    let content_type = call.headers.single("content-type").ok().flatten().unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence != "application/grpc" && !essence.starts_with("application/grpc+") {
        return Err(mismatch("a gRPC call has the content type application/grpc"));
    }
    let segments: Vec<&str> = path.segments().collect();
    let [service, method] = segments.as_slice() else {
        return Err(mismatch("a gRPC path is `/<package.Service>/<Method>`"));
    };
    let name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    if !name(service) || !name(method) || method.contains('.') {
        return Err(mismatch("a gRPC path is `/<package.Service>/<Method>`"));
    }
    // Servers look methods up by the path as it came: another spelling is another method, or none.
    if call.path_sent != path.as_str() {
        return Err(mismatch("a gRPC path has no escapes, no query and no slash at its end"));
    }
    let (service, method) = ((*service).to_owned(), (*method).to_owned());
    Ok(Spoken::Grpc { path, service, method })
}
