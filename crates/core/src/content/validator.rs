//! Decides whether text that fits a pattern is a value.
//!
//! Knows: the text of one match, and the characters next to it. Must not know: the rest of the text, patterns, masks.

/// Text that fits a pattern, with the characters next to it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The longest text that fits.
    pub text: &'a str,
    /// The character before it; `None` at the beginning of the text.
    pub before: Option<char>,
    /// The character before that one.
    pub before_that: Option<char>,
    /// The character behind it; `None` at the end of the text, and for validators that do not read it.
    pub after: Option<char>,
}

impl Candidate<'_> {
    /// The character behind the first `bytes` of the text.
    #[must_use]
    pub fn behind(&self, bytes: usize) -> Option<char> {
        self.text.get(bytes..).and_then(|rest| rest.chars().next()).or(self.after)
    }

    /// Whether the character before it could belong to the same word or number.
    #[must_use]
    pub fn continues_a_word(&self) -> bool {
        self.before.is_some_and(is_word)
    }
}

/// Whether a character belongs to a word.
#[must_use]
pub fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Returns how many bytes of a candidate are the value, or `None` if it is not one.
pub type Check = fn(&Candidate<'_>) -> Option<usize>;

/// The second condition of a pattern, which an automaton cannot express.
#[derive(Debug, Clone)]
pub enum Validator {
    /// There is none.
    None,
    /// Reads the match as far as it is certain, and the character before it. Text after the place where the match becomes
    /// certain must not change the result.
    Match(Check),
    /// Reads the whole match, so that it is held to its end.
    Whole(Check),
    /// Reads the whole match and the character behind it.
    WithNext(Check),
    /// A whole word: no word character on either side.
    Word,
    /// An email address of one of these domains or of a subdomain, in lower case.
    Domains(Vec<String>),
}

impl Validator {
    /// Whether the character behind a match is part of the decision.
    pub(super) fn reads_next(&self) -> bool {
        match self {
            Self::WithNext(_) | Self::Word => true,
            Self::None | Self::Match(_) | Self::Whole(_) | Self::Domains(_) => false,
        }
    }

    /// Whether a match can be accepted before its end.
    pub(super) fn may_settle(&self) -> bool {
        match self {
            Self::None | Self::Match(_) => true,
            Self::Whole(_) | Self::WithNext(_) | Self::Word | Self::Domains(_) => false,
        }
    }

    /// How many bytes of the candidate are the value.
    #[must_use]
    pub fn accepted(&self, candidate: &Candidate<'_>) -> Option<usize> {
        let length = match self {
            Self::None => Some(candidate.text.len()),
            Self::Match(check) | Self::Whole(check) | Self::WithNext(check) => check(candidate),
            Self::Word => {
                let is_whole = !candidate.continues_a_word() && !candidate.after.is_some_and(is_word);
                is_whole.then_some(candidate.text.len())
            }
            Self::Domains(domains) => super::builtin::contact::email(candidate).filter(|length| {
                let domain = candidate.text.get(..*length).and_then(|text| text.rsplit_once('@'));
                domain.is_some_and(|(_, domain)| is_within(&domain.to_ascii_lowercase(), domains))
            }),
        };
        length.filter(|length| *length > 0 && candidate.text.is_char_boundary(*length))
    }
}

/// Whether a domain is one of `domains` or lies below one.
fn is_within(domain: &str, domains: &[String]) -> bool {
    domains
        .iter()
        .any(|known| domain.strip_suffix(known.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}
