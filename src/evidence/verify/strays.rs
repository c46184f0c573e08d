//! Files in the folder of a log that nothing else looks at: what is no part of it is named, so that nobody takes it for one.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::LogReport;
use super::bundles::below;
use super::report::Problem;
use crate::evidence::blob::{self, BlobRef};
use crate::evidence::error::{At, LogError};
use crate::evidence::heads;
use crate::evidence::history;
use crate::evidence::plain;
use crate::evidence::raw::PRUNED;
use crate::evidence::sealed::CHECKPOINT;
use crate::evidence::segment::WAL;
use crate::evidence::spare;
use crate::evidence::store::SEGMENT_BYTES;

/// So many are named.
const NAMED: usize = 5;

/// Looks through the folder of a log, of which these blobs were looked at before. While the log is written files come and go,
/// which is no reason to give up.
pub(super) fn look(
    dir: &Path,
    data: &Path,
    blobs: &HashSet<String>,
    report: &mut LogReport,
) -> Result<(), LogError> {
    let mut found = Strays {
        dir,
        data,
        blobs,
        report,
        foreign: Vec::new(),
        doubles: Vec::new(),
    };
    found.folder(dir)?;
    found.name();
    let shows_head = dir.join(CHECKPOINT).exists();
    if shows_head && report.kept_heads == 0 && !dir.join(history::FILE).exists() {
        let what = format!(
            "{} is not there: the log has no earlier heads of its own to be compared with",
            history::FILE
        );
        report.remarks.push(what);
    }
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let is_among_others = dir != data;
    if is_among_others && report.origin.rsplit('/').next() != Some(&name) {
        report.add(Problem {
            entry: None,
            file: below(data, dir),
            byte: None,
            what: format!(
                "the folder is not named as the log in it, {}: it was renamed",
                report.origin
            ),
        });
    }
    Ok(())
}

struct Strays<'a> {
    dir: &'a Path,
    data: &'a Path,
    blobs: &'a HashSet<String>,
    report: &'a mut LogReport,
    foreign: Vec<String>,
    doubles: Vec<String>,
}

impl Strays<'_> {
    fn folder(&mut self, folder: &Path) -> Result<(), LogError> {
        let listed = match fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            listed => listed.at("list", folder)?,
        };
        let mut paths = Vec::new();
        for file in listed {
            paths.push(file.at("list", folder)?.path());
        }
        paths.sort_unstable();
        for path in paths {
            if path.is_dir() && !path.is_symlink() {
                self.folder(&path)?;
            } else {
                self.file(&path);
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) {
        let inside = path.strip_prefix(self.dir).unwrap_or(path);
        let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let is_own = match parts.as_slice() {
            [name] => [CHECKPOINT, history::FILE, PRUNED, "lock"].contains(name),
            [WAL, spare::NAME] => spare::is_blank(path, SEGMENT_BYTES),
            [WAL, _] => {
                path.extension().is_some_and(|ending| ending == "log") && !plain::is_shadow(path)
            }
            [blob::FOLDER, name] if blob::is_digest(name) => {
                if !self.blobs.contains(*name) {
                    self.blob(path, name);
                }
                true
            }
            [heads::FOLDER, name] => name
                .rsplit_once('.')
                .is_some_and(|(_, ending)| [heads::CHECKPOINT, heads::TIMESTAMP].contains(&ending)),
            ["tile", "entries", rest @ ..] => {
                let packed = path.with_extension(match path.extension() {
                    Some(ending) => format!("{}.gz", ending.display()),
                    None => "gz".to_owned(),
                });
                if path.extension().is_none_or(|ending| ending != "gz") && packed.exists() {
                    self.doubles.push(inside.display().to_string());
                }
                is_tile(rest)
            }
            ["tile", level, rest @ ..] => level.parse::<u8>().is_ok() && is_tile(rest),
            _ => false,
        };
        if !is_own {
            self.foreign.push(inside.display().to_string());
        }
    }

    /// Whoever looks for a blob by its name must find what was logged, also where no entry that is left refers to it.
    fn blob(&mut self, path: &Path, name: &str) {
        let size = fs::symlink_metadata(path).map_or(0, |found| found.len());
        let blob = BlobRef {
            blob: name.to_owned(),
            size,
        };
        if let Err(LogError::Blob { reason, .. }) = blob.load(self.dir)
            && reason != blob::MISSING
        {
            self.report.add(Problem {
                entry: None,
                file: below(self.data, path),
                byte: None,
                what: format!("the blob {reason}"),
            });
        }
    }

    fn name(&mut self) {
        let listed = |files: &[String]| {
            let more = files.len().saturating_sub(NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let named: Vec<&str> = files.iter().take(NAMED).map(String::as_str).collect();
            named.join(", ") + &more
        };
        if !self.foreign.is_empty() {
            let what = format!(
                "these files are no part of the log, and nothing of them is proved: {}",
                listed(&self.foreign)
            );
            self.report.remarks.push(what);
        }
        if !self.doubles.is_empty() {
            let what = format!(
                "these bundles lie there plain as well, and only the compressed ones were checked: {}",
                listed(&self.doubles)
            );
            self.report.remarks.push(what);
        }
    }
}

/// Whether the rest of a path is that of a tile: `x001/x234/067`, perhaps `.p/<W>` and `.gz`.
fn is_tile(rest: &[&str]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((last, groups)) = rest.split_last() else {
        return false;
    };
    let last = last.strip_suffix(".gz").unwrap_or(last);
    is_number(last)
        && groups.iter().all(|group| {
            let group = group.strip_suffix(".p").unwrap_or(group);
            is_number(group.strip_prefix('x').unwrap_or(group))
        })
}
