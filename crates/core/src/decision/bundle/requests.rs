//! The parts of callers that the policies of a bundle about requests read.
//!
//! Knows: policies' scopes and read sets. Must not know: calls, lists, records.
//!
//! Lists are filtered when the response arrives, by policies about requests. The record of the request has to hold what they
//! read of the caller.

use std::collections::BTreeMap;

use super::reads::Services;
use super::release::{ACTION, names_only, of_principal};
use crate::catalog::namespace_of;
use crate::decision::policy::entry::Entry;
use crate::decision::policy::mode::Mode;
use crate::release::EntityCoverage;

/// What is read of the principal, by the services that scopes allow.
#[derive(Debug, Default)]
pub struct RequestPolicies(BTreeMap<Services, EntityCoverage>);

impl RequestPolicies {
    /// Adds a policy, if it can apply to requests. A policy in shadow mode does not change their result.
    pub fn add(&mut self, entry: &Entry) {
        if entry.mode == Mode::Enforce && !names_only(&entry.policy.action_constraint(), ACTION) {
            let services = Services::of(&entry.policy.resource_constraint());
            self.0.entry(services).or_default().merge(&of_principal(entry));
        }
    }

    /// Adds what the policies for a service read.
    pub fn add_to(&self, coverage: &mut EntityCoverage, service: &str) {
        let namespace = namespace_of(service).unwrap_or_default().to_owned();
        let scopes = [Services::All, Services::Of(namespace), Services::One(service.to_owned())];
        scopes.iter().filter_map(|services| self.0.get(services)).for_each(|read| coverage.merge(read));
    }
}
