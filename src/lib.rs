//! Probity.

pub mod verdict;
