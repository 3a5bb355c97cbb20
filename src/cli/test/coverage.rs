//! Coverage: the policies that the tests reached.
//!
//! A policy is reached when its scope matched a call, and held when its conditions held as well. A policy that no
//! test reaches may be wrong without anybody noticing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::offline::Judged;
use crate::cli::offline::response::Leaving;
use picket_core::decision::Snapshot;
use picket_core::decision::explain::Match;
use picket_core::query::action;

/// Counts of how often each policy was reached and held, and the tested actions.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    policies: BTreeMap<String, Count>,
    untested: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    reached: usize,
    held: usize,
}

impl Coverage {
    /// Nothing reached yet.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let ids = snapshot.policy_ids().into_values().flatten();
        let schema = snapshot.types().schema();
        let groups: BTreeSet<String> = schema.action_groups().map(|uid| uid.id().unescaped().to_owned()).collect();
        let actions: BTreeSet<String> =
            schema.actions().map(|uid| action::bare(uid.id().unescaped()).to_owned()).collect();
        // Tools with actions of their own make a group of it; it is asked for all the same.
        let is_asked = |action: &String| action == action::CALL_TOOL || !groups.contains(action);
        Self {
            policies: ids.map(|id| (id, Count::default())).collect(),
            untested: actions.into_iter().filter(is_asked).collect(),
        }
    }

    /// Counts one call.
    pub fn add(&mut self, judged: &Judged) {
        if let Some(query) = &judged.answer.judgement.query {
            self.untested.remove(action::bare(&query.action));
        }
        for line in judged.explanation().lines() {
            let Some(count) = self.policies.get_mut(&line.entry.id) else { continue };
            match line.matched {
                Match::OutOfScope(_) => {}
                Match::Satisfied => {
                    count.reached += 1;
                    count.held += 1;
                }
                Match::Unmet { .. } | Match::Failed(_) => count.reached += 1,
            }
        }
    }

    /// Counts the policies that decided one response. Policies that its findings did not satisfy are not known.
    pub fn add_response(&mut self, left: &Leaving) {
        self.untested.remove("release");
        for id in &left.policies {
            let Some(count) = self.policies.get_mut(id) else { continue };
            count.reached += 1;
            count.held += 1;
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let width = self.policies.keys().map(String::len).max().unwrap_or_default();
        let mut text = format!("{:width$}  reached   held\n", "policy");
        for (id, count) in &self.policies {
            let _ = writeln!(text, "{id:width$}  {:>7}  {:>5}", count.reached, count.held);
        }
        let never: Vec<&str> = self.never_held().collect();
        if !never.is_empty() {
            let _ = writeln!(text, "never held: {}", never.join(", "));
        }
        if !self.untested.is_empty() {
            let untested: Vec<&str> = self.untested.iter().map(String::as_str).collect();
            let _ = writeln!(text, "actions without a test: {}", untested.join(", "));
        }
        text
    }

    fn never_held(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().filter(|(_, count)| count.held == 0).map(|(id, _)| id.as_str())
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let policies: serde_json::Map<String, Value> = self
            .policies
            .iter()
            .map(|(id, count)| (id.clone(), json!({"reached": count.reached, "held": count.held})))
            .collect();
        json!({"policies": policies, "never_held": self.never_held().collect::<Vec<_>>(),
               "untested_actions": self.untested})
    }
}
