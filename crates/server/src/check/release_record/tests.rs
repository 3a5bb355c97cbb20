//! Responses that may carry the result of another call.

use picket_core::query::Uid;

use super::*;

#[test]
fn every_path_of_a_models_api_but_the_list_of_models_may_hold_stored_responses() {
    for (path, expected) in [
        ("/v1/responses/resp_1", true),
        ("/v1/responses/resp_1/cancel", true),
        ("/v1/chat/completions/c1", true),
        ("/v1/messages/batches/b1/results", true),
        ("/v1/modelsx", true),
        ("/v1/models", false),
        ("/v1/models/gpt-5", false),
        ("/healthz", false),
    ] {
        assert_eq!(operation::is_stored(path), expected, "{path}");
    }
}

#[test]
fn a_record_without_a_snapshot_is_that_of_a_denial() {
    let key = ReleaseKey::new(&[1; 32]).unwrap();
    let sealer = ReleaseSealer::new(key, Duration::from_secs(60));
    let seal = ProxySeal { sealer: &sealer, proxy: "spiffe://td/gateway", at: UnixMillis(1_000) };
    let failed = Judgement::failed(Failure::new(Code::Internal, "test"));
    let texts = [1, 2].map(|_| seal.record(&failed, Uuid::from_bytes([7; 16])).unwrap());
    assert_ne!(texts[0], texts[1], "each record has a salt of its own");
    for text in texts {
        let record = sealer.open(&text, "spiffe://td/gateway", UnixMillis(61_000)).unwrap();
        assert_eq!((record.draft, record.decision_id), (ReleaseDraft::Denied, [7; 16]));
        assert_eq!(sealer.open(&text, "spiffe://td/gateway", UnixMillis(61_001)), Err(RecordProblem::Expired));
        assert_eq!(sealer.open(&text, "", UnixMillis(1_000)), Err(RecordProblem::Foreign));
    }
}

/// A call of which policies in shadow mode read a claim of so many bytes.
fn collected(guard: ReleaseGuard, bytes: usize) -> Collected {
    let shadow = Coverage { principal: EntityCoverage::Whole, ..Coverage::default() };
    let mut principal = Node::new(Uid::new("Workload", "spiffe://td/a"));
    principal.attributes.insert("claim".into(), "x".repeat(bytes).into());
    Collected {
        reads: Reads::default(),
        is_scoped_below: false,
        judged: vec![Judged {
            rpc_id: None,
            action: "GET".into(),
            method: "".into(),
            resource: Node::new(Uid::new("Path", "shop/orders/a")),
        }],
        principal: Some(principal),
        env: Record::new(),
        carries_another_result: false,
        shadow: Some(shadow),
        lists: Lists::Unfiltered,
        listed: None,
        guard,
    }
}

#[test]
fn a_record_leaves_out_what_only_policies_in_shadow_mode_read_where_it_would_be_too_large() {
    let key = ReleaseKey::new(&[1; 32]).unwrap();
    let open = ReleaseGuard { permits_all: true, ..ReleaseGuard::default() };
    for (guard, bytes, expected) in [
        (ReleaseGuard::default(), 10, Some(true)),
        (ReleaseGuard::default(), 5_000, Some(false)),
        (open.clone(), 10, Some(true)),
        (open, 5_000, None),
    ] {
        let drafted = collected(guard, bytes).draft("shop/orders", &[], None).unwrap();
        let stamp = Stamp { at: UnixMillis(1), decision_id: [7; 16], proxy: "", salt: [1; SALT_BYTES] };
        let text = release::seal(&key, &stamp, &drafted.bytes).unwrap();
        let has_claim = match release::open(&key, &text, "", UnixMillis(1), 1).unwrap().draft {
            ReleaseDraft::Allowed(allowed) => {
                let is_complete = allowed.coverage.principal == EntityCoverage::Whole;
                assert_eq!(allowed.principal.attributes.contains_key("claim"), is_complete);
                Some(is_complete)
            }
            ReleaseDraft::Open { .. } | ReleaseDraft::Denied => None,
        };
        assert_eq!(has_claim, expected, "{bytes}");
    }
}
