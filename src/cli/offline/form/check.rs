//! Builds a proxy's check from a call file.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::{Value, json};

use super::Caller;

/// What both kinds of calls have.
pub(super) struct CheckParts<'a> {
    pub(super) method: &'a str,
    pub(super) path: String,
    pub(super) host: Option<&'a str>,
    pub(super) service: Option<&'a str>,
    pub(super) destination: Option<&'a str>,
    pub(super) sni: Option<&'a str>,
    pub(super) source_ip: Option<&'a str>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Attached,
}

/// What the proxy attaches of a body.
pub(super) enum Attached {
    /// All of it.
    Bytes(Vec<u8>),
    /// No body.
    Nothing,
    /// Unknown: nothing proves whether there is a body.
    Unknown,
}

impl CheckParts<'_> {
    /// The check that a proxy would send, as protobuf JSON.
    pub(super) fn check(self, caller: Option<&Caller>, host: Option<String>) -> Value {
        let by_id = || self.service.and_then(|id| id.split_once('/')).map(|(ns, name)| format!("{name}.{ns}"));
        let host = self.host.map(str::to_owned).or(host).or_else(by_id).unwrap_or_else(|| "localhost".to_owned());
        let pseudo = [(":authority", host.as_str()), (":method", self.method), (":path", &self.path)];
        let mut headers: Vec<(String, String)> =
            pseudo.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        headers.extend(self.headers);
        let mut http = json!({"method": self.method, "path": self.path, "host": host, "scheme": "http"});
        let flag = || ("x-envoy-auth-partial-body".to_owned(), "false".to_owned());
        match &self.body {
            Attached::Bytes(body) => {
                if !headers.iter().any(|(name, _)| name == "content-length") {
                    headers.push(("content-length".to_owned(), body.len().to_string()));
                }
                headers.push(flag());
                put(&mut http, "rawBody", Value::from(base64::engine::general_purpose::STANDARD.encode(body)));
            }
            Attached::Nothing => headers.push(flag()),
            Attached::Unknown => {}
        }
        let headers: Vec<Value> = headers.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        put(&mut http, "headerMap", json!({"headers": headers}));
        let mut source = json!({"principal": caller.and_then(|caller| caller.spiffe.as_deref()).unwrap_or_default()});
        if let Some(address) = self.source_ip {
            put(&mut source, "address", json!({"socketAddress": {"address": address}}));
        }
        let mut attributes = json!({"source": source, "request": {"http": http}});
        if let Some(destination) = self.destination {
            put(&mut attributes, "destination", json!({"principal": destination}));
        }
        if let Some(service) = self.service {
            put(&mut attributes, "contextExtensions", json!({"service": service}));
        }
        if let Some(sni) = self.sni {
            put(&mut attributes, "tlsSession", json!({"sni": sni}));
        }
        json!({"attributes": attributes})
    }
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// Names in lower case, as a proxy passes them on; one entry for each value.
pub(in crate::cli::offline) fn headers(written: &BTreeMap<String, Value>) -> Result<Vec<(String, String)>, String> {
    let mut headers = Vec::new();
    for (name, value) in written {
        let values = match value {
            Value::Array(items) => items.iter().collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => vec![value],
        };
        for value in values {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    return Err(format!("header `{name}` is neither a text nor a list of texts"));
                }
            };
            headers.push((name.to_ascii_lowercase(), text));
        }
    }
    Ok(headers)
}

/// What is attached of a request's body. A call that says nothing of one has none; an upgrade goes on after the answer.
pub(super) fn attached(written: Option<&Value>, headers: &[(String, String)]) -> Attached {
    match written {
        Some(written) => Attached::Bytes(body(written)),
        None if headers.iter().any(|(name, _)| name == "upgrade") => Attached::Unknown,
        None => Attached::Nothing,
    }
}

/// A body as it is sent.
fn body(written: &Value) -> Vec<u8> {
    match written {
        Value::String(text) => text.clone().into_bytes(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            written.to_string().into_bytes()
        }
    }
}
