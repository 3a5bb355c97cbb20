//! Cedar policies from bytes: every byte is one choice, and when there are none left the shortest way to an end is taken.

use std::collections::BTreeSet;

use crate::engine::drawn::{ACTIONS, PRINCIPALS, RESOURCES};

/// Deepest nesting of a condition; the loader takes 48 brackets.
const DEPTH_MAX: usize = 5;

const TEXTS: &[&str] = &["1", "a", "/v1/orders/42", "orders.shop", "orders:read", "42", "x-a", "test", "GET", ""];
const KEYS: &[&str] = &["x-a", "x-b", "orders.shop", "q", "id"];
const NUMBERS: &[&str] = &["0", "1", "2", "9223372036854775807", "4611686018427387904"];
const ENTITIES: &[&str] = &[r#"Group::"storefront""#, r#"Group::"pci""#, r#"Namespace::"web""#];

/// Reads choices from bytes and records the forms that it chose.
pub struct Grammar<'a> {
    bytes: &'a [u8],
    forms: BTreeSet<&'static str>,
}

impl<'a> Grammar<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, forms: BTreeSet::new() }
    }

    /// Forms that were made so far.
    pub fn forms(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.forms.iter().copied()
    }

    /// A number below `end`, which is above 0; 0 when there are no bytes left.
    pub fn number(&mut self, end: usize) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        usize::from(*first) % end
    }

    fn one_of(&mut self, texts: &[&'static str]) -> &'static str {
        texts[self.number(texts.len())]
    }

    /// One to six policies, named by `prefix` and their place.
    pub fn policies(&mut self, prefix: &str) -> String {
        let count = 1 + self.number(6);
        (0..count).map(|number| self.policy(&format!("{prefix}{number}"))).collect()
    }

    fn policy(&mut self, id: &str) -> String {
        let effect = self.one_of(&["permit", "permit", "forbid"]);
        let (principal, action) = (self.one_of(PRINCIPALS), self.one_of(ACTIONS));
        let resource = self.one_of(RESOURCES);
        let clause = match self.number(4) {
            0 => String::new(),
            1 => format!("unless {{ {} }}", self.truth(0)),
            2 => format!("when {{ {} }} unless {{ {} }}", self.truth(1), self.truth(1)),
            _ => format!("when {{ {} }}", self.truth(0)),
        };
        format!("@id(\"{id}\") {effect} ({principal}, {action}, {resource}) {clause};\n")
    }

    fn form(&mut self, name: &'static str) {
        self.forms.insert(name);
    }

    /// An expression that is true or false.
    fn truth(&mut self, depth: usize) -> String {
        let below = depth + 1;
        let choices = if depth < DEPTH_MAX { 16 } else { 8 };
        match self.number(choices) {
            0 => format!("context.http.path == {}", self.quoted()),
            1 => self.tag("context.http.headers", "hasTag"),
            2 => self.tag("resource", "resource.hasTag"),
            3 => self.membership(),
            4 => {
                self.form("principal has");
                let path = ["token", "facts.team", "token.acr", "token.clientId", "facts"];
                format!("principal has {}", self.one_of(&path))
            }
            5 => format!("context.http.path like \"/v1*{}\"", self.one_of(&["", "2", "x"])),
            6 => format!("resource.labels.contains({})", self.quoted()),
            7 => r#"context.env.now < datetime("2026-11-23T00:00:01Z")"#.to_owned(),
            8 => format!("!({})", self.truth(below)),
            9 => format!("({} && {})", self.truth(below), self.truth(below)),
            10 => format!("({} || {})", self.truth(below), self.truth(below)),
            11 => format!("(if {} then {} else {})", self.truth(below), self.truth(below), self.truth(below)),
            12 => format!("{} == {}", self.text(below), self.text(below)),
            13 => self.tag_value(below),
            14 => self.guarded(below),
            _ => self.odd(below),
        }
    }

    /// Rare parts of policies.
    fn odd(&mut self, depth: usize) -> String {
        let operator = self.one_of(&["<", "<=", "==", "!="]);
        match self.number(6) {
            0 => {
                self.form("numbers");
                format!("{} {operator} {}", self.sum(depth), self.sum(depth))
            }
            1 => {
                self.form("computed key");
                format!("context.http.headers.hasTag({})", self.text(depth))
            }
            2 => {
                self.form("whole context");
                "context == context".to_owned()
            }
            3 => {
                self.form("record passed on");
                "[context.http].contains(context.http)".to_owned()
            }
            4 => {
                self.form("chosen entity");
                format!("(if {} then principal else principal) in {}", self.truth(depth), self.one_of(ENTITIES))
            }
            _ => {
                self.form("set of texts");
                format!("[{}, {}].contains({})", self.text(depth), self.quoted(), self.text(depth))
            }
        }
    }

    fn membership(&mut self) -> String {
        let form = self.one_of(&[
            r#"principal in Group::"storefront""#,
            r#"principal in [Namespace::"web", Group::"storefront"]"#,
            r#"resource in Group::"pci""#,
            r#"resource in [Path::"shop/orders/v1", Route::"shop/orders/get-order"]"#,
            r#"resource == Path::"shop/orders/v1""#,
            r#"principal == Workload::"spiffe://cluster.local/ns/web/sa/frontend""#,
            "principal is Workload",
            r#"principal is Workload in TrustDomain::"cluster.local""#,
            r#"principal != Workload::"spiffe://cluster.local/ns/web/sa/frontend""#,
            r#"[principal].contains(Workload::"spiffe://cluster.local/ns/web/sa/frontend")"#,
        ]);
        self.form(form);
        form.to_owned()
    }

    fn tag(&mut self, bag: &str, name: &'static str) -> String {
        self.form(name);
        format!("{bag}.hasTag(\"{}\")", self.one_of(KEYS))
    }

    /// A tag that is read where it is there.
    fn tag_value(&mut self, depth: usize) -> String {
        let (bag, key) = (self.one_of(&["context.http.headers", "context.http.query", "resource"]), self.one_of(KEYS));
        self.form(bag);
        format!("({bag}.hasTag(\"{key}\") && {bag}.getTag(\"{key}\") == {})", self.text(depth))
    }

    /// An optional attribute that is read where it is there.
    fn guarded(&mut self, depth: usize) -> String {
        self.form("guarded");
        let test = match self.number(6) {
            0 => format!("principal.token.subject == {}", self.text(depth)),
            1 => format!("principal.token.scopesProven.contains({})", self.text(depth)),
            2 => "principal.token.isUser".to_owned(),
            3 => format!("principal.token.lifetimeSeconds > {}", self.sum(depth)),
            4 => {
                let scopes = "resource.requiredScopes";
                format!("(resource has requiredScopes && principal.token.scopesProven.containsAll({scopes}))")
            }
            _ => return format!("(principal has facts.team && principal.facts.team == {})", self.text(depth)),
        };
        format!("(principal has token && {test})")
    }

    fn quoted(&mut self) -> String {
        format!("\"{}\"", self.one_of(TEXTS))
    }

    fn text(&mut self, depth: usize) -> String {
        let choices = if depth < DEPTH_MAX { 6 } else { 5 };
        match self.number(choices) {
            0 => self.quoted(),
            1 => "context.http.path".to_owned(),
            2 => "context.http.host".to_owned(),
            3 => "context.http.method".to_owned(),
            4 => "context.env.listener".to_owned(),
            _ => format!("(if {} then {} else {})", self.truth(depth + 1), self.text(depth + 1), self.quoted()),
        }
    }

    /// A whole number, which may be too large to evaluate.
    fn sum(&mut self, depth: usize) -> String {
        let choices = if depth < DEPTH_MAX { 4 } else { 1 };
        match self.number(choices) {
            0 => self.one_of(NUMBERS).to_owned(),
            1 => format!("({} + {})", self.sum(depth + 1), self.sum(depth + 1)),
            2 => format!("({} * {})", self.sum(depth + 1), self.one_of(NUMBERS)),
            _ => format!("(if {} then {} else {})", self.truth(depth + 1), self.sum(depth + 1), self.one_of(NUMBERS)),
        }
    }
}
