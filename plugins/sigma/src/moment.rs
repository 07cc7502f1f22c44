//! Times as events write them: `2026-11-22T10:30:00Z`, read without regard to the zone.

/// A part of a time that a rule may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Part {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "year" => Self::Year,
            _ => return None,
        })
    }

    /// This part of a time; nothing where the text is no time.
    pub(crate) fn of(self, text: &str) -> Option<i64> {
        let time = Moment::parse(text)?;
        match self {
            Self::Year => Some(time.year),
            Self::Month => Some(time.month),
            Self::Day => Some(time.day),
            Self::Week => Some(time.week()),
            Self::Hour => time.clock.map(|(hour, ..)| hour),
            Self::Minute => time.clock.map(|(_, minute, _)| minute),
        }
    }
}

struct Moment {
    year: i64,
    month: i64,
    day: i64,
    /// Hour, minute and second, where there are any.
    clock: Option<(i64, i64, i64)>,
}

impl Moment {
    fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digits = |from: usize, to: usize| -> Option<i64> {
            let digits = bytes.get(from..to)?;
            let all = digits.iter().all(u8::is_ascii_digit);
            all.then(|| {
                digits
                    .iter()
                    .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
            })
        };
        if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
            return None;
        }
        let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
        if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
            return None;
        }
        let clock = match bytes.get(10) {
            None => None,
            Some(b'T' | b't' | b' ') if bytes.get(13) == Some(&b':') => {
                let seconds = match bytes.get(16) {
                    Some(b':') => digits(17, 19)?,
                    _ => 0,
                };
                let clock = (digits(11, 13)?, digits(14, 16)?, seconds);
                let sound = clock.0 < 24 && clock.1 < 60 && clock.2 <= 60;
                Some(sound.then_some(clock)?)
            }
            Some(_) => return None,
        };
        Some(Self {
            year,
            month,
            day,
            clock,
        })
    }

    /// Days since 1970.
    fn days(&self) -> i64 {
        let before: i64 = (1..self.month).map(|month| days_in(self.year, month)).sum();
        first_day(self.year) + before + self.day - 1
    }

    /// The week of ISO 8601: that which has this day's Thursday.
    fn week(&self) -> i64 {
        let days = self.days();
        let thursday = days - (days + 3).rem_euclid(7) + 3;
        let year = [self.year - 1, self.year, self.year + 1]
            .into_iter()
            .rfind(|year| first_day(*year) <= thursday)
            .unwrap_or(self.year);
        (thursday - first_day(year)) / 7 + 1
    }
}

/// Milliseconds since 1970 of a time in UTC.
#[must_use]
pub fn milliseconds(text: &str) -> Option<i64> {
    let time = Moment::parse(text)?;
    let (hour, minute, second) = time.clock?;
    Some((((time.days() * 24 + hour) * 60 + minute) * 60 + second) * 1_000)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The days from 1970 to the first of January.
fn first_day(year: i64) -> i64 {
    let before = year - 1;
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    (year - 1_970) * 365 + leaps(before) - leaps(1_969)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read() {
        let time = "2026-11-22T21:07:59Z";
        let parts = [Part::Year, Part::Month, Part::Day, Part::Hour, Part::Minute];
        assert_eq!(
            parts.map(|part| part.of(time)),
            [2026, 11, 22, 21, 7].map(Some)
        );
        assert_eq!(Part::Hour.of("2026-11-22"), None);
        assert_eq!(Part::Day.of("2026-02-29"), None);
        assert_eq!(Part::Day.of("yesterday"), None);
        assert_eq!(Part::Hour.of("2026-11-22T24:00:00Z"), None);
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        for (day, week) in [
            ("2026-01-01", 1),
            ("2025-12-29", 1),
            ("2021-01-03", 53),
            ("2021-01-04", 1),
            ("2024-12-30", 1),
            ("2023-01-01", 52),
            ("2026-11-22", 47),
        ] {
            assert_eq!(Part::Week.of(day), Some(week), "{day}");
        }
    }

    #[test]
    fn times_become_milliseconds() {
        assert_eq!(milliseconds("1970-01-01T00:00:01Z"), Some(1_000));
        assert_eq!(
            milliseconds("2024-01-01T00:00:00Z"),
            Some(1_704_067_200_000)
        );
    }
}
