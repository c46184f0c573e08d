//! Controls of the family `rbac`.
