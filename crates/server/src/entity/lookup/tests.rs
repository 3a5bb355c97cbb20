use std::net::SocketAddr;
use std::sync::Mutex;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::entity::tests::{World, all, query};
use picket_core::failure::Code;
use picket_core::query::{Keys, record};

/// What the fake source does with a connection. These tests use the real clock: a paused one would run
/// out while a socket is waited for.
#[derive(Clone)]
enum Reply {
    Bytes(Vec<u8>),
    Hang,
    Late(Duration, Vec<u8>),
}

/// An HTTP source on a port of its own; gives its replies in turn, the last one for ever.
struct Source {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Source {
    async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
        };
        let (requests, cancel, tasks) = (source.requests.clone(), source.cancel.clone(), source.tasks.clone());
        source.tasks.spawn(async move {
            while let Some(Ok((mut stream, _))) = cancel.run_until_cancelled(listener.accept()).await {
                let (requests, replies, cancel) = (requests.clone(), replies.clone(), cancel.clone());
                tasks.spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        request.push(stream.read_u8().await.unwrap());
                    }
                    let number = {
                        let mut requests = requests.lock().unwrap();
                        requests.push(String::from_utf8(request).unwrap());
                        requests.len() - 1
                    };
                    match replies.get(number).or(replies.last()).unwrap() {
                        Reply::Bytes(bytes) => drop(stream.write_all(bytes).await),
                        Reply::Hang => cancel.cancelled().await,
                        Reply::Late(delay, bytes) => {
                            tokio::time::sleep(*delay).await;
                            drop(stream.write_all(bytes).await);
                        }
                    }
                });
            }
        });
        source
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// A look-up that asks this source, with more settings as YAML.
    fn lookup(&self, more: &str) -> Lookup {
        let yaml = format!(
            "name: tickets\ntarget: {{call: {{attribute: change}}}}\n\
             url: 'http://{}/tickets/${{context.args[/change]}}'\nattributes: {{state: /fields/status}}\n{more}",
            self.address
        );
        let settings: Settings = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(settings.problems(), []);
        Lookup::new(&settings, &self.tasks).unwrap()
    }
}

fn http(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn json(body: &str) -> Vec<u8> {
    http(200, "application/json", body)
}

const TICKET: &str = r#"{"fields": {"status": "approved"}, "secret": "s"}"#;
/// Long enough for a loopback answer on a busy machine.
const PATIENT: &str = "timeout: 5s";

async fn fetch(lookup: &Lookup) -> Result<Facts, Failure> {
    fetch_for(lookup, &query(), &all()).await
}

async fn fetch_for(lookup: &Lookup, query: &Query, reads: &Reads) -> Result<Facts, Failure> {
    let known: Arc<dyn Knowledge> = Arc::new(World::default());
    lookup.fetch(query, &known, reads, Instant::now() + Duration::from_secs(10)).await
}

fn state(facts: &Facts) -> &Value {
    match &facts.call[&"change".into()] {
        Value::Record(fields) => &fields[&"state".into()],
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_becomes_the_mapped_attributes_and_no_others() {
    let source = Source::start(vec![Reply::Bytes(json(TICKET))]).await;
    let facts = fetch(&source.lookup(PATIENT)).await.unwrap();
    assert_eq!(facts.call[&"change".into()], Value::Record(record([("state", "approved".into())])));
    assert!(source.requests()[0].starts_with("GET /tickets/CHG%207%20%C3%A9%2B HTTP/1.1\r\n"));
}

#[tokio::test]
async fn anything_but_a_good_answer_is_unavailable_and_shows_neither_url_nor_value() {
    let mut truncated = json(TICKET);
    truncated.truncate(truncated.len() - 5);
    let huge = format!(r#"{{"fields": {{"status": "{}"}}}}"#, "x".repeat(70_000));
    let redirect = b"HTTP/1.1 302 X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_vec();
    let html = http(200, "text/html", TICKET);
    let twice = r#"{"fields": {"status": "approved", "status": "approved"}}"#;
    let rows = [
        ("server error", http(500, "application/json", TICKET), "500"),
        ("no content", http(204, "application/json", ""), "204"),
        ("not found", http(404, "application/json", TICKET), "404"),
        ("redirect", redirect, "302"),
        ("not HTTP", b"SSH-2.0-x\r\n".to_vec(), "did not answer"),
        ("closed at once", Vec::new(), "did not answer"),
        ("truncated", truncated, "interrupted"),
        ("huge", json(&huge), "64 KiB"),
        ("HTML", html, "content-type"),
        ("garbage", json("{garbage"), "not JSON"),
        ("empty", json(""), "not JSON"),
        ("duplicate keys", json(twice), "duplicate key"),
        ("does not fit the schema", json(r#"{"fields": {"status": "misfit"}}"#), "does not fit"),
    ];
    for (name, reply, expected) in rows {
        let source = Source::start(vec![Reply::Bytes(reply)]).await;
        let failure = fetch(&source.lookup(PATIENT)).await.unwrap_err();
        assert_eq!(failure.code, Code::EntitiesUnavailable, "{name}");
        assert!(failure.detail.contains("`tickets`"), "{name}: {failure}");
        assert!(failure.detail.contains(expected), "{name}: {failure}");
        assert!(!failure.detail.contains("CHG") && !failure.detail.contains("http://"), "{name}: {failure}");
        assert_eq!(source.requests().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_source_that_is_not_there_is_unavailable() {
    let source = Source::start(vec![Reply::Hang]).await;
    let lookup = source.lookup(PATIENT);
    source.cancel.cancel();
    source.tasks.close();
    source.tasks.wait().await;
    assert!(fetch(&lookup).await.unwrap_err().detail.contains("could not connect"));
}

#[tokio::test]
async fn a_source_that_hangs_costs_its_timeout_and_no_more() {
    let source = Source::start(vec![Reply::Hang]).await;
    let lookup = source.lookup("timeout: 20ms");
    let started = Instant::now();
    assert_eq!(fetch(&lookup).await.unwrap_err().code, Code::EntitiesUnavailable);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_late_answer_serves_the_next_call_without_a_second_request() {
    let source = Source::start(vec![Reply::Late(Duration::from_millis(100), json(TICKET))]).await;
    let lookup = source.lookup("timeout: 20ms");
    let mut failures = 0;
    while fetch(&lookup).await.is_err() {
        failures += 1;
    }
    assert!(failures >= 1);
    assert_eq!(source.requests().len(), 1);
}

#[tokio::test]
async fn many_calls_at_once_send_one_request() {
    let source = Source::start(vec![Reply::Late(Duration::from_millis(50), json(TICKET))]).await;
    let lookup = source.lookup(PATIENT);
    let answers = join_all((0..100).map(|_| fetch(&lookup))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(source.requests().len(), 1);
}

#[tokio::test]
async fn a_source_that_flaps_fails_only_the_calls_that_it_fails() {
    let bad = Reply::Bytes(http(503, "application/json", ""));
    let source = Source::start(vec![bad.clone(), Reply::Bytes(json(TICKET)), bad]).await;
    let lookup = source.lookup(PATIENT);
    assert!(fetch(&lookup).await.is_err());
    assert_eq!(state(&fetch(&lookup).await.unwrap()), &"approved".into());
    assert_eq!(state(&fetch(&lookup).await.unwrap()), &"approved".into(), "remembered");
    assert_eq!(source.requests().len(), 2);
}

#[tokio::test]
async fn not_found_is_an_answer_only_where_the_settings_say_so() {
    let source = Source::start(vec![Reply::Bytes(http(404, "text/plain", "no"))]).await;
    let lookup = source.lookup("missing: absent\ntimeout: 5s");
    for _ in 0..2 {
        assert_eq!(fetch(&lookup).await.unwrap(), Facts::default());
    }
    assert_eq!(source.requests().len(), 1, "that there is none is remembered");
}

#[tokio::test]
async fn nothing_is_fetched_that_no_policy_reads() {
    let source = Source::start(vec![Reply::Bytes(json(TICKET))]).await;
    let lookup = source.lookup(PATIENT);
    let rows = [
        (Keys::default(), 0),
        (Keys::Some(["other".to_owned()].into()), 0),
        (Keys::Some(["change".to_owned()].into()), 1),
    ];
    for (call_facts, asked) in rows {
        let facts = fetch_for(&lookup, &query(), &Reads { call_facts, ..Reads::default() }).await.unwrap();
        assert_eq!((facts.call.len(), source.requests().len()), (asked, asked));
    }
}

#[tokio::test]
async fn a_call_without_the_variable_is_unavailable_unless_the_lookup_is_optional() {
    let source = Source::start(vec![Reply::Bytes(json(TICKET))]).await;
    let mut query = query();
    query.bags.clear();
    let failure = fetch_for(&source.lookup(PATIENT), &query, &all()).await.unwrap_err();
    assert!(failure.detail.contains("${context.args[/change]}"), "{failure}");
    let facts = fetch_for(&source.lookup("optional: true\ntimeout: 5s"), &query, &all()).await.unwrap();
    assert_eq!(facts, Facts::default());
    assert!(source.requests().is_empty());
}

#[tokio::test]
async fn a_header_comes_from_its_file_and_appears_in_no_message() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let headers = format!(
        "headers: {{authorization: {{file: '{}', prefix: 'Bearer '}}}}\ncache: {{ttl: 0s}}\n{PATIENT}",
        file.path().display()
    );
    let source = Source::start(vec![Reply::Bytes(json(TICKET)), Reply::Bytes(http(401, "text/plain", "hunter"))]).await;
    let lookup = source.lookup(&headers);
    assert!(fetch(&lookup).await.unwrap_err().detail.contains("is empty"));
    for token in ["hunter1", "hunter2"] {
        std::fs::write(file.path(), format!("{token}\n")).unwrap();
        let answer = fetch(&lookup).await;
        assert!(source.requests().last().unwrap().contains(&format!("authorization: Bearer {token}\r\n")));
        assert!(!format!("{answer:?} {lookup:?}").contains("hunter"));
    }
    std::fs::remove_file(file.path()).unwrap();
    assert!(fetch(&lookup).await.is_err());
    assert_eq!(source.requests().len(), 2, "without its header nothing is asked");
}

#[tokio::test]
async fn principal_and_resource_get_their_facts_as_one_attribute() {
    let source = Source::start(vec![Reply::Bytes(json(r#"{"team": "web"}"#))]).await;
    let lookup = |target: &str| {
        let url = format!("http://{}/${{resource.id}}", source.address);
        let yaml = format!("name: teams\ntarget: {target}\nurl: '{url}'\nwhole: true\ntimeout: 5s");
        Lookup::new(&serde_saphyr::from_str(&yaml).unwrap(), &source.tasks).unwrap()
    };
    let team = Value::Record(record([("team", "web".into())]));
    assert_eq!(fetch(&lookup("principal")).await.unwrap().principal.attributes[&"facts".into()], team);
    assert_eq!(fetch(&lookup("resource")).await.unwrap().resource.attributes[&"facts".into()], team);
    // The schema gives callers without an identity no facts.
    let mut nobody = query();
    nobody.principal.uid = picket_core::query::Uid::new("Unauthenticated", "unauthenticated");
    assert_eq!(fetch_for(&lookup("principal"), &nobody, &all()).await.unwrap(), Facts::default());
}

#[test]
fn settings_that_cannot_work_are_problems() {
    let check = |more: &str| {
        let yaml = format!("name: t\ntarget: principal\n{more}");
        serde_saphyr::from_str::<Settings>(&yaml).unwrap().problems().len()
    };
    let rows = [
        ("url: 'http://h/'\nwhole: true", 0),
        ("url: 'http://${principal.id}/'\nwhole: true", 1),
        ("url: 'http://h/'", 1),
        ("url: 'http://h/'\nwhole: true\nattributes: {a: /a}", 1),
        ("url: 'http://h/'\nattributes: {a: a}", 1),
        ("url: 'http://h/'\nwhole: true\ntimeout: 0s", 1),
        ("url: 'http://h/'\nwhole: true\ntimeout: 6s", 1),
        ("url: 'http://h/'\nwhole: true\nheaders: {'a b': {file: x}}", 1),
        ("url: 'http://h/'\nwhole: true\ncache: {entries_max: 0}", 1),
        ("url: 'http://h/'\nwhole: true\ncache: {ttl: 25h}", 1),
    ];
    for (more, expected) in rows {
        assert_eq!(check(more), expected, "{more}");
    }
    assert!(serde_saphyr::from_str::<Settings>("name: t\ntarget: principal\nurl: x\nwhole: true\nttl: 1s").is_err());
}
