//! The former walk to required inputs, to compare with.

use std::cell::RefCell;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, Template, Var};

use picket::query::{ANYWHERE, Keys, Reads};

/// One reading of a dynamic map by a literal key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The map: `headers`, `query`, `args`, `numbers`, `decimals`, `kinds`, `fields`, or `resource` for its captures.
    pub bag: String,
    /// The key.
    pub key: String,
}

/// What a policy reads.
#[derive(Debug, Clone, Default)]
pub struct RequiredInputs {
    /// For the layers outside the PDP.
    pub reads: Reads,
    /// Every literal key, for checks at load.
    pub keys: Vec<KeyUse>,
}

/// Walks all conditions of a policy.
#[must_use]
pub fn of(policy: &Template) -> RequiredInputs {
    let found = RefCell::new(RequiredInputs::default());
    for clause in policy.clauses() {
        let (Clause::When(expr) | Clause::Unless(expr)) = clause;
        walk(expr, &found);
    }
    found.into_inner()
}

fn walk(expr: &Expr, found: &RefCell<RequiredInputs>) {
    let visit = |node: &Expr| match node {
        Expr::BinaryOp { op: op @ (BinaryOp::GetTag | BinaryOp::HasTag), left, right } => {
            let bag = bag_of(left)?;
            note_bag(&bag, literal(right), Whole::from(*op), found);
            // The key's own expression may read other things.
            walk(right, found);
            Some(())
        }
        Expr::Like { expr, .. } => {
            let Expr::BinaryOp { op: BinaryOp::GetTag, left, right } = expr.as_ref() else { return None };
            let bag = bag_of(left)?;
            note_bag(&bag, literal(right), Whole::No, found);
            walk(right, found);
            Some(())
        }
        Expr::GetAttr { expr: inner, attr } => {
            note_attribute(inner, attr, found);
            None
        }
        Expr::HasAttr { expr: inner, attrs } => {
            note_attribute(inner, attrs.first(), found);
            // `principal has facts.team` reads through its whole path.
            let mut path: Vec<&str> = path_of(inner).unwrap_or_default();
            for attr in attrs {
                note_path(&path, attr, found);
                path.push(attr);
            }
            None
        }
        Expr::Var(Var::Context) => None,
        _ => None,
    };
    expr.reduce(&visit, &|(), ()| (), ());
    whole_use(expr, found);
}

/// Whether a value is compared as a whole, so that a joined duplicate would change the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Yes,
    No,
}

impl From<BinaryOp> for Whole {
    fn from(op: BinaryOp) -> Self {
        if op == BinaryOp::HasTag { Self::No } else { Self::Yes }
    }
}

/// `context.http.headers` as `["context", "http", "headers"]`.
fn path_of(expr: &Expr) -> Option<Vec<&str>> {
    match expr {
        Expr::Var(Var::Context) => Some(vec!["context"]),
        Expr::Var(Var::Principal) => Some(vec!["principal"]),
        Expr::Var(Var::Resource) => Some(vec!["resource"]),
        Expr::GetAttr { expr, attr } => {
            let mut path = path_of(expr)?;
            path.push(attr);
            Some(path)
        }
        _ => None,
    }
}

/// The dynamic map that an expression is, by name.
fn bag_of(expr: &Expr) -> Option<String> {
    match path_of(expr)?.as_slice() {
        ["context", "http", bag @ ("headers" | "query")] => Some((*bag).to_owned()),
        ["context", bag @ ("args" | "numbers" | "decimals" | "kinds" | "fields")] => Some((*bag).to_owned()),
        ["resource"] => Some("resource".to_owned()),
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(Literal::String(text)) => Some(text.to_string()),
        _ => None,
    }
}

fn note_bag(bag: &str, key: Option<String>, whole: Whole, found: &RefCell<RequiredInputs>) {
    let mut found = found.borrow_mut();
    let keys = key.clone().map_or(Keys::All, |key| Keys::Some([key].into()));
    let name = key.as_deref().and_then(|key| key.strip_prefix(ANYWHERE));
    match bag {
        "headers" => {
            found.reads.headers.merge(&keys);
            if whole == Whole::Yes {
                found.reads.headers_compared.merge(&keys);
            }
        }
        "query" => found.reads.query.merge(&keys),
        "resource" => {}
        _ => {
            let is_number = matches!(bag, "numbers" | "decimals");
            found.reads.body = true;
            found.reads.numbers |= is_number;
            found.reads.message |= bag == "fields" || is_number;
            if let Some(name) = name {
                found.reads.names.insert(name.to_owned());
            } else if bag != "fields" {
                found.reads.args.merge(&keys);
            }
            if name.is_none() && (bag == "fields" || is_number) {
                found.reads.fields.merge(&keys);
            }
        }
    }
    if let Some(key) = key {
        found.keys.push(KeyUse { bag: bag.to_owned(), key });
    }
}

fn note_attribute(inner: &Expr, attr: &str, found: &RefCell<RequiredInputs>) {
    match path_of(inner) {
        Some(path) => note_path(&path, attr, found),
        // Reached in a way that is not understood, such as through `if`: it may be any of the three.
        None if attr == "facts" => {
            let mut found = found.borrow_mut();
            found.reads.principal_facts = true;
            found.reads.resource_facts = true;
            found.reads.call_facts = Keys::All;
        }
        None if attr == "approval" => found.borrow_mut().reads.approval = true,
        None if attr == "bodyBytes" => found.borrow_mut().reads.size = true,
        None => {}
    }
}

fn note_path(path: &[&str], attr: &str, found: &RefCell<RequiredInputs>) {
    let mut found = found.borrow_mut();
    match (path, attr) {
        (["principal"], "facts") => found.reads.principal_facts = true,
        (["resource"], "facts") => found.reads.resource_facts = true,
        (["context", "env"], "sourceIp") => found.reads.source_ip = true,
        (["context", "env", "facts"], name) => found.reads.call_facts.merge(&Keys::Some([name.to_owned()].into())),
        (["context"], "args" | "kinds" | "input") => found.reads.body = true,
        (["context"], "numbers" | "decimals" | "fields") => {
            found.reads.body = true;
            found.reads.message = true;
        }
        (["context", "http"], "bodyBytes") => found.reads.size = true,
        (["context"], "approval") => found.reads.approval = true,
        _ => {}
    }
}

/// Uses of a record or bag that are not a step on a known path: everything below counts as read.
fn whole_use(expr: &Expr, found: &RefCell<RequiredInputs>) {
    let children = |node: &Expr| -> Option<()> {
        match node {
            // A known step: what is below is looked at on its own, the inner path is no use of the whole.
            Expr::GetAttr { expr, .. } | Expr::HasAttr { expr, .. } if path_of(expr).is_some() => {
                if let Expr::GetAttr { .. } = node {
                    leaf(node, found);
                }
                Some(())
            }
            Expr::BinaryOp { op: BinaryOp::GetTag | BinaryOp::HasTag, left, right } if bag_of(left).is_some() => {
                whole_use(right, found);
                Some(())
            }
            Expr::Var(Var::Context) => {
                everything(found);
                Some(())
            }
            _ => None,
        }
    };
    expr.reduce(&children, &|(), ()| (), ());
}

/// A path that ends here is used as a value: if it ends at a record or a bag, all of that is read.
fn leaf(node: &Expr, found: &RefCell<RequiredInputs>) {
    let Some(path) = path_of(node) else { return };
    let mut found = found.borrow_mut();
    let reads = &mut found.reads;
    match path.as_slice() {
        ["context", "http"] => {
            reads.headers = Keys::All;
            reads.headers_compared = Keys::All;
            reads.query = Keys::All;
            reads.size = true;
        }
        ["context", "http", "headers"] => {
            reads.headers = Keys::All;
            reads.headers_compared = Keys::All;
        }
        ["context", "http", "query"] => reads.query = Keys::All,
        ["context", "env"] => {
            reads.call_facts = Keys::All;
            reads.source_ip = true;
        }
        ["context", "env", "facts"] => reads.call_facts = Keys::All,
        ["context", "args" | "kinds"] => reads.args = Keys::All,
        ["context", "fields"] => reads.fields = Keys::All,
        ["context", "numbers" | "decimals"] => {
            reads.args = Keys::All;
            reads.fields = Keys::All;
            reads.numbers = true;
        }
        _ => {}
    }
}

fn everything(found: &RefCell<RequiredInputs>) {
    let reads = &mut found.borrow_mut().reads;
    reads.headers = Keys::All;
    reads.headers_compared = Keys::All;
    reads.query = Keys::All;
    reads.call_facts = Keys::All;
    reads.args = Keys::All;
    reads.fields = Keys::All;
    reads.message = true;
    reads.numbers = true;
    reads.body = true;
    reads.size = true;
    reads.approval = true;
    reads.source_ip = true;
}
