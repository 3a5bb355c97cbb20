//! JSON for log lines that people read in a terminal.
//!
//! Must not know: what is logged. One value is one line: JSON escapes line feeds and escape characters by
//! itself, but passes on characters above ASCII that terminals obey or that turn text around; those are
//! escaped here, so that no caller can forge a line or hide one.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::record::Text;

/// How a member of this name begins: `,"name":`.
macro_rules! member {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

pub(super) use member;

/// Appends the members of an object that begins before them: `,"a":1,"b":2`.
///
/// # Errors
/// Where `value` has no JSON form.
pub(super) fn members<T: Serialize>(value: &T, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let begin = out.len();
    append(value, out)?;
    // `{"a":1}` becomes `,"a":1`; an object without members is nothing at all.
    out.pop();
    if out.len() == begin + 1 {
        out.truncate(begin);
    } else if let Some(brace) = out.get_mut(begin) {
        *brace = b',';
    }
    Ok(())
}

/// Appends one member, named by [`member`], that is a text of at most `bytes_max`.
///
/// # Errors
/// None that are known of; a text always has a JSON form.
pub(super) fn text(name: &str, text: &str, bytes_max: usize, out: &mut Vec<u8>) -> serde_json::Result<()> {
    out.extend_from_slice(name.as_bytes());
    string(text, bytes_max, out)
}

/// Appends one member whose text is of our own words, or of hexadecimal digits: nothing in it needs an escape.
pub(super) fn word(name: &str, word: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
    out.extend_from_slice(word.as_bytes());
    out.push(b'"');
}

/// Appends one member that is a list of texts.
///
/// # Errors
/// As [`text`].
pub(super) fn texts(name: &str, texts: &[Text<'_>], out: &mut Vec<u8>) -> serde_json::Result<()> {
    out.extend_from_slice(name.as_bytes());
    out.push(b'[');
    for (number, Text(text, bytes_max)) in texts.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        string(text, *bytes_max, out)?;
    }
    out.push(b']');
    Ok(())
}

/// Appends one member that is an object of texts.
///
/// # Errors
/// As [`text`].
pub(super) fn object<const N: usize>(
    name: &str,
    members: [(&str, Option<Text<'_>>); N],
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    out.extend_from_slice(name.as_bytes());
    let begin = out.len();
    for (name, member) in members {
        if let Some(Text(member, bytes_max)) = member {
            text(name, member, bytes_max, out)?;
        }
    }
    // `,"a":"b"` becomes `{"a":"b"`.
    match out.get_mut(begin) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
    Ok(())
}

fn string(text: &str, bytes_max: usize, out: &mut Vec<u8>) -> serde_json::Result<()> {
    if text.len() > bytes_max || !is_plain(text) {
        return append(&Text(text, bytes_max), out);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
    Ok(())
}

/// Whether JSON, and a terminal, take a text as it is. All bytes at once are quicker than one by one.
fn is_plain(text: &str) -> bool {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
    text.bytes().fold(true, |plain, byte| plain & is_plain(byte))
}

/// Appends one member that is a number.
///
/// # Errors
/// As [`text`].
pub(super) fn number(name: &str, number: u64, out: &mut Vec<u8>) -> serde_json::Result<()> {
    out.extend_from_slice(name.as_bytes());
    append(&number, out)
}

fn append<T: Serialize>(value: &T, out: &mut Vec<u8>) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Printable))
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
    use super::Text;

    #[test]
    fn lists_and_objects_of_texts_are_written_as_single_texts_are() {
        let mut bytes = b"{\"v\":1".to_vec();
        super::texts(member!("none"), &[], &mut bytes).unwrap();
        super::texts(member!("some"), &[Text("a", 9), Text("\"", 9), Text("abc", 2)], &mut bytes).unwrap();
        super::object(member!("absent"), [(member!("a"), None)], &mut bytes).unwrap();
        super::object(
            member!("there"),
            [(member!("a"), None), (member!("b"), Some(Text("\n", 9))), (member!("c"), Some(Text("c", 9)))],
            &mut bytes,
        )
        .unwrap();
        bytes.push(b'}');
        let expected = r#"{"v":1,"none":[],"some":["a","\"","ab…"],"absent":{},"there":{"b":"\n","c":"c"}}"#;
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected);
    }

    fn check(text: &str, expected: &str) {
        let mut bytes = b"{\"v\":1".to_vec();
        super::text(member!("a"), text, usize::MAX, &mut bytes).unwrap();
        bytes.push(b'}');
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), format!(r#"{{"v":1,"a":{expected}}}"#));
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["a"], text, "escaping must not change the value");
    }

    #[test]
    fn p33_no_text_can_forge_a_line_or_steer_a_terminal() {
        check("plain ~ text", r#""plain ~ text""#);
        check("a\nb\r\0", r#""a\nb\r\u0000""#);
        check("\u{1b}[31m", r#""\u001b[31m""#);
        check("x\u{9b}31m\u{7f}", r#""x\u009b31m\u007f""#);
        check("a\u{202e}b\u{2028}ü\u{feff}", r#""a\u202eb\u2028ü\ufeff""#);
        check(r#"","v":1"#, r#""\",\"v\":1""#);
    }
}
