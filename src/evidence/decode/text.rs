//! The text of an entry, read in the order in which it is written. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use jiff::Timestamp;
use memchr::memchr;
use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, Error};

use super::time::utc;

/// What of the text of an entry is still to be read. Nothing in it is escaped.
#[derive(Clone, Copy)]
pub(super) struct Plain<'a>(&'a str);

impl<'a> Plain<'a> {
    /// `None` where something is escaped, or must not be there at all.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        // Without a way out, so that it looks at many bytes at a time.
        let is_odd = |byte: &u8| *byte == b'\\' || *byte < 0x20;
        let odd = bytes.iter().fold(false, |odd, byte| odd | is_odd(byte));
        (!odd).then_some(())?;
        std::str::from_utf8(bytes).ok().map(Self)
    }

    /// Whether this comes next: then it is passed.
    #[allow(
        clippy::inline_always,
        reason = "what is of a known length is compared without a call"
    )]
    #[inline(always)]
    pub(super) fn passes(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Whether nothing is left.
    pub(super) fn is_read(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a field that must come next, and the comma behind it.
    #[allow(
        clippy::inline_always,
        reason = "the length of the name is known there"
    )]
    #[inline(always)]
    pub(super) fn named<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        self.passes(name).then_some(())?;
        let value = read(self)?;
        self.passes(",").then_some(value)
    }

    /// The same of one that may be left out. The outer `None`: it stands there otherwise.
    #[allow(clippy::option_option, reason = "the two mean different things")]
    #[allow(
        clippy::inline_always,
        reason = "the length of the name is known there"
    )]
    #[inline(always)]
    pub(super) fn if_named<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        if !self.passes(name) {
            return Some(None);
        }
        let value = read(self)?;
        self.passes(",").then_some(Some(value))
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let rest = self.0.strip_prefix('"')?;
        let (text, rest) = rest.split_at_checked(memchr(b'"', rest.as_bytes())?)?;
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    /// A list of texts. Returned is where the first one begins.
    pub(super) fn texts(&mut self) -> Option<Self> {
        self.passes("[").then_some(())?;
        let begin = *self;
        let mut first = true;
        while !self.passes("]") {
            (std::mem::take(&mut first) || self.passes(",")).then_some(())?;
            self.text()?;
        }
        Some(begin)
    }

    /// One of the words of a closed set.
    pub(super) fn word<T: Deserialize<'a>>(&mut self) -> Option<T> {
        T::deserialize(BorrowedStrDeserializer::<Error>::new(self.text()?)).ok()
    }

    pub(super) fn time(&mut self) -> Option<Timestamp> {
        utc(self.text()?)
    }

    /// A number without sign, fraction and exponent.
    pub(super) fn number(&mut self) -> Option<u64> {
        let length = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at_checked(length)?;
        (length == 1 || !digits.starts_with('0')).then_some(())?;
        self.0 = rest;
        digits.parse().ok()
    }
}
