//! Tokens that can be told by how they begin.

use crate::detector::Detector;

/// What follows the prefix.
#[derive(Clone, Copy)]
enum Tail {
    /// Letters, digits, hyphens, underscores.
    Word,
    /// Also dots and slashes.
    Path,
}

struct Token {
    prefix: &'static [u8],
    /// Where its anchor lies, and the first two bytes of it.
    offset: usize,
    anchor: [u8; 2],
    tail: Tail,
    least: usize,
    kind: &'static str,
}

const fn token(
    offset: usize,
    prefix: &'static [u8],
    tail: Tail,
    least: usize,
    kind: &'static str,
) -> Token {
    Token {
        prefix,
        offset,
        anchor: [prefix[offset], prefix[offset + 1]],
        tail,
        least,
        kind,
    }
}

/// By the last of the three bytes of their anchor.
static UNDERSCORED: [Token; 15] = [
    token(1, b"ghp_", Tail::Word, 36, "github-token"),
    token(1, b"gho_", Tail::Word, 36, "github-token"),
    token(1, b"ghu_", Tail::Word, 36, "github-token"),
    token(1, b"ghs_", Tail::Word, 36, "github-token"),
    token(1, b"ghr_", Tail::Word, 36, "github-token"),
    token(8, b"github_pat_", Tail::Word, 22, "github-token"),
    token(1, b"npm_", Tail::Word, 36, "npm-token"),
    token(5, b"sk_live_", Tail::Word, 16, "stripe-key"),
    token(5, b"rk_live_", Tail::Word, 16, "stripe-key"),
    token(4, b"dop_v1_", Tail::Word, 32, "digitalocean-token"),
    token(0, b"hf_", Tail::Word, 30, "huggingface-token"),
    token(3, b"shpat_", Tail::Word, 32, "shopify-token"),
    token(6, b"dckr_pat_", Tail::Word, 20, "docker-token"),
    token(2, b"glsa_", Tail::Word, 32, "grafana-token"),
    token(5, b"lin_api_", Tail::Word, 32, "linear-token"),
];

static HYPHENED: [Token; 8] = [
    token(3, b"glpat-", Tail::Word, 20, "gitlab-token"),
    token(2, b"pypi-", Tail::Word, 50, "pypi-token"),
    token(4, b"sk-ant-", Tail::Word, 32, "anthropic-key"),
    token(5, b"sk-proj-", Tail::Word, 32, "openai-key"),
    token(2, b"PMAK-", Tail::Word, 32, "postman-key"),
    token(2, b"NRAK-", Tail::Word, 20, "newrelic-key"),
    token(4, b"GOCSPX-", Tail::Word, 20, "google-client-secret"),
    token(2, b"xapp-", Tail::Word, 20, "slack-token"),
];

static DOTTED: [Token; 3] = [
    token(0, b"SG.", Tail::Path, 40, "sendgrid-key"),
    token(1, b"hvs.", Tail::Word, 20, "vault-token"),
    token(
        3,
        b"hooks.slack.com/services/",
        Tail::Path,
        20,
        "slack-token",
    ),
];

/// The token whose anchor stands at this position.
pub(crate) fn at(text: &[u8], at: usize) -> Option<Detector> {
    let anchor = text.get(at..at + 3)?;
    let list: &[Token] = match anchor[2] {
        b'_' => &UNDERSCORED,
        b'-' => &HYPHENED,
        b'.' => &DOTTED,
        _ => return None,
    };
    let token = list.iter().find(|token| {
        token.anchor == anchor[..2]
            && at
                .checked_sub(token.offset)
                .is_some_and(|start| text[start..].starts_with(token.prefix))
    })?;
    let start = at - token.offset;
    let fresh = start == 0 || !text[start - 1].is_ascii_alphanumeric();
    let of = |byte: u8| {
        is_word(byte) || (matches!(token.tail, Tail::Path) && matches!(byte, b'.' | b'/'))
    };
    let tail = &text[start + token.prefix.len()..];
    (fresh && has(tail, token.least, of)).then_some(Detector::Provider(token.kind))
}

/// Slack's, which differ in their fourth letter.
pub(crate) fn is_slack(rest: &[u8]) -> bool {
    rest.starts_with(b"xox")
        && matches!(
            rest.get(3),
            Some(b'a' | b'b' | b'c' | b'd' | b'e' | b'o' | b'p' | b'r' | b's')
        )
        && rest.get(4) == Some(&b'-')
        && has(&rest[5..], 10, is_word)
}

/// Google's have just so many letters.
pub(crate) fn is_google_key(rest: &[u8]) -> bool {
    rest.strip_prefix(b"AIza").is_some_and(|tail| {
        has(tail, 35, is_word) && !tail.get(35).is_some_and(|&byte| is_word(byte))
    })
}

/// A token of STS; the three ways one has begun over the years.
pub(crate) fn is_session_token(rest: &[u8]) -> bool {
    let starts = [&b"IQoJb3JpZ2lu"[..], b"FwoGZXIvYXdz", b"FQoGZXIvYXdz"];
    starts.iter().any(|start| rest.starts_with(start)) && has(rest, 100, is_base64)
}

pub(crate) fn is_access_key_id(rest: &[u8]) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    (rest.starts_with(b"AKIA") || rest.starts_with(b"ASIA"))
        && has(rest, 20, is_letter)
        && !rest.get(20).is_some_and(|&byte| is_letter(byte))
}

/// Forty characters with upper case, lower case and digits.
pub(crate) fn is_secret_key(word: &[u8]) -> bool {
    word.len() == 40
        && word.iter().all(|&byte| is_base64(byte))
        && word.iter().any(u8::is_ascii_uppercase)
        && word.iter().any(u8::is_ascii_lowercase)
        && word.iter().any(u8::is_ascii_digit)
}

/// Whether so many bytes are all of a kind.
fn has(text: &[u8], count: usize, of: impl Fn(u8) -> bool) -> bool {
    text.get(..count)
        .is_some_and(|text| text.iter().all(|&byte| of(byte)))
}

pub(crate) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}
