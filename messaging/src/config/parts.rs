//! A config that is too large for one Secret: pieces of its JSON, each known by its content, and an index that names
//! them in order.
//!
//! The parts are written before the index, and a reader uses an index only once it has every part. So it sees one
//! config or the next, and never a mixture. Where the JSON is cut follows from its content: a change of one template
//! changes a part or two, and the others keep their names.

use std::fmt;
use std::io;
use std::str::FromStr;

use hex::ToHex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::InvalidConfig;
use super::packed::{LARGEST_UNPACKED, compressed, decompressed, is_compressed};
use crate::id::TenantId;

/// The `format` of an index. A reader that does not know it says so, as of any other format that it does not know.
pub const INDEX_FORMAT: u32 = 2;
/// The largest config that can be published, in bytes of JSON.
pub const LARGEST_IN_PARTS: usize = LARGEST_UNPACKED;
/// How many parts a config has at most: as many of the smallest as make the largest config, and a last one.
pub const MOST_PARTS: usize = LARGEST_IN_PARTS / SMALLEST + 1;

/// No part but the last is smaller, in bytes before compression.
const SMALLEST: usize = 128 * 1024;
/// No part is larger. Compressed or not, it fits in a Secret.
const LARGEST: usize = 512 * 1024;
/// After how many bytes, beyond the smallest, a part ends on average.
const MEAN: u64 = 128 * 1024;

/// What a part, or an index, is known by: the SHA-256 of its content, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentId(String);

impl ContentId {
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).encode_hex())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text is not a [`ContentId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a SHA-256 in 64 lower-case hexadecimal digits")]
pub struct NotAContentId;

impl FromStr for ContentId {
    type Err = NotAContentId;
    fn from_str(text: &str) -> Result<Self, NotAContentId> {
        let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() == 64 && text.bytes().all(is_digit) { Ok(Self(text.to_owned())) } else { Err(NotAContentId) }
    }
}

impl TryFrom<String> for ContentId {
    type Error = NotAContentId;
    fn try_from(text: String) -> Result<Self, NotAContentId> {
        text.parse()
    }
}

impl From<ContentId> for String {
    fn from(id: ContentId) -> Self {
        id.0
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names the parts of a config, in order. It takes the place of the config in the tenant's Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PartIndex {
    /// [`INDEX_FORMAT`].
    format: u32,
    tenant: TenantId,
    /// The same part may come more than once.
    parts: Vec<ContentId>,
}

/// A part that an index names and a reader does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("part {place} of {of} of the tenant config is not there: {id}")]
pub struct MissingPart {
    /// From 1.
    pub place: usize,
    pub of: usize,
    pub id: ContentId,
}

impl PartIndex {
    /// The index of a config that is cut into these pieces.
    pub fn of(tenant: &TenantId, pieces: &[&[u8]]) -> Self {
        let parts = pieces.iter().map(|piece| ContentId::of(piece)).collect();
        Self { format: INDEX_FORMAT, tenant: tenant.clone(), parts }
    }

    pub fn parts(&self) -> &[ContentId] {
        &self.parts
    }

    /// The value of the Secret. The same index is always the same bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_else(|e| unreachable!("an index has no map: {e}"))
    }

    /// What the index, and with it the whole config, is known by.
    pub fn id(&self) -> ContentId {
        ContentId::of(&self.to_json())
    }

    /// The whole config, as [`super::TenantConfig::from_json`] reads it, out of packed parts.
    ///
    /// # Errors
    /// When a part is missing. Nothing may be run in place of the whole.
    pub fn whole<'p>(&self, part: impl Fn(&ContentId) -> Option<&'p [u8]>) -> Result<Vec<u8>, MissingPart> {
        let missing = |at: usize| MissingPart { place: at + 1, of: self.parts.len(), id: self.parts[at].clone() };
        let packed: Vec<&[u8]> = (self.parts.iter().enumerate())
            .map(|(at, id)| part(id).ok_or_else(|| missing(at)))
            .collect::<Result<_, _>>()?;
        // Compressed pieces one after another are the compressed whole. (RFC 1952, section 2.2.)
        Ok(packed.concat())
    }
}

/// What a tenant's Secret holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored<'a> {
    /// The config itself, for [`super::TenantConfig::from_json`].
    Whole(&'a [u8]),
    Parts(PartIndex),
}

impl<'a> Stored<'a> {
    /// Tells an index from a config, which is not looked into.
    ///
    /// # Errors
    /// When it is an index that cannot be read, or another tenant's.
    pub fn read(expected: &TenantId, value: &'a [u8]) -> Result<Self, InvalidConfig> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let is_index = !is_compressed(value)
            && serde_json::from_slice::<Head>(value).is_ok_and(|Head { format }| format == INDEX_FORMAT);
        if !is_index {
            return Ok(Self::Whole(value));
        }
        let index: PartIndex =
            serde_json::from_slice(value).map_err(|e| InvalidConfig::Malformed(format!("its index: {e}")))?;
        if index.tenant != *expected {
            return Err(InvalidConfig::WrongTenant { expected: expected.clone(), found: index.tenant });
        }
        if index.parts.is_empty() || index.parts.len() > MOST_PARTS {
            return Err(InvalidConfig::Malformed(format!(
                "its index names {} parts; expected 1 to {MOST_PARTS}",
                index.parts.len()
            )));
        }
        Ok(Self::Parts(index))
    }
}

/// Cuts a config's JSON into pieces, none of them larger than a Secret holds.
///
/// A piece ends before a line that says so by its content, so the lines after a change are cut as before.
pub fn cut(json: &[u8]) -> Vec<&[u8]> {
    let (mut pieces, mut start, mut end) = (Vec::new(), 0, 0);
    for line in json.split_inclusive(|byte| *byte == b'\n') {
        let begin = end;
        end += line.len();
        if begin - start >= SMALLEST && (begins_a_piece(line) || end - start > LARGEST) {
            pieces.push(&json[start..begin]);
            start = begin;
        }
        while end - start > LARGEST {
            pieces.push(&json[start..start + LARGEST]);
            start += LARGEST;
        }
    }
    if start < json.len() {
        pieces.push(&json[start..]);
    }
    pieces
}

/// True of one line in so many that a piece ends after [`MEAN`] bytes on average, whatever the lines' lengths.
fn begins_a_piece(line: &[u8]) -> bool {
    // FNV-1a, whose upper bits are then folded in. It decides only where to cut.
    let hash = line
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash ^ (hash >> 32)) % MEAN < line.len() as u64
}

/// The value of a part's Secret.
pub fn packed_part(piece: &[u8]) -> Vec<u8> {
    compressed(piece)
}

/// Checks that a part's value is what it is known by.
///
/// # Errors
/// When it is damaged, or another part.
pub fn check_part(id: &ContentId, value: &[u8]) -> io::Result<()> {
    if !is_compressed(value) {
        return Err(io::Error::other("it is not compressed"));
    }
    let piece = decompressed(value, LARGEST)?;
    let found = ContentId::of(&piece);
    if found == *id { Ok(()) } else { Err(io::Error::other(format!("its content is {found}"))) }
}

/// Whether a config can be published in parts, by the size of its JSON.
pub fn fits(json: &[u8]) -> bool {
    json.len() <= LARGEST_IN_PARTS
}

#[cfg(test)]
mod tests;
