//! Validates a service's `token:`, which points clients to its login.

use std::collections::BTreeSet;

use serde_saphyr::Spanned;

use super::super::file::{self, Text, span_of};
use super::super::{ServedMetadata, TokenMetadata};
use super::{Checker, text};
use crate::problem::Problem;

impl Checker<'_> {
    pub(super) fn token(&mut self, written: Spanned<file::Token>) -> TokenMetadata {
        let span = span_of(&written);
        let token = written.value;
        if let Some(url) = token.resource_metadata.as_ref().filter(|url| !text::is_url(&url.value)) {
            let message = format!("`{}` cannot be a metadata URL", url.value);
            self.wrong(span_of(url), message, "an absolute https or http URL without fragment and quotes");
        }
        if let Some(realm) = token.realm.as_ref().filter(|realm| !text::is_realm(&realm.value)) {
            let message = format!("`{}` cannot be a realm", realm.value);
            self.wrong(span_of(realm), message, "printable ASCII without `\"` and `\\`, 1 to 253 characters");
        }
        if token.resource_metadata.is_none() && !token.serve_metadata {
            let problem = Problem::warning(self.file, "challenges of this service name no login").at(span.clone());
            let help = "set `resource_metadata`, or `serve_metadata: true`: clients find the login there";
            self.catalog.warnings.push(problem.help(help));
        }
        let (resource_metadata, realm) = (token.resource_metadata, token.realm);
        let served = if token.serve_metadata {
            Some(ServedMetadata {
                resource: self.resource(span.clone(), token.resource),
                authorization_servers: self.authorization_servers(span, token.authorization_servers),
                scopes_supported: self.scopes_supported(token.scopes_supported),
            })
        } else {
            let is_idle = token.resource.is_some()
                || !token.authorization_servers.is_empty()
                || !token.scopes_supported.is_empty();
            if is_idle {
                let message =
                    "`resource`, `authorization_servers` and `scopes_supported` are read for a served document only";
                self.wrong(span, message, "write `serve_metadata: true`, or leave them out");
            }
            None
        };
        TokenMetadata {
            resource_metadata: resource_metadata.map(|url| url.value),
            realm: realm.map(|realm| realm.value),
            audiences: token.audiences,
            served,
        }
    }

    /// The resource's own URL: the document's path is made of it, so it must have one reading.
    fn resource(&mut self, span: Option<std::ops::Range<usize>>, written: Option<Text>) -> String {
        let Some(written) = written else {
            self.wrong(span, "`serve_metadata` needs `resource`", "the URL by which clients know the service");
            return String::new();
        };
        let path = written.value.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(_, path)| path);
        let path = path.filter(|path| !path.is_empty());
        let is_path = path.is_none_or(|path| text::canonical(&format!("/{path}")).is_ok());
        if !text::is_url(&written.value) || written.value.contains('?') || !is_path {
            let message = format!("`{}` cannot be a resource's identifier", written.value);
            self.wrong(span_of(&written), message, "an absolute URL with a canonical path, without query and fragment");
        }
        written.value
    }

    fn authorization_servers(&mut self, span: Option<std::ops::Range<usize>>, written: Vec<Text>) -> Vec<String> {
        if written.is_empty() {
            self.wrong(
                span,
                "`serve_metadata` needs `authorization_servers`",
                "list the issuers that clients may go to",
            );
        }
        for url in written.iter().filter(|url| !text::is_url(&url.value)) {
            let message = format!("`{}` cannot be an issuer", url.value);
            self.wrong(span_of(url), message, "an absolute https or http URL without fragment and quotes");
        }
        written.into_iter().map(|url| url.value).collect()
    }

    fn scopes_supported(&mut self, written: Vec<Text>) -> BTreeSet<String> {
        for scope in written.iter().filter(|scope| !text::is_scope(&scope.value)) {
            let message = format!("`{}` cannot be a scope", scope.value);
            self.wrong(span_of(scope), message, "visible ASCII without blanks, `\"` and `\\`, 1 to 253 characters");
        }
        for scope in written.iter().filter(|scope| scope.value == "offline_access") {
            let help = "leave it out: whether a client gets a refresh token is between it and its issuer";
            self.wrong(span_of(scope), "`offline_access` is not a scope of a resource", help);
        }
        written.into_iter().map(|scope| scope.value).collect()
    }
}
