//! How an entry lies in a segment file. Pure: bytes in, bytes out.
//!
//! ```text
//! u32 length of bytes │ u32 CRC-32C of what follows │ u64 seq (top bit: starts a group) │ bytes       all little-endian
//! ```
//!
//! A group is what one sync makes durable. The next group is written only after that sync, so a frame that starts a
//! group proves that everything before it had reached the disk. That tells damage from an interrupted write.
//!
//! Entries are JSON text and so hold no NUL; segments are filled with zeros ahead of the writer. A whole sector of zeros
//! inside a frame therefore is a sector that never reached the disk.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Bytes before the entry.
pub const HEADER: usize = 16;

/// Longest entry: C2SP tlog-tiles counts the length of an entry in 16 bits.
pub const MAX_ENTRY: usize = 65_535;

/// Longest frame.
pub const MAX_FRAME: usize = HEADER + MAX_ENTRY;

/// Disks write sectors of this size, or multiples, as a whole.
const SECTOR: u64 = 512;

const STARTS_GROUP: u64 = 1 << 63;

/// A whole, checked frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Position of the entry in the log.
    pub seq: u64,
    /// Whether everything before this frame was durable when it was written.
    pub starts_group: bool,
    /// The entry: what a Merkle leaf is computed from.
    pub bytes: &'a [u8],
}

impl Frame<'_> {
    /// Bytes that the frame takes in the file.
    pub const fn size(&self) -> usize {
        HEADER + self.bytes.len()
    }
}

/// What lies at the start of some bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// An entry.
    Frame(Frame<'a>),
    /// Nothing, or the zeros that were laid out ahead of the writer.
    End,
    /// The beginning of a frame; the bytes end before it does.
    Torn,
    /// Something that this program didn't write.
    Corrupt {
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Appends a frame. The entry is not empty and not longer than [`MAX_ENTRY`]: the store refuses others.
pub fn encode(out: &mut Vec<u8>, seq: u64, starts_group: bool, bytes: &[u8]) {
    debug_assert!(!bytes.is_empty() && bytes.len() <= MAX_ENTRY && seq < STARTS_GROUP);
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let seq = (seq | if starts_group { STARTS_GROUP } else { 0 }).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&seq), bytes);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&seq);
    out.extend_from_slice(bytes);
}

/// Reads what lies at the start of `bytes`.
pub fn decode(bytes: &[u8]) -> Decoded<'_> {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else {
        return if bytes.iter().all(|byte| *byte == 0) {
            Decoded::End
        } else {
            Decoded::Torn
        };
    };
    let length = length_of(header);
    if length == 0 {
        let zeros = header.iter().all(|byte| *byte == 0);
        return if zeros {
            Decoded::End
        } else {
            Decoded::Corrupt {
                reason: "the length is zero",
            }
        };
    }
    if length > MAX_ENTRY {
        return Decoded::Corrupt {
            reason: "the length is larger than any entry",
        };
    }
    if bytes.len() < HEADER + length {
        return Decoded::Torn;
    }
    match checked(bytes, length) {
        Some(frame) => Decoded::Frame(frame),
        None => Decoded::Corrupt {
            reason: "the checksum does not match",
        },
    }
}

/// What to think of bytes that are no frame although one was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// The last write was interrupted; nothing here was ever reported as durable.
    Torn,
    /// Durable bytes have changed.
    Corrupt {
        /// Why this can't be an interrupted write.
        reason: &'static str,
    },
}

/// Judges the rest of the last segment, from the first byte that should start frame number `due`. `offset` is the place of
/// `tail` in the file. Every doubt is decided for `Corrupt`: a person looks, and nothing is cut off.
pub fn judge_tail(tail: &[u8], offset: u64, due: u64) -> Tail {
    if let Decoded::Corrupt {
        reason: reason @ "the length is larger than any entry",
    } = decode(tail)
    {
        return Tail::Corrupt { reason };
    }
    if durable_frame_follows(tail, due) {
        return Tail::Corrupt {
            reason: "the frame is damaged, and a later write proves that it had been whole",
        };
    }
    if length_has_flipped(tail, due) {
        return Tail::Corrupt {
            reason: "the length is damaged, the rest of the frame is whole",
        };
    }
    let size = match tail.first_chunk::<HEADER>() {
        Some(header) => HEADER + length_of(header),
        None => return Tail::Torn,
    };
    if size > tail.len() || has_lost_sector(&tail[..size], offset) {
        return Tail::Torn;
    }
    Tail::Corrupt {
        reason: "the frame is complete and its checksum does not match",
    }
}

/// Whether a frame further on starts a group: it was written after everything before it was synced.
fn durable_frame_follows(tail: &[u8], due: u64) -> bool {
    (1..tail.len().saturating_sub(HEADER)).any(|at| {
        let rest = &tail[at..];
        // The cheap test first: almost no offset has a plausible number in the right place.
        let Some(seq) = rest
            .get(8..HEADER)
            .and_then(|seq| seq.try_into().ok())
            .map(u64::from_le_bytes)
        else {
            return false;
        };
        let plausible = seq & STARTS_GROUP != 0
            && (seq & !STARTS_GROUP)
                .checked_sub(due)
                .is_some_and(|ahead| ahead > 0 && ahead <= at as u64);
        plausible && matches!(decode(rest), Decoded::Frame(_))
    })
}

/// Whether the frame becomes whole when one bit of its length is put back. An interrupted write never does that, and
/// without this test such a frame could pass for one whose end is missing.
fn length_has_flipped(tail: &[u8], due: u64) -> bool {
    let Some(header) = tail.first_chunk::<HEADER>() else {
        return false;
    };
    let [a, b, c, d, ..] = *header;
    let length = u32::from_le_bytes([a, b, c, d]);
    (0..u32::BITS)
        .map(|bit| (length ^ (1 << bit)) as usize)
        .filter(|length| (1..=MAX_ENTRY).contains(length))
        .any(|length| checked(tail, length).is_some_and(|frame| frame.seq == due))
}

/// Whether some sector's share of the frame is all zeros, or the frame ends in one.
fn has_lost_sector(frame: &[u8], offset: u64) -> bool {
    if frame.last() == Some(&0) {
        return true;
    }
    let to_boundary = usize::try_from(SECTOR - offset % SECTOR)
        .unwrap_or(0)
        .min(frame.len());
    let (first, rest) = frame.split_at(to_boundary);
    std::iter::once(first)
        .chain(rest.chunks(512))
        .any(|piece| piece.iter().all(|byte| *byte == 0))
}

fn length_of(header: &[u8; HEADER]) -> usize {
    let [a, b, c, d, ..] = *header;
    u32::from_le_bytes([a, b, c, d]) as usize
}

/// The frame with this length, if its checksum matches.
fn checked(bytes: &[u8], length: usize) -> Option<Frame<'_>> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let [_, _, _, _, c0, c1, c2, c3, seq @ ..] = header;
    let bytes = rest.get(..length)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(seq), bytes);
    let seq = u64::from_le_bytes(*seq);
    (crc == u32::from_le_bytes([*c0, *c1, *c2, *c3])).then_some(Frame {
        seq: seq & !STARTS_GROUP,
        starts_group: seq & STARTS_GROUP != 0,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_layout_is_fixed() {
        let mut out = Vec::new();
        encode(&mut out, 7, false, b"{}");
        assert_eq!(&out[..4], [2, 0, 0, 0]);
        assert_eq!(out[4..8], crc32c::crc32c(&out[8..]).to_le_bytes());
        assert_eq!(&out[8..], [7, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']);
        encode(&mut out, 8, true, b"{}");
        assert_eq!(&out[26..34], [8, 0, 0, 0, 0, 0, 0, 0x80]);
    }

    #[test]
    fn zeros_are_the_end() {
        for length in [0, 1, 15, 16, 17, 4096] {
            assert_eq!(decode(&vec![0; length]), Decoded::End);
        }
    }

    #[test]
    fn absurd_lengths_are_refused_without_reading_on() {
        let mut frame = vec![0xff; 32];
        assert_eq!(
            decode(&frame),
            Decoded::Corrupt {
                reason: "the length is larger than any entry"
            }
        );
        frame[..4].fill(0);
        assert_eq!(
            decode(&frame),
            Decoded::Corrupt {
                reason: "the length is zero"
            }
        );
    }

    #[test]
    fn a_frame_that_starts_a_group_proves_what_is_before_it() {
        let mut out = Vec::new();
        encode(&mut out, 0, true, br#"{"a":1}"#);
        let second = out.len();
        encode(&mut out, 1, true, br#"{"a":2}"#);
        out[..second].fill(0);
        assert!(matches!(judge_tail(&out, 0, 0), Tail::Corrupt { .. }));
    }

    #[test]
    fn a_lost_sector_in_the_last_group_is_a_torn_write_even_when_later_sectors_arrived() {
        let mut out = Vec::new();
        let entry = format!("{{\"a\":\"{}\"}}", "x".repeat(600));
        encode(&mut out, 0, true, entry.as_bytes());
        encode(&mut out, 1, false, entry.as_bytes());
        out[..512].fill(0);
        assert_eq!(judge_tail(&out, 0, 0), Tail::Torn);
    }

    proptest! {
        #[test]
        fn round_trip(seq in 0..STARTS_GROUP, starts_group: bool, bytes in prop::collection::vec(1u8.., 1..2000), after in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut out = Vec::new();
            encode(&mut out, seq, starts_group, &bytes);
            let size = out.len();
            out.extend(after);
            let frame = Frame { seq, starts_group, bytes: &bytes };
            prop_assert_eq!(frame.size(), size);
            prop_assert_eq!(decode(&out), Decoded::Frame(frame));
        }

        #[test]
        fn decoding_and_judging_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..700), offset in 0u64..4096) {
            let _ = decode(&bytes);
            let _ = judge_tail(&bytes, offset, 0);
        }
    }
}
