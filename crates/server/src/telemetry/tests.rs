//! Properties of telemetry as a whole, and the builder for its other tests.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use picket_core::call::{Body, CanonicalPath, Headers, Host, Peer, Target};
use picket_core::catalog::Protocol;
use picket_core::decision::verdict::{Denial, Effect, Reason, Verdict, WouldBe};
use picket_core::failure::{Code, Failure};
use picket_core::identity::Identity;
use picket_core::inspection::{Inspection, Unread};
use picket_core::obligation::Mutations;
use picket_core::query::{Node, Query, Record, Uid};

/// One call with its judgement; boring and denied until told otherwise.
pub(in crate::telemetry) struct Scene {
    pub decision_id: uuid::Uuid,
    pub judgement: Judgement,
    pub call: Call,
    pub request_id: Option<String>,
    pub trace_parent: Option<String>,
    pub elapsed: Duration,
}

impl Scene {
    pub fn denied() -> Self {
        let resource = Node::new(Uid::new("Path", "shop/orders/v1"));
        let query = Query {
            principal: Node::new(Uid::new("Workload", "spiffe://cluster.local/ns/web/sa/frontend")),
            action: "GET".into(),
            resource,
            context: Record::new(),
            bags: Vec::new(),
            namespace: "shop".into(),
        };
        Self {
            decision_id: uuid::Uuid::from_u128(7),
            judgement: Judgement {
                result: Ok(verdict(denial(Reason::NoPermit))),
                identity: Some(Identity::default()),
                service: Some("shop/orders".to_owned()),
                protocol: Some(Protocol::Http),
                query: Some(query),
                snapshot: None,
                reply: picket_core::denial_format::DenialFormat::Plain,
                document: None,
                reduced: None,
                is_too_long: false,
                prepared: Default::default(),
                digest: None,
                content: None,
                masked: Default::default(),
                release: None,
            },
            call: call("/v1?password=1", "orders.shop"),
            request_id: None,
            trace_parent: None,
            elapsed: Duration::from_micros(80),
        }
    }

    pub fn allowed(mutations: Mutations) -> Self {
        let mut scene = Self::denied();
        scene.judgement.result =
            Ok(Verdict { determining: vec!["shop/read".to_owned()], ..verdict(Effect::Allow(mutations)) });
        scene
    }

    pub fn found(detectors: &[&str]) -> Self {
        let mut scene = Self::denied();
        let found = detectors.iter().map(|name| (*name).into()).collect();
        scene.judgement.content = Some(Inspection { found, unread: Some(Unread::Media) });
        scene
    }

    pub fn failed(code: Code) -> Self {
        let mut scene = Self::denied();
        scene.judgement.result = Err(Failure::new(code, "why"));
        scene.judgement.query = None;
        scene
    }

    pub fn verdict(&mut self) -> &mut Verdict {
        self.judgement.result.as_mut().expect("the scene has a verdict")
    }

    pub fn query(&mut self) -> &mut Query {
        self.judgement.query.as_mut().expect("the scene has a query")
    }

    pub fn seen(&self) -> Observed<'_> {
        Observed {
            decision_id: self.decision_id,
            judgement: &self.judgement,
            call: Some(&self.call),
            listener: "mesh",
            status: 403,
            trace_parent: self.trace_parent.as_deref(),
            request_id: self.request_id.as_deref(),
            received_at: UnixMillis(1_700_000_000_123),
            elapsed: self.elapsed,
        }
    }
}

pub(in crate::telemetry) fn denial(reason: Reason) -> Effect {
    Effect::Deny(Denial { reason, status: None, public_reason: None, detail: String::new() })
}

pub(in crate::telemetry) fn would_be(decision: picket_core::decision::verdict::Decision, reason: Reason) -> WouldBe {
    WouldBe { decision, reason, determining: vec!["shop/new".to_owned()] }
}

fn verdict(effect: Effect) -> Verdict {
    Verdict { effect, determining: Vec::new(), errors: Vec::new(), would_be: None }
}

fn call(path_sent: &str, host: &str) -> Call {
    let path = CanonicalPath::parse(path_sent.split('?').next().unwrap()).unwrap();
    Call {
        peer: Peer::default(),
        method: "GET".to_owned(),
        scheme: "https".to_owned(),
        host: Host::parse(host).unwrap(),
        target: Target::Path { path, query: None },
        path_sent: path_sent.to_owned(),
        upgrade: None,
        headers: Headers::default(),
        body: Body::NotSent,
        extensions: BTreeMap::new(),
        verified_tokens: BTreeMap::new(),
        received_at: UnixMillis(0),
    }
}

fn start(sink: decision_log::Sink) -> Arc<Telemetry> {
    let decision_log = decision_log::Settings { sink, queue_events_max: 100, ..decision_log::Settings::default() };
    Telemetry::start(&Settings { decision_log, ..Settings::default() }, "1.2.3").unwrap()
}

fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

fn value(telemetry: &Telemetry, sample: &str) -> f64 {
    let text = telemetry.metrics().render();
    let line = text.lines().find_map(|line| line.strip_prefix(sample)).unwrap_or_else(|| panic!("no {sample}"));
    line.trim().parse().unwrap()
}

pub(in crate::telemetry) fn fifo(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn every_metric_is_in_the_table_and_every_row_is_a_metric() {
    let telemetry = start(decision_log::Sink::None);
    for spec in metrics::table::SOURCES {
        telemetry.metrics().add_source(spec, move || {
            vec![metrics::Sample { labels: vec!["x".to_owned(); spec.labels.len()], value: 1.0 }]
        });
    }
    let text = telemetry.metrics().render();
    let mut rendered: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        .collect();
    let mut listed: Vec<&str> = metrics::table::all().map(|spec| spec.name).collect();
    rendered.sort_unstable();
    listed.sort_unstable();
    assert_eq!(rendered, listed);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn p46_nothing_a_caller_sends_adds_a_series() {
    let telemetry = start(decision_log::Sink::None);
    telemetry.metrics().loaded(
        &BTreeMap::from([("shop".to_owned(), vec!["shop/read".to_owned()])]),
        &BTreeMap::from([("shop".to_owned(), "d1".to_owned())]),
    );
    let mut known = Scene::denied();
    telemetry.finish(&known.seen());
    known.query().namespace = "unheard-of".into();
    known.verdict().determining = vec!["unheard-of/policy".to_owned()];
    known.verdict().errors =
        vec![picket_core::decision::verdict::PolicyError { policy: "unheard-of/p".to_owned(), message: String::new() }];
    telemetry.finish(&known.seen());
    let mut failed = Scene::failed(Code::Unmapped);
    telemetry.finish(&failed.seen());
    failed.judgement.service = None;
    telemetry.finish(&failed.seen());
    let before = series(&telemetry.metrics().render());

    let mut scene = known;
    for round in 0..200_000_u64 {
        let noise = round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let text = format!("{noise:x}\"\n{{}}");
        scene.call.path_sent = format!("/{text}");
        scene.call.method = text.clone();
        scene.request_id = Some(text.clone());
        let query = scene.query();
        query.namespace = text.as_str().into();
        query.principal.uid.id = text.as_str().into();
        query.resource.uid.id = text.as_str().into();
        scene.judgement.service = Some(format!("{text}/x"));
        if let Ok(verdict) = &mut scene.judgement.result {
            verdict.determining = vec![text.clone()];
            verdict.errors = vec![picket_core::decision::verdict::PolicyError { policy: text.clone(), message: text }];
        }
        telemetry.finish(&scene.seen());
    }
    assert_eq!(series(&telemetry.metrics().render()), before);
}

#[tokio::test]
async fn a_pipe_without_a_reader_never_delays_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = start(decision_log::Sink::File(fifo(folder.path())));
    let scene = Scene::denied();
    let began = Instant::now();
    for _ in 0..10_000 {
        telemetry.finish(&scene.seen());
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?} for 10,000 calls", began.elapsed());
    let full = value(&telemetry, "picket_decision_log_dropped_total{reason=\"queue_full\"}");
    assert!(full >= 9_000.0, "only {full} of 10,000 were dropped for a queue of 100");

    telemetry.shutdown(Instant::now() + Duration::from_millis(50)).await;
    let lost = value(&telemetry, "picket_decision_log_dropped_total{reason=\"shutdown\"}");
    assert_eq!(full + lost, 10_000.0, "every record is accounted for");
}

#[tokio::test]
async fn a_full_disk_costs_records_and_nothing_else() {
    let telemetry = start(decision_log::Sink::File("/dev/full".into()));
    for _ in 0..10 {
        telemetry.finish(&Scene::denied().seen());
    }
    telemetry.shutdown(Instant::now() + Duration::from_secs(10)).await;
    assert_eq!(value(&telemetry, "picket_decision_log_dropped_total{reason=\"write_failed\"}"), 10.0);
    assert_eq!(value(&telemetry, "picket_decision_log_written_total"), 0.0);
    telemetry.finish(&Scene::denied().seen());
    assert_eq!(value(&telemetry, "picket_decision_log_dropped_total{reason=\"shutdown\"}"), 1.0, "the end is the end");
}

#[tokio::test]
async fn waiting_records_are_written_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.jsonl");
    let telemetry = start(decision_log::Sink::File(path.clone()));
    for _ in 0..50 {
        telemetry.finish(&Scene::allowed(Mutations::default()).seen());
    }
    telemetry.shutdown(Instant::now() + Duration::from_secs(10)).await;
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 50);
}

#[test]
fn every_bad_setting_is_named_with_its_section() {
    let settings = Settings {
        log: spans::LogSettings { level: "picket=loud".to_owned(), ..spans::LogSettings::default() },
        decision_log: decision_log::Settings {
            sink: decision_log::Sink::File("/nowhere/at/all".into()),
            queue_events_max: 0,
            queue_bytes_max: 0,
            sample_allows: f64::NAN,
            ..decision_log::Settings::default()
        },
        otlp: Some(spans::Settings {
            endpoint: "https://collector:4317".to_owned(),
            sample_roots: 2.0,
            timeout: Duration::ZERO,
        }),
    };
    let problems: Vec<String> = settings.problems().iter().map(ToString::to_string).collect();
    for key in [
        "`log.level`",
        "`decision_log.sink.file`",
        "`decision_log.queue_events_max`",
        "`decision_log.queue_bytes_max`",
        "`decision_log.sample_allows`",
        "`otlp.endpoint`",
        "`otlp.sample_roots`",
        "`otlp.timeout`",
    ] {
        assert!(problems.iter().any(|problem| problem.starts_with(key)), "{key} is not in {problems:#?}");
    }
    assert!(matches!(Telemetry::start(&settings, "1"), Err(StartError::Settings(_))));
}

#[test]
fn settings_are_read_as_documented_and_unknown_keys_refused() {
    let read = |text: &str| serde_saphyr::from_str::<Settings>(text);
    let settings = read(
        "log: {format: json, level: warn}\n\
         decision_log: {sink: {file: /tmp/d.jsonl}, sample_allows: 0.5, mask: [x-ticket]}\n\
         otlp: {endpoint: 'http://127.0.0.1:4317', timeout: 2s}\n",
    )
    .unwrap();
    assert_eq!(settings.decision_log.sink, decision_log::Sink::File("/tmp/d.jsonl".into()));
    assert_eq!(settings.otlp.unwrap().timeout, Duration::from_secs(2));
    assert_eq!(read("decision_log: {sink: none}").unwrap().decision_log.sink, decision_log::Sink::None);
    assert_eq!(read("{}").unwrap(), Settings::default());
    assert!(read("decision_log: {sampel_allows: 1}").is_err());
}
