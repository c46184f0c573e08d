//! Network controls.

mod namespace_default_deny;
mod no_allow_all;

pub use namespace_default_deny::NamespaceDefaultDeny;
pub use no_allow_all::NoAllowAll;
