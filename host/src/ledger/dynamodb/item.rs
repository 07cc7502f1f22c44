//! Items: attributes by name, in and out. What cannot be understood is absent.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::ledger::Known;

pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn number(number: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

pub(super) fn text_of<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(super) fn number_of<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Whether an item has not expired; one that says nothing of it never does.
pub(super) fn is_alive(item: &Item, now_s: i64) -> bool {
    number_of(item, "expires").is_none_or(|expires: i64| expires > now_s)
}

const UPTO: &str = "upto#";

/// The attribute that says how far a delivery has got.
pub(super) fn upto(delivery: &str) -> String {
    format!("{UPTO}{delivery}")
}

/// What an object's item says.
pub(super) fn known(item: &Item) -> Known {
    let complete = item.get("deliveries").and_then(|names| names.as_ss().ok());
    let upto = item.keys().filter_map(|name| {
        let delivery = name.strip_prefix(UPTO)?;
        Some((delivery.to_owned(), number_of(item, name)?))
    });
    Known {
        complete: complete.cloned().unwrap_or_default(),
        upto: upto.collect(),
    }
}

/// A SHA-256 in hexadecimal digits.
pub(super) fn hash(item: &Item, name: &str) -> Option<[u8; 32]> {
    let digits = text_of(item, name)?.as_bytes();
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let mut hash = [0; 32];
    if pairs.len() != hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_hash_is_none() {
        let of = |value: &str| hash(&Item::from([("h".to_owned(), text(value))]), "h");
        assert_eq!(of(&"0a".repeat(32)), Some([10; 32]));
        for wrong in [
            "",
            "0a",
            "é",
            &"0a".repeat(33),
            &"0g".repeat(32),
            &"é0".repeat(32),
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_item_is_dead_from_the_second_on_in_which_it_expires() {
        let expires = |value| Item::from([("expires".to_owned(), value)]);
        assert!(is_alive(&expires(number(10)), 9));
        assert!(!is_alive(&expires(number(10)), 10));
        assert!(is_alive(&Item::new(), i64::MAX));
        assert!(
            is_alive(&expires(text("soon")), 10),
            "nobody deletes it either"
        );
    }
}
