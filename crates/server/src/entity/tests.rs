use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::*;
use picket_core::query::{Additions, record};

/// The workload that the tests ask about.
pub const WEB: &str = "spiffe://cluster.local/ns/web/sa/frontend";

/// A small snapshot: says what it is told, and takes any JSON object without a key `misfit`.
#[derive(Default)]
pub struct World {
    pub groups: BTreeMap<String, Groups>,
    pub workloads: BTreeMap<String, Value>,
    pub services: BTreeMap<String, Value>,
    pub entities: BTreeMap<Uid, Node>,
    pub digest: String,
}

impl Knowledge for World {
    fn workload_groups(&self, spiffe_id: &str) -> Option<&Groups> {
        self.groups.get(spiffe_id)
    }

    fn workload_facts(&self, spiffe_id: &str) -> Option<&Value> {
        self.workloads.get(spiffe_id)
    }

    fn service_facts(&self, service: &str) -> Option<&Value> {
        self.services.get(service)
    }

    fn declared(&self, uid: &Uid) -> Option<&Node> {
        self.entities.get(uid)
    }

    fn schema_digest(&self) -> &str {
        &self.digest
    }

    fn typed(&self, _: FactsType, json: &serde_json::Value) -> Result<Value, String> {
        match json {
            serde_json::Value::Object(fields) if !json.to_string().contains("misfit") => {
                let typed = |(name, value): (&String, &serde_json::Value)| {
                    let value = match value {
                        serde_json::Value::String(text) => text.as_str().into(),
                        other => self.typed(FactsType::Call, other).unwrap_or_else(|_| other.to_string().into()),
                    };
                    (name.into(), value)
                };
                Ok(Value::Record(fields.iter().map(typed).collect()))
            }
            _ => Err("no record".to_owned()),
        }
    }
}

/// A call of the frontend to `POST /v1/orders` of `shop/orders`, with a few facts to ask with.
pub fn query() -> Query {
    let mut principal = Node::new(Uid::new("Workload", WEB));
    principal.set("namespace", "web");
    principal.set("proof", "mtls");
    principal.ancestors.insert(Uid::new("Namespace", "web"));
    let mut resource = Node::new(Uid::new("Path", "shop/orders/v1/orders"));
    resource.tags.insert("id".into(), "42".into());
    resource.ancestors.extend([Uid::new("Service", "shop/orders"), Uid::new("Namespace", "shop")]);
    let bag = |name: &str, tags: &[(&str, Value)]| {
        let mut bag = Node::new(Uid::new("Bag", name));
        bag.tags = tags.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
        bag
    };
    let http = record([("method", Value::from("POST")), ("headers", Value::Entity(Uid::new("Bag", "headers")))]);
    let context = record([
        ("http", Value::Record(http)),
        ("args", Value::Entity(Uid::new("Bag", "args"))),
        ("tools", Value::texts(["a"])),
    ]);
    let args = [
        ("/change", "CHG 7 é+".into()),
        ("/count", Value::Long(3)),
        ("/up", "..".into()),
        ("/empty", "".into()),
        ("/long", "x".repeat(5000).into()),
    ];
    Query {
        principal,
        action: "POST".into(),
        resource,
        context,
        bags: vec![bag("headers", &[("x-change", "CHG-9".into())]), bag("args", &args)],
        namespace: "shop".into(),
    }
}

/// Everything may be read.
pub fn all() -> Reads {
    Reads { principal_facts: true, resource_facts: true, call_facts: picket_core::query::Keys::All, ..Reads::default() }
}

/// A source that gives one attribute of the call, after a while.
struct Slow(&'static str, &'static str, Duration);

impl EntitySource for Slow {
    fn name(&self) -> &str {
        self.0
    }

    fn fetch<'a>(
        &'a self,
        _: &'a Query,
        _: &'a Arc<dyn Knowledge>,
        _: &'a Reads,
        _: Instant,
    ) -> BoxFuture<'a, Result<Facts, Failure>> {
        async move {
            tokio::time::sleep(self.2).await;
            Ok(Facts { call: record([(self.1, "x".into())]), ..Facts::default() })
        }
        .boxed()
    }
}

async fn gather(world: World, sources: Vec<Arc<dyn EntitySource>>) -> Result<Facts, Failure> {
    let known: Arc<dyn Knowledge> = Arc::new(world);
    let deadline = Instant::now() + Duration::from_millis(100);
    Entities::over(sources).gather(&known, &query(), &all(), deadline).await
}

#[tokio::test(start_paused = true)]
async fn sources_are_queried_at_the_same_time() {
    let slow = |name, attribute| Arc::new(Slow(name, attribute, Duration::from_millis(80))) as Arc<dyn EntitySource>;
    let facts = gather(World::default(), vec![slow("one", "a"), slow("two", "b")]).await.unwrap();
    assert_eq!(facts.call.keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_unavailable_at_the_deadline_and_never_no_attributes() {
    let started = Instant::now();
    let hanging = Arc::new(Slow("tickets", "a", Duration::from_secs(3600)));
    let failure = gather(World::default(), vec![hanging]).await.unwrap_err();
    assert_eq!(failure.code, Code::EntitiesUnavailable);
    assert!(failure.detail.contains("tickets"));
    assert!(started.elapsed() <= Duration::from_millis(101));
}

#[tokio::test(start_paused = true)]
async fn the_same_attribute_from_two_sources_is_a_failure_that_names_both() {
    let quick = |name| Arc::new(Slow(name, "a", Duration::ZERO)) as Arc<dyn EntitySource>;
    let failure = gather(World::default(), vec![quick("one"), quick("two")]).await.unwrap_err();
    assert_eq!(failure.code, Code::EntitiesUnavailable);
    assert!(failure.detail.contains("one") && failure.detail.contains("two"), "{}", failure.detail);
}

#[tokio::test(start_paused = true)]
async fn declared_facts_need_no_source() {
    let mut world = World::default();
    world.groups.insert(WEB.to_owned(), Groups::new([Uid::new("Group", "storefront")], |_| None));
    let facts = gather(world, Vec::new()).await.unwrap();
    let ancestors = [Uid::new("Group", "storefront")].into();
    assert_eq!(facts.principal, Additions { ancestors, ..Additions::default() });
}

#[test]
fn lookups_with_the_same_target_or_name_are_problems() {
    let settings = |yaml: &str| serde_saphyr::from_str::<Settings>(yaml).unwrap().problems().len();
    let lookup =
        |name: &str, target: &str| format!("{{name: {name}, target: {target}, url: 'http://h/', whole: true}}");
    let rows = [
        (("a", "principal"), ("b", "resource"), 0),
        (("a", "principal"), ("a", "resource"), 1),
        (("a", "principal"), ("b", "principal"), 1),
        (("a", "{call: {attribute: x}}"), ("b", "{call: {attribute: y}}"), 0),
        (("a", "{call: {attribute: x}}"), ("b", "{call: {attribute: x}}"), 1),
    ];
    for (one, two, expected) in rows {
        let yaml = format!("lookups: [{}, {}]", lookup(one.0, one.1), lookup(two.0, two.1));
        assert_eq!(settings(&yaml), expected, "{yaml}");
    }
}

#[test]
fn inputs_of_lookups_are_needed_only_if_a_policy_reads_their_target() {
    let yaml = "lookups: [{name: tickets, target: {call: {attribute: change}}, whole: true, \
                url: 'http://h/${context.http.headers[X-Change]}/${context.args[/change]}'}]";
    let settings: Settings = serde_saphyr::from_str(yaml).unwrap();
    let entities = Entities::new(&settings, "config.yaml", &TaskTracker::new()).unwrap();
    assert_eq!(*entities.needs(&Reads::default()), Reads::default());
    let all = all();
    let needed = entities.needs(&all);
    assert!(needed.headers.contains("x-change") && needed.headers_compared.contains("x-change"));
    assert!(needed.body);
}
