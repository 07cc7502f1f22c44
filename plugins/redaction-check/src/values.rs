//! What secrets look like. All is read from unescaped text.

use crate::{detector::Detector, names};

/// The first kind of secret in a value.
pub(crate) fn detect(text: &[u8]) -> Option<Detector> {
    // The shortest is a URL such as `a://b:c@`.
    if text.len() < 8 {
        return None;
    }
    (0..text.len()).find_map(|at| starting(text, at))
}

/// The kind of secret, or of its give-away, that starts at this byte.
fn starting(text: &[u8], at: usize) -> Option<Detector> {
    let rest = &text[at..];
    let fresh = at == 0 || !text[at - 1].is_ascii_alphanumeric();
    let found = match rest[0] {
        b'I' | b'F' if fresh && is_session_token(rest) => Detector::AwsSessionToken,
        b'A' if fresh && is_google_key(rest) => Detector::GoogleKey,
        b'A' if fresh && is_access_key_id(rest) && has_secret_key(text) => Detector::AwsSecretKey,
        b'e' if fresh && is_jwt(rest) => Detector::Jwt,
        b'g' if fresh && is_github(rest) => Detector::GithubToken,
        b'g' if fresh && is_token(rest, b"glpat-", 20) => Detector::GitlabToken,
        b'x' if fresh && is_slack(rest) => Detector::SlackToken,
        b'h' if is_token(rest, b"hooks.slack.com/services/", 20) => Detector::SlackToken,
        b's' | b'r' if fresh && is_stripe(rest) => Detector::StripeKey,
        b'n' if fresh && is_token(rest, b"npm_", 36) => Detector::NpmToken,
        b'p' if fresh && is_token(rest, b"pypi-", 50) => Detector::PypiToken,
        b'-' if is_private_key(rest) => Detector::PrivateKey,
        b'-' if is_option(rest) => Detector::Assignment,
        b'X' | b'x' if is_presigned(rest) => Detector::PresignedUrl,
        b':' if has_password(rest) => Detector::UrlPassword,
        b'=' | b':' if is_assignment(text, at) => Detector::Assignment,
        _ => return None,
    };
    Some(found)
}

/// Length of the run of such bytes at the start.
fn run(text: &[u8], of: impl Fn(u8) -> bool) -> usize {
    text.iter()
        .position(|&byte| !of(byte))
        .unwrap_or(text.len())
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// A prefix, and then so many letters, digits, hyphens, underscores or slashes.
fn is_token(text: &[u8], prefix: &[u8], least: usize) -> bool {
    let rest = text.strip_prefix(prefix);
    rest.is_some_and(|rest| run(rest, |byte| is_word(byte) || byte == b'/') >= least)
}

/// A token of STS; the three ways one has begun over the years.
pub(crate) fn is_session_token(text: &[u8]) -> bool {
    let starts = [&b"IQoJb3JpZ2lu"[..], b"FwoGZXIvYXdz", b"FQoGZXIvYXdz"];
    starts.iter().any(|start| text.starts_with(start)) && run(text, is_base64) >= 100
}

pub(crate) fn is_google_key(text: &[u8]) -> bool {
    text.strip_prefix(b"AIza")
        .is_some_and(|rest| run(rest, is_word) == 35)
}

fn is_access_key_id(text: &[u8]) -> bool {
    let starts = text.starts_with(b"AKIA") || text.starts_with(b"ASIA");
    starts
        && run(text, |byte| {
            byte.is_ascii_uppercase() || byte.is_ascii_digit()
        }) == 20
}

/// Whether exactly forty characters that can be a secret access key stand somewhere.
fn has_secret_key(text: &[u8]) -> bool {
    let is_key = |word: &[u8]| {
        word.len() == 40
            && word.iter().any(u8::is_ascii_uppercase)
            && word.iter().any(u8::is_ascii_lowercase)
            && word.iter().any(u8::is_ascii_digit)
    };
    text.split(|&byte| !is_base64(byte)).any(is_key)
}

/// Three parts of base64url, of which the first two are objects.
pub(crate) fn is_jwt(text: &[u8]) -> bool {
    let mut parts = text.splitn(3, |&byte| byte == b'.');
    let mut is_object = || {
        parts.next().is_some_and(|part| {
            part.starts_with(b"eyJ") && part.len() >= 12 && run(part, is_word) == part.len()
        })
    };
    is_object() && is_object() && parts.next().is_some()
}

pub(crate) fn is_github(text: &[u8]) -> bool {
    is_token(text, b"github_pat_", 22)
        || (text.starts_with(b"gh")
            && matches!(text.get(2), Some(b'p' | b'o' | b'u' | b's' | b'r'))
            && is_token(&text[3..], b"_", 36))
}

pub(crate) fn is_slack(text: &[u8]) -> bool {
    text.starts_with(b"xox")
        && matches!(
            text.get(3),
            Some(b'a' | b'b' | b'e' | b'o' | b'p' | b'r' | b's')
        )
        && is_token(&text[4..], b"-", 10)
}

pub(crate) fn is_stripe(text: &[u8]) -> bool {
    is_token(text, b"sk_live_", 16) || is_token(text, b"rk_live_", 16)
}

fn is_private_key(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"-----BEGIN ") else {
        return false;
    };
    let label = &rest[..run(rest, |byte| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' '
    })];
    label.windows(11).any(|window| window == b"PRIVATE KEY")
}

/// `X-Amz-Signature=…` or `X-Amz-Security-Token=…`, also with the equals sign URL-encoded.
fn is_presigned(text: &[u8]) -> bool {
    [&b"x-amz-signature"[..], b"x-amz-security-token"]
        .iter()
        .any(|name| {
            let Some((start, rest)) = text.split_at_checked(name.len()) else {
                return false;
            };
            let value = rest
                .strip_prefix(b"=")
                .or_else(|| rest.strip_prefix(b"%3D"))
                .or_else(|| rest.strip_prefix(b"%3d"));
            start.eq_ignore_ascii_case(name)
                && value
                    .is_some_and(|value| run(value, |byte| is_base64(byte) || byte == b'%') >= 16)
        })
}

/// `://user:password@`.
fn has_password(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"://") else {
        return false;
    };
    let authority = &rest[..run(rest, |byte| {
        !byte.is_ascii_whitespace() && !b"/?#\"'<>\\".contains(&byte)
    })];
    let Some(end) = authority.iter().rposition(|&byte| byte == b'@') else {
        return false;
    };
    let userinfo = &authority[..end];
    let Some(colon) = userinfo.iter().position(|&byte| byte == b':') else {
        return false;
    };
    let password = &userinfo[colon + 1..];
    !password.is_empty() && !names::is_marker(password) && !b"${".contains(&password[0])
}

/// `password=…`, `password: …`, `"password":"…"`, at the sign between the two.
fn is_assignment(text: &[u8], at: usize) -> bool {
    let (before, sign, after) = (&text[..at], text[at], &text[at + 1..]);
    // An ARN has colons without a blank; `password:` has one, or a quote.
    if sign == b':'
        && !after
            .first()
            .is_some_and(|byte| matches!(byte, b' ' | b'"' | b'\''))
    {
        return false;
    }
    let before = trim_end(before, |byte| matches!(byte, b'"' | b'\'' | b' '));
    let length = before
        .iter()
        .rev()
        .position(|&byte| !is_word(byte))
        .unwrap_or(before.len());
    if !is_telling(&before[before.len() - length..]) {
        return false;
    }
    let value = assigned(after);
    // Prose has colons too ("invalid token: expired"); a secret has a digit in it.
    value.len() >= 6
        && names::may_be_secret(value)
        && (sign == b'=' || value.iter().any(u8::is_ascii_digit))
}

/// `--password …`
fn is_option(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"--") else {
        return false;
    };
    let word = &rest[..run(rest, is_word)];
    let Some(after) = rest[word.len()..].strip_prefix(b" ") else {
        return false;
    };
    is_telling(word)
        && !after.starts_with(b"-")
        && assigned(after).len() >= 6
        && names::may_be_secret(assigned(after))
}

fn is_telling(word: &[u8]) -> bool {
    names::is_secret(word)
        || word.eq_ignore_ascii_case(b"AccountKey")
        || word.eq_ignore_ascii_case(b"SharedAccessKey")
}

/// The value after a sign: up to a blank, a quote or a separator.
fn assigned(text: &[u8]) -> &[u8] {
    let start = run(text, |byte| matches!(byte, b' ' | b'"' | b'\''));
    let text = &text[start..];
    &text[..run(text, |byte| {
        !byte.is_ascii_whitespace() && !b"\"',;&)".contains(&byte)
    })]
}

fn trim_end(text: &[u8], of: impl Fn(u8) -> bool) -> &[u8] {
    let end = text
        .iter()
        .rposition(|&byte| !of(byte))
        .map_or(0, |at| at + 1);
    &text[..end]
}

/// The word around a position, if it is a telling one: where it starts and ends.
pub(crate) fn telling_word(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = at
        - text[..at]
            .iter()
            .rev()
            .position(|&byte| !is_word(byte))
            .unwrap_or(at);
    let end = at + run(&text[at..], is_word);
    if is_telling(&text[start..end]) {
        Some((start, end))
    } else {
        None
    }
}

#[cfg(test)]
/// Text of each kind; the tokens are made up.
pub(crate) fn samples() -> Vec<(Detector, String)> {
    let long = "Ab1".repeat(40);
    let key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEK3Y";
    vec![
        (Detector::AwsSessionToken, format!("IQoJb3JpZ2lu{long}")),
        (
            Detector::AwsSessionToken,
            format!("token is FwoGZXIvYXdz{long}"),
        ),
        (Detector::AwsSessionToken, format!("FQoGZXIvYXdz{long}")),
        (
            Detector::AwsSecretKey,
            format!("AKIAIOSFODNN7EXAMPLE {key}"),
        ),
        (
            Detector::PresignedUrl,
            format!(
                "https://b.example.com/k?X-Amz-Signature={}",
                "0a".repeat(32)
            ),
        ),
        (
            Detector::PresignedUrl,
            format!("u%3Fx-amz-security-token%3D{long}"),
        ),
        (
            Detector::PrivateKey,
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE".to_owned(),
        ),
        (
            Detector::PrivateKey,
            "text -----BEGIN PRIVATE KEY-----".to_owned(),
        ),
        (
            Detector::Jwt,
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl".to_owned(),
        ),
        (Detector::GithubToken, format!("ghp_{}", &long[..36])),
        (
            Detector::GithubToken,
            format!("https://github_pat_{}@x", &long[..30]),
        ),
        (Detector::GitlabToken, format!("glpat-{}", &long[..20])),
        (Detector::SlackToken, "xoxb-123456789012-abc".to_owned()),
        (
            Detector::SlackToken,
            "https://hooks.slack.com/services/T0000/B0000/abcdefghijkl".to_owned(),
        ),
        (Detector::StripeKey, format!("sk_live_{}", &long[..24])),
        (Detector::GoogleKey, format!("AIza{}", &long[..35])),
        (Detector::NpmToken, format!("npm_{}", &long[..36])),
        (Detector::PypiToken, format!("pypi-{}", &long[..60])),
        (
            Detector::UrlPassword,
            "postgres://app:hunter2@db.example.com/x".to_owned(),
        ),
        (
            Detector::Assignment,
            "Server=db;Password=hunter22;".to_owned(),
        ),
        (
            Detector::Assignment,
            "mysql -u root --password hunter22 x".to_owned(),
        ),
        (Detector::Assignment, "db_password: hunter22".to_owned()),
        (
            Detector::Assignment,
            "DefaultEndpoints=x;AccountKey=abcdefgh".to_owned(),
        ),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_recognised() {
        for (kind, text) in samples() {
            assert_eq!(detect(text.as_bytes()), Some(kind), "{text}");
        }
    }

    #[test]
    fn what_only_resembles_a_secret_is_none() {
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "AKIAIOSFODNN7EXAMPLE da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "IQoJb3JpZ2lu",
            "eyJuZXh0IjoiYSJ9",
            "eyJuZXh0IjoiYSJ9.x.y",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----",
            "ghp_short",
            "npm_config_cache",
            "pypi-mirror",
            "xoxo-forever",
            "https://example.com/a@b:c",
            "https://kim@example.com/",
            "https://app:****@db.example.com/",
            "password=****",
            "NextToken=abcdefghijkl",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod-db-1a2b3c",
            "The security token: expired",
            "RBVZE1aP5ZIWKUdG1hjRObcaPvsi1R4sMQr7GV+WPWocwL/I0cZVMkXnNBc55YA7mS056DtQDEI=",
            "[aws-cli/2.15.0 Python/3.11.6 Linux/6.1 exe/x86_64 prompt/off command/s3.ls]",
            "X-Amz-Signature=<masked>",
        ] {
            assert_eq!(detect(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_sample_has_an_anchor() {
        for (_, text) in samples() {
            let event = format!(r#"{{"requestParameters":{{"x":{}}}}}"#, quoted(&text));
            assert!(crate::anchors::any(event.as_bytes()), "{text}");
        }
    }

    fn quoted(text: &str) -> String {
        format!("\"{}\"", text.replace('\n', "\\n"))
    }
}
