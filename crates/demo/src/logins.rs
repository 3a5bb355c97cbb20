//! Access tokens for a scenario, minted for this run.

use serde_json::{Value, json};

use super::environment::EnvironmentError;
use super::folder::Folder;
use super::scenario::{Caller, Login, Scenario};
use super::tokens::{Issuer, TASK_ISSUER, TokenError};

/// `aud` of the shop's tokens.
pub const SHOP_AUDIENCE: &str = "https://billing.example";
/// `aud` of tokens for the gateway to models.
pub const MODEL_AUDIENCE: &str = "https://llm.prod.example";
/// `aud` of tokens for the billing API, the deployment server and the tickets server.
pub const AGENT_AUDIENCES: [&str; 3] =
    ["https://billing.prod.example", "https://deploy-mcp.prod.example/mcp", "https://tickets-mcp.prod.example/mcp"];

/// The header lines of a login.
pub type Lines = (Login, Vec<String>);

/// Mints a story's tokens; writes them and the issuer's key set to the folder.
///
/// # Errors
/// If a token cannot be made or a file cannot be written.
pub fn write(scenario: Scenario, folder: &Folder) -> Result<Vec<Lines>, EnvironmentError> {
    let issuer = Issuer::new()?;
    folder.write("jwks.json", &issuer.jwks())?;
    let logins = match scenario {
        Scenario::Shop => shop(&issuer)?,
        Scenario::Agents => agents(&issuer)?,
        Scenario::Content => content(&issuer)?,
    };
    for (login, lines) in &logins {
        if let Some(file) = login.file() {
            folder.write(file, &lines.join("\n"))?;
        }
    }
    Ok(logins)
}

fn shop(issuer: &Issuer) -> Result<Vec<Lines>, TokenError> {
    let person = json!({"aud": SHOP_AUDIENCE, "sub": "alice", "client_id": "back-office",
        "scope": "openid refunds:write"});
    logged_in(issuer, &person, "urn:example:acr:phishing-resistant")
}

fn content(issuer: &Issuer) -> Result<Vec<Lines>, TokenError> {
    let person = json!({"aud": MODEL_AUDIENCE, "sub": "ana@prod.example", "client_id": "console", "scope": "openid"});
    logged_in(issuer, &person, "urn:prod:acr:phr")
}

fn agents(issuer: &Issuer) -> Result<Vec<Lines>, TokenError> {
    let [billing, deploy, tickets] = AGENT_AUDIENCES;
    let person = json!({"aud": billing, "sub": "ana@prod.example", "client_id": "console",
        "scope": "invoices:read refunds:write payouts:admin"});
    let mut logins = logged_in(issuer, &person, "urn:prod:acr:phr")?;
    let narrow = with(&person, json!({"scope": "openid", "auth_time": now()}));
    logins.push((Login::Narrow, vec![bearer(issuer, narrow)?]));
    // Whom a token was made for stands in `act`: nobody else can use it.
    let agent = |caller: Caller, audience: &str, scope: &str| {
        json!({"aud": audience, "sub": "ana@prod.example", "client_id": caller.name(), "scope": scope,
            "act": {"sub": caller.id()}})
    };
    let coding = agent(Caller::CodingAgent, deploy, "drafts:write deploy:plan deploy:run");
    logins.push((Login::Coding, vec![bearer(issuer, coding)?]));
    let triage = bearer(issuer, agent(Caller::TriageAgent, tickets, "tickets:read kb:read"))?;
    let task = json!({
        "iss": TASK_ISSUER, "aud": Scenario::Agents.trust_domain(), "txn": "txn-7781", "sub": "ana@prod.example",
        "scope": "task.triage", "req_wl": Caller::TriageAgent.id(), "exp": now() + 300,
        "tctx": {"task_id": "TASK-7781", "tools": ["tickets.get", "kb.search"], "ticket_id": "4711"},
    });
    let task = format!("txn-token: {}", issuer.token("txntoken+jwt", task)?);
    logins.push((Login::NoTask, vec![triage.clone()]));
    logins.push((Login::Task, vec![triage, task]));
    Ok(logins)
}

/// A person an hour after a login, and just after one by the method of `acr`.
fn logged_in(issuer: &Issuer, person: &Value, acr: &str) -> Result<Vec<Lines>, TokenError> {
    let old = with(person, json!({"auth_time": now() - 3600}));
    let fresh = with(person, json!({"auth_time": now(), "acr": acr}));
    Ok(vec![(Login::Old, vec![bearer(issuer, old)?]), (Login::Fresh, vec![bearer(issuer, fresh)?])])
}

fn bearer(issuer: &Issuer, claims: Value) -> Result<String, TokenError> {
    Ok(format!("authorization: Bearer {}", issuer.token("at+jwt", claims)?))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn with(claims: &Value, more: Value) -> Value {
    let mut claims = claims.clone();
    if let (Value::Object(claims), Value::Object(more)) = (&mut claims, more) {
        claims.extend(more);
    }
    claims
}
