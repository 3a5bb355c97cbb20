//! Servers that the provider calls, documents that it fetches, and other models that take part.
//!
//! Knows: how a URL is told from a text. Must not know: at which places of a request they stand.

use super::super::json::{Node, Value};
use super::super::members::refused;
use super::super::url::Url;
use super::Request;
use super::shape::Callee;
use super::shapes::FALLBACK;
use super::tools::FETCH;
use super::walk::wrong;
use crate::failure::Failure;

/// Longest name of a model, in bytes.
pub(super) const MODEL_BYTES_MAX: usize = 256;
/// Most models of one request beside its own: each is judged.
const MODELS_MAX: usize = 8;
/// Longest name of a domain, in bytes: RFC 1035.
const DOMAIN_BYTES_MAX: usize = 253;

impl Request {
    /// Takes something that the provider runs, by its family.
    pub(super) fn hosts(&mut self, family: &str) {
        if !self.hosted_tools.contains(family) {
            self.hosted_tools.insert(family.to_owned());
        }
    }

    /// Takes what the provider calls.
    pub(super) fn calls(&mut self, name: &str, callee: Callee) -> Result<(), Failure> {
        match callee {
            Callee::Server => self.serves(name)?,
            Callee::Connector => self.named(format!("connector:{name}")),
            Callee::Tunnel => self.named(format!("tunnel:{name}")),
            Callee::Domain => {
                let domain = domain(name)?;
                self.named(format!("domain:{domain}"));
                self.hosted_domains.insert(domain);
            }
            Callee::Searched => drop(self.hosted_domains.insert(domain(name)?)),
        }
        Ok(())
    }

    /// Takes a server that the provider will call.
    pub(super) fn serves(&mut self, url: &str) -> Result<(), Failure> {
        let url = Url::parse(url).map_err(refused)?;
        self.hosted_servers.insert(url.canonical());
        self.hosted_origins.insert(url.origin());
        Ok(())
    }

    /// Takes a server that has a name and no URL.
    fn named(&mut self, name: String) {
        self.hosted_origins.insert(name.clone());
        self.hosted_servers.insert(name);
    }

    /// Takes a URL that the provider fetches; content in its place is no fetch.
    pub(super) fn fetches(&mut self, url: &str) -> Result<(), Failure> {
        if url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
            return Ok(());
        }
        // Behind a path a fragment is one to every reader; before it, some take it for a part of the host.
        let url = match url.split_once('#') {
            Some((whole, _)) if whole.split_once("://").is_some_and(|(_, rest)| rest.contains('/')) => whole,
            Some(_) | None => url,
        };
        self.hosts(FETCH);
        if let Err(failure) = self.serves(url) {
            // Addresses of files have paths with two readings often enough. Who is called does not depend on those, so
            // the path is kept as it was sent.
            let sent = url.split_once('?').map_or(url, |(sent, _)| sent);
            let is_plain = url.bytes().all(|b| b.is_ascii_graphic());
            let path =
                sent.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| sent.len() - rest.len() + at));
            let Some((origin, path)) = path.filter(|_| is_plain).and_then(|at| sent.split_at_checked(at)) else {
                return Err(failure);
            };
            let origin = Url::parse(origin).map_err(refused)?.origin();
            self.hosted_servers.insert(format!("{origin}{path}"));
            self.hosted_origins.insert(origin);
        }
        Ok(())
    }

    /// Takes a text of which it is not known what it says: where it begins as a URL, that is fetched.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        let first = text.split_ascii_whitespace().next().unwrap_or_default();
        if has_scheme(first) { self.fetches(first) } else { Ok(()) }
    }

    /// Takes models that may answer.
    pub(super) fn models(&mut self, name: &str, value: Node<'_>) -> Result<(), Failure> {
        match value.value() {
            Value::Text(model) => self.answered_by(model),
            Value::List(items) => items.iter().try_for_each(|item| self.models(name, item)),
            Value::Object(object) if object.get("model").is_some_and(|model| !model.is_null()) => {
                self.members(object, &FALLBACK)
            }
            // By the model that each of them stands in for.
            Value::Object(object) => object.iter().try_for_each(|(_, value)| self.models(name, value)),
            Value::Null => Ok(()),
            Value::Bool(_) | Value::Number(_) => Err(wrong(name)),
        }
    }

    /// Takes a model that may answer in place of the request's own, or for a part of it.
    pub(super) fn answered_by(&mut self, model: &str) -> Result<(), Failure> {
        if !is_model(model) {
            return Err(refused(format!("the name of a model must have at most {MODEL_BYTES_MAX} bytes, no controls")));
        }
        if model != self.model {
            self.other_models.insert(model.to_owned());
        }
        if self.other_models.len() > MODELS_MAX {
            return Err(refused(format!("the request names more than {MODELS_MAX} other models")));
        }
        Ok(())
    }

    /// Takes a model that looks at the exchange.
    pub(super) fn checked_by(&mut self, model: &str) -> Result<(), Failure> {
        if !is_model(model) || self.checkers.len() >= MODELS_MAX {
            return Err(refused("the name of a model that checks the exchange is too long, or there are too many"));
        }
        self.checkers.insert(model.to_owned());
        Ok(())
    }
}

/// Whether a text can be the name of a model.
pub(super) fn is_model(name: &str) -> bool {
    !name.is_empty() && name.len() <= MODEL_BYTES_MAX && !name.chars().any(char::is_control)
}

/// Whether a text is, or is meant as, a URL: content in base64 has no scheme, nor has prose.
pub(super) fn has_scheme(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    let Some((scheme, rest)) = text.split_at_checked(text.find(':').unwrap_or(0)) else { return false };
    let known = ["http", "https", "ftp", "ftps", "ws", "wss", "file", "gs", "s3"];
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        && (rest.starts_with("://") || known.iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

/// A domain in one spelling.
fn domain(text: &str) -> Result<String, Failure> {
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_plain =
        !domain.is_empty() && domain.len() <= DOMAIN_BYTES_MAX && domain.bytes().all(|b| b.is_ascii_graphic());
    if is_plain {
        Ok(domain)
    } else {
        Err(refused("a domain is empty, too long, or has characters that no domain has"))
    }
}
