//! Every way in which a processor fails, at every point of a response: no letter of the secret leaves Envoy.
//!
//! The upstream writes the secret in capitals, and nothing else. The processor is Picket's own service, over a response
//! phase that fails as the head of the response says. `kill` is SIGKILL of a process of its own.

use std::process::Stdio;
use std::time::Duration;

use expect_test::expect_file;
use picket::envoy::ext_proc::ProcessorSettings;
use picket_demo::folder::Folder;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::service;
use super::site::{Received, Site, Version, cluster, duplex, filter, open, pipe, start};
use crate::envoy::contract::{row, table};

const POINTS: [&str; 3] = ["head", "middle", "last"];
const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];
/// Names of the listeners by mode; `STREAMED` is refused at the request.
const MODES: [&str; 3] = ["duplex", "buffered", "streamed"];
/// The process that is killed finds its socket file here.
const SOCKET: &str = "PICKET_TEST_PROCESSOR_SOCKET";

fn mode(name: &str) -> Value {
    match name {
        "duplex" => duplex(),
        "buffered" => json!({"response_body_mode": "BUFFERED"}),
        _ => json!({"response_body_mode": "STREAMED"}),
    }
}

fn listeners() -> Vec<crate::envoy::bench::Listener> {
    MODES.map(|name| open(name).after(filter("processor", mode(name), json!({})))).into()
}

/// What a client sees of a cell; fails if a letter of the secret left.
fn show(received: &Received, what: &str) -> String {
    // Header names and values of Envoy's own are lower case but for its dates.
    let headers = received.headers.iter().filter(|(name, _)| name != "date" && name != "x-filler");
    let left: String = headers.map(|(_, value)| value.as_str()).chain([received.text().as_str()]).collect();
    let leaked: String = left.chars().filter(char::is_ascii_uppercase).collect();
    assert_eq!(leaked, "", "{what} leaks: {received:?}");
    assert_ne!(received.end, "silence", "{what} hangs: {received:?}");
    if received.status == 0 { "cut".to_owned() } else { format!("{} {}", received.status, received.end) }
}

/// The cells of one fault as rows, with the versions of HTTP side by side.
fn rows(cells: &[(&str, &str, &str, Version, String)]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (fault, point, mode, version, seen) in cells {
        if *version == Version::Http1 {
            let other = cells.iter().find(|(f, p, m, v, _)| (f, p, m, *v) == (fault, point, mode, Version::Http2));
            rows.push(row([mode, fault, point, seen, &other.unwrap().4]));
        }
    }
    rows
}

#[tokio::test]
async fn no_letter_of_the_secret_leaves_where_the_processor_fails() {
    let mut tasks = JoinSet::new();
    let settings = ProcessorSettings { message_bytes_max: 3000, ..service::settings() };
    let processor = service::replacing(&mut tasks, settings).await;
    let clusters = vec![cluster("processor", processor)];
    let site = start(tasks, Folder::new().unwrap(), listeners(), clusters).await;
    let site = &site;
    let mut cells = Vec::new();
    for fault in ["none", "error", "ok", "timeout", "panic"] {
        for (point, mode) in POINTS.iter().flat_map(|point| MODES.map(|mode| (*point, mode))) {
            cells.extend(VERSIONS.map(|version| async move {
                let received = site.send(mode, version, "GET", &format!("/fault/{fault}/{point}"), &[]).await;
                let what = format!("{mode} {fault} {point} {version:?}");
                (fault, point, mode, version, show(&received, &what))
            }));
        }
    }
    let cells = futures_util::future::join_all(cells).await;
    let table = table(&[vec![row(["mode", "fault", "at", "HTTP/1.1", "HTTP/2"])], rows(&cells)].concat());
    expect_file!["../golden/processing_matrix.txt"].assert_eq(&table);
}

/// Not a test: the process that the next test kills.
#[tokio::test]
#[ignore = "serves until it is killed; the test below starts it"]
async fn processor_that_is_killed() {
    if let Some(socket) = std::env::var_os(SOCKET) {
        service::until_killed(std::path::Path::new(&socket)).await;
    }
}

async fn processor(socket: &std::path::Path) -> Child {
    let name = "envoy::processing::matrix::processor_that_is_killed";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored"])
        .env(SOCKET, socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for _ in 0..500 {
        if tokio::net::UnixStream::connect(socket).await.is_ok() {
            return child;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the processor does not listen");
}

/// Sends one request of every mode and version, and kills the processor when all of them wait.
async fn killed(
    site: &Site,
    socket: &std::path::Path,
    point: &'static str,
) -> Vec<(&'static str, &'static str, &'static str, Version, String)> {
    drop(std::fs::remove_file(socket));
    let mut child = processor(socket).await;
    let modes = ["duplex", "buffered"];
    let path = &format!("/fault/kill/{point}");
    let sent = modes.iter().flat_map(|mode| VERSIONS.map(|version| (*mode, version)));
    let sent = sent.map(|(mode, version)| async move {
        let received = site.send(mode, version, "GET", path, &[]).await;
        ("kill", point, mode, version, show(&received, &format!("{mode} kill {point} {version:?}")))
    });
    let kill = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        child.kill().await.unwrap();
    };
    futures_util::future::join(futures_util::future::join_all(sent), kill).await.0
}

#[tokio::test]
async fn no_letter_of_the_secret_leaves_where_the_processor_is_killed() {
    let folder = Folder::new().unwrap();
    let socket = folder.path().join("processor.sock");
    let clusters = vec![cluster("processor", pipe(folder.path(), "processor.sock"))];
    let site = start(JoinSet::new(), folder, listeners(), clusters).await;
    let mut cells = Vec::new();
    for point in POINTS {
        cells.extend(killed(&site, &socket, point).await);
    }
    let table = table(&[vec![row(["mode", "fault", "at", "HTTP/1.1", "HTTP/2"])], rows(&cells)].concat());
    expect_file!["../golden/processing_killed.txt"].assert_eq(&table);
}
