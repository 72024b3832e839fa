//! Rules that a text is one of many. An `enum` in the schema would answer with all of them, and not with what would be
//! right.

/// The text itself.
pub(crate) fn itself<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    format!("self in {}", list(words))
}

/// Each text of a list.
pub(crate) fn each<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    format!("self.all(word, word in {})", list(words))
}

fn list<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("'{}'", word.as_ref())).collect();
    format!("[{}]", quoted.join(", "))
}
