//! Behaviour of Envoy, case by case, as committed tables.
//!
//! A table changes when Envoy does: read each line, then `UPDATE_EXPECT=1 cargo test --test it envoy`, correct
//! `docs/envoy.md`, and name the changed lines in the commit.

mod bodies;
mod doubled;
mod forms;
mod forwarded;
mod mutations;
mod paths;
mod upgrades;
mod verdicts;

use envoy_types::ext_authz::v3::pb::{
    CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValue, HeaderValueOption, HttpResponse, HttpStatus,
    OkHttpResponse,
};
use envoy_types::pb::google::protobuf::BoolValue;
use envoy_types::pb::google::rpc::Status;

/// gRPC's `PERMISSION_DENIED`.
const DENIED: i32 = 7;

fn response(code: Option<i32>, http: Option<HttpResponse>) -> CheckResponse {
    let status = code.map(|code| Status { code, ..Status::default() });
    CheckResponse { status, http_response: http, ..CheckResponse::default() }
}

fn ok(inside: OkHttpResponse) -> CheckResponse {
    response(Some(0), Some(HttpResponse::OkResponse(inside)))
}

fn denial(status: Option<i32>, headers: Vec<HeaderValueOption>) -> DeniedHttpResponse {
    DeniedHttpResponse { status: status.map(|code| HttpStatus { code }), headers, body: "no".into() }
}

fn denied(status: i32, headers: Vec<HeaderValueOption>) -> CheckResponse {
    response(Some(DENIED), Some(HttpResponse::DeniedResponse(denial(Some(status), headers))))
}

/// A header as a server should send it: `append` unset, action overwrite.
fn header(key: &str, value: &str) -> HeaderValueOption {
    let header = HeaderValue { key: key.into(), value: value.into(), raw_value: Vec::new() };
    option(header, None, HeaderAppendAction::OverwriteIfExistsOrAdd)
}

#[expect(deprecated, reason = "Envoy still reads `append`, and for some headers nothing else")]
fn option(header: HeaderValue, append: Option<bool>, action: HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(header),
        append: append.map(|value| BoolValue { value }),
        append_action: action as i32,
        ..HeaderValueOption::default()
    }
}

/// Values side by side, `-` for none.
fn list<T: AsRef<str>>(values: &[T]) -> String {
    if values.is_empty() { "-".to_owned() } else { values.iter().map(T::as_ref).collect::<Vec<_>>().join(" | ") }
}

/// A table with aligned columns.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}
