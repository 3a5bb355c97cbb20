//! Routes: patterns over canonical paths, with captures and scopes.
//!
//! Knows: the pattern grammar, which of two patterns is more specific. Must not know: policies, tokens.

pub mod parents;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::call::CanonicalPath;
use crate::call::path::SEGMENTS_MAX;

/// The scopes of a route.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scopes {
    /// Scopes the call needs, all of them.
    pub required: Option<BTreeSet<String>>,
    /// Scopes that a token may have in addition to the required ones.
    pub acceptable: Option<BTreeSet<String>>,
}

impl Scopes {
    /// All scopes that a token may have here: the required and the acceptable ones. `None`: neither key is given.
    #[must_use]
    pub fn all_acceptable(&self) -> Option<BTreeSet<String>> {
        let is_silent = self.required.is_none() && self.acceptable.is_none();
        (!is_silent).then(|| self.required.iter().chain(&self.acceptable).flatten().cloned().collect())
    }
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

/// The match of a service's routes with one path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteMatch<'a> {
    /// Names of all matching routes, most specific first.
    pub routes: Vec<&'a str>,
    /// Captures of the most specific matching route.
    pub captures: BTreeMap<String, String>,
    /// Union of required scopes; `None` where no matching route names any.
    pub required: Option<BTreeSet<String>>,
    /// Intersection of (required and acceptable) scopes; `None` where no matching route names any.
    pub acceptable: Option<BTreeSet<String>>,
    /// Labels of all matching routes.
    pub labels: BTreeSet<String>,
    /// Groups of all matching routes.
    pub groups: BTreeSet<String>,
}

/// Why a text is not a route pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternProblem {
    /// It does not begin with `/`.
    #[error("does not begin with `/`")]
    NotAbsolute,
    /// More segments than a path can have.
    #[error("has more than {SEGMENTS_MAX} segments, so no path can match it")]
    TooDeep,
    /// A literal segment that no canonical path holds.
    #[error("holds the segment `{0}`, which no canonical path has")]
    NotCanonical(String),
    /// Braces that do not hold a name.
    #[error("holds the segment `{0}`, which is neither a literal nor `{{name}}` or `{{name...}}`")]
    Braces(String),
    /// `{name...}` before the end.
    #[error("continues after `{{{0}...}}`, which matches the rest of the path")]
    RestNotLast(String),
    /// One name for two captures.
    #[error("names two captures `{0}`")]
    NameTwice(String),
}

/// Reads a pattern: `/v1/orders/{id}`, `/files/{path...}`; `/` is the root and nothing else.
///
/// # Errors
/// [`PatternProblem`]; nothing is repaired, so that a pattern that could never match is not kept.
pub fn pattern(text: &str) -> Result<Vec<Segment>, PatternProblem> {
    let inside = text.strip_prefix('/').ok_or(PatternProblem::NotAbsolute)?;
    if inside.is_empty() {
        return Ok(Vec::new());
    }
    let mut segments = Vec::new();
    let mut names = BTreeSet::new();
    for written in inside.split('/') {
        if let Some(Segment::Rest(name)) = segments.last() {
            return Err(PatternProblem::RestNotLast(name.clone()));
        }
        let segment = segment(written)?;
        if let Segment::One(name) | Segment::Rest(name) = &segment
            && !names.insert(name.clone())
        {
            return Err(PatternProblem::NameTwice(name.clone()));
        }
        segments.push(segment);
    }
    if segments.len() > SEGMENTS_MAX {
        return Err(PatternProblem::TooDeep);
    }
    Ok(segments)
}

fn segment(written: &str) -> Result<Segment, PatternProblem> {
    if !written.contains(['{', '}']) {
        let alone = format!("/{written}");
        let canonical = CanonicalPath::parse(&alone).is_ok_and(|path| path.as_str() == alone) && !written.is_empty();
        return if canonical {
            Ok(Segment::Literal(written.to_owned()))
        } else {
            Err(PatternProblem::NotCanonical(written.to_owned()))
        };
    }
    let braces = || PatternProblem::Braces(written.to_owned());
    let inside = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(braces)?;
    let (name, make): (&str, fn(String) -> Segment) = match inside.strip_suffix("...") {
        Some(name) => (name, Segment::Rest),
        None => (inside, Segment::One),
    };
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if good { Ok(make(name.to_owned())) } else { Err(braces()) }
}

/// What of a pattern matters for which paths it takes: names of captures do not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Shape<'a> {
    /// The rest; least specific.
    Rest,
    /// One segment.
    One,
    /// This segment; most specific.
    Literal(&'a str),
}

impl Segment {
    fn shape(&self) -> Shape<'_> {
        match self {
            Self::Literal(text) => Shape::Literal(text),
            Self::One(_) => Shape::One,
            Self::Rest(_) => Shape::Rest,
        }
    }
}

impl Route {
    /// The pattern without the names of its captures.
    ///
    /// Two patterns that take one path compare segment by segment, a literal before `{x}` before
    /// `{x...}`; they are equally specific only where their shapes are equal, so that looking for
    /// equal shapes finds every ambiguity.
    pub(super) fn shape(&self) -> Vec<Shape<'_>> {
        self.segments.iter().map(Segment::shape).collect()
    }

    /// Whether the route is for a method; no methods means all, `GET` covers `HEAD`.
    #[must_use]
    pub fn takes_method(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.contains(method) || (method == "HEAD" && self.methods.contains("GET"))
    }

    /// A method that both routes take, where there is one; `any` where both take all.
    pub(super) fn shared_method<'a>(&'a self, other: &'a Self) -> Option<&'a str> {
        if self.methods.is_empty() && other.methods.is_empty() {
            return Some("any");
        }
        // `GET` on one side and `HEAD` on the other meet at `HEAD`, so both sides' names are tried.
        let named = self.methods.iter().chain(&other.methods);
        named.map(String::as_str).find(|method| self.takes_method(method) && other.takes_method(method))
    }

    /// Whether the pattern takes a path.
    fn takes_path(&self, path: &[&str]) -> bool {
        let mut rest = path;
        for segment in &self.segments {
            let Some((first, tail)) = rest.split_first() else { return false };
            rest = match segment {
                Segment::Literal(text) if text != first => return false,
                Segment::Literal(_) | Segment::One(_) => tail,
                Segment::Rest(_) => &[],
            };
        }
        rest.is_empty()
    }

    /// Captures of a path that the pattern takes.
    fn captures(&self, path: &[&str]) -> BTreeMap<String, String> {
        let capture = |(at, segment): (usize, &Segment)| match segment {
            Segment::Literal(_) => None,
            Segment::One(name) => Some((name.clone(), (*path.get(at)?).to_owned())),
            Segment::Rest(name) => Some((name.clone(), path.get(at..)?.join("/"))),
        };
        self.segments.iter().enumerate().filter_map(capture).collect()
    }
}

/// Finds every route that matches.
///
/// Linear in the service's routes; a route of another length or another first segment costs a few
/// comparisons of texts.
#[must_use]
pub fn matching<'a>(routes: &'a [Route], method: &str, path: &CanonicalPath) -> RouteMatch<'a> {
    if routes.is_empty() {
        return RouteMatch::default();
    }
    let segments: Vec<&str> = path.segments().collect();
    let takes = |route: &&'a Route| route.takes_method(method) && route.takes_path(&segments);
    let mut found: Vec<&Route> = routes.iter().filter(takes).collect();
    found.sort_by_cached_key(|route| Reverse(route.shape()));
    let mut answer = RouteMatch::default();
    if let Some(first) = found.first() {
        answer.captures = first.captures(&segments);
    }
    for route in found {
        answer.routes.push(&route.name);
        answer.labels.extend(route.labels.iter().cloned());
        answer.groups.extend(route.groups.iter().cloned());
        add_scopes(&mut answer, route.scopes.as_ref());
    }
    answer
}

fn add_scopes(answer: &mut RouteMatch<'_>, scopes: Option<&Scopes>) {
    let Some(scopes) = scopes else { return };
    if let Some(required) = &scopes.required {
        answer.required.get_or_insert_default().extend(required.iter().cloned());
    }
    let Some(acceptable) = scopes.all_acceptable() else { return };
    answer.acceptable = Some(match answer.acceptable.take() {
        Some(so_far) => so_far.intersection(&acceptable).cloned().collect(),
        None => acceptable,
    });
}

#[cfg(test)]
mod tests;
