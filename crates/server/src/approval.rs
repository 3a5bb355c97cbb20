//! Approvals: proof that another system approved exactly this call, used at most once.
//!
//! Knows: where a call names its approval, the source that has it, whether it was used. Must not know: policies, which
//! decide the effect of an approval; [`Reads`] says whether they can see one, and otherwise none is fetched.
//!
//! Without a reference that its source knows, `context.approval` is absent. A source that does not answer well is a
//! failure. An approval that is good for one call is used up when the verdict is known to depend on it, before the
//! answer leaves: of two calls that race, one is denied.

pub mod digest;
pub mod record;
pub mod redemption;
pub mod settings;

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::entity::cache::{self, Cache};
use crate::entity::http::{Answer, Http};
use crate::entity::template::Template;
use picket_core::call::UnixMillis;
use picket_core::failure::{Code, Failure};
use picket_core::problem::{Problem, Severity};
use picket_core::query::{Keys, Query, Reads, Value, action};
use picket_core::setting::of_parts;
use record::{FieldKind, Matches, Record, Used};
use redemption::{Embedded, RedemptionStore, Uses};
pub use settings::{Settings, Store};

/// How long a use is recorded after its approval's end: clocks differ, and ends are moved a little.
const KEPT_MILLIS: i64 = 7 * 24 * 60 * 60 * 1000;

/// All sources of approvals, and what was used.
#[derive(Debug)]
pub struct Approvals {
    sources: Sources,
    store: Access,
}

/// Access to the store of uses.
#[derive(Debug)]
enum Access {
    /// There is no store, because no source is configured.
    Nothing,
    /// Read-only access, which cannot use anything up.
    Look(Arc<dyn Uses>),
    /// A call uses up what it rests on.
    Use(Arc<dyn RedemptionStore>),
}

#[derive(Debug, Clone)]
enum Sources {
    Asked(Vec<Source>),
    /// The approval that a policy test gives instead.
    Given(Box<Given>),
}

/// An approval that is given instead of fetched, with everything else that a call would find out about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The approval.
    pub record: Record,
    /// Whether it matches the call.
    pub matches: Matches,
}

/// An approval that was found for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The value of `context.approval`.
    pub value: Value,
    /// The use that the call consumes, if the approval is good for one only.
    once: Option<Once>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Once {
    key: redemption::RedemptionKey,
    used: Used,
    not_after: i64,
    now: i64,
}

impl Found {
    /// Returns whether it is good for one call only.
    #[must_use]
    pub fn is_one_use(&self) -> bool {
        self.once.is_some()
    }
}

/// One source, ready for requests.
#[derive(Debug, Clone)]
struct Source {
    settings: Arc<Settings>,
    label: String,
    url: Template,
    http: Arc<Http>,
    cache: Arc<Cache<Record>>,
}

impl Approvals {
    /// No approvals at all.
    #[must_use]
    pub fn none() -> Self {
        Self { sources: Sources::Asked(Vec::new()), store: Access::Nothing }
    }

    /// The same approval for every call that a policy can see one in: for policy tests. Nothing is used up.
    #[must_use]
    pub fn given(given: Given) -> Self {
        Self { sources: Sources::Given(Box::new(given)), store: Access::Nothing }
    }

    /// The sources that the settings name; requests and writes run in `tasks`.
    ///
    /// # Errors
    /// Every problem of the settings, and files that cannot be read or written.
    pub fn new(sources: &[Settings], store: &Store, file: &str, tasks: &TaskTracker) -> Result<Self, Vec<Problem>> {
        if sources.is_empty() {
            return Ok(Self::none());
        }
        let found = of_parts(&[("approvals", &sources.to_vec()), ("approvals_store", store)]).into_iter();
        let found = found.chain(settings::relations(sources, store));
        let found = found.filter(|problem| problem.severity == Severity::Error);
        let mut problems: Vec<Problem> = found.map(|problem| problem.in_file(file)).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut ready = Vec::new();
        for settings in sources {
            match Source::new(settings, tasks) {
                Ok(source) => ready.push(source),
                Err(message) => problems.push(Problem::error(file, message)),
            }
        }
        let once = Embedded::open(store.file.as_deref(), tasks);
        let once = once.map_err(|message| problems.push(Problem::error(file, message)));
        match once {
            Ok(once) if problems.is_empty() => Ok(Self::over(ready, Arc::new(once))),
            Ok(_) | Err(()) => Err(problems),
        }
    }

    fn over(sources: Vec<Source>, once: Arc<dyn RedemptionStore>) -> Self {
        Self { sources: Sources::Asked(sources), store: Access::Use(once) }
    }

    /// The same approvals, read-only: none is used up, and no answer is cached for calls.
    #[must_use]
    pub fn read_only(&self) -> Self {
        let mut sources = self.sources.clone();
        if let Sources::Asked(sources) = &mut sources {
            sources.iter_mut().for_each(|source| source.cache = source.cache.read_only());
        }
        let store = match &self.store {
            Access::Nothing => Access::Nothing,
            Access::Look(uses) => Access::Look(Arc::clone(uses)),
            Access::Use(store) => Access::Look(Arc::<dyn RedemptionStore>::clone(store)),
        };
        Self { sources, store }
    }

    /// Returns whether a result can depend on an approval, given the inputs of its policies.
    #[must_use]
    pub fn are_asked(&self, reads: &Reads) -> bool {
        reads.approval
    }

    /// Adds to `needed` what of a call to `service` must be known to find its approval, where a policy can see it.
    pub fn needs(&self, service: &str, reads: &Reads, needed: &mut Reads) {
        if !reads.approval {
            return;
        }
        let Some(source) = self.source(service) else { return };
        source.url.needs(needed);
        if !source.settings.bound.is_empty() || source.settings.fields.digest.is_some() {
            needed.body = true;
            needed.args.merge(&Keys::Some(source.settings.bound.keys().cloned().collect()));
        }
    }

    /// The approval that a call to `service` names. `digest` is the action's, absent if the request is not known
    /// completely: an unread body could hold anything.
    ///
    /// # Errors
    /// [`Code::EntitiesUnavailable`]: the source or the store of uses does not answer by `deadline`, or not well.
    pub async fn find(
        &self,
        service: &str,
        query: &Query,
        reads: &Reads,
        digest: Option<&str>,
        deadline: Instant,
    ) -> Result<Option<Found>, Failure> {
        if !reads.approval || !has_place(action::bare(&query.action)) {
            return Ok(None);
        }
        if let Sources::Given(given) = &self.sources {
            let used = if given.record.used { Used::Yes } else { Used::No };
            return Ok(Some(Found { value: given.record.value(given.matches, used), once: None }));
        }
        let Some(source) = self.source(service) else { return Ok(None) };
        let Some(record) = source.find(query, deadline).await? else { return Ok(None) };
        self.judged(source, &record, query, digest, deadline).await.map(Some)
    }

    /// Uses up the approval that an allow depends on; to be called once for each such call, before its answer. If the
    /// call is interrupted or fails, the approval may be used up all the same.
    ///
    /// # Errors
    /// [`Code::ApprovalUsed`]: it was good for one call, and another has used it, or it has expired.
    /// [`Code::EntitiesUnavailable`]: the use could not be written by `deadline`.
    pub async fn consume(&self, found: &Found, deadline: Instant) -> Result<(), Failure> {
        let Some(once) = &found.once else { return Ok(()) };
        let denied = |why: &str| {
            let redemption::RedemptionKey { system, id } = &once.key;
            Failure::new(Code::ApprovalUsed, format!("approval `{}` of `{system}` {why}", id.escape_debug()))
        };
        if once.used == Used::Yes {
            return Err(denied("was used before"));
        }
        // Past its end its use will be forgotten, so it could be used again.
        if once.now > once.not_after {
            return Err(denied("is past its time"));
        }
        let store = match &self.store {
            Access::Nothing => return Err(unavailable("there is no store of uses")),
            // The call would be allowed, and the next one not.
            Access::Look(_) => return Ok(()),
            Access::Use(store) => store,
        };
        let until = UnixMillis(once.not_after.saturating_add(KEPT_MILLIS));
        let using = store.consume(once.key.clone(), until, UnixMillis(once.now));
        match tokio::time::timeout_at(deadline, using).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(denied("was used before")),
            Ok(Err(why)) => Err(unavailable(why)),
            Err(_) => Err(unavailable("the store of uses did not answer in time")),
        }
    }

    /// Statistics of each source, by its label in metrics, with the number of cached answers.
    pub fn caches(&self) -> impl Iterator<Item = (&str, &cache::Stats, u64)> {
        self.asked().iter().map(|source| (source.label.as_str(), source.cache.stats(), source.cache.entries()))
    }

    fn asked(&self) -> &[Source] {
        match &self.sources {
            Sources::Asked(sources) => sources,
            Sources::Given(_) => &[],
        }
    }

    fn source(&self, service: &str) -> Option<&Source> {
        let named = self.asked().iter().find(|source| source.settings.services.contains(service));
        named.or_else(|| self.asked().iter().find(|source| source.settings.services.is_empty()))
    }

    async fn judged(
        &self,
        source: &Source,
        record: &Record,
        query: &Query,
        digest: Option<&str>,
        deadline: Instant,
    ) -> Result<Found, Failure> {
        let matches = if record.matches(query, digest) { Matches::Yes } else { Matches::No };
        let mut used = if record.used { Used::Yes } else { Used::No };
        let mut once = None;
        if record.one_use {
            let key = redemption::RedemptionKey { system: source.settings.system().to_owned(), id: record.id.clone() };
            if self.is_used(&key, deadline).await? {
                used = Used::Yes;
            }
            let now = now(query).ok_or_else(|| Failure::new(Code::Internal, "the query does not say the time"))?;
            once = Some(Once { key, used, not_after: record.not_after, now });
        }
        Ok(Found { value: record.value(matches, used), once })
    }

    async fn is_used(&self, key: &redemption::RedemptionKey, deadline: Instant) -> Result<bool, Failure> {
        let store: &dyn Uses = match &self.store {
            Access::Nothing => return Err(unavailable("there is no store of uses")),
            Access::Look(uses) => &**uses,
            Access::Use(store) => &**store,
        };
        match tokio::time::timeout_at(deadline, store.is_used(key.clone())).await {
            Ok(used) => used.map_err(unavailable),
            Err(_) => Err(unavailable("the store of uses did not answer in time")),
        }
    }
}

impl Source {
    fn new(settings: &Settings, tasks: &TaskTracker) -> Result<Self, String> {
        let wrong = |message: String| format!("approvals `{}`: {message}", settings.name);
        let url = settings.template().map_err(wrong)?;
        let http = Http::new(&settings.http(), &url).map_err(wrong)?;
        let remembered =
            cache::Settings { ttl: settings.ttl, in_flight_max: settings.in_flight_max, ..cache::Settings::default() };
        Ok(Self {
            label: format!("approvals/{}", settings.name),
            settings: Arc::new(settings.clone()),
            url,
            http: Arc::new(http),
            cache: Cache::new(remembered, tasks),
        })
    }

    /// The source's record of the approval that a call names; `None` if the call names none.
    async fn find(&self, query: &Query, deadline: Instant) -> Result<Option<Arc<Record>>, Failure> {
        let is_named = match &self.settings.reference {
            settings::Reference::Argument(pointer) => {
                record::argument(query, pointer).is_some_and(|argument| argument.kind == FieldKind::Text)
            }
            settings::Reference::Header(_) => true,
        };
        // A reference that is absent, or that no URL can hold, names no approval.
        let (true, Ok(url)) = (is_named, self.url.render(query)) else { return Ok(None) };
        let deadline = deadline.min(Instant::now() + self.settings.timeout);
        // Records are read by the settings alone, so no schema is part of the question.
        let key = cache::CacheKey { url: url.clone(), schema: String::new() };
        let ask = || {
            let (settings, http) = (Arc::clone(&self.settings), Arc::clone(&self.http));
            async move {
                let read = |answer| match answer {
                    Answer::Document(answer) => Record::read(&settings, &answer).map(|record| Some(Arc::new(record))),
                    Answer::NotFound => Ok(None),
                };
                http.get(url).await.and_then(read).map_err(unavailable)
            }
        };
        let found = self.cache.get(key, deadline, ask).await;
        found.map_err(|failure| Failure::new(failure.code, format!("`{}`: {}", self.label, failure.detail)))
    }
}

/// Returns whether the schema has a place for an approval in the action's context.
fn has_place(action: &str) -> bool {
    !matches!(action, "connect" | "upgrade" | "mcp.prompts.get" | "mcp.server.use" | "release")
}

fn now(query: &Query) -> Option<i64> {
    let Some(Value::Record(env)) = query.context.get("env") else { return None };
    match env.get("now") {
        Some(Value::Time(now)) => Some(*now),
        Some(_) | None => None,
    }
}

fn unavailable(detail: impl Into<String>) -> Failure {
    Failure::new(Code::EntitiesUnavailable, detail)
}

#[cfg(test)]
mod tests;
