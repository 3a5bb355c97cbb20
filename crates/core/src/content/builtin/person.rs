//! Numbers that states give to persons.

use super::{Form, form};
use crate::content::validator::{Candidate, Validator, is_word};

/// Three, two and four digits with one kind of separator.
pub(super) static US_SSN: [Form; 1] =
    [form(r"[0-9]{3}(?:-[0-9]{2}-|\x20[0-9]{2}\x20)[0-9]{4}", Validator::WithNext(us_ssn))];

/// Numbers that were printed in advertisements and so belong to no person.
const PRINTED: &[&str] = &["078051120", "219099999"];

/// Accepts a number that the Social Security Administration can have given (20 CFR 422.110, and its ranges since 2011).
fn us_ssn(candidate: &Candidate<'_>) -> Option<usize> {
    let joins = |character: char| is_word(character) || matches!(character, '-' | '.');
    let joins_behind = |character: char| is_word(character) || character == '-';
    if candidate.before.is_some_and(joins) || candidate.after.is_some_and(joins_behind) {
        return None;
    }
    let digits: String = candidate.text.chars().filter(char::is_ascii_digit).collect();
    let (area, rest) = digits.split_at_checked(3)?;
    let (group, serial) = rest.split_at_checked(2)?;
    let is_given = !matches!(area, "000" | "666") && !area.starts_with('9') && group != "00" && serial != "0000";
    (is_given && !PRINTED.contains(&digits.as_str())).then_some(candidate.text.len())
}

#[cfg(test)]
mod tests {
    use crate::content::builtin::tests::check;

    #[test]
    fn us_ssns() {
        check(
            "us_ssn",
            &["536-22-1234", "536 22 1234", "SSN:536-22-1234,", "001-01-0001"],
            &[
                "000-22-1234",
                "666-22-1234",
                "936-22-1234",
                "536-00-1234",
                "536-22-0000",
                "078-05-1120",
                "536-22-12345",
                "1536-22-1234",
                "536-22-1234-5",
                "5-536-22-1234",
                "536-22 1234",
                "536221234",
                "A536-22-1234",
            ],
        );
    }
}
