//! Finds the called service.

use std::borrow::Cow;

use crate::call::Call;
use crate::catalog::{Catalog, Service};
use crate::failure::{Code, Failure};
use crate::identity::SpiffeId;

/// One way to find the called service.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Always this service (`<namespace>/<name>`): one listener, one service.
    Fixed(String),
    /// The context extension `service`, which the operator writes on Envoy's route.
    ContextExtension,
    /// The workload that receives the call, by its own certificate: sidecar listeners.
    DestinationAccount(DestinationAccount),
    /// The host: only safe where Envoy's virtual host pins it.
    Host,
}

/// How a receiving workload's account leads to a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DestinationAccount {
    /// Distinguishes several services of one account by the host. Default false: such a call
    /// is `unmapped`.
    pub host_within_account: bool,
}

/// Tries the sources in order; a source without a value passes, any other result is final.
///
/// # Errors
/// `unmapped` where no source speaks, or one names a service that the catalogue does not know.
pub fn find<'a>(
    call: &Call,
    sources: &[Source],
    catalog: &'a Catalog,
    home: &str,
) -> Result<Cow<'a, Service>, Failure> {
    for source in sources {
        let found = match source {
            Source::Fixed(id) => Some(known(id, catalog)),
            Source::ContextExtension => call.extensions.get("service").map(|id| known(id, catalog)),
            Source::DestinationAccount(settings) => {
                let destination = call.peer.destination_principal.as_deref();
                destination.map(|principal| by_account(principal, call, settings, catalog, home))
            }
            Source::Host => Some(by_host(call, catalog)),
        };
        if let Some(found) = found {
            return found;
        }
    }
    Err(unmapped("no source of the profile names a service".to_owned()))
}

fn unmapped(detail: String) -> Failure {
    Failure::new(Code::Unmapped, detail)
}

fn known<'a>(id: &str, catalog: &'a Catalog) -> Result<Cow<'a, Service>, Failure> {
    catalog.service(id).map(Cow::Borrowed).ok_or_else(|| unmapped(format!("the catalogue has no service `{id}`")))
}

fn by_host<'a>(call: &Call, catalog: &'a Catalog) -> Result<Cow<'a, Service>, Failure> {
    let host = &call.host;
    let found = catalog.service_by_host(host).map(Cow::Borrowed);
    found.ok_or_else(|| unmapped(format!("no service has the host `{}`", host.name())))
}

fn by_account<'a>(
    principal: &str,
    call: &Call,
    settings: &DestinationAccount,
    catalog: &'a Catalog,
    home: &str,
) -> Result<Cow<'a, Service>, Failure> {
    let id = SpiffeId::parse(principal)
        .map_err(|problem| unmapped(format!("the destination `{principal}` is not a workload: {problem}")))?;
    let account = id.account().filter(|_| id.trust_domain() == home);
    let Some((namespace, account)) = account else {
        return Err(unmapped(format!("the destination `{id}` is not an account of trust domain `{home}`")));
    };
    let services: Vec<&Service> = catalog.services_of_account(namespace, account).collect();
    match services.as_slice() {
        [] if catalog.is_implicit() => {
            Ok(Cow::Owned(Service { id: format!("{namespace}/@{account}"), ..Service::default() }))
        }
        [] => Err(unmapped(format!("no service names the account `{account}` of namespace `{namespace}`"))),
        [service] => Ok(Cow::Borrowed(service)),
        several if settings.host_within_account => {
            let by_host = catalog.service_by_host(&call.host);
            let inside = by_host.filter(|service| several.iter().any(|one| one.id == service.id));
            inside.map(Cow::Borrowed).ok_or_else(|| {
                unmapped(format!("`{account}` serves several services and none has the host `{}`", call.host.name()))
            })
        }
        _ => Err(unmapped(format!("`{account}` serves several services; see `host_within_account`"))),
    }
}

/// The result of each source for a call, one line each: explains why a call is `unmapped`.
#[must_use]
pub fn tried(call: &Call, sources: &[Source], catalog: &Catalog, home: &str) -> Vec<String> {
    let line = |source: &Source| {
        let name = match source {
            Source::Fixed(id) => format!("fixed `{id}`"),
            Source::ContextExtension => {
                let sent = call.extensions.get("service");
                sent.map_or_else(
                    || "context extension `service` (not sent)".to_owned(),
                    |id| format!("context extension `service` = `{id}`"),
                )
            }
            Source::DestinationAccount(_) => match &call.peer.destination_principal {
                Some(principal) => format!("destination `{principal}`"),
                None => "destination (no principal sent)".to_owned(),
            },
            Source::Host => format!("host `{}`", call.host.name()),
        };
        match find(call, std::slice::from_ref(source), catalog, home) {
            Ok(service) => format!("{name}: service `{}`", service.id),
            Err(failure) => format!("{name}: {}", failure.detail),
        }
    };
    sources.iter().map(line).collect()
}
