//! Keys of AWS, Google Cloud and Azure.

use super::token::varied;
use super::{Form, form};
use crate::content::validator::{Candidate, Validator, is_word};

/// Identifiers of access keys, and secret keys where they are assigned by name.
pub(super) static AWS_KEY: [Form; 2] = [
    form("(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}", Validator::WithNext(alone)),
    form(
        r#"(?i:secret_?access_?key)["']?[ \t]{0,3}[:=][ \t]{0,3}["']?[A-Za-z0-9/+]{40}"#,
        Validator::WithNext(aws_secret),
    ),
];

/// API keys, secrets of OAuth clients, and access tokens.
pub(super) static GCP_KEY: [Form; 3] = [
    form("AIza[A-Za-z0-9_-]{35,}", Validator::Match(varied)),
    form("GOCSPX-[A-Za-z0-9_-]{24,}", Validator::Match(varied)),
    form(r"ya29\.[A-Za-z0-9_-]{24,}", Validator::Match(varied)),
];

/// Keys of connection strings, signatures of shared access, and secrets of Entra ID applications.
pub(super) static AZURE_KEY: [Form; 3] = [
    form("(?i:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}={0,2}", Validator::Match(varied)),
    form("[?&]sig=[A-Za-z0-9%+/]{40,}={0,2}", Validator::Match(varied)),
    form("[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}", Validator::WithNext(alone)),
];

/// Accepts a key that is not a part of a longer word.
fn alone(candidate: &Candidate<'_>) -> Option<usize> {
    (!candidate.continues_a_word() && !candidate.after.is_some_and(is_word)).then_some(candidate.text.len())
}

/// Accepts a secret that does not continue and has the variety of a random text.
fn aws_secret(candidate: &Candidate<'_>) -> Option<usize> {
    let continues = candidate.after.is_some_and(|after| is_word(after) || matches!(after, '/' | '+' | '='));
    let secret = candidate.text.get(candidate.text.len().checked_sub(40)?..)?;
    let has = |test: fn(&u8) -> bool| secret.as_bytes().iter().any(test);
    let is_varied = has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    (!continues && is_varied).then_some(candidate.text.len())
}

#[cfg(test)]
mod tests {
    use crate::content::builtin::tests::check;

    #[test]
    fn aws_keys() {
        let id = concat!("AK", "IAIOSFODNN7EXAMPLE");
        let secret = concat!("wJalrXUtnFEMI/K7MD", "ENG/bPxRfiCYEXAMPLEKEY");
        check(
            "aws_key",
            &[
                id,
                &id.replace("AKIA", "ASIA"),
                &format!("id={id};"),
                &format!("aws_secret_access_key = {secret}"),
                &format!("\"SecretAccessKey\": \"{secret}\""),
            ],
            &[
                &format!("X{id}"),
                &format!("{id}A"),
                &id.replace('7', "8"),
                &id[..19],
                &id.to_lowercase(),
                secret,
                &format!("aws_secret_access_key = {}", "x".repeat(40)),
                &format!("aws_secret_access_key = {secret}/more"),
            ],
        );
    }

    #[test]
    fn gcp_keys() {
        let api = format!("{}{}", "AIza", "SyD4iE2xVSpkLLOXoyqT-SuPwRa3hMu7kBQ");
        check(
            "gcp_key",
            &[
                &api,
                &format!("key={api}&x=1"),
                &format!("{}{}", "GOCSPX-", "q8Zr4tUw1xYpLm2NoPq3RsTu4v"),
                &format!("{}{}", "ya29.", "a0AfH6SMBq8Zr4tUw1xYpLm2NoPq"),
            ],
            &[&api[..38], &format!("AIza{}", "x".repeat(35)), &api.to_lowercase(), "ya29.short"],
        );
    }

    #[test]
    fn azure_keys() {
        let key = "q8Zr4tUw1xYpLm2NoPq3RsTu4vWx5yZa6Bc7De8Fg9Hi0Jk1Lm2No3Pq4Rs5Tu6Vw7Xy8Za9Bc0De1Fg2Hi3==";
        let entra = format!("abc8{}{}", "Q~", "q8Zr4tUw1xYpLm2NoPq3RsTu4vWx5yZa");
        check(
            "azure_key",
            &[
                &format!("AccountName=x;{}={key};", "AccountKey"),
                &format!("{}={key}", "SharedAccessKey"),
                &format!("https://x.blob.example/c?sv=1&{}={}", "sig", "q8Zr4tUw1xYpLm2NoPq3RsTu4vWx5yZa6Bc7De8F%3D"),
                &entra,
            ],
            &[
                "AccountKey=<your key>",
                &format!("AccountKey={}", "x".repeat(86)),
                &format!("sig={}", &key[..40]),
                &entra[..30],
                &entra.replace("Q~", "Qx"),
                &format!("x{entra}"),
            ],
        );
    }
}
