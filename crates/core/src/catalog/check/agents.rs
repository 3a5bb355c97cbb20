//! Validates a service's agent protocols: MCP with its tools, A2A, models, bodies.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_saphyr::Spanned;

use super::super::file::{self, Text, span_of};
use super::super::mcp::{Mcp, ProtocolVersion, Tool};
use super::super::{BodyRules, Model, Protocol, a2a};
use super::{Checker, text};
use crate::call::CanonicalPath;

/// Most bytes that a compressed body may be allowed to inflate to.
const INFLATE_BYTES_MAX: usize = 16 * 1024 * 1024;

impl Checker<'_> {
    pub(super) fn mcp(&mut self, protocol: Protocol, written: Option<file::Mcp>) -> Option<Mcp> {
        if protocol != Protocol::Mcp {
            return None;
        }
        let written = written.unwrap_or_default();
        let mut versions = BTreeSet::new();
        for version in &written.versions {
            if !versions.insert(version.value) {
                self.wrong(
                    span_of(version),
                    format!("version `{}` is listed twice", version.value.as_str()),
                    "list it once",
                );
            }
        }
        if written.versions.is_empty() {
            versions.extend(ProtocolVersion::ALL);
        }
        for version in written.denial_by_version.keys().filter(|version| !versions.contains(version)) {
            let message = format!("`denial_by_version` names `{}`, which is not among `versions`", version.as_str());
            self.wrong(None, message, "list the version, or leave the denial out");
        }
        if let Some(elicitation) = &written.elicitation {
            let url = &elicitation.value.url;
            // The sign in the URL is ours; what remains must be a URL.
            if !text::is_url(&url.replace("{decision_id}", "x")) {
                let message = format!("`{url}` cannot be an elicitation's URL");
                self.wrong(span_of(elicitation), message, "an absolute URL; `{decision_id}` in it is replaced");
            }
        }
        Some(Mcp {
            endpoint: self.endpoint(written.endpoint.as_ref(), "/mcp")?,
            versions,
            denial: written.denial,
            denial_by_version: written.denial_by_version,
            batches: written.batches,
            lists: written.lists,
            elicitation: written.elicitation.map(|elicitation| elicitation.value),
        })
    }

    pub(super) fn a2a(&mut self, protocol: Protocol, written: Option<file::A2a>) -> Option<a2a::A2a> {
        if protocol != Protocol::A2a {
            return None;
        }
        let written = written.unwrap_or_default();
        let all = |set: BTreeSet<_>, every: &[_]| if set.is_empty() { every.iter().copied().collect() } else { set };
        let bindings = if written.bindings.is_empty() {
            [a2a::Binding::Jsonrpc, a2a::Binding::Rest].into()
        } else {
            written.bindings
        };
        Some(a2a::A2a {
            endpoint: self.endpoint(written.endpoint.as_ref(), "/")?,
            versions: all(written.versions, &[a2a::Version::V03, a2a::Version::V10]),
            bindings,
        })
    }

    fn endpoint(&mut self, written: Option<&Text>, default: &str) -> Option<CanonicalPath> {
        match written {
            Some(path) => self.http_path(path),
            None => text::canonical(default).ok(),
        }
    }

    pub(super) fn tools(&mut self, written: BTreeMap<String, Spanned<file::Tool>>) -> BTreeMap<String, Tool> {
        written.into_iter().map(|(name, tool)| (name.clone(), self.tool(&name, tool))).collect()
    }

    fn tool(&mut self, name: &str, written: Spanned<file::Tool>) -> Tool {
        let span = span_of(&written);
        if !text::is_tool(name) {
            self.wrong(span.clone(), format!("`{name}` cannot be a tool"), text::TOOL_HELP);
        }
        let tool = written.value;
        self.mirrored(name, &span, &tool.headers);
        Tool {
            effect: tool.effect,
            groups: self.groups(&tool.groups),
            labels: self.names("label", &tool.labels),
            external: tool.external,
            scopes: tool.scopes.map(|scopes| self.scopes(scopes)),
            headers: tool.headers,
            input: tool.input_schema.and_then(|schema| self.input(name, &schema)),
        }
    }

    /// Two arguments in one header could not be told apart; a name that is no header's is never sent.
    fn mirrored(&mut self, tool: &str, span: &Option<Range<usize>>, headers: &BTreeMap<String, String>) {
        let mut seen = BTreeSet::new();
        for (argument, header) in headers {
            let token = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if header.is_empty() || !header.bytes().all(token) {
                let message = format!("`{header}` of tool `{tool}` cannot be the end of a header's name");
                self.wrong(span.clone(), message, "write for example `{ticket_id: Ticket}` for `Mcp-Param-Ticket`");
            } else if !seen.insert(header.to_ascii_lowercase()) {
                let message = format!("tool `{tool}` mirrors two arguments in `{header}`, one of them `{argument}`");
                self.wrong(span.clone(), message, "give each argument a header of its own");
            }
        }
    }

    pub(super) fn models(&mut self, written: BTreeMap<String, Spanned<file::Model>>) -> BTreeMap<String, Model> {
        let mut models = BTreeMap::new();
        for (name, model) in written {
            if !text::is_name(&name) {
                self.wrong(span_of(&model), format!("`{name}` cannot be a model"), text::NAME_HELP);
            }
            let model = model.value;
            let model = Model { groups: self.groups(&model.groups), labels: self.names("label", &model.labels) };
            models.insert(name, model);
        }
        models
    }

    pub(super) fn body(&mut self, protocol: Protocol, written: Option<Spanned<file::Body>>) -> BodyRules {
        let Some(written) = written else { return BodyRules::default() };
        let span = span_of(&written);
        let body = written.value;
        if body.json && protocol != Protocol::Http {
            let message = format!("`body: {{json: true}}` has no meaning for protocol `{}`", protocol.as_str());
            self.wrong(span.clone(), message, "leave it out: the protocol says what its bodies are");
        }
        if body.inflate_max_bytes.is_some_and(|max| max == 0 || max > INFLATE_BYTES_MAX) {
            let help = format!("1 to {INFLATE_BYTES_MAX}; leave it out to refuse compressed bodies");
            self.wrong(span, "`inflate_max_bytes` is out of bounds", help);
        }
        BodyRules { is_json: body.json, inflate_max_bytes: body.inflate_max_bytes }
    }
}
