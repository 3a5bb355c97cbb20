//! The files for Istio: objects that apply as they are, and settings by which a real server separates sidecars from
//! gateways. One test for each way in which an installation failed behind a real istiod.

use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::Peer;
use picket_demo::certs::Authority;
use picket_demo::folder::Folder;
use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{envoy_takes, named, object, read, root, text, write_tree, yaml_files};
use crate::harness::server::{Server, config};
use crate::harness::{Check, Said, check, said};

const PICKET: &str = "spiffe://cluster.local/ns/picket-system/sa/picket";
const ORDERS: &str = "spiffe://cluster.local/ns/shop/sa/orders";
const FRONTEND: &str = "spiffe://cluster.local/ns/web/sa/frontend";
const GATEWAYS: [&str; 2] = [
    "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account",
    "spiffe://cluster.local/ns/istio-ingress/sa/istio-ingress",
];

/// Kinds that a cluster with Istio knows, as far as they are shipped.
const KINDS: [&str; 10] = [
    "v1/ConfigMap",
    "v1/Namespace",
    "v1/Service",
    "v1/ServiceAccount",
    "apps/v1/Deployment",
    "policy/v1/PodDisruptionBudget",
    "security.istio.io/v1/AuthorizationPolicy",
    "security.istio.io/v1/PeerAuthentication",
    "networking.istio.io/v1/DestinationRule",
    "networking.istio.io/v1alpha3/EnvoyFilter",
];

/// Every object of the folders that are given to `kubectl apply -f`.
fn applied() -> Vec<(String, Value)> {
    let folders = ["deploy/kubernetes", "deploy/istio"].map(|folder| yaml_files(&root().join(folder)));
    let files = folders.iter().flatten().map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap());
    files.flat_map(named).collect()
}

fn provider() -> Value {
    let mesh: Value = serde_saphyr::from_str(&read("deploy/istio-mesh-config.yaml")).unwrap();
    let [provider] = mesh["meshConfig"]["extensionProviders"].as_array().unwrap().as_slice() else {
        panic!("one provider, since Istio denies every call of a workload that has two")
    };
    provider.clone()
}

#[test]
fn applied_objects_are_of_kinds_that_the_cluster_knows() {
    let objects = applied();
    assert!(objects.len() > 10, "{}", objects.len());
    for (name, object) in objects {
        let kind = format!("{}/{}", text(&object["apiVersion"]), text(&object["kind"]));
        assert!(KINDS.contains(&kind.as_str()), "{name}: `{kind}` would end `kubectl apply`");
    }
}

#[test]
fn sidecars_can_reach_the_service() {
    let service = object("deploy/kubernetes/picket.yaml", "Service/picket");
    assert!(service["spec"].get("clusterIP").is_none(), "sidecars reach nothing behind a headless Service");
    assert!(service["spec"].get("type").is_none() || service["spec"]["type"] == "ClusterIP");
    assert_eq!(service["spec"]["ports"][0]["appProtocol"], "grpc");
    let host = format!("{}.{}.svc.cluster.local", text(&service["metadata"]["name"]), "picket-system");
    assert_eq!(service["metadata"]["namespace"], "picket-system");
    let provider = provider()["envoyExtAuthzGrpc"].clone();
    assert_eq!((&provider["service"], text(&provider["port"])), (&Value::from(host.as_str()), "9191"));
    let rule = object("deploy/istio/destination-rule.yaml", "DestinationRule/picket");
    assert_eq!(rule["spec"]["host"], host.as_str());
    let tls = json!({"mode": "ISTIO_MUTUAL", "subjectAltNames": [PICKET]});
    assert_eq!(rule["spec"]["trafficPolicy"]["tls"], tls);
    let namespace = object("deploy/kubernetes/namespace.yaml", "Namespace/picket-system");
    assert_eq!(namespace["metadata"]["labels"]["istio-injection"], "disabled", "Picket would be asked about itself");
    let certificate = object("deploy/certificates/cert-manager.yaml", "Certificate/picket");
    assert_eq!(certificate["spec"]["uris"], json!([PICKET]), "the DestinationRule would refuse it");
    let pod = object("deploy/kubernetes/picket.yaml", "Deployment/picket")["spec"]["template"]["spec"].clone();
    let volume = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "tls").unwrap();
    assert_eq!(certificate["spec"]["secretName"], volume["secret"]["secretName"]);
}

#[test]
fn one_provider_checks_every_call_and_no_answer_denies() {
    let provider = provider();
    let grpc = &provider["envoyExtAuthzGrpc"];
    assert_eq!((text(&grpc["timeout"]), text(&grpc["statusOnError"])), ("0.3s", "503"), "Istio's own are 600s and 403");
    assert_eq!(grpc["failOpen"], false);
    let objects = applied();
    let custom: Vec<_> = objects.iter().filter(|(_, object)| object["spec"]["action"] == "CUSTOM").collect();
    let [(_, policy)] = custom.as_slice() else { panic!("{} policies ask a provider", custom.len()) };
    assert_eq!(policy["spec"]["provider"]["name"], provider["name"]);
    assert_eq!(policy["metadata"]["namespace"], "istio-system");
    assert_eq!(policy["spec"].get("selector"), None, "other workloads would not be asked about");
    assert_eq!(policy["spec"]["rules"], json!([{}]), "a condition is a way around for who can choose it");
    // How TCP services are left out, once the comment is taken away.
    let written = read("deploy/istio/authorization-policy.yaml");
    let lines: Vec<&str> = written.lines().collect();
    let example = lines.iter().find_map(|line| line.strip_prefix("  # - to:")).unwrap();
    let ports: Value = serde_saphyr::from_str(&format!("to:{example}")).unwrap();
    assert_eq!(ports["to"][0]["operation"], json!({"notPorts": ["5432"]}));
}

#[test]
fn strict_mutual_tls_is_a_file_of_its_own_under_the_name_that_istio_heeds() {
    let [(name, strict)] = named("deploy/istio/peer-authentication.yaml").try_into().unwrap();
    assert_eq!(name, "PeerAuthentication/default");
    assert_eq!(
        (&strict["metadata"]["namespace"], &strict["spec"]),
        (&json!("istio-system"), &json!({"mtls": {"mode": "STRICT"}}))
    );
    let others = applied().into_iter().filter(|(name, _)| name.starts_with("PeerAuthentication/"));
    assert_eq!(others.count(), 1);
}

/// As Istio merges a patch: maps by their keys, lists one behind the other.
fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(patch)) => into.extend(patch.iter().cloned()),
        (into, patch) => *into = patch.clone(),
    }
}

/// The patches for one context: filter and what is merged into its settings.
fn patches(context: &str) -> Vec<(String, Value)> {
    let filter = object("deploy/istio/envoy-filter.yaml", "EnvoyFilter/picket");
    let all = filter["spec"]["configPatches"].as_array().unwrap().clone();
    let of = all.into_iter().filter(|patch| patch["match"]["context"] == context);
    of.map(|patch| (text(&patch["patch"]["value"]["name"]).to_owned(), patch["patch"]["value"]["typed_config"].clone()))
        .collect()
}

const MANAGER: &str = "envoy.filters.network.http_connection_manager";
const AUTHZ: &str = "envoy.filters.http.ext_authz";

#[test]
fn p14_p15_p31_the_patches_close_sidecars_and_gateways_and_a_real_envoy_takes_them() {
    for (context, certificates) in [("SIDECAR_INBOUND", true), ("GATEWAY", false)] {
        let mut config: Value = serde_saphyr::from_str(&read("deploy/envoy.yaml")).unwrap();
        let chain = &mut config["static_resources"]["listeners"][0]["filter_chains"][0];
        let manager = &mut chain["filters"][0]["typed_config"];
        // As Istio sets them, so that only the patches can correct them.
        manager["forward_client_cert_details"] = json!("APPEND_FORWARD");
        manager["early_header_mutation_extensions"] = json!([]);
        let authz = &mut manager["http_filters"][0]["typed_config"];
        for key in ["encode_raw_headers", "include_peer_certificate", "include_tls_session", "validate_mutations"] {
            authz.as_object_mut().unwrap().remove(key);
        }
        let patches = patches(context);
        assert_eq!(patches.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [AUTHZ, MANAGER], "{context}");
        merge(&mut manager["http_filters"][0]["typed_config"], &patches[0].1);
        merge(manager, &patches[1].1);
        assert_eq!(manager["forward_client_cert_details"], "SANITIZE_SET", "{context}: earlier hops stay");
        let early = &manager["early_header_mutation_extensions"][0]["typed_config"]["mutations"][0];
        assert_eq!(early["remove_on_match"]["key_matcher"]["prefix"], "x-picket-", "{context}");
        let authz = &manager["http_filters"][0]["typed_config"];
        assert_eq!((&authz["encode_raw_headers"], &authz["validate_mutations"]), (&json!(true), &json!(true)));
        assert_eq!(authz["failure_mode_allow"], false);
        assert_eq!(authz.get("include_peer_certificate"), certificates.then_some(&json!(true)), "{context}");
        envoy_takes(&config.to_string()).unwrap_or_else(|error| panic!("{context}: {error}"));
        config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
            [0]["typed_config"]["encode_raw_header"] = json!(true);
        assert!(envoy_takes(&config.to_string()).is_err(), "a misspelt field would pass unseen");
    }
}

/// A server by the shipped settings and policies, with certificates of a mesh's authority.
struct Mesh {
    server: Server,
    authority: Authority,
    _folder: Folder,
}

impl Mesh {
    async fn start() -> Self {
        let folder = Folder::new().unwrap();
        write_tree(&folder);
        // The samples define no access of the public; here it may read one page.
        let public =
            r#"@id("status") permit (principal, action == Action::"GET", resource == Path::"shop/orders/v1/status");"#;
        folder.write("namespaces/shop/public.cedar", public).unwrap();
        let authority = Authority::new("cluster.local").unwrap();
        let leaf = authority.issue(&[PICKET], &["localhost"]).unwrap();
        let certificates = TempDir::new().unwrap();
        let home = Arc::new(certificates);
        let write = |name: &str, content: &str| std::fs::write(home.path().join(name), content).unwrap();
        write("tls.crt", &leaf.certificate);
        write("tls.key", &leaf.key);
        write("ca.crt", authority.certificate());
        let shipped = object("deploy/kubernetes/policies.yaml", "ConfigMap/picket-config");
        let shipped = text(&shipped["data"]["picket.yaml"]).replace("/run/picket/tls", home.path().to_str().unwrap());
        let shipped: Value = serde_saphyr::from_str(&shipped).unwrap();
        // Only addresses and folders differ from what is shipped.
        let flags = [
            format!("listeners={}", shipped["listeners"]),
            format!("profiles={}", shipped["profiles"]),
            "listeners.0.address=127.0.0.1:0".to_owned(),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let server = Server::run(config(folder.path(), &flags), home).await;
        Self { server, authority, _folder: folder }
    }

    /// Sends a check as the proxy of this workload, over mutual TLS.
    async fn ask(&self, proxy: &str, check: &Check) -> Said {
        let leaf = self.authority.issue(&[proxy], &[]).unwrap();
        let root = reqwest::Certificate::from_pem(self.authority.certificate().as_bytes()).unwrap();
        let identity = reqwest::Identity::from_pem(format!("{}{}", leaf.certificate, leaf.key).as_bytes()).unwrap();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).identity(identity).build().unwrap();
        let port = self.server.port("ext_authz").rsplit(':').next().unwrap().to_owned();
        let url = format!("https://localhost:{port}/envoy.service.auth.v3.Authorization/Check");
        let message = check.0.encode_to_vec();
        let mut frame = vec![0];
        frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&message);
        let request = client.post(url).body(frame).header("content-type", "application/grpc").header("te", "trailers");
        let answer = request.send().await.unwrap().bytes().await.unwrap();
        said(&CheckResponse::decode(&answer[5..]).unwrap())
    }
}

/// A call of the orders' workload: as a sidecar of it describes it, where `by` is a caller with a mesh certificate.
fn by_sidecar(by: Option<&str>) -> Check {
    let mut check = check("GET", "/v1/orders/1").host("orders.shop.svc.cluster.local");
    if let Some(by) = by {
        check = check.by(by);
        check.attributes().destination = Some(Peer { principal: ORDERS.to_owned(), ..Peer::default() });
    }
    check
}

/// A call of the public as a gateway describes it: `certificate` is the name in what the gateway itself shows.
fn by_gateway(host: &str, certificate: &str) -> Check {
    let mut check = check("GET", "/v1/status").host(host);
    check.attributes().destination = Some(Peer { principal: certificate.to_owned(), ..Peer::default() });
    check
}

fn reasons(said: &Said) -> (&str, &str) {
    (said.decision.as_str(), said.reason.as_str())
}

#[tokio::test]
async fn p11_p35_the_shipped_settings_map_sidecars_by_account_and_gateways_by_host() {
    let mesh = Mesh::start().await;
    let allow = ("allow", "policy_permit");
    assert_eq!(reasons(&mesh.ask(ORDERS, &by_sidecar(Some(FRONTEND))).await), allow);
    let stranger = "spiffe://cluster.local/ns/web/sa/stranger";
    assert_eq!(reasons(&mesh.ask(ORDERS, &by_sidecar(Some(stranger))).await), ("deny", "no_permit"));
    for gateway in GATEWAYS {
        // Plaintext, HTTPS by a public name, and ISTIO_MUTUAL.
        for certificate in ["", "orders.example.com", gateway] {
            let call = by_gateway("orders.example.com", certificate);
            assert_eq!(reasons(&mesh.ask(gateway, &call).await), allow, "{gateway} {certificate}");
        }
        let unknown = by_gateway("other.example.com", "");
        assert_eq!(reasons(&mesh.ask(gateway, &unknown).await), ("error", "unmapped"));
        // A partner's certificate from another authority of the gateway does not identify a workload of the mesh.
        let mut feigned = by_gateway("orders.example.com", "").by(FRONTEND);
        feigned.http().path = "/v1/orders/1".to_owned();
        assert_eq!(reasons(&mesh.ask(gateway, &feigned).await), ("deny", "no_permit"), "{gateway}");
    }
}

/// Everything of a call that a caller can write, or that names a service where the profile of gateways reads it.
#[tokio::test]
async fn p11_no_caller_of_a_sidecar_chooses_the_service_or_the_profile() {
    let mesh = Mesh::start().await;
    let near_gateways = GATEWAYS.iter().flat_map(|id| [format!("{id}2"), id.replace("/ns/istio-", "/ns/xistio-")]);
    let proxies: Vec<String> =
        near_gateways.chain([ORDERS.to_owned(), FRONTEND.to_owned(), PICKET.to_owned()]).collect();
    let hosts = ["orders.shop.svc.cluster.local", "orders.example.com", "ORDERS.example.com:443"];
    for proxy in &proxies {
        for host in hosts {
            // Plaintext at a PERMISSIVE workload: neither end has a principal.
            let plain = by_sidecar(None).host(host);
            let claimed = plain
                .clone()
                .service("shop/orders")
                .header("x-forwarded-host", host)
                .header("x-picket-profile", "gateways");
            let public = by_gateway(host, "orders.example.com");
            let elsewhere = by_gateway(host, "spiffe://cluster.local/ns/web/sa/frontend");
            for call in [plain, claimed, public, elsewhere] {
                let answer = mesh.ask(proxy, &call).await;
                assert_eq!(reasons(&answer), ("error", "unmapped"), "{proxy} {host}");
            }
        }
    }
}

#[test]
fn the_pages_for_istio_name_requirements_and_symptoms() {
    let (page, readme) = (read("docs/istio.md"), read("README.md"));
    for word in [
        "unmapped",
        "peer_rejected",
        "tcp_unsupported",
        "statusOnError",
        "notPorts",
        "Sidecar",
        "picket-system/*",
        "PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS",
        "OUTPUT_CERTS",
        "istio-csr",
        "ORIGINAL_DST",
        "2026-08-27",
        "1.37.2",
        "1.40.0",
        "Not tried",
        "PERMISSIVE",
        "client_profiles",
    ] {
        assert!(page.contains(word), "docs/istio.md says nothing of `{word}`");
    }
    for word in ["DestinationRule", "EnvoyFilter", "statusOnError", "deploy/istio", "docs/istio.md", "2026-08-27"] {
        assert!(readme.contains(word), "README.md says nothing of `{word}`");
    }
    for file in yaml_files(&root().join("deploy/istio")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(page.contains(name), "docs/istio.md does not say what `{name}` is for");
    }
}
