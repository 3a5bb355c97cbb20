//! Checks the values of `detectors.yaml`, and builds the detectors.
//!
//! Knows: the written file, the built-in detectors. Must not know: YAML's syntax.

mod mask;

use serde_saphyr::Spanned;

use super::automaton::Extent;
use super::builtin::contact::EMAIL_PATTERN;
use super::builtin::{self, Activation};
use super::detector::{Detector, Pattern};
use super::detectors::{Detectors, FieldDetector};
use super::file::{DetectorsFile, Email, Entry, Text, span_of};
use super::json_path::JsonPath;
use super::mask::Mask;
use super::scanner::HOLD_BYTES_MAX;
use super::validator::Validator;
use super::{pattern, words};
use crate::problem::{Problem, nearest};

/// Most detectors of a file.
const DETECTORS_MAX: usize = 200;
/// Most words, domains or paths of one detector.
const ITEMS_MAX: usize = 1000;
const KINDS: &str = "a detector has one of: pattern, email, words, fields, builtin";

/// Checks the file and adds the built-in detectors.
pub(super) fn detectors(file: &str, written: DetectorsFile) -> Result<Detectors, Vec<Problem>> {
    let mut check = Check { file, problems: Vec::new(), text: Vec::new(), fields: Vec::new(), notes: Vec::new() };
    let entries = written.detectors.0;
    if let Some((first_too_many, _)) = entries.get(DETECTORS_MAX) {
        let message = format!("the file has {} detectors", entries.len());
        check.error(message, Some(first_too_many), format!("write at most {DETECTORS_MAX}"));
    }
    for (at, (name, entry)) in entries.iter().enumerate() {
        if entries.iter().take(at).any(|(earlier, _)| earlier.value == name.value) {
            check.error(format!("detector `{}` is written twice", name.value), Some(name), "write it once".to_owned());
        }
        check.name(name, entry);
        check.entry(name, entry);
    }
    check.built_in(&entries.iter().map(|(name, _)| name.value.as_str()).collect::<Vec<_>>());
    check.finished()
}

struct Check<'a> {
    file: &'a str,
    problems: Vec<Problem>,
    text: Vec<Detector>,
    fields: Vec<FieldDetector>,
    notes: Vec<Problem>,
}

impl Check<'_> {
    fn error<T>(&mut self, message: String, at: Option<&Spanned<T>>, help: String) {
        self.problems.push(Problem::error(self.file, message).at(at.and_then(span_of)).help(help));
    }

    fn name(&mut self, name: &Text, entry: &Entry) {
        if !is_name(&name.value) {
            let help = "a name begins with a letter and has up to 64 of a-z, 0-9 and `_`".to_owned();
            self.error(format!("`{}` is not a name of a detector", name.value), Some(name), help);
        }
        let is_itself = entry.builtin.as_ref().is_some_and(|builtin| builtin.value == name.value);
        if builtin::find(&name.value).is_some() && !is_itself {
            let help = format!("choose another name, or write `builtin: {}`", name.value);
            self.error(format!("`{}` is a built-in detector", name.value), Some(name), help);
        }
    }

    fn entry(&mut self, name: &Text, entry: &Entry) {
        match entry {
            Entry { pattern: Some(pattern), email: None, words: None, fields: None, builtin: None, mask } => {
                let parsed = self.pattern(name, pattern);
                self.detector(name, parsed.into_iter().collect(), mask.as_ref());
            }
            Entry { pattern: None, email: Some(email), words: None, fields: None, builtin: None, mask } => {
                let patterns = self.email(name, email);
                self.detector(name, patterns, mask.as_ref());
            }
            Entry { pattern: None, email: None, words: Some(words), fields: None, builtin: None, mask } => {
                let patterns = self.words(name, words);
                self.detector(name, patterns, mask.as_ref());
            }
            Entry { pattern: None, email: None, words: None, fields: Some(paths), builtin: None, mask } => {
                let paths = self.paths(name, paths);
                if let Some(mask) = self.field_mask(name, mask.as_ref()) {
                    self.fields.push(FieldDetector { name: name.value.clone(), paths, mask });
                }
            }
            Entry { pattern: None, email: None, words: None, fields: None, builtin: Some(builtin), mask } => {
                let patterns = self.builtin(name, builtin);
                self.detector(name, patterns, mask.as_ref());
            }
            Entry { pattern: None, email: None, words: None, fields: None, builtin: None, mask: _ } => {
                self.error(format!("detector `{}` finds nothing", name.value), Some(name), KINDS.to_owned());
            }
            Entry { .. } => {
                self.error(format!("detector `{}` is of several kinds", name.value), Some(name), KINDS.to_owned());
            }
        }
    }

    fn pattern(&mut self, name: &Text, written: &Text) -> Option<Pattern> {
        match Pattern::parse(&written.value, Validator::None) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let message = format!("detector `{}`: {error}", name.value);
                self.error(message, Some(written), pattern::PatternError::help(&error).to_owned());
                None
            }
        }
    }

    fn email(&mut self, name: &Text, email: &Email) -> Vec<Pattern> {
        self.items(name, "domains", &email.domains);
        let mut domains = Vec::new();
        for domain in &email.domains.value {
            if is_domain(&domain.value) {
                domains.push(domain.value.to_ascii_lowercase());
            } else {
                let message = format!("detector `{}`: `{}` is not a domain", name.value, domain.value);
                self.error(message, Some(domain), "write it as in `corp.example`, without `@`".to_owned());
            }
        }
        Pattern::parse(EMAIL_PATTERN, Validator::Domains(domains)).into_iter().collect()
    }

    fn words(&mut self, name: &Text, words: &Spanned<Vec<Text>>) -> Vec<Pattern> {
        self.items(name, "words", words);
        let mut patterns = Vec::new();
        for word in &words.value {
            match words::pattern(&word.value) {
                Ok(pattern) => patterns.extend(Pattern::parse(&pattern, Validator::Word)),
                Err(error) => {
                    let message = format!("detector `{}`: word `{}` {error}", name.value, word.value);
                    self.error(message, Some(word), "use a longer word, or a `pattern`".to_owned());
                }
            }
        }
        patterns
    }

    fn paths(&mut self, name: &Text, paths: &Spanned<Vec<Text>>) -> Vec<JsonPath> {
        self.items(name, "fields", paths);
        let mut parsed = Vec::new();
        for path in &paths.value {
            match JsonPath::parse(&path.value) {
                Ok(path) => parsed.push(path),
                Err(error) => {
                    let message = format!("detector `{}`: path `{}`: {error}", name.value, path.value);
                    let help = "write a path from the root of the result (RFC 9535), such as `$..salary`".to_owned();
                    self.error(message, Some(path), help);
                }
            }
        }
        parsed
    }

    fn items(&mut self, name: &Text, key: &str, items: &Spanned<Vec<Text>>) {
        let count = items.value.len();
        if count == 0 || count > ITEMS_MAX {
            let message = format!("detector `{}`: `{key}` has {count} items", name.value);
            self.error(message, Some(items), format!("write 1 to {ITEMS_MAX}"));
        }
    }

    fn builtin(&mut self, name: &Text, builtin: &Text) -> Vec<Pattern> {
        if let Some(found) = builtin::find(&builtin.value) {
            return found.patterns().unwrap_or_default();
        }
        let known = || builtin::ALL.iter().map(|known| known.name);
        let list = format!("built in: {}", known().collect::<Vec<_>>().join(", "));
        let near = nearest(&builtin.value, known()).map(|near| format!("did you mean `{near}`? "));
        let message = format!("detector `{}`: there is no built-in detector `{}`", name.value, builtin.value);
        self.error(message, Some(builtin), near.unwrap_or_default() + &list);
        Vec::new()
    }

    /// Checks what patterns and mask need together, and keeps the detector.
    fn detector(&mut self, name: &Text, patterns: Vec<Pattern>, mask: Option<&Spanned<super::file::MaskForm>>) {
        let Some(mask) = self.text_mask(name, mask) else { return };
        let mut extents = Vec::new();
        for pattern in &patterns {
            let extent = pattern.extent(&mask);
            extents.extend(extent.as_ref().ok().copied());
            match extent {
                Ok(Extent::Bounded { bytes_max } | Extent::OpenEnded { prefix_bytes_max: bytes_max })
                    if bytes_max > HOLD_BYTES_MAX =>
                {
                    let message = format!("detector `{}`: {bytes_max} bytes must be held for a match", name.value);
                    self.error(message, Some(name), format!("repeat less: at most {HOLD_BYTES_MAX} bytes are held"));
                }
                Ok(Extent::OpenEnded { .. } | Extent::Run) if matches!(mask, Mask::Pseudonym { .. }) => {
                    let message = format!("detector `{}`: a stand-in needs a value of limited length", name.value);
                    self.error(message, Some(name), "limit each repetition: `{1,64}` instead of `+`".to_owned());
                }
                Ok(Extent::Bounded { .. } | Extent::OpenEnded { .. } | Extent::Run) => {}
                Err(error) => {
                    let help = "limit its repetitions, or use ASCII classes such as `[0-9]`".to_owned();
                    self.error(format!("detector `{}`: a pattern {error}", name.value), Some(name), help);
                }
            }
        }
        if let Some(extent) = extents.into_iter().max_by_key(reach) {
            let message = format!("detector `{}`: {extent}", name.value);
            self.notes.push(Problem::note(self.file, message).at(span_of(name)));
        }
        self.text.push(Detector { name: name.value.clone(), patterns, mask });
    }

    /// Adds the built-in detectors that the file does not name.
    fn built_in(&mut self, named: &[&str]) {
        let is_active =
            |found: &&builtin::Builtin| found.activation == Activation::Always && !named.contains(&found.name);
        self.text.extend(builtin::ALL.iter().filter(is_active).filter_map(|found| found.detector().ok()));
    }

    fn finished(mut self) -> Result<Detectors, Vec<Problem>> {
        let detectors = Detectors { text: self.text, fields: self.fields, notes: self.notes };
        if self.problems.is_empty()
            && let Err(error) = detectors.matcher(|_| true)
        {
            let problem = Problem::error(self.file, format!("the set of all detectors {error}"));
            self.problems.push(problem.help("remove detectors or words, or limit repetitions"));
        }
        if self.problems.is_empty() { Ok(detectors) } else { Err(self.problems) }
    }
}

/// Orders extents by the text that a stream holds for them.
fn reach(extent: &Extent) -> (bool, usize) {
    match extent {
        Extent::Bounded { bytes_max } | Extent::OpenEnded { prefix_bytes_max: bytes_max } => (false, *bytes_max),
        Extent::Run => (true, 0),
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= 64 && name.bytes().all(is_part) && name.starts_with(|first: char| first.is_ascii_lowercase())
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_part)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.len() <= 253 && domain.contains('.') && domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
