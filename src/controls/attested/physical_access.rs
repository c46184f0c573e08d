//! `attest-physical-access`

use super::attested;
use crate::controls::prelude::*;

attested! {
    /// Access to rooms and machines is restricted.
    PhysicalAccess {
        id: "attest-physical-access",
        field: "attestPhysicalAccess",
        title: "Access to rooms and machines is restricted",
        criteria: &["CC6.4"],
        severity: Medium,
        days: 365,
        contents: "who may enter, or whose report shows it where a provider has the rooms",
        why: "Whoever can touch a machine has what is on it.",
        limits: "Usually it is carved out to the provider: the attestation then says so.",
    }
}
