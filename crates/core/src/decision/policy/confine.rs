//! Confines the policies of a namespace to resources of that namespace.
//!
//! The scope is narrowed, and the same test becomes the first condition. So a policy cannot escape even if a test on
//! ids is wrong here.

use std::sync::Arc;

use cedar_policy::pst::{
    BinaryOp, Clause, EntityOrSlot, EntityType, EntityUID, Expr, Literal, Name, ResourceConstraint, Template, Var,
};

/// Types with ids that begin with `<namespace>/<service>`.
pub const INSIDE_SERVICES: [&str; 11] =
    ["Service", "Route", "Path", "Method", "McpServer", "Tool", "McpResource", "Prompt", "Agent", "Model", "Content"];

/// Narrows a policy of `namespace`.
///
/// # Errors
/// A fragment that says which entity of the scope lies outside the namespace.
pub fn confine(policy: &Template, namespace: &str) -> Result<Template, String> {
    let here = EntityUID { ty: type_named("Namespace")?, eid: namespace.into() };
    let mut policy = policy.clone();
    policy.resource = narrowed(policy.resource, &here, namespace)?;
    let inside = Expr::BinaryOp {
        op: BinaryOp::In,
        left: Arc::new(Expr::Var(Var::Resource)),
        right: Arc::new(Expr::Literal(Literal::EntityUID(here))),
    };
    let clauses = std::iter::once(Clause::When(Arc::new(inside))).chain(policy.clauses().clone());
    policy.clone().try_with_clauses(clauses.collect::<Vec<_>>()).map_err(|error| error.to_string())
}

fn narrowed(scope: ResourceConstraint, here: &EntityUID, namespace: &str) -> Result<ResourceConstraint, String> {
    let entity = |slot: EntityOrSlot| match slot {
        EntityOrSlot::Entity(uid) => Ok(uid),
        EntityOrSlot::Slot(_) => Err("Picket does not link templates".to_owned()),
    };
    Ok(match scope {
        ResourceConstraint::Any => ResourceConstraint::In(EntityOrSlot::Entity(here.clone())),
        ResourceConstraint::Is(kind) => ResourceConstraint::IsIn(kind, EntityOrSlot::Entity(here.clone())),
        ResourceConstraint::Eq(slot) => {
            ResourceConstraint::Eq(EntityOrSlot::Entity(must_lie_in(entity(slot)?, namespace)?))
        }
        ResourceConstraint::In(slot) => {
            ResourceConstraint::In(EntityOrSlot::Entity(must_lie_in(entity(slot)?, namespace)?))
        }
        ResourceConstraint::IsIn(kind, slot) => {
            ResourceConstraint::IsIn(kind, EntityOrSlot::Entity(must_lie_in(entity(slot)?, namespace)?))
        }
    })
}

fn must_lie_in(uid: EntityUID, namespace: &str) -> Result<EntityUID, String> {
    let kind = uid.ty.to_string();
    let id = uid.eid.as_str();
    let inside = match kind.as_str() {
        "Namespace" => id == namespace,
        // The added condition limits the group to this namespace.
        "Group" => true,
        kind if INSIDE_SERVICES.contains(&kind) => id.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('/')),
        _ => false,
    };
    if inside { Ok(uid) } else { Err(format!("`{kind}::\"{id}\"` is outside namespace `{namespace}`")) }
}

fn type_named(name: &str) -> Result<EntityType, String> {
    Ok(EntityType(Name::unqualified(name).map_err(|error| error.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::{Policy, pst};

    fn confined(scope: &str) -> Result<String, String> {
        let text = format!("permit (principal, action, {scope});");
        let policy = Policy::parse(None, text).unwrap().to_pst().unwrap();
        let confined = confine(policy.body(), "shop")?;
        let policy = Policy::from_pst(pst::StaticPolicy::try_from(confined).unwrap().into()).unwrap();
        Ok(policy.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_scope_is_narrowed_to_the_namespace() {
        for (scope, expected) in [
            ("resource", r#"resource in Namespace::"shop""#),
            ("resource is Path", r#"resource is Path in Namespace::"shop""#),
            (r#"resource in Group::"pci""#, r#"resource in Group::"pci""#),
            (r#"resource == Path::"shop/orders/v1""#, r#"resource == Path::"shop/orders/v1""#),
            (r#"resource in Namespace::"shop""#, r#"resource in Namespace::"shop""#),
        ] {
            let text = confined(scope).unwrap();
            assert!(text.contains(expected), "{text}");
            assert!(text.contains(r#"when { resource in Namespace::"shop" }"#), "{text}");
        }
    }

    #[test]
    fn a_foreign_resource_in_the_scope_is_refused() {
        for scope in [
            r#"resource in Service::"pay/billing""#,
            r#"resource == Path::"shopping/orders/v1""#,
            r#"resource in Namespace::"pay""#,
            r#"resource is Path in Service::"pay/billing""#,
            r#"resource in TrustDomain::"cluster.local""#,
            r#"resource in Service::"shop""#,
        ] {
            assert!(confined(scope).is_err(), "{scope}");
        }
    }
}
