//! Hands the entries of a log to somebody while it is verified, so that nobody has to read it twice.

use std::path::Path;

use crate::evidence::decode::Decoder;
use crate::evidence::entry::Entry;
use crate::evidence::error::LogError;
use crate::evidence::reader;

/// Whoever wants to hear each entry, in order.
pub(super) type Listener<'a> = &'a mut dyn FnMut(&Entry);

/// Tells a listener.
pub(super) struct Hearing<'a> {
    listener: Option<Listener<'a>>,
    decoder: Decoder,
    /// The number of the next entry that was not told yet.
    next: u64,
}

impl<'a> Hearing<'a> {
    /// With nobody there, nothing is told.
    pub(super) fn new(listener: Option<Listener<'a>>) -> Self {
        Self {
            listener,
            decoder: Decoder::default(),
            next: 0,
        }
    }

    /// Whether somebody listens, and has missed nothing so far.
    pub(super) const fn is_whole(&self) -> bool {
        self.listener.is_some()
    }

    /// Another log begins.
    pub(super) const fn begin(&mut self) {
        self.next = 0;
    }

    /// Something is wrong: what follows would not be what the log says.
    pub(super) fn give_up(&mut self) {
        self.listener = None;
    }

    /// Tells an entry, unless it was told before.
    pub(super) fn tell(&mut self, dir: &Path, seq: u64, bytes: &[u8]) {
        let Some(listener) = &mut self.listener else {
            return;
        };
        if seq < self.next {
            return;
        }
        self.next = seq + 1;
        if whole(&mut self.decoder, dir, seq, bytes, listener).is_err() {
            self.give_up(); // verifying says what is wrong
        }
    }
}

fn whole(
    decoder: &mut Decoder,
    dir: &Path,
    seq: u64,
    bytes: &[u8],
    listener: &mut dyn FnMut(&Entry),
) -> Result<(), LogError> {
    let entry = decoder.read(seq, bytes)?;
    match reader::unspilled(dir, entry)? {
        Some(entry) => listener(&entry),
        None => listener(entry),
    }
    Ok(())
}
