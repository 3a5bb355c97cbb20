//! The demo's output: two or three lines a call, for narrow terminals.

use std::io::IsTerminal as _;
use std::path::Path;

use super::answers::Answered;
use super::runner::Played;
use super::scenario::{End, Step};

/// Whether words are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// Words are plain.
    Off,
    /// Verdicts have a colour.
    On,
}

impl Colours {
    /// Colours on a terminal, unless `NO_COLOR` is set to something.
    #[must_use]
    pub fn wanted() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stdout().is_terminal() && !refused { Self::On } else { Self::Off }
    }

    fn paint(self, verdict: &str) -> String {
        let code = match (self, verdict) {
            (Self::Off, _) => return format!("{verdict:<9}"),
            (Self::On, "ALLOW") => 32,
            (Self::On, "CHALLENGE") => 33,
            (Self::On, _) => 31,
        };
        // Padded inside, because escape codes count as characters.
        format!("\u{1b}[{code}m{verdict:<9}\u{1b}[0m")
    }
}

/// The verdict in one word, and who gave it.
#[must_use]
pub fn verdict(played: &Played) -> (&'static str, String) {
    match &played.told {
        None if played.upstream.is_some() || played.answered.is_some() => ("ALLOW", "no check".to_owned()),
        None => ("REFUSED", "Envoy".to_owned()),
        Some(_) if played.answered.as_ref().is_some_and(|answered| answered.outcome == "refused") => {
            ("WITHHELD", "the call was allowed, its answer was not".to_owned())
        }
        Some(told) => {
            let word = match told.decision {
                "allow" => "ALLOW",
                "challenge" => "CHALLENGE",
                "deny" => "DENY",
                _ => "REFUSED",
            };
            let by = if told.policies.is_empty() { told.reason.to_owned() } else { told.policies.join(", ") };
            (word, by)
        }
    }
}

/// One call as text.
#[must_use]
pub fn call(number: usize, step: &Step, played: &Played, environment: &Place<'_>) -> String {
    let (word, by) = verdict(played);
    let mark = if played.surprises.is_empty() { ' ' } else { '!' };
    let mut text = format!("{mark}{number:>2}  {}\n", step.title);
    text.push_str(&format!("     {} {}  {by}\n", environment.colours.paint(word), played.answer.status));
    if let Some(edit) = &step.edit {
        let took = played.effect.unwrap_or_default().as_millis();
        text.push_str(&format!("     edited    {}, active after {took} ms\n", edit.file));
    }
    for (name, _) in step.upstream {
        let values: Vec<&str> = played.upstream.iter().flat_map(|echo| echo.values(name)).collect();
        let values = if values.is_empty() { "(nothing)".to_owned() } else { values.join(", ") };
        text.push_str(&format!("     upstream  {name}: {values}\n"));
    }
    for challenge in played.answer.values("www-authenticate") {
        text.push_str(&format!("     challenge {challenge}\n"));
    }
    if let Some(refusal) = refusal(step, played) {
        text.push_str(&format!("     refusal   {refusal}\n"));
    }
    if let Some(answered) = &played.answered {
        text.push_str(&answer(answered));
    }
    for surprise in &played.surprises {
        text.push_str(&format!("     SURPRISE  {surprise}\n"));
    }
    text.push_str(&format!("     {}\n", curl(step, environment)));
    text
}

/// An answer of a model: each frame as it was sent, next to the same frame as the client got it.
fn answer(answered: &Answered) -> String {
    let Answered { sent, received, arrived_ms, outcome, policies, findings, .. } = answered;
    let found = findings.as_object().into_iter().flatten().map(|(detector, _)| detector.as_str()).collect::<Vec<_>>();
    let found = if found.is_empty() { String::new() } else { format!("; found {}", found.join(", ")) };
    let mut text = format!("     answer    {outcome} by {}{found}\n", policies.join(", "));
    if !matches!((sent.as_slice(), received.as_slice()), ([_], [_])) {
        text.push_str(&format!("     {:>7}   {:<34} the client got\n", "after", "the model sent"));
        for frame in 0..sent.len().max(received.len()) {
            let at = arrived_ms.get(frame).map(|at| format!("{at} ms")).unwrap_or_default();
            let quoted = |texts: &[String]| texts.get(frame).map(|text| format!("{text:?}")).unwrap_or_default();
            text.push_str(&format!("     {at:>7}   {:<34} {}\n", quoted(sent), quoted(received)));
        }
    } else {
        text.push_str(&format!("     sent      {}\n     received  {}\n", sent.concat(), received.concat()));
    }
    text
}

/// What an agent reads of a refusal: the reason, and the way to a yes.
fn refusal(step: &Step, played: &Played) -> Option<String> {
    step.body?;
    let answer: serde_json::Value = serde_json::from_slice(&played.answer.body).ok()?;
    let error = answer.get("error")?;
    let message = error.get("message").and_then(serde_json::Value::as_str).unwrap_or_default();
    let of = |name: &str| error.pointer(&format!("/data/{name}")).map(|value| format!("; {name} {value}"));
    Some(format!("{message}{}{}", of("reason").unwrap_or_default(), of("remedy").unwrap_or_default()))
}

/// Where things are, for the lines that repeat a call.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The folder of certificates and logins.
    pub folder: &'a Path,
    /// Envoy's port.
    pub port: u16,
    /// Whether verdicts have a colour.
    pub colours: Colours,
}

/// The call as a shell command, to be run in the folder.
#[must_use]
pub fn curl(step: &Step, place: &Place<'_>) -> String {
    let mut line = format!("curl -K {}.curl", step.caller.name());
    if step.method != "GET" {
        line.push_str(&format!(" -X {}", step.method));
    }
    line.push_str(&format!(" -H 'host: {}'", step.host));
    for (name, value) in step.headers {
        line.push_str(&format!(" -H '{name}: {value}'"));
    }
    if let Some(file) = step.login.file() {
        line.push_str(&format!(" -H @{file}"));
    }
    if step.release.is_some() {
        // Shows each frame of a stream as it comes.
        line.push_str(" -N");
    }
    if let Some(body) = step.body {
        line.push_str(&format!(" --data '{body}'"));
    }
    format!("{line} 'https://localhost:{}{}'", place.port, step.path)
}

/// One call for programs.
#[must_use]
pub fn json(step: &Step, played: &Played, place: &Place<'_>) -> serde_json::Value {
    serde_json::json!({
        "title": step.title,
        "caller": step.caller.id(),
        "status": played.answer.status,
        "asked": step.end != End::Envoy,
        "picket": played.told,
        "answer": played.answered,
        "as_expected": played.surprises.is_empty(),
        "surprises": played.surprises,
        "curl": curl(step, place),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::scenario::Scenario;
    use super::{Colours, Place, curl};

    #[test]
    fn a_curl_line_repeats_the_call_as_it_was() {
        let place = Place { folder: Path::new("/tmp/x"), port: 1234, colours: Colours::Off };
        let refund = Scenario::Shop.steps().iter().find(|step| step.login.file() == Some("login-old.header")).unwrap();
        assert_eq!(
            curl(refund, &place),
            "curl -K backoffice.curl -X POST -H 'host: billing.pay.svc.cluster.local' -H @login-old.header \
             'https://localhost:1234/v1/refunds'"
        );
        // A quote in a title's call would break the shell line.
        assert!(Scenario::Shop.steps().iter().chain(Scenario::Agents.steps()).chain(Scenario::Content.steps()).all(
            |step| {
                !step.path.contains('\'')
                    && !step.body.unwrap_or_default().contains('\'')
                    && step.headers.iter().all(|(_, v)| !v.contains('\''))
            }
        ));
    }

    #[test]
    fn words_are_plain_without_colours() {
        assert_eq!(Colours::Off.paint("ALLOW"), "ALLOW    ");
        assert!(Colours::On.paint("DENY").contains("[31m"));
    }
}
