//! A small authorization server: metadata, registration, consent that is always given, codes with PKCE, signed access
//! tokens; and the system where approvals are given, by a visit to a page.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::envoy::e2e::issuer::Issuer;

/// The fields of a request or a form.
type Words = BTreeMap<String, String>;

/// State of the server.
struct Known {
    url: String,
    issuer: Issuer,
    codes: Mutex<BTreeMap<String, Words>>,
    /// Tickets that were requested, and those that were approved.
    tickets: Mutex<(BTreeSet<String>, BTreeSet<String>)>,
}

/// The running server; it ends with the value.
pub struct Login {
    /// Its address, which is the issuer's name.
    pub url: String,
    /// Its key set.
    pub key_set: String,
    _tasks: JoinSet<()>,
}

impl Login {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let issuer = Issuer::new();
        let key_set = issuer.key_set();
        let known = Known { url: url.clone(), issuer, codes: Mutex::default(), tickets: Mutex::default() };
        let router = Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/register", post(register))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/approve/{decision}", get(approve))
            .route("/tickets/{ticket}", get(ticket))
            .with_state(Arc::new(known));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, key_set, _tasks: tasks }
    }
}

async fn metadata(State(known): State<Arc<Known>>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", known.url);
    Json(json!({
        "issuer": known.url,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "registration_endpoint": at("/register"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn register(Json(mut client): Json<Value>) -> (StatusCode, Json<Value>) {
    client["client_id"] = json!(uuid::Uuid::now_v7().to_string());
    client["token_endpoint_auth_method"] = json!("none");
    (StatusCode::CREATED, Json(client))
}

/// Agrees at once and sends the user back with a code.
async fn authorize(State(known): State<Arc<Known>>, Query(asked): Query<Words>) -> Response {
    let code = uuid::Uuid::now_v7().to_string();
    let [back, state] = ["redirect_uri", "state"].map(|key| asked.get(key).cloned().unwrap_or_default());
    known.codes.lock().unwrap().insert(code.clone(), asked);
    let iss = known.url.replace(':', "%3A").replace('/', "%2F");
    let location = format!("{back}?code={code}&state={state}&iss={iss}");
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

async fn token(State(known): State<Arc<Known>>, form: String) -> Result<Json<Value>, (StatusCode, String)> {
    let uri: Uri = format!("/?{form}").parse().unwrap();
    let Query(form) = Query::<Words>::try_from_uri(&uri).unwrap();
    let wrong = |what: &str| (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant", "why": what}).to_string());
    let asked = known.codes.lock().unwrap().remove(&form["code"]).ok_or_else(|| wrong("code"))?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    if asked["code_challenge"] != challenge || asked["client_id"] != form["client_id"] {
        return Err(wrong("challenge"));
    }
    let scope = asked.get("scope").cloned().unwrap_or_default();
    // A login that was requested to be strong is strong.
    let mut claims =
        json!({"iss": known.url, "aud": asked["resource"], "client_id": asked["client_id"], "scope": scope});
    if let Some(acr) = asked.get("acr_values") {
        claims["acr"] = json!(acr);
    }
    let token = known.issuer.token(claims);
    Ok(Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": scope})))
}

/// A visitor of the page approves every requested ticket.
async fn approve(State(known): State<Arc<Known>>, Path(_decision): Path<String>) -> &'static str {
    let mut tickets = known.tickets.lock().unwrap();
    let (asked, agreed) = &mut *tickets;
    agreed.append(asked);
    "thank you"
}

async fn ticket(State(known): State<Arc<Known>>, Path(id): Path<String>) -> Json<Value> {
    let mut tickets = known.tickets.lock().unwrap();
    let (asked, agreed) = &mut *tickets;
    let state = if agreed.contains(&id) { "approved" } else { "pending" };
    asked.insert(id.clone());
    Json(json!({"id": id, "state": state, "by": "ana", "approvers": ["lee"], "end": "9999-01-01T00:00:00Z"}))
}
