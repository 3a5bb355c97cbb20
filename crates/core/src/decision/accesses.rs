//! Access paths of a policy's conditions: the parts of principal, resource and context that they read.
//!
//! Knows: Cedar's syntax. Must not know: the schema, what an access is good for.
//!
//! The only walk over conditions that decides verdicts. The inputs to collect (`policy/required_inputs.rs`) and the inputs
//! to evaluate and to cache by ([`ReadSet`](super::read_set::ReadSet)) are both derived from its result, so that a part
//! that is evaluated is collected too. Syntax that the walk does not understand is an access to everything.

use cedar_policy::pst::{BinaryOp, Clause, EntityUID, Expr, Literal, PatternElem, Template, UnaryOp, Var};

/// The facts of a call: the only part of the context that can name the caller or the resource.
const CALL_FACTS: [&str; 2] = ["env", "facts"];

/// Whether a path below the context leads to the facts of a call, or into them.
fn is_in_facts(path: &[&str]) -> bool {
    path.starts_with(&CALL_FACTS)
}

/// A variable that paths begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// `principal`.
    Principal,
    /// `resource`.
    Resource,
    /// `context`.
    Context,
}

impl Root {
    fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Var(Var::Principal) => Some(Self::Principal),
            Expr::Var(Var::Resource) => Some(Self::Resource),
            Expr::Var(Var::Context) => Some(Self::Context),
            _ => None,
        }
    }

    /// As Cedar writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Resource => "resource",
            Self::Context => "context",
        }
    }
}

/// The value that the path of an access begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A variable.
    Root(Root),
    /// An entity that a fact of the call names. It may be the principal or the resource.
    FactEntity,
    /// Any other expression, such as `if … then principal else resource`. It may be any entity or record.
    Unknown,
}

/// The way in which a value is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use<'a> {
    /// The value, with everything below it.
    Value,
    /// `has`: the presence of the last attribute, and of those before it.
    Presence,
    /// `has`, directly followed by `&&` and a test or a value of a part: `x has a && x.a has b`.
    Guard,
    /// `getTag`, `hasTag`: one tag, or any tag where the key is computed.
    Tag(Option<&'a str>, TagTest),
    /// `in`: membership in entities that are named, or in any entity.
    In(Option<Vec<&'a EntityUID>>),
    /// `contains`, `containsAny` and `containsAll` of a set: whether these texts are in it, or computed ones.
    Contains(Option<Vec<&'a str>>),
    /// `==` and `!=` of an entity: its name.
    Name,
    /// Syntax that is not understood: everything.
    Anything,
}

/// What a condition does with a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagTest {
    /// Tests its presence.
    Presence,
    /// Matches it with a pattern.
    Pattern,
    /// Takes its whole value, for example to compare it.
    Value,
}

/// One access: a path by attributes, and the use of the value at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access<'a> {
    /// Where the path begins.
    pub origin: Origin,
    /// Attributes: `["http", "path"]` of `context.http.path`.
    pub path: Vec<&'a str>,
    /// What is done with the value.
    pub usage: Use<'a>,
}

/// Everything that a policy's conditions read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accesses<'a> {
    /// In the order of the text.
    pub list: Vec<Access<'a>>,
    /// Texts in the conditions. A computed key is one of them, or arrives with the call.
    pub texts: Vec<&'a str>,
}

impl<'a> Accesses<'a> {
    /// Walks all conditions of a policy.
    #[must_use]
    pub fn of(policy: &'a Template) -> Self {
        let mut found = Self::default();
        for clause in policy.clauses() {
            let (Clause::When(expr) | Clause::Unless(expr)) = clause;
            found.walk(expr);
        }
        found
    }

    /// Walks one expression.
    #[must_use]
    pub fn of_expr(expr: &'a Expr) -> Self {
        let mut found = Self::default();
        found.walk(expr);
        found
    }

    fn walk(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Literal(Literal::String(text)) => self.texts.push(text),
            Expr::Literal(_) | Expr::Var(Var::Action) => {}
            Expr::Var(_) | Expr::GetAttr { .. } => self.path(expr, [], Use::Value),
            Expr::HasAttr { expr, attrs } => self.path(expr, attrs.iter().map(|attr| attr.as_str()), Use::Presence),
            Expr::Like { expr, pattern } => match &**expr {
                // A pattern without a wildcard is a comparison.
                Expr::BinaryOp { op: BinaryOp::GetTag, left, right } if !pattern.contains(&PatternElem::Wildcard) => {
                    self.tag(left, right, TagTest::Value);
                }
                Expr::BinaryOp { op: BinaryOp::GetTag, left, right } => self.tag(left, right, TagTest::Pattern),
                text => self.walk(text),
            },
            Expr::BinaryOp { op: BinaryOp::And, .. } => self.conjunction(expr),
            Expr::BinaryOp { op, left, right } => self.binary(*op, left, right),
            Expr::UnaryOp { op, expr } if is_of_a_value(*op) => self.walk(expr),
            Expr::Is { expr, in_expr: Some(within), .. } => self.membership(expr, within),
            // The type of principal and resource is part of every query.
            Expr::Is { expr, in_expr: None, .. } if is_entity(expr) => {}
            Expr::Is { expr, in_expr: None, .. } => self.walk(expr),
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                [cond, then_expr, else_expr].into_iter().for_each(|part| self.walk(part));
            }
            Expr::Set(items) => items.iter().for_each(|item| self.walk(item)),
            Expr::Record(fields) => fields.values().for_each(|field| self.walk(field)),
            // Slots of templates, unknowns, and what a later Cedar adds.
            _ => self.add(Origin::Unknown, Vec::new(), Use::Anything),
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &'a Expr, right: &'a Expr) {
        match op {
            BinaryOp::GetTag => self.tag(left, right, TagTest::Value),
            BinaryOp::HasTag => self.tag(left, right, TagTest::Presence),
            // All is known of actions.
            BinaryOp::In if matches!(left, Expr::Var(Var::Action)) => self.walk(right),
            BinaryOp::In => self.membership(left, right),
            BinaryOp::Contains | BinaryOp::ContainsAny | BinaryOp::ContainsAll if is_attribute(left) => {
                self.path(left, [], Use::Contains(texts(right)));
                self.walk(right);
            }
            BinaryOp::Eq | BinaryOp::NotEq => {
                for side in [left, right] {
                    match Root::of(side).filter(|_| is_entity(side)) {
                        Some(root) => self.add(Origin::Root(root), Vec::new(), Use::Name),
                        None => self.walk(side),
                    }
                }
            }
            _ if is_of_values(op) => [left, right].into_iter().for_each(|side| self.walk(side)),
            _ => self.add(Origin::Unknown, Vec::new(), Use::Anything),
        }
    }

    /// The parts of `… && …`, of which some are guards of the next.
    fn conjunction(&mut self, expr: &'a Expr) {
        let mut parts = Vec::new();
        conjuncts(expr, &mut parts);
        let next = parts.iter().skip(1).map(|part| Some(*part)).chain([None]);
        for (part, next) in parts.iter().zip(next) {
            match (*part, next) {
                (Expr::HasAttr { expr, attrs }, Some(next)) if is_guard_of(part, next) => {
                    self.path(expr, attrs.iter().map(|attr| attr.as_str()), Use::Guard);
                }
                (part, _) => self.walk(part),
            }
        }
    }

    /// `context.http.headers.getTag("x")`.
    fn tag(&mut self, map: &'a Expr, key: &'a Expr, test: TagTest) {
        let literal = match key {
            Expr::Literal(Literal::String(key)) => Some(key.as_str()),
            _ => None,
        };
        self.path(map, [], Use::Tag(literal, test));
        self.walk(key);
    }

    /// `principal in …`.
    fn membership(&mut self, of: &'a Expr, within: &'a Expr) {
        let usage = Use::In(entities(within));
        match Root::of(of).filter(|_| is_entity(of)) {
            Some(root) => self.add(Origin::Root(root), Vec::new(), usage),
            // An entity that is reached in another way may be the principal or the resource.
            None => {
                self.add(Origin::Unknown, Vec::new(), usage);
                self.walk(of);
            }
        }
        self.walk(within);
    }

    /// The value of `expr`, and the attributes `below` it.
    fn path(&mut self, expr: &'a Expr, below: impl IntoIterator<Item = &'a str>, usage: Use<'a>) {
        let (base, mut path) = steps(expr);
        path.extend(below);
        match Root::of(base) {
            Some(root) => self.add(Origin::Root(root), path, usage),
            None => {
                self.add(Origin::Unknown, path, usage);
                self.walk(base);
            }
        }
    }

    fn add(&mut self, origin: Origin, path: Vec<&'a str>, usage: Use<'a>) {
        if origin == Origin::Root(Root::Context) && is_in_facts(&path) {
            // `context.env.facts.x` may be an entity. A step from there looks like a step into a record.
            let below = path.get(CALL_FACTS.len() + 1..).unwrap_or_default();
            if !below.is_empty() || matches!(usage, Use::Tag(..)) {
                self.list.push(Access { origin: Origin::FactEntity, path: below.to_vec(), usage: usage.clone() });
            }
        }
        self.list.push(Access { origin, path, usage });
    }
}

/// An expression without its last attributes, and these: `context` and `http`, `path` of `context.http.path`.
fn steps(expr: &Expr) -> (&Expr, Vec<&str>) {
    match expr {
        Expr::GetAttr { expr, attr } => {
            let (base, mut path) = steps(expr);
            path.push(attr);
            (base, path)
        }
        _ => (expr, Vec::new()),
    }
}

/// `context.http.path` as its root and `["http", "path"]`.
#[must_use]
pub fn path_of(expr: &Expr) -> Option<(Root, Vec<&str>)> {
    let (base, path) = steps(expr);
    Some((Root::of(base)?, path))
}

/// The dynamic map at a path, by name; `resource` for its captures.
#[must_use]
pub fn bag_at<'a>(root: Root, path: &[&'a str]) -> Option<&'a str> {
    match (root, path) {
        (Root::Context, ["http", bag @ ("headers" | "query")]) => Some(*bag),
        (Root::Context, [bag @ ("args" | "numbers" | "decimals" | "kinds" | "fields")]) => Some(*bag),
        (Root::Resource, []) => Some("resource"),
        (Root::Context | Root::Principal | Root::Resource, _) => None,
    }
}

/// The dynamic map that an expression is, by name.
#[must_use]
pub fn bag_of(expr: &Expr) -> Option<&str> {
    let (root, path) = path_of(expr)?;
    bag_at(root, &path)
}

fn is_entity(expr: &Expr) -> bool {
    matches!(expr, Expr::Var(Var::Principal | Var::Resource))
}

/// Whether an expression is an attribute below a variable.
fn is_attribute(expr: &Expr) -> bool {
    path_of(expr).is_some_and(|(_, path)| !path.is_empty())
}

/// The text of a literal, or those of a set of literals.
fn texts(expr: &Expr) -> Option<Vec<&str>> {
    match expr {
        Expr::Literal(Literal::String(text)) => Some(vec![text.as_str()]),
        Expr::Set(items) => {
            let each = items.iter().map(|item| texts(item)).collect::<Option<Vec<_>>>()?;
            Some(each.into_iter().flatten().collect())
        }
        _ => None,
    }
}

/// The entities of a literal or of a set of literals.
fn entities(expr: &Expr) -> Option<Vec<&EntityUID>> {
    match expr {
        Expr::Literal(Literal::EntityUID(uid)) => Some(vec![uid]),
        Expr::Set(items) => {
            let each = items.iter().map(|item| entities(item)).collect::<Option<Vec<_>>>()?;
            Some(each.into_iter().flatten().collect())
        }
        _ => None,
    }
}

fn conjuncts<'a>(expr: &'a Expr, parts: &mut Vec<&'a Expr>) {
    match expr {
        Expr::BinaryOp { op: BinaryOp::And, left, right } => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        _ => parts.push(expr),
    }
}

/// Whether `part` is `x has a`, and `next` tests or reads a part of `x.a` before all else. Without that part `next` is false
/// or fails, so `part` adds nothing to it.
fn is_guard_of(part: &Expr, next: &Expr) -> bool {
    let Expr::HasAttr { expr, attrs } = part else { return false };
    let Some((root, mut guarded)) = path_of(expr) else { return false };
    guarded.extend(attrs.iter().map(|attr| attr.as_str()));
    let (read, length_min) = match next {
        Expr::HasAttr { expr, .. } => (&**expr, guarded.len()),
        _ => (first_value(next), guarded.len() + 1),
    };
    path_of(read).is_some_and(|(of, path)| of == root && path.starts_with(&guarded) && path.len() >= length_min)
}

/// The value that is needed first.
fn first_value(expr: &Expr) -> &Expr {
    match expr {
        Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } | Expr::Is { expr, .. } => first_value(expr),
        Expr::BinaryOp { left, .. } => first_value(left),
        Expr::IfThenElse { cond, .. } => first_value(cond),
        _ => expr,
    }
}

/// Whether an operator reads nothing but the value of its operand. A new operator may read more.
fn is_of_a_value(op: UnaryOp) -> bool {
    use UnaryOp::{Datetime, Decimal, Duration, Ip, IsEmpty, Neg, Not};
    use UnaryOp::{IsIPV6, IsIPv4, IsLoopback, IsMulticast};
    use UnaryOp::{ToDate, ToDays, ToHours, ToMilliseconds, ToMinutes, ToSeconds, ToTime};
    matches!(op, Datetime | Decimal | Duration | Ip | IsEmpty | Neg | Not)
        || matches!(op, IsIPV6 | IsIPv4 | IsLoopback | IsMulticast)
        || matches!(op, ToDate | ToDays | ToHours | ToMilliseconds | ToMinutes | ToSeconds | ToTime)
}

/// As [`is_of_a_value`], of both operands.
fn is_of_values(op: BinaryOp) -> bool {
    use BinaryOp::{Add, And, Contains, ContainsAll, ContainsAny, Mul, Or, Sub};
    use BinaryOp::{DecimalGreater, DecimalGreaterEq, DecimalLessEq, DecimalLessThan};
    use BinaryOp::{DurationSince, Greater, GreaterEq, IsInRange, Less, LessEq, Offset};
    matches!(op, Add | And | Contains | ContainsAll | ContainsAny | Mul | Or | Sub)
        || matches!(op, DecimalGreater | DecimalGreaterEq | DecimalLessEq | DecimalLessThan)
        || matches!(op, DurationSince | Greater | GreaterEq | IsInRange | Less | LessEq | Offset)
}

#[cfg(test)]
mod tests;
