//! Policies worth attacking.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use picket::decision::snapshot::Tree;

/// The policies that are shipped, as a directory source would read them.
pub fn shipped() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut tree = Tree { files: BTreeMap::new(), folders: BTreeSet::new() };
    collect(&root, &root, &mut tree);
    tree
}

fn collect(root: &Path, folder: &Path, tree: &mut Tree) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let is_test = name.ends_with("_test.yaml") || name == "tests" || name == "library" || name.ends_with(".md");
        if path.is_dir() && !is_test {
            tree.folders.insert(name);
            collect(root, &path, tree);
        } else if path.is_file() && !is_test {
            tree.files.insert(name, Arc::from(std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Policies that read headers and query, set headers, fail to evaluate, challenge, and only watch.
pub const NASTY: &[(&str, &str)] = &[
    (
        "mesh/guard.cedar",
        r#"@id("admin") @deny_status("404") forbid (principal, action in Action::"any", resource is Path)
        when { context.http.path like "*admin*" };"#,
    ),
    ("mesh/watch.cedar", r#"@id("watch") forbid (principal, action in Action::"write", resource);"#),
    (
        "mesh/overflow.cedar",
        r#"@id("overflow") forbid (principal, action == Action::"POST", resource is Path)
        when { 9223372036854775807 + (if context.http.host == "orders.shop" then 1 else 0) < 0 };"#,
    ),
    (
        "namespaces/shop/open.cedar",
        r#"@id("open") @set_headers("x-caller=${principal.id}, x-team=fixed")
        permit (principal is Workload, action in Action::"read", resource in Path::"shop/orders/v1");
        @id("role") permit (principal, action == Action::"GET", resource)
        when { context.http.headers.hasTag("x-role") && context.http.headers.getTag("x-role") == "admin" };
        @id("key") permit (principal, action == Action::"GET", resource)
        when { context.http.query.hasTag("key") && context.http.query.getTag("key") == "1" };
        @id("scoped") permit (principal, action in Action::"any", resource)
        when { principal has token && principal.token.scopesProven.contains("orders:read") };"#,
    ),
    (
        "namespaces/shop/grpc.cedar",
        r#"@id("stock") permit (principal is Workload, action == Action::"grpc.call", resource);"#,
    ),
    (
        "namespaces/pay/fresh.cedar",
        r#"@id("pay") permit (principal, action in Action::"any", resource);
        @id("fresh") @remedy("step_up") @max_age("60") forbid (principal, action in Action::"any", resource)
        unless { principal has token && principal.token has authTime };"#,
    ),
    ("manifest.yaml", "modes: {mesh/watch.cedar: shadow}"),
];

/// Forbids that hit all, some and hardly anything; with a remedy, a failure, and reads of their own.
pub const FORBIDS: &[&str] = &[
    r#"@id("z1") forbid (principal, action in Action::"any", resource);"#,
    r#"@id("z2") @remedy("step_up") @max_age("1") forbid (principal is Unauthenticated, action in Action::"any", resource);"#,
    r#"@id("z3") forbid (principal, action in Action::"read", resource is Path)
       when { context.http.headers.hasTag("x-role") };"#,
    r#"@id("z4") forbid (principal, action == Action::"GET", resource is Path)
       when { 9223372036854775807 + (if context.http.path == "/" then 1 else 0) < 0 };"#,
];
