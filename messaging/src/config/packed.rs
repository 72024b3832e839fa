//! The value of a compiled Secret: plain JSON while that fits, so that people and every version read it, and compressed
//! when it does not.

use std::borrow::Cow;
use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// What all the values of a Secret may hold together, in bytes. (`MaxSecretSize` in k8s.io/api/core/v1.)
pub const LARGEST: usize = 1024 * 1024;
/// What a compressed config may hold once it is unpacked, so that a small value cannot use up the memory.
pub const LARGEST_UNPACKED: usize = 64 * 1024 * 1024;
/// How gzip begins, and JSON never does. (RFC 1952.)
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// As one piece of gzip: the same bytes for the same content. The value may still be larger than [`LARGEST`].
pub fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(content)
        .and_then(|()| encoder.finish())
        .unwrap_or_else(|e| unreachable!("writing to memory does not fail: {e}"))
}

pub(super) fn is_compressed(value: &[u8]) -> bool {
    value.starts_with(&MAGIC)
}

/// The content of one or more pieces of gzip, of at most so many bytes.
pub(super) fn decompressed(value: &[u8], largest: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    MultiGzDecoder::new(value).take(largest as u64 + 1).read_to_end(&mut content)?;
    if content.len() > largest {
        return Err(io::Error::other(format!("it holds more than {largest} bytes once it is unpacked")));
    }
    Ok(content)
}

/// The JSON in a value.
pub fn unpacked(value: &[u8]) -> io::Result<Cow<'_, [u8]>> {
    if !is_compressed(value) {
        return Ok(Cow::Borrowed(value));
    }
    decompressed(value, LARGEST_UNPACKED).map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compressed_and_what_was_not_is_read_alike() {
        let small = br#"{"format": 1}"#.to_vec();
        let large = [b"[".as_slice(), &br#"{"body": "Hello"},"#.repeat(200_000), b"0]"].concat();
        let value = compressed(&large);
        assert!(value.len() < LARGEST && value.starts_with(&MAGIC), "{}", value.len());
        assert_eq!(compressed(&large), value, "the same bytes for the same config");
        assert_eq!(unpacked(&value).unwrap(), large);
        assert_eq!(unpacked(&small).unwrap(), small);
        assert_eq!(unpacked(&[value.clone(), value].concat()).unwrap(), large.repeat(2), "one piece after another");
    }

    #[test]
    fn a_damaged_or_hostile_value_is_refused() {
        let value = compressed(&vec![b' '; LARGEST + 1]);
        assert!(unpacked(&value[..value.len() / 2]).is_err());
        let bomb = compressed(&vec![b' '; LARGEST_UNPACKED + 1]);
        assert!(unpacked(&bomb).unwrap_err().to_string().contains("more than"));
    }
}
