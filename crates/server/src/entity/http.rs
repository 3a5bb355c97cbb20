//! An HTTP client for one `GET` of one JSON document.
//!
//! Knows: HTTP, TLS, headers with secrets in files. Must not know: what is asked for, or what the document means.
//!
//! Anything but a whole, well-formed 200 or a 404 is an error. Errors never hold the URL: it holds values of a call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use humantime::format_duration;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::Value as Json;

use super::template::Template;
use super::{cache, json};
use picket_core::setting::{CheckSettings, SettingProblem};

/// Largest body that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest header file that is read, in bytes.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// A header's value in a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderFile {
    /// The file; blanks and line ends around its text are dropped. Never logged.
    pub file: PathBuf,
    /// Text before the file's, such as `Bearer ` with its blank. Default empty.
    #[serde(default)]
    pub prefix: String,
}

/// The default time limit of a request.
#[must_use]
pub fn timeout_default() -> Duration {
    Duration::from_millis(50)
}

/// How requests to a source are sent.
///
/// The three keys are directly below a look-up or a source of approvals, whose settings declare them and lend them to this:
/// serde's `flatten` would turn off `deny_unknown_fields` there.
#[derive(Debug, Clone, Copy)]
pub struct HttpSettings<'a> {
    /// How long a call waits for an answer, within its own deadline. Default 50ms; above 0s and at most 5s.
    pub timeout: Duration,
    /// Headers to send, each with its value in a file (a token, say), read again for every request. Default none.
    pub headers: &'a BTreeMap<String, HeaderFile>,
    /// PEM file of the only certificate authorities that are trusted. Default: the system's.
    pub ca_file: Option<&'a Path>,
}

impl CheckSettings for HttpSettings<'_> {
    fn problems(&self) -> Vec<SettingProblem> {
        // The file of certificates is read when the client is made.
        let Self { timeout, headers, ca_file: _ } = self;
        let mut found = Vec::new();
        if timeout.is_zero() || *timeout > cache::FLIGHT_MAX {
            let message = format!("`{}` is out of range; above 0s and at most 5s", format_duration(*timeout));
            found.push(SettingProblem::error("timeout", message));
        }
        for header in headers.keys().filter(|header| HeaderName::from_bytes(header.as_bytes()).is_err()) {
            let message = format!("`{header}` is not a header name; for example `authorization`");
            found.push(SettingProblem::error("headers", message));
        }
        found
    }
}

/// The answer of a source.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// 200 with this document.
    Document(Json),
    /// 404: no record.
    NotFound,
}

/// The client of one source.
#[derive(Debug)]
pub struct Http {
    client: Client,
    headers: BTreeMap<String, HeaderFile>,
}

impl Http {
    /// A client with these settings. Callers hold `timeout` themselves: a request may serve several calls.
    ///
    /// # Errors
    /// The certificates cannot be read.
    pub fn new(settings: &HttpSettings<'_>, url: &Template) -> Result<Self, String> {
        Ok(Self { client: client(settings.ca_file, url)?, headers: settings.headers.clone() })
    }

    /// Sends one request.
    ///
    /// # Errors
    /// A fragment that says what was wrong, without the URL.
    pub async fn get(&self, url: String) -> Result<Answer, String> {
        let request = self.client.get(url).headers(self.headers().await?);
        let response = request.send().await.map_err(|error| no_answer(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Answer::NotFound),
            status => return Err(format!("the source answered {} instead of 200", status.as_u16())),
        }
        if !is_json(&response) {
            return Err("the answer's content-type is not JSON".to_owned());
        }
        json::strict(&body(response).await?).map(Answer::Document).map_err(|why| format!("the answer {why}"))
    }

    async fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, source) in &self.headers {
            // The reason names the file, never what is in it.
            let wrong = |what: &str| format!("header file `{}` {what}", source.file.display());
            let bytes = tokio::fs::read(&source.file).await.map_err(|_| wrong("cannot be read"))?;
            let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is not UTF-8"))?.trim();
            if text.is_empty() || text.len() > HEADER_BYTES_MAX {
                return Err(wrong("is empty or larger than 16 KiB"));
            }
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("has no header name"))?;
            let mut value = HeaderValue::from_str(&format!("{}{text}", source.prefix))
                .map_err(|_| wrong("is not a header value"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

fn client(ca_file: Option<&Path>, url: &Template) -> Result<Client, String> {
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("picket/", env!("CARGO_PKG_VERSION")));
    if let Some(file) = ca_file {
        let pem =
            std::fs::read(file).map_err(|error| format!("ca_file `{}` cannot be read: {error}", file.display()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|_| format!("ca_file `{}` holds no PEM certificates", file.display()))?;
        if certificates.is_empty() {
            return Err(format!("ca_file `{}` holds no PEM certificates", file.display()));
        }
        builder = builder.tls_certs_only(certificates);
    } else if url.is_clear_text() {
        // Nothing to verify, and the system may have no certificates at all.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| format!("could not create a TLS client: {error}"))
}

fn is_json(response: &Response) -> bool {
    let mut values = response.headers().get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(&error))? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err("the answer is larger than 64 KiB".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What went wrong on the wire. The error's own text would hold the URL.
fn no_answer(error: &reqwest::Error) -> String {
    let what = match () {
        () if error.is_connect() => "could not connect to the source",
        () if error.is_body() || error.is_decode() => "the answer was interrupted",
        () => "the source did not answer",
    };
    what.to_owned()
}
