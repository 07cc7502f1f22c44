//! Shapes of others: what leaves for a service that has a format of its own.

#[cfg(feature = "security-hub")]
pub mod asff;
pub mod document;

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
    fn text_is_cut_between_characters() {
        assert_eq!(cut("größer", 4), "größ");
        assert_eq!(cut("größe", 5), "größe");
        assert_eq!(cut("", 0), "");
    }
}
