//! Probity.

pub mod evidence;
pub mod verdict;
