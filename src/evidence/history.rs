//! The checkpoints of a log that may have been shown to others, one JSON object a line: what anchors are compared with.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{At, LogError};
use super::plain;
use super::sealed::corrupt;
use super::storage::Storage;

/// The file in the folder of the log.
pub const FILE: &str = "checkpoints.jsonl";

/// More bytes than it has after ten years of a checkpoint every ten minutes.
const MOST: u64 = 512 << 20;

/// A checkpoint that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// When it was kept, by the clock of the operator.
    pub time: Timestamp,
    /// The signed note.
    pub note: String,
}

/// Adds a checkpoint, durably. A line that a crash has torn is cut off.
pub(super) fn append(
    dir: &Path,
    storage: &dyn Storage,
    note: &str,
    time: Timestamp,
) -> Result<(), LogError> {
    let path = dir.join(FILE);
    let end = match fs::metadata(&path) {
        Ok(file) => whole_lines(&path, file.len())?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error).at("look at", &path),
    };
    let kept = Kept {
        time,
        note: note.to_owned(),
    };
    let mut line = super::canonical::to_vec(&kept)?;
    line.push(b'\n');
    let mut file = storage.open(&path).at("open", &path)?;
    file.truncate(end).at("truncate", &path)?;
    file.write_at(end, &line).at("write to", &path)?;
    file.sync().at("sync", &path)?;
    storage.sync_dir(dir).at("sync", dir)
}

/// Where the last whole line of a file of `length` bytes ends.
fn whole_lines(path: &Path, length: u64) -> Result<u64, LogError> {
    use std::io::{Read, Seek, SeekFrom};
    // A line is a note and a time: far below this.
    let start = length.saturating_sub(64 * 1024);
    let mut file = fs::File::open(path).at("open", path)?;
    file.seek(SeekFrom::Start(start)).at("read", path)?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).at("read", path)?;
    let end = tail.iter().rposition(|byte| *byte == b'\n');
    Ok(end.map_or(start, |end| start + end as u64 + 1))
}

/// The checkpoints that are kept in a folder, in order. The last line may be torn and is left out then.
pub fn read(dir: &Path) -> Result<Vec<Kept>, LogError> {
    let path = dir.join(FILE);
    let Some(bytes) = plain::read(&path, MOST)? else {
        return Ok(Vec::new());
    };
    let mut offset = 0;
    let mut kept = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if !line.ends_with(b"\n") {
            break;
        }
        match serde_json::from_slice(line) {
            Ok(read) => kept.push(read),
            Err(error) => {
                let reason = format!("a line of it is no checkpoint: {error}");
                return Err(corrupt(&path, offset, reason));
            }
        }
        offset += line.len() as u64;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::super::storage::Disk;
    use super::*;

    #[test]
    fn torn_lines_are_cut_off_and_the_others_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let at = |second| Timestamp::from_second(second).unwrap();
        append(dir, &Disk, "a\n", at(1)).unwrap();
        append(dir, &Disk, "b\n", at(2)).unwrap();
        let path = dir.join(FILE);
        let whole = fs::read(&path).unwrap();
        for cut in 1..30 {
            fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            assert_eq!(read(dir).unwrap().len(), 1, "{cut}");
            append(dir, &Disk, "c\n", at(3)).unwrap();
            let notes: Vec<_> = read(dir)
                .unwrap()
                .into_iter()
                .map(|kept| kept.note)
                .collect();
            assert_eq!(notes, ["a\n", "c\n"]);
        }
        fs::write(&path, b"{}\n").unwrap();
        assert!(read(dir).is_err());
    }
}
