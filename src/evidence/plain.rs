//! Reading the files of a log that somebody else has handed over: where a file should be, anything may be, and of any size.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::error::{At, LogError};
use super::sealed::corrupt;

/// Opens a file of a log, unless there is none. What is no file, or has more than `most` bytes, is damage: a pipe would be
/// waited for without end, a device has no end, and a link leads out of what is checked.
pub(super) fn open(path: &Path, most: u64) -> Result<Option<File>, LogError> {
    let damaged = |reason: String| Err(corrupt(path, 0, reason));
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) => {
            return match error.kind() {
                ErrorKind::NotFound => Ok(None),
                ErrorKind::NotADirectory => {
                    damaged("a file stands where its folder should be".to_owned())
                }
                _ if is_loop(path) => damaged("its folder is a link to itself".to_owned()),
                _ => Err(error).at("look at", path),
            };
        }
    };
    let kind = found.file_type();
    if kind.is_symlink() {
        return damaged("it is a link, and not the file itself".to_owned());
    }
    if kind.is_dir() {
        return damaged("it is a folder, and not a file".to_owned());
    }
    if !kind.is_file() {
        return damaged("it is a pipe or a device, and not a file".to_owned());
    }
    if found.len() > most {
        let bytes = found.len();
        return damaged(format!(
            "it has {bytes} bytes, and such a file has at most {most}"
        ));
    }
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => file.at("open", path).map(Some),
    }
}

/// Whether a folder above a file is a link that leads to itself: it is there, and where it leads can't be told.
fn is_loop(path: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .any(|folder| folder.is_symlink() && fs::canonicalize(folder).is_err())
}

/// The content of a file of a log; `None` if there is none. See [`open`].
pub(super) fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, LogError> {
    let Some(file) = open(path, most)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    file.take(most).read_to_end(&mut bytes).at("read", path)?;
    Ok(Some(bytes))
}

/// Whether a file is what macOS puts beside each file of a copy, named `._` and the file's name: no part of a log.
pub(super) fn is_shadow(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"._"))
}

/// The content of a file that a person or the cluster has named, which may well be a link or a pipe; `None` if there is none.
pub(super) fn read_named(path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.at("read", path).map(Some),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_files_of_a_fitting_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), b"abc").unwrap();
        assert_eq!(read(&at("file"), 3).unwrap().unwrap(), b"abc");
        assert!(read(&at("none"), 3).unwrap().is_none());
        symlink("/dev/zero", at("zero")).unwrap();
        symlink("file", at("link")).unwrap();
        symlink("loop", at("loop")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        File::create(at("sparse"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        for (name, said) in [
            ("zero", "it is a link"),
            ("link", "it is a link"),
            ("loop", "it is a link"),
            ("loop/x", "link to itself"),
            ("folder", "it is a folder"),
            ("socket", "a pipe or a device"),
            ("sparse", "has 1099511627776 bytes"),
            ("file/x", "where its folder should be"),
        ] {
            let error = read(&at(name), 1000).unwrap_err();
            assert!(
                error.is_damage() && error.to_string().contains(said),
                "{error}"
            );
        }
    }
}
