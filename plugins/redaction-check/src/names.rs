//! Names that promise a secret, and values that cannot be one.

/// What the name of a member may end in, in lower case and with underscores. `anchors` must have three
/// bytes of each.
pub(crate) const SECRET_ENDINGS: [&str; 18] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "secretstring",
    "secret_string",
    "secretbinary",
    "secret_binary",
    "secretkey",
    "secret_key",
    "secretaccesskey",
    "secret_access_key",
    "token",
    "apikey",
    "api_key",
    "privatekey",
    "private_key",
];

/// Tokens that page through lists, make calls repeatable, or guard an update: no secrets. Without
/// separators.
const HARMLESS_ENDINGS: [&str; 13] = [
    "nexttoken",
    "clienttoken",
    "requesttoken",
    "paginationtoken",
    "continuationtoken",
    "idempotencytoken",
    "changetoken",
    "locktoken",
    "updatetoken",
    "startingtoken",
    "creatortoken",
    "pagetoken",
    "deduplicationtoken",
];

/// Whether a member so named, or a variable so called, holds a secret.
pub(crate) fn is_secret(name: &[u8]) -> bool {
    // Most names end in none of the letters that the endings end in.
    let last = name.last().copied().map(folded);
    matches!(last, Some(b'd' | b'e' | b't' | b'g' | b'y' | b'n'))
        && SECRET_ENDINGS
            .iter()
            .any(|ending| ends_in(name, ending.as_bytes()))
        && !is_harmless(name)
}

fn is_harmless(name: &[u8]) -> bool {
    let reversed = || {
        name.iter()
            .rev()
            .copied()
            .map(folded)
            .filter(|byte| *byte != b'_')
    };
    HARMLESS_ENDINGS.iter().any(|ending| {
        let mut reversed = reversed();
        ending
            .bytes()
            .rev()
            .all(|byte| reversed.next() == Some(byte))
    })
}

fn ends_in(name: &[u8], ending: &[u8]) -> bool {
    let Some(start) = name.len().checked_sub(ending.len()) else {
        return false;
    };
    name[start..]
        .iter()
        .zip(ending)
        .all(|(&byte, &expected)| folded(byte) == expected)
}

fn folded(byte: u8) -> u8 {
    if byte == b'-' {
        b'_'
    } else {
        byte.to_ascii_lowercase()
    }
}

/// Whether a value is a marker: of AWS, of the host, or stars.
pub(crate) fn is_marker(value: &[u8]) -> bool {
    const WHOLE: [&str; 10] = [
        "Value hidden due to security reasons.",
        "HIDDEN_DUE_TO_SECURITY_REASONS",
        "<sensitiveDataRemoved>",
        "sensitiveDataRemoved",
        "REDACTED",
        "[REDACTED]",
        "** Sensitive Data Redacted **",
        "***OMITTED***",
        "hidden",
        "HIDDEN",
    ];
    let stars = !value.is_empty() && value.iter().all(|&byte| byte == b'*');
    stars
        || (value.starts_with(b"<masked:") && value.ends_with(b">"))
        || WHOLE.iter().any(|marker| marker.as_bytes() == value)
}

/// Whether a value under a telling name can be the secret itself: not a marker, not a word for yes or
/// no, not a reference to where the secret is kept.
pub(crate) fn may_be_secret(value: &[u8]) -> bool {
    const REFERENCES: [&str; 6] = ["arn:", "{{resolve:", "${", "$(", "{{", "<%"];
    const WORDS: [&str; 7] = [
        "true", "false", "null", "none", "enabled", "disabled", "default",
    ];
    value.len() >= 4
        && !is_marker(value)
        && !REFERENCES
            .iter()
            .any(|start| value.starts_with(start.as_bytes()))
        && !WORDS
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telling_names_are_known_in_every_spelling() {
        for name in [
            "password",
            "masterUserPassword",
            "DB_PASSWORD",
            "db-passwd",
            "clientSecret",
            "authToken",
            "oAuthToken",
            "splunk-token",
            "apiKey",
            "API_KEY",
            "secretAccessKey",
            "privateKey",
            "secretString",
            "--db_password",
        ] {
            assert!(is_secret(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_of_other_things_are_not_telling() {
        for name in [
            "nextToken",
            "NextToken",
            "clientToken",
            "clientRequestToken",
            "passwordPolicy",
            "secretId",
            "passwordResetRequired",
            "tokenType",
            "accessKeyId",
            "publicKey",
            "keyId",
            "",
        ] {
            assert!(!is_secret(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_very_long_name_is_judged_by_its_ending() {
        let long = format!("{}Password", "x".repeat(500));
        assert!(is_secret(long.as_bytes()));
    }

    #[test]
    fn markers_and_references_are_no_secrets() {
        for value in [
            "HIDDEN_DUE_TO_SECURITY_REASONS",
            "<sensitiveDataRemoved>",
            "****",
            "***OMITTED***",
            "REDACTED",
            "** Sensitive Data Redacted **",
            "<masked:jwt:k1:0123456789abcdef>",
            "true",
            "",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:x",
            "{{resolve:ssm:x}}",
        ] {
            assert!(!may_be_secret(value.as_bytes()), "{value}");
        }
        assert!(may_be_secret(b"hunter2"));
    }
}
