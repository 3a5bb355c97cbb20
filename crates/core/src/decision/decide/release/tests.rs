//! Verdicts on responses.

use std::sync::Arc;

use super::*;
use crate::call::UnixMillis;
use crate::decision::snapshot::Tree;
use crate::mapping::release::{Findings, ResponseFacts, ResponseSource, query};
use crate::query::{Node, Uid, record};
use crate::release::{Allowed, Coverage, Judged};

const PERMIT: &str = r#"@id("release") permit (principal, action == Action::"release", resource);"#;
const MASK: &str = r#"@id("mask") @remedy("mask") @mask("card,email")
forbid (principal, action == Action::"release", resource in Tool::"agents/tickets/read")
when { context.found.containsAny(["card", "email"]) };"#;
const MASK_MORE: &str = r#"@id("mask-more") @remedy("mask") @mask("iban")
forbid (principal, action == Action::"release", resource) when { context.found.contains("iban") };"#;
const REFUSE: &str = r#"@id("refuse") @reason("secret_in_answer")
forbid (principal, action == Action::"release", resource) when { context.found.contains("aws_key") };"#;
const STEP_UP: &str = r#"@id("step-up") @remedy("step_up") @max_age("60")
forbid (principal, action == Action::"release", resource) when { context.found.contains("email") };"#;
const FAILS: &str = r#"@id("fails")
forbid (principal, action == Action::"release", resource) when { context.status + 9223372036854775807 > 0 };"#;
const OBLIGED: &str = r#"@id("obliged") @set_headers("x-a=b") permit (principal, action, resource);"#;

fn snapshot(policies: &[&str], shadow: &[&str]) -> Arc<Snapshot> {
    let catalog = "services: [{id: agents/tickets, protocol: mcp, mcp: {versions: ['2025-06-18']}, \
                   tools: {read: {}, write: {}}}]";
    let modes = "modes: {mesh/s.cedar: shadow}".to_owned();
    let shadow = [("mesh/s.cedar", shadow.join("\n")), ("manifest.yaml", modes)];
    let files = [("catalog.yaml", catalog.to_owned()), ("mesh/a.cedar", policies.join("\n"))].into_iter().chain(shadow);
    let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text))).collect();
    let loaded = Snapshot::load(&Tree { files, folders: ["mesh".to_owned()].into() }, None);
    assert!(loaded.refused.is_empty(), "{:?}", loaded.problems);
    loaded.snapshot.unwrap()
}

fn decided(policies: &[&str], tool: &str, found: &[&str]) -> (String, Vec<String>) {
    decided_by(Basis::Enforced, (policies, &[]), tool, found)
}

fn decided_by(
    basis: Basis,
    (policies, shadow): (&[&str], &[&str]),
    tool: &str,
    found: &[&str],
) -> (String, Vec<String>) {
    let record = Allowed {
        service: "agents/tickets".into(),
        judged: vec![Judged {
            rpc_id: None,
            action: "mcp.tools.call".into(),
            method: "".into(),
            resource: Node::new(Uid::new("Tool", format!("agents/tickets/{tool}"))),
        }],
        principal: Node::new(Uid::new("Unauthenticated", "unauthenticated")),
        env: record([("listener", "edge".into())]),
        coverage: Coverage::default(),
        carries_another_result: false,
        lists: None,
        masked: BTreeSet::new(),
    };
    let response = ResponseFacts {
        at: UnixMillis(1_796_000_000_000),
        source: ResponseSource::Upstream,
        status: 200,
        media_type: "application/json".into(),
        is_stream: false,
    };
    let found = found.iter().map(|name| SmolStr::from(*name)).collect();
    let seen = Findings { found: &found, inspected: true, passed: &BTreeSet::new() };
    let mut query = query(&record, &record.judged[0], &response, seen, "cluster.local");
    let verdict = release_within(&snapshot(policies, shadow), &mut query, basis, &Allowance::unbounded()).unwrap();
    let effect = match verdict.effect {
        ReleaseEffect::Release => "release".to_owned(),
        ReleaseEffect::Mask(detectors) => format!("mask {}", detectors.into_iter().collect::<Vec<_>>().join(" ")),
        ReleaseEffect::Refuse(denial) => {
            let public = denial.public_reason.map(|reason| format!(" {reason}")).unwrap_or_default();
            format!("refuse {}{public}", denial.reason.as_str())
        }
    };
    (effect, verdict.determining)
}

#[test]
fn permits_release_and_forbids_mask_or_refuse() {
    for (policies, tool, found, effect, determining) in [
        (&[PERMIT][..], "read", &["card"][..], "release", &["mesh/release"][..]),
        (&[MASK], "read", &[], "refuse no_permit", &[]),
        (&[MASK], "read", &["card"], "refuse no_permit", &[]),
        (&[PERMIT, MASK], "read", &[], "release", &["mesh/release"]),
        (&[PERMIT, MASK], "read", &["card"], "mask card email", &["mesh/mask"]),
        (&[PERMIT, MASK], "write", &["card"], "release", &["mesh/release"]),
        (
            &[PERMIT, MASK, MASK_MORE],
            "read",
            &["card", "iban"],
            "mask card email iban",
            &["mesh/mask", "mesh/mask-more"],
        ),
        (&[PERMIT, REFUSE], "read", &["aws_key"], "refuse policy_forbid secret_in_answer", &["mesh/refuse"]),
        (
            &[PERMIT, MASK, REFUSE],
            "read",
            &["card", "aws_key"],
            "refuse policy_forbid secret_in_answer",
            &["mesh/mask", "mesh/refuse"],
        ),
        (&[PERMIT, STEP_UP], "read", &["email"], "refuse remedy", &["mesh/step-up"]),
        (
            &[PERMIT, MASK, STEP_UP],
            "read",
            &["card", "email"],
            "refuse remedy_conflict",
            &["mesh/mask", "mesh/step-up"],
        ),
        (&[PERMIT, MASK, FAILS], "read", &["card"], "refuse policy_error", &["mesh/fails"]),
        (&[OBLIGED], "read", &[], "refuse obligation_unmet", &["mesh/obliged"]),
        (&[OBLIGED, MASK], "read", &["card"], "refuse obligation_unmet", &["mesh/obliged"]),
    ] {
        let determining = determining.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(decided(policies, tool, found), (effect.to_owned(), determining), "{policies:?} {found:?}");
    }
}

#[test]
fn policies_in_shadow_mode_decide_only_what_would_be() {
    let bridge = r#"@id("bridge") @owner("o") @bridge permit (principal, action == Action::"release", resource);"#;
    for (policies, shadow, found, is, would_be) in [
        (&[PERMIT][..], &[MASK_MORE][..], &["iban"][..], "release", "mask iban"),
        (&[PERMIT], &[MASK_MORE], &[], "release", "release"),
        (&[PERMIT, MASK_MORE], &[REFUSE], &["iban", "aws_key"], "mask iban", "refuse policy_forbid secret_in_answer"),
        (&[PERMIT], &[FAILS], &[], "release", "refuse policy_error"),
        (&[bridge], &[REFUSE], &[], "release", "refuse no_permit"),
        (&[bridge], &[PERMIT], &[], "release", "release"),
        (&[], &[PERMIT], &[], "refuse no_permit", "release"),
    ] {
        let decided = |basis| decided_by(basis, (policies, shadow), "read", found).0;
        assert_eq!([decided(Basis::Enforced), decided(Basis::WouldBe)], [is, would_be], "{policies:?} {shadow:?}");
    }
}
