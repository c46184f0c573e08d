//! Uids of objects.

use std::fmt;

/// A uid: 16 bytes instead of 36. Not a `u128`, whose alignment would pad every object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uid([u8; 16]);

impl Uid {
    /// Reads the textual form. `None` where it is not an RFC 4122 uuid.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.bytes().filter(|byte| *byte != b'-');
        let mut value: u128 = 0;
        let mut digits = 0;
        for byte in hex {
            let digit = char::from(byte).to_digit(16)?;
            // More than 32 digits overflow, and are refused below.
            value = value << 4 | u128::from(digit);
            digits += 1;
        }
        (digits == 32 && text.len() == 36).then_some(Self(value.to_be_bytes()))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = u128::from_be_bytes(self.0);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            v >> 96,
            (v >> 80) & 0xffff,
            (v >> 64) & 0xffff,
            (v >> 48) & 0xffff,
            v & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
