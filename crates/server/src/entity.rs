//! The PIP: facts about principals, resources and calls that the call itself does not carry.
//!
//! Knows: catalogue and entities of the snapshot, look-ups over HTTP, deadlines.
//! Must not know: policies; [`Reads`] says what they can read, and nothing else is asked for.
//!
//! A source that does not answer is a failure, never "no attributes": a `forbid` that needs the
//! missing fact would silently not apply.

pub mod cache;
pub mod declared;
pub mod http;
pub mod json;
pub mod lookup;
pub mod merge;
pub mod template;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::{BoxFuture, try_join_all};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use lookup::{Lookup, LookupTarget};
use picket_core::decision::Snapshot;
use picket_core::decision::groups::Groups;
use picket_core::decision::snapshot::FactsType;
use picket_core::failure::{Code, Failure};
use picket_core::problem::Problem;
use picket_core::query::{Facts, Node, Query, Reads, Uid, Value};
use picket_core::setting::{CheckSettings, SettingProblem, of_parts};

/// The sources of facts in addition to the catalogue and `entities.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Look-ups over HTTP. Default none.
    #[serde(default)]
    pub lookups: Vec<lookup::Settings>,
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { lookups } = self;
        let mut found = of_parts(&[("lookups", lookups)]);
        let mut names = BTreeSet::new();
        for (index, lookup) in lookups.iter().enumerate() {
            if !names.insert(&lookup.name) {
                let message = format!("two look-ups are named `{}`; give each a name of its own", lookup.name);
                found.push(SettingProblem::error(format!("lookups.{index}.name"), message));
            }
            for earlier in lookups.iter().take(index).filter(|earlier| earlier.target == lookup.target) {
                let target = lookup.target.as_text();
                let message = format!("look-up `{}` gives {target} already; let one source give it", earlier.name);
                found.push(SettingProblem::error(format!("lookups.{index}.target"), message));
            }
        }
        found
    }
}

/// The part of the snapshot that sources may query; a trait so that tests bring a small one.
pub trait Knowledge: Send + Sync {
    /// The catalogue's groups of a workload; `None` where it has none.
    fn workload_groups(&self, spiffe_id: &str) -> Option<&Groups>;
    /// The catalogue's facts about a workload.
    fn workload_facts(&self, spiffe_id: &str) -> Option<&Value>;
    /// The catalogue's facts about a service (`<namespace>/<name>`).
    fn service_facts(&self, service: &str) -> Option<&Value>;
    /// What `entities.json` says about an entity.
    fn declared(&self, uid: &Uid) -> Option<&Node>;
    /// Digest of everything that [`Knowledge::typed`] depends on.
    fn schema_digest(&self) -> &str;
    /// Reads JSON as one of the facts' record types.
    ///
    /// # Errors
    /// What does not fit.
    fn typed(&self, kind: FactsType, json: &serde_json::Value) -> Result<Value, String>;
}

impl Knowledge for Snapshot {
    fn workload_groups(&self, spiffe_id: &str) -> Option<&Groups> {
        Snapshot::workload_groups(self, spiffe_id)
    }

    fn workload_facts(&self, spiffe_id: &str) -> Option<&Value> {
        Snapshot::workload_facts(self, spiffe_id)
    }

    fn service_facts(&self, service: &str) -> Option<&Value> {
        Snapshot::service_facts(self, service)
    }

    fn declared(&self, uid: &Uid) -> Option<&Node> {
        Snapshot::declared(self, uid)
    }

    fn schema_digest(&self) -> &str {
        Snapshot::schema_digest(self)
    }

    fn typed(&self, kind: FactsType, json: &serde_json::Value) -> Result<Value, String> {
        Snapshot::typed(self, kind, json)
    }
}

/// A source of facts that has to be waited for.
pub trait EntitySource: Send + Sync {
    /// Its name, for failures and metrics.
    fn name(&self) -> &str;

    /// Finds what the query's judges can read and this source gives; nothing where they read none of it.
    ///
    /// # Errors
    /// [`Code::EntitiesUnavailable`]: it does not answer by `deadline`, or not well.
    fn fetch<'a>(
        &'a self,
        query: &'a Query,
        known: &'a Arc<dyn Knowledge>,
        reads: &'a Reads,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Facts, Failure>>;

    /// Whether it may be asked at all where the policies read this: then its answer is of the moment.
    fn is_asked(&self, reads: &Reads) -> bool {
        let _ = reads;
        true
    }

    /// The same source for whoever only looks: it changes nothing that calls find. `None` where it remembers nothing.
    fn read_only(&self) -> Option<Arc<dyn EntitySource>> {
        None
    }

    /// Adds to `reads` what of the call this source needs to see, where a policy reads what it gives.
    fn needs(&self, reads: &Reads, needed: &mut Reads) {
        let _ = (reads, needed);
    }
}

/// All sources of facts.
pub struct Entities {
    sources: Vec<Arc<dyn EntitySource>>,
    caches: Vec<(String, Arc<cache::Cache>)>,
}

impl std::fmt::Debug for Entities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|source| source.name())).finish()
    }
}

impl Entities {
    /// The sources that the settings name. Requests that outlive their caller run in `tasks`, each for
    /// at most [`cache::FLIGHT_MAX`].
    ///
    /// # Errors
    /// Every problem of the settings, and files of certificates that cannot be read.
    pub fn new(settings: &Settings, file: &str, tasks: &TaskTracker) -> Result<Self, Vec<Problem>> {
        let found = settings.problems().into_iter();
        let mut problems: Vec<Problem> = found.map(|problem| problem.below("entity").in_file(file)).collect();
        let mut entities = Self::over(Vec::new());
        for settings in &settings.lookups {
            match Lookup::new(settings, tasks) {
                Ok(lookup) => {
                    entities.caches.push((settings.name.clone(), lookup.cache().clone()));
                    entities.sources.push(Arc::new(lookup));
                }
                // A problem that the check of the settings has reported is not reported twice.
                Err(message) if problems.is_empty() => problems.push(Problem::error(file, message)),
                Err(_) => {}
            }
        }
        if problems.is_empty() { Ok(entities) } else { Err(problems) }
    }

    /// Any sources, in addition to the catalogue and `entities.json`.
    #[must_use]
    pub fn over(sources: Vec<Arc<dyn EntitySource>>) -> Self {
        Self { sources, caches: Vec::new() }
    }

    /// The same sources for explanations: their requests change nothing that calls find.
    #[must_use]
    pub fn read_only(&self) -> Self {
        Self::over(self.sources.iter().map(|source| source.read_only().unwrap_or_else(|| Arc::clone(source))).collect())
    }

    /// The inputs that a call must provide: for the policies, and for the requests of look-ups.
    /// The query has to be built by this, or a look-up finds its variable absent.
    #[must_use]
    pub fn needs<'a>(&self, reads: &'a Reads) -> Cow<'a, Reads> {
        let mut needed = Cow::Borrowed(reads);
        for source in self.sources.iter().filter(|source| source.is_asked(reads)) {
            source.needs(reads, needed.to_mut());
        }
        needed
    }

    /// Whether a source may be queried over the network if the policies read this.
    #[must_use]
    pub fn are_asked(&self, reads: &Reads) -> bool {
        self.sources.iter().any(|source| source.is_asked(reads))
    }

    /// Everything the sources add to a query.
    ///
    /// # Errors
    /// [`Code::EntitiesUnavailable`]: a source that is needed does not answer in time or not well, or
    /// two sources give the same attribute.
    pub async fn fetch(
        &self,
        snapshot: &Arc<Snapshot>,
        query: &Query,
        reads: &Reads,
        deadline: Instant,
    ) -> Result<Facts, Failure> {
        let known: Arc<dyn Knowledge> = snapshot.clone();
        self.gather(&known, query, reads, deadline).await
    }

    /// The declared facts for a query: all facts, if no source [is queried](Self::are_asked).
    ///
    /// # Errors
    /// [`Code::EntitiesUnavailable`]: both give the same attribute.
    pub fn declared(snapshot: &Snapshot, query: &Query) -> Result<Facts, Failure> {
        let found = declared::facts(snapshot, query);
        if found.is_empty() { Ok(Facts::default()) } else { merge::merge(query, found) }
    }

    /// Statistics of each look-up's cache, by the look-up's name.
    pub fn caches(&self) -> impl Iterator<Item = (&str, &cache::Cache)> {
        self.caches.iter().map(|(name, cache)| (name.as_str(), &**cache))
    }

    async fn gather(
        &self,
        known: &Arc<dyn Knowledge>,
        query: &Query,
        reads: &Reads,
        deadline: Instant,
    ) -> Result<Facts, Failure> {
        let mut found = declared::facts(&**known, query);
        if found.is_empty() && self.sources.is_empty() {
            return Ok(Facts::default());
        }
        let looked_up = try_join_all(self.sources.iter().map(|source| async move {
            match tokio::time::timeout_at(deadline, source.fetch(query, known, reads, deadline)).await {
                Ok(facts) => Ok((source.name(), facts?)),
                Err(_) => Err(unavailable(format!("`{}` did not answer in time", source.name()))),
            }
        }));
        found.extend(looked_up.await?);
        merge::merge(query, found)
    }
}

impl Settings {
    /// Whether a look-up gives facts about principals or resources: another call may get others.
    #[must_use]
    pub fn has_lookups(&self) -> bool {
        self.lookups.iter().any(|lookup| match lookup.target {
            LookupTarget::Principal | LookupTarget::Resource => true,
            LookupTarget::Call { .. } => false,
        })
    }
}

impl LookupTarget {
    /// For messages.
    fn as_text(&self) -> String {
        match self {
            Self::Principal => "`principal.facts`".to_owned(),
            Self::Resource => "`resource.facts`".to_owned(),
            Self::Call { attribute } => format!("`context.env.facts.{attribute}`"),
        }
    }
}

fn unavailable(detail: impl Into<String>) -> Failure {
    Failure::new(Code::EntitiesUnavailable, detail)
}

#[cfg(test)]
mod tests;
