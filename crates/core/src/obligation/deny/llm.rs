//! Denials for clients of model APIs.
//!
//! Knows: the error objects of OpenAI and Anthropic. Must not know: why the call was denied.

use serde::Serialize;

use super::{Details, Notice, json};

/// The class of a denial, in the words both providers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request cannot be evaluated as it is.
    Invalid,
    /// It is too large.
    TooLarge,
    /// The identity of the caller is not proven well enough.
    Unauthenticated,
    /// The caller may not.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// Too much of it.
    Limited,
    /// Our own or a source's trouble.
    Trouble,
}

/// An error of OpenAI's APIs.
#[must_use]
pub fn openai(notice: &Notice<'_>, class: Class) -> String {
    #[derive(Serialize)]
    struct Error<'a> {
        message: &'a str,
        r#type: &'static str,
        param: Option<&'static str>,
        code: &'a str,
        #[serde(flatten)]
        details: Details<'a>,
    }
    #[derive(Serialize)]
    struct Body<'a> {
        error: Error<'a>,
    }
    let r#type = match class {
        Class::Invalid | Class::TooLarge | Class::NotFound => "invalid_request_error",
        Class::Unauthenticated => "authentication_error",
        Class::Forbidden => "permission_error",
        Class::Limited => "rate_limit_error",
        Class::Trouble => "server_error",
    };
    let (message, code) = (notice.message(), notice.reason().unwrap_or("denied"));
    json(&Body { error: Error { message: &message, r#type, param: None, code, details: notice.details() } })
}

/// An error of Anthropic's API.
#[must_use]
pub fn anthropic(notice: &Notice<'_>, class: Class) -> String {
    #[derive(Serialize)]
    struct Error<'a> {
        r#type: &'static str,
        message: &'a str,
        #[serde(flatten)]
        details: Details<'a>,
    }
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: &'static str,
        error: Error<'a>,
    }
    let r#type = match class {
        Class::Invalid => "invalid_request_error",
        Class::TooLarge => "request_too_large",
        Class::Unauthenticated => "authentication_error",
        Class::Forbidden => "permission_error",
        Class::NotFound => "not_found_error",
        Class::Limited => "rate_limit_error",
        Class::Trouble => "api_error",
    };
    let message = notice.message();
    json(&Body { r#type: "error", error: Error { r#type, message: &message, details: notice.details() } })
}
