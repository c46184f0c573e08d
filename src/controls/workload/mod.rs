//! Controls of the family `workload`.
