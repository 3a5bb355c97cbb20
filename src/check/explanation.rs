//! Why a call was answered as it was, as text and JSON for people.
//!
//! Off the request path: the call is judged as always, then every policy is looked at again.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::{Judgement, Profile};
use crate::call::Call;
use crate::decision::explain::{self, Line, Match};
use crate::mapping::service;
use crate::query::{Node, Query, Value};

/// An explanation of one judgement.
#[derive(Debug)]
pub struct Explanation<'a> {
    judgement: &'a Judgement,
    tried: Vec<String>,
    lines: Vec<Line>,
}

impl<'a> Explanation<'a> {
    /// Looks at everything that led to the judgement.
    #[must_use]
    pub fn of(judgement: &'a Judgement, call: &Call, profile: &Profile) -> Self {
        let catalog = judgement.snapshot.as_deref().map(crate::decision::Snapshot::catalog);
        let home = &profile.identity.home_trust_domain;
        let tried = catalog.map(|catalog| service::tried(call, &profile.mapping.service, catalog, home));
        let lines = match (&judgement.snapshot, &judgement.query) {
            (Some(snapshot), Some(query)) => explain::explain(snapshot, query).unwrap_or_default(),
            _ => Vec::new(),
        };
        Self { judgement, tried: tried.unwrap_or_default(), lines }
    }

    /// `allow`, `deny`, `challenge` or `error`.
    #[must_use]
    pub fn decision(&self) -> &'static str {
        match &self.judgement.result {
            Ok(verdict) => verdict.decision().as_str(),
            Err(_) => "error",
        }
    }

    /// The verdict's reason or the failure's code.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match &self.judgement.result {
            Ok(verdict) => verdict.reason().as_str(),
            Err(failure) => failure.code.as_str(),
        }
    }

    fn determining(&self) -> &[String] {
        self.judgement.result.as_ref().map(|verdict| verdict.determining.as_slice()).unwrap_or_default()
    }

    /// Policies whose scope matched and that are not satisfied, those with the fewest open questions first.
    fn near(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| matches!(line.matched, Match::Unmet { .. } | Match::Failed(_)))
    }

    /// For programs; `v` is the version of the shape.
    #[must_use]
    pub fn json(&self) -> Json {
        let detail = match &self.judgement.result {
            Ok(_) => None,
            Err(failure) => Some(failure.detail.clone()),
        };
        let near = |line: &Line| {
            let (condition, values, error) = match &line.matched {
                Match::Unmet { condition, values } => (Some(condition.clone()), values.clone(), None),
                Match::Failed(message) => (None, Vec::new(), Some(message.clone())),
                Match::OutOfScope | Match::Satisfied => (None, Vec::new(), None),
            };
            json!({"policy": line.entry.id, "file": line.entry.file, "effect": line.entry.effect.to_string(),
                   "unmet": condition, "values": values, "error": error})
        };
        json!({
            "v": 1,
            "decision": self.decision(),
            "reason": self.reason(),
            "detail": detail,
            "service": self.judgement.service,
            "services_tried": self.tried,
            "policies": self.determining(),
            "query": self.judgement.query.as_ref().map(query_json),
            "close": self.near().map(near).collect::<Vec<_>>(),
            "considered": self.lines.len(),
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}  {}\n", self.decision().to_uppercase(), self.reason());
        if let Err(failure) = &self.judgement.result {
            let _ = writeln!(text, "  {}", failure.detail);
        }
        match &self.judgement.query {
            Some(query) => {
                let _ = writeln!(text, "  principal  {}", query.principal.uid);
                let _ = writeln!(text, "  action     Action::\"{}\"", query.action);
                let _ = writeln!(text, "  resource   {}", query.resource.uid);
            }
            None => {
                for tried in &self.tried {
                    let _ = writeln!(text, "  tried {tried}");
                }
            }
        }
        for id in self.determining() {
            let place = self.lines.iter().find(|line| line.entry.id == *id);
            let _ = writeln!(text, "  decided by {id}{}", place.map_or_else(String::new, at));
        }
        let _ = writeln!(text, "  {} policies judged this call", self.lines.len());
        for line in self.near() {
            let _ = writeln!(text, "  {} {} did not hold{}", line.entry.effect, line.entry.id, at(line));
            match &line.matched {
                Match::Unmet { condition, values } => {
                    let _ = writeln!(text, "      {}", condition.replace('\n', " "));
                    for value in values {
                        let _ = writeln!(text, "        {value}");
                    }
                }
                Match::Failed(message) => {
                    let _ = writeln!(text, "      failed: {message}");
                }
                Match::OutOfScope | Match::Satisfied => {}
            }
        }
        text
    }
}

fn at(line: &Line) -> String {
    format!("  ({})", line.entry.file)
}

fn query_json(query: &Query) -> Json {
    let bags: Json = query
        .bags
        .iter()
        .map(|bag| (bag.uid.id.clone(), map_json(&bag.tags)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    json!({
        "principal": node_json(&query.principal),
        "action": query.action,
        "resource": node_json(&query.resource),
        "context": map_json(&query.context),
        "bags": bags,
        "namespace": query.namespace,
    })
}

fn node_json(node: &Node) -> Json {
    let ancestors: Vec<String> = node.ancestors.iter().map(ToString::to_string).collect();
    json!({"uid": node.uid.to_string(), "attributes": map_json(&node.attributes), "tags": map_json(&node.tags), "in": ancestors})
}

fn map_json(map: &std::collections::BTreeMap<String, Value>) -> Json {
    map.iter().map(|(name, value)| (name.clone(), value_json(value))).collect::<serde_json::Map<_, _>>().into()
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::String(text) => json!(text),
        Value::Long(number) => json!(number),
        Value::Bool(flag) => json!(flag),
        Value::Set(items) => items.iter().map(value_json).collect(),
        Value::Record(record) => map_json(record),
        Value::Entity(_) | Value::Time(_) | Value::Duration(_) | Value::Ip(_) | Value::Decimal(_) => {
            json!(explain::show(value))
        }
    }
}
