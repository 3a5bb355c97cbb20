//! Runs one call of a scenario and compares the result with the expected one.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::answers::{self, Answered};
use super::client::{self, Answer};
use super::environment::{Environment, Told};
use super::scenario::{End, Step};
use super::settings::DECISION_LOG;
use super::upstream::Echo;

/// How long a change of the policies may take to show.
const EFFECT: Duration = Duration::from_secs(5);
/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// How long to wait for what Picket tells; it tells before the answer is back, but on another thread.
const TOLD: Duration = Duration::from_secs(1);

/// The result of a call.
#[derive(Debug)]
pub struct Played {
    /// The answer that the caller got.
    pub answer: Answer,
    /// Picket's result, if it got a check.
    pub told: Option<Told>,
    /// The request at the upstream, if it arrived there.
    pub upstream: Option<Echo>,
    /// The answer of the model, if one got the call.
    pub answered: Option<Answered>,
    /// How long a change of the policies took to show.
    pub effect: Option<Duration>,
    /// Everything that is not as it must be.
    pub surprises: Vec<String>,
}

/// Makes the call; after an edit until the edit shows.
///
/// # Errors
/// If the file cannot be edited or the call cannot be made.
pub async fn run(environment: &mut Environment, step: &Step) -> io::Result<Played> {
    let Some(edit) = &step.edit else { return call(environment, step).await };
    environment.folder().write(&format!("policies/{}", edit.file), edit.text)?;
    let begin = Instant::now();
    loop {
        let mut played = call(environment, step).await?;
        if played.surprises.is_empty() || begin.elapsed() > EFFECT {
            played.effect = Some(begin.elapsed());
            return Ok(played);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn call(environment: &mut Environment, step: &Step) -> io::Result<Played> {
    // What an earlier call left behind must not speak for this one.
    while environment.told.try_recv().is_ok() || environment.sent.try_recv().is_ok() {}
    let mut lines = vec![format!("{} {} HTTP/1.1", step.method, step.path), format!("host: {}", step.host)];
    lines.extend(step.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.extend(environment.login(step.login).into_iter().flatten().cloned());
    let body = step.body.unwrap_or_default();
    if step.method != "GET" {
        lines.push(format!("content-length: {}", body.len()));
    }
    let request = format!("{}\r\nconnection: close\r\n\r\n{body}", lines.join("\r\n"));
    let stream = environment.caller(step.caller)?.connect(environment.mesh).await?;
    let (answer, pieces) = client::exchange_in_pieces(stream, request.as_bytes()).await?;
    let told = match step.end {
        End::Envoy => environment.told.try_recv().ok(),
        End::Policy(..) | End::Picket(_) => tokio::time::timeout(TOLD, environment.told.recv()).await.ok().flatten(),
    };
    let upstream = if answer.status == 200 { serde_json::from_slice(&answer.body).ok() } else { None };
    let answered = match environment.sent.try_recv() {
        Ok(sent) => {
            let log = environment.folder().path().join(DECISION_LOG);
            let decision_id = told.as_ref().map(|told| told.decision_id.as_str()).unwrap_or_default();
            Some(Answered::of(&sent, &answer, &pieces, &log, decision_id).await)
        }
        Err(_) => None,
    };
    let mut surprises = surprises(step, &answer, told.as_ref(), upstream.as_ref());
    surprises.extend(answers::surprises(step.release.as_ref(), answered.as_ref()));
    Ok(Played { answer, told, upstream, answered, effect: None, surprises })
}

/// Compares; nothing is a surprise if all is as the scenario says.
fn surprises(step: &Step, answer: &Answer, told: Option<&Told>, upstream: Option<&Echo>) -> Vec<String> {
    let mut found = Vec::new();
    if answer.status != step.status {
        found.push(format!("status {} instead of {}", answer.status, step.status));
    }
    let got =
        told.map(|told| (told.decision, told.reason, told.policies.iter().map(String::as_str).collect::<Vec<_>>()));
    let is_right = match (step.end, &got) {
        (End::Envoy, None) => true,
        (End::Envoy, Some(_)) | (End::Policy(..) | End::Picket(_), None) => false,
        (End::Policy(decision, policies), Some((got, _, by))) => decision == *got && policies == by.as_slice(),
        (End::Picket(code), Some((got, reason, _))) => *got == "error" && code == *reason,
    };
    if !is_right {
        found.push(format!("Picket reported {got:?} instead of {:?}", step.end));
    }
    // An answer of a model has checks of its own.
    if step.release.is_none() && (step.status == 200) != upstream.is_some() {
        found.push(
            if upstream.is_some() { "the call reached the upstream" } else { "the call did not reach the upstream" }
                .to_owned(),
        );
    }
    for (name, expected) in step.upstream {
        let values: Vec<&str> = upstream.iter().flat_map(|echo| echo.values(name)).collect();
        if values != expected.iter().copied().collect::<Vec<_>>() {
            found.push(format!("the upstream got {name} {values:?} instead of {expected:?}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::client::Answer;
    use super::super::environment::Told;
    use super::super::scenario::{End, Scenario, Step};
    use super::super::upstream::Echo;
    use super::surprises;

    fn told(decision: &'static str, policies: &[&str]) -> Told {
        let policies = policies.iter().map(|id| (*id).to_owned()).collect();
        Told { decision_id: String::new(), decision, reason: "policy_permit", policies }
    }

    fn echo(headers: &[(&str, &str)]) -> Echo {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Echo { method: "GET".into(), path: "/".into(), headers, body: String::new() }
    }

    #[test]
    fn every_difference_from_the_scenario_is_reported() {
        let step = Step {
            status: 200,
            end: End::Policy("allow", &["a/b"]),
            upstream: &[("x-a", Some("1")), ("x-b", None)],
            ..Scenario::Shop.steps()[0]
        };
        let answer = |status| Answer { status, headers: vec![], body: vec![] };
        let good = echo(&[("x-a", "1")]);
        let count =
            |status, told: Option<&Told>, echo: Option<&Echo>| surprises(&step, &answer(status), told, echo).len();
        assert_eq!(count(200, Some(&told("allow", &["a/b"])), Some(&good)), 0);
        assert_eq!(count(403, Some(&told("allow", &["a/b"])), Some(&good)), 1);
        assert_eq!(count(200, Some(&told("allow", &["a/b", "a/c"])), Some(&good)), 1);
        assert_eq!(count(200, Some(&told("deny", &["a/b"])), Some(&good)), 1);
        assert_eq!(count(200, None, Some(&good)), 1);
        assert_eq!(count(200, Some(&told("allow", &["a/b"])), Some(&echo(&[("x-a", "1"), ("x-b", "2")]))), 1);
        assert_eq!(count(200, Some(&told("allow", &["a/b"])), Some(&echo(&[("x-a", "1"), ("x-a", "1")]))), 1);
        let asked_for_nothing = Step { status: 400, end: End::Envoy, upstream: &[], ..step };
        assert_eq!(surprises(&asked_for_nothing, &answer(400), None, None).len(), 0);
        assert_eq!(surprises(&asked_for_nothing, &answer(400), Some(&told("deny", &[])), None).len(), 1);
    }
}
