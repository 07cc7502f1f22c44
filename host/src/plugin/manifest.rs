//! Checks what a plugin says of itself: its description and its subscription.

use super::{abi, pointer::is_pointer};
use crate::text::shown;

/// The host's own findings carry this name.
const RESERVED: &str = "sluicegate";

const MAX_NAME: usize = 64;
const MAX_SCHEMA: usize = 256 << 10;
const MAX_FIELDS: usize = 512;
const MAX_CLAUSES: usize = 20_000;
const MAX_CONDITIONS: usize = 64;
/// Values of all tests together.
const MAX_VALUES: usize = 200_000;

/// Whether a plugin may be called so: lower-case letters, digits and hyphens, which need no escape in a
/// path, a label or an identifier.
pub(crate) fn name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
        return Err(format!(
            "name must be 1 to {MAX_NAME} of a-z, 0-9 and -, got `{}`",
            shown(name)
        ));
    }
    if name == RESERVED {
        return Err(format!("name `{RESERVED}` is the host's own"));
    }
    Ok(())
}

/// Checks a description against the name that the configuration gives the plugin.
pub(super) fn description(description: &abi::Description, configured: &str) -> Result<(), String> {
    name(&description.name)?;
    if description.name != configured {
        return Err(format!(
            "the component calls itself `{}`: use that name",
            description.name
        ));
    }
    let version = &description.version;
    if version.is_empty()
        || version.len() > MAX_NAME
        || !version.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(format!(
            "version must be 1 to {MAX_NAME} printable characters, got `{}`",
            shown(version)
        ));
    }
    if description.configuration.len() > MAX_SCHEMA {
        return Err(format!(
            "configuration schema has more than {MAX_SCHEMA} bytes"
        ));
    }
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&description.configuration).is_ok();
    if !is_json && !description.configuration.is_empty() {
        return Err("configuration schema is not JSON".to_owned());
    }
    Ok(())
}

/// Checks a subscription: paths are JSON Pointers and all counts are bounded.
pub(super) fn subscription(subscription: &abi::Subscription) -> Result<(), String> {
    at_most("fields", subscription.fields.len(), MAX_FIELDS)?;
    at_most("clauses", subscription.matches.len(), MAX_CLAUSES)?;
    subscription
        .fields
        .iter()
        .try_for_each(|path| is_path("field", path))?;
    let mut values = 0;
    for clause in &subscription.matches {
        at_most("conditions of a clause", clause.len(), MAX_CONDITIONS)?;
        for condition in clause {
            is_path("condition", &condition.path)?;
            values += tested_values(condition)?;
        }
    }
    at_most("values in conditions", values, MAX_VALUES)
}

fn tested_values(condition: &abi::Condition) -> Result<usize, String> {
    match &condition.test {
        abi::Test::OneOf(values) | abi::Test::StartsWith(values) if values.is_empty() => Err(
            format!("condition on `{}` names no value", shown(&condition.path)),
        ),
        abi::Test::OneOf(values) | abi::Test::StartsWith(values) => Ok(values.len()),
        abi::Test::Present | abi::Test::Absent => Ok(0),
    }
}

fn at_most(what: &str, count: usize, limit: usize) -> Result<(), String> {
    if count > limit {
        Err(format!("more than {limit} {what}, got {count}"))
    } else {
        Ok(())
    }
}

fn is_path(what: &str, path: &str) -> Result<(), String> {
    if is_pointer(path) {
        Ok(())
    } else {
        Err(format!("{what} `{}` is no JSON Pointer", shown(path)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn described(change: impl FnOnce(&mut abi::Description)) -> Result<(), String> {
        let mut says = abi::Description {
            name: "mine".into(),
            version: "1.0.0".into(),
            kind: abi::Kind::Detect,
            configuration: "{}".into(),
        };
        change(&mut says);
        description(&says, "mine")
    }

    fn subscribed(field: &str, test: abi::Test) -> Result<(), String> {
        let condition = abi::Condition {
            path: "/eventName".into(),
            test,
        };
        subscription(&abi::Subscription {
            fields: vec![field.into()],
            matches: vec![vec![condition]],
        })
    }

    #[test]
    fn a_sound_description_passes() {
        assert_eq!(described(|_| ()), Ok(()));
        assert_eq!(described(|says| says.configuration.clear()), Ok(()));
    }

    #[test]
    fn a_description_that_is_not_sound_is_refused_with_the_reason() {
        let wrong = |change: fn(&mut abi::Description)| described(change).unwrap_err();
        assert!(wrong(|says| says.name = "other".into()).contains("calls itself `other`"));
        assert!(wrong(|says| says.name = "sluicegate".into()).contains("the host's own"));
        assert!(wrong(|says| says.name = "A/b".into()).contains("of a-z"));
        assert!(wrong(|says| says.version = "1\n".into()).starts_with("version must be"));
        assert!(wrong(|says| says.configuration = "{".into()).contains("not JSON"));
    }

    #[test]
    fn a_subscription_names_pointers_and_values() {
        assert_eq!(
            subscribed("/a/*", abi::Test::OneOf(vec!["x".into()])),
            Ok(())
        );
        assert_eq!(subscribed("", abi::Test::Absent), Ok(()));
        assert!(
            subscribed("a.b", abi::Test::Present)
                .unwrap_err()
                .contains("field `a.b` is no JSON Pointer")
        );
        assert!(
            subscribed("/a", abi::Test::OneOf(Vec::new()))
                .unwrap_err()
                .contains("names no value")
        );
    }

    #[test]
    fn counts_are_bounded() {
        let fields = vec!["/a".to_owned(); MAX_FIELDS + 1];
        let many = abi::Subscription {
            fields,
            matches: Vec::new(),
        };
        assert_eq!(
            subscription(&many).unwrap_err(),
            "more than 512 fields, got 513"
        );
        let values = vec![String::new(); MAX_VALUES + 1];
        assert!(
            subscribed("/a", abi::Test::StartsWith(values))
                .unwrap_err()
                .contains("values in conditions")
        );
    }
}
