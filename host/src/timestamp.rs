//! Times as CloudTrail writes them, and as sinks want them.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Milliseconds since 1970 of an RFC 3339 time. The shape that CloudTrail writes,
/// `2026-03-01T10:20:30Z`, takes the short way.
#[must_use]
pub fn parse_ms(text: &[u8]) -> Option<i64> {
    if let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        mo1,
        mo2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        mi1,
        mi2,
        b':',
        s1,
        s2,
        b'Z',
    ] = *text
    {
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0i64, |value, digit| {
                digit
                    .is_ascii_digit()
                    .then(|| value * 10 + i64::from(digit - b'0'))
            })
        };
        let (year, month, day) = (
            number(&[y1, y2, y3, y4])?,
            number(&[mo1, mo2])?,
            number(&[d1, d2])?,
        );
        let (hour, minute, second) = (number(&[h1, h2])?, number(&[mi1, mi2])?, number(&[s1, s2])?);
        if !(1..=12).contains(&month)
            || !(1..=days_in(year, month)).contains(&day)
            || hour > 23
            || minute > 59
            || second > 60
        {
            return None;
        }
        return Some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000);
    }
    let text = std::str::from_utf8(text).ok()?;
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: years are counted from March, so that the
/// leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// RFC 3339 with milliseconds, in UTC: `2026-03-01T10:20:30.000Z`. Times outside the years 0 to 9999
/// are shown as the nearest one inside.
#[must_use]
pub fn format_ms(ms: i64) -> String {
    let ms = ms.clamp(-62_167_219_200_000, 253_402_300_799_999);
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloudtrail_times_are_read() {
        assert_eq!(parse_ms(b"2022-10-19T20:33:38Z"), Some(1_666_211_618_000));
        assert_eq!(parse_ms(b"1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_ms(b"2024-02-29T00:00:00Z"), Some(1_709_164_800_000));
        assert_eq!(
            parse_ms(b"2022-10-19T20:33:38.123Z"),
            Some(1_666_211_618_123)
        );
        assert_eq!(
            parse_ms(b"2022-10-19T22:33:38+02:00"),
            Some(1_666_211_618_000)
        );
        for text in [
            "",
            "2022-13-19T20:33:38Z",
            "2023-02-29T00:00:00Z",
            "2022-10-19T24:33:38Z",
            "20x2-10-19T20:33:38Z",
            "null",
        ] {
            assert_eq!(parse_ms(text.as_bytes()), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn both_ways_agree(ms in -62_167_219_200_000i64..=253_402_300_799_999) {
            let text = format_ms(ms);
            proptest::prop_assert_eq!(parse_ms(text.as_bytes()), Some(ms));
            let short = format!("{}Z", &text[..19]);
            proptest::prop_assert_eq!(parse_ms(short.as_bytes()), Some(ms.div_euclid(1000) * 1000));
        }
    }
}
