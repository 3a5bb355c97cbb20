//! Characters and texts that some parsers confuse with others.
//!
//! Knows: Unicode's compatibility forms and case, what old code pages and decoders make of what they do not have. Must
//! not know: where a text stands, or what becomes of it.

use unicode_normalization::UnicodeNormalization;

/// Characters that NFKC leaves alone and code pages turn into `/` or `\` ("best fit" of Windows: 1252, 932, 949), and
/// those that are drawn as one of the two.
const SLASHES: [char; 9] = [
    '\u{2044}', '\u{2215}', '\u{29F8}', '\u{2571}', // to `/`
    '\u{2216}', '\u{29F5}', '\u{29F9}', '\u{A5}', '\u{20A9}', // to `\`
];

/// After so many rounds every character is folded to its end; a test holds each of them to that.
const ROUNDS_MAX: usize = 4;

/// The text without case and in compatibility form: two texts that differ here differ to every reader that folds either.
///
/// ```
/// use picket_core::call::alike;
///
/// assert_eq!(alike::folded("\u{FF34}enant"), alike::folded("TENANT"));
/// assert_ne!(alike::folded("tenant"), alike::folded("tenants"));
/// ```
#[must_use]
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Up and down again: the long s and the Kelvin sign have no other way to their letters. More than once, because a
    // letter in another case may have a compatibility form of its own.
    let mut folded = text.to_owned();
    for _ in 0..ROUNDS_MAX {
        let again: String = folded.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect();
        if again == folded {
            break;
        }
        folded = again;
    }
    folded
}

/// The text of a name, [`folded`] and without what is not seen: blanks, controls and characters without a shape.
#[must_use]
pub fn folded_name(name: &str) -> String {
    let mut folded = folded(name);
    folded.retain(|character| !is_unseen(character));
    folded
}

/// Whether a character outside ASCII is one of `. / \ % ; ? #` or a control, or holds one, to readers that fold
/// compatibility forms or that have a smaller set of characters.
#[must_use]
pub fn hides_separator(character: char) -> bool {
    let parts = |folded: char| matches!(folded, '.' | '/' | '\\' | '%' | ';' | '?' | '#') || folded.is_control();
    !character.is_ascii() && (SLASHES.contains(&character) || std::iter::once(character).nfkc().any(parts))
}

/// The text in compatibility form, letters in their case.
#[must_use]
pub fn compatible(text: &str) -> String {
    text.nfkc().collect()
}

/// Where bytes that are not UTF-8 are a longer form than UTF-8 has of a shorter character: decoders that do not look
/// read `C0 AE` and `E0 80 AE` as a dot.
#[must_use]
pub fn overlong(bytes: &[u8]) -> Option<usize> {
    let follows = |at: usize, range: std::ops::RangeInclusive<u8>| bytes.get(at + 1).is_some_and(|b| range.contains(b));
    bytes.iter().enumerate().position(|(at, byte)| match byte {
        0xC0 | 0xC1 => true,
        0xE0 => follows(at, 0x80..=0x9F),
        0xF0 => follows(at, 0x80..=0x8F),
        0xF8..=0xFD => follows(at, 0x80..=0xBF),
        _ => false,
    })
}

/// Whether the text begins with an escape: `%2e`, or `%u002e` as some servers write a character.
#[must_use]
pub fn begins_with_escape(text: &[u8]) -> bool {
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    match text {
        [b'%', b'u' | b'U', a, b, c, d, ..] => is_hex(&[*a, *b, *c, *d]),
        [b'%', a, b, ..] => is_hex(&[*a, *b]),
        _ => false,
    }
}

fn is_unseen(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(
            character,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_fold_to_a_separator_hide_one() {
        let hiding = "\u{FF0E}\u{FF0F}\u{FF3C}\u{FF05}\u{FF1B}\u{FF1F}\u{FF03}\u{2024}\u{2025}\u{2026}\u{FE52}\u{FE68}\u{FE6A}\
                      \u{FE54}\u{FE56}\u{FE5F}\u{37E}\u{2047}\u{2048}\u{2049}\u{2100}\u{2101}\u{2105}\u{2106}\u{2488}\
                      \u{33C2}\u{FE19}\u{FE30}\u{2044}\u{2215}\u{2216}\u{A5}";
        for character in hiding.chars() {
            assert!(hides_separator(character), "U+{:04X}", u32::from(character));
        }
        for character in "aZ09-_~./\\%;?#éäßж日本。ー½€—…".chars().filter(|c| *c != '…') {
            assert!(!hides_separator(character), "U+{:04X}", u32::from(character));
        }
    }

    #[test]
    fn names_that_a_provider_may_take_for_one_fold_to_one() {
        for (name, same) in [
            ("gpt-4o", true),
            ("GPT-4o", true),
            (" gpt-4o\t", true),
            ("gpt\u{200B}-4o", true),
            ("\u{FF47}pt-4o", true),
            ("g\u{1D429}t-4o", true),
            ("gpt-\u{FF14}o", true),
            ("gpt-4o\u{FEFF}", true),
            ("gpt-4", false),
            ("gpt_4o", false),
            ("", false),
        ] {
            assert_eq!(folded_name(name) == folded_name("gpt-4o"), same, "{name:?}");
        }
        assert_eq!(folded_name("\u{17F}tra\u{DF}e"), folded_name("STRASSE"));
        assert_eq!(folded_name("tas\u{212A}"), "task");
    }

    #[test]
    fn every_character_is_as_its_own_fold() {
        for character in '\0'..=char::MAX {
            let once = folded(&character.to_string());
            assert_eq!(folded(&once), once, "U+{:04X}", u32::from(character));
        }
    }

    #[test]
    fn longer_forms_of_every_ascii_character_are_found() {
        for byte in 0u8..0x80 {
            let low = 0x80 | (byte & 0x3F);
            let high = byte >> 6;
            let forms: [&[u8]; 5] = [
                &[0xC0 | high, low],
                &[0xE0, 0x80 | high, low],
                &[0xF0, 0x80, 0x80 | high, low],
                &[0xF8, 0x80, 0x80, 0x80 | high, low],
                &[0xFC, 0x80, 0x80, 0x80, 0x80 | high, low],
            ];
            for form in forms {
                assert_eq!(overlong(form), Some(0), "{form:02x?}");
            }
        }
        for text in ["\u{80}", "\u{7FF}", "\u{800}", "\u{FFFF}", "\u{10000}", "\u{10FFFF}", "àáøý"] {
            assert_eq!(overlong(text.as_bytes()), None, "{text:?}");
        }
        // Old one-byte sets: `ø`, `à` and `é` of Latin-1 are no longer form of anything.
        for bytes in [&[0xF8, b'l'][..], &[0xE0, b' '], &[b'f', 0xE9], &[0xFF]] {
            assert_eq!(overlong(bytes), None, "{bytes:02x?}");
        }
    }

    #[test]
    fn escapes_are_seen_in_both_forms() {
        for (text, is_escape) in [
            ("%2e", true),
            ("%2E.", true),
            ("%u002e", true),
            ("%u00", false),
            ("%zz", false),
            ("%2", false),
            ("2e", false),
        ] {
            assert_eq!(begins_with_escape(text.as_bytes()), is_escape, "{text}");
        }
    }
}
