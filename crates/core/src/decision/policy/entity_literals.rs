//! Checks one entity literal: a misspelt one would silently never match.

use cedar_policy::EntityUid;

use super::confine::INSIDE_SERVICES;
use crate::call::CanonicalPath;
use crate::catalog::{Catalog, Service};
use crate::decision::schema::uid_of;
use crate::identity::spiffe_id::{SpiffeId, is_trust_domain};
use crate::problem::nearest;
use crate::query::action;

/// The entities that are known to exist, for checks of literals.
#[derive(Debug, Clone, Copy)]
pub struct KnownEntities<'a> {
    /// The catalogue.
    pub catalog: &'a Catalog,
    /// Namespaces that have a policy folder.
    pub folders: &'a [String],
    /// Ids that `entities.json` declares, as `Type::"id"`.
    pub declared: &'a std::collections::BTreeSet<crate::query::Uid>,
}

/// Why a literal is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiteralError {
    /// It can never match, with any catalogue: an error.
    Impossible(String),
    /// The catalogue does not have it: an error, or a warning if the catalogue is open.
    Uncatalogued(String),
}

impl KnownEntities<'_> {
    /// Checks one literal.
    ///
    /// # Errors
    /// [`LiteralError`] with a lower-case fragment.
    pub fn check(&self, literal: &EntityUid) -> Result<(), LiteralError> {
        let uid = uid_of(literal);
        if self.declared.contains(&uid) {
            return Ok(());
        }
        match uid.kind.as_str() {
            "Namespace" => self.namespace(&uid.id),
            "Group" => self.group(&uid.id),
            "Workload" => workload(&uid.id),
            "TrustDomain" if is_trust_domain(&uid.id) => Ok(()),
            "TrustDomain" => Err(LiteralError::Impossible(format!("`{}` is not a trust domain", uid.id))),
            "Unauthenticated" if uid.id == "unauthenticated" => Ok(()),
            "Unauthenticated" => {
                Err(LiteralError::Impossible("the only one is `Unauthenticated::\"unauthenticated\"`".to_owned()))
            }
            "Bag" | "NumberBag" | "DecimalBag" => {
                Err(LiteralError::Impossible(format!("a `{}` exists for one call only and has no name", uid.kind)))
            }
            kind if INSIDE_SERVICES.contains(&kind) => self.inside_service(kind, &uid.id),
            "Action" => self.action(&uid.id),
            // Types of the platform's own are open unless declared.
            _ => Ok(()),
        }
    }

    fn namespace(&self, id: &str) -> Result<(), LiteralError> {
        // `<trust domain>/<ns>` is a federated namespace; the catalogue does not list those.
        if let Some((domain, namespace)) = id.split_once('/') {
            let good = is_trust_domain(domain) && !namespace.is_empty();
            return if good {
                Ok(())
            } else {
                Err(LiteralError::Impossible(format!("`{id}` is not `<trust domain>/<namespace>`")))
            };
        }
        if self.catalog.namespaces().contains(id) || self.folders.iter().any(|folder| folder == id) {
            return Ok(());
        }
        let known = self.catalog.namespaces().iter().map(String::as_str).chain(self.folders.iter().map(String::as_str));
        Err(LiteralError::Uncatalogued(format!("unknown namespace `{id}`{}", did_you_mean(id, known))))
    }

    fn group(&self, id: &str) -> Result<(), LiteralError> {
        if self.catalog.groups().contains(id) {
            return Ok(());
        }
        let known = self.catalog.groups().iter().map(String::as_str);
        Err(LiteralError::Uncatalogued(format!("group `{id}` has no members{}", did_you_mean(id, known))))
    }

    /// Checks an action. Cedar knows all actions; for a missing action of a tool it cannot say why it is missing.
    fn action(&self, id: &str) -> Result<(), LiteralError> {
        let Some((tool_id, mut parts)) = action::tool(id).map(|tool| (tool, tool.splitn(3, '/'))) else {
            return Ok(());
        };
        let (Some(namespace), Some(name), Some(tool)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(LiteralError::Impossible(format!(
                "`{tool_id}` does not end with `<namespace>/<service>/<tool>`"
            )));
        };
        let service = self.catalog.service(&format!("{namespace}/{name}"));
        match service.and_then(|service| service.tools.get(tool)) {
            Some(known) if known.input.is_some() => Ok(()),
            Some(_) => Err(LiteralError::Uncatalogued(format!(
                "tool `{tool}` of `{namespace}/{name}` has no `input_schema` in the catalogue, so no action of its own"
            ))),
            None => self.inside_service("Tool", tool_id),
        }
    }

    fn inside_service(&self, kind: &str, id: &str) -> Result<(), LiteralError> {
        let mut parts = id.splitn(3, '/');
        let (Some(namespace), Some(name)) = (parts.next(), parts.next()) else {
            return Err(LiteralError::Impossible(format!("`{id}` does not begin with `<namespace>/<service>`")));
        };
        let service_id = format!("{namespace}/{name}");
        let rest = parts.next();
        shape(kind, id, rest)?;
        let Some(service) = self.catalog.service(&service_id) else {
            if name.starts_with('@') && self.catalog.is_implicit() {
                return Ok(());
            }
            let known = self.catalog.services().map(|service| service.id.as_str());
            let hint = did_you_mean(&service_id, known);
            return Err(LiteralError::Uncatalogued(format!("unknown service `{service_id}`{hint}")));
        };
        match (kind, rest) {
            ("Route", Some(route)) => known_route(service, route),
            ("Tool", Some(tool)) => known_tool(service, tool),
            _ => Ok(()),
        }
    }
}

/// Returns whether the id has the shape of its type.
fn shape(kind: &str, id: &str, rest: Option<&str>) -> Result<(), LiteralError> {
    let bare = matches!(kind, "Service" | "McpServer" | "Agent" | "Content");
    match (bare, rest) {
        (true, None) => Ok(()),
        (true, Some(_)) => {
            Err(LiteralError::Impossible(format!("a `{kind}` is named `<namespace>/<service>`, not `{id}`")))
        }
        (false, None | Some("")) if kind != "Path" => {
            Err(LiteralError::Impossible(format!("`{id}` does not name a {} of its service", kind.to_lowercase())))
        }
        (false, None) => Err(LiteralError::Impossible(format!("the root path of `{id}` is written `{id}/`"))),
        (false, Some(path)) if kind == "Path" => {
            let sent = format!("/{path}");
            let canonical = CanonicalPath::parse(&sent)
                .map_err(|problem| LiteralError::Impossible(format!("no call has the path `{sent}`: {problem}")))?;
            if canonical.as_str() == sent {
                Ok(())
            } else {
                Err(LiteralError::Impossible(format!("`{sent}` is not canonical; every call has it as `{canonical}`")))
            }
        }
        (false, Some(_)) => Ok(()),
    }
}

fn known_route(service: &Service, name: &str) -> Result<(), LiteralError> {
    if service.routes.iter().any(|route| route.name == name) {
        return Ok(());
    }
    let hint = did_you_mean(name, service.routes.iter().map(|route| route.name.as_str()));
    Err(LiteralError::Uncatalogued(format!("service `{}` has no route `{name}`{hint}", service.id)))
}

fn known_tool(service: &Service, name: &str) -> Result<(), LiteralError> {
    if service.tools.contains_key(name) {
        return Ok(());
    }
    let hint = did_you_mean(name, service.tools.keys().map(String::as_str));
    Err(LiteralError::Uncatalogued(format!("service `{}` has no tool `{name}`{hint}", service.id)))
}

fn workload(id: &str) -> Result<(), LiteralError> {
    SpiffeId::parse(id)
        .map(drop)
        .map_err(|problem| LiteralError::Impossible(format!("`{id}` is not a SPIFFE id: {problem}")))
}

fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(unknown, known).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
