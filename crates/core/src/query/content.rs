//! The content that policies read: names of detectors and masks, by the scope of the policies.
//!
//! Must not know: detectors themselves, text. A noun: computed from policies at load, read wherever content is scanned.

use std::collections::BTreeSet;

use super::Keys;

/// What policies of one mode read of a message's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentUse {
    /// Detectors with findings that may be tested (`context.found`); all where some policy uses the set in another way.
    pub tested: Keys,
    /// The `@mask` lists, each once: what one of them names is masked together or not at all.
    pub masks: BTreeSet<BTreeSet<String>>,
    /// `context.inspected` may be read.
    pub inspected: bool,
    /// Media types that may be tested (`context.passed`), as `tested`.
    pub passed: Keys,
}

impl ContentUse {
    /// Adds what `other` reads.
    pub fn merge(&mut self, other: &Self) {
        let Self { tested, masks, inspected, passed } = other;
        self.tested.merge(tested);
        self.masks.extend(masks.iter().cloned());
        self.inspected |= inspected;
        self.passed.merge(passed);
    }

    /// Whether nothing of the content is read, so that nothing has to be scanned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a policy names this media type. A policy that uses the set in another way names none: a part without a name
    /// in a policy counts as unread.
    #[must_use]
    pub fn names_media(&self, media_type: &str) -> bool {
        match &self.passed {
            Keys::All => false,
            Keys::Some(named) => named.contains(media_type),
        }
    }

    /// Whether the findings of a detector are tested or masked.
    #[must_use]
    pub fn needs(&self, detector: &str) -> bool {
        self.tested.contains(detector) || self.masks.iter().any(|mask| mask.contains(detector))
    }
}

/// What the policies of a call, or of an answer, read of its content.
///
/// It covers every call of a service and of a family of actions: some policies of the plan may not apply to one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentPlan {
    /// By the policies that decide.
    pub enforced: ContentUse,
    /// By policies in shadow mode: they may read, and never hold or change a byte.
    pub shadow: ContentUse,
}

impl ContentPlan {
    /// Adds what `other` reads.
    pub fn merge(&mut self, other: &Self) {
        let Self { enforced, shadow } = other;
        self.enforced.merge(enforced);
        self.shadow.merge(shadow);
    }

    /// Whether nothing of the content is read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.enforced.is_empty() && self.shadow.is_empty()
    }

    /// Whether a message has to be inspected before the policies are evaluated.
    #[must_use]
    pub fn is_tested(&self) -> bool {
        [&self.enforced, &self.shadow].into_iter().any(|part| part.inspected || part.tested != Keys::default())
    }

    /// Whether the findings of a detector may be tested.
    #[must_use]
    pub fn tests(&self, detector: &str) -> bool {
        self.enforced.tested.contains(detector) || self.shadow.tested.contains(detector)
    }

    /// Whether the findings of a detector are tested or masked by any of the policies.
    #[must_use]
    pub fn needs(&self, detector: &str) -> bool {
        self.enforced.needs(detector) || self.shadow.needs(detector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_policy_that_names_a_media_type_may_let_it_by() {
        let named = ContentUse { passed: Keys::Some(["image/png".to_owned()].into()), ..ContentUse::default() };
        assert!(named.names_media("image/png") && !named.names_media("image/gif"));
        let used = ContentUse { passed: Keys::All, ..ContentUse::default() };
        assert!(!used.names_media("image/png"));
    }

    #[test]
    fn a_plan_needs_what_is_tested_or_masked_in_either_mode() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let mut plan = ContentPlan::default();
        assert!(plan.is_empty() && !plan.needs("card"));
        let tested = ContentUse { tested: Keys::Some(names(&["card"])), ..ContentUse::default() };
        let masked = ContentUse { masks: [names(&["iban"])].into(), ..ContentUse::default() };
        plan.merge(&ContentPlan { enforced: tested, shadow: masked });
        assert!(plan.needs("card") && plan.needs("iban") && !plan.needs("email"));
        plan.merge(&ContentPlan {
            shadow: ContentUse { tested: Keys::All, ..Default::default() },
            ..Default::default()
        });
        assert!(plan.needs("email") && !plan.enforced.needs("email"));
    }
}
