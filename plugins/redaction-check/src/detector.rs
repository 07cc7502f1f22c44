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
    /// A token that can be told by how it begins, by its kind.
    Provider(&'static str),
    UrlPassword,
    CardNumber,
    /// `password=…` within a text.
    Assignment,
    /// A member (or a name and value pair) named like a secret.
    NamedSecret,
    EnvironmentVariable,
    UserData,
    /// A place known to hold secrets, of no special kind.
    KnownPlace,
    /// A member that AWS's own model calls sensitive, though no secret.
    SensitiveMember,
    /// Text wrapped too often, or too much of it, to be searched; it may hold anything.
    Unsearched,
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
            Self::Provider(kind) => kind,
            Self::UrlPassword => "url-password",
            Self::CardNumber => "card-number",
            Self::Assignment => "secret-assignment",
            Self::NamedSecret => "named-secret",
            Self::EnvironmentVariable => "environment-variable",
            Self::UserData => "user-data",
            Self::KnownPlace => "known-place",
            Self::SensitiveMember => "sensitive-member",
            Self::Unsearched => "unsearched",
        }
    }

    /// How bad it is; nothing where it is routine and only masked.
    pub(crate) fn severity(self) -> Option<Severity> {
        match self {
            Self::IssuedSessionToken | Self::SensitiveMember => None,
            Self::AwsSecretKey | Self::PrivateKey | Self::Provider(_) => Some(Severity::High),
            Self::AwsSessionToken
            | Self::PresignedUrl
            | Self::Jwt
            | Self::UrlPassword
            | Self::CardNumber
            | Self::Assignment
            | Self::NamedSecret
            | Self::Unsearched => Some(Severity::Medium),
            Self::EnvironmentVariable | Self::UserData | Self::KnownPlace => Some(Severity::Low),
        }
    }
}
