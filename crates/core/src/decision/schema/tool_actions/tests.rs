use expect_test::expect;

use super::*;
use crate::decision::schema::BUILT_IN;

const CATALOG: &str = r#"
services:
  - id: agents/money
    protocol: mcp
    tools:
      refund:
        input_schema:
          type: object
          required: [amount, "a b"]
          properties:
            amount: {type: integer}
            "a b": {type: boolean}
            tags: {type: array, items: {type: string}}
            item: {type: object, required: [id], properties: {id: {type: string}, rate: {type: number}}}
      plain: {effect: read}
"#;

fn built_in() -> SchemaFragment {
    SchemaFragment::from_cedarschema_str(BUILT_IN).unwrap().0
}

#[test]
fn a_tool_with_a_schema_adds_its_own_action() {
    let catalog = Catalog::parse("catalog.yaml", CATALOG).unwrap();
    let fragment = &fragments(&catalog, &built_in()).unwrap()["agents"];
    expect![[r#"
        action "mcp.tools.call/agents/money/refund" in [Action::"mcp.tools.call"] appliesTo {
          principal: [Workload, Unauthenticated],
          resource: [Tool],
          context: {
            approval?: Approval,
            args: Bag,
            decimals: DecimalBag,
            env: Env,
            found: Set<String>,
            http: Http,
            input: {
              "a b": __cedar::Bool,
              amount: __cedar::Long,
              item?: {
                id: __cedar::String
              },
              tags?: Set<__cedar::String>
            },
            inspected: Bool,
            kinds: Bag,
            numbers: NumberBag,
            taskParams?: Bag
          }
        };
    "#]]
    .assert_eq(&fragment.to_cedarschema().unwrap());
}

#[test]
fn a_catalogue_without_schemas_adds_nothing() {
    assert!(fragments(&Catalog::default(), &built_in()).unwrap().is_empty());
}
