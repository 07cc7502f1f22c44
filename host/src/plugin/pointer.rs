//! JSON Pointers (RFC 6901), as plugins name them.

/// Longest path that a plugin may name, in bytes: deep members of real events stay far below.
pub(super) const MAX_BYTES: usize = 8 << 10;

/// Whether the text is a JSON Pointer of acceptable length: empty, or segments that each begin with `/`
/// and in which `~` stands only in `~0` and `~1`.
pub(crate) fn is_pointer(path: &str) -> bool {
    let starts = path.is_empty() || path.starts_with('/');
    starts
        && path.len() <= MAX_BYTES
        && path
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with(['0', '1']))
}

/// Whether a place, with all that lies below it, takes in a path. A `*` of the place takes in any segment;
/// a `*` of the path, which asks for any, is taken in by a `*` only.
pub(super) fn covers(place: &str, path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    place.split('/').skip(1).all(|wanted| {
        segments
            .next()
            .is_some_and(|segment| wanted == "*" || wanted == segment)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_other_text() {
        for path in ["", "/", "/a", "/a/*/b", "/a~1b~0", "/a.b", "//"] {
            assert!(is_pointer(path), "{path}");
        }
        for path in ["a", "a/b", "/a~", "/a~2", "/~/", "userIdentity.arn"] {
            assert!(!is_pointer(path), "{path}");
        }
        assert!(!is_pointer(&format!("/{}", "a".repeat(MAX_BYTES))));
    }
}
