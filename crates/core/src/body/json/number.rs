//! A JSON number: its text, and the integer or decimal that equals it exactly.
//!
//! Knows: decimal arithmetic on texts. Must not know: documents, policies.
//!
//! No binary fraction is involved: a number is decimal digits and a power of ten, so 0.1 is 0.1.

/// Largest exponent, of the number as written and of its canonical spelling.
const EXPONENT_MAX: u64 = 999_999_999_999_999_999;

/// A number as it was written: a valid JSON number with an exponent of at most 18 digits.
///
/// Two numbers are equal here if they are written alike; [`Number::canonical`] compares by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<'a>(&'a str);

/// `digits` times ten to the `exponent`: digits without zeros at either end, none for zero.
struct Exact {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl<'a> Number<'a> {
    /// Takes what the scanner found to be a JSON number.
    pub(super) fn written(written: &'a str) -> Self {
        Self(written)
    }

    /// Whether the exponent has at most 18 digits, as written and in the canonical spelling.
    pub(super) fn is_bounded(self) -> bool {
        let Some(exponent) = exponent(self.0) else { return false };
        // A document is far shorter than this, so only here can its digits move the exponent across the bound.
        exponent.unsigned_abs() < EXPONENT_MAX / 2 || self.exact().scientific().unsigned_abs() <= EXPONENT_MAX
    }

    /// Reads a number written as JSON writes it, with nothing around it.
    #[must_use]
    pub fn parse(written: &'a str) -> Option<Self> {
        let Ok(json) = super::parse(written.as_bytes(), super::Limits::default()) else { return None };
        json.node().as_number().filter(|number| number.0 == written).map(|_| Self(written))
    }

    /// The number as it was written.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The one spelling of the number's value: 1e3, 1000.0 and 1000 are `1000`, and -0 is `0`.
    ///
    /// The layout is ECMAScript's, as RFC 8785 asks. Its digits are those of the exact value, where RFC 8785 would round
    /// to a double first: up to 15 digits that is the same text, and beyond them two amounts that differ keep
    /// different texts, and so different digests.
    #[must_use]
    pub fn canonical(self) -> String {
        if is_plain(self.0) {
            return self.0.to_owned();
        }
        let Exact { is_negative, digits, exponent } = self.exact();
        if digits.is_empty() {
            return "0".to_owned();
        }
        let sign = if is_negative { "-" } else { "" };
        // The value is 0.digits times ten to the `point`.
        let point = exponent.saturating_add(length(&digits));
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        if (1..=21).contains(&point) {
            if exponent >= 0 {
                return format!("{sign}{digits}{}", zeros(exponent));
            }
            let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0).min(digits.len()));
            return format!("{sign}{whole}.{fraction}");
        }
        if (-5..=0).contains(&point) {
            return format!("{sign}0.{}{digits}", zeros(-point));
        }
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{dot}{rest}e{:+}", point - 1)
    }

    /// The value, if it is a whole number of 64 bits, however it is written.
    #[must_use]
    pub fn to_i64(self) -> Option<i64> {
        match self.0.parse() {
            Ok(whole) => Some(whole),
            Err(_) => self.exact().scaled(0),
        }
    }

    /// The value as Cedar's `decimal` is written, if it has at most four places and fits its range.
    #[must_use]
    pub fn to_decimal(self) -> Option<String> {
        let ten_thousandths = self.exact().scaled(4)?;
        let sign = if ten_thousandths < 0 { "-" } else { "" };
        let magnitude = ten_thousandths.unsigned_abs();
        let places = format!("{:04}", magnitude % 10_000);
        let places = match places.trim_end_matches('0') {
            "" => "0",
            some => some,
        };
        Some(format!("{sign}{}.{places}", magnitude / 10_000))
    }

    fn exact(self) -> Exact {
        let mantissa = self.0.split(['e', 'E']).next().unwrap_or_default();
        let (is_negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let kept = all.trim_end_matches('0');
        let digits = kept.trim_start_matches('0');
        if digits.is_empty() {
            return Exact { is_negative: false, digits: String::new(), exponent: 0 };
        }
        // No overflow: an exponent is below 10^18, and lengths are those of a document.
        let exponent = exponent(self.0)
            .unwrap_or(0)
            .saturating_sub(length(fraction))
            .saturating_add(length(&all).saturating_sub(length(kept)));
        Exact { is_negative, digits: digits.to_owned(), exponent }
    }
}

impl Exact {
    /// The exponent where one digit stands before the point; 0 for zero.
    fn scientific(&self) -> i64 {
        if self.digits.is_empty() { 0 } else { self.exponent.saturating_add(length(&self.digits)) - 1 }
    }

    /// The value times ten to the `places`, if that is a whole number of 64 bits.
    fn scaled(&self, places: i64) -> Option<i64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let Ok(zeros) = usize::try_from(self.exponent.checked_add(places)?) else { return None };
        if self.digits.len().checked_add(zeros)? > 19 {
            return None;
        }
        let sign = if self.is_negative { "-" } else { "" };
        let Ok(value) = format!("{sign}{}{}", self.digits, "0".repeat(zeros)).parse() else { return None };
        Some(value)
    }
}

/// Whether a number is a short whole one without exponent: already canonical. `-0` is not.
fn is_plain(written: &str) -> bool {
    let digits = written.strip_prefix('-').unwrap_or(written);
    written != "-0" && digits.len() <= 21 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

/// The exponent as written, 0 without one; `None` beyond 18 digits.
fn exponent(written: &str) -> Option<i64> {
    let Some((_, exponent)) = written.split_once(['e', 'E']) else { return Some(0) };
    let (is_negative, digits) = match exponent.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    let digits = digits.trim_start_matches('0');
    if digits.len() > 18 {
        return None;
    }
    let value = digits.bytes().fold(0_i64, |value, digit| value * 10 + i64::from(digit.wrapping_sub(b'0')));
    Some(if is_negative { -value } else { value })
}
