//! `probity generate`: write the files that are generated from the controls.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;

use super::Failure;
use crate::generate::{self, FOLDERS};

/// Arguments of `probity generate`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The root of the checkout.
    #[arg(default_value = ".")]
    root: PathBuf,
    /// Write nothing; fail if a file is stale.
    #[arg(long)]
    check: bool,
}

/// Writes or checks them.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { root, check } = arguments;
    let wanted = wanted(root)?;
    let stale = stale(root, &wanted)?;
    if *check {
        return match stale.as_slice() {
            [] => Ok(()),
            stale => Err(format!("run `make generate`: stale: {}", stale.join(", "))),
        };
    }
    for path in stale {
        let file = root.join(&path);
        match wanted.get(&path) {
            Some(content) => write(&file, content),
            None => fs::remove_file(&file),
        }
        .map_err(|error| format!("{path} can't be written: {error}"))?;
        println!("{path}");
    }
    Ok(())
}

/// The generated files of a checkout, README included.
fn wanted(root: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let mut wanted = generate::files().map_err(|error| error.to_string())?;
    if let Some(current) = read(&root.join("README.md"))? {
        wanted.insert("README.md".to_owned(), generate::readme(&current));
    }
    Ok(wanted)
}

/// Paths of the files that differ from what is wanted, or that nothing generates any more.
fn stale(root: &Path, wanted: &BTreeMap<String, String>) -> Result<Vec<String>, Failure> {
    let mut stale = Vec::new();
    for (path, content) in wanted {
        if read(&root.join(path))?.as_ref() != Some(content) {
            stale.push(path.clone());
        }
    }
    for folder in FOLDERS {
        let Ok(entries) = fs::read_dir(root.join(folder)) else {
            continue;
        };
        for entry in entries {
            let entry = entry.map_err(|error| format!("{folder} can't be listed: {error}"))?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if !wanted.contains_key(&path) {
                stale.push(path);
            }
        }
    }
    stale.sort();
    Ok(stale)
}

fn read(file: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(file) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} can't be read: {error}", file.display())),
    }
}

fn write(file: &Path, content: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_are_committed_as_they_would_be_generated() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let stale = stale(root, &wanted(root).unwrap()).unwrap();
        assert!(
            stale.is_empty(),
            "run `make generate` and commit: {stale:?}"
        );
    }

    #[test]
    fn what_is_stale_is_written_and_what_nothing_generates_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let orphan = root.path().join("docs/controls/gone.md");
        write(&orphan, "").unwrap();
        let arguments = |check| Arguments {
            root: root.path().to_owned(),
            check,
        };
        let refused = run(&arguments(true)).unwrap_err();
        assert!(refused.contains("docs/controls/gone.md"), "{refused}");
        run(&arguments(false)).unwrap();
        assert!(!orphan.exists());
        run(&arguments(true)).unwrap();
    }
}
