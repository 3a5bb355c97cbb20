//! The protected-resource metadata that Picket serves for services which have none of their own (RFC 9728).
//!
//! Knows: the document and its place. Must not know: who asks for it; it is public.

use serde::Serialize;

use crate::catalog::{ServedMetadata, Service, TokenMetadata};

/// Where such documents lie, before the resource's own path.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// A document that Picket answers with itself; the call goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its JSON.
    pub json: String,
}

/// The document of `service`, if `path` (canonical) is where it lies.
///
/// For resource `https://api.example/mcp` that is `/.well-known/oauth-protected-resource/mcp` and nothing else.
#[must_use]
pub fn document(service: &Service, path: &str) -> Option<Document> {
    #[derive(Serialize)]
    struct Metadata<'a> {
        resource: &'a str,
        authorization_servers: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        scopes_supported: Option<Vec<&'a str>>,
        bearer_methods_supported: [&'static str; 1],
    }
    let served = service.token.as_ref()?.served.as_ref()?;
    let (_, own) = parts(served);
    if path.strip_prefix(WELL_KNOWN)? != own {
        return None;
    }
    let scopes: Vec<&str> = served.scopes_supported.iter().map(String::as_str).collect();
    let metadata = Metadata {
        resource: &served.resource,
        authorization_servers: &served.authorization_servers,
        scopes_supported: Some(scopes).filter(|scopes| !scopes.is_empty()),
        bearer_methods_supported: ["header"],
    };
    serde_json::to_string(&metadata).ok().map(|json| Document { json })
}

/// The URL of the served document, for challenges.
#[must_use]
pub fn url(token: &TokenMetadata) -> Option<String> {
    let (origin, path) = parts(token.served.as_ref()?);
    Some(format!("{origin}{WELL_KNOWN}{path}"))
}

/// A resource's scheme and authority, and its path without a slash at the end.
fn parts(served: &ServedMetadata) -> (&str, &str) {
    let resource = served.resource.as_str();
    let authority = resource.find("://").map_or(0, |at| at + 3);
    let end = resource.get(authority..).and_then(|rest| rest.find('/')).map_or(resource.len(), |at| authority + at);
    let (origin, path) = resource.split_at(end);
    (origin, path.strip_suffix('/').unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(resource: &str) -> Service {
        let served = ServedMetadata {
            resource: resource.to_owned(),
            authorization_servers: vec!["https://idp.example".to_owned()],
            scopes_supported: ["b".to_owned(), "a".to_owned()].into(),
        };
        Service {
            token: Some(TokenMetadata { served: Some(served), ..TokenMetadata::default() }),
            ..Service::default()
        }
    }

    #[test]
    fn a_document_lies_at_the_path_of_its_resource_only() {
        let rows = [
            ("https://api.example", WELL_KNOWN, ""),
            ("https://api.example/", WELL_KNOWN, ""),
            ("https://api.example:8443/mcp", "/.well-known/oauth-protected-resource/mcp", "/mcp"),
            ("https://api.example/a/b/", "/.well-known/oauth-protected-resource/a/b", "/a/b"),
        ];
        for (resource, path, own) in rows {
            let service = service(resource);
            assert!(document(&service, path).is_some(), "{resource}");
            for other in
                ["/", "/mcp2", "/.well-known/oauth-protected-resource/x", "/.well-known/oauth-protected-resourcemcp"]
            {
                assert_eq!(document(&service, other), None, "{resource} {other}");
            }
            assert_eq!(document(&service, WELL_KNOWN).is_some(), own.is_empty(), "{resource}");
            let origin = resource.trim_end_matches('/').trim_end_matches(own);
            assert_eq!(url(service.token.as_ref().unwrap()), Some(format!("{origin}{path}")));
        }
    }

    #[test]
    fn the_document_has_the_members_of_rfc_9728() {
        let text = document(&service("https://api.example/mcp"), "/.well-known/oauth-protected-resource/mcp").unwrap();
        assert_eq!(
            text.json,
            r#"{"resource":"https://api.example/mcp","authorization_servers":["https://idp.example"],"scopes_supported":["a","b"],"bearer_methods_supported":["header"]}"#
        );
    }

    #[test]
    fn a_service_that_serves_nothing_has_no_document() {
        let token = TokenMetadata { resource_metadata: Some("https://a/b".to_owned()), ..TokenMetadata::default() };
        assert_eq!(url(&token), None);
        let service = Service { token: Some(token), ..Service::default() };
        assert_eq!(document(&service, WELL_KNOWN), None);
        assert_eq!(document(&Service::default(), WELL_KNOWN), None);
    }
}
