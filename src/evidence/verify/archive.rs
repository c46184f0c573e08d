//! A log that comes as an archive.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tar::Archive;

use crate::evidence::error::{At, LogError};
use crate::evidence::sealed::corrupt;

/// A folder, or what an archive was unpacked to, which goes with this.
pub struct Unpacked {
    path: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

impl Unpacked {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Unpacks an archive, gzipped or not; a folder stays where it is. If all of an archive is in one folder, that is the log.
pub fn unpacked(path: &Path) -> Result<Unpacked, LogError> {
    if !path.is_file() {
        return Ok(Unpacked {
            path: path.to_owned(),
            _folder: None,
        });
    }
    let mut magic = [0; 2];
    let read = File::open(path)
        .and_then(|mut file| file.read(&mut magic))
        .at("read", path)?;
    let file = File::open(path).at("open", path)?;
    let content: Box<dyn Read> = if read == 2 && magic == [0x1f, 0x8b] {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let folder = tempfile::tempdir().at("make a folder to unpack", path)?;
    // Paths that lead out of the folder are skipped by the library.
    Archive::new(content)
        .unpack(folder.path())
        .map_err(|error| corrupt(path, 0, format!("this is no tar archive of a log: {error}")))?;
    let mut inside: Vec<PathBuf> = std::fs::read_dir(folder.path())
        .at("list", folder.path())?
        .filter_map(|file| file.ok().map(|file| file.path()))
        .collect();
    let only = (inside.len() == 1).then(|| inside.remove(0));
    let path = only
        .filter(|only| only.is_dir() && !only.ends_with("epochs"))
        .unwrap_or_else(|| folder.path().to_owned());
    Ok(Unpacked {
        path,
        _folder: Some(folder),
    })
}
