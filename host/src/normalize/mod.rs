//! Shapes of others: what leaves for a service that has a format of its own.

#[cfg(feature = "security-hub")]
pub mod asff;
pub mod document;
#[cfg(feature = "security-hub")]
mod remediation;

/// At most `max` characters.
#[cfg(feature = "security-hub")]
fn cut(text: &str, max: usize) -> &str {
    text.char_indices()
        .nth(max)
        .map_or(text, |(end, _)| &text[..end])
}
