//! The keys that `hash` knows. A key is a secret: nothing here can print one.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretBox};

/// Bytes of a hash: 32 hexadecimal digits, which nobody finds a second value for, and which are short in metadata.
const HASH_BYTES: usize = 16;

/// A key, found already.
#[derive(Clone)]
pub struct HashKey {
    /// Its name in the config.
    pub name: String,
    /// `None` only where the key could not be read; then there are no settings to evaluate.
    key: Option<Arc<SecretBox<[u8; 32]>>>,
}

impl HashKey {
    /// The key of what the operator keeps, which is a text of any length.
    #[must_use]
    pub fn new(name: String, secret: Option<&[u8]>) -> Self {
        let key = secret.map(|secret| Arc::new(SecretBox::new(Box::new(*blake3::hash(secret).as_bytes()))));
        Self { name, key }
    }

    /// The keyed hash of a text, the same on every host that has the key: docs/rules.md says how others compute it.
    #[must_use]
    pub fn hash(&self, text: &str) -> Option<String> {
        let key = self.key.as_ref()?.expose_secret();
        let hash = blake3::keyed_hash(key, text.as_bytes());
        Some(hash.to_hex()[..HASH_BYTES * 2].to_owned())
    }
}

/// The same key, as it was read.
impl PartialEq for HashKey {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && match (&self.key, &other.key) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (one, other) => one.is_none() && other.is_none(),
            }
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "HashKey({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    #[test]
    fn the_same_key_and_text_give_the_same_hash_for_ever() {
        let key = HashKey::new("people".to_owned(), Some(SECRET));
        // As b3sum says: printf %s KEY | b3sum --raw | b3sum --keyed --length 16 FILE.
        assert_eq!(key.hash("anna@example.com").unwrap(), "d630807485faa8bf444bfcbbc52638ae");
        let other = HashKey::new("people".to_owned(), Some(b"another key, which is long enough too"));
        assert_ne!(key.hash("anna@example.com"), other.hash("anna@example.com"));
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = HashKey::new("people".to_owned(), Some(SECRET));
        assert_eq!(format!("{key:?}"), "HashKey(people)");
    }
}
