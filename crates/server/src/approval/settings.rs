//! Settings of the approval sources and of the redemption store.
//!
//! Knows: keys, defaults, what contradicts what. Must not know: HTTP, calls.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::entity::http::{self, HeaderFile};
use crate::entity::template::{Slashes, Template};
use picket_core::call::host::is_dns_label;
use picket_core::problem::Problem;

/// What stands for the reference in a source's URL.
const REFERENCE: &str = "${reference}";

/// One source of approvals: a change or ticket system.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the source, for failures and metrics: a DNS label. No default.
    pub name: String,
    /// Ids of the services whose calls it approves. Default: all that no other source names.
    #[serde(default)]
    pub services: BTreeSet<String>,
    /// Where a call says which approval it means. No default.
    pub reference: Reference,
    /// What to `GET`: as in look-ups, and `${reference}` stands for the reference. No default. An answer of
    /// 404 means that there is no such approval; anything else but a 200 denies the call.
    pub url: String,
    /// Whether a reference in `url`'s path may hold slashes, as in look-ups. Default `refused`, the safe value: a
    /// reference that could change which request it is names no approval.
    #[serde(default)]
    pub slashes: Slashes,
    /// Where in the answer things stand. No default.
    pub fields: Fields,
    /// What binds an approval to a call: arguments by JSON pointer, each with the JSON pointer of the value in
    /// the answer that it must equal. Default none.
    #[serde(default, rename = "match")]
    pub bound: BTreeMap<String, String>,
    /// Under which name uses are remembered: sources that ask one system of tickets share it. Default: `name`.
    #[serde(default)]
    pub system: Option<String>,
    /// How long a call waits for an answer, within its own deadline. Default 50ms; above 0s.
    #[serde(default = "http::timeout_default", with = "humantime_serde")]
    pub timeout: Duration,
    /// Headers to send, each with its value in a file (a token, say), read again for every request.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderFile>,
    /// PEM file of the only certificate authorities that are trusted. Default: the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How long an answer may be reused. Default 0s, the safe value: an approval that is withdrawn stays good
    /// for at most this long.
    #[serde(default, with = "humantime_serde")]
    pub ttl: Duration,
    /// Most requests to the source at one time; beyond it, calls are denied. Default 256.
    #[serde(default = "in_flight_default")]
    pub in_flight_max: usize,
}

fn in_flight_default() -> usize {
    256
}

/// Where a call says which approval it means.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The argument at this JSON pointer. It must be a text; a number or a list names no approval.
    Argument(String),
    /// This header.
    Header(String),
}

/// Where in an answer things stand: JSON pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// The approval's own id, the same however it is referred to: a text.
    pub id: String,
    /// Its kind, as policies name it.
    pub kind: Field<String>,
    /// Its state, as policies name it.
    pub state: String,
    /// Who asked for it: a text that is not empty.
    pub requested_by: String,
    /// Who approved it: a text or a list of texts; `null` or absent for nobody.
    pub approved_by: String,
    /// From when it is good: RFC 3339, or seconds since 1970. Default: ever since.
    #[serde(default)]
    pub not_before: Option<String>,
    /// Until when it is good. An answer that lacks this is never good.
    pub not_after: String,
    /// Whether it has been used, if the source knows. Default `{constant: false}`.
    #[serde(default = "unused")]
    pub used: Field<bool>,
    /// Whether it is good for one call only. Default `{constant: true}`, the safe value.
    #[serde(default = "once")]
    pub one_use: Field<bool>,
    /// The digest of the action it is for. Default none.
    #[serde(default)]
    pub digest: Option<String>,
}

/// A value of the answer, or the same for all.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field<T> {
    /// At this JSON pointer.
    Pointer(String),
    /// This.
    Constant(T),
}

fn unused() -> Field<bool> {
    Field::Constant(false)
}

fn once() -> Field<bool> {
    Field::Constant(true)
}

/// Where it is remembered that approvals were used.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// The file. Default none: uses are forgotten at a restart.
    pub file: Option<PathBuf>,
}

impl Settings {
    /// The URL with the reference's own variable.
    ///
    /// # Errors
    /// It is no template, or asks for no particular approval.
    pub fn template(&self) -> Result<Template, String> {
        if !self.url.contains(REFERENCE) {
            return Err(format!("`{}` requests no particular approval; name `{REFERENCE}` in it", self.url));
        }
        let variable = match &self.reference {
            Reference::Argument(pointer) => format!("${{context.args[{pointer}]}}"),
            Reference::Header(name) => format!("${{context.http.headers[{name}]}}"),
        };
        let template = Template::parse(&self.url.replace(REFERENCE, &variable))?;
        Ok(template.with_slashes(self.slashes))
    }

    /// Under which name uses are remembered.
    #[must_use]
    pub fn system(&self) -> &str {
        self.system.as_deref().unwrap_or(&self.name)
    }

    /// What the URL has before its first variable: the system that is asked.
    fn address(&self) -> &str {
        self.url.split("${").next().unwrap_or_default()
    }

    fn check(&self, file: &str) -> Vec<Problem> {
        let name = &self.name;
        let mut problems = http::check(file, &format!("approvals `{name}`"), self.timeout, &self.headers);
        let mut wrong = |message: String, help: &str| problems.push(Problem::error(file, message).help(help));
        for (what, name) in [("name", Some(name)), ("system", self.system.as_ref())] {
            let Some(name) = name else { continue };
            if !is_dns_label(name) {
                wrong(
                    format!("{what} `{name}` of approvals is not a DNS label"),
                    "1 to 63 of a-z, 0-9 and, inside, `-`",
                );
            }
        }
        if let Err(message) = self.template() {
            wrong(
                format!("url of approvals `{name}`: {message}"),
                "for example `https://changes.infra.svc/v1/${reference}`",
            );
        }
        // Headers that may not be read are refused with the URL.
        if let Reference::Header(header) = &self.reference
            && header.is_empty()
        {
            wrong(format!("approvals `{name}` cannot be named in header `{header}`"), "for example `x-approval`");
        }
        let fields = &self.fields;
        let argument = match &self.reference {
            Reference::Argument(pointer) => Some(pointer),
            Reference::Header(_) => None,
        };
        let pointers = [&fields.id, &fields.state, &fields.requested_by, &fields.approved_by, &fields.not_after]
            .into_iter()
            .chain(argument)
            .chain(&fields.not_before)
            .chain(&fields.digest)
            .chain(fields.kind.pointer())
            .chain(fields.used.pointer())
            .chain(fields.one_use.pointer())
            .chain(self.bound.iter().flat_map(|(argument, record)| [argument, record]));
        for pointer in pointers.filter(|pointer| !pointer.starts_with('/')) {
            wrong(format!("`{pointer}` of approvals `{name}` is not a JSON pointer"), "begin it with `/`");
        }
        if self.ttl > Duration::from_secs(60) {
            wrong(format!("approvals `{name}` are reused for more than a minute"), "`ttl` is at most 60s");
        }
        if self.in_flight_max == 0 {
            wrong(format!("approvals `{name}` have `in_flight_max` 0"), "at least 1");
        }
        if self.bound.is_empty() && fields.digest.is_none() {
            let message = format!("approvals `{name}` are bound to nothing: `matchesAction` is always false");
            problems.push(Problem::warning(file, message).help("give `match`, or `fields.digest`"));
        }
        problems
    }
}

impl<T> Field<T> {
    fn pointer(&self) -> Option<&String> {
        match self {
            Self::Pointer(pointer) => Some(pointer),
            Self::Constant(_) => None,
        }
    }
}

/// What is wrong with these settings, or worth a warning, as written in `file`.
#[must_use]
pub fn check(sources: &[Settings], store: &Store, file: &str) -> Vec<Problem> {
    let mut problems: Vec<Problem> = sources.iter().flat_map(|source| source.check(file)).collect();
    let mut wrong = |message: String, help: &str| problems.push(Problem::error(file, message).help(help));
    for (index, source) in sources.iter().enumerate() {
        for earlier in sources.iter().take(index) {
            let (one, two) = (&earlier.name, &source.name);
            if one == two {
                wrong(format!("two sources of approvals are named `{one}`"), "give each a name of its own");
            }
            if let Some(service) = earlier.services.intersection(&source.services).next() {
                let message = format!("approvals `{one}` and `{two}` are both for service `{service}`");
                wrong(message, "one source approves a service's calls");
            }
            if earlier.services.is_empty() && source.services.is_empty() {
                let message = format!("approvals `{one}` and `{two}` are both for all services");
                wrong(message, "name `services` for all but one");
            }
            // Else a ticket would be good once for each.
            if earlier.address() == source.address() && earlier.system() != source.system() {
                let message = format!("approvals `{one}` and `{two}` use one system and record uses separately");
                wrong(message, "give both the same `system`");
            }
        }
    }
    let may_be_one_use = |source: &Settings| source.fields.one_use != Field::Constant(false);
    if store.file.is_none() && sources.iter().any(may_be_one_use) {
        let message = "uses of approvals are forgotten at a restart, and not shared by replicas";
        problems.push(Problem::warning(file, message).help("set `approvals_store.file`; one process per file"));
    }
    problems
}

#[cfg(test)]
mod tests;
