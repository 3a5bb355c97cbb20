//! The syntax of `catalog.yaml`: its keys, with the position of each value.
//!
//! Knows: YAML, the keys. Must not know: which values make sense together (`check.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::routes::Scopes;
use super::{Catalog, a2a, check, grpc, mcp};
use crate::problem::{Problem, yaml};

/// Longest file in bytes: 100,000 services of 640 bytes each.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Deepest nesting of lists and mappings.
pub const DEPTH_MAX: usize = 32;
/// Most parser events and nodes: a file of [`BYTES_MAX`] has fewer, a file that expands itself has more.
const EVENTS_MAX: usize = 20_000_000;

/// Reads the file's text. An empty file is an empty catalogue.
///
/// # Errors
/// Every problem found. What is not YAML, or holds an unknown key or a value of the wrong kind, ends
/// the reading at the first such place; everything else is reported at once.
pub fn parse(file: &str, text: &str, sets: &grpc::Sets) -> Result<Catalog, Vec<Problem>> {
    if text.len() > BYTES_MAX {
        let problem = Problem::error(file, format!("the catalogue has {} bytes", text.len()));
        return Err(vec![problem.help(format!("at most {BYTES_MAX} bytes are read"))]);
    }
    let written: Option<CatalogFile> = serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| vec![yaml::problem(file, "the catalogue does not parse", &error)])?;
    check::catalog(file, written.unwrap_or_default(), sets)
}

fn options() -> serde_saphyr::Options {
    let budget = serde_saphyr::budget! {
        max_events: EVENTS_MAX,
        max_nodes: EVENTS_MAX,
        max_depth: DEPTH_MAX,
        max_documents: 1,
    };
    serde_saphyr::options! {
        budget: budget,
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::Reject,
        with_snippet: false,
    }
}

/// Byte range of a value in the file.
pub(super) fn span_of<T>(value: &Spanned<T>) -> Option<Range<usize>> {
    yaml::range(&value.referenced)
}

/// A text and where it stands.
pub(super) type Text = Spanned<String>;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CatalogFile {
    pub services: Vec<Service>,
    pub workloads: Vec<Workload>,
    pub namespaces: Vec<Text>,
    pub groups: Vec<Text>,
    pub catalog: Manner,
}

/// How strictly the catalogue is meant.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Manner {
    pub open: bool,
    pub implicit: bool,
}

/// One of `services:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub id: Text,
    #[serde(default)]
    pub hosts: Vec<Text>,
    #[serde(default)]
    pub service_accounts: Vec<Text>,
    pub protocol: Option<Text>,
    #[serde(default)]
    pub groups: Vec<Text>,
    #[serde(default)]
    pub labels: Vec<Text>,
    pub facts: Option<Spanned<serde_json::Value>>,
    #[serde(default)]
    pub http_paths: Vec<Text>,
    #[serde(default)]
    pub exact_paths: bool,
    #[serde(default)]
    pub routes: Vec<Route>,
    #[serde(default)]
    pub methods: BTreeMap<String, Method>,
    pub token: Option<Spanned<Token>>,
    pub grpc: Option<Spanned<Grpc>>,
    pub mcp: Option<Mcp>,
    #[serde(default)]
    pub tools: BTreeMap<String, Spanned<Tool>>,
    pub a2a: Option<A2a>,
    #[serde(default)]
    pub models: BTreeMap<String, Spanned<Model>>,
    #[serde(default)]
    pub both_apis: bool,
    pub body: Option<Spanned<Body>>,
}

/// A service's `grpc:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grpc {
    pub descriptors: Text,
    #[serde(default)]
    pub unknown_fields: grpc::UnknownFields,
}

/// A service's `mcp:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Mcp {
    pub endpoint: Option<Text>,
    pub versions: Vec<Spanned<mcp::ProtocolVersion>>,
    pub denial: mcp::DenialStyle,
    pub denial_by_version: BTreeMap<mcp::ProtocolVersion, mcp::DenialStyle>,
    pub batches: mcp::Batches,
    pub lists: mcp::Lists,
    pub elicitation: Option<Spanned<mcp::Elicitation>>,
}

/// One of a service's `tools:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tool {
    pub effect: mcp::Effect,
    pub groups: Vec<Text>,
    pub labels: Vec<Text>,
    pub external: bool,
    pub scopes: Option<Spanned<Scopes>>,
    pub headers: BTreeMap<String, String>,
    pub input_schema: Option<Spanned<serde_json::Value>>,
}

/// A service's `a2a:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct A2a {
    pub endpoint: Option<Text>,
    pub versions: BTreeSet<a2a::Version>,
    pub bindings: BTreeSet<a2a::Binding>,
}

/// One of a service's `models:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Model {
    pub groups: Vec<Text>,
    pub labels: Vec<Text>,
}

/// A service's `body:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Body {
    pub json: bool,
    pub inflate_max_bytes: Option<usize>,
}

/// One of a service's `routes:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    pub name: Text,
    #[serde(rename = "match")]
    pub pattern: Text,
    #[serde(default)]
    pub methods: Vec<Text>,
    #[serde(default)]
    pub groups: Vec<Text>,
    #[serde(default)]
    pub labels: Vec<Text>,
    pub scopes: Option<Spanned<Scopes>>,
}

/// One of a gRPC service's `methods:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Method {
    pub scopes: Spanned<Scopes>,
}

/// A service's `token:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub resource_metadata: Option<Text>,
    pub realm: Option<Text>,
    #[serde(default)]
    pub audiences: BTreeSet<String>,
    #[serde(default)]
    pub serve_metadata: bool,
    pub resource: Option<Text>,
    #[serde(default)]
    pub authorization_servers: Vec<Text>,
    #[serde(default)]
    pub scopes_supported: Vec<Text>,
}

/// One of `workloads:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Workload {
    pub id: Text,
    #[serde(default)]
    pub groups: Vec<Text>,
    pub facts: Option<Spanned<serde_json::Value>>,
}
