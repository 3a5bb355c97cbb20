//! The call file: the syntax in which people write a call, and the check that a proxy would send for it.
//!
//! Knows: the keys of the form, and Envoy's check as protobuf JSON. Must not know: policies, verdicts.

mod check;
mod mcp;
mod message;

pub use mcp::Mcp;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::approval::GivenApproval;
use super::yaml;
pub(super) use check::headers as header_list;
use check::{Attached, CheckParts, attached, headers};
use picket_core::call::UnixMillis;
use picket_core::catalog::grpc::Method;
use picket_core::identity::Proof;
use picket_core::identity::TokenKind;
use picket_core::identity::spiffe_id::is_trust_domain;
use picket_core::problem::Problem;

/// One call file.
#[derive(Debug, Clone)]
pub struct Given {
    /// The caller; `None` if the check contains it, as one from the proxy does.
    pub caller: Option<Caller>,
    /// The trust domain that is home, where no configuration says it.
    pub trust_domain: Option<String>,
    /// The request.
    pub sent: RequestSpec,
    /// The results of look-ups.
    pub facts: GivenFacts,
    /// The result of the approval source.
    pub approval: Option<GivenApproval>,
}

/// The request.
#[derive(Debug, Clone)]
pub enum RequestSpec {
    /// An HTTP request.
    Http(Request),
    /// A gRPC call.
    Grpc(Grpc),
    /// A message to an MCP server.
    Mcp(mcp::Mcp),
    /// A proxy's check as protobuf JSON.
    Check(String),
}

/// The caller.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caller {
    /// SPIFFE id of the workload.
    pub spiffe: Option<String>,
    /// The proof of the caller: `mtls` (default), `xfcc` or `jwt_svid`.
    pub proof: Option<Proof>,
    /// Claims of its token; they count as verified. Times may be written as `now`, `+5m`, `-1h` or RFC 3339.
    pub token: Option<Map<String, Value>>,
    /// Claims of its task token, as those of its token.
    pub task: Option<Map<String, Value>>,
    /// The kind of the token, if no configuration sets it.
    pub token_kind: TokenKind,
    /// Says that there is no workload on purpose.
    pub unauthenticated: bool,
}

/// An HTTP request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// Method. Default GET.
    pub method: Option<String>,
    /// Authority.
    pub host: Option<String>,
    /// Path with query. Default `/`.
    pub path: Option<String>,
    /// Headers: one value or a list of values each.
    pub headers: BTreeMap<String, Value>,
    /// Body: a text as it is, anything else as JSON.
    pub body: Option<Value>,
    /// Id of the called service, as the proxy's route would name it.
    pub service: Option<String>,
    /// SPIFFE id of the receiving workload.
    pub destination: Option<String>,
    /// Server name of the TLS session.
    pub sni: Option<String>,
    /// Address of the connection's far end.
    pub source_ip: Option<String>,
}

/// A gRPC call.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grpc {
    /// Id of the called service, as the proxy's route would name it.
    pub service: Option<String>,
    /// `package.Service/Method`.
    pub method: String,
    /// The message, where the service has a descriptor set: an object by the names of the `.proto` file. Nothing
    /// but defaults where it is not said.
    pub message: Option<Value>,
    /// Metadata: one value or a list of values each.
    pub headers: BTreeMap<String, Value>,
    /// Authority.
    pub host: Option<String>,
    /// SPIFFE id of the receiving workload.
    pub destination: Option<String>,
    /// Server name of the TLS session.
    pub sni: Option<String>,
    /// Address of the connection's far end.
    pub source_ip: Option<String>,
}

/// Defaults of a call from the catalogue.
#[derive(Debug, Clone, Default)]
pub struct Catalogued {
    /// Authority of the called service.
    pub host: Option<String>,
    /// The called gRPC method, where it is described.
    pub method: Option<Method>,
}

/// The results of look-ups, with the types of `facts.cedarschema`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GivenFacts {
    /// `principal.facts`.
    pub principal: Option<Value>,
    /// `resource.facts`.
    pub resource: Option<Value>,
    /// `context.env.facts`.
    pub call: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CallFile {
    caller: Caller,
    request: Option<Request>,
    grpc: Option<Grpc>,
    mcp: Option<mcp::Mcp>,
    facts: GivenFacts,
    approval: Option<GivenApproval>,
    trust_domain: Option<Spanned<String>>,
    now: Option<String>,
}

/// Reads a call: our own form, or a check (known by its key `attributes`), as YAML or JSON. The time is the one
/// it is to be judged at, where it says one.
///
/// # Errors
/// What is wrong, with its place.
pub fn read(file: &str, text: &str) -> Result<(Given, Option<UnixMillis>), Box<Problem>> {
    let value: Value = yaml::parse(file, text)?;
    if value.get("attributes").is_some() {
        let (sent, facts) = (RequestSpec::Check(value.to_string()), GivenFacts::default());
        return Ok((Given { caller: None, trust_domain: None, sent, facts, approval: None }, None));
    }
    dated(file, yaml::parse(file, text)?)
}

/// Reads who calls and what is known of it, in our own form; what the call sends may be missing, and is left aside.
///
/// # Errors
/// As [`read`].
pub fn read_caller(file: &str, text: &str) -> Result<(Given, Option<UnixMillis>), Box<Problem>> {
    let value: Value = yaml::parse(file, text)?;
    if value.get("attributes").is_some() {
        let help = "write `caller: {spiffe: ..., token: {...}}`; the rest of the call is ignored";
        let message = "a list of tools needs a call file with a caller, and this is a recorded check";
        return Err(Box::new(Problem::error(file, message).help(help)));
    }
    let written: CallFile = yaml::parse(file, text)?;
    dated(file, CallFile { request: None, grpc: None, mcp: Some(Mcp::default()), ..written })
}

fn dated(file: &str, mut written: CallFile) -> Result<(Given, Option<UnixMillis>), Box<Problem>> {
    let now = written.now.take().map(|text| instant(&text)).transpose();
    let now = now.map_err(|why| Box::new(Problem::error(file, why)))?;
    Ok((given(file, written)?, now))
}

/// Reads a YAML list of calls in our own form; a time that one of them says is not read.
///
/// # Errors
/// The first problem, with its place or the call's number.
pub fn read_list(file: &str, text: &str) -> Result<Vec<Given>, Box<Problem>> {
    let written: Vec<CallFile> = yaml::parse(file, text)?;
    let numbered = |(number, one)| {
        given(file, one).map_err(|mut problem| {
            problem.message = format!("call {number} of the list {}", problem.message);
            problem
        })
    };
    (1..).zip(written).map(numbered).collect()
}

fn given(file: &str, written: CallFile) -> Result<Given, Box<Problem>> {
    let fault = |message: &str| Box::new(Problem::error(file, message));
    let sent = match (written.request, written.grpc, written.mcp) {
        (Some(request), None, None) => RequestSpec::Http(request),
        (None, Some(grpc), None) => RequestSpec::Grpc(grpc),
        (None, None, Some(message)) => RequestSpec::Mcp(message),
        (None, None, None) => return Err(fault("has no `request`, `grpc`, `mcp` or `attributes`")),
        (_, _, _) => return Err(fault("has several of `request`, `grpc` and `mcp`; a call is one of them")),
    };
    let CallFile { caller, facts, approval, trust_domain, .. } = written;
    if let Some(domain) = trust_domain.as_ref().filter(|domain| !is_trust_domain(&domain.value)) {
        let mut problem =
            fault(&format!("has the `trust_domain` `{}`, which is not a valid trust domain", domain.value));
        problem.span = picket_core::problem::yaml::range(&domain.referenced);
        problem.help = Some("a-z, 0-9, `.`, `-` and `_`, such as `prod.example`".to_owned());
        return Err(problem);
    }
    let trust_domain = trust_domain.map(|domain| domain.value);
    Ok(Given { caller: Some(caller), trust_domain, sent, facts, approval })
}

/// Reads a moment as RFC 3339 writes it.
///
/// # Errors
/// A fragment that says what is right.
pub fn instant(text: &str) -> Result<UnixMillis, String> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    let parsed = parsed.map_err(|_| format!("`{text}` is not a time such as `2026-01-01T00:00:00Z`"))?;
    Ok(UnixMillis(parsed.as_millisecond()))
}

impl Caller {
    /// The token's claims with times as numbers.
    ///
    /// # Errors
    /// A time that is none.
    pub fn token(&self, now: UnixMillis) -> Result<Option<Map<String, Value>>, String> {
        self.token.as_ref().map(|claims| timed(claims, now)).transpose()
    }

    /// The task token's claims with times as numbers.
    ///
    /// # Errors
    /// A time that is none.
    pub fn task(&self, now: UnixMillis) -> Result<Option<Map<String, Value>>, String> {
        self.task.as_ref().map(|claims| timed(claims, now)).transpose()
    }
}

fn timed(claims: &Map<String, Value>, now: UnixMillis) -> Result<Map<String, Value>, String> {
    let mut claims = claims.clone();
    for name in ["exp", "nbf", "iat", "auth_time"] {
        if let Some(Value::String(text)) = claims.get(name) {
            let seconds = moment(text, now).map_err(|why| format!("claim `{name}`: {why}"))?;
            claims.insert(name.to_owned(), Value::from(seconds));
        }
    }
    Ok(claims)
}

/// Seconds since the epoch of `now`, `+5m`, `-1h` or a time.
///
/// # Errors
/// A fragment that says what is right.
pub fn moment(text: &str, now: UnixMillis) -> Result<i64, String> {
    let relative = |text: &str| {
        let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
        i64::try_from(duration.as_secs()).map_err(|_| "too far off".to_owned())
    };
    match (text, text.strip_prefix('+'), text.strip_prefix('-')) {
        ("now", _, _) => Ok(now.seconds()),
        (_, Some(later), _) => Ok(now.seconds().saturating_add(relative(later)?)),
        (_, _, Some(earlier)) => Ok(now.seconds().saturating_sub(relative(earlier)?)),
        (_, None, None) => instant(text).map(UnixMillis::seconds),
    }
}

impl Grpc {
    /// The body, as far as it can be written: nobody but a descriptor says how.
    fn body(&self, method: Option<&Method>) -> Result<Option<Vec<u8>>, String> {
        match (&self.message, method) {
            (Some(written), Some(method)) => message::body(written, &method.input).map(Some),
            (None, Some(method)) => message::body(&Value::Object(Map::new()), &method.input).map(Some),
            (Some(_), None) => Err(format!("`message` needs a descriptor set that has `{}`", self.method)),
            (None, None) => Ok(None),
        }
    }
}

impl RequestSpec {
    /// The service it names by id.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Http(request) => request.service.as_deref(),
            Self::Grpc(grpc) => grpc.service.as_deref(),
            Self::Mcp(message) => message.service.as_deref(),
            Self::Check(_) => None,
        }
    }

    /// The check that a proxy would send, as protobuf JSON.
    ///
    /// # Errors
    /// A header that is neither text nor number; a message that is not described, or not as it is described.
    pub fn check_json(&self, caller: Option<&Caller>, known: Catalogued) -> Result<String, String> {
        let parts = match self {
            Self::Check(text) => return Ok(text.clone()),
            Self::Mcp(message) => message.parts()?,
            Self::Http(request) => {
                let headers = headers(&request.headers)?;
                CheckParts {
                    method: request.method.as_deref().unwrap_or("GET"),
                    path: request.path.clone().unwrap_or_else(|| "/".to_owned()),
                    host: request.host.as_deref(),
                    service: request.service.as_deref(),
                    destination: request.destination.as_deref(),
                    sni: request.sni.as_deref(),
                    source_ip: request.source_ip.as_deref(),
                    body: attached(request.body.as_ref(), &headers),
                    headers,
                }
            }
            Self::Grpc(grpc) => {
                let body = grpc.body(known.method.as_ref())?;
                let mut headers = headers(&grpc.headers)?;
                if !headers.iter().any(|(name, _)| name == "content-type") {
                    headers.push(("content-type".to_owned(), "application/grpc".to_owned()));
                }
                CheckParts {
                    method: "POST",
                    path: format!("/{}", grpc.method.trim_start_matches('/')),
                    host: grpc.host.as_deref(),
                    service: grpc.service.as_deref(),
                    destination: grpc.destination.as_deref(),
                    sni: grpc.sni.as_deref(),
                    source_ip: grpc.source_ip.as_deref(),
                    headers,
                    body: body.map_or(Attached::Unknown, Attached::Bytes),
                }
            }
        };
        Ok(parts.check(caller, known.host).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_may_name_times_relative_to_now() {
        let now = UnixMillis(1_000_000_000);
        for (text, seconds) in [("now", 1_000_000), ("+5m", 1_000_300), ("-1h", 996_400), ("1970-01-01T00:00:01Z", 1)] {
            assert_eq!(moment(text, now), Ok(seconds), "{text}");
        }
        assert!(moment("soon", now).is_err());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place_and_the_nearest() {
        let text = "request:\n  metod: GET\n";
        let problem = read("call.yaml", text).unwrap_err();
        assert_eq!(problem.message, "unknown key `metod`");
        assert!(problem.help.unwrap().starts_with("did you mean `method`?"));
        assert_eq!(&text[problem.span.unwrap()], "metod");
    }

    #[test]
    fn a_check_is_known_by_its_key() {
        let (given, _) = read("c", r#"{"attributes": {"request": {"http": {"method": "GET"}}}}"#).unwrap();
        assert!(given.caller.is_none() && matches!(given.sent, RequestSpec::Check(_)));
        assert!(read("c", "{}").is_err());
        assert!(read("c", "{request: {}, grpc: {}}").is_err());
    }

    #[test]
    fn a_body_is_sent_whole_with_its_length() {
        let (given, _) = read("c", "{request: {method: POST, body: {a: 1}, headers: {X-A: [1, b]}}}").unwrap();
        let check: Value = serde_json::from_str(&given.sent.check_json(None, Catalogued::default()).unwrap()).unwrap();
        let http = &check["attributes"]["request"]["http"];
        assert_eq!(http["rawBody"], "eyJhIjoxfQ==");
        let headers: Vec<String> = http["headerMap"]["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|header| format!("{}={}", header["key"], header["value"]).replace('"', ""))
            .collect();
        assert!(headers.contains(&"content-length=7".to_owned()), "{headers:?}");
        assert!(headers.contains(&"x-a=1".to_owned()) && headers.contains(&"x-a=b".to_owned()), "{headers:?}");
    }
}
