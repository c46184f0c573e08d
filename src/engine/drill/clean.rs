//! The end of a drill: its result on the Restore, then nothing is left of it.

use std::time::Duration;

use serde_json::json;

use super::{
    super::Now,
    run::{Next, Run, is_final},
    write::{DrillCall, Spot},
};
use crate::{
    controls::backup::drill::{DRILL, RESULT, is_drill},
    inventory::{Inventory, Kind},
};

/// What was created last may show only so long after it was answered.
const SETTLE: Duration = Duration::from_secs(3);
/// So long Velero may take to let go of a Restore that it works on. Until then it could make the
/// sandbox again, without its bounds.
const LET_GO: Duration = Duration::from_mins(2);

impl Run {
    /// The next step of the clean-up: the Restore first, so that nothing is restored any more.
    pub(super) fn clean(&self, inventory: &Inventory, sandbox: &str, now: Now) -> Next {
        let Some(end) = &self.end else {
            return Next::Wait;
        };
        if now.mono < self.again_at {
            return Next::Wait;
        }
        if let Some(restore) = self.restore(inventory) {
            let meta = &restore.meta;
            let spot = || Spot::restore(meta.namespace.clone(), meta.name.clone());
            if is_final(&restore.spec) {
                let recorded = meta.annotations.get(RESULT).is_some();
                if !recorded && !self.unrecorded && !meta.deleting {
                    let result = serde_json::to_string(&end.result).unwrap_or_default();
                    // From now on it stays, as a record.
                    let patch = json!({ "metadata": {
                        "annotations": { RESULT: result }, "ownerReferences": null,
                    } });
                    let call = DrillCall::Merge(patch, meta.uid, meta.rv);
                    return Next::Write(Box::new((spot(), call)));
                }
            } else if !meta.deleting {
                let call = DrillCall::Delete(meta.uid);
                return Next::Write(Box::new((spot(), call)));
            } else if now.mono < end.at + LET_GO {
                return Next::Wait;
            }
        }
        let namespace = inventory.meta(Kind::Namespace, "", sandbox);
        let ours =
            namespace.filter(|meta| is_drill(meta) && meta.labels.get(DRILL) == Some(&*self.id));
        match ours {
            Some(meta) if !meta.deleting => {
                let call = DrillCall::Delete(meta.uid);
                Next::Write(Box::new((Spot::namespace(sandbox), call)))
            }
            Some(_) => Next::Wait,
            None if now.mono < end.at + SETTLE => Next::Wait,
            None => Next::Over,
        }
    }
}
