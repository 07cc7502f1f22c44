//! The kinds of secret.

use sluicegate_plugin::Severity;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detector {
    /// The session token that a call is there to hand out.
    IssuedSessionToken,
    AwsSessionToken,
    AwsSecretKey,
    PresignedUrl,
    PrivateKey,
    Jwt,
    GithubToken,
    GitlabToken,
    SlackToken,
    StripeKey,
    GoogleKey,
    NpmToken,
    PypiToken,
    UrlPassword,
    /// `password=…` within a text.
    Assignment,
    /// A member (or a name and value pair) named like a secret.
    NamedSecret,
    EnvironmentVariable,
    UserData,
    /// A place known to hold secrets, of no special kind.
    KnownPlace,
}

impl Detector {
    /// As masks and findings show it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IssuedSessionToken => "issued-session-token",
            Self::AwsSessionToken => "aws-session-token",
            Self::AwsSecretKey => "aws-secret-key",
            Self::PresignedUrl => "presigned-url",
            Self::PrivateKey => "private-key",
            Self::Jwt => "jwt",
            Self::GithubToken => "github-token",
            Self::GitlabToken => "gitlab-token",
            Self::SlackToken => "slack-token",
            Self::StripeKey => "stripe-key",
            Self::GoogleKey => "google-api-key",
            Self::NpmToken => "npm-token",
            Self::PypiToken => "pypi-token",
            Self::UrlPassword => "url-password",
            Self::Assignment => "secret-assignment",
            Self::NamedSecret => "named-secret",
            Self::EnvironmentVariable => "environment-variable",
            Self::UserData => "user-data",
            Self::KnownPlace => "known-place",
        }
    }

    /// How bad it is; nothing where it is routine and only masked.
    pub(crate) fn severity(self) -> Option<Severity> {
        match self {
            Self::IssuedSessionToken => None,
            Self::AwsSecretKey
            | Self::PrivateKey
            | Self::GithubToken
            | Self::GitlabToken
            | Self::StripeKey
            | Self::NpmToken
            | Self::PypiToken => Some(Severity::High),
            Self::AwsSessionToken
            | Self::PresignedUrl
            | Self::Jwt
            | Self::SlackToken
            | Self::GoogleKey
            | Self::UrlPassword
            | Self::Assignment
            | Self::NamedSecret => Some(Severity::Medium),
            Self::EnvironmentVariable | Self::UserData | Self::KnownPlace => Some(Severity::Low),
        }
    }
}
