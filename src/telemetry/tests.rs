//! The builder that telemetry's tests use.

use std::collections::BTreeMap;

use super::*;
use crate::call::{Body, CanonicalPath, Headers, Host, Peer, Target};
use crate::catalog::Protocol;
use crate::decision::verdict::{Denial, Effect, Reason, Verdict, WouldBe};
use crate::failure::{Code, Failure};
use crate::identity::Identity;
use crate::obligation::Mutations;
use crate::query::{Node, Query, Uid};

/// One call with its judgement; boring and denied until told otherwise.
pub(in crate::telemetry) struct Scene {
    pub judgement: Judgement,
    pub call: Call,
    pub request_id: Option<String>,
    pub trace_parent: Option<String>,
    pub elapsed: Duration,
}

impl Scene {
    pub fn denied() -> Self {
        let resource = Node::new(Uid::new("Path", "shop/orders/v1"));
        let query = Query {
            principal: Node::new(Uid::new("Workload", "spiffe://cluster.local/ns/web/sa/frontend")),
            action: "GET".to_owned(),
            resource,
            context: BTreeMap::new(),
            bags: Vec::new(),
            namespace: "shop".to_owned(),
        };
        Self {
            judgement: Judgement {
                decision_id: uuid::Uuid::from_u128(7),
                result: Ok(verdict(denial(Reason::NoPermit))),
                identity: Some(Identity::default()),
                service: Some("shop/orders".to_owned()),
                protocol: Some(Protocol::Http),
                query: Some(query),
                snapshot: None,
            },
            call: call("/v1?password=1", "orders.shop"),
            request_id: None,
            trace_parent: None,
            elapsed: Duration::from_micros(80),
        }
    }

    pub fn allowed(mutations: Mutations) -> Self {
        let mut scene = Self::denied();
        scene.judgement.result =
            Ok(Verdict { determining: vec!["shop/read".to_owned()], ..verdict(Effect::Allow(mutations)) });
        scene
    }

    pub fn failed(code: Code) -> Self {
        let mut scene = Self::denied();
        scene.judgement.result = Err(Failure::new(code, "why"));
        scene.judgement.query = None;
        scene
    }

    pub fn verdict(&mut self) -> &mut Verdict {
        self.judgement.result.as_mut().expect("the scene has a verdict")
    }

    pub fn query(&mut self) -> &mut Query {
        self.judgement.query.as_mut().expect("the scene has a query")
    }

    pub fn seen(&self) -> Observed<'_> {
        Observed {
            judgement: &self.judgement,
            call: Some(&self.call),
            listener: "mesh",
            status: 403,
            trace_parent: self.trace_parent.as_deref(),
            request_id: self.request_id.as_deref(),
            received_at: UnixMillis(1_700_000_000_123),
            elapsed: self.elapsed,
        }
    }
}

pub(in crate::telemetry) fn denial(reason: Reason) -> Effect {
    Effect::Deny(Denial { reason, status: None, public_reason: None, detail: String::new() })
}

pub(in crate::telemetry) fn would_be(decision: crate::decision::verdict::Decision, reason: Reason) -> WouldBe {
    WouldBe { decision, reason, determining: vec!["shop/new".to_owned()] }
}

fn verdict(effect: Effect) -> Verdict {
    Verdict { effect, determining: Vec::new(), errors: Vec::new(), would_be: None }
}

fn call(path_sent: &str, host: &str) -> Call {
    let path = CanonicalPath::parse(path_sent.split('?').next().unwrap()).unwrap();
    Call {
        peer: Peer::default(),
        method: "GET".to_owned(),
        scheme: "https".to_owned(),
        host: Host::parse(host).unwrap(),
        target: Target::Path { path, query: None },
        path_sent: path_sent.to_owned(),
        upgrade: None,
        headers: Headers::raw(Vec::new()),
        body: Body::NotSent,
        extensions: BTreeMap::new(),
        verified_tokens: BTreeMap::new(),
        received_at: UnixMillis(0),
    }
}
