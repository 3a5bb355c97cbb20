//! Card numbers and IBANs.

use super::{Form, form};
use crate::content::validator::{Candidate, Validator, is_word};

/// 13 to 19 digits, without separators or in groups with one kind of separator.
pub(super) static CARD: [Form; 1] = [form(r"[0-9](?:[ -]?[0-9]){12,18}", Validator::WithNext(card))];
/// ISO 13616, without separators or with blanks.
pub(super) static IBAN: [Form; 1] = [form(r"[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30}", Validator::WithNext(iban))];

/// First digits of issuers, as a range of numbers with equally many digits, and the lengths of their cards.
const ISSUERS: &[(u32, u32, &[usize])] = &[
    // Visa
    (4, 4, &[13, 16, 19]),
    // Mastercard
    (51, 55, &[16]),
    (2221, 2720, &[16]),
    // American Express
    (34, 34, &[15]),
    (37, 37, &[15]),
    // Discover
    (6011, 6011, &[16, 19]),
    (644, 649, &[16, 19]),
    (65, 65, &[16, 19]),
    // Diners Club
    (300, 305, &[14, 16, 19]),
    (36, 36, &[14, 16, 19]),
    (38, 39, &[14, 16, 19]),
    // JCB
    (3528, 3589, &[16, 17, 18, 19]),
    // UnionPay, RuPay
    (62, 62, &[16, 17, 18, 19]),
    (81, 82, &[16, 17, 18, 19]),
    // Mir
    (2200, 2204, &[16, 17, 18, 19]),
    // Maestro
    (50, 50, &[13, 14, 15, 16, 17, 18, 19]),
    (56, 58, &[13, 14, 15, 16, 17, 18, 19]),
    (63, 63, &[16, 17, 18, 19]),
    (67, 67, &[13, 14, 15, 16, 17, 18, 19]),
];

/// The groups in which a number of so many digits is written.
const GROUPS: &[&[usize]] = &[
    &[4, 4, 4, 4],
    &[4, 6, 5],
    &[4, 6, 4],
    &[4, 4, 4, 4, 3],
    &[4, 4, 4, 4, 2],
    &[4, 4, 4, 4, 1],
    &[4, 4, 5],
    &[6, 13],
];

/// Accepts the longest prefix that is the number of a card.
fn card(candidate: &Candidate<'_>) -> Option<usize> {
    if candidate.continues_a_word() || candidate.before == Some('.') {
        return None;
    }
    let places: Vec<(usize, u32)> =
        candidate.text.char_indices().filter_map(|(at, character)| Some((at, character.to_digit(10)?))).collect();
    let ends = (13..=places.len()).rev();
    ends.filter_map(|count| Some((places.get(..count)?, places.get(count - 1)?.0 + 1))).find_map(|(digits, end)| {
        let is_end = !candidate.behind(end).is_some_and(is_word);
        let numbers: Vec<u32> = digits.iter().map(|(_, digit)| *digit).collect();
        (is_end && is_issued(&numbers) && is_luhn(&numbers) && is_grouped(candidate.text.get(..end)?)).then_some(end)
    })
}

fn is_issued(digits: &[u32]) -> bool {
    ISSUERS.iter().any(|(from, to, lengths)| {
        let count = from.to_string().len();
        let first = digits.iter().take(count).fold(0, |number, digit| number * 10 + digit);
        (*from..=*to).contains(&first) && lengths.contains(&digits.len())
    })
}

fn is_luhn(digits: &[u32]) -> bool {
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let parts = digits.iter().rev().enumerate().map(|(at, digit)| if at % 2 == 1 { doubled(*digit) } else { *digit });
    parts.sum::<u32>() % 10 == 0
}

/// Whether a number has no separators, or one kind of separator between usual groups.
fn is_grouped(text: &str) -> bool {
    let Some(separator) = text.chars().find(|character| !character.is_ascii_digit()) else { return true };
    let groups: Vec<usize> = text.split(separator).map(str::len).collect();
    let is_uniform = text.split(separator).all(|group| group.bytes().all(|byte| byte.is_ascii_digit()));
    is_uniform && GROUPS.contains(&groups.as_slice())
}

/// Countries with the length of their IBANs (SWIFT's registry, release 99).
const COUNTRIES: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

/// Accepts the prefix with the length of its country, if its check digits are right.
fn iban(candidate: &Candidate<'_>) -> Option<usize> {
    if candidate.continues_a_word() {
        return None;
    }
    let country = candidate.text.get(..2)?.to_ascii_uppercase();
    let (_, length) = COUNTRIES.iter().find(|(code, _)| *code == country)?;
    let places = candidate.text.char_indices().filter(|(_, character)| *character != ' ');
    let characters: Vec<(usize, char)> = places.take(*length).collect();
    let end = characters.get(length - 1)?.0 + 1;
    let is_end = !candidate.behind(end).is_some_and(is_word);
    (is_end && remainder(&characters)? == 1).then_some(end)
}

/// The number modulo 97, with its first four characters behind the others and letters as two digits.
fn remainder(characters: &[(usize, char)]) -> Option<u32> {
    let (head, tail) = characters.split_at_checked(4)?;
    tail.iter().chain(head).try_fold(0, |number, (_, character)| {
        let value = character.to_digit(36)?;
        Some((number * if value > 9 { 100 } else { 10 } + value) % 97)
    })
}

#[cfg(test)]
mod tests {
    use crate::content::builtin::tests::check;

    #[test]
    fn cards() {
        check(
            "card",
            &[
                "4111111111111111",
                "4111 1111 1111 1111",
                "4111-1111-1111-1111",
                "378282246310005",
                "3782 822463 10005",
                "5555 5555 5555 4444",
                "2223003122003222",
                "30569309025904",
                "6011111111111117",
                "3530111333300000",
                "6200000000000005",
                "4222222222222",
                "(4111111111111111)",
                "pay:4111111111111111,",
            ],
            &[
                // A wrong check digit, an issuer that does not exist, a length that the issuer does not have.
                "4111111111111112",
                "9111111111111115",
                "41111111111111",
                // Part of a longer number or word.
                "14111111111111111",
                "41111111111111110000",
                "x4111111111111111",
                "4111111111111111b",
                "0.4111111111111111",
                // Groups that are not a card's.
                "41 11 11 11 11 11 11 11",
                "4111 1111-1111 1111",
                "4111  1111 1111 1111",
                // Other long numbers.
                "2026-11-30 16:17:41 000123",
                "1732981061123456",
                "00000000000000000",
            ],
        );
    }

    #[test]
    fn a_card_is_found_before_its_expiry_date() {
        crate::content::builtin::tests::masked("card", "4111 1111 1111 1111 12/27", "[card] 12/27");
    }

    #[test]
    fn ibans() {
        check(
            "iban",
            &[
                "GB82WEST12345698765432",
                "GB82 WEST 1234 5698 7654 32",
                "DE89370400440532013000",
                "de89 3704 0044 0532 0130 00",
                "FR1420041010050500013M02606",
                "CH9300762011623852957",
                "NO9386011117947",
                "MT84MALT011000012345MTLCAST001S",
                "BE68 5390 0754 7034",
            ],
            &[
                "GB82WEST12345698765433",
                "GB82WEST1234569876543",
                "ZZ82WEST12345698765432",
                "GB82WEST123456987654321",
                "XGB82WEST12345698765432",
                "AB12CDEF34567890123456",
                "be68 is the number of a bus that stops here",
            ],
        );
    }

    #[test]
    fn an_iban_ends_where_its_country_says() {
        let text = "pay GB82 WEST 1234 5698 7654 32 today";
        crate::content::builtin::tests::masked("iban", text, "pay [iban] today");
    }
}
