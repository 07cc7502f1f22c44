//! Secrets for measuring how many are found, made by what their issuers publish of their formats and by
//! nothing that a plugin has: no pattern, no table and no path is shared with one.
//!
//! Half of the kinds can be told by their value and stand where no table would name the place; the others
//! are words that only the name beside them makes secrets. Each is written plainly, as JSON in a string, in
//! base64, and in a URL. The same number makes the same secret.

use std::fmt::Write as _;

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is named after what it imitates")]
pub enum Kind {
    AccessKeyPair,
    SessionToken,
    PrivateKey,
    JsonWebToken,
    Github,
    Gitlab,
    Slack,
    SlackHook,
    Stripe,
    Google,
    Npm,
    Pypi,
    Sendgrid,
    UrlPassword,
    PresignedUrl,
    CardNumber,
    NamedPassword,
    NamedPwd,
    NamedPassphrase,
    NamedSecret,
    NamedToken,
    NamedApiKey,
    NamedPrivateKey,
    NamedSharedKey,
    NamedAuthKey,
    NamedAccountKey,
    NamedSigningKey,
    NamedInPair,
    NamedOption,
    NamedAuthorization,
    NamedConnection,
    NamedPass,
}

/// Every kind; the first half by value, the second by name.
pub const KINDS: [Kind; 32] = [
    Kind::AccessKeyPair,
    Kind::SessionToken,
    Kind::PrivateKey,
    Kind::JsonWebToken,
    Kind::Github,
    Kind::Gitlab,
    Kind::Slack,
    Kind::SlackHook,
    Kind::Stripe,
    Kind::Google,
    Kind::Npm,
    Kind::Pypi,
    Kind::Sendgrid,
    Kind::UrlPassword,
    Kind::PresignedUrl,
    Kind::CardNumber,
    Kind::NamedPassword,
    Kind::NamedPwd,
    Kind::NamedPassphrase,
    Kind::NamedSecret,
    Kind::NamedToken,
    Kind::NamedApiKey,
    Kind::NamedPrivateKey,
    Kind::NamedSharedKey,
    Kind::NamedAuthKey,
    Kind::NamedAccountKey,
    Kind::NamedSigningKey,
    Kind::NamedInPair,
    Kind::NamedOption,
    Kind::NamedAuthorization,
    Kind::NamedConnection,
    Kind::NamedPass,
];

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Writing {
    Plain,
    JsonInString,
    Base64,
    Url,
}

/// Every way of writing.
pub const WRITINGS: [Writing; 4] = [
    Writing::Plain,
    Writing::JsonInString,
    Writing::Base64,
    Writing::Url,
];

/// An event with one secret in it.
#[derive(Clone, Debug)]
pub struct Planted {
    /// Its JSON.
    pub event: String,
    /// JSON Pointer of the leaf that must not leave as it is.
    pub path: String,
    /// What must not be found in anything that left: the secret itself, and as it was written.
    pub needles: Vec<String>,
}

/// The event of this number.
#[must_use]
pub fn event(kind: Kind, writing: Writing, number: u64) -> Planted {
    let seed = number * 1_000 + kind as u64 * 10 + writing as u64;
    Author(Dice(
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x0005_deec_e66d,
    ))
    .write(kind, writing)
}

/// The event of this number with nothing in it that is secret.
#[must_use]
pub fn clean(number: u64) -> Planted {
    let mut author = Author(Dice(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
    let (event, path) = author.event("/note", "{\"note\":\"nothing to see\"}");
    Planted {
        event,
        path,
        needles: Vec::new(),
    }
}

/// A small generator of numbers (xorshift*), so that nothing but this file decides what is planted.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let rolled = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(rolled).expect("31 bits fit") % below
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.roll(list.len())]
    }

    fn text(&mut self, letters: &str, length: usize) -> String {
        let letters = letters.as_bytes();
        let mut letter = || char::from(letters[self.roll(letters.len())]);
        (0..length).map(|_| letter()).collect()
    }
}

const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const HEX: &str = "0123456789abcdef";
const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A value, and the part of it that is the secret.
struct Value {
    written: String,
    secret: String,
}

impl Value {
    fn whole(secret: String) -> Self {
        Self {
            written: secret.clone(),
            secret,
        }
    }
}

struct Author(Dice);

impl Author {
    fn write(&mut self, kind: Kind, writing: Writing) -> Planted {
        let named = self.name(kind);
        let value = match named {
            Some(_) => self.named_value(kind),
            None => self.value(kind),
        };
        let member = self.0.of(&[
            "note", "cmd", "remark", "text", "x7", "origin", "upstream", "line",
        ]);
        let mut needles = vec![value.secret.clone()];
        // What stands at the leaf's member: a string, or for a pair an object.
        let (leaf, json) = match (writing, named) {
            (Writing::Plain, None) => {
                let text = self.in_prose(&value.written);
                (
                    format!("/{member}"),
                    format!("{{{}:{}}}", quoted(member), quoted(&text)),
                )
            }
            (Writing::Plain, Some(name)) => self.plain_member(kind, name, &value),
            (Writing::JsonInString, name) => {
                let name = name.unwrap_or("message");
                let inner = match kind {
                    Kind::NamedInPair => format!(
                        "{{\"id\":{},\"env\":[{{\"name\":{},\"value\":{}}}]}}",
                        self.0.roll(900),
                        quoted(name),
                        quoted(&value.written)
                    ),
                    Kind::NamedOption => format!(
                        "{{\"run\":{}}}",
                        quoted(&format!("job --{name} {}", value.written))
                    ),
                    _ => format!(
                        "{{\"id\":{},\"spec\":{{{}:{}}}}}",
                        self.0.roll(900),
                        quoted(name),
                        quoted(&value.written)
                    ),
                };
                (
                    format!("/{member}"),
                    format!("{{{}:{}}}", quoted(member), quoted(&inner)),
                )
            }
            (Writing::Base64, name) => {
                let text = self.file(kind, name, &value);
                let encoded = encode(text.as_bytes(), self.0.roll(2) == 0);
                needles.push(encoded.clone());
                (
                    format!("/{member}"),
                    format!("{{{}:{}}}", quoted(member), quoted(&encoded)),
                )
            }
            (Writing::Url, name) => {
                let parameter = name.unwrap_or("q");
                let encoded = percent(&value.written);
                let url = format!(
                    "https://{}.example.com/v{}/run?id={}&{}={encoded}&z=1",
                    self.0.of(&["ci", "hooks", "jobs", "app"]),
                    self.0.roll(4),
                    self.0.roll(9_000),
                    percent(parameter),
                );
                needles.push(encoded);
                (
                    format!("/{member}"),
                    format!("{{{}:{}}}", quoted(member), quoted(&url)),
                )
            }
        };
        let (event, path) = self.event(&leaf, &json);
        Planted {
            event,
            path,
            needles,
        }
    }

    fn in_prose(&mut self, written: &str) -> String {
        match self.0.roll(4) {
            0 => written.to_owned(),
            1 => format!("failed: {written}"),
            2 => format!("exec start {written} now"),
            _ => format!("[{written}]"),
        }
    }

    fn plain_member(&mut self, kind: Kind, name: &str, value: &Value) -> (String, String) {
        match kind {
            Kind::NamedInPair => {
                let (key, holder) = [
                    ("name", "value"),
                    ("Key", "Value"),
                    ("key", "value"),
                    ("ParameterKey", "ParameterValue"),
                ][self.0.roll(4)];
                (
                    format!("/env/1/{holder}"),
                    format!(
                        "{{\"env\":[{{\"{key}\":\"STAGE\",\"{holder}\":\"production\"}},{{\"{key}\":{},\"{holder}\":{}}}]}}",
                        quoted(name),
                        quoted(&value.written)
                    ),
                )
            }
            Kind::NamedOption => {
                let text = format!("/opt/job --verbose --{name} {} --out /tmp", value.written);
                (
                    "/line".to_owned(),
                    format!("{{\"line\":{}}}", quoted(&text)),
                )
            }
            Kind::NamedConnection => {
                let text = format!(
                    "Host=db.example.com;Database=orders;{name}={};Pooling=true",
                    value.written
                );
                (
                    "/line".to_owned(),
                    format!("{{\"line\":{}}}", quoted(&text)),
                )
            }
            _ => (
                format!("/{}", name.replace('~', "~0").replace('/', "~1")),
                format!("{{{}:{}}}", quoted(name), quoted(&value.written)),
            ),
        }
    }

    /// A file that holds it, as somebody would encode one.
    fn file(&mut self, kind: Kind, name: Option<&str>, value: &Value) -> String {
        let Some(name) = name else {
            return match self.0.roll(3) {
                0 => value.written.clone(),
                1 => format!("#!/bin/sh\nset -e\n./start '{}'\n", value.written),
                _ => format!("{{\"stage\":\"prod\",\"x\":{}}}", quoted(&value.written)),
            };
        };
        let written = &value.written;
        match (kind, self.0.roll(3)) {
            (Kind::NamedOption, _) => format!("job --{name} {written} --out /tmp"),
            (Kind::NamedInPair, _) => format!(
                "[{{\"name\":{},\"value\":{}}}]",
                quoted(name),
                quoted(written)
            ),
            (Kind::NamedAuthorization, _) => {
                format!("curl -H '{name}: {written}' https://example.com/\n")
            }
            (_, 0) => format!("STAGE=prod\n{name}={written}\n"),
            (_, 1) => format!("#!/bin/bash\nexport {name}='{written}'\n./run\n"),
            _ => format!(
                "{{\"stage\":\"prod\",{}:{}}}",
                quoted(name),
                quoted(written)
            ),
        }
    }

    /// A whole event with this member among its parameters.
    fn event(&mut self, leaf: &str, json: &str) -> (String, String) {
        let service = self.0.of(&[
            "frobnicator",
            "qldb-session",
            "outposts",
            "snow-device",
            "groundstation",
            "braket",
        ]);
        let call = self.0.of(&[
            "StartThing",
            "PutNote",
            "RunJob",
            "Describe",
            "UpdateWidget",
        ]);
        let (before, after, above) = match self.0.roll(3) {
            0 => ("{\"requestParameters\":", "}", "/requestParameters"),
            1 => (
                "{\"requestParameters\":{\"things\":[{\"a\":1},",
                "]}}",
                "/requestParameters/things/1",
            ),
            _ => (
                "{\"requestParameters\":null,\"responseElements\":{\"thing\":",
                "}}",
                "/responseElements/thing",
            ),
        };
        let head = format!(
            "{{\"eventVersion\":\"1.11\",\"userIdentity\":{{\"type\":\"IAMUser\",\"arn\":\"arn:aws:iam::111122223333:user/u{}\",\"accountId\":\"111122223333\",\"accessKeyId\":\"AKIA{}\"}},\"eventTime\":\"2026-11-22T10:00:{:02}Z\",\"eventSource\":\"{service}.amazonaws.com\",\"eventName\":\"{call}\",\"awsRegion\":\"eu-west-1\",\"sourceIPAddress\":\"203.0.113.{}\",\"eventID\":\"{}\",\"eventType\":\"AwsApiCall\",\"recipientAccountId\":\"111122223333\",",
            self.0.roll(50),
            self.0.text(UPPER, 16),
            self.0.roll(60),
            self.0.roll(250),
            uuid(&mut self.0),
        );
        (
            format!("{head}{}{json}{after}", &before[1..]),
            format!("{above}{leaf}"),
        )
    }

    #[allow(clippy::too_many_lines, reason = "one arm a kind, and nothing else")]
    fn value(&mut self, kind: Kind) -> Value {
        let dice = &mut self.0;
        match kind {
            Kind::AccessKeyPair => {
                let id = format!(
                    "{}{}",
                    dice.of(&["AKIA", "ASIA"]),
                    dice.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)
                );
                let key = loop {
                    let key = dice.text(BASE64, 40);
                    // Forty random letters without a digit are no key that was ever seen.
                    if key.bytes().any(|byte| byte.is_ascii_digit()) {
                        break key;
                    }
                };
                let between = dice.of(&[":", " ", ",", " / ", "\n"]);
                Value {
                    written: format!("{id}{between}{key}"),
                    secret: key,
                }
            }
            Kind::SessionToken => {
                let start = dice.of(&["IQoJb3JpZ2luX2Vj", "FwoGZXIvYXdzE", "FQoGZXIvYXdzE"]);
                let length = 200 + dice.roll(500);
                Value::whole(format!("{start}{}==", dice.text(BASE64, length)))
            }
            Kind::PrivateKey => {
                let label = dice.of(&[
                    "RSA PRIVATE KEY",
                    "EC PRIVATE KEY",
                    "PRIVATE KEY",
                    "OPENSSH PRIVATE KEY",
                    "ENCRYPTED PRIVATE KEY",
                    "DSA PRIVATE KEY",
                ]);
                let secret = dice.text(BASE64, 64);
                let rest = dice.text(BASE64, 64);
                Value {
                    written: format!(
                        "-----BEGIN {label}-----\n{secret}\n{rest}\n-----END {label}-----\n"
                    ),
                    secret,
                }
            }
            Kind::JsonWebToken => {
                let header = encode(
                    format!(
                        "{{\"alg\":\"{}\",\"typ\":\"JWT\"}}",
                        dice.of(&["HS256", "RS256", "ES384"])
                    )
                    .as_bytes(),
                    true,
                );
                let claims = encode(
                    format!(
                        "{{\"sub\":\"{}\",\"exp\":{}}}",
                        dice.text(ALNUM, 12),
                        dice.roll(2_000_000_000)
                    )
                    .as_bytes(),
                    true,
                );
                Value::whole(format!("{header}.{claims}.{}", dice.text(BASE64URL, 43)))
            }
            Kind::Github => {
                let fine = format!(
                    "github_pat_{}_{}",
                    dice.text(ALNUM, 22),
                    dice.text(ALNUM, 59)
                );
                let classic = format!(
                    "{}_{}",
                    dice.of(&["ghp", "gho", "ghu", "ghs", "ghr"]),
                    dice.text(ALNUM, 36)
                );
                Value::whole(if dice.roll(3) == 0 { fine } else { classic })
            }
            Kind::Gitlab => Value::whole(format!("glpat-{}", dice.text(BASE64URL, 20))),
            Kind::Slack => Value::whole(format!(
                "{}-{}-{}-{}",
                dice.of(&["xoxb", "xoxp", "xoxa", "xoxs"]),
                dice.text(DIGITS, 12),
                dice.text(DIGITS, 12),
                dice.text(ALNUM, 24)
            )),
            Kind::SlackHook => Value::whole(format!(
                "https://hooks.slack.com/services/T{}/B{}/{}",
                dice.text(UPPER, 8),
                dice.text(UPPER, 10),
                dice.text(ALNUM, 24)
            )),
            Kind::Stripe => {
                let length = 24 + 75 * dice.roll(2);
                Value::whole(format!(
                    "{}_live_{}",
                    dice.of(&["sk", "rk"]),
                    dice.text(ALNUM, length)
                ))
            }
            Kind::Google => Value::whole(format!("AIza{}", dice.text(BASE64URL, 35))),
            Kind::Npm => Value::whole(format!("npm_{}", dice.text(ALNUM, 36))),
            Kind::Pypi => {
                Value::whole(format!("pypi-AgEIcHlwaS5vcmc{}", dice.text(BASE64URL, 150)))
            }
            Kind::Sendgrid => Value::whole(format!(
                "SG.{}.{}",
                dice.text(BASE64URL, 22),
                dice.text(BASE64URL, 43)
            )),
            Kind::UrlPassword => {
                let secret = dice.text(ALNUM, 8 + 6);
                Value {
                    written: format!(
                        "{}://{}:{secret}@{}.example.net:{}/db",
                        dice.of(&[
                            "postgres",
                            "mysql",
                            "amqp",
                            "redis",
                            "mongodb+srv",
                            "https",
                            "ftp"
                        ]),
                        dice.of(&["app", "root", "svc.orders", "u-1"]),
                        dice.of(&["db", "cache", "mq"]),
                        1_024 + dice.roll(9_000)
                    ),
                    secret,
                }
            }
            Kind::PresignedUrl => {
                let secret = dice.text(HEX, 64);
                Value {
                    written: format!(
                        "https://bucket-{}.s3.eu-west-1.amazonaws.com/report.csv?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature={secret}",
                        dice.roll(100)
                    ),
                    secret,
                }
            }
            Kind::CardNumber => {
                let (start, length) = [
                    ("4", 16),
                    ("51", 16),
                    ("55", 16),
                    ("2221", 16),
                    ("34", 15),
                    ("37", 15),
                    ("6011", 16),
                    ("3530", 16),
                ][dice.roll(8)];
                let body = format!("{start}{}", dice.text(DIGITS, length - start.len() - 1));
                let number = format!("{body}{}", check_digit(&body));
                let grouped = length == 16 && dice.roll(3) > 0;
                let sign = dice.of(&[" ", "-"]);
                Value::whole(if grouped {
                    [&number[..4], &number[4..8], &number[8..12], &number[12..]].join(sign)
                } else {
                    number
                })
            }
            named => unreachable!("{named:?} has a name"),
        }
    }

    /// A word that nothing but its name betrays.
    fn named_value(&mut self, kind: Kind) -> Value {
        let dice = &mut self.0;
        match kind {
            Kind::NamedSharedKey | Kind::NamedAccountKey => {
                Value::whole(format!("{}=", dice.text(BASE64, 43)))
            }
            Kind::NamedAuthorization => {
                let secret = dice.text(ALNUM, 24);
                Value {
                    written: format!("{} {secret}", dice.of(&["Bearer", "Basic", "Token"])),
                    secret,
                }
            }
            _ => {
                let length = 8 + dice.roll(16);
                let random = dice.text(ALNUM, length);
                let words = format!(
                    "{}{}{}",
                    dice.of(&["correct", "horse", "Battery", "staple", "Winter", "dragon"]),
                    dice.of(&["-", "_", "!", ".", ""]),
                    dice.text(ALNUM, 6)
                );
                Value::whole(if dice.roll(3) == 0 { words } else { random })
            }
        }
    }

    fn name(&mut self, kind: Kind) -> Option<&'static str> {
        let dice = &mut self.0;
        let names: &[&str] = match kind {
            Kind::NamedPassword => &[
                "PGPASSWORD",
                "MYSQL_ROOT_PASSWORD",
                "spring.datasource.password",
                "ldapBindPassword",
                "LOGSTASH_SYSTEM_PASSWORD",
                "rabbitmq-password",
                "adminPassword",
                "RDS_MASTER_PASSWORD",
            ],
            Kind::NamedPwd => &["MYSQL_PWD", "dbPwd", "sa_pwd", "ftp.passwd", "rootPasswd"],
            Kind::NamedPassphrase => &[
                "GPG_PASSPHRASE",
                "keyPassphrase",
                "snapshot-passphrase",
                "BORG_PASSPHRASE",
            ],
            Kind::NamedSecret => &[
                "AUTH0_CLIENT_SECRET",
                "client_secret",
                "webhookSecret",
                "JWT_SECRET",
                "SLACK_SIGNING_SECRET",
                "consumerSecret",
                "rails-session-secret",
            ],
            Kind::NamedToken => &[
                "TELEGRAM_BOT_TOKEN",
                "refresh_token",
                "accessToken",
                "CONSUL_HTTP_TOKEN",
                "X-Vault-Token",
                "SENTRY_AUTH_TOKEN",
                "deployToken",
            ],
            Kind::NamedApiKey => &[
                "DD_API_KEY",
                "x-api-key",
                "apiKey",
                "ALGOLIA_ADMIN_API_KEY",
                "mailgunApiKey",
                "openai_api_key",
            ],
            Kind::NamedPrivateKey => &[
                "VAPID_PRIVATE_KEY",
                "privateKey",
                "ssh-private-key",
                "walletPrivateKey",
            ],
            Kind::NamedSharedKey => &[
                "SharedAccessKey",
                "preSharedKey",
                "shared_key",
                "workspaceSharedKey",
            ],
            Kind::NamedAuthKey => &["TS_AUTHKEY", "authKey", "auth_key", "bgpAuthKey"],
            Kind::NamedAccountKey => &[
                "AccountKey",
                "storageAccountKey",
                "AZURE_STORAGE_ACCOUNT_KEY",
            ],
            Kind::NamedSigningKey => &[
                "RAILS_MASTER_KEY",
                "signingKey",
                "JWT_SIGNING_KEY",
                "cookie-signing-key",
                "masterKey",
            ],
            Kind::NamedInPair => &[
                "GRAFANA_PASSWORD",
                "HUBOT_SLACK_TOKEN",
                "stripeSecretKey",
                "NEWRELIC_API_KEY",
                "ORACLE_PWD",
            ],
            Kind::NamedOption => &[
                "password",
                "client-secret",
                "api-key",
                "auth-token",
                "bind-password",
            ],
            Kind::NamedAuthorization => &["Authorization", "Proxy-Authorization", "authorization"],
            Kind::NamedConnection => &["Password", "Pwd", "AccountKey"],
            Kind::NamedPass => &["SMTP_PASS", "dbPass", "MQ_PASS", "ldap-pass"],
            _ => return None,
        };
        Some(dice.of(names))
    }
}

fn uuid(dice: &mut Dice) -> String {
    [8, 4, 4, 4, 12]
        .map(|length| dice.text(HEX, length))
        .join("-")
}

/// The digit after so many, by ISO/IEC 7812-1.
fn check_digit(digits: &str) -> u32 {
    let mut sum = 0;
    for (place, digit) in digits.bytes().rev().enumerate() {
        let digit = u32::from(digit - b'0');
        sum += match place % 2 {
            0 if digit > 4 => digit * 2 - 9,
            0 => digit * 2,
            _ => digit,
        };
    }
    (10 - sum % 10) % 10
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            _ => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// Base64 of RFC 4648, standard with padding or URL-safe without.
fn encode(bytes: &[u8], url_safe: bool) -> String {
    let letters = if url_safe { BASE64URL } else { BASE64 }.as_bytes();
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let at = |place: usize| u32::from(three.get(place).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..=three.len() {
            out.push(char::from(
                letters[(bits >> (18 - 6 * place) & 63) as usize],
            ));
        }
        if !url_safe {
            for _ in three.len()..3 {
                out.push('=');
            }
        }
    }
    out
}

/// Percent-encoding of RFC 3986.
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes every write");
        }
    }
    out
}
