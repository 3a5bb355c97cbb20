//! Warns about forbids on routes that leave out the parent route.

use cedar_policy::{Effect, Policy, ResourceConstraint};

use crate::catalog::routes::parents::left_out;
use crate::catalog::{Catalog, Service, routes::Route};

/// Warns about a forbid on a group of routes, or on a route, that applies below a path and not to the path itself.
/// Permits get no warning: their gap denies.
#[must_use]
pub fn warnings(policy: &Policy, catalog: &Catalog) -> Vec<String> {
    let scope = match (policy.effect(), policy.resource_constraint()) {
        (Effect::Forbid, ResourceConstraint::In(scope) | ResourceConstraint::IsIn(_, scope)) => scope,
        (Effect::Forbid | Effect::Permit, _) => return Vec::new(),
    };
    let id = scope.id().unescaped();
    match scope.type_name().to_string().as_str() {
        "Group" => {
            // Every path of a service is in the service's own groups.
            let services = catalog.services().filter(|service| !service.groups.contains(id));
            services.flat_map(|service| gaps(service, |route| route.groups.contains(id))).collect()
        }
        "Route" => {
            let named = id.rsplit_once('/').and_then(|(service, name)| Some((catalog.service(service)?, name)));
            named.map(|(service, name)| gaps(service, |route| route.name == name)).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn gaps(service: &Service, is_in_scope: impl Fn(&Route) -> bool) -> Vec<String> {
    let warning = |(route, parent): (&Route, String)| {
        format!(
            "this forbid applies below `{parent}` of `{}` (route `{}`), but not to `{parent}` itself: `{{name...}}` takes one \
             segment or more, so give a route for it the same group, or name the path",
            service.id, route.name
        )
    };
    left_out(&service.routes, is_in_scope).into_iter().map(warning).collect()
}
