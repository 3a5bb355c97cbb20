//! The task of a call: what its transaction token allows, and which workload may present it.
//!
//! Knows: the header `txn-token`, `req_wl`, `tctx`. Must not know: the catalogue (`mapping` turns names into
//! entities), policies, whether a task was cancelled (a look-up says).
//!
//! A task only ever narrows: whatever it does not list is not in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::key_ring::KeyRing;
use super::rules::ClaimRules;
use super::settings::Settings;
use super::token::{self, ClaimReader, Common, rejected, whole_number};
use super::{Proven, Rejection, Token, TokenKind, binding, jwt};
use crate::call::headers::folded;
use crate::call::{Call, UnixMillis};
use crate::failure::{Code, Failure};

/// The only header that carries a task token.
pub(super) const HEADER: &str = "txn-token";

/// A task, as a verified token names it. Names are as the issuer wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// `tctx.task_id`, or `txn` without one.
    pub id: String,
    /// `iss`.
    pub issuer: String,
    /// `sub`: the person or workload that the task serves.
    pub subject: String,
    /// `iat`.
    pub issued_at: UnixMillis,
    /// `exp`.
    pub expires_at: UnixMillis,
    /// Tools that may be called.
    pub tools: BTreeSet<String>,
    /// URIs of resources that may be read, each with everything below it.
    pub resources: BTreeSet<String>,
    /// HTTP paths, each with everything below it.
    pub paths: BTreeSet<String>,
    /// Agents that may be called; the claim is `peers`.
    pub agents: BTreeSet<String>,
    /// Models that may be used.
    pub models: BTreeSet<String>,
    /// Servers that a model's provider may call.
    pub servers: BTreeSet<String>,
    /// Every other scalar of `tctx` by its name: texts as they are, integers by their digits, `true`, `false`.
    pub params: BTreeMap<String, String>,
}

/// Reads the task token beside an identity.
///
/// # Errors
/// `task_rejected`, `task_expired`, `task_not_bound`, or `keys_unavailable`; a token that is present and not good
/// is never passed over.
pub(super) fn read(
    call: &Call,
    settings: &Settings,
    ring: &KeyRing,
    peer: Option<&Proven>,
    token: Option<&Token>,
) -> Result<Option<Task>, Rejection> {
    if settings.task.issuers.is_empty() {
        return Ok(None);
    }
    let judged = presented(call).map_err(Rejection::from).and_then(|sent| match sent {
        None => Ok(None),
        Some(sent) => judge(sent, call.received_at, settings, ring, peer, token).map(Some),
    });
    // The readers of tokens speak of tokens; what they refuse here is a task.
    judged.map_err(|rejection| Rejection { failure: of_task(rejection.failure), ..rejection })
}

/// The header's value. Two spellings of one name are two headers to us and one to many a server.
fn presented(call: &Call) -> Result<Option<&str>, Failure> {
    let alike = |name: &str| name != HEADER && folded(name) == HEADER;
    if call.headers.iter().any(|(name, _)| alike(name)) {
        return Err(rejected("a header has a name that is confusable with `txn-token`"));
    }
    call.headers.single(HEADER).map_err(|problem| rejected(problem.to_string()))
}

fn judge(
    sent: &str,
    now: UnixMillis,
    settings: &Settings,
    ring: &KeyRing,
    peer: Option<&Proven>,
    token: Option<&Token>,
) -> Result<Task, Rejection> {
    let parts = jwt::JwtParts::split(sent)?;
    let issuer = jwt::find_issuer(parts.issuer()?, settings.task.issuers.iter(), ring)
        .ok_or_else(|| rejected("the task token's issuer is not one of those configured"))?;
    let claims = parts.verified_by(issuer)?;
    Ok(task(claims, &issuer.rules.claims, now, settings, peer, token)?)
}

/// Reads claims whose signature was verified, and compares them with the peer and with the token beside them.
pub(super) fn task(
    payload: &Value,
    rules: &ClaimRules,
    now: UnixMillis,
    settings: &Settings,
    peer: Option<&Proven>,
    token: Option<&Token>,
) -> Result<Task, Failure> {
    if rules.kind != TokenKind::Transaction {
        return Err(rejected("the issuer is not of kind `transaction`"));
    }
    let claims = ClaimReader::of(payload)?;
    let common = token::common(&claims, rules, now)?;
    let made_for = claims.required_text("req_wl")?;
    let bound_to = token::confirmations(&claims)?;
    let task = context(&claims, common)?;
    if peer.is_none_or(|peer| peer.workload.id.as_str() != made_for) {
        let why = match peer {
            Some(_) => "the task token was made for another workload",
            None => "the task token was made for a workload, and none is proven",
        };
        return Err(Failure::new(Code::TokenNotBound, why));
    }
    binding::compare_all(&bound_to, peer, settings)?;
    if token.is_some_and(|token| is_on_behalf(token.kind) && token.subject != task.subject) {
        return Err(rejected("the task is on behalf of another subject than the token"));
    }
    Ok(task)
}

/// Whether a token of this kind names on whose behalf a call is made; the others name the workload itself.
fn is_on_behalf(kind: TokenKind) -> bool {
    match kind {
        TokenKind::Access | TokenKind::Transaction => true,
        TokenKind::JwtSvid | TokenKind::Kubernetes => false,
    }
}

fn context(claims: &ClaimReader<'_>, common: Common) -> Result<Task, Failure> {
    let transaction = claims.required_text("txn")?;
    let limits = claims.object("tctx")?.ok_or_else(|| rejected("`tctx` is missing, so the task allows nothing"))?;
    let id = match limits.get("task_id") {
        Some(_) => limits.required_text("task_id")?,
        None => transaction,
    };
    let names = |name: &str| Ok::<_, Failure>(limits.list(name)?.unwrap_or_default());
    Ok(Task {
        id,
        issuer: common.issuer,
        subject: common.subject,
        issued_at: common.issued_at.ok_or_else(|| rejected("`iat` is missing"))?,
        expires_at: common.expires_at,
        tools: names("tools")?,
        resources: names("resources")?,
        paths: names("paths")?,
        agents: names("peers")?,
        models: names("models")?,
        servers: &names("servers")? | &names("mcp_servers")?,
        params: params(&limits)?,
    })
}

/// Members of `tctx` that are not parameters.
const LISTS: [&str; 8] = ["task_id", "tools", "resources", "paths", "peers", "models", "servers", "mcp_servers"];

/// The scalars that policies compare arguments with. Lists and objects are left out: no policy can name them.
fn params(limits: &ClaimReader<'_>) -> Result<BTreeMap<String, String>, Failure> {
    let mut params = BTreeMap::new();
    for (name, value) in limits.0.iter().filter(|(name, _)| !LISTS.contains(&name.as_str())) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(flag) => flag.to_string(),
            // A limit that is not read exactly may be read as a wider one.
            Value::Number(number) => match (number.as_i64(), number.as_u64(), whole_number(value)) {
                (Some(number), _, _) => number.to_string(),
                (None, Some(number), _) => number.to_string(),
                (None, None, Some(number)) => number.to_string(),
                (None, None, None) => return Err(rejected("a number in `tctx` is not an integer; write it as a text")),
            },
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        params.insert(name.clone(), text);
    }
    Ok(params)
}

/// The same refusal in the words of tasks.
pub(super) fn of_task(failure: Failure) -> Failure {
    let pairs = [
        (Code::TokenRejected, Code::TaskRejected),
        (Code::TokenExpired, Code::TaskExpired),
        (Code::TokenNotBound, Code::TaskNotBound),
    ];
    let code =
        pairs.iter().find(|(of_token, _)| *of_token == failure.code).map_or(failure.code, |(_, of_task)| *of_task);
    Failure { code, ..failure }
}

#[cfg(test)]
mod tests;
