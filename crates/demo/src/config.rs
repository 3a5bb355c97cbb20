//! The demo's Envoy configuration: the file `envoy.yaml` in this folder, filled in.

const TEMPLATE: &str = include_str!("envoy.yaml");
const PROCESSOR: &str = include_str!("envoy-processor.yaml");

/// The values that differ from one start to the next.
#[derive(Debug, Clone, Copy)]
pub struct Mesh<'a> {
    /// Trust domain of the callers' certificates.
    pub trust_domain: &'a str,
    /// Loopback port of Picket's gRPC listener.
    pub picket_port: u16,
    /// Loopback port of the upstream.
    pub upstream_port: u16,
    /// Host and service id (`<namespace>/<name>`) of each service.
    pub services: &'a [(&'a str, &'a str)],
    /// Whether Envoy sends responses to Picket.
    pub has_processor: bool,
}

/// Envoy's configuration as YAML. It expects `certs/ca.crt`, `certs/gateway.crt` and `certs/gateway.key` in its folder.
#[must_use]
pub fn yaml(mesh: &Mesh<'_>) -> String {
    let hosts: String = mesh.services.iter().map(|(host, service)| virtual_host(host, service)).collect();
    TEMPLATE
        .replace("{{trust_domain}}", mesh.trust_domain)
        .replace("{{picket_port}}", &mesh.picket_port.to_string())
        .replace("{{processor}}\n", if mesh.has_processor { PROCESSOR } else { "" })
        .replace("{{upstream_port}}", &mesh.upstream_port.to_string())
        .replace("{{virtual_hosts}}", hosts.trim_end())
}

fn virtual_host(host: &str, service: &str) -> String {
    let lines = [
        format!("- name: {service}"),
        format!("  domains: [{host}]"),
        "  typed_per_filter_config:".to_owned(),
        "    envoy.filters.http.ext_authz:".to_owned(),
        "      \"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute".to_owned(),
        format!("      check_settings: {{ context_extensions: {{ service: {service} }} }}"),
        "  routes:".to_owned(),
        "  - { match: { prefix: / }, route: { cluster: upstream } }".to_owned(),
    ];
    lines.iter().map(|line| format!("            {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Mesh, yaml};

    #[test]
    fn every_placeholder_is_filled_in() {
        let services =
            [("orders.shop.svc.cluster.local", "shop/orders"), ("billing.pay.svc.cluster.local", "pay/billing")];
        let filters = |has_processor| {
            let mesh = Mesh {
                trust_domain: "cluster.local",
                picket_port: 1,
                upstream_port: 2,
                services: &services,
                has_processor,
            };
            let text = yaml(&mesh);
            assert!(!text.contains("{{") && !text.contains("}}}}"), "{text}");
            let parsed: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
            let chain = &parsed["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
            (chain["http_filters"].as_array().unwrap().len(), parsed)
        };
        assert_eq!(filters(true).0, 3);
        let (without, parsed) = filters(false);
        assert_eq!(without, 2);
        let hosts = &parsed["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]
            ["virtual_hosts"];
        assert_eq!(hosts.as_array().unwrap().len(), 2, "{hosts}");
        assert_eq!(hosts[1]["domains"][0], "billing.pay.svc.cluster.local");
    }
}
