//! Renders an explanation as text: aligned, the answer first, then what nearly changed it.

use std::fmt::Write as _;

use super::Explanation;
use picket_core::decision::explain::{Line, Match};
use picket_core::query::Node;

/// The whole explanation, which ends with a line break.
pub(super) fn render(explanation: &Explanation<'_>) -> String {
    let mut text = format!("{}  {}\n", explanation.decision().to_uppercase(), explanation.reason());
    if let Some(detail) = explanation.detail() {
        let _ = writeln!(text, "  {detail}");
    }
    query(explanation, &mut text);
    deciding(explanation, &mut text);
    nearly(explanation, &mut text);
    elsewhere(explanation, &mut text);
    text
}

fn query(explanation: &Explanation<'_>, text: &mut String) {
    let Some(query) = &explanation.judgement.query else {
        if let Some(service) = &explanation.judgement.service {
            let _ = writeln!(text, "\n  service    {service}");
        } else if !explanation.tried.is_empty() {
            text.push_str("\n  searched for the called service by\n");
            for tried in &explanation.tried {
                let _ = writeln!(text, "    {tried}");
            }
        }
        return;
    };
    let _ = writeln!(text, "\n  principal  {}", query.principal.uid);
    if let Some(groups) = groups(&query.principal) {
        let _ = writeln!(text, "             in {groups}");
    }
    let _ = writeln!(text, "  action     Action::\"{}\"", query.action);
    let _ = writeln!(text, "  resource   {}", query.resource.uid);
    if let Some(groups) = groups(&query.resource) {
        let _ = writeln!(text, "             in {groups}");
    }
    if let Some(digest) = &explanation.judgement.digest {
        let _ = writeln!(text, "  digest     {digest}");
    }
    let count = explanation.lines.len();
    let _ = writeln!(text, "  policies   {count} of mesh and {} can apply", query.namespace);
}

/// The groups that policies most often name: namespaces, groups and routes.
fn groups(node: &Node) -> Option<String> {
    let named = |kind: &str| matches!(kind, "Namespace" | "Group" | "Route");
    let names: Vec<String> = node.ancestors.iter().filter(|uid| named(&uid.kind)).map(ToString::to_string).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn deciding(explanation: &Explanation<'_>, text: &mut String) {
    let ids = explanation.determining();
    if !ids.is_empty() {
        text.push_str("\n  decided by\n");
    }
    let found: Vec<&Line> = explanation.lines.iter().filter(|line| ids.contains(&line.entry.id)).collect();
    listed(&found, text, |_, _| {});
    if let Ok(verdict) = &explanation.judgement.result
        && let Some(would_be) = &verdict.would_be
    {
        let by = would_be.determining.join(", ");
        let by = if by.is_empty() { by } else { format!(", by {by}") };
        let (decision, reason) = (would_be.decision.as_str(), would_be.reason.as_str());
        let _ = writeln!(text, "\n  with shadow policies enforced: {decision} ({reason}){by}");
    }
}

/// Details of the policies that could have changed the answer: permits if none holds, forbids if the call is allowed.
fn nearly(explanation: &Explanation<'_>, text: &mut String) {
    let turning = match (explanation.decision(), explanation.reason()) {
        ("allow", _) => "forbid",
        (_, "no_permit") => "permit",
        _ => "",
    };
    let failed = |line: &Line| matches!(line.matched, Match::Failed(_));
    let (near, other): (Vec<&Line>, Vec<&Line>) =
        explanation.near().partition(|line| failed(line) || line.entry.effect.to_string() == turning);
    if !near.is_empty() {
        text.push_str("\n  in scope, but not satisfied\n");
    }
    listed(&near, text, |line, text| match &line.matched {
        Match::Unmet { condition, values } => {
            let _ = writeln!(text, "      {}", one_line(condition));
            for value in values {
                let _ = writeln!(text, "        {value}");
            }
        }
        Match::Failed(message) => {
            let _ = writeln!(text, "      failed to evaluate: {message}");
        }
        Match::OutOfScope(_) | Match::Satisfied => {}
    });
    let ids = explanation.determining();
    let held = explanation.lines.iter().filter(|line| line.matched == Match::Satisfied);
    let held: Vec<&str> = held.map(|line| line.entry.id.as_str()).filter(|id| !ids.iter().any(|d| d == id)).collect();
    if !held.is_empty() {
        let _ = writeln!(text, "\n  also satisfied: {}", held.join(", "));
    }
    if !other.is_empty() {
        let other: Vec<&str> = other.iter().map(|line| line.entry.id.as_str()).collect();
        let _ = writeln!(text, "\n  also in scope, but not satisfied: {}", other.join(", "));
    }
}

/// Shown only if no permit holds: then a wrong caller is the likeliest cause.
fn elsewhere(explanation: &Explanation<'_>, text: &mut String) {
    let elsewhere: Vec<(&Line, &str)> = explanation.elsewhere().collect();
    if explanation.reason() != "no_permit" || elsewhere.is_empty() {
        return;
    }
    text.push_str("\n  for other callers\n");
    let lines: Vec<&Line> = elsewhere.iter().map(|(line, _)| *line).collect();
    listed(&lines, text, |line, text| {
        let named = elsewhere.iter().find(|(other, _)| other.entry.id == line.entry.id);
        if let Some((_, named)) = named {
            let _ = writeln!(text, "      {named}");
        }
    });
}

/// One line for each policy, its place in a column of its own, followed by the lines of `more`.
fn listed(lines: &[&Line], text: &mut String, more: impl Fn(&Line, &mut String)) {
    let name = |line: &Line| format!("{} {}", line.entry.effect, line.entry.id);
    let width = lines.iter().map(|line| name(line).len()).max().unwrap_or_default();
    for line in lines {
        let _ = writeln!(text, "    {:width$}  {}:{}", name(line), line.entry.file, line.entry.line);
        more(line, text);
    }
}

fn one_line(condition: &str) -> String {
    condition.split_whitespace().collect::<Vec<_>>().join(" ")
}
