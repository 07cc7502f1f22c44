//! What secrets look like, in unescaped text.

use crate::{cards, detector::Detector, names, scan::Clue, tokens};

use tokens::{is_base64, is_word};

/// What of a value after a telling word is looked at.
const LONGEST_VALUE: usize = 256;

/// So many anchors of telling names are judged in any text, and one more in so many bytes. A policy about
/// secrets has one in forty; where there are more they are there to cost time.
const WORDS: usize = 64;
const BYTES_A_WORD: usize = 32;

/// A text in which secrets are looked for, and what was learnt of it on the way, so that no text costs
/// more than a few readings.
#[derive(Debug)]
pub(crate) struct Values<'a> {
    text: &'a [u8],
    has_secret_key: Option<bool>,
    /// The run of letters that was last measured for a JWT.
    measured: (usize, usize),
    words_left: usize,
}

impl<'a> Values<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            has_secret_key: None,
            measured: (0, 0),
            words_left: WORDS + text.len() / BYTES_A_WORD,
        }
    }

    /// Counts one more anchor of a telling name; whether there were too many.
    pub(crate) fn is_exhausted(&mut self) -> bool {
        let is_exhausted = self.words_left == 0;
        self.words_left = self.words_left.saturating_sub(1);
        is_exhausted
    }

    /// The kind of secret that a clue leads to.
    pub(crate) fn at(&mut self, at: usize, clue: Clue) -> Option<Detector> {
        match clue {
            Clue::Anchor => self.at_anchor(at),
            Clue::Digits => cards::is_card(self.text, at).then_some(Detector::CardNumber),
            Clue::Escape | Clue::Percent | Clue::Base64 => None,
        }
    }

    fn at_anchor(&mut self, at: usize) -> Option<Detector> {
        if !is_part_of_name(self.text, at) {
            return self.by_shape(at);
        }
        if self.is_exhausted() {
            return Some(Detector::Unsearched);
        }
        let word = telling_word(self.text, at);
        word.is_some_and(|(start, end)| is_assigned(self.text, start, end))
            .then_some(Detector::Assignment)
    }

    /// The kind of secret whose anchor, that is none of a telling name, stands here.
    pub(crate) fn by_shape(&mut self, at: usize) -> Option<Detector> {
        let rest = &self.text[at..];
        let fresh = |at: usize| at == 0 || !self.text[at - 1].is_ascii_alphanumeric();
        let one_before = at.checked_sub(1).filter(|&start| fresh(start));
        let from_one_before = one_before.map_or(&[][..], |start| &self.text[start..]);
        match rest {
            [b'e', b'y', b'J', ..] if fresh(at) && self.is_jwt(at) => Some(Detector::Jwt),
            [b'A', b'K' | b'S', b'I', ..] if is_key_id(self.text, at) => {
                self.has_secret_key().then_some(Detector::AwsSecretKey)
            }
            [b'Q' | b'w', b'o', b'G' | b'J', ..] => {
                tokens::is_session_token(from_one_before).then_some(Detector::AwsSessionToken)
            }
            [b'I', b'z', b'a', ..] if tokens::is_google_key(from_one_before) => {
                Some(Detector::Provider("google-api-key"))
            }
            [b'x', b'o', b'x', ..] if fresh(at) => {
                tokens::is_slack(rest).then_some(Detector::Provider("slack-token"))
            }
            [b'-', b'-', b'-', ..] => is_private_key(rest).then_some(Detector::PrivateKey),
            [b':', b'/', b'/', ..] => has_password(&rest[3..]).then_some(Detector::UrlPassword),
            [b'z' | b'Z', b'-', b'S' | b's', ..] => {
                is_presigned(self.text, at).then_some(Detector::PresignedUrl)
            }
            [b'r' | b'R', b'e' | b'E', b'r' | b'R', ..] => {
                self.is_bearer(at).then_some(Detector::Assignment)
            }
            _ => tokens::at(self.text, at),
        }
    }

    /// Three parts of base64url, of which the first is an object, and the second is one or is encrypted.
    fn is_jwt(&mut self, at: usize) -> bool {
        let first = self.word_end(at);
        if first - at < 12 || self.text.get(first) != Some(&b'.') {
            return false;
        }
        let second = self.word_end(first + 1);
        let is_object = self.text[first + 1..].starts_with(b"eyJ") && second - first > 12;
        let third = second + 1;
        is_object
            && self.text.get(second) == Some(&b'.')
            && self.text.get(third).is_some_and(|&byte| is_word(byte))
    }

    /// Where the run of letters from this position ends.
    fn word_end(&mut self, at: usize) -> usize {
        if !(self.measured.0..self.measured.1).contains(&at) {
            self.measured = (at, at + run(&self.text[at..], is_word));
        }
        self.measured.1
    }

    /// Whether forty characters that can be a secret access key stand somewhere.
    fn has_secret_key(&mut self) -> bool {
        let text = self.text;
        *self.has_secret_key.get_or_insert_with(|| {
            text.split(|&byte| !is_base64(byte))
                .any(tokens::is_secret_key)
        })
    }

    /// `Bearer` and what can be a token.
    fn is_bearer(&self, at: usize) -> bool {
        let Some(start) = at.checked_sub(3) else {
            return false;
        };
        let Some((word, after)) = self.text[start..].split_at_checked(7) else {
            return false;
        };
        let of = |byte: u8| is_base64(byte) || matches!(byte, b'-' | b'_' | b'.' | b'~');
        let token = &after[..run(&after[..after.len().min(LONGEST_VALUE)], of)];
        word.eq_ignore_ascii_case(b"bearer ")
            && token.len() >= 16
            && token.iter().any(u8::is_ascii_digit)
    }
}

/// Whether an access key's identifier starts at this position.
pub(crate) fn is_key_id(text: &[u8], at: usize) -> bool {
    let fresh = at == 0 || !text[at - 1].is_ascii_alphanumeric();
    fresh && tokens::is_access_key_id(&text[at..])
}

/// Length of the run of such bytes at the start.
fn run(text: &[u8], of: impl Fn(u8) -> bool) -> usize {
    text.iter()
        .position(|&byte| !of(byte))
        .unwrap_or(text.len())
}

fn is_private_key(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"-----BEGIN") else {
        return false;
    };
    let rest = &rest[..rest.len().min(64)];
    let label = &rest[..run(rest, |byte| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b' ' | b'+' | b'_')
    })];
    [&b"PRIVATE KEY"[..], b"PRIVATE+KEY", b"PRIVATE_KEY"]
        .iter()
        .any(|words| label.windows(11).any(|window| window == *words))
}

/// `X-Amz-Signature=…`, `X-Amz-Security-Token=…`, also of Google's storage, at the `z-s`.
fn is_presigned(text: &[u8], at: usize) -> bool {
    [&b"z-signature"[..], b"z-security-token"]
        .iter()
        .any(|name| {
            let Some((start, rest)) = text[at..].split_at_checked(name.len()) else {
                return false;
            };
            let value = rest.strip_prefix(b"=").or_else(|| rest.strip_prefix(b"%3"));
            start.eq_ignore_ascii_case(name)
                && value.is_some_and(|value| {
                    let value = &value[..value.len().min(16)];
                    run(value, |byte| is_base64(byte) || byte == b'%') == 16
                })
        })
}

/// What may stand between the slashes of a URL and its path.
static IN_AUTHORITY: [bool; 256] = {
    let mut bytes = [true; 256];
    let ends = b"/?#\"'<>\\ \t\r\n";
    let mut at = 0;
    while at < ends.len() {
        bytes[ends[at] as usize] = false;
        at += 1;
    }
    bytes
};

/// `user:password@`, after `://`.
fn has_password(text: &[u8]) -> bool {
    // Most end before there is any colon.
    let first = run(text, |byte| byte != b':' && IN_AUTHORITY[usize::from(byte)]);
    if text.get(first) != Some(&b':') {
        return false;
    }
    let authority = &text[..run(text, |byte| IN_AUTHORITY[usize::from(byte)])];
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

/// Whether a telling word is given a value: `password=…`, `password: …`,
/// `"password":"…"`, `--password …`, `<password>…`.
pub(crate) fn is_assigned(text: &[u8], start: usize, end: usize) -> bool {
    let word = &text[start..end];
    let quotes = run(&text[end..], |byte| {
        matches!(byte, b'"' | b'\'' | b'\\' | b']')
    });
    let gap = end + quotes;
    let blanks = run(&text[gap..], |byte| byte == b' ').min(3);
    let (sign, after) = match text[gap + blanks..] {
        [b':', b'=', ref after @ ..] | [b'=', b'>', ref after @ ..] => (b'=', after),
        [sign @ (b'=' | b':' | b'>'), ref after @ ..] => (sign, after),
        _ => {
            let is_option = text[..start].ends_with(b"-") || word.starts_with(b"-");
            return is_option
                && blanks > 0
                && is_value(&text[gap + blanks..], false)
                && !text[gap + blanks..].starts_with(b"-");
        }
    };
    match sign {
        // An ARN has colons without a blank; `password:` has one, or a quote.
        b':' => {
            let is_quoted = quotes > 0
                || after
                    .iter()
                    .find(|&&byte| byte != b' ')
                    .is_some_and(|byte| b"\"'\\".contains(byte));
            (is_quoted || after.starts_with(b" ")) && is_value(after, !is_quoted)
        }
        b'>' => text[..start].ends_with(b"<") && is_value(after, false),
        _ => is_value(after, false),
    }
}

/// Whether what is given can be a secret. Prose has colons too ("invalid token: expired"); there it must
/// have a digit.
fn is_value(after: &[u8], in_prose: bool) -> bool {
    const SCHEMES: [&[u8]; 7] = [
        b"Bearer",
        b"Basic",
        b"Token",
        b"Digest",
        b"ApiKey",
        b"SSWS",
        b"Negotiate",
    ];
    let after = &after[..after.len().min(LONGEST_VALUE)];
    let start = run(after, |byte| matches!(byte, b' ' | b'"' | b'\'' | b'\\'));
    let value = &after[start..];
    let value = &value[..run(value, |byte| {
        !byte.is_ascii_whitespace() && !b"\"',;&)<\\".contains(&byte)
    })];
    let scheme = SCHEMES
        .iter()
        .any(|scheme| value.eq_ignore_ascii_case(scheme));
    if scheme {
        return after.len() - start > value.len() + 8;
    }
    value.len() >= 6
        && names::may_be_secret(value)
        && (!in_prose || value.iter().any(u8::is_ascii_digit))
}

/// Whether the anchor at this position is that of a telling name and no chance likeness.
pub(crate) fn is_part_of_name(text: &[u8], at: usize) -> bool {
    let Some(anchor) = text.get(at..at + 3) else {
        return false;
    };
    let follows = |word: &[u8]| {
        let after = text.get(at + 3..at + 3 + word.len());
        after.is_some_and(|after| after.eq_ignore_ascii_case(word))
    };
    let precedes = |word: &[u8]| {
        let before = at.checked_sub(word.len()).map(|start| &text[start..at]);
        before.is_some_and(|before| before.eq_ignore_ascii_case(word))
    };
    match [anchor[0] | 32, anchor[1] | 32, anchor[2] | 32] {
        [b'r', b'e', b't'] => precedes(b"sec"),
        [b't', b'o', b'k'] => follows(b"en"),
        [b'p', b'a', b's'] => follows(b"s"),
        [b'p', b'w', b'd'] | [b'p', b's', b'k'] => true,
        [b'p', b'i', b'k'] | [b't', b'e', b'k'] => follows(b"ey"),
        // An underscore and a hyphen, with their sixth bit set.
        [b'p', b'i', 0x7f | b'-'] | [b't', b'e', 0x7f | b'-'] => follows(b"key"),
        [_, b'k', b'e'] => follows(b"y"),
        [b'i', b'z', b'a'] => precedes(b"author"),
        _ => false,
    }
}

/// The telling word around an anchor: where it starts and ends.
pub(crate) fn telling_word(text: &[u8], at: usize) -> Option<(usize, usize)> {
    const REACH: usize = 64;
    let before = text[..at].iter().rev().take(REACH);
    let start = at - before.take_while(|&&byte| is_word(byte)).count();
    let after = text[at..].iter().take(REACH);
    let end = at + after.take_while(|&&byte| is_word(byte)).count();
    let word = &text[start..end];
    (names::is_secret(word) || names::is_header(word)).then_some((start, end))
}

/// Whether what starts at this position, in base64, is given to a name that says so: `AccountKey=…`,
/// `"sharedAccessKey":"…"`, `&sig=…`.
pub(crate) fn is_named_base64(text: &[u8], start: usize) -> bool {
    let quotes = |end: usize| {
        let before = text[..end].iter().rev().take(4);
        end - before
            .take_while(|&&byte| matches!(byte, b'"' | b'\'' | b' ' | b'\\'))
            .count()
    };
    let sign = quotes(start);
    // An ARN has colons too, with nothing between them and the name.
    let is_given = match sign.checked_sub(1).map(|at| text[at]) {
        Some(b'=') => true,
        Some(b':') => sign < start,
        _ => false,
    };
    if !is_given {
        return false;
    }
    let end = quotes(sign - 1);
    let word = text[..end]
        .iter()
        .rev()
        .take(64)
        .take_while(|&&byte| is_word(byte))
        .count();
    names::is_secret_in_base64(&text[end - word..end])
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
        (
            Detector::Provider("github-token"),
            format!("ghp_{}", &long[..36]),
        ),
        (
            Detector::Provider("github-token"),
            format!("https://github_pat_{}@x", &long[..30]),
        ),
        (
            Detector::Provider("gitlab-token"),
            format!("glpat-{}", &long[..20]),
        ),
        (
            Detector::Provider("slack-token"),
            "xoxb-123456789012-abc".to_owned(),
        ),
        (
            Detector::Provider("slack-token"),
            "https://hooks.slack.com/services/T0000/B0000/abcdefghijkl".to_owned(),
        ),
        (
            Detector::Provider("stripe-key"),
            format!("sk_live_{}", &long[..24]),
        ),
        (
            Detector::Provider("google-api-key"),
            format!("AIza{}", &long[..35]),
        ),
        (
            Detector::Provider("npm-token"),
            format!("npm_{}", &long[..36]),
        ),
        (
            Detector::Provider("pypi-token"),
            format!("pypi-{}", &long[..60]),
        ),
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
    use crate::search::Search;

    #[test]
    fn so_many_telling_words_are_judged_and_no_more() {
        let text = "secret,".repeat(10_000);
        let mut values = Values::new(text.as_bytes());
        let judged = text
            .match_indices("ret")
            .take_while(|(at, _)| values.at(*at, Clue::Anchor).is_none())
            .count();
        assert_eq!(judged, WORDS + text.len() / BYTES_A_WORD);
        let found = values.at(text.len() - 4, Clue::Anchor);
        assert_eq!(found, Some(Detector::Unsearched));
    }

    #[test]
    fn each_kind_is_recognised() {
        for (kind, text) in samples() {
            let found = Search::new(1000, b"").text(text.as_bytes(), 0);
            assert_eq!(found, Some(kind), "{text}");
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
            let found = Search::new(1000, b"").text(text.as_bytes(), 0);
            assert_eq!(found, None, "{text}");
        }
    }
}
