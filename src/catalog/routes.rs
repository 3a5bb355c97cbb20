//! Routes: patterns over canonical paths, with captures and scopes.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::CanonicalPath;

/// Which scopes a route asks of a token.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scopes {
    /// Scopes the call needs, all of them.
    pub required: Option<BTreeSet<String>>,
    /// Scopes that do no harm here beyond the required ones.
    pub harmless: Option<BTreeSet<String>>,
}

/// A named pattern over paths.
#[derive(Debug, Clone)]
pub struct Route {
    /// Name, unique in its service.
    pub name: String,
    /// The pattern as written.
    pub pattern: String,
    /// Its segments.
    pub segments: Vec<Segment>,
    /// Methods it is for, upper case; empty means all. `GET` covers `HEAD`.
    pub methods: BTreeSet<String>,
    /// Groups the route belongs to.
    pub groups: BTreeSet<String>,
    /// Labels repeated on every path under the route.
    pub labels: BTreeSet<String>,
    /// Scopes.
    pub scopes: Option<Scopes>,
}

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// Exactly this text.
    Literal(String),
    /// `{name}`: one non-empty segment.
    One(String),
    /// `{name...}`: the rest, one segment or more; last in its pattern.
    Rest(String),
}

/// What the routes of a service say about one path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteMatch<'a> {
    /// Names of all matching routes, most specific first.
    pub routes: Vec<&'a str>,
    /// Captures of the most specific matching route.
    pub captures: BTreeMap<String, String>,
    /// Union of required scopes; `None` where no matching route names any.
    pub required: Option<BTreeSet<String>>,
    /// Intersection of (required and harmless) scopes; `None` where no matching route names any.
    pub acceptable: Option<BTreeSet<String>>,
    /// Labels of all matching routes.
    pub labels: BTreeSet<String>,
    /// Groups of all matching routes.
    pub groups: BTreeSet<String>,
}

/// Finds every route that matches.
#[must_use]
pub fn matching<'a>(routes: &'a [Route], method: &str, path: &CanonicalPath) -> RouteMatch<'a> {
    let _ = (routes, method, path);
    RouteMatch::default()
}
