//! What a policy document allows, and whom.

use std::borrow::Cow;

use crate::json::Json;

/// Whom a statement lets in that does not belong here. Ordered: the worse is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outsider {
    /// Everyone, but a condition says which of them.
    AnyoneIf,
    /// Another account, but a condition says when.
    AccountIf,
    /// Another account.
    Account,
    /// Everyone.
    Anyone,
}

/// Keys of conditions that say from where a request comes, so that everyone is not everyone.
const NARROWING: [&str; 16] = [
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:sourceip",
    "aws:vpcsourceip",
    "aws:userid",
    "kms:calleraccount",
    "sts:externalid",
];

/// The JSON text of a document, which may be an object, a string that holds one, or that URL-encoded.
pub(crate) fn document(value: Json<'_>) -> Cow<'_, str> {
    if value.is_object() {
        return Cow::Borrowed(value.text());
    }
    let text = value.str();
    if text.trim_start().starts_with('%') {
        Cow::Owned(url_decoded(&text))
    } else {
        text
    }
}

fn url_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let decoded = code.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (byte, decoded) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                rest = &after[2..];
            }
            (b'+', _) => {
                out.push(b' ');
                rest = after;
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether a statement allows everything, or all of IAM, on everything.
pub(crate) fn allows_everything(document: &str) -> bool {
    allowing(document).into_iter().any(|statement| {
        let every_action = statement.get("Action").each().iter().any(|action| {
            let action = action.str().to_ascii_lowercase();
            let action = action.strip_prefix("iam:").unwrap_or(&action);
            !action.is_empty() && action.bytes().all(|byte| b"*:".contains(&byte))
        });
        // Everything but what is listed is more than anyone should be given.
        let all_but = statement.get("NotAction").exists();
        let every_resource = statement.get("NotResource").exists()
            || statement.get("Resource").each().iter().any(|resource| {
                let resource = resource.str();
                let resource = resource.strip_prefix("arn:aws").unwrap_or(&resource);
                resource.contains('*') && resource.bytes().all(|byte| b"*:/?".contains(&byte))
            });
        (every_action || all_but) && every_resource
    })
}

/// The worst of those that a resource's policy lets in and `trusted` does not know.
pub(crate) fn outsider(document: &str, trusted: &dyn Fn(&str) -> bool) -> Option<Outsider> {
    let statements = allowing(document).into_iter();
    statements
        .filter_map(|statement| {
            let narrowed = narrowed(statement.get("Condition"));
            let conditioned = statement.get("Condition").members().next().is_some();
            if statement.get("NotPrincipal").exists() {
                return Some(if narrowed {
                    Outsider::AnyoneIf
                } else {
                    Outsider::Anyone
                });
            }
            let principal = statement.get("Principal");
            let named = if principal.is_object() {
                principal.get("AWS")
            } else {
                principal
            };
            let judged = named.each().into_iter().filter_map(|name| {
                let name = name.str();
                if name == "*" {
                    return Some(if narrowed {
                        Outsider::AnyoneIf
                    } else {
                        Outsider::Anyone
                    });
                }
                let outside = account_of(&name).is_some_and(|account| !trusted(account));
                match (outside, conditioned) {
                    (false, _) => None,
                    (true, true) => Some(Outsider::AccountIf),
                    (true, false) => Some(Outsider::Account),
                }
            });
            judged.max()
        })
        .max()
}

/// The account of a principal: twelve digits, or the account of an ARN. A principal that was deleted
/// has only its identifier left, and no account.
pub(crate) fn account_of(principal: &str) -> Option<&str> {
    let account = if principal.starts_with("arn:") {
        principal.split(':').nth(4)?
    } else {
        principal
    };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    is_account.then_some(account)
}

fn allowing(document: &str) -> Vec<Json<'_>> {
    let mut statements = Json::of(document).get("Statement").each();
    statements.retain(|statement| statement.get("Effect").str().eq_ignore_ascii_case("Allow"));
    statements
}

/// Whether a condition asks for a certain origin: by equality or a network, and not of everything.
fn narrowed(condition: Json<'_>) -> bool {
    condition.members().any(|(operator, keys)| {
        let operator = operator.to_ascii_lowercase();
        let positive = ["equals", "like", "ipaddress"];
        positive.iter().any(|word| operator.contains(word))
            && !operator.contains("not")
            && !operator.contains("ifexists")
            && keys.members().any(|(key, values)| {
                let known = NARROWING.iter().any(|name| name.eq_ignore_ascii_case(key));
                let values = values.each();
                let open = values.iter().any(|value| {
                    let value = value.str();
                    value.bytes().all(|byte| b"*?".contains(&byte)) || value.ends_with("/0")
                });
                known && !values.is_empty() && !open
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn let_in(statement: &str) -> Option<Outsider> {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
        outsider(&document, &|account| account == "111111111111")
    }

    fn principal(principal: &str, condition: &str) -> Option<Outsider> {
        let_in(&format!(
            r#"[{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"{condition}}}]"#
        ))
    }

    #[test]
    fn outsiders_are_told_from_those_who_belong() {
        for (who, expected) in [
            (r#""*""#, Some(Outsider::Anyone)),
            (r#"{"AWS":"*"}"#, Some(Outsider::Anyone)),
            (
                r#"{"AWS":["111111111111","arn:aws:iam::222222222222:root"]}"#,
                Some(Outsider::Account),
            ),
            (r#"{"AWS":"222222222222"}"#, Some(Outsider::Account)),
            (
                r#"{"AWS":"arn:aws-cn:sts::222222222222:assumed-role/a/b"}"#,
                Some(Outsider::Account),
            ),
            (r#"{"AWS":"arn:aws:iam::111111111111:role/a"}"#, None),
            (r#"{"AWS":"AIDAQQQQQQQQQQQQQQQQQ"}"#, None),
            (r#"{"Service":"ec2.amazonaws.com"}"#, None),
            (
                r#"{"Federated":"arn:aws:iam::222222222222:saml-provider/x"}"#,
                None,
            ),
            (r#"{"AWS":5}"#, None),
        ] {
            assert_eq!(principal(who, ""), expected, "{who}");
        }
    }

    #[test]
    fn conditions_narrow_only_when_they_do() {
        let with = |condition: &str| principal(r#""*""#, &format!(r#","Condition":{condition}"#));
        for narrow in [
            r#"{"StringEquals":{"aws:PrincipalOrgID":"o-1234567890"}}"#,
            r#"{"ArnLike":{"AWS:SourceArn":["arn:aws:s3:::logs"]}}"#,
            r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
        ] {
            assert_eq!(with(narrow), Some(Outsider::AnyoneIf), "{narrow}");
        }
        for wide in [
            "{}",
            r#"{"StringLike":{"aws:PrincipalOrgID":"*"}}"#,
            r#"{"StringNotEquals":{"aws:PrincipalOrgID":"o-1234567890"}}"#,
            r#"{"StringEqualsIfExists":{"aws:SourceVpce":"vpce-1"}}"#,
            r#"{"Bool":{"aws:SecureTransport":"true"}}"#,
            r#"{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","0.0.0.0/0"]}}"#,
        ] {
            assert_eq!(with(wide), Some(Outsider::Anyone), "{wide}");
        }
        let external = r#","Condition":{"StringEquals":{"sts:ExternalId":"x"}}"#;
        assert_eq!(
            principal(r#"{"AWS":"222222222222"}"#, external),
            Some(Outsider::AccountIf)
        );
    }

    #[test]
    fn only_what_is_allowed_counts_and_the_worst_of_it() {
        assert_eq!(let_in(r#"{"Effect":"Deny","Principal":"*"}"#), None);
        assert_eq!(
            let_in(r#"{"Effect":"Allow","NotPrincipal":{"AWS":"1"}}"#),
            Some(Outsider::Anyone)
        );
        let both = r#"[{"Effect":"Allow","Principal":{"AWS":"222222222222"}},{"effect":"Allow","principal":"*"}]"#;
        assert_eq!(let_in(both), Some(Outsider::Anyone));
        assert_eq!(outsider("no JSON", &|_| false), None);
    }

    #[test]
    fn everything_is_recognised_in_its_spellings() {
        let allows = |rest: &str| {
            allows_everything(&format!(r#"{{"Statement":{{"Effect":"Allow",{rest}}}}}"#))
        };
        for all in [
            r#""Action":"*","Resource":"*""#,
            r#""Action":["s3:Get*","*:*"],"Resource":["*"]"#,
            r#""Action":"IAM:*","Resource":"arn:aws:*:*:*""#,
            r#""NotAction":"s3:*","Resource":"*""#,
            r#""\u0041ction":"\u002a","Resource":"*""#,
        ] {
            assert!(allows(all), "{all}");
        }
        for less in [
            r#""Action":"s3:*","Resource":"*""#,
            r#""Action":"*","Resource":"arn:aws:s3:::bucket/*""#,
            r#""Action":"iam:Get*","Resource":"*""#,
            r#""Action":"","Resource":"*""#,
            r#""Resource":"*""#,
        ] {
            assert!(!allows(less), "{less}");
        }
        let denied = r#"{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
        assert!(!allows_everything(denied));
    }

    #[test]
    fn documents_come_as_objects_as_strings_and_encoded() {
        let document_of = |text: &str| document(Json::of(text)).into_owned();
        assert_eq!(document_of(r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(document_of(r#""{\"a\":1}""#), r#"{"a":1}"#);
        assert_eq!(document_of(r#""%7B%22a%22%3A+1%7D""#), r#"{"a": 1}"#);
        assert_eq!(document_of(r#""%7B%2""#), "{%2");
        assert_eq!(document_of("5"), "5");
    }
}
