//! The shipped policies, adapted if a file's world has other values than the sample mesh that they were written for.
//!
//! Only values are exchanged: the trust domain, the strong login, the amount. A missing value is a panic, never
//! skipped.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::world::World;

const TRUST_DOMAIN: &str = "prod.example";
const ACR: &str = "urn:prod:acr:phr";
const MAX_AGE_SECONDS: i64 = 300;

/// The content of `strong_login`.
#[derive(Deserialize)]
pub struct StrongLogin {
    acr: String,
    max_age_seconds: i64,
}

/// Folder of the shipped tree.
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/library/agents")
}

/// A file of the shipped tree in this world.
pub fn file(name: &Path, world: &World) -> String {
    let written = std::fs::read_to_string(shipped().join(name)).unwrap();
    let escaped = |text: &str| text.replace('.', r"\.");
    let mut text = written.replace(TRUST_DOMAIN, &world.trust_domain);
    text = text.replace(&escaped(TRUST_DOMAIN), &escaped(&world.trust_domain));
    if let Some(login) = &world.strong_login
        && text.contains(ACR)
    {
        exchange(&mut text, ACR, &login.acr);
        // A forbid of a response has no challenge.
        if !text.contains("Action::\"release\"") {
            exchange(
                &mut text,
                &format!("@max_age(\"{MAX_AGE_SECONDS}\")"),
                &format!("@max_age(\"{}\")", login.max_age_seconds),
            );
        }
        exchange(&mut text, "duration(\"5m\")", &format!("duration(\"{}s\")", login.max_age_seconds));
    }
    if name.ends_with("billing.cedar")
        && let Some((pointer, limit)) = limit(world)
    {
        exchange(&mut text, "\"/amount\"", &format!("\"{pointer}\""));
        let whole = limit.split('.').next().unwrap_or_default();
        exchange(&mut text, "<= 500)", &format!("<= {whole})"));
        let exact = if limit.contains('.') { limit.clone() } else { format!("{limit}.0") };
        exchange(&mut text, "decimal(\"500.00\")", &format!("decimal(\"{exact}\")"));
    }
    text
}

fn exchange(text: &mut String, old: &str, new: &str) {
    assert!(text.contains(old), "the shipped policies do not say `{old}`, which the file's world puts as `{new}`");
    *text = text.replace(old, new);
}

/// The argument and the amount of the routes' `strong_login_if`, which is the same on all routes that have one.
fn limit(world: &World) -> Option<(String, String)> {
    let written = world.routes.values().flatten().filter_map(|route| route.get("strong_login_if"));
    let mut all: Vec<&str> = written.map(|text| text.as_str().expect("`strong_login_if` is a text")).collect();
    all.dedup();
    let [one] = all.as_slice() else {
        assert!(all.is_empty(), "routes differ in `strong_login_if`, which one policy cannot say: {all:?}");
        return None;
    };
    let [argument, ">", limit] = one.split(' ').collect::<Vec<_>>()[..] else {
        panic!("`strong_login_if: {one}` is not of the form `argument > amount`");
    };
    assert!(limit.parse::<f64>().is_ok_and(|limit| limit >= 0.0), "`{limit}` in `strong_login_if` is no amount");
    Some((format!("/{}", argument.replace('.', "/")), limit.to_owned()))
}

/// A list of texts, or one text with blanks between them.
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => text.split(' ').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        Value::Array(items) => items.iter().map(|item| item.as_str().expect("a list of texts").to_owned()).collect(),
        other => panic!("`{other}` is neither a text nor a list of texts"),
    }
}
