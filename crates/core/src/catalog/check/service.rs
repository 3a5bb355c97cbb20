//! Validates one service of the catalogue.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_saphyr::Spanned;

use super::super::file::{self, Text, span_of};
use super::super::routes::{Route, Scopes, pattern};
use super::super::{Protocol, Service};
use super::{Checker, text};
use crate::call::Host;
use crate::problem::nearest;

impl Checker<'_> {
    /// Checks one service and adds it.
    pub(super) fn service(&mut self, written: file::Service) {
        let span = span_of(&written.id);
        let id = written.id.value;
        let named = id.split_once('/');
        let known = named.filter(|(namespace, name)| text::is_namespace(namespace) && text::is_service_name(name));
        if known.is_none() {
            let help = "write `<namespace>/<name>`: a DNS label other than `mesh`, and a name of a-z 0-9 . _ -";
            self.wrong(span.clone(), format!("`{id}` cannot be a service's id"), help);
        }
        let namespace = known.map(|(namespace, _)| namespace.to_owned()).unwrap_or_default();
        let protocol = self.protocol(written.protocol);
        self.only_for(&span, protocol, Protocol::Grpc, ("methods", !written.methods.is_empty()));
        self.only_for(&span, protocol, Protocol::Grpc, ("grpc", written.grpc.is_some()));
        self.only_for(&span, protocol, Protocol::Mcp, ("mcp", written.mcp.is_some()));
        self.only_for(&span, protocol, Protocol::Mcp, ("tools", !written.tools.is_empty()));
        self.only_for(&span, protocol, Protocol::A2a, ("a2a", written.a2a.is_some()));
        if !matches!(protocol, Protocol::Openai | Protocol::Anthropic) {
            self.only_for(&span, protocol, Protocol::Openai, ("models", !written.models.is_empty()));
            self.only_for(&span, protocol, Protocol::Openai, ("both_apis", written.both_apis));
        }
        let service = Service {
            hosts: self.hosts(&id, &written.hosts),
            service_accounts: self.accounts(&id, &namespace, &written.service_accounts),
            protocol,
            groups: self.groups(&written.groups),
            labels: self.names("label", &written.labels),
            facts: self.facts(written.facts),
            http_paths: written.http_paths.iter().filter_map(|path| self.http_path(path)).collect(),
            exact_paths: written.exact_paths,
            routes: self.routes(written.routes),
            methods: self.methods(span.clone(), written.methods),
            token: written.token.map(|token| self.token(token)),
            grpc: self.grpc(written.grpc),
            mcp: self.mcp(protocol, written.mcp),
            tools: self.tools(written.tools),
            a2a: self.a2a(protocol, written.a2a),
            models: self.models(written.models),
            both_apis: written.both_apis,
            body: self.body(protocol, written.body),
            id,
        };
        if self.catalog.services.contains_key(&service.id) {
            return self.wrong(span, format!("service `{}` is listed twice", service.id), "list it once");
        }
        self.catalog.namespaces.insert(namespace);
        self.catalog.services.insert(service.id.clone(), service);
    }

    fn protocol(&mut self, written: Option<Text>) -> Protocol {
        let Some(written) = written else { return Protocol::default() };
        if let Some(protocol) = Protocol::ALL.into_iter().find(|protocol| protocol.as_str() == written.value) {
            return protocol;
        }
        let names = Protocol::ALL.map(Protocol::as_str);
        let known = format!("known: {}", names.join(", "));
        let help = match nearest(&written.value, names) {
            Some(near) => format!("did you mean `{near}`? {known}"),
            None => known,
        };
        self.wrong(span_of(&written), format!("unknown protocol `{}`", written.value), help);
        Protocol::default()
    }

    /// Refuses a key that its protocol would never read: what it asks for would silently not apply.
    fn only_for(
        &mut self,
        span: &Option<std::ops::Range<usize>>,
        protocol: Protocol,
        wanted: Protocol,
        (key, is_written): (&str, bool),
    ) {
        if is_written && protocol != wanted {
            let message = format!("`{key}` has no meaning for protocol `{}`", protocol.as_str());
            self.wrong(span.clone(), message, format!("write `protocol: {}` or leave it out", wanted.as_str()));
        }
    }

    fn hosts(&mut self, id: &str, written: &[Text]) -> Vec<String> {
        let mut hosts = Vec::new();
        for text in written {
            match Host::parse(&text.value) {
                Ok(host) if host.port().is_some() => {
                    let message = format!("host `{}` has a port", text.value);
                    self.wrong(span_of(text), message, format!("write `{}`; ports do not matter", host.name()));
                }
                Ok(host) => match self.catalog.hosts.insert(host.name().to_owned(), id.to_owned()) {
                    Some(other) => {
                        let message = format!("host `{}` already belongs to `{other}`", host.name());
                        self.wrong(span_of(text), message, "a host belongs to one service; list it once");
                    }
                    None => hosts.push(host.name().to_owned()),
                },
                Err(problem) => {
                    let message = format!("`{}` cannot be a host: {problem}", text.value);
                    self.wrong(span_of(text), message, "write a DNS name or an IP address, IPv6 in brackets");
                }
            }
        }
        hosts
    }

    fn accounts(&mut self, id: &str, namespace: &str, written: &[Text]) -> Vec<String> {
        let mut accounts = Vec::new();
        for text in written {
            let account = &text.value;
            if !text::is_account(account) {
                let message = format!("`{account}` cannot be a service account");
                self.wrong(span_of(text), message, "a DNS name of a-z 0-9 - and dots; its namespace is the service's");
            } else if accounts.contains(account) {
                self.wrong(span_of(text), format!("account `{account}` is listed twice"), "list it once");
            } else {
                let key = (namespace.to_owned(), account.clone());
                self.catalog.accounts.entry(key).or_default().push(id.to_owned());
                accounts.push(account.clone());
            }
        }
        accounts
    }

    pub(super) fn http_path(&mut self, written: &Text) -> Option<crate::call::CanonicalPath> {
        match text::canonical(&written.value) {
            Ok(path) => Some(path),
            Err(problem) => {
                let message = format!("`{}` is not a canonical path", written.value);
                self.wrong(span_of(written), message, problem);
                None
            }
        }
    }

    fn routes(&mut self, written: Vec<file::Route>) -> Vec<Route> {
        let mut routes: Vec<Route> = Vec::with_capacity(written.len());
        let mut spans = Vec::with_capacity(written.len());
        let mut names = BTreeSet::new();
        for route in written {
            let span = span_of(&route.name);
            if !text::is_service_name(&route.name.value) {
                let message = format!("`{}` cannot be a route's name", route.name.value);
                self.wrong(span.clone(), message, "1 to 253 of a-z 0-9 . _ -");
            } else if !names.insert(route.name.value.clone()) {
                let message = format!("route `{}` is listed twice", route.name.value);
                self.wrong(span.clone(), message, "names are unique in a service");
            }
            if let Some(route) = self.route(route) {
                routes.push(route);
                spans.push(span);
            }
        }
        // Equal shapes are the only ambiguity (see `Route::shape`), so a table of shapes finds all of them.
        let mut shapes: HashMap<_, Vec<&Route>> = HashMap::new();
        for (route, span) in routes.iter().zip(spans) {
            let alike = shapes.entry(route.shape()).or_default();
            if let Some((other, method)) = alike.iter().find_map(|other| Some((other, other.shared_method(route)?))) {
                let message =
                    format!("routes `{}` and `{}` take the same paths (method {method})", other.name, route.name);
                self.wrong(span, message, "make one pattern more specific, or give them methods of their own");
            }
            alike.push(route);
        }
        routes
    }

    fn route(&mut self, written: file::Route) -> Option<Route> {
        let mut methods = BTreeSet::new();
        for method in &written.methods {
            if !text::is_method(&method.value) {
                let message = format!("`{}` cannot be a method", method.value);
                self.wrong(span_of(method), message, format!("write `{}`", method.value.to_ascii_uppercase()));
            } else if !methods.insert(method.value.clone()) {
                self.wrong(span_of(method), format!("method `{}` is listed twice", method.value), "list it once");
            }
        }
        let groups = self.groups(&written.groups);
        let labels = self.names("label", &written.labels);
        let scopes = written.scopes.map(|scopes| self.scopes(scopes));
        let segments = match pattern(&written.pattern.value) {
            Ok(segments) => segments,
            Err(problem) => {
                let message = format!("pattern `{}` {problem}", written.pattern.value);
                self.wrong(
                    span_of(&written.pattern),
                    message,
                    "write for example `/v1/orders/{id}` or `/files/{path...}`",
                );
                return None;
            }
        };
        Some(Route {
            name: written.name.value,
            pattern: written.pattern.value,
            segments,
            methods,
            groups,
            labels,
            scopes,
        })
    }

    pub(super) fn scopes(&mut self, written: Spanned<Scopes>) -> Scopes {
        let all = written.value.required.iter().chain(&written.value.acceptable).flatten();
        let bad: Vec<&String> = all.filter(|scope| !text::is_scope(scope)).collect();
        for scope in bad {
            let message = format!("`{scope}` cannot be a scope");
            self.wrong(span_of(&written), message, "visible ASCII without blanks, `\"` and `\\`, 1 to 253 characters");
        }
        written.value
    }

    fn methods(
        &mut self,
        span: Option<std::ops::Range<usize>>,
        written: BTreeMap<String, file::Method>,
    ) -> BTreeMap<String, Scopes> {
        let mut methods = BTreeMap::new();
        for (name, method) in written {
            if !text::is_grpc_method(&name) {
                let message = format!("`{name}` cannot be a gRPC method");
                self.wrong(span.clone(), message, "write `package.Service/Method` or `package.Service`");
            }
            methods.insert(name, self.scopes(method.scopes));
        }
        methods
    }
}
