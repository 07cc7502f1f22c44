//! Shapes of others: what leaves for a service that has a format of its own.

#[cfg(feature = "security-hub")]
pub mod asff;
pub mod document;

use time::{OffsetDateTime, macros::format_description};

/// Last millisecond of the year 9999, the last that four digits can show.
const LAST_MS: i64 = 253_402_300_799_999;

/// Milliseconds since 1970 as `2026-01-02T03:04:05.678Z`. What lies outside the years 1970 to 9999 is
/// moved to their edge.
#[must_use]
pub fn timestamp(ms: i64) -> String {
    let nanoseconds = i128::from(ms.clamp(0, LAST_MS)) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
        .expect("clamped to the years it takes")
        .format(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
        .expect("every part of the format exists in a date with a time")
}

/// At most `max` characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    text.char_indices()
        .nth(max)
        .map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_a_z() {
        assert_eq!(timestamp(1_666_211_618_000), "2022-10-19T20:33:38.000Z");
        assert_eq!(timestamp(1), "1970-01-01T00:00:00.001Z");
        assert_eq!(timestamp(i64::MIN), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(i64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("größer", 4), "größ");
        assert_eq!(cut("größe", 5), "größe");
        assert_eq!(cut("", 0), "");
    }
}
