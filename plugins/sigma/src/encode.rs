//! The encodings that values of a rule go through: UTF-16 and Base64.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with its padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place) & 63) as usize;
            out.push(if place <= group.len() {
                char::from(ALPHABET[digit])
            } else {
                '='
            });
        }
    }
    out
}

/// What stands in Base64 wherever these bytes stand in what was encoded: one text for each of the three
/// places that they can begin at, without the digits that hang on their neighbours.
pub(crate) fn base64_anywhere(bytes: &[u8]) -> [String; 3] {
    [0, 1, 2].map(|shift| {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(bytes);
        let text = base64(&shifted);
        // Digits that are made of bits of the bytes alone.
        let start = (shift * 8).div_ceil(6);
        let end = shifted.len() * 8 / 6;
        text.get(start..end.max(start))
            .unwrap_or_default()
            .to_owned()
    })
}

/// UTF-16 of a text, in the order of bytes that `bytes` gives.
pub(crate) fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn some_place_is_found_in_whatever_is_encoded() {
        let places = base64_anywhere(b"secret-key");
        for before in 0..7 {
            for after in 0..4 {
                let plain = ["x".repeat(before), "secret-key".into(), "y".repeat(after)].concat();
                let encoded = base64(plain.as_bytes());
                assert!(encoded.contains(&places[before % 3]), "{before} {after}");
            }
        }
        assert_eq!(
            base64_anywhere(b"/bin/bash"),
            ["L2Jpbi9iYXNo", "9iaW4vYmFza", "vYmluL2Jhc2"]
        );
    }

    #[test]
    fn wide_text_has_two_bytes_a_character() {
        assert_eq!(utf16("cm", u16::to_le_bytes), [0x63, 0, 0x6d, 0]);
        assert_eq!(utf16("c", u16::to_be_bytes), [0, 0x63]);
    }
}
