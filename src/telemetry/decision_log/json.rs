//! JSON for log lines that people read in a terminal.
//!
//! Must not know: what is logged. One value is one line: JSON escapes line feeds and escape characters by
//! itself, but passes on characters above ASCII that terminals obey or that turn text around; those are
//! escaped here, so that no caller can forge a line or hide one.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Writes `value` as one line without its line feed.
///
/// # Errors
/// Where `value` has no JSON form.
pub(super) fn line<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(1024);
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Printable))?;
    Ok(bytes)
}

struct Printable;

impl Formatter for Printable {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.bytes().all(|byte| byte < 0x7f) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut clean_from = 0;
        for (at, character) in fragment.char_indices().filter(|(_, character)| is_obeyed(*character)) {
            writer.write_all(fragment.get(clean_from..at).unwrap_or_default().as_bytes())?;
            write!(writer, "\\u{:04x}", u32::from(character))?;
            clean_from = at + character.len_utf8();
        }
        writer.write_all(fragment.get(clean_from..).unwrap_or_default().as_bytes())
    }
}

/// Characters that are obeyed rather than shown: delete, C1 controls, line and paragraph separators, marks
/// of direction, byte-order mark. All lie in the basic plane, so four digits are enough.
fn is_obeyed(character: char) -> bool {
    matches!(character,
        '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let bytes = line(&text).unwrap();
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected);
        assert_eq!(serde_json::from_slice::<String>(&bytes).unwrap(), text, "escaping must not change the value");
    }

    #[test]
    fn p33_no_text_can_forge_a_line_or_steer_a_terminal() {
        check("a\nb\r\0", r#""a\nb\r\u0000""#);
        check("\u{1b}[31m", r#""\u001b[31m""#);
        check("x\u{9b}31m\u{7f}", r#""x\u009b31m\u007f""#);
        check("a\u{202e}b\u{2028}ü\u{feff}", r#""a\u202eb\u2028ü\ufeff""#);
        check(r#"","v":1"#, r#""\",\"v\":1""#);
    }
}
