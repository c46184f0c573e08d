//! What follows from several objects together, or from rules that are not ours, such as when a
//! cron expression is due. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod schedule;
