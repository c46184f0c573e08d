//! Analyses: what follows from many objects or numbers together. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod canary;
