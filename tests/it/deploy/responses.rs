//! The files for responses: Envoy takes them, and no setting lets a response pass unread.

use serde_json::{Value, json};

use super::{envoy_takes, object, read, root, text, yaml_files};

const FILTER: &str = "envoy.filters.http.ext_proc";

fn filters(config: &Value) -> Vec<Value> {
    let manager = &config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    manager["http_filters"].as_array().unwrap().clone()
}

fn named<'a>(filters: &'a [Value], name: &str) -> &'a Value {
    &filters.iter().find(|filter| filter["name"] == name).unwrap()["typed_config"]
}

/// The settings of the filter without which a safe Picket is not safe.
fn holds(filter: &Value, file: &str) {
    let mode = &filter["processing_mode"];
    for (found, wanted) in [
        (&filter["failure_mode_allow"], json!(false)),
        (&mode["response_header_mode"], json!("SEND")),
        (&mode["response_body_mode"], json!("FULL_DUPLEX_STREAMED")),
        (&mode["response_trailer_mode"], json!("SEND")),
        (&filter["metadata_options"]["forwarding_namespaces"]["untyped"], json!(["envoy.filters.http.ext_authz"])),
        (&filter["response_attributes"], json!(["response.code_details"])),
        (&filter["grpc_service"]["timeout"], json!("0s")),
    ] {
        assert_eq!(*found, wanted, "{file}");
    }
    for open in ["observability_mode", "allow_mode_override", "disable_immediate_response"] {
        assert_eq!(filter.get(open), None, "{file}");
    }
}

#[test]
fn envoy_loads_the_configurations_for_responses_and_picket_reads_what_leaves() {
    for (file, order) in [
        ("deploy/responses/envoy.yaml", &["envoy.filters.http.ext_authz", FILTER, "envoy.filters.http.router"][..]),
        (
            "deploy/responses/envoy-two-processors.yaml",
            &["envoy.filters.http.ext_authz", FILTER, "envoy.filters.http.ext_proc.other", "envoy.filters.http.router"],
        ),
    ] {
        envoy_takes(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let config: Value = serde_saphyr::from_str(&read(file)).unwrap();
        let filters = filters(&config);
        assert_eq!(filters.iter().map(|filter| text(&filter["name"])).collect::<Vec<_>>(), order, "{file}");
        holds(named(&filters, FILTER), file);
    }
}

#[test]
fn the_check_of_the_configuration_for_responses_is_the_shipped_one() {
    let all = ["deploy/envoy.yaml", "deploy/responses/envoy.yaml", "deploy/responses/envoy-two-processors.yaml"];
    let all = all.map(|file| {
        let mut config: Value = serde_saphyr::from_str(&read(file)).unwrap();
        let resources = &mut config["static_resources"];
        resources["clusters"].as_array_mut().unwrap().retain(|cluster| cluster["name"] != "other");
        let manager = &mut resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        let filters = manager["http_filters"].as_array_mut().unwrap();
        filters.retain(|filter| !text(&filter["name"]).starts_with(FILTER));
        let route = &mut manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"];
        route.as_object_mut().unwrap().remove("timeout");
        config
    });
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
}

#[test]
fn envoy_takes_the_filter_that_istio_inserts() {
    let patch = object("deploy/responses/istio.yaml", "EnvoyFilter/picket-responses");
    let patch = &patch["spec"]["configPatches"][0]["patch"];
    assert_eq!(patch["operation"], "INSERT_BEFORE");
    let mut filter = patch["value"].clone();
    holds(&filter["typed_config"], "deploy/responses/istio.yaml");
    filter["typed_config"]["grpc_service"]["envoy_grpc"]["cluster_name"] = json!("picket");
    let mut config: Value = serde_saphyr::from_str(&read("deploy/envoy.yaml")).unwrap();
    let manager = &mut config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    manager["http_filters"].as_array_mut().unwrap().insert(1, filter);
    envoy_takes(&config.to_string()).unwrap();
    config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][1]["typed_config"]
        ["failure_mode_alow"] = json!(false);
    assert!(envoy_takes(&config.to_string()).is_err(), "a misspelt field would pass unseen");
}

#[test]
fn the_page_names_every_file_for_responses() {
    let page = read("docs/ext-proc.md");
    for file in yaml_files(&root().join("deploy/responses")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(page.contains(name), "docs/ext-proc.md does not say what `{name}` is for");
    }
}
