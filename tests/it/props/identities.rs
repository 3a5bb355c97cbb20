//! Identities, tokens and calls as other modules may hand them to mapping.

use picket::call::{Call, UnixMillis};
use picket::decision::Snapshot;
use picket::identity::{Binding, Identity, Proof, SpiffeId, Task, Token, TokenKind, Workload};
use picket::mapping::{self, Place, action};
use picket::query::{Keys, Query, Reads};
use proptest::prelude::*;

use crate::support::{call, token};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just("orders:read".to_owned()), ".{0,16}"]
}

fn texts() -> impl Strategy<Value = std::collections::BTreeSet<String>> {
    prop::collection::btree_set(text(), 0..4)
}

/// A time that a token may carry.
fn time() -> impl Strategy<Value = UnixMillis> {
    prop_oneof![Just(crate::support::NOW), (-62_000_000_000_000_i64..250_000_000_000_000).prop_map(UnixMillis)]
}

fn tokens() -> impl Strategy<Value = Token> {
    let kinds = [TokenKind::Access, TokenKind::JwtSvid, TokenKind::Kubernetes, TokenKind::Transaction];
    let bindings = [Binding::Bound, Binding::Unbound, Binding::Unchecked];
    let closed =
        (prop::sample::select(kinds.to_vec()), prop::sample::select(bindings.to_vec()), any::<bool>(), any::<u32>());
    let named = (text(), text(), texts(), texts(), texts(), texts());
    let maybe = (
        proptest::option::of(text()),
        proptest::option::of(text()),
        proptest::option::of(texts()),
        proptest::option::of(time()),
        proptest::option::of(time()),
        time(),
    );
    (closed, named, maybe).prop_map(|((kind, binding, is_user, actor_depth), named, maybe)| {
        let (issuer, subject, audiences, scopes_claimed, scopes_proven, roles) = named;
        let (client_id, acr, amr, auth_time, issued_at, expires_at) = maybe;
        Token {
            actor: acr.clone(),
            token_id: client_id.clone(),
            ..Token {
                issuer,
                subject,
                kind,
                audiences,
                scopes_claimed,
                scopes_proven,
                roles,
                binding,
                is_user,
                client_id,
                acr,
                amr,
                auth_time,
                issued_at,
                expires_at,
                actor_depth,
                ..token(&[])
            }
        }
    })
}

/// Names as an issuer may write them, right and wrong ones.
fn names() -> impl Strategy<Value = std::collections::BTreeSet<String>> {
    let known = ["shop/orders/v1", "ticket://4711/", "https://orders.shop/x", "tickets.get", "shop/orders", "//", ""];
    let name = prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), ".{0,16}", "[a-z:/.?#]{0,16}"];
    prop::collection::btree_set(name, 0..4)
}

fn tasks() -> impl Strategy<Value = Task> {
    let lists = (names(), names(), names(), names(), names(), names());
    let params = prop::collection::btree_map("[a-z_]{1,6}", text(), 0..3);
    (text(), text(), time(), lists, params).prop_map(|(id, subject, expires_at, lists, params)| {
        let (tools, resources, paths, agents, models, servers) = lists;
        let (issuer, issued_at) = ("https://txn.example".to_owned(), crate::support::NOW);
        Task { id, issuer, subject, issued_at, expires_at, tools, resources, paths, agents, models, servers, params }
    })
}

fn identities() -> impl Strategy<Value = Identity> {
    let ids = [
        "spiffe://cluster.local/ns/web/sa/frontend",
        "spiffe://cluster.local/odd/path",
        "spiffe://other.example/ns/web/sa/frontend",
        "spiffe://cluster.local",
        "spiffe://cluster.local/ns/shop/sa/orders",
    ];
    let ids: Vec<SpiffeId> = ids.iter().filter_map(|id| SpiffeId::parse(id).ok()).collect();
    let proofs = [Proof::Mtls, Proof::Xfcc, Proof::JwtSvid];
    let workload = (prop::sample::select(ids), prop::sample::select(proofs.to_vec()));
    let workload = proptest::option::of(workload.prop_map(|(id, proof)| Workload { id, proof }));
    (workload, proptest::option::of(tokens()), proptest::option::of(tasks()))
        .prop_map(|(workload, token, task)| Identity { workload, token: token.map(Box::new), task: task.map(Box::new) })
}

fn calls() -> impl Strategy<Value = (Call, String)> {
    let http = (prop::sample::select(vec!["GET", "POST", "X", "OPTIONS"]), "/[a-z0-9]{1,5}(/[a-z]{1,3}){0,4}");
    let headers = prop::collection::btree_map("[a-z]{1,6}", "[ -~]{0,12}", 0..4);
    let service = prop::sample::select(vec!["shop/orders", "pay/billing", "shop/inventory"]);
    (http, headers, service, any::<Option<std::net::IpAddr>>()).prop_map(
        |((method, path), headers, service, address)| {
            let built = match service {
                "shop/inventory" => {
                    call().method("POST").path("/shop.Stock/Get").header("content-type", "application/grpc")
                }
                _ => call().method(method).path(&format!("{path}?k=v")),
            };
            let mut built =
                headers.iter().fold(built, |built, (name, value)| built.header(name, value)).service(service).0;
            built.peer.address = address;
            (built, service.to_owned())
        },
    )
}

/// Callers and their requests.
pub fn queries() -> impl Strategy<Value = (Identity, Call, String)> {
    (identities(), calls()).prop_map(|(identity, (call, service))| (identity, call, service))
}

/// Maps with everything read that can be read.
pub fn query(snapshot: &Snapshot, identity: &Identity, call: &Call, service: &str) -> Query {
    let settings = mapping::Settings::default();
    let service = snapshot.catalog().service(service).unwrap();
    let asked = action::spoken(call, service, &settings).unwrap().without_body(call).unwrap();
    let reads = Reads { headers: Keys::All, query: Keys::All, ..Reads::default() };
    let place = Place { listener: "test", home: "cluster.local", catalog: snapshot.catalog() };
    mapping::query(call, identity, service, &asked, &reads, place).unwrap()
}
