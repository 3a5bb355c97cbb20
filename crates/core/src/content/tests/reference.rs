//! An independent scan of whole texts: each pattern is tried at every place, by another engine.

use regex::Regex;

use crate::content::detector::Detector;
use crate::content::mask::{KEEP_LAST_MAX, Mask};
use crate::content::validator::Candidate;

/// The text with masks, and detector and offset of every value.
pub(super) type Scan = (String, Vec<(usize, u64)>);

/// Detectors with their patterns compiled to match a whole slice.
pub(super) struct Reference {
    detectors: Vec<Detector>,
    patterns: Vec<Vec<(Regex, Regex)>>,
}

impl Reference {
    pub fn new(detectors: &[Detector]) -> Self {
        let compile = |source: &str| {
            let begins = Regex::new(&format!(r"\A(?:{source})")).unwrap();
            (begins, Regex::new(&format!(r"\A(?:{source})\z")).unwrap())
        };
        let patterns = detectors.iter().map(|found| found.patterns.iter().map(|p| compile(&p.source)).collect());
        Self { patterns: patterns.collect(), detectors: detectors.to_vec() }
    }

    /// Leftmost, then longest, then the order of the detectors.
    pub fn scan(&self, text: &str) -> Scan {
        let (mut output, mut findings, mut at) = (String::new(), Vec::new(), 0);
        while let Some(next) = text[at..].chars().next() {
            match self.best(text, at) {
                Some((bytes, detector)) => {
                    output.push_str(&masked(&self.detectors[detector].mask, &text[at..at + bytes]));
                    findings.push((detector, at as u64));
                    at += bytes;
                }
                None => {
                    output.push(next);
                    at += next.len_utf8();
                }
            }
        }
        (output, findings)
    }

    fn best(&self, text: &str, at: usize) -> Option<(usize, usize)> {
        let mut best: Option<(usize, usize)> = None;
        for (number, detector) in self.detectors.iter().enumerate() {
            for (pattern, (begins, whole)) in detector.patterns.iter().zip(&self.patterns[number]) {
                if !begins.is_match(&text[at..]) {
                    continue;
                }
                let ends = text[at..].char_indices().map(|(end, c)| at + end + c.len_utf8());
                let Some(end) = ends.filter(|end| whole.is_match(&text[at..*end])).max() else { continue };
                let after = text[end..].chars().next().filter(|_| pattern.validator.reads_next());
                let mut left = text[..at].chars().rev();
                let (before, before_that) = (left.next(), left.next());
                let bytes = pattern.validator.accepted(&Candidate { text: &text[at..end], before, before_that, after });
                if let Some(bytes) = bytes.filter(|bytes| best.is_none_or(|(longest, _)| *bytes > longest)) {
                    best = Some((bytes, number));
                }
            }
        }
        best
    }
}

fn masked(mask: &Mask, value: &str) -> String {
    match mask {
        Mask::Fixed(text) => text.clone(),
        Mask::KeepLast(count) => {
            let letters: Vec<char> = value.chars().filter(|c| c.is_alphanumeric()).collect();
            let kept = (*count).min(letters.len() / 2).min(KEEP_LAST_MAX);
            format!("****{}", letters[letters.len() - kept..].iter().collect::<String>())
        }
        Mask::Pseudonym { .. } => unreachable!("the properties draw no stand-ins"),
    }
}
