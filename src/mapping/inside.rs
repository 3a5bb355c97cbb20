//! What a call's body says, as facts of the context.
//!
//! Only values that a policy judging the call can read are looked at; what they read has one exact value or the
//! call is refused.

use std::collections::BTreeMap;

use crate::body::json::{Node, Number, Value as Inner};
use crate::body::{a2a, llm, mcp};
use crate::failure::{Code, Failure};
use crate::query::{Keys, Reads, Value};

use super::action::{Asked, What};
use super::context::Parts;

/// Most values of one body that policies can be given. Policies that compute the keys they read see all values,
/// and a caller chooses how many there are.
pub const VALUES_MAX: usize = 4096;

/// Adds what the action's context holds beside environment and HTTP.
///
/// # Errors
/// `number_refused` for a number that is read as one and is neither a 64-bit integer nor a decimal;
/// `body_refused` for more values than [`VALUES_MAX`].
pub(super) fn add(asked: &Asked, reads: &Reads, parts: &mut Parts) -> Result<(), Failure> {
    match &asked.what {
        What::Http { document: None, .. } => {}
        What::Http { document: Some(document), .. } => arguments(document.node(), reads, parts)?,
        What::Grpc { fields, .. } if fields.is_empty() => {}
        What::Grpc { fields, .. } => {
            let read = fields.iter().filter(|(pointer, _)| reads.args.contains(pointer));
            parts.set_bag(
                "Bag",
                "fields",
                read.map(|(pointer, text)| (pointer.clone(), text.as_str().into())).collect(),
            );
        }
        What::Mcp(ask) => mcp(ask, reads, parts)?,
        What::A2a(message) => a2a(message, parts),
        What::Llm(request) => llm(request, parts),
    }
    Ok(())
}

fn mcp(ask: &mcp::Ask, reads: &Reads, parts: &mut Parts) -> Result<(), Failure> {
    match ask {
        mcp::Ask::CallTool { arguments: object, .. } => arguments(object.node(), reads, parts),
        mcp::Ask::GetPrompt { arguments: object, .. } => {
            parts.set_bag("Bag", "args", Values::of(object.node(), reads)?.args);
            Ok(())
        }
        mcp::Ask::UseServer { method } => {
            parts.set("rpcMethod", method.as_str());
            Ok(())
        }
        mcp::Ask::ReadResource { .. } | mcp::Ask::SubscribeResource { .. } => Ok(()),
    }
}

fn arguments(object: Node<'_>, reads: &Reads, parts: &mut Parts) -> Result<(), Failure> {
    let values = Values::of(object, reads)?;
    parts.set_bag("Bag", "args", values.args);
    parts.set_bag("NumberBag", "numbers", values.numbers);
    parts.set_bag("DecimalBag", "decimals", values.decimals);
    parts.set_bag("Bag", "kinds", values.kinds);
    Ok(())
}

fn a2a(message: &a2a::Message, parts: &mut Parts) {
    let texts = [("taskId", &message.task_id), ("contextId", &message.context_id), ("pushHost", &message.push_host)];
    for (name, text) in texts {
        if let Some(text) = text {
            parts.set(name, text.as_str());
        }
    }
}

fn llm(request: &llm::Request, parts: &mut Parts) {
    parts.set("api", request.api);
    parts.set("stream", Value::Bool(request.stream));
    parts.set("stored", Value::Bool(request.stored));
    parts.set("hiddenHistory", Value::Bool(request.hidden_history));
    if let Some(bound) = request.max_output_tokens {
        parts.set("maxOutputTokens", Value::Long(bound));
    }
    for (name, set) in [
        ("toolNames", &request.tool_names),
        ("hostedTools", &request.hosted_tools),
        ("hostedServers", &request.hosted_servers),
        ("hostedOrigins", &request.hosted_origins),
    ] {
        parts.set(name, Value::texts(set.iter().cloned()));
    }
}

/// The values of a body that are read, by JSON pointer.
#[derive(Debug, Default)]
struct Values {
    args: BTreeMap<String, Value>,
    numbers: BTreeMap<String, Value>,
    decimals: BTreeMap<String, Value>,
    kinds: BTreeMap<String, Value>,
}

impl Values {
    fn of(document: Node<'_>, reads: &Reads) -> Result<Self, Failure> {
        let mut values = Self::default();
        match &reads.args {
            Keys::Some(pointers) => {
                for pointer in pointers {
                    if let Some(value) = document.pointer(pointer) {
                        values.add(pointer, value, reads)?;
                    }
                }
            }
            Keys::All => {
                let all = document.nodes(VALUES_MAX).map_err(|_| {
                    let detail = format!("the body has more than {VALUES_MAX} values, and a policy may read any");
                    Failure::new(Code::BodyRefused, detail)
                })?;
                for (pointer, value) in all {
                    values.add(&pointer, value, reads)?;
                }
            }
        }
        Ok(values)
    }

    fn add(&mut self, pointer: &str, value: Node<'_>, reads: &Reads) -> Result<(), Failure> {
        let (kind, text) = match value.value() {
            Inner::Null => ("null", Some("null".to_owned())),
            Inner::Bool(flag) => ("boolean", Some(flag.to_string())),
            Inner::Number(number) => ("number", Some(self.number(pointer, number, reads)?)),
            Inner::Text(text) => ("string", Some(text.to_owned())),
            Inner::List(_) => ("list", None),
            Inner::Object(_) => ("object", None),
        };
        self.kinds.insert(pointer.to_owned(), kind.into());
        if let Some(text) = text {
            self.args.insert(pointer.to_owned(), Value::String(text));
        }
        Ok(())
    }

    /// The number's canonical text; by value, so that `1e3` and `1000.0` are the same number.
    fn number(&mut self, pointer: &str, number: Number<'_>, reads: &Reads) -> Result<String, Failure> {
        if let Some(integer) = number.to_i64() {
            self.numbers.insert(pointer.to_owned(), Value::Long(integer));
        } else if let Some(decimal) = number.to_decimal() {
            self.decimals.insert(pointer.to_owned(), Value::Decimal(decimal));
        } else if reads.numbers {
            // A forbid that compares it would silently not apply.
            let detail =
                format!("the number at `{}` fits neither a 64-bit integer nor a decimal", pointer.escape_debug());
            return Err(Failure::new(Code::NumberRefused, detail));
        }
        Ok(number.canonical())
    }
}
