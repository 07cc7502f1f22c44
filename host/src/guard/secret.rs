//! What the guard knows as a secret.

use serde::{Deserialize, Serialize};

/// A kind of secret that can be told by itself, wherever it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Secret {
    /// A private key in PEM.
    PrivateKey,
    /// A signed or encrypted JSON web token.
    Jwt,
    /// The session token of temporary AWS credentials.
    AwsSessionToken,
    /// A secret access key beside an access key id.
    AwsSecretKey,
    /// A token of GitHub.
    GithubToken,
    /// A token of GitLab.
    GitlabToken,
    /// A token of Slack.
    SlackToken,
    /// A live key of Stripe.
    StripeKey,
    /// A token of npm.
    NpmToken,
    /// A token of `PyPI`.
    PypiToken,
    /// An API key of Google.
    GoogleApiKey,
}

impl Secret {
    /// All of them, each at the position of its number.
    pub const ALL: [Self; 11] = [
        Self::PrivateKey,
        Self::Jwt,
        Self::AwsSessionToken,
        Self::AwsSecretKey,
        Self::GithubToken,
        Self::GitlabToken,
        Self::SlackToken,
        Self::StripeKey,
        Self::NpmToken,
        Self::PypiToken,
        Self::GoogleApiKey,
    ];

    /// The name as it stands in markers, findings, logs and counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrivateKey => "private-key",
            Self::Jwt => "jwt",
            Self::AwsSessionToken => "aws-session-token",
            Self::AwsSecretKey => "aws-secret-key",
            Self::GithubToken => "github-token",
            Self::GitlabToken => "gitlab-token",
            Self::SlackToken => "slack-token",
            Self::StripeKey => "stripe-key",
            Self::NpmToken => "npm-token",
            Self::PypiToken => "pypi-token",
            Self::GoogleApiKey => "google-api-key",
        }
    }
}

/// How what follows an anchor is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// The anchor, then so many characters of a set.
    Token {
        secret: Secret,
        of: fn(u8) -> bool,
        least: usize,
        most: usize,
    },
    /// `-----BEGIN … PRIVATE KEY-----`, of which the anchor is the middle.
    PrivateKey,
    /// Three or five parts in base64url, joined by points.
    Jwt,
    /// An access key id, which is no secret: its secret key may stand beside it.
    AccessKeyId,
    /// An escape behind which the beginning of anything can hide.
    Escape,
}

const fn token(secret: Secret, of: fn(u8) -> bool, least: usize, most: usize) -> Shape {
    Shape::Token {
        secret,
        of,
        least,
        most,
    }
}

const GITHUB: Shape = token(Secret::GithubToken, alphanumeric, 36, 255);
const SLACK: Shape = token(Secret::SlackToken, dashed, 24, 255);
const STRIPE: Shape = token(Secret::StripeKey, alphanumeric, 24, 255);
const SESSION: Shape = token(Secret::AwsSessionToken, any_base64, 64, usize::MAX);

/// What makes it worth looking closer, and what has to follow. None of the first may begin with what
/// another ends with, but where the words before a token rule it out: of two that overlap one is seen.
pub(super) const ANCHORS: [(&str, Shape); 25] = [
    (r"\u00", Shape::Escape),
    ("---BEGIN", Shape::PrivateKey),
    ("eyJ", Shape::Jwt),
    ("AKIA", Shape::AccessKeyId),
    ("ASIA", Shape::AccessKeyId),
    ("IQoJb3JpZ2lu", SESSION),
    ("FwoGZXIvYXdz", SESSION),
    ("FQoGZXIvYXdz", SESSION),
    ("ghp_", GITHUB),
    ("gho_", GITHUB),
    ("ghu_", GITHUB),
    ("ghs_", GITHUB),
    ("ghr_", GITHUB),
    ("github_pat_", token(Secret::GithubToken, word, 60, 255)),
    ("glpat-", token(Secret::GitlabToken, base64url, 20, 255)),
    ("xoxa-", SLACK),
    ("xoxb-", SLACK),
    ("xoxp-", SLACK),
    ("xoxr-", SLACK),
    ("xoxs-", SLACK),
    ("sk_live_", STRIPE),
    ("rk_live_", STRIPE),
    ("npm_", token(Secret::NpmToken, alphanumeric, 36, 36)),
    ("pypi-", token(Secret::PypiToken, base64url, 80, usize::MAX)),
    ("AIza", token(Secret::GoogleApiKey, base64url, 35, 35)),
];

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

pub(super) fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn dashed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

pub(super) fn base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn any_base64(byte: u8) -> bool {
    base64(byte) || base64url(byte)
}

pub(super) fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}
