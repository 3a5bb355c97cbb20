//! The former walk to read sets, to compare with.

use std::cell::RefCell;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, Template, Var};
use picket::decision::read_set::{EntityReadSet, Path, ReadSet};
use picket::query::{Keys, Uid};
use smol_str::ToSmolStr;

const FACT: [&str; 2] = ["env", "facts"];

fn is_fact(path: &[String]) -> bool {
    path.iter().zip(FACT).filter(|(step, fact)| step == fact).count() == FACT.len()
}

pub fn of(policy: &Template) -> ReadSet {
    let found = RefCell::new(ReadSet::default());
    for clause in policy.clauses() {
        let (Clause::When(expr) | Clause::Unless(expr)) = clause;
        walk(expr, &found);
    }
    found.into_inner()
}

fn entity(set: &mut ReadSet, root: Root) -> Option<&mut EntityReadSet> {
    match root {
        Root::Principal => Some(&mut set.principal),
        Root::Resource => Some(&mut set.resource),
        Root::Context => None,
    }
}

fn either(set: &mut ReadSet) {
    set.principal.whole = true;
    set.resource.whole = true;
}

fn add_path(set: &mut ReadSet, root: Root, path: Path) {
    if root == Root::Context && is_fact(&path) && path.len() > FACT.len() + 1 {
        either(set);
    }
    match (root, path.is_empty()) {
        (Root::Context, true) => set.whole_context = true,
        (Root::Context, false) => drop(set.context.insert(path)),
        (Root::Principal, true) => set.principal.whole = true,
        (Root::Resource, true) => set.resource.whole = true,
        (Root::Principal, false) => drop(set.principal.paths.insert(path)),
        (Root::Resource, false) => drop(set.resource.paths.insert(path)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    Principal,
    Resource,
    Context,
}

/// `context.http.path` as its root and `["http", "path"]`.
fn path_of(expr: &Expr) -> Option<(Root, Path)> {
    match expr {
        Expr::Var(Var::Principal) => Some((Root::Principal, Vec::new())),
        Expr::Var(Var::Resource) => Some((Root::Resource, Vec::new())),
        Expr::Var(Var::Context) => Some((Root::Context, Vec::new())),
        Expr::GetAttr { expr, attr } => {
            let (root, mut path) = path_of(expr)?;
            path.push(attr.to_string());
            Some((root, path))
        }
        _ => None,
    }
}

fn entity_literal(expr: &Expr) -> Option<Vec<Uid>> {
    match expr {
        Expr::Literal(Literal::EntityUID(uid)) => {
            Some(vec![Uid { kind: uid.ty.to_smolstr(), id: uid.eid.as_str().into() }])
        }
        Expr::Set(items) => {
            let each = items.iter().map(|item| entity_literal(item)).collect::<Option<Vec<_>>>()?;
            Some(each.into_iter().flatten().collect())
        }
        _ => None,
    }
}

fn walk(expr: &Expr, found: &RefCell<ReadSet>) {
    let visit = |node: &Expr| visit(node, found);
    expr.reduce(&visit, &|(), ()| (), ());
}

/// Adds what a node depends on; `None` lets the walk go on into its children.
fn visit(node: &Expr, found: &RefCell<ReadSet>) -> Option<()> {
    match node {
        Expr::GetAttr { .. } => {
            let (root, path) = path_or_either(node, found)?;
            add_path(&mut found.borrow_mut(), root, path);
            Some(())
        }
        Expr::HasAttr { expr, attrs } => {
            let (root, mut path) = path_or_either(expr, found)?;
            path.extend(attrs.iter().map(|attr| attr.to_string()));
            add_path(&mut found.borrow_mut(), root, path);
            Some(())
        }
        Expr::BinaryOp { op: BinaryOp::GetTag | BinaryOp::HasTag, left, right } => {
            let (root, path) = path_or_either(left, found)?;
            walk(right, found);
            tag(root, path, right, found)
        }
        // Of actions all is known to everybody.
        Expr::BinaryOp { op: BinaryOp::In, left, .. } if matches!(&**left, Expr::Var(Var::Action)) => None,
        Expr::BinaryOp { op: BinaryOp::In, left, right } => {
            membership(named(left, found)?, right, found);
            Some(())
        }
        Expr::Is { expr, in_expr: Some(within), .. } => {
            membership(named(expr, found)?, within, found);
            Some(())
        }
        Expr::Is { expr, in_expr: None, .. } => match path_of(expr) {
            // The type of principal and resource is always part of what is reached.
            Some((Root::Principal | Root::Resource, path)) if path.is_empty() => Some(()),
            _ => None,
        },
        Expr::BinaryOp { op: BinaryOp::Eq | BinaryOp::NotEq, left, right } => {
            for side in [left, right] {
                match path_of(side) {
                    Some((root @ (Root::Principal | Root::Resource), path)) if path.is_empty() => {
                        entity(&mut found.borrow_mut(), root)?.itself = true;
                    }
                    _ => walk(side, found),
                }
            }
            Some(())
        }
        Expr::Var(Var::Principal) => {
            found.borrow_mut().principal.whole = true;
            Some(())
        }
        Expr::Var(Var::Resource) => {
            found.borrow_mut().resource.whole = true;
            Some(())
        }
        Expr::Var(Var::Context) => {
            found.borrow_mut().whole_context = true;
            Some(())
        }
        _ => None,
    }
}

/// As [`path_of`]; what is none may lead to any entity.
fn path_or_either(expr: &Expr, found: &RefCell<ReadSet>) -> Option<(Root, Path)> {
    let path = path_of(expr);
    if path.is_none() {
        either(&mut found.borrow_mut());
    }
    path
}

/// Whose membership is asked for: the principal's or the resource's, or anybody's.
fn named(expr: &Expr, found: &RefCell<ReadSet>) -> Option<Root> {
    match path_of(expr) {
        Some((root @ (Root::Principal | Root::Resource), path)) if path.is_empty() => Some(root),
        _ => {
            either(&mut found.borrow_mut());
            None
        }
    }
}

/// `context.http.headers.getTag("x")`, `resource.hasTag("id")`.
fn tag(root: Root, path: Path, key: &Expr, found: &RefCell<ReadSet>) -> Option<()> {
    let keys = match key {
        Expr::Literal(Literal::String(key)) => Keys::Some([key.to_string()].into()),
        _ => Keys::All,
    };
    let mut found = found.borrow_mut();
    match (root, path.is_empty()) {
        (Root::Context, false) => {
            if is_fact(&path) {
                either(&mut found);
            }
            found.bags.entry(path).or_default().merge(&keys);
        }
        (Root::Context, true) => found.whole_context = true,
        (Root::Principal | Root::Resource, true) => entity(&mut found, root)?.tags.merge(&keys),
        // A tag of something an attribute names: level 1 forbids it, so this is not understood.
        (Root::Principal | Root::Resource, false) => entity(&mut found, root)?.whole = true,
    }
    Some(())
}

/// `principal in …`: literals are asked for by name, everything else by every ancestor there is.
fn membership(root: Root, right: &Expr, found: &RefCell<ReadSet>) {
    let literals = entity_literal(right);
    if literals.is_none() {
        walk(right, found);
    }
    let mut found = found.borrow_mut();
    let Some(side) = entity(&mut found, root) else { return };
    match literals {
        Some(literals) => side.within.extend(literals),
        None => side.all_ancestors = true,
    }
}
