//! Policy sets of any size and the queries for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use picket::call::{Body, Call, CanonicalPath, Headers, Host, Peer, Target, UnixMillis};
use picket::decision::Snapshot;
use picket::decision::snapshot::Tree;
use picket::identity::{Identity, Proof, SpiffeId, Workload};
use picket::mapping::{self, Place, action};
use picket::query::{Memberships, Query, Uid};

/// The part in which a set's policies differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Principal and path in the scope.
    Scope,
    /// The principal's group in the scope.
    Groups,
    /// The path's prefix, six segments deep, in the scope.
    Prefixes,
    /// Principal and path tested at the head of the condition.
    Head,
    /// The same two tests behind one that can fail, so that every policy is a candidate.
    When,
    /// As [`Shape::Scope`], called with a path of 32 segments.
    Deep,
    /// As [`Shape::Scope`], with a forbid for each of ten groups; callers are in one group.
    OneGroup,
    /// The same, and callers are in 1,000 groups, none of them named.
    ManyGroups,
}

impl Shape {
    /// As it is called in the rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::Groups => "groups",
            Self::Prefixes => "prefixes",
            Self::Head => "head",
            Self::When => "when",
            Self::Deep => "deep",
            Self::OneGroup => "one-group",
            Self::ManyGroups => "many-groups",
        }
    }
}

/// A loaded set.
pub struct Set {
    pub shape: Shape,
    pub policies: usize,
    pub namespaces: usize,
    pub snapshot: Arc<Snapshot>,
    /// Each caller's groups, if policies name none of them: made once, as the catalogue's are.
    groups: Vec<Arc<Memberships>>,
}

fn caller(number: usize) -> String {
    format!("spiffe://cluster.local/ns/web/sa/caller{number}")
}

/// The number as six segments, so that prefixes branch by ten.
fn segments(number: usize) -> String {
    let digits: Vec<String> = format!("{number:06}").chars().map(|digit| format!("d{digit}")).collect();
    digits.join("/")
}

impl Set {
    /// Makes and loads a set.
    pub fn load(shape: Shape, policies: usize, namespaces: usize) -> Self {
        let loaded = Snapshot::load(&tree(shape, policies, namespaces), None);
        assert!(loaded.refused.is_empty(), "{:?}", loaded.problems.first());
        let mut set = Self { shape, policies, namespaces, snapshot: loaded.snapshot.unwrap(), groups: Vec::new() };
        set.groups = (0..set.callers()).map(|_| Arc::new(unnamed(shape))).collect();
        set
    }

    /// Number of callers, all of the first namespace. Large sets have ten, independent of the size, so that sets differ
    /// by their policies and not by how many queries take turns.
    pub fn callers(&self) -> usize {
        self.policies.div_ceil(self.namespaces).min(10)
    }

    /// The query of caller `number`; `tenant` is a header that a condition reads.
    pub fn query(&self, number: usize, tenant: &str) -> Query {
        let path = match self.shape {
            Shape::Scope | Shape::Groups | Shape::Head | Shape::When | Shape::OneGroup | Shape::ManyGroups => {
                format!("/v1/items{number}/42")
            }
            Shape::Prefixes => format!("/{}/42", segments(number)),
            Shape::Deep => format!("/v1/items{number}/{}", vec!["s"; 30].join("/")),
        };
        let mut query = asked(&self.snapshot, &path, &caller(number), tenant);
        if self.shape == Shape::Groups {
            query.principal.ancestors.insert(Uid::new("Group", format!("g{number}")));
        }
        query.principal.ancestors.share(&self.groups[number]);
        query
    }
}

/// A caller's groups that no policy names.
fn unnamed(shape: Shape) -> Memberships {
    let count = match shape {
        Shape::OneGroup => 1,
        Shape::ManyGroups => 1000,
        Shape::Scope | Shape::Groups | Shape::Prefixes | Shape::Head | Shape::When | Shape::Deep => 0,
    };
    (0..count).map(|group| Uid::new("Group", format!("unnamed{group}"))).collect()
}

fn policy(shape: Shape, ns: usize, n: usize) -> String {
    let who = format!("principal == Workload::\"{}\"", caller(n));
    let what = format!("resource in Path::\"ns{ns}/api/v1/items{n}\"");
    let (who, what, test) = match shape {
        Shape::Scope | Shape::Deep | Shape::OneGroup | Shape::ManyGroups => (who, what, String::new()),
        Shape::Groups => (format!("principal in Group::\"g{n}\""), "resource is Path".to_owned(), String::new()),
        Shape::Prefixes => {
            let prefix = format!("resource in Path::\"ns{ns}/api/{}\"", segments(n));
            ("principal is Workload".to_owned(), prefix, String::new())
        }
        Shape::Head => {
            ("principal is Workload".to_owned(), "resource is Path".to_owned(), format!("{who} && {what} && "))
        }
        Shape::When => {
            let test = format!("context.http.path == \"/v1/items{n}/42\" && {who} && ");
            ("principal is Workload".to_owned(), "resource is Path".to_owned(), test)
        }
    };
    format!(
        "@id(\"p{n}\") permit ({who}, action in Action::\"read\", {what})\n\
         when {{ {test}context.http.headers.hasTag(\"x-tenant\") }};\n"
    )
}

/// The files of a set: one file of policies for each namespace, and a forbid of the mesh.
fn tree(shape: Shape, policies: usize, namespaces: usize) -> Tree {
    let mut files: BTreeMap<String, Arc<str>> = BTreeMap::new();
    // An open catalogue: callers' groups need not all be listed.
    let mut catalog = String::from("catalog: {open: true}\nservices:\n");
    let each = policies.div_ceil(namespaces);
    for ns in 0..namespaces {
        catalog.push_str(&format!("  - {{id: ns{ns}/api, hosts: [api.ns{ns}]}}\n"));
        let count = each.min(policies - (ns * each).min(policies));
        let text: String = (0..count).map(|n| policy(shape, ns, n)).collect();
        files.insert(format!("namespaces/ns{ns}/a.cedar"), text.into());
    }
    let mut guard = "@id(\"no-debug\") forbid (principal, action in Action::\"any\", resource is Path) \
                     when { context.http.headers.hasTag(\"x-debug\") };\n"
        .to_owned();
    if matches!(shape, Shape::OneGroup | Shape::ManyGroups) {
        guard.extend((0..10).map(|n| {
            format!("@id(\"no-g{n}\") forbid (principal in Group::\"g{n}\", action in Action::\"any\", resource);\n")
        }));
    }
    files.insert("mesh/guard.cedar".to_owned(), guard.into());
    files.insert("catalog.yaml".to_owned(), catalog.into());
    let folders: BTreeSet<String> =
        files.keys().filter_map(|path| path.rsplit_once('/')).map(|(folder, _)| folder.to_owned()).collect();
    Tree { files, folders }
}

fn asked(snapshot: &Snapshot, path: &str, caller: &str, tenant: &str) -> Query {
    let headers = [("x-tenant", tenant), ("user-agent", "bench/1.0"), ("accept", "application/json")];
    let call = Call {
        peer: Peer::default(),
        method: "GET".into(),
        scheme: "https".into(),
        host: Host::parse("api.ns0").unwrap(),
        target: Target::Path { path: CanonicalPath::parse(path).unwrap(), query: None },
        path_sent: path.to_owned(),
        upgrade: None,
        headers: Headers::raw(headers),
        body: Body::NotSent,
        extensions: [("service".to_owned(), "ns0/api".to_owned())].into(),
        verified_tokens: BTreeMap::new(),
        received_at: UnixMillis(1_795_392_000_000),
    };
    let (settings, place) =
        (mapping::Settings::default(), Place { listener: "bench", home: "cluster.local", catalog: snapshot.catalog() });
    let identity = Identity {
        workload: Some(Workload { id: SpiffeId::parse(caller).unwrap(), proof: Proof::Mtls }),
        ..Identity::default()
    };
    let service = mapping::service(&call, &settings, snapshot.catalog(), place.home).unwrap();
    let asked = action::spoken(&call, &service, &settings).unwrap().without_body(&call).unwrap();
    let reads = snapshot.reads(&service.id, action::family(&call, &service));
    mapping::query(&call, &identity, &service, &asked, reads, place).unwrap()
}
