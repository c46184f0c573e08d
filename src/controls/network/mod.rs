//! Network controls.

mod namespace_default_deny;

pub use namespace_default_deny::NamespaceDefaultDeny;
