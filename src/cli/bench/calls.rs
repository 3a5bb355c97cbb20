//! Generates calls from a catalogue: every caller with every service.
//!
//! Knows: the catalogue, the form of calls. Must not know: policies.

use crate::cli::offline::form::{Caller, Given, GivenFacts, Grpc, Request, RequestSpec};
use picket_core::catalog::routes::Segment;
use picket_core::catalog::{Catalog, Protocol, Service};

/// A workload that no catalogue has.
const UNKNOWN: &str = "spiffe://cluster.local/ns/picket-bench/sa/unknown";

/// Every workload and an unknown one, times everything that can be called; at most `max`, spread evenly. The
/// second is how many there are.
pub(super) fn generated(catalog: &Catalog, max: usize) -> (Vec<Given>, usize) {
    let callers: Vec<&str> = catalog.workloads().map(|workload| workload.id.as_str()).chain([UNKNOWN]).collect();
    let sent: Vec<RequestSpec> = catalog.services().flat_map(of_service).collect();
    let total = callers.len() * sent.len();
    let step = if total > max { spread(total) } else { 1 };
    let pairs = (0..total.min(max)).filter_map(|number| {
        let at = number * step % total;
        callers.get(at / sent.len()).zip(sent.get(at % sent.len()))
    });
    let given = pairs.map(|(caller, sent)| Given {
        caller: Some(Caller { spiffe: Some((*caller).to_owned()), ..Caller::default() }),
        trust_domain: None,
        sent: sent.clone(),
        facts: GivenFacts::default(),
        approval: None,
    });
    (given.collect(), total)
}

/// A step through `0..total` that meets each number once and no pattern in it: about the golden ratio, with no
/// common divisor.
fn spread(total: usize) -> usize {
    let divisor = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    (total / 1000 * 618..total).find(|step| *step > 0 && divisor(*step, total) == 1).unwrap_or(1)
}

fn of_service(service: &Service) -> Vec<RequestSpec> {
    let paths = service.http_paths.iter().map(|path| http(service, "GET", path.as_str(), None));
    let mut sent: Vec<RequestSpec> = paths.collect();
    match service.protocol {
        Protocol::Http => {
            for method in ["GET", "POST"] {
                sent.extend(service.routes.iter().map(|route| http(service, method, &path(&route.segments), None)));
                sent.extend(service.hosts.iter().map(|host| http(service, method, "/", Some(host))));
                if service.hosts.is_empty() {
                    sent.push(http(service, method, "/", None));
                }
            }
        }
        Protocol::Grpc => {
            sent.extend(service.methods.keys().map(|method| grpc(service, method)));
            sent.push(grpc(service, "picket.bench.v1.Unknown"));
        }
        // Not judged by this build beyond their plain paths.
        Protocol::Mcp | Protocol::A2a | Protocol::Openai | Protocol::Anthropic => {}
    }
    sent
}

fn http(service: &Service, method: &str, path: &str, host: Option<&String>) -> RequestSpec {
    RequestSpec::Http(Request {
        method: Some(method.to_owned()),
        host: host.cloned(),
        path: Some(path.to_owned()),
        service: Some(service.id.clone()),
        ..Request::default()
    })
}

fn grpc(service: &Service, method: &str) -> RequestSpec {
    // The catalogue may name a whole service; a call names one of its methods.
    let method = if method.contains('/') { method.to_owned() } else { format!("{method}/Call") };
    RequestSpec::Grpc(Grpc { service: Some(service.id.clone()), method, ..Grpc::default() })
}

/// A path that a route's pattern matches.
fn path(segments: &[Segment]) -> String {
    if segments.is_empty() {
        return "/".to_owned();
    }
    let text = |segment: &Segment| match segment {
        Segment::Literal(text) => format!("/{text}"),
        Segment::One(_) => "/42".to_owned(),
        Segment::Rest(_) => "/a/b".to_owned(),
    };
    segments.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_caller_meets_every_route_host_and_method() {
        let text = "services:\n\
                    - {id: a/http, hosts: [x.a, y.a], routes: [{name: r, match: '/v/{id}/{rest...}'}]}\n\
                    - {id: a/grpc, protocol: grpc, http_paths: [/healthz], methods: {p.S/M: {scopes: {}}, p.T: {scopes: {}}}}\n\
                    workloads: [{id: 'spiffe://cluster.local/ns/a/sa/b'}]\n";
        let catalog = Catalog::parse("catalog.yaml", text).unwrap();
        let (given, possible) = generated(&catalog, 1000);
        // Two callers; a route and two hosts by two methods; a plain path, two methods and an unknown one.
        assert_eq!((given.len(), possible), (2 * (2 * 3 + 4), 20));
        let paths: Vec<&str> = given
            .iter()
            .filter_map(|given| match &given.sent {
                RequestSpec::Http(request) => request.path.as_deref(),
                RequestSpec::Grpc(grpc) => Some(grpc.method.as_str()),
                RequestSpec::Mcp(_) | RequestSpec::Check(_) => None,
            })
            .collect();
        for path in ["/v/42/a/b", "/", "/healthz", "p.S/M", "p.T/Call"] {
            assert!(paths.contains(&path), "{path} is not in {paths:?}");
        }
    }

    #[test]
    fn a_sample_of_a_large_catalogue_meets_every_caller_and_every_service() {
        let services: String = (0..64).map(|n| format!("- {{id: a/s{n}}}\n")).collect();
        let workloads: String = (0..63).map(|n| format!("- {{id: 'spiffe://cluster.local/ns/a/sa/w{n}'}}\n")).collect();
        let catalog = Catalog::parse("catalog.yaml", &format!("services:\n{services}workloads:\n{workloads}")).unwrap();
        let (given, possible) = generated(&catalog, 1024);
        assert_eq!((given.len(), possible), (1024, 64 * 128));
        let callers: std::collections::BTreeSet<_> =
            given.iter().filter_map(|given| given.caller.as_ref()?.spiffe.clone()).collect();
        let services: std::collections::BTreeSet<_> = given.iter().filter_map(|given| given.sent.service()).collect();
        assert_eq!((callers.len(), services.len()), (64, 64));
    }
}
