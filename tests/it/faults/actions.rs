//! The store that Cedar sees must hold the action entities, and a test notices where it does not.

use cedar_policy::{Authorizer, Decision, Effect, Entities, PolicySet};
use picket::decision::snapshot::Namespace;

use crate::harness::direct::Direct;
use crate::harness::{PERMIT_ALL, orders};
use crate::oracle;

const FILES: &[(&str, &str)] = &[
    ("namespaces/shop/a.cedar", PERMIT_ALL),
    (
        "namespaces/shop/b.cedar",
        r#"@id("writes") forbid (principal, action in Action::"write", resource) unless { principal has token };"#,
    ),
];

/// The same inputs, with and without the action entities, by Cedar alone: the forbids that are satisfied.
async fn forbids(with_actions: bool) -> (Decision, usize) {
    let direct = Direct::new(FILES).await;
    let mut post = orders();
    post.http().method = "POST".to_owned();
    let (_, seen) = direct.judged(post.0).await;
    let (snapshot, query) = (seen.snapshot.unwrap(), seen.query.unwrap());
    let (request, entities) = oracle::inputs(&snapshot, &query);
    let kept = entities.iter().filter(|e| with_actions || e.uid().type_name().to_string() != "Action").cloned();
    let entities = Entities::from_entities(kept, None).unwrap();
    let Some(Namespace::Loaded(unit)) = snapshot.namespace("shop") else { panic!("shop is not loaded") };
    let forbids = unit.entries.values().filter(|entry| entry.effect == Effect::Forbid);
    let set = PolicySet::from_policies(forbids.map(|entry| entry.policy.clone())).unwrap();
    let response = Authorizer::new().is_authorized(&request, &set, &entities);
    (response.decision(), response.diagnostics().reason().count())
}

#[tokio::test]
async fn without_action_entities_a_forbid_on_a_group_of_actions_stops_matching() {
    assert_eq!(forbids(true).await, (Decision::Deny, 1));
    assert_eq!(forbids(false).await, (Decision::Deny, 0), "if Cedar finds the groups by itself, say so in decision/");
}

#[tokio::test]
async fn our_store_holds_the_action_entities() {
    let direct = Direct::new(FILES).await;
    for (method, allowed) in [("GET", true), ("POST", false), ("PUT", false), ("PURGE", false)] {
        let mut check = orders();
        check.http().method = method.to_owned();
        let (_, seen) = direct.judged(check.0).await;
        assert_eq!(seen.is_allow(), allowed, "{method}: {:?}", seen.result);
        oracle::assert_proven(&seen);
    }
}
