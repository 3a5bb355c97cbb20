//! MCP messages in a call file: the tool and its arguments, without the envelope.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::check::{Attached, CheckParts, headers};
use picket_core::catalog::mcp::ProtocolVersion;

/// A message to an MCP server, with one of `tool`, `resource`, `prompt` and `method`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mcp {
    /// Id of the called service, as the proxy's route would name it.
    pub service: Option<String>,
    /// The tool to call.
    pub tool: Option<String>,
    /// The URI of the resource to read.
    pub resource: Option<String>,
    /// The prompt to get.
    pub prompt: Option<String>,
    /// Any other JSON-RPC method, such as `tools/list`.
    pub method: Option<String>,
    /// Arguments of the tool or prompt: a text as it is, anything else as JSON.
    pub arguments: Value,
    /// Further members of `params`.
    pub params: Map<String, Value>,
    /// The id of the request, which its answer repeats. Default 1.
    pub id: Value,
    /// The protocol version. Default: the newest.
    pub version: ProtocolVersion,
    /// Headers in addition to those of the protocol: one value or a list of values each.
    pub headers: BTreeMap<String, Value>,
    /// The endpoint. Default `/mcp`.
    pub path: Option<String>,
    /// Authority.
    pub host: Option<String>,
    /// SPIFFE id of the receiving workload.
    pub destination: Option<String>,
    /// Address of the connection's far end.
    pub source_ip: Option<String>,
}

impl Default for Mcp {
    fn default() -> Self {
        Self {
            service: None,
            tool: None,
            resource: None,
            prompt: None,
            method: None,
            arguments: json!({}),
            params: Map::new(),
            id: Value::from(1),
            version: ProtocolVersion::July2026,
            headers: BTreeMap::new(),
            path: None,
            host: None,
            destination: None,
            source_ip: None,
        }
    }
}

impl Mcp {
    /// The HTTP request that a client of this version would send.
    ///
    /// # Errors
    /// A fragment that says what is missing or too much.
    pub(super) fn parts(&self) -> Result<CheckParts<'_>, String> {
        let (method, name) = self.asked()?;
        let mut params = self.params.clone();
        let key = if method == "resources/read" { "uri" } else { "name" };
        if let Some(name) = name {
            params.insert(key.to_owned(), name.into());
        }
        let mut sent = headers(&self.headers)?;
        let mut add = |name: &str, value: String| {
            // What a test writes itself stands: wrong headers are worth testing.
            if !sent.iter().any(|(known, _)| known == name) {
                sent.push((name.to_owned(), value));
            }
        };
        add("content-type", "application/json".to_owned());
        add("accept", "application/json, text/event-stream".to_owned());
        if self.version != ProtocolVersion::March2025 {
            add("mcp-protocol-version", self.version.as_str().to_owned());
        }
        if self.version == ProtocolVersion::July2026 {
            add("mcp-method", method.to_owned());
            if let Some(name) = name {
                add("mcp-name", mirrored(name));
            }
            let meta = params.entry("_meta").or_insert_with(|| json!({}));
            if let Some(meta) = meta.as_object_mut() {
                let known = [("protocolVersion", json!(self.version.as_str())), ("clientCapabilities", json!({}))];
                for (key, value) in known {
                    meta.entry(format!("io.modelcontextprotocol/{key}")).or_insert(value);
                }
            }
        }
        Ok(CheckParts {
            method: "POST",
            path: self.path.clone().unwrap_or_else(|| "/mcp".to_owned()),
            host: self.host.as_deref(),
            service: self.service.as_deref(),
            destination: self.destination.as_deref(),
            sni: None,
            source_ip: self.source_ip.as_deref(),
            headers: sent,
            body: Attached::Bytes(self.message(method, params).into_bytes()),
        })
    }

    /// The message, with the arguments byte for byte as they were written: a number or a doubled key is worth testing.
    fn message(&self, method: &str, params: Map<String, Value>) -> String {
        let mut params = Value::Object(params).to_string();
        if self.tool.is_some() || self.prompt.is_some() {
            let arguments = match &self.arguments {
                Value::String(text) => text.clone(),
                other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                    other.to_string()
                }
            };
            // The name of the tool or prompt stands before it.
            params.pop();
            params += &format!(r#","arguments":{arguments}}}"#);
        }
        let id = match method.starts_with("notifications/") {
            true => String::new(),
            false => format!(r#""id":{},"#, self.id),
        };
        format!(r#"{{"jsonrpc":"2.0",{id}"method":{},"params":{params}}}"#, Value::from(method))
    }

    fn asked(&self) -> Result<(&str, Option<&str>), String> {
        match (&self.tool, &self.resource, &self.prompt, &self.method) {
            (Some(name), None, None, None) => Ok(("tools/call", Some(name))),
            (None, Some(uri), None, None) => Ok(("resources/read", Some(uri))),
            (None, None, Some(name), None) => Ok(("prompts/get", Some(name))),
            (None, None, None, Some(method)) => Ok((method, None)),
            (_, _, _, _) => Err("`mcp` needs exactly one of `tool`, `resource`, `prompt` and `method`".to_owned()),
        }
    }
}

/// A name as a header may carry it: plain ASCII, or encoded and marked.
fn mirrored(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_graphic()) && !name.starts_with("=?base64?");
    if plain { name.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(name)) }
}
