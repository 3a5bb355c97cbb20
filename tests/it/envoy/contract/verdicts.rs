//! Answers of the server that are an allow, a denial or an error to Envoy.

use envoy_types::ext_authz::v3::pb::{CheckResponse, HttpResponse, OkHttpResponse};
use expect_test::expect_file;
use serde_json::json;

use super::{DENIED, denial, header, response, row, table};
use crate::envoy::bench::{Bench, get, listener};
use crate::envoy::scripted::Reply;

fn cases() -> Vec<(&'static str, Reply)> {
    let denied = |status| Some(HttpResponse::DeniedResponse(denial(status, vec![header("x-from", "server")])));
    let error = |status| Some(HttpResponse::ErrorResponse(denial(status, vec![header("x-from", "server")])));
    let ok = || Some(HttpResponse::OkResponse(OkHttpResponse::default()));
    vec![
        ("empty CheckResponse", CheckResponse::default().into()),
        ("no status, denied 401", response(None, denied(Some(401))).into()),
        ("code 0, nothing", response(Some(0), None).into()),
        ("code 0, ok", response(Some(0), ok()).into()),
        ("code 0, denied 401", response(Some(0), denied(Some(401))).into()),
        ("code 0, error 429", response(Some(0), error(Some(429))).into()),
        ("code 7, nothing", response(Some(DENIED), None).into()),
        ("code 7, ok", response(Some(DENIED), ok()).into()),
        ("code 7, denied 401", response(Some(DENIED), denied(Some(401))).into()),
        ("code 7, denied without status", response(Some(DENIED), denied(None)).into()),
        ("code 7, denied 200", response(Some(DENIED), denied(Some(200))).into()),
        ("code 7, denied 302", response(Some(DENIED), denied(Some(302))).into()),
        ("code 7, denied 700", response(Some(DENIED), denied(Some(700))).into()),
        ("code 999, denied 401", response(Some(999), denied(Some(401))).into()),
        ("code 7, error 429", response(Some(DENIED), error(Some(429))).into()),
        ("code 7, error without status", response(Some(DENIED), error(None)).into()),
        ("gRPC error UNAVAILABLE", Reply::Error(tonic::Code::Unavailable)),
        ("gRPC error PERMISSION_DENIED", Reply::Error(tonic::Code::PermissionDenied)),
        ("gRPC error UNAUTHENTICATED", Reply::Error(tonic::Code::Unauthenticated)),
        ("no answer in time", Reply::Never),
    ]
}

#[tokio::test]
async fn p30_an_empty_answer_is_an_allow_and_only_a_denied_response_denies_when_failing_open() {
    let service = json!({"envoy_grpc": {"cluster_name": "authz"}, "timeout": "0.3s"});
    let settings = json!({"grpc_service": service, "status_on_error": {"code": "ServiceUnavailable"}});
    let open = json!({"failure_mode_allow": true, "failure_mode_allow_header_add": true});
    let listeners = vec![listener("closed").authz(settings.clone()), listener("open").authz(settings).authz(open)];
    let bench = Bench::start(listeners, &[]).await;
    let mut rows = vec![row(["answer of the server", "fail closed", "fail open"])];
    for (name, reply) in cases() {
        let mut cells = vec![name.to_owned()];
        for mode in ["closed", "open"] {
            let outcome = bench.send(mode, reply.clone(), &get(&["x-from: client"])).await;
            assert_eq!(outcome.checks.len(), 1, "{name}");
            cells.push(match outcome.upstream() {
                Some(seen) if seen.values("x-envoy-auth-failure-mode-allowed").is_empty() => "ALLOWED".to_owned(),
                Some(_) => "ALLOWED, marked".to_owned(),
                None => match &outcome.answer {
                    Ok(answer) => {
                        let from = answer.values("x-from").next().unwrap_or("envoy");
                        format!("{} `{}` from {from}", answer.status, answer.text())
                    }
                    Err(error) => format!("no answer ({:?})", error.kind()),
                },
            });
        }
        rows.push(cells);
    }
    expect_file!["../golden/verdicts.txt"].assert_eq(&table(&rows));
}
