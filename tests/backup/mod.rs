//! Backups against judges of their own: the libraries that read cron expressions, and the CRDs of
//! Velero on a real API server.

mod cron;
mod velero;
