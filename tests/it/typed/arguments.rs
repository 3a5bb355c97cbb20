//! The reader of typed arguments against Cedar's own reader of typed JSON.

use cedar_policy::{Context, EntityUid, Schema};
use picket::body::json::{self, Limits};
use picket::body::mcp::input;
use picket::catalog::Catalog;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::CATALOG;

/// The types of `t`, written by hand: an oracle that the generated schema could not mislead.
const TYPES: &str = "entity E;
action a appliesTo { principal: [E], resource: [E], context: {
  amount: Long, tags: Set<String>, note?: String, dry?: Bool, item?: { id: String } } };";
const TYPED: [&str; 5] = ["amount", "tags", "note", "dry", "item"];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!("a")),
        Just(json!(true)),
        Just(json!(7)),
        Just(json!(i64::MIN)),
        Just(json!(u64::MAX)),
        Just(json!(1.5)),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"id": "a"})),
        Just(json!({"id": 1})),
        Just(json!({"id": "a", "more": 1})),
        Just(json!(["a", "b"])),
        Just(json!(["a", 1])),
        Just(json!([["a"]])),
    ];
    leaf.boxed()
}

/// Arguments most members of which fit, so that every one is decisive now and then.
fn arguments() -> impl Strategy<Value = Map<String, Value>> {
    let good = json!({"amount": 1, "tags": ["a"], "note": "n", "dry": false, "item": {"id": "a"}});
    let names = prop::sample::subsequence(vec!["amount", "tags", "note", "dry", "item", "rate", "more"], 0..=2);
    let left_out = prop::sample::subsequence(TYPED.to_vec(), 0..=2);
    (names, prop::collection::vec(value(), 2), left_out).prop_map(move |(names, values, left_out)| {
        let mut all = good.as_object().unwrap().clone();
        left_out.iter().for_each(|name| drop(all.remove(*name)));
        all.extend(names.into_iter().map(str::to_owned).zip(values));
        all
    })
}

fn oracle(arguments: &Map<String, Value>) -> bool {
    let (schema, _) = Schema::from_cedarschema_str(TYPES).unwrap();
    let action: EntityUid = r#"Action::"a""#.parse().unwrap();
    let typed = arguments.iter().filter(|(name, _)| TYPED.contains(&name.as_str()));
    let typed: Map<String, Value> = typed.map(|(name, value)| (name.clone(), value.clone())).collect();
    let context = Context::from_json_value(typed.into(), Some((&schema, &action)));
    // The first reads by the types, and takes what has none of them as it is; the second says that it fits.
    context.is_ok_and(|context| context.validate(&schema, &action).is_ok())
}

proptest! {
    #[test]
    fn what_is_read_is_what_cedar_reads_as_these_types(arguments in arguments()) {
        let catalog = Catalog::parse("catalog.yaml", CATALOG).unwrap();
        let tool = catalog.service("agents/tools").unwrap().tools["t"].input.clone().unwrap();
        let text = Value::Object(arguments.clone()).to_string();
        let document = json::parse(text.as_bytes(), Limits::default()).unwrap();
        let read = input::read(document.node(), &tool.record);
        prop_assert_eq!(read.is_ok(), oracle(&arguments), "{}: {:?}", text, read);
    }
}

#[test]
fn the_smallest_arguments_of_a_schema_fit_it() {
    let catalog = Catalog::parse("catalog.yaml", CATALOG).unwrap();
    let tool = catalog.service("agents/tools").unwrap().tools["t"].input.clone().unwrap();
    let sample = Value::Object(tool.sample());
    assert_eq!(sample, json!({"amount": 0, "tags": []}));
    let document = json::parse(sample.to_string().as_bytes(), Limits::default()).unwrap();
    assert!(input::read(document.node(), &tool.record).is_ok());
}
