//! Properties of release records.

use super::coverage::Within;
use super::seal::{KEY_BYTES_MIN, SALT_BYTES, Stamp};
use super::*;
use crate::query::{Uid, Value, record};

const NOW: UnixMillis = UnixMillis(1_796_000_000_000);
const AGE_MAX: u64 = 60_000;
const PROXY: &str = "spiffe://cluster.local/ns/shop/sa/gateway";

fn key(byte: u8) -> ReleaseKey {
    ReleaseKey::new(&[byte; KEY_BYTES_MIN]).unwrap()
}

fn stamp(proxy: &str) -> Stamp<'_> {
    Stamp { at: NOW, decision_id: [7; 16], proxy, salt: [9; SALT_BYTES] }
}

fn principal() -> Node {
    let mut node = Node::new(Uid::new("Workload", "spiffe://cluster.local/ns/web/sa/chat"));
    let token =
        record([("acr", "high".into()), ("audiences", Value::texts(["a", "b"])), ("isUser", Value::Bool(true))]);
    node.set("proof", "mtls");
    node.set("token", Value::Record(token));
    node.ancestors = [Uid::new("Group", "chat"), Uid::new("Namespace", "web")].into();
    node
}

fn allowed() -> Allowed {
    let resource = Node { ancestors: [Uid::new("Group", "guarded")].into(), ..tool("read") };
    Allowed {
        service: "agents/tickets".into(),
        judged: vec![
            Judged {
                rpc_id: Some("\"1\"".into()),
                action: "mcp.tools.call".into(),
                method: "tools/list".into(),
                resource,
            },
            Judged {
                rpc_id: None,
                action: "mcp.tools.call".into(),
                method: "tools/list".into(),
                resource: tool("write"),
            },
        ],
        principal: principal(),
        env: record([("sourceIp", Value::Ip("10.0.0.1".into()))]),
        coverage: Coverage {
            principal: EntityCoverage::Whole,
            resource: parts(&[&["facts"]], &["guarded"]),
            env: ["sourceIp".into()].into(),
        },
        carries_another_result: false,
        lists: Some([9; DIGEST_BYTES]),
        masked: ["card".into()].into(),
    }
}

fn mask() -> RequestMask {
    RequestMask {
        detectors: ["card".into(), "incident".into()].into(),
        shape: BodyShape::Rpc,
        random: [3; 8],
        judged: BodyDigest::of(b"a"),
        masked: BodyDigest::of(b"b"),
    }
}

fn tool(name: &str) -> Node {
    Node::new(Uid::new("Tool", format!("agents/tickets/{name}")))
}

fn parts(paths: &[&[&str]], groups: &[&str]) -> EntityCoverage {
    EntityCoverage::Parts {
        paths: paths.iter().map(|path| path.iter().map(|step| SmolStr::from(*step)).collect()).collect(),
        within: Within::These(groups.iter().map(|group| Uid::new("Group", *group)).collect()),
    }
}

fn sealed(draft: &ReleaseDraft) -> String {
    seal(&key(1), &stamp(PROXY), &draft.encode().unwrap()).unwrap()
}

fn opened(text: &str) -> Result<ReleaseDraft, RecordProblem> {
    open(&key(1), text, PROXY, NOW, AGE_MAX).map(|record| record.draft)
}

#[test]
fn a_record_says_what_was_sealed() {
    let unguarded = ReleaseDraft::Open { service: "shop/orders".into() };
    for draft in [ReleaseDraft::Denied, unguarded, ReleaseDraft::Allowed(Box::new(allowed()))] {
        let record = open(&key(1), &sealed(&draft), PROXY, NOW, AGE_MAX).unwrap();
        assert_eq!(record, ReleaseRecord { at: NOW, decision_id: [7; 16], mask: None, draft });
    }
}

#[test]
fn a_record_opens_for_its_proxy_its_key_and_its_time_only() {
    let text = sealed(&ReleaseDraft::Allowed(Box::new(allowed())));
    let at = |millis: i64| UnixMillis(NOW.0 + millis);
    for (case, key, proxy, now, expected) in [
        ("itself", 1, PROXY, NOW, None),
        ("another key", 2, PROXY, NOW, Some(RecordProblem::Foreign)),
        ("another proxy", 1, "spiffe://cluster.local/ns/shop/sa/gateway2", NOW, Some(RecordProblem::Foreign)),
        ("no proxy", 1, "", NOW, Some(RecordProblem::Foreign)),
        ("its last moment", 1, PROXY, at(60_000), None),
        ("too old", 1, PROXY, at(60_001), Some(RecordProblem::Expired)),
        ("too new", 1, PROXY, at(-60_001), Some(RecordProblem::Expired)),
    ] {
        let problem = open(&self::key(key), &text, proxy, now, AGE_MAX).err();
        assert_eq!(problem, expected, "{case}");
    }
}

#[test]
fn a_record_with_any_bit_flipped_or_any_byte_cut_does_not_open() {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let text = sealed(&ReleaseDraft::Allowed(Box::new(allowed())));
    let bytes = engine.decode(text.strip_prefix("picket1.").unwrap()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = format!("picket1.{}", engine.encode(changed));
        assert_eq!(opened(&changed), Err(RecordProblem::Foreign), "bit {bit}");
    }
    for end in 0..text.len() {
        assert!(opened(&text[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_text_that_is_not_a_record_says_why() {
    let long = format!("picket1.{}", "A".repeat(RECORD_BYTES_MAX));
    for (text, expected) in [
        ("", RecordProblem::Missing),
        ("picket2.AAAA", RecordProblem::UnknownVersion),
        ("AAAA", RecordProblem::Foreign),
        ("picket1.", RecordProblem::Foreign),
        ("picket1.AAA\u{e9}", RecordProblem::Foreign),
        (&long, RecordProblem::TooLarge),
    ] {
        assert_eq!(opened(text), Err(expected), "{text}");
    }
}

#[test]
fn a_record_is_at_most_two_kibibytes() {
    let of = |length: usize| {
        let mut allowed = allowed();
        allowed.principal.set("proof", "x".repeat(length));
        ReleaseDraft::Allowed(Box::new(allowed))
    };
    let mut longest = 0;
    for length in 0..RECORD_BYTES_MAX {
        let Ok(draft) = of(length).encode() else { break };
        // A draft that fits can be sealed: nothing fails once the request was evaluated.
        let text = seal(&key(1), &stamp(PROXY), &draft).unwrap();
        assert!(text.len() <= RECORD_BYTES_MAX && draft.size() <= DRAFT_BYTES_MAX, "{length}");
        assert_eq!(opened(&text), Ok(of(length)));
        longest = text.len();
    }
    assert!(longest > RECORD_BYTES_MAX - 4, "{longest}");
    for length in [RECORD_BYTES_MAX, 70_000, 1 << 20] {
        assert_eq!(of(length).encode(), Err(RecordProblem::TooLarge));
    }
}

#[test]
fn bytes_that_are_no_draft_are_rejected_and_never_panic() {
    let good = ReleaseDraft::Allowed(Box::new(allowed())).encode().unwrap().0;
    assert!(codec::decode(&[&good[..], &[0]].concat()).is_err(), "a byte is left over");
    assert_eq!(codec::decode(&[1, 0]), Err(RecordProblem::UnknownVersion));
    for end in 0..good.len() {
        assert!(codec::decode(&good[..end]).is_err(), "cut at {end}");
    }
    // A changed byte is another draft or none, and another draft has other bytes: there is one form.
    for at in 0..good.len() {
        for byte in [0, 1, 2, 0x7f, 0xff, b'[', b'{'] {
            let mut changed = good.to_vec();
            changed[at] = byte;
            if let Ok((mask, draft)) = codec::decode(&changed) {
                assert_eq!(codec::encode(&draft, mask.as_ref()).unwrap(), changed, "byte {at}");
            }
        }
    }
}

#[test]
fn deep_values_are_rejected() {
    let nested = |depth: usize| {
        let deep = (0..depth).fold(Value::Bool(true), |inner, _| Value::Set([inner].into()));
        let allowed = Allowed { env: record([("a", deep)]), ..allowed() };
        codec::decode(&ReleaseDraft::Allowed(Box::new(allowed)).encode().unwrap().0).map(drop)
    };
    assert_eq!([nested(15), nested(16)], [Ok(()), Err(RecordProblem::Malformed)]);
}

#[test]
fn a_cut_entity_has_the_covered_parts_only() {
    let cut = parts(&[&["token", "acr"], &["absent"]], &["chat", "other"]).cut(&principal());
    assert_eq!(cut.attributes, record([("token", Value::Record(record([("acr", "high".into())])))]));
    assert_eq!(cut.ancestors, [Uid::new("Group", "chat")].into());
    let cut = parts(&[&["token"], &["token", "acr"]], &[]).cut(&principal());
    assert_eq!(cut.attributes.get("token"), principal().attributes.get("token"));
    assert_eq!(EntityCoverage::Whole.cut(&principal()), principal());
}

#[test]
fn a_coverage_covers_what_it_has_and_no_more() {
    let any = EntityCoverage::Parts { paths: [vec!["token".into()]].into(), within: Within::Any };
    for (known, needed, expected) in [
        (EntityCoverage::Whole, any.clone(), true),
        (any.clone(), EntityCoverage::Whole, false),
        (any.clone(), parts(&[&["token", "acr"]], &["chat"]), true),
        (any.clone(), parts(&[&["task"]], &[]), false),
        (parts(&[&["token", "acr"]], &["chat"]), any, false),
        (parts(&[&["token", "acr"]], &["chat"]), parts(&[&["token"]], &[]), false),
        (parts(&[], &["chat"]), parts(&[], &["chat", "other"]), false),
        (parts(&[], &["chat", "other"]), parts(&[], &["chat"]), true),
    ] {
        assert_eq!(known.covers(&needed), expected, "{known:?} {needed:?}");
        let mut both = known.clone();
        both.merge(&needed);
        assert!(both.covers(&known) && both.covers(&needed), "{both:?}");
    }
    let all = [
        EntityCoverage::Whole,
        EntityCoverage::Parts { paths: BTreeSet::new(), within: Within::Any },
        parts(&[], &[]),
        parts(&[&[]], &[]),
        parts(&[&["token", "acr"]], &[]),
        parts(&[&["token"], &["acr"]], &[]),
        parts(&[&["token"]], &["acr"]),
        parts(&[], &["token", "acr"]),
    ];
    let digests: BTreeSet<_> = all.iter().map(EntityCoverage::digest).collect();
    assert_eq!(digests.len(), all.len(), "two coverages have one digest");
    assert_eq!(parts(&[], &["a", "b"]).digest(), parts(&[], &["b", "a"]).digest());
    let env = |name: &str| Coverage { env: [name.into()].into(), ..Coverage::default() };
    assert!(env("facts").covers(&Coverage::default()) && !env("facts").covers(&env("sourceIp")));
}

#[test]
fn a_short_key_is_invalid_and_no_key_is_shown() {
    assert!(ReleaseKey::new(&[1; KEY_BYTES_MIN - 1]).is_none());
    assert_eq!(format!("{:?}", key(1)), "ReleaseKey");
}

#[test]
fn the_mask_of_a_request_arrives_as_it_was_sealed() {
    for draft in [ReleaseDraft::Open { service: "a/b".into() }, ReleaseDraft::Allowed(Box::new(allowed()))] {
        let text = seal(&key(1), &stamp(PROXY), &draft.encode_masked(&mask()).unwrap()).unwrap();
        let opened = open(&key(1), &text, PROXY, NOW, AGE_MAX).unwrap();
        assert_eq!((opened.mask, opened.draft), (Some(mask()), draft.clone()));
        let plain = seal(&key(1), &stamp(PROXY), &draft.encode().unwrap()).unwrap();
        assert_eq!(open(&key(1), &plain, PROXY, NOW, AGE_MAX).unwrap().mask, None);
    }
    assert_ne!(BodyDigest::of(b"a"), BodyDigest::of(b"b"));
}

#[test]
fn a_mask_that_masks_nothing_or_nothing_known_does_not_parse() {
    let draft = ReleaseDraft::Open { service: "a/b".into() };
    let none = RequestMask { detectors: BTreeSet::new(), ..mask() };
    let decoded = |bytes: &DraftBytes| codec::decode(&bytes.0).map(drop);
    assert_eq!(decoded(&draft.encode_masked(&none).unwrap()), Err(RecordProblem::Malformed));
    let unknown = RequestMask { detectors: [" ".into()].into(), ..mask() };
    let mut changed = draft.encode_masked(&unknown).unwrap().0.to_vec();
    // Version, kind, one name of one byte, and then the shape.
    changed[7] = 9;
    assert_eq!(decoded(&DraftBytes(changed.into())), Err(RecordProblem::Malformed));
    let good = draft.encode_masked(&mask()).unwrap().0;
    for end in 0..good.len() {
        assert!(codec::decode(&good[..end]).is_err(), "cut at {end}");
    }
}
