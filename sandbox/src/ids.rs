//! Identifiers and secrets in the providers' formats.

use rand::{Rng, RngExt, rngs::StdRng};

/// Two letters and 32 lower-case hexadecimal digits.
pub(crate) fn sid(rng: &mut StdRng, prefix: &str) -> String {
    format!("{prefix}{:016x}{:016x}", rng.next_u64(), rng.next_u64())
}

/// An auth token: 32 lower-case hexadecimal digits.
pub(crate) fn auth_token(rng: &mut StdRng) -> String {
    sid(rng, "")
}

/// The secret of an API key: 32 characters of the base-62 alphabet.
pub(crate) fn key_secret(rng: &mut StdRng) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..32).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

/// A random UUID, as used for idempotency tokens and request ids.
pub(crate) fn uuid(rng: &mut StdRng) -> String {
    let (high, low) = (rng.next_u64(), rng.next_u64());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}

/// Whether `text` is `prefix` and 32 hexadecimal digits.
pub(crate) fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}
