//! Runs property tests: every run draws new inputs from a seed and prints it.
//!
//! Knows: proptest, the environment variables `PROPS_SEED` and `PROPS_CASES`. Must not know: what is tested. Only tests use it.
//!
//! `PROPS_SEED=<seed>` repeats a run, `PROPS_CASES=<n>` runs another number of cases. A failure prints the seed again.
//!
//! ```
//! picket_properties::holds(50, 0_u32..1_000, |number| assert_eq!(number.to_string().parse(), Ok(number)));
//! ```

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// The seed of this run, printed: `PROPS_SEED`, or else a new one.
#[must_use]
pub fn seed() -> u64 {
    let seed = number("PROPS_SEED").unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1);
    println!("PROPS_SEED={seed}");
    seed
}

/// How many cases are run: `PROPS_CASES`, or else `default`.
#[must_use]
pub fn cases(default: u32) -> u32 {
    number("PROPS_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(default)
}

/// Draws inputs and checks the claim for each.
///
/// # Panics
/// With the seed and the smallest input that was found for which the claim panics.
#[expect(clippy::panic, reason = "a claim that does not hold fails its test")]
pub fn holds<S: Strategy>(default_cases: u32, inputs: S, claim: impl Fn(S::Value))
where
    S::Value: Debug,
{
    let seed = seed();
    let mut bytes = [0; 32];
    let (first, _) = bytes.split_at_mut(8);
    first.copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    // The seed is all that is needed to see a failure again, so no file is written.
    let config =
        Config { cases: cases(default_cases), failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let outcome = TestRunner::new_with_rng(config, random).run(&inputs, |input| {
        claim(input);
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, input)) => panic!("PROPS_SEED={seed}: {reason}\nfor {input:#?}"),
        Err(TestError::Abort(reason)) => panic!("PROPS_SEED={seed}: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "for 700")]
    fn a_claim_that_does_not_hold_fails_with_the_smallest_input() {
        holds(1_000, 0_u32..1_000, |number| assert!(number < 700));
    }
}
