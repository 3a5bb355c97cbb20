//! Counts findings by service and detector.
//!
//! Knows: names. Must not know: what was found, the exposition format.
//!
//! Detectors are those of the policy tree, and services those of the catalogue. A service that is not listed there has a
//! name of the proxy's choice, and counts as [`OTHER`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use smol_str::SmolStr;

use super::Sample;
use super::series::OTHER;

/// Counters by service and detector; absent until the first finding.
#[derive(Debug, Default)]
pub(super) struct Findings(Mutex<BTreeMap<(String, SmolStr), u64>>);

impl Findings {
    /// Counts one call of a service.
    pub fn count(&self, service: &str, found: &BTreeSet<SmolStr>) {
        if found.is_empty() {
            return;
        }
        let is_listed = !service.contains('@');
        let service = if is_listed { service } else { OTHER };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for detector in found {
            *counts.entry((service.to_owned(), detector.clone())).or_default() += 1;
        }
    }

    /// Every counter, by service, then detector.
    pub fn samples(&self) -> Vec<Sample> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
        let sample =
            |((service, detector), count): (&(String, SmolStr), &u64)| Sample::new([service, detector], *count as f64);
        counts.iter().map(sample).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_counted_by_service_and_detector() {
        let findings = Findings::default();
        let both: BTreeSet<SmolStr> = ["card".into(), "jwt".into()].into();
        findings.count("shop/orders", &both);
        findings.count("shop/orders", &["card".into()].into());
        findings.count("shop/orders", &BTreeSet::new());
        findings.count("shop/@sa-of-a-stranger", &["card".into()].into());
        let counted: Vec<_> = findings.samples().into_iter().map(|sample| (sample.labels, sample.value)).collect();
        let labels = |service: &str, detector: &str| vec![service.to_owned(), detector.to_owned()];
        assert_eq!(
            counted,
            [
                (labels("_other", "card"), 1.0),
                (labels("shop/orders", "card"), 2.0),
                (labels("shop/orders", "jwt"), 1.0)
            ]
        );
    }
}
