//! `picket explain --response`.

use expect_test::expect;

use super::{picket_in, tree};

const CATALOG: &str = "services: [{id: shop/pages}]";
const POLICIES: &str = r#"
@id("calls") permit (principal, action in Action::"any", resource);
@id("answers") permit (principal, action == Action::"release", resource);
@id("hide") @remedy("mask") @mask("card")
forbid (principal, action == Action::"release", resource) when { context.found.contains("card") };
@id("refuse") forbid (principal, action == Action::"release", resource) when { context.found.contains("aws_key") };
@id("read") forbid (principal, action == Action::"release", resource) when { !context.inspected && context.status == 418 };
"#;
const SHADOW: &str = r#"
@id("more") @remedy("mask") @mask("iban")
forbid (principal, action == Action::"release", resource) when { context.found.contains("iban") };
"#;
const CALL: &str = "{caller: {spiffe: 'spiffe://cluster.local/ns/web/sa/a'}, request: {service: shop/pages, path: /a}}";
const CARD: &str = "4111 1111 1111 1111";

fn explain(response: &str, more: &[&str]) -> super::Run {
    let modes = ("p/manifest.yaml", "modes: {mesh/s.cedar: shadow}");
    let files = [("p/catalog.yaml", CATALOG), ("p/mesh/a.cedar", POLICIES), ("p/mesh/s.cedar", SHADOW), modes];
    let dir = tree(&[&files[..], &[("body", response), ("call.yaml", CALL)]].concat());
    let arguments = ["explain", "--policies", "p", "--call", "call.yaml", "--response", "body"];
    picket_in(dir.path(), &[&arguments[..], more].concat(), "")
}

/// The part about the response.
fn release(run: &super::Run) -> &str {
    run.stdout.split_once("\nRESPONSE ").map_or("", |(_, release)| release)
}

#[test]
fn every_ruling_has_its_occasion_its_masks_and_its_policies() {
    let body = format!("a {CARD}, a {CARD} and DE89 3704 0044 0532 0130 00 are values");
    let run = explain(&body, &[]).ends_with(0);
    expect![[r#"
        MASKED
          61 bytes leave with status 200

          ruling 1: by its headers
            released, by mesh/answers

          ruling 2: nothing found
            released, by mesh/answers

          ruling 3: first finding of card
            released, masks card, by mesh/hide

          findings
            card 2

          with shadow policies enforced: masked, by mesh/answers, mesh/hide, mesh/more
    "#]]
    .assert_eq(release(&run));
    assert!(!run.stdout.contains("4111") && !run.stdout.contains("DE89"), "{}", run.stdout);
}

#[test]
fn a_refused_response_names_the_ruling_that_refused_it() {
    let events = format!("data: {CARD} is\n\ndata:  here, AKIAIOSFODNN7EXAMPLE too\n\n");
    let run = explain(&events, &[]).ends_with(5);
    expect![[r#"
        REFUSED  policy_forbid
          66 bytes leave with status 200, and then the response ends early

          ruling 1: by its headers
            released, by mesh/answers

          ruling 2: nothing found
            released, by mesh/answers

          ruling 3: first finding of card
            released, masks card, by mesh/hide

          ruling 4: first finding of aws_key
            refused (policy_forbid), by mesh/hide, mesh/refuse

          findings
            aws_key 1
            card 1

          with shadow policies enforced: unknown (abandoned)
    "#]]
    .assert_eq(release(&run));
    let run = explain("x", &["--content-type", "image/png", "-o", "json"]).ends_with(0).json();
    expect![[r#"{"outcome":"released","reason":null,"replaced":false,"status":200,"bytes":1,"findings":{},"unread":1,"rulings":[{"found":[],"inspected":true,"passed":[],"refused":null,"masks":[],"policies":["mesh/answers"]},{"found":[],"inspected":true,"passed":["image/png"],"refused":null,"masks":[],"policies":["mesh/answers"]}],"would_be":{"outcome":"released","reason":null,"policies":["mesh/answers"],"findings":{}}}"#]].assert_eq(&run["response"].to_string());
}
