//! The evidence log as others read it, without a cluster.

mod damaged;
mod formats;
mod sizes;
