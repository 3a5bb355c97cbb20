//! Formats `CheckResponse` as JSON, with keys in a stable order.

use envoy_types::pb::envoy::config::core::v3::HeaderValueOption;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use serde_json::{Map, Value, json};

use crate::envoy::protobuf_struct;

/// An answer as protobuf's JSON, empty parts left out, keys sorted.
///
/// The HTTP status is written as its number, where protobuf's own mapping has a name such as `Forbidden`.
#[must_use]
pub fn check_response(response: &CheckResponse) -> Value {
    let mut object = Map::new();
    if let Some(metadata) = &response.dynamic_metadata {
        object.insert("dynamicMetadata".to_owned(), protobuf_struct::to_json(metadata).unwrap_or(Value::Null));
    }
    match &response.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => object.insert("deniedResponse".to_owned(), denied_json(denied)),
        Some(HttpResponse::ErrorResponse(error)) => object.insert("errorResponse".to_owned(), denied_json(error)),
        Some(HttpResponse::OkResponse(ok)) => object.insert("okResponse".to_owned(), ok_json(ok)),
        None => None,
    };
    if let Some(status) = &response.status {
        let mut inner = Map::new();
        inner.insert("code".to_owned(), Value::from(status.code));
        put_text(&mut inner, "message", &status.message);
        object.insert("status".to_owned(), Value::Object(inner));
    }
    sorted(Value::Object(object))
}

fn denied_json(denied: &DeniedHttpResponse) -> Value {
    let mut object = Map::new();
    put_text(&mut object, "body", &denied.body);
    put_list(&mut object, "headers", denied.headers.iter().map(header_json).collect());
    if let Some(status) = &denied.status {
        object.insert("status".to_owned(), json!({ "code": status.code }));
    }
    Value::Object(object)
}

fn ok_json(ok: &OkHttpResponse) -> Value {
    let mut object = Map::new();
    put_list(&mut object, "headers", ok.headers.iter().map(header_json).collect());
    put_list(&mut object, "headersToRemove", texts(&ok.headers_to_remove));
    put_list(&mut object, "queryParametersToRemove", texts(&ok.query_parameters_to_remove));
    let set = ok.query_parameters_to_set.iter();
    let set = set.map(|parameter| json!({ "key": parameter.key, "value": parameter.value }));
    put_list(&mut object, "queryParametersToSet", set.collect());
    put_list(&mut object, "responseHeadersToAdd", ok.response_headers_to_add.iter().map(header_json).collect());
    Value::Object(object)
}

fn header_json(option: &HeaderValueOption) -> Value {
    let mut object = Map::new();
    if let Ok(action) = HeaderAppendAction::try_from(option.append_action)
        && action != HeaderAppendAction::AppendIfExistsOrAdd
    {
        object.insert("appendAction".to_owned(), Value::from(action.as_str_name()));
    }
    #[expect(deprecated, reason = "the only switch that Envoy honours for request headers; we must show if it is set")]
    if let Some(append) = &option.append {
        object.insert("append".to_owned(), Value::Bool(append.value));
    }
    if let Some(header) = &option.header {
        let mut inner = Map::new();
        put_text(&mut inner, "key", &header.key);
        put_text(&mut inner, "value", &header.value);
        object.insert("header".to_owned(), Value::Object(inner));
    }
    Value::Object(object)
}

fn texts(items: &[String]) -> Vec<Value> {
    items.iter().map(|item| Value::from(item.as_str())).collect()
}

fn put_text(object: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        object.insert(key.to_owned(), Value::from(text));
    }
}

fn put_list(object: &mut Map<String, Value>, key: &str, items: Vec<Value>) {
    if !items.is_empty() {
        object.insert(key.to_owned(), Value::Array(items));
    }
}

/// Sorts the keys of every object, whichever map type serde_json was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<(String, Value)> = object.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}
