//! Tokens and keys of services, which begin with a mark of their issuer.

use super::{Form, form};
use crate::content::validator::{Candidate, Validator};

/// Classic tokens of persons, apps and runners, and fine-grained tokens.
pub(super) static GITHUB_TOKEN: [Form; 2] = [
    form("gh[pousr]_[A-Za-z0-9]{36,}", Validator::Match(varied)),
    form("github_pat_[A-Za-z0-9_]{22,}", Validator::Match(varied)),
];

/// Tokens of bots, users and apps, and addresses of webhooks.
pub(super) static SLACK_TOKEN: [Form; 3] = [
    form("xox[abeoprs]-[A-Za-z0-9-]{20,}", Validator::Match(varied)),
    form("xapp-[0-9]-[A-Za-z0-9-]{20,}", Validator::Match(varied)),
    form(
        r"hooks\.slack\.com/services/T[A-Za-z0-9_]{6,16}/B[A-Za-z0-9_]{6,16}/[A-Za-z0-9_]{16,}",
        Validator::Match(varied),
    ),
];

/// Secret and restricted keys, and secrets of webhooks.
pub(super) static STRIPE_KEY: [Form; 2] = [
    form("[sr]k_(?:live|test)_[A-Za-z0-9]{16,}", Validator::Match(varied)),
    form("whsec_[A-Za-z0-9+/]{24,}={0,2}", Validator::Match(varied)),
];

/// Keys of projects and service accounts, keys of users with OpenAI's mark in the middle, and keys of 48 characters that older
/// accounts and compatible servers have.
pub(super) static OPENAI_KEY: [Form; 3] = [
    form("sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{40,}", Validator::Match(own_word)),
    form("sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}", Validator::Match(own_word)),
    form("sk-[A-Za-z0-9]{48,}", Validator::Match(own_word)),
];

/// Keys of accounts and administrators, and OAuth tokens.
pub(super) static ANTHROPIC_KEY: [Form; 1] =
    [form("sk-ant-[a-z]{2,10}[0-9]{2}-[A-Za-z0-9_-]{32,}", Validator::Match(varied))];

/// Where a key is surely random.
const RANDOM_PART: std::ops::Range<usize> = 8..24;
/// Different letters and digits of the random part; a placeholder (`ghp_xxxxxxxx`) has fewer.
const DIFFERENT_MIN: usize = 6;

/// Accepts a key that is not a placeholder. Reads its first 24 bytes, which every pattern with this validator has.
pub(super) fn varied(candidate: &Candidate<'_>) -> Option<usize> {
    let mut random: Vec<u8> = candidate.text.as_bytes().get(RANDOM_PART)?.to_vec();
    random.retain(u8::is_ascii_alphanumeric);
    random.sort_unstable();
    random.dedup();
    (random.len() >= DIFFERENT_MIN).then_some(candidate.text.len())
}

/// Accepts a key that is not a placeholder and does not continue a word, as in `task-…`.
fn own_word(candidate: &Candidate<'_>) -> Option<usize> {
    if candidate.continues_a_word() { None } else { varied(candidate) }
}

#[cfg(test)]
mod tests {
    use crate::content::builtin::tests::check;

    /// Random letters and digits that belong to no account.
    const RANDOM: &str = "q8Zr4tUw1xYpLm2NoPq3RsTu4vWx5yZa6Bc7De8Fg9Hi0Jk1Lm2No3Pq4Rs5Tu6Vw7Xy8Za9";

    fn key(mark: &str, length: usize) -> String {
        format!("{mark}{}", &RANDOM[..length])
    }

    fn placeholder(mark: &str, length: usize) -> String {
        format!("{mark}{}", "x".repeat(length))
    }

    #[test]
    fn github_tokens() {
        check(
            "github_token",
            &[&key("ghp_", 36), &key("ghs_", 40), &key("github_pat_", 60), &format!("https://{}@h", key("gho_", 36))],
            &[&key("ghp_", 35), &placeholder("ghp_", 36), &key("ghx_", 36), &key("github_pat_", 21), "ghp_"],
        );
    }

    #[test]
    fn slack_tokens() {
        let hook = format!("https://{}/services/T0000ABCD/B0000ABCD/{}", "hooks.slack.com", &RANDOM[..24]);
        check(
            "slack_token",
            &[&key("xoxb-", 40), &key("xoxp-123456789012-", 24), &key("xapp-1-", 40), &hook],
            &[&key("xoxb-", 19), &placeholder("xoxb-", 40), &key("xoxz-", 40), "hooks.slack.com/services/T/B/x"],
        );
    }

    #[test]
    fn stripe_keys() {
        check(
            "stripe_key",
            &[&key("sk_live_", 24), &key("rk_test_", 24), &key("whsec_", 32)],
            &[&key("pk_live_", 24), &key("sk_live_", 15), &placeholder("sk_live_", 24), &key("task_live_", 8)],
        );
    }

    #[test]
    fn openai_keys() {
        let mark = "T3BlbkFJ";
        check(
            "openai_key",
            &[
                &format!("{}{mark}{}", key("sk-proj-", 60), &RANDOM[..60]),
                &format!("{}{mark}{}", key("sk-", 20), &RANDOM[..20]),
                &key("sk-", 48),
            ],
            &[
                &key("sk-", 40),
                &placeholder("sk-", 48),
                &format!("{}{mark}{}", key("ta", 0) + &key("sk-", 20), &RANDOM[..20]),
                "sk-learn-and-other-names-with-dashes-in-a-long-row-of-words-here",
            ],
        );
    }

    #[test]
    fn anthropic_keys() {
        check(
            "anthropic_key",
            &[&key("sk-ant-api03-", 70), &key("sk-ant-oat01-", 40)],
            &[&key("sk-ant-", 40), &placeholder("sk-ant-api03-", 70), &key("sk-ant-api03-", 31)],
        );
    }
}
