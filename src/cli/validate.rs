//! `picket validate`: reports every problem of a policy directory at once.
//!
//! Knows: the loader, the configuration, how they meet. Must not know: what any check means.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use super::offline::{Configuration, Policies, block_on, directory_of};
use super::render::{self, Files, Paint, count};
use super::{Exit, Output};
use picket_core::catalog::Catalog;
use picket_core::mapping::service::Source;
use picket_core::problem::{Problem, Severity, nearest};
use picket_server::config::Config;

/// Arguments of `picket validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The policy directory. Default: the configuration's, else `policies`.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Checks this configuration file too, together with the policies.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Treats warnings as errors.
    #[arg(long)]
    deny_warnings: bool,
}

const AFTER_HELP: &str = "\
Examples:
  picket validate
  picket validate policies --deny-warnings
  picket validate --config picket.yaml -o json

Ends with 0 where the policies would load, else with 3.";

/// Loads the directory as the server would and prints everything found.
#[must_use]
pub fn run(args: &Args, output: Output) -> Exit {
    let configuration = args.config.as_deref().map(Configuration::read);
    let config = configuration.as_ref().and_then(|configuration| configuration.read.as_ref().ok()).map(|(c, _)| c);
    let dir = directory_of(args.dir.as_deref(), config);
    let Ok(policies) = block_on(Policies::load(&dir)) else {
        eprintln!("could not start the runtime");
        return Exit::Internal;
    };
    let mut files = Files::new(policies.tree.files.clone());
    let mut problems = policies.problems.clone();
    if let Some(configuration) = &configuration {
        files.add(&configuration.name, &configuration.text);
        match &configuration.read {
            Ok((config, warnings)) => {
                problems.extend(warnings.iter().cloned());
                let catalog = policies.snapshot.as_deref().map(picket_core::decision::Snapshot::catalog);
                problems.extend(catalog.into_iter().flat_map(|catalog| meet(&configuration.name, config, catalog)));
            }
            Err(found) => problems.extend(found.iter().cloned()),
        }
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    }
    let summary = Summary::of(&policies, &problems);
    match output {
        Output::Text | Output::Junit => {
            print!("{}", render::text(&problems, &files, Paint::of_stdout()));
            println!("{}", summary.text());
        }
        Output::Json => println!(
            "{}",
            json!({"v": 1, "units": summary.units, "policies": summary.policies, "errors": summary.errors,
                   "warnings": summary.warnings, "problems": render::json(&problems, &files)})
        ),
    }
    if summary.errors > 0 || (args.deny_warnings && summary.warnings > 0) { Exit::Invalid } else { Exit::Ok }
}

struct Summary {
    units: usize,
    policies: usize,
    errors: usize,
    warnings: usize,
}

impl Summary {
    fn of(policies: &Policies, problems: &[Problem]) -> Self {
        let of = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
        let ids = policies.snapshot.as_ref().map(|snapshot| snapshot.policy_ids()).unwrap_or_default();
        let namespaces = policies.tree.folders.iter().filter(|folder| folder.starts_with("namespaces/")).count();
        Self {
            units: 1 + namespaces,
            policies: ids.values().map(Vec::len).sum(),
            errors: of(Severity::Error),
            warnings: of(Severity::Warning),
        }
    }

    fn text(&self) -> String {
        let parts = [
            count(self.units, "unit", "units"),
            count(self.policies, "policy", "policies"),
            count(self.errors, "error", "errors"),
            count(self.warnings, "warning", "warnings"),
        ];
        parts.join(", ")
    }
}

/// Problems between a configuration and a catalogue.
fn meet(file: &str, config: &Config, catalog: &Catalog) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in &config.approvals {
        for id in source.services.iter().filter(|id| catalog.service(id).is_none()) {
            let message =
                format!("approvals `{}` are for service `{id}`, which the catalogue does not have", source.name);
            problems.push(known(Problem::error(file, message), id, catalog));
        }
    }
    for (name, profile) in &config.profiles {
        for source in &profile.mapping.service {
            match source {
                Source::Fixed(id) if catalog.service(id).is_none() => {
                    let message = format!("profile `{name}` fixes service `{id}`, which the catalogue does not have");
                    problems.push(known(Problem::error(file, message), id, catalog));
                }
                Source::DestinationAccount(settings) => {
                    for (account, services) in shared_accounts(catalog) {
                        let how = match settings.host_within_account {
                            true => "the host distinguishes them",
                            false => "its calls are `unmapped`; see `host_within_account`",
                        };
                        let message = format!("profile `{name}`: account `{account}` serves {services}; {how}");
                        problems.push(Problem::note(file, message));
                    }
                }
                Source::Fixed(_) | Source::ContextExtension | Source::Host => {}
            }
        }
    }
    problems
}

/// Helps with a service that the catalogue does not have.
fn known(problem: Problem, id: &str, catalog: &Catalog) -> Problem {
    match nearest(id, catalog.services().map(|service| service.id.as_str())) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help("add it to catalog.yaml"),
    }
}

/// Accounts, as `<namespace>/<account>`, that serve several services.
fn shared_accounts(catalog: &Catalog) -> BTreeMap<String, String> {
    let mut accounts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for service in catalog.services() {
        for account in &service.service_accounts {
            accounts.entry(format!("{}/{account}", service.namespace())).or_default().push(&service.id);
        }
    }
    let several = accounts.into_iter().filter(|(_, services)| services.len() > 1);
    several.map(|(account, services)| (account, services.join(", "))).collect()
}
