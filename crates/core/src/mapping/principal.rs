//! The caller as an entity.

use smol_str::{SmolStr, format_smolstr};

use super::task::task_record;
use crate::catalog::{Catalog, Service};
use crate::identity::{Identity, Token, Workload};
use crate::query::{Node, Uid, Value, record};

/// The principal of a query. Its task's lists are resolved against the called service and the catalogue.
#[must_use]
pub fn principal(identity: &Identity, home: &str, service: &Service, catalog: &Catalog) -> Node {
    let mut node = match &identity.workload {
        Some(workload) => workload_node(workload, home),
        None => Node::new(Uid::new("Unauthenticated", "unauthenticated")),
    };
    // A task is one workload's: without a workload there is none.
    if let (Some(_), Some(task)) = (&identity.workload, &identity.task) {
        node.set("task", task_record(task, service, catalog));
    }
    if let Some(token) = &identity.token {
        node.set("token", token_record(token));
    }
    node
}

fn workload_node(workload: &Workload, home: &str) -> Node {
    let id = &workload.id;
    let domain = id.trust_domain();
    let uid = Uid::new("Workload", id.as_str());
    let spiffe_id = Value::String(uid.id.clone());
    let mut node = Node::new(uid);
    // Sorted by name, as they are kept.
    let proof = Value::String(SmolStr::new_static(workload.proof.as_str()));
    node.attributes = match id.account() {
        None => {
            node.ancestors.insert(Uid::new("TrustDomain", domain));
            record([("proof", proof), ("spiffeId", spiffe_id), ("trustDomain", domain.into())])
        }
        Some((namespace, account)) => {
            // A federated domain inherits nothing: its namespaces carry its name.
            let namespace = if domain == home { namespace.into() } else { format_smolstr!("{domain}/{namespace}") };
            node.ancestors = [Uid::new("TrustDomain", domain), Uid::new("Namespace", namespace.clone())].into();
            record([
                ("namespace", namespace.into()),
                ("proof", proof),
                ("serviceAccount", account.into()),
                ("spiffeId", spiffe_id),
                ("trustDomain", domain.into()),
            ])
        }
    };
    node
}

/// The schema's `Token`.
fn token_record(token: &Token) -> Value {
    let issued = token.issued_at.map(|issued| token.expires_at.seconds().saturating_sub(issued.seconds()));
    let mut record = record([
        ("issuer", token.issuer.as_str().into()),
        ("subject", token.subject.as_str().into()),
        ("kind", token.kind.as_str().into()),
        ("audiences", Value::texts(&token.audiences)),
        ("scopesClaimed", Value::texts(&token.scopes_claimed)),
        ("scopesProven", Value::texts(&token.scopes_proven)),
        ("roles", Value::texts(&token.roles)),
        ("binding", token.binding.as_str().into()),
        ("isUser", Value::Bool(token.is_user)),
        ("expiresAt", Value::Time(token.expires_at.0)),
        // Without `iat` nobody knows how long it lives; the longest reading is the careful one.
        ("lifetimeSeconds", Value::Long(issued.unwrap_or(i64::MAX))),
        ("actorDepth", Value::Long(i64::from(token.actor_depth))),
    ]);
    let texts =
        [("clientId", &token.client_id), ("tokenId", &token.token_id), ("acr", &token.acr), ("actor", &token.actor)];
    for (name, text) in texts {
        if let Some(text) = text {
            record.insert(SmolStr::new_static(name), text.as_str().into());
        }
    }
    if let Some(amr) = &token.amr {
        record.insert(SmolStr::new_static("amr"), Value::texts(amr));
    }
    for (name, time) in [("authTime", token.auth_time), ("issuedAt", token.issued_at)] {
        if let Some(time) = time {
            record.insert(SmolStr::new_static(name), Value::Time(time.0));
        }
    }
    Value::Record(record)
}
