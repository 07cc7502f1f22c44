use std::{fmt::Write as _, sync::Arc};

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::{
    guard::{Guard, Mode, units::unit},
    sink::Entry,
};

/// So many characters of a set, mixed.
fn mixed(set: &[u8], count: usize, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut one = |_| char::from(set[random.usize(..set.len())]);
    (0..count).map(&mut one).collect()
}

const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const CAPITALS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn alphanumeric(count: usize, seed: u64) -> String {
    mixed(ALPHANUMERIC, count, seed)
}

fn key_id(seed: u64) -> String {
    let prefix = ["AKIA", "ASIA"][usize::from(seed % 2 == 1)];
    format!("{prefix}{}", mixed(CAPITALS, 16, seed))
}

/// Forty characters; one of 1,000 keys does not look random, and is not for these tests.
fn secret_key(seed: u64) -> String {
    (0..100)
        .map(|more| mixed(BASE64, 40, seed ^ more << 32))
        .find(|key| {
            let pair = format!("{}:{key}", key_id(seed));
            !Finder::default().find(pair.as_bytes()).is_empty()
        })
        .unwrap()
}

fn pem(label: &str, seed: u64) -> String {
    let lines: Vec<_> = (0..4).map(|line| mixed(BASE64, 64, seed + line)).collect();
    let body = lines.join("\n");
    format!("-----BEGIN {label}PRIVATE KEY-----\n{body}==\n-----END {label}PRIVATE KEY-----")
}

fn jwt(seed: u64) -> String {
    let part = |count, more| alphanumeric(count, seed + more);
    format!("eyJ{}.eyJ{}.{}", part(33, 1), part(60, 2), part(43, 3))
}

/// One secret of every kind, as it is; of the last alone a part is none.
fn secrets(seed: u64) -> Vec<(Secret, String)> {
    let of =
        |secret, prefix: &str, count| (secret, format!("{prefix}{}", alphanumeric(count, seed)));
    let session = |prefix| {
        (
            Secret::AwsSessionToken,
            format!("{prefix}{}", mixed(BASE64, 700, seed)),
        )
    };
    vec![
        (Secret::PrivateKey, pem("RSA ", seed)),
        (Secret::PrivateKey, pem("", seed)),
        (Secret::PrivateKey, pem("OPENSSH ", seed)),
        (Secret::Jwt, jwt(seed)),
        session("IQoJb3JpZ2lu"),
        session("FwoGZXIvYXdz"),
        session("FQoGZXIvYXdz"),
        of(Secret::GithubToken, "ghp_", 36),
        of(Secret::GithubToken, "ghs_", 36),
        of(Secret::GithubToken, "github_pat_", 82),
        of(Secret::GitlabToken, "glpat-", 20),
        of(Secret::SlackToken, "xoxb-123456789012-", 24),
        of(Secret::StripeKey, "sk_live_", 24),
        of(Secret::NpmToken, "npm_", 36),
        of(Secret::PypiToken, "pypi-AgEIcHlwaS5vcmc", 120),
        of(Secret::GoogleApiKey, "AIza", 35),
    ]
}

fn found(text: &str) -> Vec<(Secret, &str)> {
    let hits = Finder::default().find(text.as_bytes());
    hits.into_iter()
        .map(|hit| (hit.secret, &text[hit.range]))
        .collect()
}

/// The text with some characters as escapes, at this depth of JSON in JSON.
fn hidden(text: &str, depth: u32, every: usize) -> String {
    let slashes = "\\".repeat(2_usize.pow(depth) - 1);
    let mut out = String::new();
    for (position, c) in text.chars().enumerate() {
        match c {
            '\n' => write!(out, "{slashes}n"),
            '/' if position % 2 == 0 => write!(out, "{slashes}/"),
            c if position % every == 0 => write!(out, "{slashes}u{:04x}", u32::from(c)),
            c => write!(out, "{c}"),
        }
        .unwrap();
    }
    out
}

#[test]
fn every_kind_is_found_wherever_it_stands() {
    for seed in 0..20 {
        for (secret, text) in secrets(seed) {
            let json = serde_json::to_string(&text).unwrap();
            let twice = serde_json::to_string(&json).unwrap();
            let plain = json.trim_matches('"');
            for text in [
                format!("{{\"a\":{json}}}"),
                format!("{{\"a\":\"x {plain} y\"}}"),
                format!("{{\"{plain}\":1}}"),
                twice,
                format!("\"TOKEN={plain}\\nX=y\""),
                format!("\"first line\\n{plain}\""),
                format!("\"?a=b%3D{plain}&c\""),
            ] {
                let hits = found(&text);
                assert_eq!(hits.len(), 1, "{text}");
                assert_eq!(hits[0].0, secret, "{text}");
                assert_eq!(
                    hits[0].1.replace('\\', ""),
                    plain.replace('\\', ""),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn no_escape_hides_a_secret() {
    for (seed, depth, every) in [(1, 1, 1), (2, 1, 2), (3, 2, 5), (4, 3, 3), (5, 2, 1)] {
        for (secret, text) in secrets(seed) {
            let text = format!("\"{}\"", hidden(&text, depth, every));
            let hits = found(&text);
            assert_eq!(hits.len(), 1, "{text}");
            assert_eq!(
                (hits[0].0, hits[0].1.len()),
                (secret, text.len() - 2),
                "{text}"
            );
        }
    }
}

#[test]
fn a_secret_key_is_found_beside_its_id_alone() {
    for seed in 0..50 {
        let (id, key) = (key_id(seed), secret_key(seed));
        for (text, expected) in [
            (
                format!(r#"{{"accessKeyId":"{id}","secretAccessKey":"{key}"}}"#),
                1,
            ),
            (
                format!(r#"{{"secretAccessKey":"{key}","accessKeyId":"{id}"}}"#),
                1,
            ),
            (format!("\"{id},{key}\""), 1),
            (
                format!(r"export AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={key}\n"),
                1,
            ),
            (
                format!(r#"{{\\\"id\\\":\\\"{id}\\\",\\\"key\\\":\\\"{key}\\\"}}"#),
                1,
            ),
            (format!("\"{id} {}\"", key.replace('/', r"\/")), 1),
            (
                format!("\"{id} {}\"", key.replace('/', "%2F").replace('+', "%2b")),
                1,
            ),
            (format!("\"{id}\"{}\"{key}\"", " ".repeat(200)), 0),
            (format!("\"{key}\""), 0),
            (format!("\"{id} {key}x\""), 0),
            (format!("\"{id} x{key}\""), 0),
            (format!("\"{id} {key}=\""), 0),
            (format!("\"{id} {key}-1\""), 0),
            (format!("\"{id}x {key}\""), 0),
            (format!("\"x{id} {key}\""), 0),
        ] {
            let hits = found(&text);
            assert_eq!(hits.len(), expected, "{text}");
            assert!(
                hits.iter().all(|hit| hit.0 == Secret::AwsSecretKey),
                "{text}"
            );
        }
    }
}

#[test]
fn what_only_looks_alike_is_left_alone() {
    for text in [
        r#"{"accessKeyId":"ASIAEXAMPLEEXAMPLE12","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::123456789012:role/AWSServiceRoleForAmazonEKSNodegroup1"}}}"#,
        r#"{"accessKeyId":"AKIAEXAMPLEEXAMPLE12","etag":"da39a3ee5e6b4b0d3255bfef95601890afd80709"}"#,
        r#"{"a":"AKIAEXAMPLEEXAMPLE12","role":"role/MyVeryOwnDeploymentRoleForStage0003"}"#,
        "\"-----BEGIN CERTIFICATE-----\\nMIIBszCCAVmgAwIBAgIUEXAMPLEEXAMPLEEXAMPLEEXAMPLE\\n-----END CERTIFICATE-----\"",
        "\"-----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEXAMPLEEXAMPLE\\n\"",
        "\"a -----BEGIN PRIVATE KEY----- line\"",
        "\"eyJhbGciOiJIUzI1NiJ9\"",
        "\"eyJuZXh0IjoiMTIzNDU2Nzg5MCJ9.page.eyJuZXh0\"",
        "\"npm_config_registry_and_forty_more_letters_here\"",
        "\"sk_live_short AIzaShort ghp_short xoxb-short glpat-short\"",
        "\"IQoJb3JpZ2lu\"",
        "\"https://bucket/AKIAEXAMPLEEXAMPLE12%2F20260101%2Feu-west-1%2Fs3%2Faws4_request\"",
        "\"HIDDEN_DUE_TO_SECURITY_REASONS <masked:jwt:k1:0123456789abcdef>\"",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn hits_stay_in_their_range() {
    let text = format!("{} {}", key_id(1), secret_key(1));
    let split = text.find(' ').unwrap();
    let mut positions = Vec::new();
    let ranges = [0..split, split..text.len()];
    Finder::default().find_each(text.as_bytes(), ranges.into_iter(), |at, _| {
        positions.push(at);
    });
    assert_eq!(positions, [0; 0]);
    let text = format!("[{}][{}][]", jwt(1), jwt(2));
    let middle = text.find("][").unwrap() + 1;
    let ranges = [
        0..middle,
        middle..text.len() - 2,
        text.len() - 2..text.len(),
    ];
    Finder::default().find_each(text.as_bytes(), ranges.into_iter(), |at, hits| {
        positions.push(at);
        assert_eq!(hits[0].range.start, 1);
    });
    assert_eq!(positions, [0, 1]);
}

#[test]
fn text_made_to_be_slow_is_not() {
    let id = "AKIAABCDEFGHIJKLMNOP/";
    for piece in [
        id,
        "eyJ-",
        "eyJ.",
        "IQoJb3JpZ2lu",
        "=IQoJb3JpZ2lu",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "\\u0041",
        "glpat-",
        "%41\\",
    ] {
        let text = piece.repeat((1 << 20) / piece.len());
        let start = cpu_ms();
        assert!(Finder::default().find(text.as_bytes()).len() <= text.len() / 20);
        let spent = cpu_ms() - start;
        assert!(spent < 2_000, "{piece}: {spent} ms for a MiB");
    }
}

/// Milliseconds that this process has had a processor.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<u64>().unwrap() / 1_000_000
}

/// The same from the definition alone: every character is tried as the beginning of everything.
mod naive {
    use super::*;

    struct Text {
        chars: Vec<u8>,
        /// Where each begins, and the end of all.
        starts: Vec<usize>,
    }

    impl Text {
        fn read(text: &[u8]) -> Self {
            let (mut chars, mut starts, mut at) = (Vec::new(), vec![0], 0);
            while let Some(next) = unit(text, at) {
                chars.push(next.byte);
                starts.push(next.end);
                at = next.end;
            }
            Self { chars, starts }
        }

        /// Whether this stands at `at`, none of it escaped.
        fn is(&self, at: usize, what: &str) -> bool {
            self.chars[at..].starts_with(what.as_bytes())
                && self.starts[at + what.len()] - self.starts[at] == what.len()
        }

        fn count(&self, at: usize, of: impl Fn(u8) -> bool) -> usize {
            let rest = self.chars.get(at..).unwrap_or_default();
            rest.iter().take_while(|&&c| of(c)).count()
        }

        fn behind(&self, at: usize, of: impl Fn(u8) -> bool) -> bool {
            at > 0 && of(self.chars[at - 1])
        }

        fn token(&self, at: usize, rule: &(&str, Secret, &str, usize, usize)) -> Option<usize> {
            let of = |c: u8| c.is_ascii_alphanumeric() || rule.2.as_bytes().contains(&c);
            let joined = |c| of(c) || c == b'_';
            let count = self.count(at + rule.0.len(), of);
            (self.is(at, rule.0) && !self.behind(at, joined) && (rule.3..=rule.4).contains(&count))
                .then_some(at + rule.0.len() + count)
        }

        fn jwt(&self, at: usize) -> Option<usize> {
            let of = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
            if !self.is(at, "eyJ") || self.behind(at, of) {
                return None;
            }
            let mut parts = Vec::new();
            parts.push(at..at + self.count(at, of));
            while parts.len() < 5 {
                let end = parts[parts.len() - 1].end;
                if self.chars.get(end) != Some(&b'.') {
                    break;
                }
                parts.push(end + 1..end + 1 + self.count(end + 1, of));
            }
            let enough = |least: &[usize]| {
                parts.len() >= least.len()
                    && least
                        .iter()
                        .zip(&parts)
                        .all(|(least, part)| part.len() >= *least)
            };
            if enough(&[16, 8, 16]) && self.is(parts[1].start, "eyJ") {
                return Some(parts[2].end);
            }
            enough(&[16, 0, 8, 8, 16]).then(|| parts[4].end)
        }

        fn keys(&self, at: usize, hits: &mut Vec<(usize, usize, Secret)>) {
            let id = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit();
            let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
            let end = at + 20;
            if !(self.is(at, "AKIA") || self.is(at, "ASIA"))
                || self.behind(at, word)
                || self.count(at + 4, id) != 16
                || self.starts[end] - self.starts[at] != 20
                || self.chars.get(end).is_some_and(|c| word(*c))
            {
                return;
            }
            for start in 0..self.chars.len() {
                let of = |c: u8| c.is_ascii_alphanumeric() || c == b'+' || c == b'/';
                let joined = |c: u8| of(c) || b"-_.@".contains(&c);
                let stop = start + 40;
                if self.count(start, of) != 40
                    || self.behind(start, joined)
                    || self
                        .chars
                        .get(stop)
                        .is_some_and(|c| joined(*c) || *c == b'=')
                {
                    continue;
                }
                let place = (self.starts[start], self.starts[stop]);
                let near = place.0 >= self.starts[end] && place.0 <= self.starts[end] + 128
                    || place.1 <= self.starts[at] && place.1 + 128 >= self.starts[at];
                let class = |c: &u8| match c {
                    c if c.is_ascii_uppercase() => 'A',
                    c if c.is_ascii_lowercase() => 'a',
                    c if c.is_ascii_digit() => '0',
                    _ => '/',
                };
                let classes: Vec<char> = self.chars[start..stop].iter().map(class).collect();
                let changes = classes.windows(2).filter(|pair| pair[0] != pair[1]).count();
                let all = ['A', 'a', '0'].iter().all(|class| classes.contains(class));
                if near && all && changes >= 17 {
                    hits.push((start, stop, Secret::AwsSecretKey));
                }
            }
        }
    }

    const RULES: [(&str, Secret, &str, usize, usize); 20] = [
        (
            "IQoJb3JpZ2lu",
            Secret::AwsSessionToken,
            "+/-_",
            64,
            usize::MAX,
        ),
        (
            "FwoGZXIvYXdz",
            Secret::AwsSessionToken,
            "+/-_",
            64,
            usize::MAX,
        ),
        (
            "FQoGZXIvYXdz",
            Secret::AwsSessionToken,
            "+/-_",
            64,
            usize::MAX,
        ),
        ("ghp_", Secret::GithubToken, "", 36, 255),
        ("gho_", Secret::GithubToken, "", 36, 255),
        ("ghu_", Secret::GithubToken, "", 36, 255),
        ("ghs_", Secret::GithubToken, "", 36, 255),
        ("ghr_", Secret::GithubToken, "", 36, 255),
        ("github_pat_", Secret::GithubToken, "_", 60, 255),
        ("glpat-", Secret::GitlabToken, "-_", 20, 255),
        ("xoxa-", Secret::SlackToken, "-", 24, 255),
        ("xoxb-", Secret::SlackToken, "-", 24, 255),
        ("xoxp-", Secret::SlackToken, "-", 24, 255),
        ("xoxr-", Secret::SlackToken, "-", 24, 255),
        ("xoxs-", Secret::SlackToken, "-", 24, 255),
        ("sk_live_", Secret::StripeKey, "", 24, 255),
        ("rk_live_", Secret::StripeKey, "", 24, 255),
        ("npm_", Secret::NpmToken, "", 36, 36),
        ("pypi-", Secret::PypiToken, "-_", 80, usize::MAX),
        ("AIza", Secret::GoogleApiKey, "-_", 35, 35),
    ];

    /// Everything but private keys, whose definition is a grammar: no text here has one.
    pub(super) fn find(text: &[u8]) -> Vec<Hit> {
        let unescaped = memchr::memmem::find(text, b"\\u00").map(|_| unescaped(text));
        let (bytes, origin) = match &unescaped {
            Some((bytes, origin)) => (&bytes[..], Some(origin)),
            None => (text, None),
        };
        let read = Text::read(bytes);
        let mut hits = Vec::new();
        for at in 0..read.chars.len() {
            for rule in &RULES {
                hits.extend(read.token(at, rule).map(|end| (at, end, rule.1)));
            }
            hits.extend(read.jwt(at).map(|end| (at, end, Secret::Jwt)));
            read.keys(at, &mut hits);
        }
        let place = |at: usize| origin.map_or(read.starts[at], |origin| origin[read.starts[at]]);
        let hit = |(start, end, secret)| Hit {
            range: place(start)..place(end),
            secret,
        };
        apart(hits.into_iter().map(hit).collect())
    }
}

/// Texts in which secrets (but no private keys), parts of secrets and everything between them meet.
fn texts() -> impl Strategy<Value = String> {
    let piece = (0_u64..1_000, 3_usize..36).prop_map(|(seed, kind)| match kind {
        3..=15 => secrets(seed)[kind].1.replace('\n', r"\n"),
        16 | 17 => secret_key(seed),
        18 | 19 => key_id(seed),
        20 => r"\n".to_owned(),
        21 => r#"\",\""#.to_owned(),
        22 => "%3D".to_owned(),
        23 => r"\\\/".to_owned(),
        24 => alphanumeric(usize::try_from(seed % 90).unwrap(), seed),
        25 => hidden(
            &secrets(seed)[usize::try_from(seed % 13).unwrap() + 3].1,
            1,
            4,
        ),
        26 => "\\".repeat(usize::try_from(seed % 4).unwrap()),
        27 => "%2".to_owned(),
        28 => secret_key(seed).replace('/', "%2F"),
        29 => format!(
            "{}\":\"{}",
            key_id(seed),
            secret_key(seed).replace('/', r"\/")
        ),
        30 => [".", "-", "_", "=", "/", "+", " ", "u", "n", "%", "4"]
            [usize::try_from(seed % 11).unwrap()]
        .to_owned(),
        31 => r"\u0041".to_owned(),
        32 => ANCHORS[usize::try_from(seed % 25).unwrap()].0.to_owned(),
        33 => jwt(seed)[..usize::try_from(seed % 140).unwrap()].to_owned(),
        _ => "\":\"".to_owned(),
    });
    proptest::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn it_finds_what_a_naive_search_finds(text in texts()) {
        let hits = Finder::default().find(text.as_bytes());
        prop_assert_eq!(hits, naive::find(text.as_bytes()), "{}", text);
    }

    #[test]
    fn what_is_masked_has_no_secret_left_and_json_stays_json(text in texts()) {
        let once = serde_json::to_string(&text).unwrap();
        let twice = serde_json::to_string(&once).unwrap();
        for text in [format!("\"{text}\""), once, twice] {
            let mut data = text.clone().into_bytes();
            let mut entries = vec![Entry { start: 0, end: u32::try_from(data.len()).unwrap(), index: 0 }];
            let guard = Guard::new(Mode::Mask, Arc::default());
            let caught = guard.inspect(&mut data, &mut entries);
            prop_assert!(!caught.iter().any(|caught| caught.withheld), "{}", text);
            let left = &data[entries[0].range()];
            prop_assert_eq!(Finder::default().find(left), [], "{}", text);
            if serde_json::from_str::<&RawValue>(&text).is_ok() {
                prop_assert!(serde_json::from_slice::<&RawValue>(left).is_ok(), "{}", text);
            }
        }
    }
}
