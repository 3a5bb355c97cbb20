//! Model requests: facts outside the body, in the query and in headers.
//!
//! Knows: how gateways let a caller name a model there. Must not know: any gateway.
//!
//! Gateways are known that serve the model of the query in place of the body's. So each model that is named there is
//! judged as well, whatever the key's case and decoration; other keys are reported as `query:<key>`.

use super::super::{query_pairs, shown};
use super::Request;
use super::walk::names_a_model;
use crate::call::{Call, Target};
use crate::failure::{Code, Failure};

/// Keys of a query that choose a version of an API and nothing else.
const VERSIONS: [&str; 2] = ["beta", "api-version"];
/// What the names of headers hold by which known gateways are told where to go.
const TARGETS: [&str; 8] = [
    "target-url",
    "custom-host",
    "api-base",
    "base-url",
    "destination-endpoint",
    "portkey-config",
    "portkey-provider",
    "portkey-virtual-key",
];

impl Request {
    /// Takes what query and headers say of the model.
    ///
    /// # Errors
    /// `query_refused` and `header_refused` for what has no one reading.
    pub(super) fn aside(&mut self, call: &Call) -> Result<(), Failure> {
        if let Target::Path { query: Some(query), .. } = &call.target {
            for (key, value) in query_pairs(Some(query))? {
                if names_a_model(&key) || key.eq_ignore_ascii_case("engine") {
                    self.named_aside(&value)?;
                } else if !VERSIONS.contains(&key.as_str()) {
                    self.strange(format!("query:{}", shown(&key)))?;
                }
            }
        }
        for (name, value) in call.headers.iter() {
            let folded = name.replace('_', "-");
            if folded.contains("model") || folded.contains("fallback") {
                let refuse = || Failure::new(Code::HeaderRefused, format!("header `{}` is not text", shown(name)));
                self.named_aside(std::str::from_utf8(value).map_err(|_| refuse())?)?;
            } else if TARGETS.iter().any(|target| folded.contains(target)) {
                self.strange(format!("header:{}", shown(name)))?;
            }
        }
        Ok(())
    }

    /// Takes one model, or several that commas part.
    fn named_aside(&mut self, value: &str) -> Result<(), Failure> {
        if value == self.model {
            return Ok(());
        }
        let mut models = value.split(',').map(str::trim).filter(|model| !model.is_empty());
        models.try_for_each(|model| self.answered_by(model))
    }
}
