//! What the log says has begun and not ended: gaps, pauses, encryption configurations. A term says only what is news to it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::evidence::body::{Body, Gap, Name};

/// What has begun and not ended, as far as the log knows.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    /// Gaps by scope.
    gaps: BTreeMap<String, Gap>,
    /// Until when what is paused.
    pauses: BTreeMap<String, Timestamp>,
    /// Hashes of the encryption configurations that API servers use, by address.
    configs: BTreeMap<Name, String>,
}

impl Lasting {
    /// Takes note of what is said, or was.
    pub(super) fn note(&mut self, body: &Body) {
        match body {
            Body::Gap(gap) if gap.to.is_none() => {
                self.gaps.insert(gap.scope.clone(), gap.clone());
            }
            Body::Gap(gap) => {
                self.gaps.remove(&gap.scope);
            }
            Body::Pause(pause) => {
                match pause.until {
                    Some(until) => self.pauses.insert(pause.target.clone(), until),
                    None => self.pauses.remove(&pause.target),
                };
            }
            Body::EncryptionConfig(said) => {
                self.configs.insert(said.server.clone(), said.to.clone());
            }
            _ => {}
        }
    }

    /// The hash of the encryption configuration that the log has an API server use.
    pub(super) fn config(&self, server: &str) -> Option<&str> {
        self.configs.get(server).map(String::as_str)
    }

    /// The gap of a scope that has not ended.
    pub(super) fn gap(&self, scope: &str) -> Option<&Gap> {
        self.gaps.get(scope)
    }

    /// Until when the log has something paused.
    pub(super) fn paused(&self, target: &str) -> Option<Timestamp> {
        self.pauses.get(target).copied()
    }
}
