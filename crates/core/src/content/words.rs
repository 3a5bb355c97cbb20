//! Words to find in any case and in disguise, as patterns.
//!
//! Knows: Unicode case, full-width forms, invisible characters. Must not know: detectors.
//!
//! The pattern is folded instead of the text, so that offsets stay those of the text. A letter stands for both cases, its
//! full-width form, and its composed and decomposed accent; an invisible character may follow every letter; a blank stands
//! for up to three.

use std::fmt::Write as _;

use unicode_normalization::UnicodeNormalization as _;

/// Longest word in characters.
pub const CHARACTERS_MAX: usize = 64;
/// Fewest letters and digits of a word.
pub const LETTERS_MIN: usize = 3;

/// Soft hyphen, joiners, directional marks, variation selectors, tags, and other characters that are not shown.
const INVISIBLE: &str = concat!(
    r"[\x{AD}\x{34F}\x{61C}\x{180B}-\x{180F}\x{200B}-\x{200F}\x{202A}-\x{202E}",
    r"\x{2060}-\x{2064}\x{FE00}-\x{FE0F}\x{FEFF}\x{E0000}-\x{E007F}]?"
);
const BLANK: &str = r"[\t\n\r\x{20}\x{A0}]{1,3}";

/// Why a word cannot be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// It is too short to be one.
    #[error("has fewer than {LETTERS_MIN} letters or digits")]
    Short,
    /// It is too long.
    #[error("has more than {CHARACTERS_MAX} characters")]
    Long,
    /// It begins or ends with something else than a letter or digit.
    #[error("does not begin and end with a letter or digit")]
    Edge,
    /// It holds a control character.
    #[error("has a control character")]
    Control,
}

/// The pattern of a word or of several words.
///
/// # Errors
/// [`WordError`].
pub fn pattern(word: &str) -> Result<String, WordError> {
    let composed: Vec<char> = word.nfc().collect();
    let is_letter = |character: &char| character.is_alphanumeric();
    if composed.iter().any(|character| character.is_control()) {
        return Err(WordError::Control);
    }
    if composed.len() > CHARACTERS_MAX {
        return Err(WordError::Long);
    }
    if composed.iter().filter(|character| is_letter(character)).count() < LETTERS_MIN {
        return Err(WordError::Short);
    }
    if !composed.first().is_some_and(is_letter) || !composed.last().is_some_and(is_letter) {
        return Err(WordError::Edge);
    }
    let mut pattern = String::from("(?i:");
    for (place, character) in composed.iter().enumerate() {
        if character.is_whitespace() {
            pattern.push_str(BLANK);
            continue;
        }
        pattern.push_str(&letter(*character));
        // The last letter ends the word: what follows is not part of it.
        pattern.push_str(if place + 1 == composed.len() { "" } else { INVISIBLE });
    }
    pattern.push(')');
    Ok(pattern)
}

/// All spellings of one letter.
fn letter(character: char) -> String {
    let mut spellings = vec![escaped([character])];
    if let Some(wide) = full_width(character) {
        spellings.push(escaped([wide]));
    }
    let decomposed: Vec<char> = std::iter::once(character).nfd().collect();
    if decomposed.len() > 1 {
        spellings.push(escaped(decomposed));
    }
    format!("(?:{})", spellings.join("|"))
}

fn full_width(character: char) -> Option<char> {
    if character.is_ascii_graphic() { char::from_u32(u32::from(character) + 0xfee0) } else { None }
}

fn escaped(characters: impl IntoIterator<Item = char>) -> String {
    characters.into_iter().fold(String::new(), |mut text, character| {
        // Writing to a text cannot fail.
        let _ = write!(text, r"\x{{{:X}}}", u32::from(character));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(word: &str, text: &str) -> bool {
        regex::Regex::new(&format!(r"\A{}\z", pattern(word).unwrap())).unwrap().is_match(text)
    }

    #[test]
    fn a_word_is_found_in_any_case_and_disguise() {
        for text in ["bluebird", "BlueBIRD", "blue\u{ad}bird", "b\u{200b}luebird", "ｂｌｕｅｂｉｒｄ", "ＢLUEBIRD"]
        {
            assert!(matches("bluebird", text), "{text:?}");
        }
        assert!(matches("night heron", "Night\u{a0}\n Heron"));
        assert!(matches("café", "CAFE\u{301}") && matches("cafe\u{301}", "café"));
        for text in ["bluebirds", "blue bird", "bluebird\u{ad}", "blubird"] {
            assert!(!matches("bluebird", text), "{text:?}");
        }
    }

    #[test]
    fn a_word_that_would_match_too_much_is_rejected() {
        assert_eq!(pattern("ab"), Err(WordError::Short));
        assert_eq!(pattern("-abc"), Err(WordError::Edge));
        assert_eq!(pattern("abc "), Err(WordError::Edge));
        assert_eq!(pattern("ab\u{7}c"), Err(WordError::Control));
        assert_eq!(pattern(&"a".repeat(65)), Err(WordError::Long));
    }
}
