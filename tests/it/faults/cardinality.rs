//! A million hosts, paths and callers: no new series, no growing memory.
//!
//! A million calls go through the metrics, every tenth of them through the decision log, and 20,000 through the whole
//! path; a million through the whole path would take a debug build minutes. Memory is the process's, so each test runs
//! in a process of its own: the same binary, with the one ignored test.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use picket::call::{Call, Host};
use picket::check::Judgement;
use picket::decision::verdict::{Effect, Verdict};
use picket::failure::{Code, Failure};
use picket::obligation::Mutations;
use picket::query::{Node, Query, Uid};
use picket::telemetry::{Observed, Settings, Telemetry};

use crate::harness::direct::Direct;
use crate::harness::{PERMIT_ALL, check};
use crate::support::{NOW, call, snapshot};

const CALLS: u64 = 1_000_000;
const WHOLE_CALLS: u64 = 20_000;
/// How much memory may grow after a tenth of the calls, when all buffers have their size. Measured growth is below
/// 0.2 MiB; a leak of 64 bytes a call would be 55 MiB in the long run, and one of 256 bytes 4.4 MiB in the short.
const GROWTH_MAX_KIB: u64 = 4 * 1024;

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn series(telemetry: &Telemetry) -> usize {
    telemetry.metrics().render().lines().filter(|line| !line.starts_with('#')).count()
}

#[track_caller]
fn assert_flat(before_kib: u64, calls: u64) {
    let after = resident_kib();
    assert!(after <= before_kib + GROWTH_MAX_KIB, "{before_kib} KiB became {after} KiB within {calls} calls");
    println!("{before_kib} KiB became {after} KiB within {calls} calls");
}

/// Runs one ignored test of this binary in a process of its own.
#[track_caller]
fn alone(test: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("faults::cardinality::{test}"), "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Draws texts that never repeat.
struct Names(u64);

impl Names {
    fn next(&mut self) -> String {
        // A Weyl sequence: every value of 64 bits once.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        format!("{:016x}", self.0)
    }
}

/// A judgement with new texts in every free field.
fn judgement(names: &mut Names, number: u64, known: &Arc<picket::decision::Snapshot>) -> Judgement {
    let query = Query {
        principal: Node::new(Uid::new("Workload", format!("spiffe://{}/w", names.next()))),
        action: names.next().into(),
        resource: Node::new(Uid::new("Path", format!("{}/x", names.next()))),
        context: Default::default(),
        bags: Vec::new(),
        namespace: names.next().into(),
    };
    let result = match number % 4 {
        0 => Err(Failure::new(Code::Unmapped, names.next())),
        1 => Err(Failure::new(Code::EntitiesUnavailable, names.next())),
        _ => Ok(Verdict {
            effect: Effect::Allow(Mutations::default()),
            determining: vec![names.next()],
            errors: Vec::new(),
            would_be: None,
        }),
    };
    let query = (!number.is_multiple_of(3)).then_some(query);
    let service = Some(format!("{}/{}", names.next(), names.next()));
    Judgement {
        result,
        query,
        service,
        snapshot: Some(Arc::clone(known)),
        ..Judgement::failed(Failure::new(Code::Internal, ""))
    }
}

fn named(call: &Call, names: &mut Names) -> Call {
    Call { host: Host::parse(&names.next()).unwrap(), path_sent: names.next(), ..call.clone() }
}

#[test]
#[ignore = "run by a_million_names_add_no_series_and_no_memory, in a process of its own"]
fn million_names() {
    let settings = |sink: &str| -> Settings {
        serde_saphyr::from_str(&format!("{{log: {{level: error}}, decision_log: {{sink: {sink}}}}}")).unwrap()
    };
    let metered = Telemetry::start(&settings("none"), "0").unwrap();
    let logged = Telemetry::start(&settings("{file: /dev/null}"), "0").unwrap();
    let snapshot = snapshot(&[("namespaces/shop/a.cedar", PERMIT_ALL)]);
    for telemetry in [&metered, &logged] {
        telemetry.metrics().loaded(&snapshot.policy_ids(), snapshot.digests());
    }
    let (mut names, call) = (Names(1), call().0);
    let (mut counts, mut before) = (None, 0);
    for number in 0..CALLS {
        let judgement = judgement(&mut names, number, &snapshot);
        let called = (number % 5 == 0).then(|| named(&call, &mut names));
        let request_id = names.next();
        let observed = Observed {
            decision_id: uuid::Uuid::now_v7(),
            judgement: &judgement,
            call: called.as_ref(),
            listener: "test",
            status: 403,
            trace_parent: None,
            request_id: Some(&request_id),
            received_at: NOW,
            elapsed: Duration::from_micros(number % 1000),
        };
        if number % 10 == 0 {
            logged.finish(&observed)
        } else {
            metered.finish(&observed)
        }
        if number == CALLS / 10 {
            (counts, before) = (Some([series(&metered), series(&logged)]), resident_kib());
        }
    }
    assert_eq!(Some([series(&metered), series(&logged)]), counts, "a name became a series");
    assert_flat(before, CALLS);
}

#[test]
#[ignore = "run by many_calls_add_no_series_and_no_memory, in a process of its own"]
fn whole_path() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let direct = runtime.block_on(Direct::new(&[("namespaces/shop/a.cedar", PERMIT_ALL)]));
    let settings = serde_saphyr::from_str("{log: {level: error}, decision_log: {sink: none}}").unwrap();
    let telemetry = Telemetry::start(&settings, "0").unwrap();
    let current = direct.store.current().unwrap();
    telemetry.metrics().loaded(&current.policy_ids(), current.digests());
    let direct = direct.observed_by(Arc::clone(&telemetry));
    let (mut names, mut counts, mut before) = (Names(2), None, 0);
    for number in 0..WHOLE_CALLS {
        let (path, host, id) = (names.next(), names.next(), names.next());
        let mut check =
            check("GET", &format!("/{path}")).host(&host).by(&format!("spiffe://cluster.local/ns/{id}/sa/{id}"));
        check = check.header("x-request-id", &id).header(&format!("x-{id}"), &id);
        check = check.service(if number % 3 == 0 { &id } else { "shop/orders" });
        if number % 7 == 0 {
            check.http().method = id.clone();
        }
        runtime.block_on(direct.ask(check.0));
        if number == WHOLE_CALLS / 10 {
            (counts, before) = (Some(series(&telemetry)), resident_kib());
        }
    }
    assert_eq!(Some(series(&telemetry)), counts, "a name became a series");
    assert_flat(before, WHOLE_CALLS);
}

#[test]
fn p46_a_million_names_add_no_series_and_no_memory() {
    alone("million_names");
}

#[test]
fn p46_many_calls_through_the_whole_path_add_no_series_and_no_memory() {
    alone("whole_path");
}
