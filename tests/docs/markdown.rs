//! As much of Markdown as is needed to find headings, links and code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A page.
pub(super) struct Page {
    /// Its path in the repository.
    pub(super) path: PathBuf,
    /// What links can lead to in it.
    pub(super) anchors: BTreeSet<String>,
    /// Targets of links and pictures, each with its line.
    pub(super) links: Vec<(usize, String)>,
    /// Code within lines, each with its line.
    pub(super) codes: Vec<(usize, String)>,
    /// Blocks of code.
    pub(super) blocks: Vec<Block>,
}

/// A block of code.
pub(super) struct Block {
    /// What it says after its fence.
    pub(super) language: String,
    /// The line of its first line.
    pub(super) line: usize,
    /// Its lines, without the indentation of the fence.
    pub(super) lines: Vec<String>,
}

impl Block {
    /// Its content.
    pub(super) fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }
}

impl Page {
    /// Reads a page of the repository.
    pub(super) fn read(path: PathBuf) -> Self {
        let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
        let text = fs::read_to_string(&whole)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(path, &text)
    }

    fn parse(path: PathBuf, text: &str) -> Self {
        let mut page = Self {
            path,
            anchors: BTreeSet::new(),
            links: Vec::new(),
            codes: Vec::new(),
            blocks: Vec::new(),
        };
        let mut open: Option<(Block, String)> = None;
        for (at, line) in text.lines().enumerate() {
            let number = at + 1;
            let bare = line.trim_start();
            if let Some((mut block, indent)) = open.take() {
                if bare.starts_with("```") {
                    page.blocks.push(block);
                } else {
                    let line = line.strip_prefix(indent.as_str()).unwrap_or(bare);
                    block.lines.push(line.to_owned());
                    open = Some((block, indent));
                }
            } else if let Some(language) = bare.strip_prefix("```") {
                let block = Block {
                    language: language.trim().to_owned(),
                    line: number + 1,
                    lines: Vec::new(),
                };
                let indent = line.len() - bare.len();
                open = Some((block, line[..indent].to_owned()));
            } else {
                page.take_line(number, line);
            }
        }
        assert!(
            open.is_none(),
            "{}: a block doesn't end",
            page.path.display()
        );
        page
    }

    fn take_line(&mut self, number: usize, line: &str) {
        // Every second part is code.
        let mut plain = String::new();
        for (at, part) in line.split('`').enumerate() {
            if at % 2 == 1 {
                self.codes.push((number, part.to_owned()));
            } else {
                plain.push_str(part);
            }
        }
        for (at, _) in plain.match_indices("](") {
            let rest = &plain[at + 2..];
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            self.links.push((number, target.to_owned()));
        }
        let level = line.len() - line.trim_start_matches('#').len();
        if (1..=6).contains(&level) && line[level..].starts_with(' ') {
            let slug = slug(&line[level..]);
            let mut unique = slug.clone();
            let mut count = 0;
            while !self.anchors.insert(unique.clone()) {
                count += 1;
                unique = format!("{slug}-{count}");
            }
        }
    }

    /// The path in the repository to which a link of this page leads.
    pub(super) fn resolve(&self, link: &str) -> PathBuf {
        if link.is_empty() {
            return self.path.clone();
        }
        let joined = self.path.parent().unwrap().join(link);
        let mut path = PathBuf::new();
        for component in joined.components() {
            if component == Component::ParentDir {
                assert!(path.pop(), "{link} leads out of the repository");
            } else {
                path.push(component);
            }
        }
        path
    }
}

/// The anchor that a heading gets.
fn slug(heading: &str) -> String {
    let heading = heading.trim().to_lowercase();
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn headings_links_and_code_are_found() {
    let page = Page::parse(
        "docs/a.md".into(),
        "# What `x` does: now\n[b](../b.md#c) `[no](d)`\n  ```sh\n  ls [e](f)\n  ```\n# What `x` does: now\n",
    );
    assert!(page.anchors.contains("what-x-does-now"));
    assert!(page.anchors.contains("what-x-does-now-1"));
    assert_eq!(page.links, [(2, "../b.md#c".to_owned())]);
    assert_eq!(page.codes[1], (2, "[no](d)".to_owned()));
    assert_eq!(page.blocks[0].lines, ["ls [e](f)"]);
    assert_eq!(page.resolve("../b.md"), Path::new("b.md"));
}
