//! Packs a config into the one value of a Secret: as plain JSON while that fits, so that people and every version read
//! it, and compressed when it does not.

use std::borrow::Cow;
use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// What all the values of a Secret may hold together, in bytes. (`MaxSecretSize` in k8s.io/api/core/v1.)
pub const LARGEST: usize = 1024 * 1024;
/// What a compressed config may hold once it is unpacked, so that a small value cannot use up the memory.
const LARGEST_UNPACKED: u64 = 64 * 1024 * 1024;
/// How gzip begins, and JSON never does. (RFC 1952.)
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The value for a config's JSON. It may still be larger than [`LARGEST`].
pub fn packed(json: Vec<u8>) -> Vec<u8> {
    if json.len() <= LARGEST {
        return json;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(&json)
        .and_then(|()| encoder.finish())
        .unwrap_or_else(|e| unreachable!("writing to memory does not fail: {e}"))
}

/// The JSON in a value.
pub fn unpacked(value: &[u8]) -> io::Result<Cow<'_, [u8]>> {
    if !value.starts_with(&MAGIC) {
        return Ok(Cow::Borrowed(value));
    }
    let mut json = Vec::new();
    GzDecoder::new(value).take(LARGEST_UNPACKED + 1).read_to_end(&mut json)?;
    if json.len() as u64 > LARGEST_UNPACKED {
        return Err(io::Error::other(format!("it holds more than {LARGEST_UNPACKED} bytes once it is unpacked")));
    }
    Ok(Cow::Owned(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_plain_and_the_rest_is_compressed() {
        let small = br#"{"format": 1}"#.to_vec();
        assert_eq!(packed(small.clone()), small);
        let large = [b"[".as_slice(), &br#"{"body": "Hello"},"#.repeat(200_000), b"0]"].concat();
        let value = packed(large.clone());
        assert!(value.len() < LARGEST && value.starts_with(&MAGIC), "{}", value.len());
        assert_eq!(packed(large.clone()), value, "the same bytes for the same config");
        assert_eq!(unpacked(&value).unwrap(), large);
        assert_eq!(unpacked(&small).unwrap(), small);
    }

    #[test]
    fn a_damaged_or_hostile_value_is_refused() {
        let value = packed(vec![b' '; LARGEST + 1]);
        assert!(unpacked(&value[..value.len() / 2]).is_err());
        let bomb = packed(vec![b' '; LARGEST_UNPACKED as usize + 1]);
        assert!(unpacked(&bomb).unwrap_err().to_string().contains("more than"));
    }
}
