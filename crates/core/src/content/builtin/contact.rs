//! Email addresses and telephone numbers.

use super::{Form, form};
use crate::content::validator::{Candidate, Validator, is_word};

/// A local part of at most 64 bytes, and a domain of at most nine labels (RFC 5321, without quoted local parts).
pub(in crate::content) const EMAIL_PATTERN: &str =
    r"[A-Za-z0-9_][A-Za-z0-9._%+'-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}";
pub(super) static EMAIL: [Form; 1] = [form(EMAIL_PATTERN, Validator::Whole(email))];

/// E.164 with a plus, North American numbers, and national numbers in the groups that people write.
pub(super) static PHONE: [Form; 4] = [
    form(r"\+[1-9][0-9]{0,2}(?:[ .-]?\([0-9]{1,4}\))?(?:[ ./-]?[0-9]){5,14}", Validator::WithNext(international)),
    form(
        r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-])[2-9][0-9]{2}[.-][0-9]{4}",
        Validator::WithNext(north_american),
    ),
    form(r"0[1-9](?:[ .-][0-9]{2}){4,12}", Validator::WithNext(pairs)),
    form(r"0[1-9][0-9]{1,3}[ /][0-9]{3,4}[ -]?[0-9]{3,5}", Validator::WithNext(national)),
];

/// Endings of file names that look like a domain, and are not top-level domains: `icon@2x.png`.
const FILES: &[&str] = &["png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "json", "html"];

/// Accepts an address with a domain that can exist.
pub(in crate::content) fn email(candidate: &Candidate<'_>) -> Option<usize> {
    let (local, domain) = candidate.text.rsplit_once('@')?;
    let is_local = !local.ends_with('.');
    let is_label = |label: &str| !label.starts_with('-') && !label.ends_with('-');
    let ending = domain.rsplit('.').next()?.to_ascii_lowercase();
    let is_domain = domain.len() <= 253 && domain.split('.').all(is_label) && !FILES.contains(&ending.as_str());
    // `react@18.2.beta` is the version of a package.
    let is_version = domain.rsplit('.').skip(1).all(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    (is_local && is_domain && !is_version).then_some(candidate.text.len())
}

/// Accepts the longest prefix of 8 to 15 digits that ends with a group.
fn international(candidate: &Candidate<'_>) -> Option<usize> {
    if candidate.continues_a_word() || candidate.before == Some('+') {
        return None;
    }
    let text = candidate.text;
    let ends = (1..=text.len()).rev().filter(|end| !candidate.behind(*end).is_some_and(is_word));
    ends.filter_map(|end| text.get(..end)).find_map(|number| {
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        let groups = number.split([' ', '.', '/', '-', '(', ')']).filter(|group| !group.is_empty()).count();
        let is_whole = number.ends_with(|character: char| character.is_ascii_digit());
        (is_whole && (8..=15).contains(&digits) && groups <= 7).then_some(number.len())
    })
}

fn north_american(candidate: &Candidate<'_>) -> Option<usize> {
    let digits: Vec<u8> = candidate.text.bytes().filter(u8::is_ascii_digit).collect();
    let national = digits.get(digits.len().checked_sub(10)?..)?;
    // Codes such as 911 are services, not areas.
    let is_service = |at: usize| national.get(at..at + 2) == Some(b"11");
    // People write the same separator twice; `252.227-7013` is a clause of a law.
    let mut separators = candidate.text.bytes().filter(|byte| matches!(byte, b'.' | b'-'));
    let is_mixed = separators.next().is_some_and(|first| separators.any(|other| other != first));
    (!is_service(1) && !is_service(4) && !is_mixed && is_alone(candidate)).then_some(candidate.text.len())
}

/// Accepts five pairs of digits. More of them in a row are the dump of a file.
fn pairs(candidate: &Candidate<'_>) -> Option<usize> {
    let is_in_a_row =
        candidate.before == Some(' ') && candidate.before_that.is_some_and(|digit| digit.is_ascii_digit());
    if is_in_a_row || candidate.text.len() != "01 23 45 67 89".len() { None } else { national(candidate) }
}

fn national(candidate: &Candidate<'_>) -> Option<usize> {
    is_alone(candidate).then_some(candidate.text.len())
}

/// Whether a number is not a part of a longer number or word.
fn is_alone(candidate: &Candidate<'_>) -> bool {
    let joins = |character: char| is_word(character) || matches!(character, '-' | '/');
    let joins_before = |character: char| joins(character) || matches!(character, '.' | ':' | '+');
    !candidate.before.is_some_and(joins_before) && !candidate.after.is_some_and(joins)
}

#[cfg(test)]
mod tests {
    use crate::content::builtin::tests::{check, masked};

    #[test]
    fn emails() {
        check(
            "email",
            &[
                "bob@corp.example",
                "Bob.O'Neil+tag@mail.corp.example",
                "a_b-c%d@x-y.co",
                "<bob@corp.example>",
                "mailto:bob@corp.example?subject=x",
                "BOB@CORP.EXAMPLE",
                "----------------------------------------------------------------------bob@corp.example",
                "bob@xn--bcher-kva.example",
            ],
            &[
                "bob at corp.example",
                "@corp.example",
                "bob@corp",
                "bob@corp.",
                "bob.@corp.example",
                "icon@2x.png",
                "logo@3x.retina.svg",
                "react@18.2.beta",
                "bob@-corp.example",
                "@Override",
                "user@10.0.0.1",
            ],
        );
    }

    #[test]
    fn the_end_of_a_sentence_is_not_part_of_an_address() {
        masked("email", "Write to bob@corp.example.", "Write to [email].");
    }

    #[test]
    fn phones() {
        check(
            "phone",
            &[
                "+41446681800",
                "+41 44 668 18 00",
                "+49 (0) 30 1234567",
                "+1 415-555-2671",
                "+1 (415) 555-2671",
                "(415) 555-2671",
                "415-555-2671",
                "415.555.2671",
                "1-415-555-2671",
                "01 23 45 67 89",
                "030 1234 5678",
                "020 7946 0958",
                "tel:+41446681800",
            ],
            &[
                "+1",
                "+123456",
                "x+41446681800",
                "++41446681800",
                "1+41446681800a",
                "911-555-2671",
                "415-911-2671",
                "115-555-2671",
                "415-555-26711",
                "5-415-555-2671",
                "2026-11-30",
                "415-555-2671-00",
                "v1.415.555.2671",
                "252.227-7013 (c) (1) of the act",
                "3.14159265",
                "30 03 01 23 45 67 89 01",
                "00 01 02 03 04 05 06 07",
                "30 01 02 03 04 05",
            ],
        );
    }
}
