//! The offline checker of `validate`, `explain` and `test`: policies, profiles and calls without a server.
//!
//! Knows: the server's own loader, checker and encoder, and how to feed them from files. Must not know: how a
//! result is printed.
//!
//! Nothing is asked over the network but the key sets of issuers that a recorded check needs: what look-ups
//! would find is written beside the call, under `facts`.

pub mod approval;
mod facts;
pub mod form;
pub mod response;
pub mod sent;
pub mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use uuid::Uuid;

use super::render::{self, Files, Paint};
use super::{Exit, Output};
use form::{Caller, Catalogued, Given, RequestSpec};
use picket_core::call::{Call, Host, UnixMillis};
use picket_core::decision::Snapshot;
use picket_core::decision::limits::STACK_BYTES;
use picket_core::decision::snapshot::Tree;
use picket_core::failure::Failure;
use picket_core::identity::asserted::{AssertedCaller, TokenRules, identify_asserted};
use picket_core::identity::rules::IssuerRules;
use picket_core::mapping::service::Source;
use picket_core::problem::{Problem, Severity, chain};
use picket_core::release::ReleaseKey;
use picket_server::app::elicitation_key;
use picket_server::approval::Approvals;
use picket_server::check::elicitation::StateTokens;
use picket_server::check::explainer::Explainer;
use picket_server::check::explanation::Explanation;
use picket_server::check::release_record::{ProxySeal, ReleaseSealer};
use picket_server::check::{Checker, Judgement, Profile};
use picket_server::config::{self, Config, sections};
use picket_server::entity::{Entities, EntitySource};
use picket_server::envoy::encode::Answer;
use picket_server::envoy::{decode, encode, json};
use picket_server::keys::Keys;
use picket_server::policy::{PolicySource, Reading, Store, directory};
use picket_server::server::settings::Listener;

/// How long one call may take; only a defect needs it.
const TIMEOUT: Duration = Duration::from_secs(10);

// A doc comment would become the description of each command that flattens this.
#[derive(Debug, clap::Args)]
pub(super) struct PolicyArgs {
    /// The policy directory; else the configuration's, else `policies`.
    #[arg(short, long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// Reads calls by a profile of this configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name of the profile.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub profile: String,
}

/// A policy directory as the server would load it.
#[derive(Debug)]
pub struct Policies {
    /// The files, for the rendering of problems.
    pub tree: Tree,
    /// Everything the loader found, errors first.
    pub problems: Vec<Problem>,
    /// The snapshot; without a part that is refused.
    pub snapshot: Option<Arc<Snapshot>>,
    store: Arc<Store>,
}

/// One reading, so that all files come from the same moment.
struct Once(Result<Reading, Vec<Problem>>);

impl PolicySource for Once {
    fn read(&self) -> BoxFuture<'_, Result<Reading, Vec<Problem>>> {
        std::future::ready(self.0.clone()).boxed()
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }
}

impl Policies {
    /// Loads a policy directory by the server's own store.
    pub async fn load(dir: &Path) -> Self {
        let reading = directory::read(dir);
        let tree = reading.as_ref().map(|reading| reading.tree.clone()).unwrap_or_default();
        let store =
            Store::over(Arc::new(Once(reading)), Arc::new(|tree, base| Snapshot::load(tree, base.previous)), TIMEOUT);
        store.load_now().await;
        let status = store.status();
        let mut problems: Vec<Problem> = status.unreadable.iter().chain(&status.problems).cloned().collect();
        for problem in problems.iter_mut().filter(|problem| problem.file.is_empty()) {
            problem.file = dir.display().to_string();
        }
        Self { tree, problems, snapshot: store.current(), store: Arc::new(store) }
    }

    /// How many errors there are.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }
}

/// A configuration file and what it says.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// Its name.
    pub name: String,
    /// Its text, empty where it cannot be read.
    pub text: String,
    /// The settings with their warnings, or every problem.
    pub read: Result<(Config, Vec<Problem>), Vec<Problem>>,
}

impl Configuration {
    /// Reads a configuration file alone: neither the environment nor flags take part.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Err(error) => {
                let problem = Problem::error(&name, format!("could not read the configuration: {error}"));
                Self { name, text: String::new(), read: Err(vec![problem]) }
            }
            Ok(text) => {
                let sources = config::Sources { file: Some((name.clone(), text.clone())), ..Default::default() };
                let read = config::load(&sources).map(|effective| (effective.config, effective.warnings));
                Self { name, text, read }
            }
        }
    }
}

/// Evaluates calls from files by one profile.
#[derive(Debug, Clone)]
pub struct OfflineChecker {
    store: Arc<Store>,
    keys: Arc<Keys>,
    profile: Profile,
    issuers: Option<Vec<IssuerRules>>,
    limits: decode::Limits,
    listener: String,
    /// Set if the proxy sends responses to be evaluated.
    sealer: Option<Arc<ReleaseSealer>>,
    /// The configuration has lookups of facts about principals or resources.
    has_lookups: bool,
}

/// The result of one call.
#[derive(Debug)]
pub struct Judged {
    /// The answer.
    pub answer: Answer,
    /// The answer to the proxy as protobuf JSON.
    pub response: serde_json::Value,
    call: Option<Call>,
    profile: Profile,
}

impl Judged {
    /// The explanation of the result.
    #[must_use]
    pub fn explanation(&self) -> Explanation<'_> {
        match &self.call {
            Some(call) => Explanation::of(&self.answer.judgement, call, &self.profile),
            None => Explanation::unread(&self.answer.judgement),
        }
    }

    /// The reason of the verdict, or the code of the failure.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match &self.answer.judgement.result {
            Ok(verdict) => verdict.reason().as_str(),
            Err(failure) => failure.code.as_str(),
        }
    }
}

impl OfflineChecker {
    /// Without a configuration: callers and tokens are taken at their word, a service is named by its id or its host.
    #[must_use]
    pub fn plain(policies: &Policies) -> Self {
        let mut profile = Profile::default();
        profile.mapping.service.push(Source::Host);
        // As behind a proxy that hands requests over, so that tests of policies see masks.
        profile.processor.requests = true;
        Self {
            store: Arc::clone(&policies.store),
            keys: Arc::new(Keys::none()),
            profile,
            issuers: None,
            limits: decode::Limits::default(),
            listener: "offline".to_owned(),
            sealer: None,
            has_lookups: false,
        }
    }

    /// By a profile of a configuration.
    ///
    /// # Errors
    /// The profile does not exist, or an issuer's settings cannot be used.
    pub fn configured(policies: &Policies, config: &Config, profile: &str) -> Result<Self, String> {
        let known = || config.profiles.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let found = config.profiles.get(profile);
        let found = found.ok_or_else(|| format!("there is no profile `{profile}` (known: {})", known()))?;
        let keys = Keys::new(&config.keys, Path::new(".")).map_err(|problems| problems.join("; "))?;
        let uses = |listener: &&Listener| {
            listener.profile == profile || listener.client_profiles.iter().any(|row| row.profile == profile)
        };
        let listener = config.listeners.iter().find(uses);
        Ok(Self {
            store: Arc::clone(&policies.store),
            keys: Arc::new(keys),
            profile: found.clone(),
            issuers: Some(config.keys.rules()),
            limits: config.limits.check.limits(),
            listener: listener.map_or_else(|| profile.to_owned(), |listener| listener.name.clone()),
            sealer: None,
            has_lookups: config.entity.has_lookups(),
        })
    }

    /// The same for calls of one service, however the profile would find it.
    #[must_use]
    pub fn of_service(&self, id: &str) -> Self {
        let mut checker = self.clone();
        checker.profile.mapping.service = vec![Source::Fixed(id.to_owned())];
        checker
    }

    /// Fetches the issuers' keys, which only a recorded check with a token in it needs.
    pub async fn fetch_keys(&self) {
        self.keys.load().await;
    }

    /// Evaluates one call as the server would, and encodes the response as the server would.
    ///
    /// # Errors
    /// The call file does not make a valid check.
    pub async fn judge(&self, given: &Given, now: UnixMillis) -> Result<Judged, String> {
        let text = given.sent.check_json(given.caller.as_ref(), self.catalogued(&given.sent))?;
        let request = json::check_request(&text).map_err(|error| chain(&error))?;
        let sent = decode::CheckView::of(&request);
        let outline = decode::outline(&sent);
        let (judgement, call) = match decode::call(&sent, self.limits, now) {
            Err(failure) => (Arc::new(Judgement::failed(failure)), None),
            Ok(call) => (self.judgement(given, &call, now).await?, Some(call)),
        };
        // A request that leaves masked has a record; without a key of the responses it is one that nothing opens.
        let sealer = match (&self.sealer, judgement.masked.is_empty()) {
            (None, false) => {
                Some(Arc::new(ReleaseSealer::new(elicitation_key::load_as(None, ReleaseKey::new)?, TIMEOUT)))
            }
            (own, _) => own.clone(),
        };
        let seal = sealer.as_ref().map(|sealer| ProxySeal { sealer, proxy: "", at: now });
        // Endings of responses hold the id, and tests compare them.
        let id = if self.sealer.is_some() { Uuid::nil() } else { Uuid::now_v7() };
        let answer = encode::sealed_answer(judgement, id, call.as_ref(), outline.caller, seal);
        let response = json::check_response(&answer.response().map_err(|error| chain(&error))?);
        Ok(Judged { answer, response, call, profile: self.profile(given) })
    }

    /// The same, for a proxy that sends responses to be evaluated.
    ///
    /// # Errors
    /// The configured profile does not have such proxies; the system has no random numbers.
    pub fn with_responses(&self) -> Result<Self, String> {
        if self.issuers.is_some() && !self.profile.processor.responses {
            return Err("responses are not evaluated: the profile has no `processor: {responses: true}`".to_owned());
        }
        let key = elicitation_key::load_as(None, ReleaseKey::new)?;
        let mut checker = self.clone();
        checker.profile.processor.responses = true;
        checker.sealer = Some(Arc::new(ReleaseSealer::new(key, TIMEOUT)));
        Ok(checker)
    }

    /// The profile, at home where the call's file says, unless a configuration says it.
    fn profile(&self, given: &Given) -> Profile {
        let mut profile = self.profile.clone();
        if let (Some(home), None) = (&given.trust_domain, &self.issuers) {
            profile.identity.home_trust_domain.clone_from(home);
        }
        profile
    }

    async fn judgement(&self, given: &Given, call: &Call, now: UnixMillis) -> Result<Arc<Judgement>, String> {
        let facts: Arc<dyn EntitySource> = Arc::new(given.facts.clone());
        // Notes are good within one process: nothing that was written down brings one back.
        let state_tokens = StateTokens::new(elicitation_key::load(None)?, sections::Elicitation::default().state_ttl);
        let explainer = Explainer::of(Checker {
            listener: self.listener.clone(),
            profile: self.profile(given),
            policies: Arc::clone(&self.store),
            entities: Arc::new(Entities::over(vec![facts])),
            approvals: Arc::new(given.approval(now)?.map_or_else(Approvals::none, Approvals::given)),
            state_tokens,
            keys: Arc::clone(&self.keys),
            verifier: None,
            streams: Arc::default(),
            cache: None,
        });
        let deadline = Instant::now() + TIMEOUT;
        Ok(match &given.caller {
            Some(caller) => explainer.judge_as(self.identity(caller, explainer.profile(), now)?, call, deadline).await,
            None => explainer.judge(call, deadline).await,
        })
    }

    /// `Err` is a defect of the file; the inner `Err` is a caller that would be refused.
    fn identity(
        &self,
        caller: &Caller,
        profile: &Profile,
        now: UnixMillis,
    ) -> Result<Result<picket_core::identity::Identity, Failure>, String> {
        let (token, task) = (caller.token(now)?, caller.task(now)?);
        let said = AssertedCaller {
            spiffe: caller.spiffe.as_deref(),
            proof: caller.proof,
            token: token.as_ref(),
            task: task.as_ref(),
        };
        let rules = match &self.issuers {
            Some(issuers) => TokenRules::Profile(issuers),
            None => TokenRules::AnyIssuer(caller.token_kind),
        };
        Ok(identify_asserted(said, rules, &profile.identity, now))
    }

    /// The catalogue's entry for a call to a service by its id, or a gRPC service by its host.
    fn catalogued(&self, sent: &RequestSpec) -> Catalogued {
        let Some(snapshot) = self.store.current() else { return Catalogued::default() };
        let catalog = snapshot.catalog();
        let by_id = sent.service().and_then(|id| catalog.service(id));
        let host = by_id.and_then(|service| service.hosts.first().cloned());
        let RequestSpec::Grpc(grpc) = sent else { return Catalogued { host, method: None } };
        let by_host = || catalog.service_by_host(&Host::parse(grpc.host.as_deref()?).ok()?);
        let service = by_id.or_else(by_host);
        let described = service.and_then(|service| service.grpc.as_ref());
        let method = described.and_then(|service| service.descriptors.named(grpc.method.trim_start_matches('/')));
        Catalogued { host, method: method.cloned() }
    }
}

/// Runs one of the offline commands to its end.
///
/// # Errors
/// The runtime does not start.
pub fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().thread_stack_size(STACK_BYTES).build()?;
    Ok(runtime.block_on(future))
}

/// Problems, with the texts they are drawn in.
pub type Problems = (Vec<Problem>, Files);

/// Ends a command: with what `good` makes of its result, or by telling the problems.
pub fn conclude<T>(result: std::io::Result<Result<T, Problems>>, output: Output, good: impl FnOnce(T) -> Exit) -> Exit {
    match result {
        Ok(Ok(result)) => good(result),
        Ok(Err((problems, files))) => {
            match output {
                Output::Text | Output::Junit => eprint!("{}", render::text(&problems, &files, Paint::Plain)),
                Output::Json => {
                    println!("{}", serde_json::json!({"v": 1, "problems": render::json(&problems, &files)}));
                }
            }
            Exit::Invalid
        }
        Err(error) => {
            eprintln!("could not start the runtime: {error}");
            Exit::Internal
        }
    }
}

/// The policy directory that is meant: the argument, else the configuration's, else `policies`.
#[must_use]
pub fn directory_of(argument: Option<&Path>, config: Option<&Config>) -> PathBuf {
    argument.or(config.map(|config| &*config.policies.dir)).unwrap_or(Path::new("policies")).to_owned()
}
