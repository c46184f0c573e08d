//! Lists kinds anew: those of which something could not be understood, and those of which a watch has missed something.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Operator, observe};
use crate::{
    engine::{Event, Now},
    inventory::{Availability, Kind, Sym, entropy::Listed},
};

impl Operator {
    /// Lists the kinds anew of which something could not be understood: what a watch sends from
    /// there on doesn't tell what that was.
    pub(super) fn read_again(&mut self, now: Now) {
        let freshness = &self.engine.inventory().freshness;
        let kinds = freshness.iter(now.mono);
        let broken =
            kinds.filter(|(_, availability, _)| matches!(availability, Availability::Broken(_)));
        let broken: BTreeSet<Kind> = broken.map(|(kind, ..)| kind).collect();
        for kind in self.rereads.due(&broken, now.mono) {
            if self.watches.is_watching(kind) {
                tracing::warn!(
                    kind = kind.info().kind,
                    "It could not be read; listing anew"
                );
                self.watches.restart(kind);
            }
        }
    }

    /// Compares a list with what is held. What differs twice was lost: the kind is listed anew,
    /// and the interval is recorded as a gap.
    pub(super) fn verify(
        &mut self,
        kind: Kind,
        listed: &Listed,
        suspects: Option<Vec<(Sym, Sym)>>,
        since: Timestamp,
        now: Now,
    ) {
        let differing = crate::inventory::entropy::differing(self.engine.inventory(), kind, listed);
        match suspects {
            None if differing.is_empty() => {}
            None => {
                observe::look_again(kind, listed.clone(), differing, since, &self.sender);
            }
            Some(suspects) => {
                let lost = differing
                    .iter()
                    .filter(|name| suspects.contains(name))
                    .count();
                if lost > 0 {
                    tracing::warn!(
                        kind = kind.info().kind,
                        lost,
                        "The watch had missed objects; listing anew"
                    );
                    self.engine.apply(Event::Repaired(kind, lost, since), now);
                    self.watches.restart(kind);
                }
            }
        }
    }
}
