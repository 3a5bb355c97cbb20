//! Settings of the approval sources and of the redemption store.
//!
//! Knows: keys, defaults, what contradicts what. Must not know: HTTP, calls.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::entity::http::{self, HeaderFile, HttpSettings};
use crate::entity::template::{Slashes, Template};
use picket_core::call::host::is_dns_label;
use picket_core::setting::{CheckSettings, SettingProblem, of_parts};

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
    /// See [`HttpSettings::timeout`].
    #[serde(default = "http::timeout_default", with = "humantime_serde")]
    pub timeout: Duration,
    /// See [`HttpSettings::headers`].
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderFile>,
    /// See [`HttpSettings::ca_file`].
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

    /// How its requests are sent.
    #[must_use]
    pub fn http(&self) -> HttpSettings<'_> {
        HttpSettings { timeout: self.timeout, headers: &self.headers, ca_file: self.ca_file.as_deref() }
    }
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self {
            name,
            services: _,
            reference,
            url: _,
            slashes: _,
            fields,
            bound,
            system,
            // These three are `http`.
            timeout: _,
            headers: _,
            ca_file: _,
            ttl,
            in_flight_max,
        } = self;
        let parts: [(&str, &dyn CheckSettings); 3] = [("", &self.http()), ("reference", reference), ("fields", fields)];
        let mut found = of_parts(&parts);
        let mut wrong = |key, message: String| found.push(SettingProblem::error(key, message));
        for (key, name) in [("name", Some(name)), ("system", system.as_ref())] {
            if let Some(name) = name.filter(|name| !is_dns_label(name)) {
                wrong(key, format!("`{name}` is not a DNS label: 1 to 63 of a-z, 0-9 and, inside, `-`"));
            }
        }
        // Headers that may not be read are refused with the URL.
        if let Err(message) = self.template() {
            wrong("url", format!("{message}; for example `https://changes.infra.svc/v1/${{reference}}`"));
        }
        let pointers = bound.iter().flat_map(|(argument, record)| [argument, record]);
        pointers.filter_map(|pointer| pointer_problem(pointer)).for_each(|message| wrong("match", message));
        if *ttl > Duration::from_secs(60) {
            wrong("ttl", "is more than a minute; give at most 60s".to_owned());
        }
        if *in_flight_max == 0 {
            wrong("in_flight_max", "0 makes every request fail; give at least 1".to_owned());
        }
        if bound.is_empty() && fields.digest.is_none() {
            let message = "is missing: nothing binds an approval to a call, so `matchesAction` is always false; give \
                           it, or `fields.digest`";
            found.push(SettingProblem::warning("match", message));
        }
        found
    }
}

impl CheckSettings for Reference {
    fn problems(&self) -> Vec<SettingProblem> {
        let found = match self {
            Self::Argument(pointer) => pointer_problem(pointer).map(|message| ("argument", message)),
            Self::Header(name) if name.is_empty() => {
                Some(("header", "is empty; name one, for example `x-approval`".to_owned()))
            }
            Self::Header(_) => None,
        };
        found.map(|(key, message)| SettingProblem::error(key, message)).into_iter().collect()
    }
}

impl CheckSettings for Fields {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { id, kind, state, requested_by, approved_by, not_before, not_after, used, one_use, digest } = self;
        let pointers = [
            ("id", Some(id)),
            ("kind.pointer", kind.pointer()),
            ("state", Some(state)),
            ("requested_by", Some(requested_by)),
            ("approved_by", Some(approved_by)),
            ("not_before", not_before.as_ref()),
            ("not_after", Some(not_after)),
            ("used.pointer", used.pointer()),
            ("one_use.pointer", one_use.pointer()),
            ("digest", digest.as_ref()),
        ];
        let problem = |(key, pointer): (_, Option<&String>)| {
            pointer.and_then(|pointer| pointer_problem(pointer)).map(|message| SettingProblem::error(key, message))
        };
        pointers.into_iter().filter_map(problem).collect()
    }
}

impl CheckSettings for Store {
    fn problems(&self) -> Vec<SettingProblem> {
        // The file is opened when the server starts.
        let Self { file: _ } = self;
        Vec::new()
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

fn pointer_problem(pointer: &str) -> Option<String> {
    (!pointer.starts_with('/')).then(|| format!("`{pointer}` is not a JSON pointer; begin it with `/`"))
}

/// The problems of sections `approvals` and `approvals_store` with each other, by paths from the top.
#[must_use]
pub fn relations(sources: &[Settings], store: &Store) -> Vec<SettingProblem> {
    let mut found = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let mut wrong =
            |key: &str, message: String| found.push(SettingProblem::error(format!("approvals.{index}.{key}"), message));
        for earlier in sources.iter().take(index) {
            let name = &earlier.name;
            if *name == source.name {
                wrong("name", format!("two sources of approvals are named `{name}`; give each a name of its own"));
            }
            if let Some(service) = earlier.services.intersection(&source.services).next() {
                wrong("services", format!("`{name}` approves calls of `{service}` already; name it in one source"));
            }
            if earlier.services.is_empty() && source.services.is_empty() {
                let message = format!("`{name}` is for all services too; name `services` for all sources but one");
                wrong("services", message);
            }
            // Else a ticket would be good once for each.
            if earlier.address() == source.address() && earlier.system() != source.system() {
                let message =
                    format!("`{name}` queries the same system and records uses separately; give both one `system`");
                wrong("system", message);
            }
        }
    }
    let may_be_one_use = |source: &Settings| source.fields.one_use != Field::Constant(false);
    if store.file.is_none() && sources.iter().any(may_be_one_use) {
        let message = "is missing: uses of approvals are lost at a restart, and not shared by replicas; give a file \
                       that one process uses";
        found.push(SettingProblem::warning("approvals_store.file", message));
    }
    found
}

#[cfg(test)]
mod tests;
