//! Tables of the operator, in which a plugin looks up what it was granted by `grants.lookup`.

use crate::{
    Kind,
    bindings::sluicegate::plugin::{lookup as raw, types::Column},
};

pub use raw::Error;

/// What a table has for some keys, in their order.
#[derive(Clone, Debug)]
pub struct Answers(Column);

impl Answers {
    /// What the value of a key is; absent where the table has none.
    #[must_use]
    pub fn kind(&self, position: usize) -> Kind {
        Kind::of(self.0.kinds.get(position).copied().unwrap_or(0))
    }

    /// The text of a string.
    #[must_use]
    pub fn str(&self, position: usize) -> Option<&str> {
        (self.kind(position) == Kind::String).then(|| self.text(position))
    }

    /// The JSON text of a number, a boolean, an object or an array.
    #[must_use]
    pub fn json(&self, position: usize) -> Option<&str> {
        let other = [Kind::Absent, Kind::Null, Kind::String];
        (!other.contains(&self.kind(position))).then(|| self.text(position))
    }

    fn text(&self, position: usize) -> &str {
        let ends = (
            self.0.offsets.get(position),
            self.0.offsets.get(position + 1),
        );
        let (Some(&start), Some(&end)) = ends else {
            return "";
        };
        let bytes = self.0.data.get(start as usize..end as usize);
        std::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    }
}

/// One field of the entries that keys match. How they match belongs to the table: the same text, or the
/// smallest network that an address lies in. In a database of addresses a field is a path, as in
/// `country.iso_code`.
///
/// # Errors
/// When there is no such table or field, when the table was not granted, or when the host does not answer.
pub fn query(table: &str, field: &str, keys: &[&str]) -> Result<Answers, Error> {
    let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
    #[cfg(target_arch = "wasm32")]
    return raw::query(table, field, &keys).map(Answers);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::world::query(table, field, &keys).map(Answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_what_it_is_and_nothing_else() {
        let answers = Answers(Column {
            kinds: vec![2, 3, 0],
            offsets: vec![0, 2, 4, 4],
            data: b"DE42".to_vec(),
        });
        assert_eq!((answers.str(0), answers.json(0)), (Some("DE"), None));
        assert_eq!((answers.str(1), answers.json(1)), (None, Some("42")));
        assert_eq!((answers.str(2), answers.json(2)), (None, None));
        assert_eq!(answers.kind(3), Kind::Absent, "nobody asked for that");
    }
}
