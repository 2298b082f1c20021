//! `iter_strategy: branches`: the commits of a campaign, from its records alone. One for each decided iteration:
//! the kept ones in a row, which is the branch `autoresearch/<run_tag>`; the others beside it, under
//! `refs/windlass/<run_tag>/`.

mod begin;
mod keep;
mod object;
mod repository;

pub use begin::begin;
pub use keep::{Kept, keep};
pub use object::{Folder, Format, Id, Leaf, Object};
pub use repository::GitError;

use crate::client::Client;
use crate::download;
use crate::error::Error;
use crate::history::{Decision, Iteration, Story};
use std::collections::{BTreeMap, BTreeSet};
use windlass_engine::gate::editable::Editable;
use windlass_shared::conclusion::Status;
use windlass_shared::digest::Digest;
use windlass_shared::git::GitRoot;
use windlass_shared::id::IterationNumber;
use windlass_shared::path::TreePath;
use windlass_shared::tree::{Manifest, Node};

/// Who makes the commits: always the same, so that their ids are.
const IDENTITY: &str = "Windlass <windlass@localhost>";

/// One iteration's commit.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Its iteration.
    pub iteration: IterationNumber,
    /// Whether it was kept: then it is on the branch.
    pub is_kept: bool,
    /// Its name.
    pub id: Id,
    /// Everything that it needs and HEAD's commit may not have: blobs, trees, then itself.
    pub objects: Vec<Object>,
}

/// The commits of a campaign, in the order of decision.
#[derive(Clone, Debug)]
pub struct Commits {
    /// What they grow from.
    pub root: Id,
    /// `run_tag`.
    pub tag: String,
    /// In the order of decision.
    pub all: Vec<Commit>,
}

impl Commits {
    /// The branch's full name.
    pub fn branch(&self) -> String {
        branch(&self.tag)
    }

    /// The branch from its root to its tip.
    pub fn chain(&self) -> Vec<&Id> {
        let kept = self.all.iter().filter(|commit| commit.is_kept).map(|commit| &commit.id);
        std::iter::once(&self.root).chain(kept).collect()
    }

    /// What each decided iteration is called in results.tsv.
    pub fn names(&self) -> BTreeMap<IterationNumber, String> {
        self.all.iter().map(|commit| (commit.iteration, commit.id.short())).collect()
    }
}

/// The full name of a campaign's branch.
pub fn branch(tag: &str) -> String {
    format!("refs/heads/autoresearch/{tag}")
}

/// Where its other iterations lie.
pub fn beside(tag: &str) -> String {
    format!("refs/windlass/{tag}/")
}

/// Names every decided iteration by its commit, where the campaign has commits (P29).
pub async fn name(client: &Client, story: &mut Story) -> Result<(), Error> {
    if let Some(commits) = commits(client, story).await? {
        story.commits = commits.names();
    }
    Ok(())
}

/// The commits of a campaign; none where it is run by snapshots.
pub async fn commits(client: &Client, story: &Story) -> Result<Option<Commits>, Error> {
    let (Some(root), Some(tag)) = (&story.git, &story.bindings.run_tag) else { return Ok(None) };
    let damaged = || Error::Blob { digest: root.listing.to_string() };
    let head = Id::parse(&root.head).ok_or_else(damaged)?;
    let listing = download::blob(client, root.listing).await?;
    let base = listed(&listing).ok_or_else(damaged)?;
    let submitted = download::manifest(client, story.submitted).await?;
    let ground = Ground {
        format: Format::of(&head),
        base: Folder::of(base),
        root,
        submitted,
        editable: Editable::new(&story.bindings.editable_files)?,
    };
    let mut all: Vec<Commit> = Vec::new();
    let mut tip = head.clone();
    let mut manifests: BTreeMap<Digest, BTreeMap<TreePath, Option<Node>>> = BTreeMap::new();
    for (iteration, decision) in story.rows() {
        let changes = match manifests.get(&iteration.tree) {
            Some(changes) => changes.clone(),
            None => {
                let changes = ground.changes(&download::manifest(client, iteration.tree).await?);
                manifests.insert(iteration.tree, changes.clone());
                changes
            }
        };
        let (folder, mut objects) = ground.apply(client, &changes).await?;
        let is_kept = decision.status == Status::Keep;
        // What is kept stands on the best before it, so that the branch is one line whatever lanes did.
        let built_on = || all.iter().find(|one| Some(one.iteration) == iteration.parent);
        let parent = if is_kept { &tip } else { built_on().map_or(&head, |one| &one.id) };
        let text = commit(story, (iteration, decision), &folder.object(ground.format).id, parent);
        let made = Object::new(ground.format, "commit", text.into_bytes());
        let id = made.id.clone();
        objects.push(made);
        if is_kept {
            tip = id.clone();
        }
        all.push(Commit { iteration: iteration.number, is_kept, id, objects });
    }
    Ok(Some(Commits { root: head, tag: tag.clone(), all }))
}

/// What every commit of a campaign is made from.
struct Ground<'a> {
    format: Format,
    base: Folder,
    root: &'a GitRoot,
    submitted: Manifest,
    editable: Editable,
}

impl Ground<'_> {
    /// The editable files of a tree that are not as they were submitted. Those that are stand in HEAD as its
    /// owner committed them.
    fn changes(&self, tree: &Manifest) -> BTreeMap<TreePath, Option<Node>> {
        let (before, after) = (&self.submitted.entries, &tree.entries);
        let paths: BTreeSet<&TreePath> = before.keys().chain(after.keys()).collect();
        let editable = paths.into_iter().filter(|path| self.editable.allows(path));
        let is_as_committed = |path: &TreePath| {
            before.get(path) == after.get(path) && self.base.get(&self.in_repository(path)).is_some()
        };
        let changed = editable.filter(|path| !is_as_committed(path));
        changed.map(|path| (path.clone(), after.get(path).cloned())).collect()
    }

    fn in_repository(&self, path: &TreePath) -> Vec<u8> {
        match self.root.prefix.as_str() {
            "" => path.as_str().as_bytes().to_vec(),
            prefix => format!("{prefix}/{path}").into_bytes(),
        }
    }

    /// HEAD's tree with these changes, and what of it is new.
    async fn apply(
        &self,
        client: &Client,
        changes: &BTreeMap<TreePath, Option<Node>>,
    ) -> Result<(Folder, Vec<Object>), Error> {
        let needed = changes.values().filter_map(|node| match node {
            Some(Node::File { digest, .. }) if digest.size_bytes > 0 => Some(*digest),
            _ => None,
        });
        let contents = download::blobs(client, needed.collect::<Vec<_>>()).await?;
        let mut objects = Vec::new();
        let mut folder = self.base.clone();
        for (path, node) in changes {
            let leaf = node.as_ref().map(|node| {
                let (mode, bytes) = match node {
                    Node::File { digest, executable } => {
                        let bytes = contents.get(digest).cloned().unwrap_or_default();
                        (if *executable { "100755" } else { "100644" }, bytes)
                    }
                    Node::Link { target } => ("120000", target.clone().into_bytes()),
                };
                let blob = Object::new(self.format, "blob", bytes);
                let leaf = Leaf { mode: mode.to_owned(), id: blob.id.clone() };
                objects.push(blob);
                leaf
            });
            folder = folder.with(&self.in_repository(path), leaf);
        }
        let mut trees = Vec::new();
        folder.new_trees(Some(&self.base), self.format, &mut trees);
        objects.extend(trees.into_iter().cloned());
        Ok((folder, objects))
    }
}

/// A commit's text. Nothing in it can change after the decision.
fn commit(story: &Story, (iteration, decision): (&Iteration, &Decision), tree: &Id, parent: &Id) -> String {
    let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let seconds = decision.wall_ms.div_euclid(1000);
    let who = format!("{IDENTITY} {seconds} +0000");
    let title = plain(&decision.description);
    let mut text = format!(
        "tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\n{}\n\n",
        Some(title.trim()).filter(|title| !title.is_empty()).unwrap_or("an iteration")
    );
    let metric = decision.arithmetic.metric.as_ref();
    let rows = [
        ("Campaign", story.campaign.to_string()),
        ("Iteration", iteration.number.to_string()),
        ("Status", decision.status.as_str().to_owned()),
        ("Reason", plain(&decision.reason)),
    ];
    let metric = metric.map(|metric| ("Metric", format!("{} {metric}", story.bindings.metric)));
    for (name, value) in rows.into_iter().chain(metric) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text
}

/// What `git ls-tree -r -z` printed.
fn listed(listing: &[u8]) -> Option<Vec<(Vec<u8>, Leaf)>> {
    let rows = listing.split(|byte| *byte == 0).filter(|row| !row.is_empty());
    rows.map(|row| {
        let tab = row.iter().position(|byte| *byte == b'\t')?;
        let mut words = std::str::from_utf8(&row[..tab]).ok()?.split(' ');
        let (mode, _kind, id) = (words.next()?, words.next()?, words.next()?);
        Some((row[tab + 1..].to_vec(), Leaf { mode: mode.to_owned(), id: Id::parse(id)? }))
    })
    .collect()
}
