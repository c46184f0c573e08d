//! What nearly every control needs: `use crate::controls::prelude::*;`.

pub(crate) use jiff::Timestamp;
pub(crate) use schemars::JsonSchema;
pub(crate) use serde::{Deserialize, Serialize};

pub(crate) use super::{
    Consent, Context, Control, Family, Info, Kept, Observation, Remedy, ScopeUse, Subject,
    SubjectKind, Target, Touched, Verdict, Write, subject,
};
pub(crate) use crate::{
    engine::Observed,
    inventory::{Change, Inventory, Kind, Meta, Object, Sym},
    verdict::{Outcome, Severity, Strength},
};
