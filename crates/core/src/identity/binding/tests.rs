use super::{Bindings, bind};
use crate::failure::Code;
use crate::identity::TokenKind;
use crate::identity::fixtures::{GATEWAY, ISSUER, NOW, WEB, claim_rules, claims, with};
use crate::identity::rules::ClaimRules;
use crate::identity::{Binding, Proof, Proven, Settings, SpiffeId, Workload, token};
use base64::Engine as _;
use serde_json::{Value, json};

const HASH: [u8; 32] = [7; 32];

fn peer(id: &str, thumbprint: Option<[u8; 32]>) -> Proven {
    Proven { workload: Workload { id: SpiffeId::parse(id).unwrap(), proof: Proof::Mtls }, thumbprint }
}

fn x5t(hash: [u8; 32]) -> Value {
    json!({"x5t#S256": base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash)})
}

/// Binds a token with these claims; `None` is `token_not_bound`.
fn bound(kind: TokenKind, changes: Value, peer: Option<&Proven>, bindings: Bindings) -> Option<Binding> {
    let actors = [("web".to_owned(), WEB.to_owned())].into();
    let rules = ClaimRules { kind, actors, ..claim_rules() };
    let claims = token::read(&with(claims(), changes), &rules, crate::call::UnixMillis(NOW * 1000)).unwrap();
    match bind(claims, peer, &Settings { bindings, ..Settings::default() }) {
        Ok(token) => Some(token.binding),
        Err(failure) => {
            assert_eq!(failure.code, Code::TokenNotBound);
            None
        }
    }
}

#[test]
fn a_token_bound_to_a_peer_is_good_for_that_peer_alone() {
    let (kubernetes, access) = (TokenKind::Kubernetes, TokenKind::Access);
    let account = json!({"sub": "system:serviceaccount:web:frontend"});
    let actor = |sub: &str| json!({"act": {"sub": sub}});
    let cnf = |hash| json!({"cnf": x5t(hash)});
    let same = peer(WEB, Some(HASH));
    let uncertified = peer(WEB, None);
    let other = peer("spiffe://cluster.local/ns/web/sa/other", Some([8; 32]));
    let foreign = peer("spiffe://other.example/ns/web/sa/frontend", Some(HASH));
    let (yes, no, unchecked) = (Some(Binding::Bound), None, Some(Binding::Unchecked));
    for (line, (kind, changes, peer, checked, lenient)) in [
        (access, json!({}), Some(&same), Some(Binding::Unbound), Some(Binding::Unbound)),
        (access, json!({}), None, Some(Binding::Unbound), Some(Binding::Unbound)),
        (access, cnf(HASH), Some(&same), yes, yes),
        (access, cnf(HASH), Some(&other), no, no),
        (access, cnf(HASH), Some(&uncertified), no, unchecked),
        (access, cnf(HASH), None, no, unchecked),
        (access, actor(WEB), Some(&uncertified), yes, yes),
        (access, actor(WEB), Some(&other), no, no),
        (access, actor(WEB), Some(&foreign), no, no),
        (access, actor(WEB), None, no, unchecked),
        (access, actor("client-7"), Some(&same), no, unchecked),
        (access, actor("client-7"), None, no, unchecked),
        (access, actor("web"), Some(&same), yes, yes),
        (access, actor("web"), Some(&other), no, no),
        (access, actor("web"), None, no, unchecked),
        (access, json!({"act": {"sub": "web", "iss": ISSUER}}), Some(&same), yes, yes),
        (access, json!({"act": {"sub": "web", "iss": "https://other.example"}}), Some(&same), no, unchecked),
        (access, json!({"act": {"sub": GATEWAY, "act": {"sub": WEB}}}), Some(&same), no, no),
        (access, json!({"act": {"sub": WEB, "act": {"sub": GATEWAY}}}), Some(&same), yes, yes),
        (access, json!({"may_act": {"sub": WEB}}), Some(&same), Some(Binding::Unbound), Some(Binding::Unbound)),
        (access, json!({"act": {"sub": GATEWAY}, "may_act": {"sub": WEB}}), Some(&same), no, no),
        (kubernetes, account.clone(), Some(&same), yes, yes),
        (kubernetes, account.clone(), Some(&other), no, no),
        (kubernetes, account.clone(), Some(&foreign), no, no),
        (kubernetes, account, None, no, unchecked),
        (access, json!({"cnf": {"jkt": "x"}}), Some(&same), no, unchecked),
        (access, json!({"cnf": {}}), Some(&same), no, unchecked),
        (access, with(cnf(HASH), actor(WEB)), Some(&same), yes, yes),
        (access, with(cnf(HASH), actor(WEB)), Some(&uncertified), no, unchecked),
        (access, with(cnf(HASH), actor(WEB)), Some(&foreign), no, no),
        (access, json!({"cnf": with(x5t(HASH), json!({"jkt": "x"}))}), Some(&same), no, unchecked),
        (access, json!({"cnf": with(x5t([8; 32]), json!({"jkt": "x"}))}), Some(&same), no, no),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(bound(kind, changes.clone(), peer, Bindings::Checked), checked, "row {line}, checked");
        assert_eq!(bound(kind, changes, peer, Bindings::Unchecked), lenient, "row {line}, unchecked");
    }
}
