//! Checks that a log follows the one before: its first entry, and the key that its last one names.

use super::Log;
use crate::evidence::body::{Epoch, KeyChange};
use crate::evidence::epochs;
use crate::evidence::note::VerifierKey;
use crate::evidence::verify::LogReport;
use crate::words::{either, many};

impl Log<'_, '_> {
    /// Checks what the first entry says of this log and of the one before.
    pub(super) fn first_entry(&mut self, key: &VerifierKey, before: Option<&LogReport>) {
        let epoch = match epochs::first_entry(self.dir) {
            Ok(Some(epoch)) => epoch,
            // Whether it begins so can't be known, and not what is wrong.
            Err(error) if error.is_damage() => {
                self.report.add_error(&error, self.data);
                return;
            }
            Ok(None) | Err(_) => {
                let what = "the log does not begin with the entry that names it".to_owned();
                self.problem(Some(0), self.dir, what);
                return;
            }
        };
        if epoch.origin != key.name() {
            let what = format!(
                "its first entry is that of the log {}: it was taken from there",
                epoch.origin
            );
            self.problem(Some(0), self.dir, what);
        }
        if VerifierKey::parse(&epoch.key).as_ref() != Ok(key) {
            let what = format!("its first entry names the key {}", epoch.key);
            self.problem(Some(0), self.dir, what);
        }
        let named = before.and_then(|before| before.next_key.as_ref());
        if epoch.planned && named.map(VerifierKey::key) != Some(key.key()) {
            let what = "it says that the log before has named its key, and that has not".to_owned();
            self.problem(Some(0), self.dir, what);
        }
        self.compare_with_before(&epoch, before);
    }

    /// The key that the last entry names as that of the next log.
    pub(super) fn next_key(&mut self, change: &KeyChange) {
        let ours =
            VerifierKey::parse(&change.old).is_ok_and(|old| old.to_string() == self.report.key);
        match VerifierKey::parse(&change.new) {
            Ok(new) if ours => self.report.next_key = Some(new),
            _ => {
                let last = self.size.saturating_sub(1);
                let what = format!(
                    "it changes the key {} to {}, and this log has the key {}",
                    change.old, change.new, self.report.key
                );
                self.problem(Some(last), self.dir, what);
            }
        }
    }

    pub(super) fn compare_with_before(&mut self, epoch: &Epoch, before: Option<&LogReport>) {
        let Some(committed) = &epoch.before else {
            if before.is_some() {
                let what = "another log is before it, to which it does not commit".to_owned();
                self.problem(Some(0), self.dir, what);
            }
            return;
        };
        match before {
            Some(before) if before.origin == committed.origin => {
                if before.size < committed.size {
                    self.report.remarks.push(format!(
                        "entries {} to {} of {} are lost: {}",
                        before.size,
                        committed.size - 1,
                        committed.origin,
                        epoch.cause
                    ));
                }
            }
            _ => self.report.remarks.push(format!(
                "it continues {}, of which {} {} known to {}, and which is not here: {}",
                committed.origin,
                many(committed.size, "entry"),
                either(committed.size, "was", "were"),
                committed.source,
                epoch.cause
            )),
        }
    }
}
