//! Checks of all settings: each section alone, and what sections say about each other.
//!
//! Knows: which sections there are and how they depend on each other. Must not know: where values came from.

use std::collections::BTreeSet;

use super::{Config, Limits};
use crate::approval::settings as approval;
use crate::server::settings::Listener;
use picket_core::problem::nearest;
use picket_core::setting::{CheckSettings, SettingProblem, of_parts};

impl CheckSettings for Config {
    fn problems(&self) -> Vec<SettingProblem> {
        // Every section by name: a new one that is not checked is an unused variable.
        let Self {
            policies,
            listeners,
            profiles,
            keys,
            entity,
            elicitation,
            responses,
            approvals,
            approvals_store,
            admin,
            limits,
            telemetry,
            shutdown,
        } = self;
        let mut found = of_parts(&[
            ("admin", admin),
            ("limits", limits),
            ("elicitation", elicitation),
            ("responses", responses),
            ("shutdown", shutdown),
            ("keys", keys),
            ("profiles", profiles),
            ("telemetry", telemetry),
            ("policies", policies),
            ("entity", entity),
            ("approvals", approvals),
            ("approvals_store", approvals_store),
            ("listeners", listeners),
        ]);
        found.extend(self.relations());
        found
    }
}

impl CheckSettings for Limits {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { connection, check, responses, in_flight_max, verify_every: _ } = self;
        let mut found = of_parts(&[("connection", connection), ("check", check), ("responses", responses)]);
        if *in_flight_max == 0 {
            found.push(SettingProblem::error("in_flight_max", "0 denies every call; give at least 1"));
        }
        found
    }
}

impl Config {
    /// The problems of sections with each other, by paths from the top.
    fn relations(&self) -> Vec<SettingProblem> {
        let issuers = self.keys.rules();
        let mut found = approval::relations(&self.approvals, &self.approvals_store);
        for (name, profile) in &self.profiles {
            let below = format!("profiles.{name}.identity");
            let problems = profile.identity.issuer_problems(&issuers);
            found.extend(problems.into_iter().map(|problem| problem.below(&below)));
        }
        if self.listeners.is_empty() {
            let message = "there is no listener; name at least one, or drop the key";
            found.push(SettingProblem::error("listeners", message));
        }
        let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for (index, listener) in self.listeners.iter().enumerate() {
            let mut wrong = |key: &str, message| {
                found.push(SettingProblem::error(format!("listeners.{index}.{key}"), message));
            };
            if !names.insert(&listener.name) {
                wrong("name", format!("`{}` is the name of another listener too", listener.name));
            }
            let address = listener.address.to_string();
            if !address.ends_with(":0") && !addresses.insert(address.clone()) {
                wrong("address", format!("another listener has `{address}` already"));
            }
            for (key, profile) in profiles(listener) {
                if let Some(message) = self.no_profile(profile) {
                    wrong(&key, message);
                }
            }
        }
        found
    }

    /// The message where no profile has this name.
    fn no_profile(&self, name: &str) -> Option<String> {
        if self.profiles.contains_key(name) {
            return None;
        }
        let known = nearest(name, self.profiles.keys().map(String::as_str));
        let help = known.map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
        Some(format!("there is no profile `{name}`{help}"))
    }
}

/// The profiles that a listener names, each with its key.
fn profiles(listener: &Listener) -> impl Iterator<Item = (String, &str)> {
    let of_clients = listener.client_profiles.iter().enumerate();
    let of_clients = of_clients.map(|(row, one)| (format!("client_profiles.{row}.profile"), one.profile.as_str()));
    of_clients.chain([("profile".to_owned(), listener.profile.as_str())])
}

#[cfg(test)]
mod tests;
