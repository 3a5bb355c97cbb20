//! Cases about responses, through Envoy: whole, as they are cut in the file, at random, and in single bytes.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use picket_demo::client;
use serde::Deserialize;
use serde_json::Value;

use super::expect::{Expected, Pattern, strings};
use super::world::World;
use super::{Runner, Scenario, call};
use crate::envoy::content::answers::Answer;
use crate::envoy::content::reference::{Check, Reference, joined};
use crate::envoy::content::site::{Setup, Site, sample};
use crate::harness::said;

/// What the service answers.
#[derive(Clone, Deserialize)]
pub struct Written {
    response_status: Option<u16>,
    #[serde(default)]
    response_headers: BTreeMap<String, String>,
    response_body: Option<String>,
    response_body_base64: Option<String>,
    response_chunks: Option<Vec<String>>,
}

/// The names of detectors that differ from those of the world's patterns.
const NAMES: [(&str, &str); 2] = [("aws_access_key_id", "aws_key"), ("pem_private_key", "private_key")];

impl Written {
    fn body(&self) -> Vec<u8> {
        match (&self.response_body_base64, &self.response_body) {
            (Some(encoded), _) => STANDARD.decode(encoded).unwrap(),
            (None, Some(text)) => text.clone().into_bytes(),
            (None, None) => Vec::new(),
        }
    }

    fn answer(&self) -> Answer {
        let headers = self.response_headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let status = self.response_status.unwrap_or(200);
        Answer { status, headers, pieces: vec![self.body()], pause: Duration::ZERO }
    }

    /// The answer, cut in several ways, each with a name.
    fn ways(&self) -> Vec<(String, Answer)> {
        let whole = self.answer();
        let length = self.body().len();
        let mut ways = vec![("whole".to_owned(), whole.clone())];
        let millisecond = Duration::from_millis(1);
        if let Some(chunks) = &self.response_chunks {
            let pieces = chunks.iter().map(|piece| piece.clone().into_bytes()).collect();
            ways.push(("as written".to_owned(), Answer { pieces, pause: millisecond, ..whole.clone() }));
        }
        for seed in 1..=4_u64 {
            // The numbers of a linear congruential generator (Knuth, MMIX); a failure names the seed.
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                usize::try_from(state >> 33).unwrap()
            };
            let mut places: Vec<usize> = (0..12).map(|_| next() % length.max(1)).collect();
            places.sort_unstable();
            ways.push((format!("cut at random, seed {seed}"), whole.clone().cut(&places, 5 * millisecond)));
        }
        let all: Vec<usize> = (1..length).collect();
        ways.push(("in single bytes".to_owned(), whole.cut(&all, Duration::from_micros(100))));
        ways
    }
}

/// Everything that went wrong, by the scenario's id.
pub async fn failures(runner: &Runner) -> Vec<String> {
    let world = &runner.file.world;
    let server = runner.server().await;
    let site = Site::start(Setup {
        trust_domain: world.trust_domain.clone(),
        body_bytes_max: world.body_inspection_limit_bytes,
        // The certificates are made now, and the server's clock is the world's.
        with_certificate: false,
        ..Setup::new(&server.port(), sample())
    })
    .await;
    let mut failures = Vec::new();
    for scenario in runner.file.scenarios.iter().filter(|scenario| !scenario.is_about_a_request()) {
        let hint: Vec<&String> = scenario.unknown_keys().collect();
        if let Err(why) = run(runner, scenario, &site).await {
            let check = said(&server.ask(call::check(scenario, world, &runner.issuers)).await);
            let why = format!("{why} (the check alone: {} {})", check.status, check.reason);
            failures.push(format!("{}: {why} (keys not understood: {hint:?})", scenario.id));
        }
    }
    failures
}

async fn run(runner: &Runner, scenario: &Scenario, site: &Site) -> Result<(), String> {
    let request = call::request(scenario, &runner.issuers);
    let secrets = call::tokens(scenario, &runner.issuers);
    let mut first: Option<client::Answer> = None;
    for (way, answer) in scenario.response.ways() {
        let received = site.send(&scenario.source_principal, &request, answer).await;
        let received = received.map_err(|error| format!("{way}: {error}"))?;
        compare(scenario, &received, &secrets, &runner.file.world).map_err(|why| format!("{way}: {why}"))?;
        let first = first.get_or_insert_with(|| received.clone());
        if (first.status, &first.body) != (received.status, &received.body) {
            return Err(format!("{way}: it differs from the answer that came whole: {}", received.text()));
        }
    }
    Ok(())
}

fn compare(scenario: &Scenario, got: &client::Answer, secrets: &[String], world: &World) -> Result<(), String> {
    let expected = &scenario.expected;
    let was = format!("got {} {:?} {}", got.status, got.headers, got.text());
    if !expected.has_status(i32::from(got.status)) {
        return Err(format!("the status is not expected; {was}"));
    }
    for (name, pattern) in &expected.must_have_headers {
        let pattern = Pattern::parse(pattern)?;
        if !got.values(name).any(|value| pattern.matches(value)) {
            return Err(format!("expected `{name}` to match `{}`; {was}", pattern.written));
        }
    }
    let length = got.values("content-length").next();
    if length.is_some_and(|length| length != got.body.len().to_string()) {
        return Err(format!("`content-length` is wrong; {was}"));
    }
    let decoded = decoded(got)?;
    let document = serde_json::from_str::<Value>(&decoded).ok();
    let texts = document.as_ref().map(|json| strings(json).join("\n")).unwrap_or_default();
    let streamed = joined(&decoded).into_values().collect::<Vec<_>>().join("\n");
    let everything = format!("{}\n{decoded}\n{texts}\n{streamed}\n{:?}", got.text(), got.headers);
    if let Some(text) = expected.must_not_contain.iter().chain(secrets).find(|text| everything.contains(text.as_str()))
    {
        return Err(format!("the answer holds `{text}`; {was}"));
    }
    if let Some(text) = expected.must_contain.iter().find(|text| !everything.contains(text.as_str())) {
        return Err(format!("the answer does not hold `{text}`; {was}"));
    }
    others(expected, &scenario.response, got, &streamed, document.as_ref())?;
    if expected.verdicts().any(|verdict| verdict == "redact") && got.status == scenario.response.answer().status {
        as_the_reference(&scenario.response, &decoded, world).map_err(|why| format!("{why}; {was}"))?;
    }
    Ok(())
}

/// The expectations that only responses have.
fn others(
    expected: &Expected,
    written: &Written,
    got: &client::Answer,
    streamed: &str,
    document: Option<&Value>,
) -> Result<(), String> {
    for (key, value) in &expected.others {
        let texts = || value.as_array().into_iter().flatten().filter_map(Value::as_str);
        match key.as_str() {
            "response_unchanged" if value == true && got.body != written.body() => {
                return Err(format!("the body has changed: {}", got.text()));
            }
            // What was decoded is always compared.
            "response_unchanged" | "check_after_content_decoding" => {}
            "reassembled_must_contain" => {
                if let Some(text) = texts().find(|text| !streamed.contains(text)) {
                    return Err(format!("the joined text does not hold `{text}`: {streamed}"));
                }
            }
            "reassembled_must_not_contain" => {
                if let Some(text) = texts().find(|text| streamed.contains(text)) {
                    return Err(format!("the joined text holds `{text}`: {streamed}"));
                }
            }
            "joined_paths_must_not_contain" => {
                for (path, secrets) in value.as_object().into_iter().flatten() {
                    let text = at(path, document.unwrap_or(&Value::Null))?;
                    let mut secrets = secrets.as_array().into_iter().flatten().filter_map(Value::as_str);
                    if let Some(secret) = secrets.find(|secret| text.contains(secret)) {
                        return Err(format!("`{path}` holds `{secret}`"));
                    }
                }
            }
            _ if matches!(value, Value::Null | Value::Bool(false)) => {}
            key => return Err(format!("the expectation `{key}: {value}` is not understood")),
        }
    }
    Ok(())
}

/// The texts at a path of members and `[*]`, joined; numbers too, as the bytes of a text.
fn at(path: &str, document: &Value) -> Result<String, String> {
    let (path, are_bytes) = path.strip_suffix(" as UTF-8").map_or((path, false), |path| (path, true));
    let steps = path.strip_prefix("$.").ok_or_else(|| format!("`{path}` is not a path"))?;
    let mut found = vec![document];
    for step in steps.split('.') {
        let (name, is_list) = step.strip_suffix("[*]").map_or((step, false), |name| (name, true));
        found = found.into_iter().filter_map(|value| value.get(name)).collect();
        if is_list {
            found = found.into_iter().filter_map(Value::as_array).flatten().collect();
        }
    }
    if are_bytes {
        let bytes = found.into_iter().filter_map(|value| u8::try_from(value.as_u64()?).ok()).collect::<Vec<_>>();
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(found.into_iter().filter_map(Value::as_str).collect())
}

/// Compares the answer with what the whole text may leave as, by the world's own patterns.
fn as_the_reference(written: &Written, decoded: &str, world: &World) -> Result<(), String> {
    let Some(redaction) = &world.redaction else { return Ok(()) };
    let mut patterns = Vec::new();
    for secret in &redaction.patterns {
        let name = NAMES.iter().find(|(theirs, _)| *theirs == secret.name).map_or(&*secret.name, |(_, ours)| *ours);
        let check = match secret.check.as_deref() {
            None => Check::Any,
            Some("luhn") => Check::Luhn,
            Some(other) => return Err(format!("the check `{other}` is not understood")),
        };
        patterns.push((secret.regex.as_str(), format!("[{name}]"), check));
    }
    let all: Vec<_> = patterns.iter().map(|(pattern, mask, check)| (*pattern, mask.as_str(), *check)).collect();
    let reference = Reference::new(&all);
    let sent = inflated(&written.body(), written.response_headers.get("content-encoding").map(String::as_str))?;
    let expected = |text: &str| serde_json::from_str::<Value>(text).ok();
    if let Some(mut document) = expected(&sent) {
        let choices = document.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten();
        // They repeat the text token by token, so they are dropped.
        choices.filter_map(Value::as_object_mut).for_each(|choice| drop(choice.remove("logprobs")));
        let mut got = expected(decoded).unwrap_or_default();
        let choices = got.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten();
        choices.filter_map(Value::as_object_mut).for_each(|choice| drop(choice.remove("logprobs")));
        let document = reference.masked(&document);
        return if got == document { Ok(()) } else { Err(format!("the reference is {document}")) };
    }
    let masked: BTreeMap<_, _> =
        joined(&sent).into_iter().map(|(place, text)| (place, reference.mask(&text))).collect();
    if joined(decoded) == masked { Ok(()) } else { Err(format!("the reference is {masked:?}")) }
}

/// The text of an answer, inflated if it is coded.
fn decoded(got: &client::Answer) -> Result<String, String> {
    inflated(&got.body, got.values("content-encoding").next())
}

fn inflated(body: &[u8], coding: Option<&str>) -> Result<String, String> {
    let mut inflated = Vec::new();
    match coding {
        None | Some("identity") => inflated = body.to_vec(),
        Some("gzip") => {
            let read = flate2::read::GzDecoder::new(body).read_to_end(&mut inflated);
            read.map_err(|error| format!("it is not gzip: {error}"))?;
        }
        Some(other) => return Err(format!("the coding `{other}` is not understood")),
    }
    Ok(String::from_utf8_lossy(&inflated).into_owned())
}
