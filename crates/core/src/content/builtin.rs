//! The built-in detectors: names, patterns, validators.
//!
//! Knows: formats of numbers, addresses and keys. Must not know: masks that an operator chose, streams.
//!
//! One file a family. Each has its patterns, its validators, and a corpus of hits and near misses as tests. Corpora compose
//! their keys from parts, so that no scanner of repositories takes this one for a leak.

pub mod cloud;
pub mod contact;
pub mod network;
pub mod payment;
pub mod person;
pub mod secret;
pub mod token;

#[cfg(test)]
mod tests;

use super::detector::{Detector, Pattern};
use super::mask::Mask;
use super::pattern::PatternError;
use super::validator::Validator;

/// A detector that every installation has.
#[derive(Debug)]
pub struct Builtin {
    /// Its name in policies and in `builtin:`.
    pub name: &'static str,
    /// When it is in a set.
    pub activation: Activation,
    forms: &'static [Form],
}

/// When a built-in detector is in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Always, unless the file gives its name to another detector.
    Always,
    /// Only where `detectors.yaml` names it.
    Named,
}

/// One pattern of a built-in detector.
#[derive(Debug)]
pub struct Form {
    pattern: &'static str,
    validator: Validator,
}

const fn form(pattern: &'static str, validator: Validator) -> Form {
    Form { pattern, validator }
}

const fn builtin(name: &'static str, forms: &'static [Form]) -> Builtin {
    Builtin { name, activation: Activation::Always, forms }
}

/// All built-in detectors. Of equal values the earlier wins.
pub static ALL: [Builtin; 17] = [
    builtin("card", &payment::CARD),
    builtin("iban", &payment::IBAN),
    builtin("email", &contact::EMAIL),
    builtin("phone", &contact::PHONE),
    builtin("us_ssn", &person::US_SSN),
    builtin("ip_address", &network::IP_ADDRESS),
    builtin("private_key", &secret::PRIVATE_KEY),
    builtin("jwt", &secret::JWT),
    builtin("aws_key", &cloud::AWS_KEY),
    builtin("gcp_key", &cloud::GCP_KEY),
    builtin("azure_key", &cloud::AZURE_KEY),
    builtin("github_token", &token::GITHUB_TOKEN),
    builtin("slack_token", &token::SLACK_TOKEN),
    builtin("stripe_key", &token::STRIPE_KEY),
    builtin("openai_key", &token::OPENAI_KEY),
    builtin("anthropic_key", &token::ANTHROPIC_KEY),
    Builtin { name: "generic_secret", activation: Activation::Named, forms: &secret::GENERIC_SECRET },
];

/// The built-in detector of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Builtin> {
    ALL.iter().find(|builtin| builtin.name == name)
}

impl Builtin {
    /// Its patterns.
    ///
    /// # Errors
    /// None for the built-in patterns, which a test parses.
    pub fn patterns(&self) -> Result<Vec<Pattern>, PatternError> {
        self.forms.iter().map(|form| Pattern::parse(form.pattern, form.validator.clone())).collect()
    }

    /// The detector with its default mask.
    ///
    /// # Errors
    /// As [`Self::patterns`].
    pub fn detector(&self) -> Result<Detector, PatternError> {
        Ok(Detector { name: self.name.to_owned(), patterns: self.patterns()?, mask: Mask::named(self.name) })
    }
}
