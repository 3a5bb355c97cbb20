//! Estimates the highest cost of evaluating a policy, once at load.
//!
//! Knows: Cedar's core crate, and how its evaluator works. Must not know: calls, deadlines.
//!
//! Cedar has no loops, but single operators are linear in the caller's input: `like` takes the text's length times the
//! pattern's, sets are hashed, records compared. The estimate is linear, `fixed + per_byte * bytes`, where `bytes` is
//! the size of all inputs of the policy in one call. The unit is a nanosecond on a slow core at worst. Most evaluations
//! take a tenth, since texts are rarely the worst case of every pattern.

use cedar_policy::Policy;
use cedar_policy_core::ast::{self, BinaryOp, Expr, ExprKind, Literal, Pattern, PatternElem};

/// The cost of an evaluation as a linear function of its input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    fixed: u64,
    per_byte: u64,
}

/// Any expression: a call of the evaluator, and its value.
const NODE: u64 = 60;
/// Any call of an extension function: its text is parsed.
const EXTENSION: u64 = 3_000;
/// A byte of a text that an extension function parses, or that its error quotes.
const PARSED: u64 = 12;
/// A byte of a value that is hashed or compared once.
const HASHED: u64 = 2;
/// A byte of sets or records that are compared: every element costs as much as several bytes.
const COMPARED: u64 = 20;
/// A byte of a text that is decoded into characters before a pattern is tried.
const UNPACKED: u64 = 6;
/// One character of a pattern tried at one place of a text.
const TRIED: u64 = 2;
/// A byte of a call's input, converted into Cedar's values before the evaluation.
const BUILT: u64 = 4;

impl Cost {
    /// The cost of a condition.
    #[must_use]
    pub fn of(condition: &Expr) -> Self {
        let mut cost = Self::default();
        walk(condition, &mut cost);
        cost
    }

    /// The cost of a policy's conditions.
    #[must_use]
    pub fn of_policy(policy: &Policy) -> Self {
        let policy: &ast::Policy = policy.as_ref();
        policy.non_scope_constraints().map(Self::of).unwrap_or_default()
    }

    /// The cost of converting a call's input into Cedar's values.
    #[must_use]
    pub fn of_inputs() -> Self {
        Self { fixed: 0, per_byte: BUILT }
    }

    /// Adds another cost.
    pub fn add(&mut self, other: Self) {
        self.fixed = self.fixed.saturating_add(other.fixed);
        self.per_byte = self.per_byte.saturating_add(other.per_byte);
    }

    /// The cost in a call with an input of `bytes`.
    #[must_use]
    pub fn with(&self, bytes: usize) -> u64 {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.per_byte.saturating_mul(bytes).saturating_add(self.fixed)
    }

    /// Counts work of `rate` for each byte of `operand`.
    fn linear(&mut self, rate: u64, operand: Operand) {
        self.per_byte = self.per_byte.saturating_add(rate.saturating_mul(operand.reached));
        self.fixed = self.fixed.saturating_add(rate.saturating_mul(operand.written));
    }
}

/// The largest size of a value: `reached` times all the call's input, and `written` bytes of the policy's own.
#[derive(Debug, Clone, Copy, Default)]
struct Operand {
    reached: u64,
    written: u64,
}

impl Operand {
    /// A value from the call.
    const REACHED: Self = Self { reached: 1, written: 0 };
    /// Truth values, numbers and names.
    const SMALL: Self = Self { reached: 0, written: 16 };

    fn and(self, other: Self) -> Self {
        Self {
            reached: self.reached.saturating_add(other.reached),
            written: self.written.saturating_add(other.written),
        }
    }

    fn or(self, other: Self) -> Self {
        Self { reached: self.reached.max(other.reached), written: self.written.max(other.written) }
    }
}

fn walk(expr: &Expr, cost: &mut Cost) -> Operand {
    cost.fixed = cost.fixed.saturating_add(NODE);
    match expr.expr_kind() {
        ExprKind::Lit(literal) => written(literal),
        ExprKind::Var(_) | ExprKind::Slot(_) | ExprKind::Unknown(_) => Operand::REACHED,
        ExprKind::If { test_expr, then_expr, else_expr } => {
            walk(test_expr, cost);
            walk(then_expr, cost).or(walk(else_expr, cost))
        }
        ExprKind::And { left, right } | ExprKind::Or { left, right } => {
            walk(left, cost);
            walk(right, cost);
            Operand::SMALL
        }
        ExprKind::UnaryApp { arg: expr, .. }
        | ExprKind::HasAttr { expr, .. }
        | ExprKind::ExtHasAttr { expr, .. }
        | ExprKind::Is { expr, .. } => {
            walk(expr, cost);
            Operand::SMALL
        }
        ExprKind::BinaryApp { op, arg1, arg2 } => {
            let operands = [walk(arg1, cost), walk(arg2, cost)];
            binary(*op, [&**arg1, &**arg2], operands, cost)
        }
        ExprKind::ExtensionFunctionApp { args, .. } => {
            cost.fixed = cost.fixed.saturating_add(EXTENSION);
            let operand = all(args.iter(), cost);
            cost.linear(PARSED, operand);
            operand
        }
        ExprKind::GetAttr { expr, .. } => walk(expr, cost),
        ExprKind::Like { expr, pattern } => {
            let text = walk(expr, cost);
            // A text is one value, however many it is chosen from.
            let text = Operand { reached: text.reached.min(1), ..text };
            cost.linear(UNPACKED + TRIED.saturating_mul(longest_run(pattern)), text);
            Operand::SMALL
        }
        ExprKind::Set(items) => {
            let operand = all(items.iter(), cost);
            // Sorted, then hashed.
            let rounds = u64::from(items.len().checked_ilog2().unwrap_or(0)) + 1;
            cost.linear(HASHED.saturating_mul(1 + rounds), operand);
            operand
        }
        ExprKind::Record(fields) => all(fields.values(), cost),
    }
}

fn all<'a>(exprs: impl Iterator<Item = &'a Expr>, cost: &mut Cost) -> Operand {
    exprs.fold(Operand::default(), |sum, expr| sum.and(walk(expr, cost)))
}

fn binary(op: BinaryOp, args: [&Expr; 2], operands: [Operand; 2], cost: &mut Cost) -> Operand {
    let [left, right] = operands;
    let [is_left_written, is_right_written] = args.map(is_literal);
    match op {
        BinaryOp::Eq if is_left_written || is_right_written => {
            // Lengths are compared first, so no more than the literal's length is read.
            cost.linear(HASHED, Operand { reached: 0, ..left.and(right) });
            Operand::SMALL
        }
        BinaryOp::Eq | BinaryOp::ContainsAll | BinaryOp::ContainsAny => {
            cost.linear(COMPARED, left.and(right));
            Operand::SMALL
        }
        BinaryOp::Contains => {
            match (left.reached, is_right_written) {
                (_, true) => cost.linear(HASHED, right),
                (0, false) => cost.linear(HASHED, right),
                (_, false) => cost.linear(COMPARED, left.and(right)),
            }
            Operand::SMALL
        }
        BinaryOp::In => {
            let rate = if is_right_written { HASHED } else { COMPARED };
            cost.linear(rate, left.and(right));
            Operand::SMALL
        }
        BinaryOp::HasTag | BinaryOp::GetTag => {
            cost.linear(HASHED, left);
            // An error quotes the key.
            cost.linear(if is_right_written { HASHED } else { PARSED }, right);
            if op == BinaryOp::GetTag { Operand::REACHED } else { Operand::SMALL }
        }
        BinaryOp::Less | BinaryOp::LessEq | BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul => Operand::SMALL,
    }
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr.expr_kind(), ExprKind::Lit(_))
}

fn written(literal: &Literal) -> Operand {
    let bytes = match literal {
        Literal::String(text) => text.len(),
        Literal::EntityUID(uid) => AsRef::<str>::as_ref(uid.eid()).len(),
        Literal::Bool(_) | Literal::Long(_) => 0,
    };
    Operand { reached: 0, written: u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(16) }
}

/// The longest run of characters behind a `*`: if it does not match, it is tried again one character later. The
/// characters before the first `*` are tried once.
#[must_use]
pub fn longest_run(pattern: &Pattern) -> u64 {
    let (mut longest, mut run, mut is_behind) = (0_u64, 0_u64, false);
    for element in pattern.get_elems() {
        match element {
            PatternElem::Wildcard => (run, is_behind) = (0, true),
            PatternElem::Char(_) => run += 1,
        }
        if is_behind {
            longest = longest.max(run);
        }
    }
    longest
}

#[cfg(test)]
mod tests;
