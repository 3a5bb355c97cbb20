//! Permissions by the shipped policies, as one table: `tests/it/matrix.txt`.
//!
//! A row is a request, a column a caller; a cell is the verdict's reason (`+` for an allow, `?` before a challenge) or
//! the failure's code. After an intended change: `UPDATE=1 cargo test --test it matrix`, and read the diff.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use picket::decision::verdict::Decision;
use serde_json::{Value, json};

use crate::cases::golden;
use crate::harness::direct::{Direct, Seen};
use crate::harness::{Check, check};
use crate::oracle;
use crate::props::{shipped, tokens_and_peer};
use crate::support::NOW;

/// Actions of the schema that no request of this build becomes, or that only a listener's settings let in. May only
/// shrink.
const UNCOVERED: &[&str] = &[
    "a2a.push.configure",
    "a2a.send",
    "a2a.task.cancel",
    "a2a.task.read",
    "connect",
    "llm.generate",
    "mcp.prompts.get",
    "mcp.resources.read",
    "mcp.resources.subscribe",
    "mcp.server.use",
    "mcp.tools.call",
    "release",
    "upgrade",
];

/// Service, methods, path.
const REQUESTS: &[(&str, &[&str], &str)] = &[
    ("web/storefront", &["GET", "POST"], "/"),
    ("web/storefront", &["GET"], "/admin/flags"),
    ("shop/orders", &["GET", "HEAD", "OPTIONS", "POST", "PUT", "PROPFIND"], "/v1/orders"),
    ("shop/orders", &["GET", "PATCH", "DELETE"], "/v1/orders/42"),
    ("shop/orders", &["GET"], "/v1/ordersx"),
    ("shop/orders", &["GET", "DELETE"], "/admin/users"),
    ("shop/orders", &["GET", "POST"], "/healthz"),
    ("shop/inventory", &["GRPC"], "/shop.inventory.v1.Stock/Get"),
    ("shop/inventory", &["GRPC"], "/shop.inventory.v1.Stock/Reset"),
    ("shop/inventory", &["GRPC"], "/shop.inventory.v2.Stock/Get"),
    ("shop/inventory", &["GET"], "/healthz"),
    ("pay/billing", &["POST"], "/v1/charges"),
    ("pay/billing", &["GET", "POST"], "/v1/refunds"),
    ("pay/billing", &["GET", "DELETE"], "/v1/refunds/7"),
    ("pay/billing", &["GET"], "/admin/keys"),
];

fn claims(subject: &str, scope: &str, since_login_seconds: i64) -> Option<Value> {
    let now = NOW.seconds();
    Some(json!({
        "iss": "https://idp.example", "sub": subject, "client_id": "app", "aud": "shop", "exp": now + 60, "scope": scope,
        "acr": "urn:example:acr:phishing-resistant", "auth_time": now - since_login_seconds,
    }))
}

/// Name, SPIFFE id, claims.
fn callers() -> Vec<(&'static str, &'static str, Option<Value>)> {
    let all = "refunds:read refunds:write openid";
    vec![
        ("nobody", "", None),
        ("gateway", "spiffe://cluster.local/ns/edge/sa/gateway", None),
        ("frontend", "spiffe://cluster.local/ns/web/sa/frontend", None),
        ("orders", "spiffe://cluster.local/ns/shop/sa/orders", None),
        ("operator", "spiffe://cluster.local/ns/platform/sa/console", None),
        ("op+reset", "spiffe://cluster.local/ns/platform/sa/console", claims("olga", "stock:reset", 1)),
        ("desk", "spiffe://cluster.local/ns/pay/sa/backoffice", None),
        ("desk+fresh", "spiffe://cluster.local/ns/pay/sa/backoffice", claims("alice", all, 60)),
        ("desk+stale", "spiffe://cluster.local/ns/pay/sa/backoffice", claims("alice", all, 3600)),
        ("desk+weak", "spiffe://cluster.local/ns/pay/sa/backoffice", claims("alice", "openid", 60)),
        ("desk+robot", "spiffe://cluster.local/ns/pay/sa/backoffice", claims("app", &format!("{all} x"), 60)),
        ("foreign", "spiffe://other.example/ns/web/sa/frontend", None),
    ]
}

fn request(service: &str, method: &str, path: &str, caller: &(&str, &str, Option<Value>)) -> Check {
    let mut built = match method {
        "GRPC" => check("POST", path).header("content-type", "application/grpc"),
        method => check(method, path),
    };
    built = built.service(service);
    if !caller.1.is_empty() {
        built = built.by(caller.1);
    }
    if let Some(claims) = &caller.2 {
        built = built.claims(claims);
    }
    built
}

fn cell(seen: &Seen) -> String {
    match &seen.result {
        Err(failure) => failure.code.as_str().to_owned(),
        Ok(verdict) => match verdict.decision() {
            Decision::Allow => "+".to_owned(),
            Decision::Challenge => format!("?{}", verdict.reason().as_str()),
            Decision::Deny | Decision::Error => verdict.reason().as_str().to_owned(),
        },
    }
}

#[tokio::test]
async fn permissions_equal_the_recorded_table() {
    let direct = Direct::with(shipped(), tokens_and_peer()).await;
    let (callers, mut covered) = (callers(), BTreeSet::new());
    let mut table = format!("{:56}", "");
    callers.iter().for_each(|(name, ..)| write!(table, " {name:16}").unwrap());
    table = format!("{}\n", table.trim_end());
    for (service, methods, path) in REQUESTS {
        for method in *methods {
            let mut row = format!("{:56}", format!("{service} {method} {path}"));
            for caller in &callers {
                let (_, seen) = direct.judged(request(service, method, path, caller).0).await;
                oracle::assert_proven(&seen);
                covered.extend(seen.query.as_ref().map(|query| query.action.to_string()));
                write!(row, " {:16}", cell(&seen)).unwrap();
            }
            writeln!(table, "{}", row.trim_end()).unwrap();
        }
    }
    let snapshot = direct.store.current().unwrap();
    let schema = snapshot.types().schema();
    let groups = ["any", "read", "write", "mcp.any", "a2a.any"];
    let actions =
        schema.actions().map(|uid| uid.id().unescaped().to_owned()).filter(|id| !groups.contains(&id.as_str()));
    let uncovered: BTreeSet<String> = actions.filter(|id| !covered.contains(id)).collect();
    assert_eq!(uncovered, UNCOVERED.iter().map(|id| (*id).to_owned()).collect(), "UNCOVERED may only shrink");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/matrix.txt");
    if let Some(changed) = golden(&path, &table) {
        panic!("verdicts changed; if that is intended: `UPDATE=1 cargo test --test it matrix`, and say why\n{changed}");
    }
}
