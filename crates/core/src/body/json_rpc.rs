//! JSON-RPC 2.0: parses exactly one message.
//!
//! Knows: the members of requests, notifications and responses. Must not know: anybody's methods.

use super::json::{Json, Node, Value};
use super::members::refused;
use super::shown;
use crate::failure::Failure;

/// Longest id in bytes: it comes back in every denial.
const ID_BYTES_MAX: usize = 256;

/// A JSON-RPC id: echoed in denials, exactly as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RpcId {
    /// A text.
    Text(String),
    /// A whole number, as written.
    Number(String),
}

impl RpcId {
    /// The id that a document would have, if it is one.
    ///
    /// # Errors
    /// `message_refused` for anything else.
    pub fn of(id: Node<'_>) -> Result<Self, Failure> {
        let id = match id.value() {
            Value::Text(text) => Self::Text(text.to_owned()),
            // A fraction or an exponent is another number to a client that compares spellings.
            Value::Number(number) if number.as_str().bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
                Self::Number(number.as_str().to_owned())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => {
                return Err(refused("`id` is neither a text nor a whole number"));
            }
        };
        let length = match &id {
            Self::Text(text) | Self::Number(text) => text.len(),
        };
        if length > ID_BYTES_MAX {
            return Err(refused(format!("`id` is longer than {ID_BYTES_MAX} bytes")));
        }
        Ok(id)
    }

    /// The id as JSON, to be echoed.
    #[must_use]
    pub fn to_json(&self) -> String {
        match self {
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::Number(written) => written.clone(),
        }
    }
}

/// One JSON-RPC message.
#[derive(Debug, Clone, PartialEq)]
pub enum Envelope {
    /// A request, which expects a response.
    Request {
        /// Its id.
        id: RpcId,
        /// Its method.
        method: String,
        /// Its parameters: always an object, empty where none were sent.
        params: Json,
    },
    /// A notification, which expects no response.
    Notification {
        /// Its method.
        method: String,
        /// Its parameters: always an object, empty where none were sent.
        params: Json,
    },
    /// It answers a request of the server's.
    Response,
}

/// Reads one message.
///
/// # Errors
/// `message_refused` for everything else: another version, members that JSON-RPC does not have, an id that is neither a
/// text nor a whole number, parameters by position, a request that is also a response.
pub fn envelope(message: Node<'_>) -> Result<Envelope, Failure> {
    let members = message.as_object().ok_or_else(|| refused("a message must be an object"))?;
    let (mut version, mut id, mut method, mut params) = (None, None, None, None);
    let mut answers = Vec::new();
    for (key, value) in members.iter() {
        match key {
            "jsonrpc" => version = Some(value),
            "id" => id = Some(value),
            "method" => method = Some(value),
            "params" => params = Some(value),
            "result" | "error" => answers.push(key),
            _ => return Err(refused(format!("a message must not have the member `{}`", shown(key)))),
        }
    }
    if version.and_then(Node::as_text) != Some("2.0") {
        return Err(refused("`jsonrpc` is not \"2.0\""));
    }
    let id = id.map(RpcId::of).transpose()?;
    match (method, answers.as_slice(), id) {
        (Some(method), [], id) => {
            let method = method.as_text().ok_or_else(|| refused("`method` is not a text"))?.to_owned();
            let params = match params {
                None => Json::empty(),
                Some(object) if object.as_object().is_some() => object.to_json(),
                Some(_) => return Err(refused("`params` is not an object")),
            };
            Ok(match id {
                Some(id) => Envelope::Request { id, method, params },
                None => Envelope::Notification { method, params },
            })
        }
        (None, [], _) => Err(refused("a message must have a `method`, a `result` or an `error`")),
        (None, [one], id) if params.is_none() && (id.is_some() || *one == "error") => Ok(Envelope::Response),
        (_, [_, ..], _) => {
            Err(refused("a response must have an `id` and either a `result` or an `error`, and nothing else"))
        }
    }
}
