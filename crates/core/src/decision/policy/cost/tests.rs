//! Estimates are linear upper bounds: Cedar never exceeds them, for random policies and random values.
//!
//! Every run draws new values and prints its seed; `PROPS_SEED=<seed>` repeats a run.

use proptest::prelude::*;

use super::*;
use crate::decision::allowance::{Allowance, POLICY_COST_MAX};
use crate::decision::engine::eval_inputs;
use crate::decision::engine::evaluate::{Prepared, evaluate_each};
use crate::decision::engine::projection::Projection;
use crate::decision::read_set::ReadSet;
use crate::decision::schema::Types;
use crate::query::{self, Node, Query, Uid, Value};

fn cost(condition: &str) -> Cost {
    Cost::of_policy(&format!("forbid (principal, action, resource) when {{ {condition} }};").parse().unwrap())
}

#[test]
fn a_name_compared_with_a_literal_costs_the_same_for_every_call() {
    for condition in [
        r#"context.a.b == "x""#,
        r#"context has a && context.a has b && context.a.b"#,
        r#"context.args.hasTag("/x")"#,
        r#"context.groups.contains("x")"#,
        "context.n < 5 && context.n + 1 > 2",
        r#"principal is Workload"#,
    ] {
        let hashed = cost(condition).per_byte;
        assert!(hashed <= HASHED, "{condition}: {hashed}");
    }
}

#[test]
fn patterns_cost_by_their_longest_run_behind_a_star() {
    let per_byte = |pattern: &str| cost(&format!("context.a like \"{pattern}\"")).per_byte;
    assert_eq!(per_byte("aaaaaaaa*"), UNPACKED);
    assert_eq!(per_byte("*aaaaaaaa"), UNPACKED + TRIED * 8);
    assert_eq!(per_byte("*aaa*aaaaa*aa"), UNPACKED + TRIED * 5);
    let both = cost(r#"context.a like "*aa" || context.a like "*aaaa""#).per_byte;
    assert_eq!(both, 2 * UNPACKED + TRIED * 6);
}

#[test]
fn a_value_made_of_several_counts_as_all_of_them() {
    let one = cost("[context.a] == context.b").per_byte;
    let many = cost(&format!("[{}] == context.b", ["context.a"; 100].join(", "))).per_byte;
    assert!(many > 40 * one, "{one} {many}");
    let nested = cost("{x: {y: context.a, z: context.a}, w: context.a} == context.b").per_byte;
    assert_eq!(nested, 4 * COMPARED);
}

#[test]
fn sums_do_not_overflow() {
    let mut cost = Cost { fixed: u64::MAX - 1, per_byte: u64::MAX - 1 };
    cost.add(Cost { fixed: 5, per_byte: 5 });
    assert_eq!((cost.fixed, cost.per_byte, cost.with(usize::MAX)), (u64::MAX, u64::MAX, u64::MAX));
}

/// The input of a call: two texts, a set of texts, a set of records, a record.
#[derive(Debug, Clone)]
struct Sent {
    text: String,
    texts: usize,
    records: usize,
    key: String,
}

fn query(sent: &Sent) -> Query {
    let Sent { text, texts, records, key } = sent;
    let numbered = |n: usize| format!("{n:0>width$}", width = (text.len() / texts.max(&1)).min(4096));
    let record = |n: usize| Value::Record(query::record([("a", numbered(n).as_str().into()), ("n", Value::Long(1))]));
    let all: query::Record = (0..*records).map(|n| (format!("k{n}").as_str().into(), Value::Long(1))).collect();
    let mut principal = Node::new(Uid::new("Workload", "w"));
    principal.tags = (0..*records).map(|n| (format!("{key}{n}").as_str().into(), text.as_str().into())).collect();
    Query {
        principal,
        action: "GET".into(),
        resource: Node::new(Uid::new("Path", "n/s/")),
        context: query::record([
            ("t", text.as_str().into()),
            ("u", format!("{text}b").as_str().into()),
            ("s", Value::Set((0..*texts).map(|n| numbered(n).as_str().into()).collect())),
            ("q", Value::Set((0..*records).map(record).collect())),
            ("r", Value::Record(all)),
        ]),
        bags: Vec::new(),
        namespace: "n".into(),
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let text = (prop::sample::select(vec!["a", "ab", "é", "1", "10.0.0.", "-", "aaab", "0"]), 1_usize..40_000);
    (text, 0_usize..1_500, 0_usize..700, "[a-c]{0,40}").prop_map(|((piece, times), texts, records, key)| {
        let times = times / piece.len();
        Sent { text: piece.repeat(times.max(1)), texts, records, key }
    })
}

fn texts() -> impl Strategy<Value = String> {
    let literal = prop::sample::select(vec!["\"a\"", "\"127.0.0.1\"", "\"1.0\""]).prop_map(str::to_owned);
    let leaf = prop_oneof![Just("context.t".to_owned()), Just("context.u".to_owned()), literal];
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(if {a} == {b} then {a} else {b})")),
            inner.prop_map(|key| format!("(if principal.hasTag({key}) then principal.getTag({key}) else {key})")),
        ]
    })
}

fn sets() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("context.s".to_owned()), Just("context.q".to_owned())];
    leaf.prop_recursive(3, 12, 6, |inner| {
        prop_oneof![
            (texts(), 1_usize..60).prop_map(|(text, times)| format!("[{}]", vec![text; times].join(", "))),
            (1_usize..400)
                .prop_map(|n| format!("[{}]", (0..n).map(|n| format!("\"l{n}\"")).collect::<Vec<_>>().join(", "))),
            prop::collection::vec(inner.clone(), 1..6).prop_map(|sets| format!("[{}]", sets.join(", "))),
            inner.prop_map(|set| format!("[{{a: {set}, b: context.r}}, context.r]")),
        ]
    })
}

fn pattern() -> impl Strategy<Value = String> {
    let run =
        (prop::sample::select(vec!["a", "b", "ab", "é", "0"]), 0_usize..120).prop_map(|(piece, n)| piece.repeat(n));
    prop::collection::vec(run, 1..5).prop_map(|runs| format!("*{}*", runs.join("*")))
}

fn tests() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (texts(), pattern()).prop_map(|(text, pattern)| format!("{text} like \"{pattern}\"")),
        (texts(), texts()).prop_map(|(a, b)| format!("{a} == {b}")),
        (sets(), sets()).prop_map(|(a, b)| format!("{a} == {b}")),
        (sets(), sets()).prop_map(|(a, b)| format!("{a}.containsAll({b})")),
        (sets(), sets()).prop_map(|(a, b)| format!("{a}.containsAny({b})")),
        (sets(), sets()).prop_map(|(a, b)| format!("{a}.contains({b})")),
        (sets(), texts()).prop_map(|(a, b)| format!("{a}.contains({b})")),
        Just("context.r == {x: context.r, y: context.r}.x".to_owned()),
        texts().prop_map(|text| format!("ip({text}).isLoopback()")),
        texts().prop_map(|text| format!("decimal({text}).lessThan(decimal(\"1.0\"))")),
        texts().prop_map(|text| format!("datetime({text}) < datetime(\"2026-01-01\")")),
        texts().prop_map(|text| format!("principal.getTag({text}) == \"x\"")),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) && ({b}))")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) || ({b}))")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

/// CPU time of this thread, in nanoseconds: the work of other threads does not count.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

/// Evaluates a condition; returns its cost and the estimate.
fn measured(condition: &str, sent: &Sent, types: &Types) -> (u64, u64, usize) {
    let policy: Policy = format!("forbid (principal, action, resource) when {{ {condition} }};").parse().unwrap();
    let cost = Cost::of_policy(&policy);
    let query = query(sent);
    let mut read_set = ReadSet { whole_context: true, ..ReadSet::default() };
    read_set.principal.whole = true;
    let projection = Projection::new(&read_set);
    let project = projection.project(&query);
    let (eval_inputs, bytes) = (eval_inputs::build(&project, types).unwrap(), project.bytes());
    let prepared = [Prepared::new(&policy, 0, cost)];
    let before = cpu();
    let found = evaluate_each(&prepared, eval_inputs, bytes, &Allowance::unbounded()).unwrap();
    let spent = cpu() - before;
    (spent, cost.with(bytes), found.forbid_errors.values().map(String::len).max().unwrap_or(0))
}

#[cfg(target_os = "linux")]
#[test]
fn an_evaluation_costs_no_more_than_its_estimate() {
    let types = Types::new("").unwrap();
    let worst = std::cell::Cell::new(0);
    picket_properties::holds(100, (tests(), sent()), |(condition, sent)| {
        // The estimate is for release builds; it excludes the machine's caches and the clock's resolution.
        let is_kept = |(spent, estimated, _): &(u64, u64, usize)| *spent <= SLOWER * estimated + 4_000_000;
        let (spent, estimated, said) = measured(&condition, &sent, &types);
        worst.set(worst.get().max(100 * spent / (estimated + 1_000_000)));
        assert!(said < 600, "a failure has {said} bytes");
        // One excess may be chance: a page fault, a slower clock of the CPU.
        let kept = is_kept(&(spent, estimated, said)) || (0..2).any(|_| is_kept(&measured(&condition, &sent, &types)));
        assert!(kept, "{spent} ns spent and {estimated} ns estimated");
    });
    println!("the worst took {} % of its estimate", worst.get());
}

/// How much slower than estimated an evaluation may be: a debug build does not optimise Cedar either. A cost that is
/// not linear exceeds it by thousands.
const SLOWER: u64 = if cfg!(debug_assertions) { 10 } else { 2 };

#[test]
fn a_policy_that_could_cost_too_much_is_not_evaluated_and_fails() {
    let types = Types::new("").unwrap();
    let likes = vec![format!("context.t like \"*{}b*\"", "a".repeat(250)); 12].join(" || ");
    let sent = Sent { text: "a".repeat(900_000), texts: 1, records: 1, key: String::new() };
    let (spent, estimated, said) = measured(&likes, &sent, &types);
    assert!(estimated > POLICY_COST_MAX && spent < 20_000_000 && said > 0, "{spent} of {estimated}");
    let small = Sent { text: "a".repeat(900), ..sent };
    let (_, estimated, said) = measured(&likes, &small, &types);
    assert!(estimated < POLICY_COST_MAX && said == 0, "{estimated}");
}

#[test]
fn an_error_never_quotes_the_whole_input() {
    let types = Types::new("").unwrap();
    let sent = Sent { text: "é".repeat(400_000), texts: 1, records: 1, key: String::new() };
    for condition in
        ["ip(context.t).isLoopback()", "decimal(context.t) == decimal(\"1.0\")", "principal.getTag(context.t) == \"\""]
    {
        let (_, _, said) = measured(condition, &sent, &types);
        assert!((1..600).contains(&said), "{condition}: {said}");
    }
}
