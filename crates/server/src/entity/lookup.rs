//! DeadlineChecks facts up over HTTP: `GET` of a templated URL, JSON mapped to attributes and checked against the schema.
//!
//! Knows: JSON pointers, which policies' reads make a question necessary.
//! Must not know: what the facts decide.
//!
//! Failures name the source, never the URL: it holds values of the call.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value as Json;
use smol_str::SmolStr;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::cache::{self, Cache, CacheKey, CachedAnswer};
use super::http::{self, Answer, HeaderFile, Http, HttpSettings};
use super::template::{Gap, Slashes, Template};
use super::{EntitySource, Knowledge, unavailable};
use picket_core::call::host::is_dns_label;
use picket_core::decision::snapshot::FactsType;
use picket_core::failure::Failure;
use picket_core::query::{Facts, Query, Reads, Value};
use picket_core::setting::{CheckSettings, SettingProblem, of_parts};

/// One look-up.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the source, for failures and metrics: a DNS label. No default.
    pub name: String,
    /// The place of the answer: `principal`, `resource`, or `call: {attribute: …}`. No default.
    pub target: LookupTarget,
    /// The URL to `GET`, with variables such as `${principal.id}`, `${resource.id}` or
    /// `${context.args[/change]}`; values are percent-encoded. Scheme (`http`, `https`) and host are
    /// literal. Redirects and proxies are not followed. No default.
    pub url: String,
    /// Whether values of the call in `url`'s path may hold slashes: `refused`, the safe default, or `allowed`. A value that
    /// could change which request it is (a dot segment, `\`, `;`, `?`, `#`, an escape, a look-alike) is refused anyhow,
    /// and the call denied, `entities_unavailable`. `${principal.id}` and `${resource.id}` may hold slashes always.
    #[serde(default)]
    pub slashes: Slashes,
    /// Attributes to give, each by the JSON pointer (RFC 6901) of its value in the answer. One that the
    /// answer lacks stays absent. Either this or `whole`.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The whole answer is the value. Default false.
    #[serde(default)]
    pub whole: bool,
    /// Whether calls that lack a variable of `url` go on without these facts. Default false, the safe
    /// value: such a call is denied, `entities_unavailable`.
    #[serde(default)]
    pub optional: bool,
    /// The meaning of a 404. Default `fail`, the safe value.
    #[serde(default)]
    pub missing: Missing,
    /// See [`HttpSettings::timeout`].
    #[serde(default = "http::timeout_default", with = "humantime_serde")]
    pub timeout: Duration,
    /// See [`HttpSettings::headers`].
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderFile>,
    /// See [`HttpSettings::ca_file`].
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The cache of the answers.
    #[serde(default)]
    pub cache: cache::Settings,
}

/// The place of a look-up's answer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LookupTarget {
    /// `principal.facts`, type `WorkloadFacts`. Unauthenticated callers have none, so no request is sent for them.
    Principal,
    /// `resource.facts`, type `ServiceFacts`.
    Resource,
    /// One attribute of `context.env.facts`, type `CallFacts`.
    Call {
        /// Its name.
        attribute: String,
    },
}

/// The meaning of a 404.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// There is nothing, and policies see that the facts are absent.
    Absent,
    /// The source is wrong: the call is denied, `entities_unavailable`.
    #[default]
    Fail,
}

impl Settings {
    /// How its requests are sent.
    fn http(&self) -> HttpSettings<'_> {
        HttpSettings { timeout: self.timeout, headers: &self.headers, ca_file: self.ca_file.as_deref() }
    }
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self {
            name,
            target,
            url,
            slashes: _,
            attributes,
            whole,
            optional: _,
            missing: _,
            // These three are `http`.
            timeout: _,
            headers: _,
            ca_file: _,
            cache,
        } = self;
        let mut found = of_parts(&[("", &self.http()), ("cache", cache)]);
        let mut wrong = |key, message| found.push(SettingProblem::error(key, message));
        if !is_dns_label(name) {
            wrong("name", format!("`{name}` is not a DNS label: 1 to 63 of a-z, 0-9 and, inside, `-`"));
        }
        if let Err(message) = Template::parse(url) {
            wrong("url", format!("{message}; for example `https://teams.infra.svc/v1/${{principal.id}}`"));
        }
        match (whole, attributes.is_empty()) {
            (true, true) | (false, false) => {}
            (true, false) => wrong("whole", "excludes `attributes`; give exactly one of both".to_owned()),
            (false, true) => wrong("attributes", "is missing; give it, or `whole: true`".to_owned()),
        }
        for (attribute, pointer) in attributes {
            if !(pointer.is_empty() || pointer.starts_with('/')) {
                let message = format!("`{pointer}` for `{attribute}` is not a JSON pointer; begin it with `/`");
                wrong("attributes", message);
            }
        }
        if *target == (LookupTarget::Call { attribute: String::new() }) {
            wrong("target.call.attribute", "is empty; name an attribute of the type CallFacts".to_owned());
        }
        found
    }
}

/// A source that is queried over HTTP.
#[derive(Debug)]
pub struct Lookup {
    settings: Arc<Settings>,
    url: Template,
    http: Arc<Http>,
    cache: Arc<Cache>,
}

impl Lookup {
    /// A look-up with an empty cache; requests run in `tasks`.
    ///
    /// # Errors
    /// The URL is no template, or the certificates cannot be read.
    pub fn new(settings: &Settings, tasks: &TaskTracker) -> Result<Self, String> {
        let url = Template::parse(&settings.url)?.with_slashes(settings.slashes);
        let http =
            Http::new(&settings.http(), &url).map_err(|message| format!("look-up `{}`: {message}", settings.name))?;
        let cache = Cache::new(settings.cache.clone(), tasks);
        Ok(Self { settings: Arc::new(settings.clone()), url, http: Arc::new(http), cache })
    }

    /// The same source for whoever only looks, see [`cache::Cache::looking`].
    fn read_only_copy(&self) -> Self {
        let Self { settings, url, http, cache } = self;
        let (settings, http) = (Arc::clone(settings), Arc::clone(http));
        Self { settings, url: url.clone(), http, cache: cache.read_only() }
    }

    /// Its cache.
    #[must_use]
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    fn is_read(&self, reads: &Reads) -> bool {
        match &self.settings.target {
            LookupTarget::Principal => reads.principal_facts,
            LookupTarget::Resource => reads.resource_facts,
            LookupTarget::Call { attribute } => reads.call_facts.contains(attribute),
        }
    }

    fn is_applicable(&self, query: &Query) -> bool {
        match &self.settings.target {
            LookupTarget::Principal => query.principal.uid.kind == "Workload",
            LookupTarget::Resource | LookupTarget::Call { .. } => true,
        }
    }

    async fn look_up(
        &self,
        query: &Query,
        known: &Arc<dyn Knowledge>,
        reads: &Reads,
        deadline: Instant,
    ) -> Result<Facts, Failure> {
        let name = &self.settings.name;
        if !self.is_read(reads) || !self.is_applicable(query) {
            return Ok(Facts::default());
        }
        let url = match self.url.render(query) {
            Ok(url) => url,
            Err(Gap::Absent(_)) if self.settings.optional => return Ok(Facts::default()),
            Err(Gap::Absent(variable)) => {
                return Err(unavailable(format!("`{name}` cannot be queried: the call has no `${{{variable}}}`")));
            }
            Err(Gap::Unusable(why)) => return Err(unavailable(format!("`{name}` cannot be queried: the call {why}"))),
        };
        let key = CacheKey { url: url.clone(), schema: known.schema_digest().to_owned() };
        let deadline = deadline.min(Instant::now() + self.settings.timeout);
        let ask = || {
            let (settings, http, known) = (self.settings.clone(), self.http.clone(), known.clone());
            async move { ask(&settings, &http, url, &*known).await.map_err(unavailable) }
        };
        match self.cache.get(key, deadline, ask).await {
            Ok(Some(value)) => Ok(self.placed(&value)),
            Ok(None) => Ok(Facts::default()),
            Err(failure) => Err(Failure::new(failure.code, format!("`{name}`: {}", failure.detail))),
        }
    }

    fn placed(&self, value: &Value) -> Facts {
        let mut facts = Facts::default();
        match &self.settings.target {
            LookupTarget::Principal => {
                drop(facts.principal.attributes.insert(SmolStr::new_static("facts"), value.clone()))
            }
            LookupTarget::Resource => {
                drop(facts.resource.attributes.insert(SmolStr::new_static("facts"), value.clone()))
            }
            LookupTarget::Call { attribute } => drop(facts.call.insert(attribute.into(), value.clone())),
        }
        facts
    }
}

impl EntitySource for Lookup {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn fetch<'a>(
        &'a self,
        query: &'a Query,
        known: &'a Arc<dyn Knowledge>,
        reads: &'a Reads,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Facts, Failure>> {
        self.look_up(query, known, reads, deadline).boxed()
    }

    fn is_asked(&self, reads: &Reads) -> bool {
        self.is_read(reads)
    }

    fn read_only(&self) -> Option<Arc<dyn EntitySource>> {
        Some(Arc::new(self.read_only_copy()))
    }

    fn needs(&self, reads: &Reads, needed: &mut Reads) {
        if self.is_read(reads) {
            self.url.needs(needed);
        }
    }
}

/// Asks once. Errors are fragments without the URL.
async fn ask(settings: &Settings, http: &Http, url: String, known: &dyn Knowledge) -> Result<CachedAnswer, String> {
    let answer = match (http.get(url).await?, settings.missing) {
        (Answer::Document(answer), _) => answer,
        (Answer::NotFound, Missing::Absent) => return Ok(None),
        (Answer::NotFound, Missing::Fail) => return Err("the source answered 404 instead of 200".to_owned()),
    };
    let mapped = mapped(settings, answer);
    let misfit = |why: String| format!("the answer does not fit the schema: {why}");
    let value = match &settings.target {
        LookupTarget::Principal => known.typed(FactsType::Workload, &mapped).map_err(misfit)?,
        LookupTarget::Resource => known.typed(FactsType::Service, &mapped).map_err(misfit)?,
        LookupTarget::Call { attribute } => {
            let record = Json::Object([(attribute.clone(), mapped)].into_iter().collect());
            let Value::Record(mut fields) = known.typed(FactsType::Call, &record).map_err(misfit)? else {
                return Err(misfit("it is not a record".to_owned()));
            };
            fields.remove(attribute.as_str()).ok_or_else(|| misfit("it lacks the attribute".to_owned()))?
        }
    };
    Ok(Some(Arc::new(value)))
}

fn mapped(settings: &Settings, answer: Json) -> Json {
    if settings.whole {
        return answer;
    }
    let value = |(attribute, pointer): (&String, &String)| Some((attribute.clone(), answer.pointer(pointer)?.clone()));
    Json::Object(settings.attributes.iter().filter_map(value).collect())
}

#[cfg(test)]
mod tests;
