//! Cost of a change: latency while a namespace's file is edited again and again, and how soon an edit is active.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use futures_util::future::BoxFuture;
use picket::decision::Snapshot;
use picket::policy::{Directory, PolicySource, Reading, Settings, Store};
use picket::problem::Problem;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::open::offer;
use super::rows::row;
use super::servers::{self, Server, ready};
use super::steps::Checks;
use super::support::{check, write_policies};

const POLICIES: usize = 10_000;
const NAMESPACES: usize = 1_000;
const RATE: usize = 1_000;
const LENGTH: Duration = Duration::from_secs(8);
const EDIT_EVERY: Duration = Duration::from_millis(500);
const TURNS: usize = 5;
const EDITS: usize = 10;

/// Ten policies in `ns0`, the callers' namespace, and ten in each of the others.
fn write(folder: &Path) {
    write_policies(folder, POLICIES / NAMESPACES);
    let namespaces = folder.join("policies/namespaces");
    let text = std::fs::read_to_string(namespaces.join("ns0/f0.cedar")).unwrap();
    let mut catalog = String::from("services:\n  - {id: ns0/api}\n");
    for ns in 1..NAMESPACES {
        let place = namespaces.join(format!("ns{ns}"));
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("f0.cedar"), text.replace("ns0/api", &format!("ns{ns}/api"))).unwrap();
        catalog.push_str(&format!("  - {{id: ns{ns}/api}}\n"));
    }
    std::fs::write(folder.join("policies/catalog.yaml"), catalog).unwrap();
}

fn edited(folder: &Path) -> PathBuf {
    folder.join("policies/namespaces/ns0/edited.cedar")
}

/// A forbid that is present or absent, for a caller that sends no other calls.
fn edit(folder: &Path, number: usize) {
    let forbid = format!(
        "@id(\"edit\") forbid (principal == Workload::\"spiffe://cluster.local/ns/web/sa/caller9\", \
         action in Action::\"read\", resource in Path::\"ns0/api/v1/items9\") // {number}\n;"
    );
    let text = if number.is_multiple_of(2) { forbid } else { format!("// none, {number}\n") };
    std::fs::write(edited(folder), text).unwrap();
}

pub async fn run() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let begin = Instant::now();
    let server = servers::picket(folder.path());
    ready(&server).await;
    let load_s = begin.elapsed().as_secs_f64();
    row("reload-start", json!({"policies": POLICIES, "namespaces": NAMESPACES, "seconds": load_s}));
    under_load(folder.path(), &server).await;
    by_watch(folder.path(), &server).await;
    by_poll(folder.path()).await;
}

/// Alternates between quiet and edited; both get the same load.
async fn under_load(folder: &Path, server: &Server) {
    // The ninth caller is the one that the edits are about.
    let checks = Checks::new(server, 9).await;
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    for turn in 0..=TURNS {
        let still = offer(Arc::clone(&checks), RATE, LENGTH).await.at(0.99);
        let stop = CancellationToken::new();
        let (place, stopped) = (folder.to_owned(), stop.clone());
        let editor = tokio::spawn(async move {
            let mut number = 0;
            while !stopped.is_cancelled() {
                edit(&place, number);
                number += 1;
                tokio::time::sleep(EDIT_EVERY).await;
            }
        });
        let edits = offer(Arc::clone(&checks), RATE, LENGTH).await.at(0.99);
        stop.cancel();
        editor.await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        if turn > 0 {
            quiet.push(still);
            busy.push(edits);
        }
    }
    let ratio = median(quiet.iter().zip(&busy).map(|(still, edits)| edits / still).collect());
    row(
        "reload",
        json!({"policies": POLICIES, "namespaces": NAMESPACES, "rate": RATE, "edit_every_ms": EDIT_EVERY.as_millis(),
               "quiet_p99_us": median(quiet), "edited_p99_us": median(busy), "p99_ratio": ratio}),
    );
}

/// From the edit to the first answer that goes by it.
async fn by_watch(folder: &Path, server: &Server) {
    let channel = Channel::from_shared(server.address.clone()).unwrap().connect().await.unwrap();
    let mut client = AuthorizationClient::new(channel);
    let mut times = Vec::new();
    for number in 0..EDITS * 2 {
        let begin = Instant::now();
        edit(folder, number);
        let is_denied = number.is_multiple_of(2);
        loop {
            let answer = client.check(check(9, "acme")).await.unwrap().into_inner();
            if (answer.status.unwrap().code != 0) == is_denied {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        times.push(begin.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    in_force("watch", times);
}

/// A directory with a watch that never reports a change.
struct Unwatched(Directory);

impl PolicySource for Unwatched {
    fn read(&self) -> BoxFuture<'_, Result<Reading, Vec<Problem>>> {
        self.0.read()
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// In this process, since a server's watch cannot be turned off.
async fn by_poll(folder: &Path) {
    let settings = Settings::new(folder.join("policies"));
    let source = Arc::new(Unwatched(Directory::new(&settings)));
    let store = Arc::new(Store::over(source, Arc::new(Snapshot::load_on), settings.poll));
    store.load_now().await;
    let cancel = CancellationToken::new();
    let (running, stopped) = (Arc::clone(&store), cancel.clone());
    let task = tokio::spawn(async move { running.run(stopped).await });
    let mut times = Vec::new();
    for number in 0..4 {
        // Not in step with the poll.
        tokio::time::sleep(Duration::from_millis(700 * number as u64)).await;
        let digest = |store: &Store| store.current().unwrap().digests()["ns0"].clone();
        let before = digest(&store);
        let begin = Instant::now();
        edit(folder, number + 1000);
        while digest(&store) == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        times.push(begin.elapsed().as_secs_f64());
    }
    cancel.cancel();
    task.await.unwrap();
    in_force("poll", times);
}

fn in_force(by: &str, times: Vec<f64>) {
    let most = times.iter().copied().fold(0.0, f64::max);
    row("in-force", json!({"by": by, "edits": times.len(), "median_s": median(times), "most_s": most}));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
