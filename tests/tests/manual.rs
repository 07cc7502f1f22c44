//! The manual for authors of plugins is followed word by word, in an empty folder.
//!
//! `sh` blocks are run where the one before ended, `sh fails` must fail, a `text` block shows lines of the
//! last output in their order (`…` stands for anything), and any other block is a file of the name that
//! stands behind its language.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::PathBuf};

use sluicegate_tests::{
    authoring::{Workshop, end},
    host::root,
};

/// A fenced block of a page.
struct Block {
    /// The line of its fence.
    line: usize,
    /// What stands behind the fence.
    about: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(about), None) => {
                open = Some(Block {
                    line: number + 1,
                    about: about.to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed");
    blocks
}

/// Whether a line of the manual shows this line of output.
fn shows(wanted: &str, line: &str) -> bool {
    let mut parts = wanted.split('…');
    let first = parts.next().unwrap();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let mut last = "";
    let mut any = false;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        (last, any) = (part, true);
    }
    rest.is_empty() || any && last.is_empty()
}

/// Follows the blocks of a page.
struct Reader {
    shop: Workshop,
    folder: PathBuf,
    output: String,
}

impl Reader {
    fn follow(&mut self, block: &Block) {
        let at = format!("line {} of the manual", block.line);
        match block.about.split_once(' ').unwrap_or((&block.about, "")) {
            ("sh", how @ ("" | "fails")) => self.run(block, how == "fails", &at),
            ("text", "") => {
                let mut lines = self.output.lines();
                for wanted in block.text.lines() {
                    assert!(
                        lines.any(|line| shows(wanted, line)),
                        "{at}: no {wanted:?}, or not there, in:\n{}",
                        self.output
                    );
                }
            }
            (_, path) if !path.is_empty() => {
                fs::write(self.folder.join(path), &block.text).unwrap();
            }
            _ => panic!("{at}: nobody follows a block of {:?}", block.about),
        }
    }

    fn run(&mut self, block: &Block, fails: bool, at: &str) {
        let after = self.shop.folder().join(".folder");
        let script = format!("exec 2>&1\n{}\npwd > '{}'\n", block.text, after.display());
        let mut command = self.shop.command("bash");
        command
            .args(["-eu", "-c", &script])
            .current_dir(&self.folder);
        let ended = end(&mut command);
        assert_eq!(ended.code != 0, fails, "{at}:\n{}", ended.said);
        if !fails {
            self.folder = fs::read_to_string(&after).unwrap().trim().into();
        }
        self.output = ended.said;
    }
}

/// Follows a page that has at least so many blocks, in a folder with these plugins.
fn follow(page: &str, at_least: usize, plugins: &[&str]) {
    let page = fs::read_to_string(root().join("docs").join(page)).unwrap();
    let blocks = blocks(&page);
    assert!(blocks.len() >= at_least, "only {} blocks", blocks.len());
    let shop = Workshop::new();
    for plugin in plugins {
        let place = format!("dist/plugins/{plugin}.wasm");
        fs::create_dir_all(shop.folder().join("dist/plugins")).unwrap();
        fs::copy(root().join(&place), shop.folder().join(&place)).unwrap();
    }
    let mut reader = Reader {
        folder: shop.folder().to_owned(),
        shop,
        output: String::new(),
    };
    for block in &blocks {
        reader.follow(block);
    }
}

#[test]
fn every_block_of_the_manual_does_what_it_says() {
    follow("writing-plugins.md", 20, &[]);
}

#[test]
fn every_block_about_python_does_what_it_says() {
    follow("writing-plugins-python.md", 6, &[]);
}

#[test]
fn every_block_about_state_and_lookup_does_what_it_says() {
    follow("writing-plugins-state.md", 9, &[]);
}

#[test]
fn every_block_about_sigma_does_what_it_says() {
    follow("writing-sigma.md", 12, &["detect-sigma"]);
}

#[test]
fn dots_stand_for_anything_and_all_else_for_itself() {
    assert!(shows("size  … bytes", "size  12,345 bytes"));
    assert!(shows("sha256  …", "sha256  abc"));
    assert!(shows("…allows: x", "it allows: x"));
    assert!(shows("a … b … c", "a 1 b 2 c"));
    assert!(!shows("size  … bytes", "size  12 bytes more"));
    assert!(!shows("ok", "ok then"));
    assert!(!shows("ok then", "ok"));
}
