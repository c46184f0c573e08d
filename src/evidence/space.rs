//! How much room the disk has on which a log is.

use std::{io, path::Path};

/// Room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What may still be written.
    pub free: u64,
    /// All of it.
    pub size: u64,
}

/// The room on the file system that a folder is on.
pub fn space(dir: &Path) -> io::Result<Space> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(Space {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        size: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_no_more_room_than_it_is_large() {
        let dir = tempfile::tempdir().unwrap();
        let found = space(dir.path()).unwrap();
        assert!(found.size > 0 && found.free <= found.size, "{found:?}");
        let missing = space(&dir.path().join("none")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
