//! Picket under test: without sockets ([`direct`]), as a whole server on ports of its own ([`server`]), and the
//! services it queries ([`fake_http`]).
//!
//! [`Check`] builds checks, which are boring and denied unless a test says otherwise.

pub mod direct;
pub mod fake_http;
pub mod issuer;
pub mod server;

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, Metadata};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};

/// The workload that the small trees' policies know.
pub const FRONTEND: &str = "spiffe://cluster.local/ns/web/sa/frontend";
/// A permit for everything in its namespace.
pub const PERMIT_ALL: &str = r#"@id("all") permit (principal, action in Action::"any", resource);"#;
/// A forbid for everything in its namespace.
pub const FORBID_ALL: &str = r#"@id("none") forbid (principal, action in Action::"any", resource);"#;

/// Builds a check as Envoy sends it with raw headers.
#[derive(Debug, Clone)]
pub struct Check(pub CheckRequest);

/// `method path` on `orders.shop`, without a caller, for no service.
pub fn check(method: &str, path: &str) -> Check {
    let http = HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        host: "orders.shop".to_owned(),
        scheme: "https".to_owned(),
        header_map: Some(HeaderMap::default()),
        ..HttpRequest::default()
    };
    let request = Some(Request { time: None, http: Some(http) });
    Check(CheckRequest { attributes: Some(AttributeContext { request, ..AttributeContext::default() }) })
}

/// A call that [`PERMIT_ALL`] in `namespaces/shop` allows.
pub fn orders() -> Check {
    check("GET", "/v1/orders/1").service("shop/orders").by(FRONTEND)
}

impl Check {
    pub fn attributes(&mut self) -> &mut AttributeContext {
        self.0.attributes.as_mut().unwrap()
    }

    pub fn http(&mut self) -> &mut HttpRequest {
        self.attributes().request.as_mut().unwrap().http.as_mut().unwrap()
    }

    pub fn service(mut self, id: &str) -> Self {
        self.attributes().context_extensions.insert("service".to_owned(), id.to_owned());
        self
    }

    pub fn by(mut self, principal: &str) -> Self {
        let source = self.attributes().source.get_or_insert_with(Peer::default);
        source.principal = principal.to_owned();
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        let value = HeaderValue { key: name.to_owned(), raw_value: value.into(), ..HeaderValue::default() };
        self.http().header_map.get_or_insert_with(HeaderMap::default).headers.push(value);
        self
    }

    pub fn host(mut self, host: &str) -> Self {
        self.http().host = host.to_owned();
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Claims as Envoy's jwt_authn filter leaves them, under the key `jwt`.
    pub fn claims(mut self, claims: &serde_json::Value) -> Self {
        let fields = [("jwt".to_owned(), proto(claims))].into();
        let metadata = self.attributes().metadata_context.get_or_insert_with(Metadata::default);
        metadata.filter_metadata.insert("envoy.filters.http.jwt_authn".to_owned(), Struct { fields });
        self
    }
}

fn proto(json: &serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(flag) => Kind::BoolValue(*flag),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(proto).collect() }),
        serde_json::Value::Object(fields) => {
            Kind::StructValue(Struct { fields: fields.iter().map(|(k, v)| (k.clone(), proto(v))).collect() })
        }
    };
    Value { kind: Some(kind) }
}

/// The content of an answer, for asserts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// HTTP status the caller gets; 200 for an allow, and for denials in a form that has it.
    pub status: i32,
    /// `decision` of the dynamic metadata.
    pub decision: String,
    /// `reason` of the dynamic metadata.
    pub reason: String,
    /// `digests` of the dynamic metadata.
    pub digests: serde_json::Map<String, serde_json::Value>,
}

/// Reads an answer, and asserts what holds of every answer: its status is explicit, and status, kind of
/// response and metadata say the same.
#[track_caller]
pub fn said(response: &CheckResponse) -> Said {
    let json = picket::envoy::json::check_response(response);
    let text = |key: &str| json["dynamicMetadata"][key].as_str().unwrap_or_default().to_owned();
    let code = response.status.as_ref().expect("an answer without a status is an allow to Envoy").code;
    let status = match response.http_response.as_ref().expect("an answer has a response") {
        HttpResponse::OkResponse(_) => 200,
        HttpResponse::DeniedResponse(denied) => denied.status.as_ref().unwrap().code,
        HttpResponse::ErrorResponse(_) => panic!("an `error_response` would leave the decision to the filter"),
    };
    let is_ok = matches!(response.http_response, Some(HttpResponse::OkResponse(_)));
    assert_eq!(code == 0, is_ok, "{json}");
    assert_eq!(text("decision") == "allow", is_ok, "{json}");
    assert!(status == 200 || (400..=599).contains(&status), "{json}");
    let digests = json["dynamicMetadata"]["digests"].as_object().cloned().unwrap_or_default();
    Said { status, decision: text("decision"), reason: text("reason"), digests }
}
