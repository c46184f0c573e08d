//! The evidence log as others read it, without a cluster.

mod formats;
mod sizes;
