//! Notes about policies that apply to responses.

use super::*;

#[test]
fn a_policy_without_an_action_is_noted_where_policies_name_responses() {
    let noted = "applies to responses as well as to requests";
    let release = r#"@id("release") permit (principal, action == Action::"release", resource);"#;
    for (policy, mesh, expected) in [
        (r#"@id("a") permit (principal, action, resource);"#, release, true),
        (r#"@id("a") forbid (principal, action, resource in Service::"shop/orders");"#, release, true),
        (r#"@id("a") permit (principal, action, resource);"#, "", false),
        (r#"@id("a") permit (principal, action in Action::"any", resource);"#, release, false),
        (r#"@id("a") permit (principal, action, resource is Path);"#, release, false),
        (r#"@id("a") permit (principal, action == Action::"GET", resource);"#, release, false),
    ] {
        let files = [("mesh/a.cedar", mesh), ("namespaces/shop/a.cedar", policy)];
        let loaded = Snapshot::load(&tree(&files), None);
        let problems = problems(&loaded);
        assert_eq!(problems.contains(noted), expected, "{policy} {mesh}: {problems}");
    }
}
