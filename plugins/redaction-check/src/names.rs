//! Names that promise a secret, and values that cannot be one.

/// What the name of a member may end in, in lower case and without separators. `scan` must have three
/// bytes of each, and of each spelling with separators.
pub(crate) const SECRET_ENDINGS: [&str; 20] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "secret",
    "secretstring",
    "secretbinary",
    "secretkey",
    "secretaccesskey",
    "token",
    "apikey",
    "privatekey",
    "sharedkey",
    "authkey",
    "accountkey",
    "signingkey",
    "masterkey",
    "psk",
    "passkey",
];

/// Tokens that page through lists, make calls repeatable, or guard an update: no secrets. Without
/// separators.
const HARMLESS_ENDINGS: [&str; 14] = [
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
    "versiontoken",
];

/// What may follow: `tokenValue`, `DB_PASSWORD_OLD`, `passwordHash`.
const QUALIFIERS: [&str; 18] = [
    "value",
    "hash",
    "text",
    "plaintext",
    "old",
    "new",
    "current",
    "previous",
    "prod",
    "production",
    "dev",
    "test",
    "staging",
    "primary",
    "secondary",
    "base64",
    "b64",
    "param",
];

/// Longer names are judged by so many bytes at their end.
const LONGEST: usize = 64;

/// The end of a name in lower case, without separators.
struct Folded {
    bytes: [u8; LONGEST],
    start: usize,
}

impl Folded {
    fn new(name: &[u8]) -> Self {
        let mut folded = Self {
            bytes: [0; LONGEST],
            start: LONGEST,
        };
        for &byte in name.iter().rev() {
            if !matches!(byte, b'_' | b'-' | b'.' | b' ') {
                if folded.start == 0 {
                    break;
                }
                folded.start -= 1;
                folded.bytes[folded.start] = byte.to_ascii_lowercase();
            }
        }
        folded
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Whether a member so named, or a variable so called, holds a secret.
pub(crate) fn is_secret(name: &[u8]) -> bool {
    if !may_end_so(name) || !has_root(name) {
        return false;
    }
    let folded = Folded::new(name);
    let whole = folded.as_slice();
    let digitless = trim_digits(whole);
    let (bare, qualified) = unqualified(digitless);
    let singular = bare.strip_suffix(b"s").unwrap_or(bare);
    let ends = |ending: &&str| {
        bare.ends_with(ending.as_bytes()) || (singular.ends_with(ending.as_bytes()) && !qualified)
    };
    // Most names end in none of the letters that the endings end in.
    let last = singular.last().copied().unwrap_or_default();
    let may_end = matches!(last, b'd' | b'e' | b't' | b'g' | b'y' | b'n' | b'k');
    (may_end
        && SECRET_ENDINGS.iter().any(ends)
        && !HARMLESS_ENDINGS
            .iter()
            .any(|ending| singular.ends_with(ending.as_bytes())))
        || is_pass(name)
}

/// Whether the last letter is that of an ending, a qualifier or a plural. Of most names it is another.
fn may_end_so(name: &[u8]) -> bool {
    let last = name.iter().rev().find(|byte| byte.is_ascii_alphabetic());
    last.is_some_and(|byte| b"deghkmnstvwy".contains(&byte.to_ascii_lowercase()))
}

/// Whether the name has three letters in it that no telling name is without. Most names have none.
fn has_root(name: &[u8]) -> bool {
    name.array_windows::<3>().any(|letters| {
        matches!(
            [letters[0] | 32, letters[1] | 32, letters[2] | 32],
            [b'p', b'a', b's']
                | [b'p', b'w', b'd']
                | [b'p', b's', b'k']
                | [b'r', b'e', b't']
                | [b'k', b'e', b'n' | b'y']
        )
    })
}

fn trim_digits(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| !byte.is_ascii_digit());
    &name[..end.map_or(0, |at| at + 1)]
}

/// The name before one qualifier, and whether there was one.
fn unqualified(name: &[u8]) -> (&[u8], bool) {
    QUALIFIERS
        .iter()
        .find_map(|word| name.strip_suffix(word.as_bytes()))
        .map_or((name, false), |bare| (trim_digits(bare), true))
}

/// `DB_PASS`, `smtpPass`, `pass`: the word by itself, not the end of `bypass`.
fn is_pass(name: &[u8]) -> bool {
    let Some(start) = name.len().checked_sub(4) else {
        return false;
    };
    let (before, word) = name.split_at(start);
    let fresh = match before.last() {
        None => true,
        Some(byte) => {
            !byte.is_ascii_alphanumeric() || (byte.is_ascii_lowercase() && word[0] == b'P')
        }
    };
    fresh && word.eq_ignore_ascii_case(b"pass")
}

/// Whether something of this name that is given in base64 is a secret: keys and signatures have no better
/// mark.
pub(crate) fn is_secret_in_base64(name: &[u8]) -> bool {
    if !has_root(name) {
        return matches!(name, b"sig" | b"signature" | b"Signature");
    }
    let folded = Folded::new(name);
    let whole = folded.as_slice();
    whole.ends_with(b"accesskey") || is_secret(name)
}

/// Whether the member's value is a header that carries credentials.
pub(crate) fn is_header(name: &[u8]) -> bool {
    let start = name.len().saturating_sub(13);
    name[start..].eq_ignore_ascii_case(b"authorization")
}

/// Whether such a header has a scheme and something long enough after it.
pub(crate) fn has_credentials(value: &[u8]) -> bool {
    let blank = value.iter().position(|&byte| byte == b' ');
    blank.is_some_and(|blank| blank >= 3 && value.len() - blank > 8) && may_be_secret(value)
}

/// Whether a member of this name says what the pair is about: `{"name":"DB_PASSWORD","value":"…"}`.
pub(crate) fn is_pair_name(name: &[u8]) -> bool {
    const NAMES: [&str; 9] = [
        "name",
        "key",
        "parameterkey",
        "parametername",
        "variable",
        "header",
        "field",
        "id",
        "tagkey",
    ];
    is_one_of(name, &NAMES)
}

/// Whether a member of this name holds what the pair is about.
pub(crate) fn is_pair_value(name: &[u8]) -> bool {
    const NAMES: [&str; 8] = [
        "value",
        "parametervalue",
        "defaultvalue",
        "stringvalue",
        "content",
        "val",
        "data",
        "tagvalue",
    ];
    is_one_of(name, &NAMES)
}

/// Whether a member of this name may say something of the others in its object: that it is what they are
/// about, or what kind of value it is. Of most names it is not so.
pub(crate) fn is_pair_part(name: &[u8]) -> bool {
    let first = name.first().map(|byte| byte | 32);
    matches!(first, Some(b'v' | b'p' | b'd' | b's' | b'c' | b't'))
        && (name == b"type" || is_pair_value(name))
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names
        .iter()
        .any(|word| word.as_bytes().eq_ignore_ascii_case(name))
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
    if value.len() > 256 {
        return false;
    }
    let stars = !value.is_empty() && value.iter().all(|&byte| byte == b'*');
    stars || is_own_marker(value) || WHOLE.iter().any(|marker| marker.as_bytes() == value)
}

/// `<masked:detector>` or `<masked:detector:key id:16 hex digits>`, and nothing that only looks so.
fn is_own_marker(value: &[u8]) -> bool {
    let inside = value
        .strip_prefix(b"<masked:")
        .and_then(|rest| rest.strip_suffix(b">"));
    let Some(inside) = inside else {
        return false;
    };
    let is_word = |part: &[u8], longest: usize| {
        (1..=longest).contains(&part.len())
            && part
                .iter()
                .all(|&byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let parts: Vec<&[u8]> = inside.split(|&byte| byte == b':').collect();
    match parts[..] {
        [detector] => is_word(detector, 24),
        [detector, key, hmac] => {
            is_word(detector, 48)
                && is_word(key, 16)
                && hmac.len() == 16
                && hmac.iter().all(u8::is_ascii_hexdigit)
        }
        _ => false,
    }
}

/// Whether a value under a telling name can be the secret itself: not a marker, not a word for yes or
/// no, not a reference to where the secret is kept.
pub(crate) fn may_be_secret(value: &[u8]) -> bool {
    const REFERENCES: [&str; 6] = ["arn:", "{{resolve:", "${", "$(", "{{", "<%"];
    const WORDS: [&str; 9] = [
        "true", "false", "null", "none", "enabled", "disabled", "default", "optional", "required",
    ];
    value.len() >= 4
        && !is_marker(value)
        && !is_placeholder(value)
        && !REFERENCES
            .iter()
            .any(|start| value.starts_with(start.as_bytes()))
        && !WORDS
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// `$DB_PASSWORD`, `<your password>`: what stands for a value.
fn is_placeholder(value: &[u8]) -> bool {
    let variable = value.strip_prefix(b"$").is_some_and(|name| {
        name.iter()
            .all(|&byte| byte.is_ascii_uppercase() || byte == b'_')
    });
    variable || (value.starts_with(b"<") && value.ends_with(b">"))
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
            "DB_PASS",
            "smtpPass",
            "password2",
            "passwords",
            "tokenValue",
            "DB_PASSWORD_OLD",
            "x-api-key",
            "Database Password",
            "preSharedKey",
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
            "bypass",
            "compass",
            "nextTokens",
            "secretArn",
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
            "$DB_PASSWORD",
            "<password>",
        ] {
            assert!(!may_be_secret(value.as_bytes()), "{value}");
        }
        assert!(may_be_secret(b"hunter2"));
    }
}
