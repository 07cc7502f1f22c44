//! Numbers of payment cards.

/// How far from where a run of digits shows a number is looked for.
const REACH: usize = 32;

/// Whether a card's number starts near this position: digits of a known issuer, in one piece or in the
/// groups they are printed in, with a right check digit and nothing glued to them.
pub(crate) fn is_card(text: &[u8], at: usize) -> bool {
    let digits = text[..at].iter().rev().take(REACH);
    let before = digits.take_while(|byte| byte.is_ascii_digit()).count();
    (at - before..at + REACH).any(|start| is_card_from(text, start))
}

fn is_card_from(text: &[u8], start: usize) -> bool {
    let glued = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(byte))
    };
    if !text.get(start).is_some_and(u8::is_ascii_digit) || (start > 0 && glued(text.get(start - 1)))
    {
        return false;
    }
    let mut digits = [0; 19];
    let (mut count, mut group, mut end) = (0, 0, start);
    let sign = separator(&text[start..]);
    while let Some(&byte) = text.get(end) {
        if byte.is_ascii_digit() && count < digits.len() {
            digits[count] = byte - b'0';
            count += 1;
            group += 1;
        } else if Some(byte) == sign
            && group >= 4
            && text.get(end + 1).is_some_and(u8::is_ascii_digit)
        {
            group = 0;
        } else {
            break;
        }
        end += 1;
    }
    !glued(text.get(end)) && is_number(&digits[..count])
}

/// The sign between groups, if the first group of four ends in one.
fn separator(text: &[u8]) -> Option<u8> {
    text.get(4)
        .copied()
        .filter(|byte| matches!(byte, b' ' | b'-'))
}

fn is_number(digits: &[u8]) -> bool {
    if digits.len() < 14 {
        return false;
    }
    let start = |count: usize| {
        digits[..count]
            .iter()
            .fold(0, |number, &digit| number * 10 + u32::from(digit))
    };
    let issued = match digits.len() {
        14 => matches!(start(3), 300..=305) || matches!(start(2), 36 | 38 | 39),
        15 => matches!(start(2), 34 | 37),
        16 => {
            start(1) == 4
                || matches!(start(2), 51..=55 | 62 | 65)
                || matches!(start(3), 644..=649)
                || matches!(start(4), 2221..=2720 | 3528..=3589 | 6011)
        }
        _ => start(2) == 62,
    };
    issued && digits.iter().any(|digit| *digit != digits[0]) && has_check_digit(digits)
}

/// Luhn's formula.
fn has_check_digit(digits: &[u8]) -> bool {
    let weighed = digits.iter().rev().enumerate().map(|(place, &digit)| {
        let digit = u32::from(digit) * if place % 2 == 1 { 2 } else { 1 };
        digit / 10 + digit % 10
    });
    weighed.sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_cards_are_known_in_one_piece_and_in_groups() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "378282246310005",
            "3782 822463 10005",
            "5555555555554444",
            "6011111111111117",
            "3530111333300000",
            "30569309025904",
        ] {
            assert!(is_card(text.as_bytes(), 0), "{text}");
            assert!(is_card(format!("card {text}, exp").as_bytes(), 5), "{text}");
        }
        assert!(is_card(b"1: 4111111111111111", 2));
    }

    #[test]
    fn other_numbers_are_none() {
        for text in [
            "4111111111111112",
            "1234567890123456",
            "0000000000000000",
            "1700000000000000",
            "4111111111111111.5",
            "41111111111111110000000",
            "123456789012 4111",
            "4111111111111111-part",
        ] {
            assert!(!is_card(text.as_bytes(), 0), "{text}");
        }
        assert!(!is_card(b"i-4111111111111111", 2));
        assert!(!is_card(b"key/4111111111111111", 4));
    }
}
