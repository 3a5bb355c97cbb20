//! Validates a service's gRPC descriptors.

use std::sync::Arc;

use serde_saphyr::Spanned;

use super::super::file::{self, span_of};
use super::super::grpc::{ENDING, FOLDER, Grpc};
use super::Checker;
use crate::problem::{Problem, nearest};

impl Checker<'_> {
    pub(super) fn grpc(&mut self, written: Option<Spanned<file::Grpc>>) -> Option<Grpc> {
        let written = written?.value;
        let span = span_of(&written.descriptors);
        let name = &written.descriptors.value;
        let Some(set) = self.sets.get(name) else {
            let near = nearest(name, self.sets.names()).map(|near| format!("did you mean `{near}`? "));
            let help =
                format!("{}the name of a file in `{FOLDER}/` that ends with `{ENDING}`", near.unwrap_or_default());
            self.wrong(span, format!("there is no descriptor set `{FOLDER}/{name}`"), help);
            return None;
        };
        self.named_sets.insert(name.clone());
        // One that cannot be read is a problem of its own file.
        set.map(|set| Grpc { descriptors: Arc::clone(set), unknown_fields: written.unknown_fields })
    }

    /// A set that nobody names describes nothing: perhaps a service forgot to.
    pub(super) fn unnamed_sets(&mut self) {
        for name in self.sets.names().filter(|name| !self.named_sets.contains(*name)) {
            let problem = Problem::warning(format!("{FOLDER}/{name}"), "no service names this descriptor set");
            let help =
                format!("write `grpc: {{descriptors: {name}}}` at a service of protocol `grpc`, or remove the file");
            self.catalog.warnings.push(problem.help(help));
        }
    }
}
