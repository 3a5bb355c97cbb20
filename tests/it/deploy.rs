//! The files under `deploy/` stay true: YAML parses, Envoy takes what is for Envoy, Picket what is for Picket.

mod istio;
mod responses;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use picket_demo::certs::Authority;
use picket_demo::config::{Mesh, yaml};
use picket_demo::folder::Folder;
use serde_json::Value;

use crate::envoy::bench::binary;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.chain(folders.iter().flat_map(|folder| yaml_files(folder))).collect()
}

fn documents(text: &str) -> Vec<Value> {
    let parts =
        text.split("\n---\n").map(|part| serde_saphyr::from_str(part).unwrap_or_else(|e| panic!("{e}\n{part}")));
    parts.collect()
}

/// The objects of a file, as `kind/name`, in order.
fn named(file: &str) -> Vec<(String, Value)> {
    let name = |object: &Value| format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]));
    documents(&read(file)).into_iter().map(|object| (name(&object), object)).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn object(file: &str, name: &str) -> Value {
    named(file).into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no `{name}` in {file}")).1
}

/// Runs Envoy's validation of a configuration, with certificates at hand.
fn envoy_takes(config: &str) -> Result<(), String> {
    let folder = Folder::new().unwrap();
    let authority = Authority::new("cluster.local").unwrap();
    folder.write("certs/ca.crt", authority.certificate()).unwrap();
    for name in ["server", "gateway"] {
        let leaf = authority.issue(&["spiffe://cluster.local/ns/edge/sa/gateway"], &[]).unwrap();
        folder.write(&format!("certs/{name}.crt"), &leaf.certificate).unwrap();
        folder.write(&format!("certs/{name}.key"), &leaf.key).unwrap();
    }
    folder.write("envoy.yaml", config).unwrap();
    let checked = Command::new(binary())
        .args(["--mode", "validate", "--config-path", "envoy.yaml", "--log-level", "warning"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    if checked.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&checked.stderr).into_owned()) }
}

#[test]
fn every_yaml_file_parses() {
    let files = yaml_files(&root().join("deploy"));
    assert!(files.len() > 6, "{files:?}");
    for file in files {
        assert!(documents(&fs::read_to_string(&file).unwrap()).iter().all(Value::is_object), "{}", file.display());
    }
}

#[test]
fn envoy_loads_the_shipped_configuration_and_that_of_the_demo() {
    envoy_takes(&read("deploy/envoy.yaml")).unwrap();
    let services = [("orders.shop.svc.cluster.local", "shop/orders")];
    for has_processor in [false, true] {
        let mesh = Mesh {
            trust_domain: "cluster.local",
            picket_port: 1,
            upstream_port: 2,
            services: &services,
            has_processor,
        };
        envoy_takes(&yaml(&mesh)).unwrap();
    }
    assert!(envoy_takes("static_resources: {listeners: [{name: broken}]}").is_err());
}

/// The settings without which a safe Picket is not safe behind Envoy.
#[test]
fn p1_p14_p15_p24_p30_p31_the_shipped_envoy_is_closed_where_envoy_comes_open() {
    let config: Value = serde_saphyr::from_str(&read("deploy/envoy.yaml")).unwrap();
    let chain = &config["static_resources"]["listeners"][0]["filter_chains"][0];
    let manager = &chain["filters"][0]["typed_config"];
    let authz = &manager["http_filters"][0]["typed_config"];
    let tls = &chain["transport_socket"]["typed_config"];
    let mutation = &manager["early_header_mutation_extensions"][0]["typed_config"]["mutations"][0];
    let expected: [(&Value, Value); 11] = [
        (&manager["normalize_path"], true.into()),
        (&manager["merge_slashes"], true.into()),
        (&manager["path_with_escaped_slashes_action"], "REJECT_REQUEST".into()),
        (&manager["forward_client_cert_details"], "SANITIZE_SET".into()),
        (&authz["failure_mode_allow"], false.into()),
        (&authz["encode_raw_headers"], true.into()),
        (&authz["include_peer_certificate"], true.into()),
        (&authz["validate_mutations"], true.into()),
        (&tls["require_client_certificate"], true.into()),
        (&mutation["remove_on_match"]["key_matcher"]["prefix"], "x-picket-".into()),
        (
            &tls["common_tls_context"]["validation_context"]["custom_validator_config"]["name"],
            "envoy.tls.cert_validator.spiffe".into(),
        ),
    ];
    for (number, (found, wanted)) in expected.iter().enumerate() {
        assert_eq!(**found, *wanted, "setting {number}");
    }
}

/// Writes the tree that the Deployment makes of the ConfigMaps.
fn write_tree(folder: &Folder) {
    let pod = object("deploy/kubernetes/picket.yaml", "Deployment/picket")["spec"]["template"]["spec"].clone();
    let volume = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "policies").unwrap();
    for source in volume["projected"]["sources"].as_array().unwrap() {
        let map = &source["configMap"];
        let data = object("deploy/kubernetes/policies.yaml", &format!("ConfigMap/{}", text(&map["name"])));
        for item in map["items"].as_array().unwrap() {
            folder.write(text(&item["path"]), text(&data["data"][text(&item["key"])])).unwrap();
        }
    }
}

#[test]
fn the_config_maps_become_one_tree_that_loads() {
    let folder = Folder::new().unwrap();
    write_tree(&folder);
    let mut files = Vec::new();
    for part in ["catalog.yaml", "mesh/guardrails.cedar", "namespaces/shop/orders.cedar"] {
        files.push((part, fs::read_to_string(folder.path().join(part)).unwrap()));
    }
    let mut tree = crate::support::tree(&[]);
    tree.files = files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect();
    tree.folders = ["mesh", "namespaces/shop"].map(str::to_owned).into();
    let loaded = picket::decision::Snapshot::load(&tree, None);
    assert!(loaded.refused.is_empty() && loaded.snapshot.is_some(), "{}", crate::support::problems(&loaded));
}

#[test]
fn picket_takes_the_configuration_of_the_cluster() {
    let map = object("deploy/kubernetes/policies.yaml", "ConfigMap/picket-config");
    let file = ("picket.yaml".to_owned(), text(&map["data"]["picket.yaml"]).to_owned());
    let sources = picket::config::Sources { file: Some(file), ..Default::default() };
    let effective = picket::config::load(&sources).unwrap_or_else(|problems| panic!("{problems:?}"));
    let pod = object("deploy/kubernetes/picket.yaml", "Deployment/picket")["spec"]["template"]["spec"].clone();
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(effective.config.shutdown.drain_timeout.as_secs() < grace, "the pod would be killed while it drains");
}

#[test]
fn the_pod_has_no_privileges() {
    let pod = object("deploy/kubernetes/picket.yaml", "Deployment/picket")["spec"]["template"]["spec"].clone();
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["capabilities"]["drop"], serde_json::json!(["ALL"]));
}
