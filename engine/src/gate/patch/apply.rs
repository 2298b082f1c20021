//! A patch put to a tree: every file of it, or a refusal and nothing.

use super::place::weave;
use super::{Applied, FilePatch, Hunk, Mode, Operation, refuse};
use crate::gate::contents::{self, Contents};
use crate::gate::text;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;
use windlass_shared::refusal::Refusal;
use windlass_shared::tree::{Manifest, Node};

pub(super) fn apply(files: &[FilePatch], base: &Manifest, contents: &Contents) -> Result<Applied, Refusal> {
    let vacated = files.iter().filter_map(|file| match &file.operation {
        Operation::Delete(path) | Operation::Rename { from: path, .. } => Some(path),
        _ => None,
    });
    let mut work = Work {
        base,
        contents,
        vacated: vacated.collect(),
        outcome: BTreeMap::new(),
        blobs: Contents::new(),
        comparisons: 0,
    };
    for file in files {
        work.file(file)?;
    }
    let mut manifest = base.clone();
    for (path, node) in work.outcome {
        match node {
            Some(node) => manifest.entries.insert(path, node),
            None => manifest.entries.remove(&path),
        };
    }
    let mut blobs = work.blobs;
    let needed: BTreeSet<Digest> = manifest.blobs().collect();
    blobs.retain(|digest, _| needed.contains(digest) && !contents.contains_key(digest));
    Ok(Applied { manifest, blobs })
}

struct Work<'a> {
    base: &'a Manifest,
    contents: &'a Contents,
    /// What the patch takes away: another file may take its place, wherever the two stand in the patch.
    vacated: BTreeSet<&'a TreePath>,
    /// What has become of a path so far.
    outcome: BTreeMap<TreePath, Option<Node>>,
    blobs: Contents,
    /// Lines compared so far.
    comparisons: u64,
}

/// What to add where a hunk's lines end in another way than its file's: nobody sees that in a text.
fn line_ends(hunk: &Hunk, bytes: &[u8]) -> &'static str {
    let is_crlf = |line: &[u8]| line.ends_with(b"\r\n");
    let (patch, file) =
        (hunk.old.iter().any(|line| is_crlf(line)), text::lines(bytes).into_iter().any(is_crlf));
    match (patch, file) {
        (true, false) => "; the patch's lines end in CRLF and the file's in LF",
        (false, true) => "; the patch's lines end in LF and the file's in CRLF",
        _ => "",
    }
}

/// What to add where a path has a folder before it that the tree does not have: `diff -u old/f new/f` writes such.
fn meant(name: &TreePath, base: &Manifest) -> String {
    let rest = name.as_str().split_once('/').and_then(|(_, rest)| TreePath::parse(rest).ok());
    match rest.filter(|rest| base.entries.contains_key(rest)) {
        Some(rest) => format!("; {rest} is there: write the patch's paths as a/{rest} and b/{rest}"),
        None => String::new(),
    }
}

impl Work<'_> {
    fn file(&mut self, file: &FilePatch) -> Result<(), Refusal> {
        let name = file.operation.name();
        let at = |problem: &str| refuse(name.as_str(), Some(file.line), problem);
        let source = match &file.operation {
            // The sides of a swap both come from the base.
            Operation::Rename { from, .. } | Operation::Copy { from, .. } => self.base.entries.get(from),
            Operation::Edit(path) | Operation::Delete(path) => {
                self.outcome.get(path).map_or_else(|| self.base.entries.get(path), Option::as_ref)
            }
            Operation::Create(_) => None,
        };
        let source = source.cloned();
        if source.is_none() && file.operation.source().is_some() {
            let meant = meant(name, self.base);
            return Err(at(&format!("there is no such file in the tree{meant}")));
        }
        match &file.operation {
            Operation::Create(to) | Operation::Rename { to, .. } | Operation::Copy { to, .. } => {
                let is_taken = match self.outcome.get(to) {
                    Some(node) => node.is_some(),
                    None => self.base.entries.contains_key(to) && !self.vacated.contains(to),
                };
                if is_taken {
                    return Err(at("the file is there already"));
                }
            }
            Operation::Edit(_) | Operation::Delete(_) => {}
        }
        let node = self.node(file, source.as_ref())?;
        if let Operation::Rename { from, .. } = &file.operation {
            self.outcome.entry(from.clone()).or_insert(None);
        }
        self.outcome.insert(name.clone(), node);
        Ok(())
    }

    /// What becomes of the file; none when it is deleted.
    fn node(&mut self, file: &FilePatch, source: Option<&Node>) -> Result<Option<Node>, Refusal> {
        let name = file.operation.name().as_str();
        let was_link = matches!(source, Some(Node::Link { .. }));
        let is_link = file.mode.map_or(was_link, |mode| mode == Mode::Link);
        if source.is_some() && was_link != is_link {
            return Err(refuse(
                name,
                Some(file.line),
                "a file becomes a link by being deleted and made anew",
            ));
        }
        let was_executable = matches!(source, Some(Node::File { executable: true, .. }));
        let executable = file.mode.map_or(was_executable, |mode| mode == Mode::Executable);
        if let Some(Node::File { digest, .. }) = source
            && file.hunks.is_empty()
            && !file.is_deletion()
        {
            return Ok(Some(Node::File { digest: *digest, executable }));
        }
        let bytes = self.bytes(source)?;
        let woven = weave(&bytes, &file.hunks, &mut self.comparisons).map_err(|hunk| {
            let first = hunk.old.first().map(|line| String::from_utf8_lossy(line).trim_end().to_owned());
            let problem = match first {
                Some(line) if source.is_some() => {
                    let line: String = line.chars().take(80).collect();
                    format!("the hunk that begins with {line:?} fits nowhere in the file")
                }
                _ => "the hunk fits nowhere in the file".to_owned(),
            };
            refuse(name, Some(hunk.line), problem + line_ends(hunk, &bytes))
        })?;
        if file.is_deletion() {
            if !woven.is_empty() {
                return Err(refuse(name, Some(file.line), "it is deleted, yet lines of it are left"));
            }
            return Ok(None);
        }
        if is_link {
            let target = String::from_utf8(woven)
                .map_err(|_| refuse(name, Some(file.line), "its link target is not UTF-8"))?;
            return Ok(Some(Node::Link { target }));
        }
        let digest = Digest::of(&woven);
        self.blobs.insert(digest, woven);
        Ok(Some(Node::File { digest, executable }))
    }

    fn bytes(&self, source: Option<&Node>) -> Result<Cow<'static, [u8]>, Refusal> {
        match source {
            None => Ok(Cow::Borrowed(&[])),
            Some(Node::Link { target }) => Ok(Cow::Owned(target.clone().into_bytes())),
            Some(Node::File { digest, .. }) => {
                let found = self.blobs.get(digest).map(Vec::as_slice);
                let bytes = found.or_else(|| contents::blob(self.contents, digest));
                bytes.map(|bytes| Cow::Owned(bytes.to_vec())).ok_or(Refusal::AbsentBlob { digest: *digest })
            }
        }
    }
}
