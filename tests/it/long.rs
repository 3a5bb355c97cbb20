//! One call may cost anything that its policies and its caller make of it, and no other call waits for it.

mod large;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization as _;
use picket::app::elicitation_key;
use picket::approval::Approvals;
use picket::check::elicitation::StateTokens;
use picket::check::explainer::Explainer;
use picket::check::{Checker, Evaluation, Judge, Judgement, Profile};
use picket::decision::snapshot::Tree;
use picket::decision::verdict::Effect;
use picket::decision::{Snapshot, Verdict};
use picket::entity::Entities;
use picket::envoy::decode;
use picket::failure::{Code, Failure};
use picket::keys::Keys;
use picket::policy::Store;
use serde_json::json;
use tokio::time::Instant;

use crate::harness::direct::{Memory, authz};
use crate::harness::server::Server;
use crate::harness::{Check, FRONTEND, PERMIT_ALL, check, orders, said};
use crate::support::{NOW, tree};

const CATALOG: &str = r"
services:
  - {id: evil/tools, hosts: [tools.evil], protocol: mcp}
  - {id: shop/orders, hosts: [orders.shop]}
";

/// Policies that try a pattern of such a run at every place of a text; so many in one policy, and so many of them.
fn likes(run: usize, in_one: usize, policies: usize) -> String {
    let like = format!("context.args.getTag(\"/x\") like \"*{}b*\"", "a".repeat(run));
    let condition = vec![like; in_one].join(" || ");
    let one = |n: usize| {
        format!(
            "@id(\"l{n}\") forbid (principal, action == Action::\"mcp.tools.call\", resource)
             when {{ context.args.hasTag(\"/x\") && ({condition}) }};\n"
        )
    };
    (0..policies).map(one).collect()
}

/// A call of a tool with a text of so many bytes.
fn tool(bytes: usize) -> Check {
    let params = json!({"name": "go", "arguments": {"x": "a".repeat(bytes)}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let mut check = check("POST", "/mcp").host("tools.evil").service("evil/tools").by(FRONTEND);
    check = check.header("content-type", "application/json").header("content-length", &body.len().to_string());
    check = check.header("x-envoy-auth-partial-body", "false");
    check.http().raw_body = body.into_bytes();
    check
}

async fn server(evil: &str, deadline: &str) -> Server {
    let mesh = r#"@id("everything") permit (principal, action in Action::"any", resource);"#;
    let files = [
        ("catalog.yaml", CATALOG),
        ("mesh/a.cedar", mesh),
        ("namespaces/evil/a.cedar", evil),
        ("namespaces/shop/a.cedar", PERMIT_ALL),
    ];
    let deadline = format!("limits.check.deadline={deadline}");
    Server::start(&files, &[&deadline, "limits.check.body_bytes_max=2000000"]).await
}

/// In a debug build all of it would take minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_costs_too_much_is_denied_at_its_deadline_and_others_continue() {
    let server = server(&likes(240, 1, 40), "1s").await;
    let (mut client, mut other) = (server.client().await, server.client().await);
    let began = Instant::now();
    let mut attack = tokio::task::JoinSet::new();
    attack.spawn(async move { client.ask(tool(600_000)).await });
    // However busy this machine is: on a thread of the calls, the first policy alone would hold them up for longer.
    let said = loop {
        if let Some(said) = attack.try_join_next() {
            break said.unwrap();
        }
        assert_eq!(other.ask(orders()).await.reason, "policy_permit");
    };
    assert_eq!((said.status, said.reason.as_str()), (503, "deadline"));
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_policy_that_could_cost_too_much_in_a_call_fails_there_and_only_there() {
    let server = server(&likes(60, 40, 1), "20s").await;
    let mut client = server.client().await;
    let said = client.ask(tool(600_000)).await;
    assert_eq!((said.decision.as_str(), said.reason.as_str()), ("deny", "policy_error"));
    assert_eq!(client.ask(tool(600)).await.reason, "policy_permit");
}

async fn checker(evil: &str) -> Checker {
    let source = Arc::new(Memory::default());
    source.give(tree(&[("catalog.yaml", CATALOG), ("mesh/a.cedar", PERMIT_ALL), ("namespaces/evil/a.cedar", evil)]));
    let store = Arc::new(Store::over(source, Arc::new(Snapshot::load_on), Duration::from_secs(10)));
    store.load_now().await;
    Checker {
        listener: "test".to_owned(),
        profile: Profile::default(),
        policies: store,
        entities: Arc::new(Entities::over(Vec::new())),
        approvals: Arc::new(Approvals::none()),
        state_tokens: StateTokens::new(elicitation_key::load(None).unwrap(), Duration::from_secs(600)),
        keys: Arc::new(Keys::new(&picket::keys::Settings::default(), Path::new(".")).unwrap()),
        verifier: None,
        streams: Arc::default(),
        cache: None,
    }
}

fn call(check: &Check) -> picket::call::Call {
    let limits = decode::Limits { body_bytes_max: Some(2_000_000), ..decode::Limits::default() };
    decode::call(&decode::CheckView::of(&check.0), limits, NOW).unwrap()
}

#[tokio::test]
async fn a_long_call_is_interrupted_inline_and_evaluated_on_its_own_thread() {
    let checker = checker(&likes(20, 4, 4)).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    // Few bytes, one long text, a body that takes long to read.
    for (bytes, is_too_long) in [(100, false), (10_000, true), (100_000, true)] {
        let call = call(&tool(bytes));
        let begun = checker.judge(&call, deadline).done().await;
        assert_eq!((begun.is_too_long, begun.result.is_ok()), (is_too_long, !is_too_long), "{bytes}");
        assert_eq!(begun.namespace(), Some("evil"), "{bytes}");
        assert!(checker.judge_long(&call, deadline).await.result.is_ok(), "{bytes}");
    }
    // Reading takes long, independent of the evaluation.
    let (unwatched, large) = (self::checker("").await, call(&tool(100_000)));
    assert!(unwatched.judge(&large, deadline).done().await.is_too_long);
    assert!(unwatched.judge_long(&large, deadline).await.result.is_ok());
    // A body that is searched is scanned once for each detector.
    let forbid =
        r#"forbid (principal, action == Action::"mcp.tools.call", resource) when { context.found.contains("jwt") };"#;
    for (policies, bytes, is_too_long) in [("", 3_000, false), (forbid, 1_000, false), (forbid, 3_000, true)] {
        let searching = self::checker(policies).await;
        assert_eq!(searching.judge(&call(&tool(bytes)), deadline).done().await.is_too_long, is_too_long, "{bytes}");
    }
    let no_policy_reads_it = call(&orders());
    assert!(matches!(checker.judge(&no_policy_reads_it, deadline), Evaluation::Pending(_)));
}

#[tokio::test]
async fn no_call_is_allowed_after_the_deadline() {
    let passed = Instant::now();
    for call in [call(&tool(10)), call(&orders())] {
        let checker = checker("").await;
        let judged = [checker.judge(&call, passed).done().await, checker.judge_long(&call, passed).await];
        let explained = Explainer::of(checker).judge(&call, passed).await;
        for judgement in judged.iter().chain([&explained]) {
            assert_eq!(judgement.result.as_ref().unwrap_err().code, Code::Deadline);
        }
    }
}

/// In a debug build all of it would take half a minute.
#[tokio::test]
async fn evaluating_stops_when_the_deadline_has_passed() {
    let checker = checker(&likes(240, 1, 40)).await;
    let began = Instant::now();
    let judged = checker.judge_long(&call(&tool(300_000)), began + Duration::from_millis(10)).await;
    assert_eq!(judged.result.as_ref().unwrap_err().code, Code::Deadline);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

fn allowed() -> Arc<Judgement> {
    let verdict = Verdict {
        effect: Effect::Allow(picket::obligation::Mutations::default()),
        determining: Vec::new(),
        errors: Vec::new(),
        would_be: None,
    };
    let snapshot = Snapshot::load(&Tree::default(), None).snapshot;
    let failed = Judgement::failed(Failure::new(Code::Internal, ""));
    Arc::new(Judgement { result: Ok(verdict), service: Some("shop/orders".to_owned()), snapshot, ..failed })
}

/// A `Judge` that allows after the deadline, without having waited for anything.
enum Late {
    Known,
    Pending,
}

impl Judge for Late {
    fn judge<'a>(&'a self, _: &'a picket::call::Call, deadline: Instant) -> Evaluation<'a> {
        let allow = move || {
            while Instant::now() <= deadline {
                std::hint::spin_loop();
            }
            allowed()
        };
        match self {
            Self::Known => Evaluation::Ready(allow()),
            Self::Pending => Evaluation::Pending(Box::pin(async move { allow() })),
        }
    }
}

#[tokio::test]
async fn an_allow_that_comes_late_never_leaves() {
    for judge in [Late::Known, Late::Pending] {
        let authz = authz(Arc::new(judge), Arc::new(|_| {}));
        let mut request = tonic::Request::new(orders().0);
        request.metadata_mut().insert("grpc-timeout", "20m".parse().unwrap());
        let said = said(&authz.check(request).await.unwrap().into_inner());
        assert_eq!((said.status, said.reason.as_str()), (503, "deadline"));
    }
}

#[test]
fn a_pattern_with_a_long_run_behind_a_star_does_not_load() {
    let loaded =
        Snapshot::load(&tree(&[("catalog.yaml", CATALOG), ("namespaces/evil/a.cedar", &likes(256, 1, 1))]), None);
    let problems = crate::support::problems(&loaded);
    assert!(loaded.refused.iter().any(|unit| unit == "evil"), "{problems}");
    assert!(problems.contains("characters in a row behind a `*`"), "{problems}");
}
