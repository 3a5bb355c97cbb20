//! Validates a parsed catalogue file, builds the [`Catalog`], and reports every problem.
//!
//! Knows: the grammars of names, which keys fit which protocol. Must not know: YAML, policies.

mod agents;
mod grpc;
mod input;
mod service;
mod text;
mod token;

use std::collections::BTreeSet;
use std::ops::Range;

use super::file::{CatalogFile, Text, span_of};
use super::grpc::Sets;
use super::{Catalog, Workload, file};
use crate::call::host::is_dns_label;
use crate::identity::spiffe_id::{self, SpiffeId};
use crate::problem::Problem;

/// Most services, and most workloads, that one catalogue may hold.
pub const ENTRIES_MAX: usize = 100_000;

/// The catalogue under construction, and what is wrong with it so far.
struct Checker<'a> {
    file: &'a str,
    sets: &'a Sets,
    named_sets: BTreeSet<String>,
    typed_tools: usize,
    catalog: Catalog,
    problems: Vec<Problem>,
}

/// Checks the whole file.
///
/// # Errors
/// Every problem found.
pub(super) fn catalog(file: &str, written: CatalogFile, sets: &Sets) -> Result<Catalog, Vec<Problem>> {
    let (catalog, named_sets) = (Catalog::default(), BTreeSet::new());
    let mut checker = Checker { file, sets, named_sets, typed_tools: 0, catalog, problems: Vec::new() };
    checker.bound("services", written.services.len());
    checker.bound("workloads", written.workloads.len());
    checker.bound("namespaces", written.namespaces.len());
    checker.bound("groups", written.groups.len());
    if !checker.problems.is_empty() {
        return Err(checker.problems);
    }
    checker.catalog.open = written.catalog.open;
    checker.catalog.implicit = written.catalog.implicit;
    checker.namespaces(&written.namespaces);
    checker.catalog.groups = checker.names("group", &written.groups);
    for service in written.services {
        checker.service(service);
    }
    for workload in written.workloads {
        checker.workload(workload);
    }
    checker.finish()
}

impl Checker<'_> {
    fn finish(mut self) -> Result<Catalog, Vec<Problem>> {
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        self.unnamed_sets();
        for ids in self.catalog.accounts.values_mut() {
            ids.sort_unstable();
        }
        Ok(self.catalog)
    }

    /// Notes a problem and where it is.
    fn wrong(&mut self, span: Option<Range<usize>>, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::error(self.file, message).at(span).help(help));
    }

    fn bound(&mut self, key: &str, found: usize) {
        if found > ENTRIES_MAX {
            let help = format!("at most {ENTRIES_MAX} may be listed");
            self.wrong(None, format!("`{key}` lists {found} entries"), help);
        }
    }

    fn namespaces(&mut self, written: &[Text]) {
        for name in written {
            let federated = name
                .value
                .split_once('/')
                .is_some_and(|(domain, label)| spiffe_id::is_trust_domain(domain) && is_dns_label(label));
            if federated || text::is_namespace(&name.value) {
                self.catalog.namespaces.insert(name.value.clone());
            } else {
                let message = format!("`{}` cannot be a namespace", name.value);
                self.wrong(span_of(name), message, "a DNS label other than `mesh`, or `<trust domain>/<label>`");
            }
        }
    }

    /// A list of groups or labels, without repetition.
    fn names(&mut self, what: &str, written: &[Text]) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for name in written {
            if !text::is_name(&name.value) {
                self.wrong(span_of(name), format!("`{}` cannot be a {what}", name.value), text::NAME_HELP);
            } else if !names.insert(name.value.clone()) {
                self.wrong(span_of(name), format!("{what} `{}` is listed twice", name.value), "list it once");
            }
        }
        names
    }

    /// A list of groups; each is known from here on.
    fn groups(&mut self, written: &[Text]) -> BTreeSet<String> {
        let groups = self.names("group", written);
        self.catalog.groups.extend(groups.iter().cloned());
        groups
    }

    /// Facts: a mapping, whose shape is the schema's affair.
    fn facts(&mut self, written: Option<serde_saphyr::Spanned<serde_json::Value>>) -> Option<serde_json::Value> {
        let facts = written?;
        if !facts.value.is_object() {
            self.wrong(file::span_of(&facts), "`facts` is not a mapping", "write `facts: {name: value}`");
        }
        Some(facts.value)
    }

    fn workload(&mut self, written: file::Workload) {
        let groups = self.groups(&written.groups);
        let facts = self.facts(written.facts);
        let span = span_of(&written.id);
        let id = match SpiffeId::parse(&written.id.value) {
            Ok(id) => id,
            Err(problem) => {
                let message = format!("`{}` is not a SPIFFE id: {problem}", written.id.value);
                return self.wrong(span, message, "write `spiffe://<trust domain>/ns/<namespace>/sa/<account>`");
            }
        };
        if let Some((namespace, _)) = id.account() {
            self.catalog.namespaces.insert(namespace.to_owned());
            self.catalog.namespaces.insert(format!("{}/{namespace}", id.trust_domain()));
        }
        let id = id.as_str().to_owned();
        if self.catalog.workloads.contains_key(&id) {
            return self.wrong(span, format!("workload `{id}` is listed twice"), "list it once, with all its groups");
        }
        self.catalog.workloads.insert(id.clone(), Workload { id, groups, facts });
    }
}

#[cfg(test)]
mod tests;
