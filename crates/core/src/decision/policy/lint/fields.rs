//! Checks policies that read fields of gRPC messages: a descriptor set must describe the messages.

use cedar_policy::{Policy, ResourceConstraint};
use smol_str::SmolStr;

use crate::catalog::grpc::Method;
use crate::catalog::{Catalog, Protocol, Service};
use crate::decision::limits::MESH;
use crate::decision::policy::required_inputs::KeyUse;
use crate::decision::schema::uid_of;

/// Errors and warnings.
#[derive(Debug, Default)]
pub struct Findings {
    /// Errors: the policy is rejected.
    pub faults: Vec<String>,
    /// Warnings: the policy is accepted.
    pub warnings: Vec<String>,
}

/// Checks the fields that a policy of `unit` names.
#[must_use]
pub fn check(policy: &Policy, keys: &[KeyUse], unit: &str, catalog: &Catalog) -> Findings {
    let mut findings = Findings::default();
    let pointers: Vec<&str> = keys.iter().filter(|used| used.bag == "fields").map(|used| used.key.as_str()).collect();
    if pointers.is_empty() {
        return findings;
    }
    let scope = Scope::of(policy, unit);
    let services = catalog.services().filter(|service| service.protocol == Protocol::Grpc && scope.holds(service));
    let (described, plain): (Vec<&Service>, Vec<&Service>) = services.partition(|service| service.grpc.is_some());
    if let [first, others @ ..] = plain.as_slice() {
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        let message = format!("`{}`{more} has no descriptor set for its messages, so it has no `fields`", first.id);
        if scope.names_one() {
            let help = "name a descriptor set at the service: `grpc: {descriptors: FILE}`";
            findings.faults.push(format!("{message}; {help}"));
        } else {
            findings.warnings.push(message);
        }
    }
    let methods: Vec<(&str, &Method)> = described
        .iter()
        .flat_map(|service| {
            service.grpc.iter().flat_map(|grpc| grpc.descriptors.methods()).filter(|m| scope.asks(service, m.0))
        })
        .collect();
    if described.is_empty() {
        return findings;
    }
    let unary = || methods.iter().filter(|(_, method)| !method.is_client_streaming);
    for pointer in pointers {
        if !unary().any(|(_, method)| method.has(pointer)) {
            findings.faults.push(format!("no method that this policy can apply to has a field `{pointer}`"));
        }
    }
    if let Some((name, _)) = methods.iter().find(|(_, method)| method.is_client_streaming) {
        let message = format!(
            "`{name}` takes a stream, and Picket does not read fields of streams: its calls are `stream_refused`"
        );
        findings.warnings.push(message);
    }
    findings
}

/// The calls that a policy can apply to, by its scope alone.
struct Scope<'a> {
    /// The namespace, if the unit is one.
    namespace: Option<&'a str>,
    kind: SmolStr,
    id: SmolStr,
}

impl<'a> Scope<'a> {
    fn of(policy: &Policy, unit: &'a str) -> Self {
        let within = match policy.resource_constraint() {
            ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => Some(uid),
            ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        };
        let named = within.map(|uid| uid_of(&uid));
        let (kind, id) = named.map_or_else(Default::default, |uid| (uid.kind, uid.id));
        Self { namespace: (unit != MESH).then_some(unit), kind, id }
    }

    /// Returns whether the scope names a service or a method.
    fn names_one(&self) -> bool {
        matches!(self.kind.as_str(), "Service" | "Method")
    }

    fn holds(&self, service: &Service) -> bool {
        let in_unit = self.namespace.is_none_or(|namespace| service.namespace() == namespace);
        in_unit
            && match self.kind.as_str() {
                "Service" => service.id == self.id,
                "Method" => self.method(service).is_some(),
                "Namespace" => service.namespace() == self.id,
                "Group" => service.groups.contains(self.id.as_str()),
                _ => true,
            }
    }

    /// `package.Service` or `package.Service/Method`, if the scope names one of this service.
    fn method(&self, service: &Service) -> Option<&str> {
        self.id.strip_prefix(&service.id)?.strip_prefix('/')
    }

    /// Returns whether the scope allows a method of the service.
    fn asks(&self, service: &Service, name: &str) -> bool {
        let Some(wanted) = (self.kind == "Method").then(|| self.method(service)).flatten() else { return true };
        name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'))
    }
}
