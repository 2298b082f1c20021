//! Which files an iteration has: its tree against its parent's, its results, what it kept, its log. And
//! how a path that a person writes names one of them, or a folder of them.

use crate::client::Client;
use crate::download;
use crate::error::Error;
use crate::history::{Iteration, Story};
use crate::nearest;
use serde::Serialize;
use windlass_engine::gate::editable::Editable;
use windlass_shared::attempt::Kind;
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;
use windlass_shared::reference::Evidence;
use windlass_shared::tree::{Manifest, Node};

/// Where a file belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The tree that is run.
    Tree,
    /// `results/`.
    Results,
    /// `artifacts/`: files of the run's workspace that were kept.
    Artifacts,
    /// `run.log`.
    Log,
}

/// How a file of the tree stands to the parent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As the parent has it; no lever may touch it (P2).
    Frozen,
    /// As the parent has it; a lever may touch it.
    Editable,
    /// Not as the parent has it.
    Changed,
    /// The parent has none.
    Added,
    /// Only the parent has it.
    Deleted,
}

impl Standing {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Editable => "editable",
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Deleted => "deleted",
        }
    }

    /// Whether it differs from the parent's.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Changed | Self::Added | Self::Deleted)
    }
}

/// What a file is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes in the store.
    Blob {
        /// Which.
        digest: Digest,
        /// Mode 0755 rather than 0644.
        executable: bool,
    },
    /// A symbolic link.
    Link {
        /// Where it points.
        target: String,
    },
    /// The log of this run attempt.
    Log {
        /// Its number.
        attempt: u32,
    },
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// As `get` takes it.
    pub path: String,
    /// Where it belongs.
    pub place: Place,
    /// For a file of the tree.
    pub standing: Option<Standing>,
    /// Its bytes; none for a link, and for a log that is still being written.
    pub size_bytes: Option<u64>,
    /// What it is made of; none when the iteration deleted it.
    pub content: Option<Content>,
}

/// All files of an iteration: the tree by path, results, artifacts, the log.
pub async fn of(client: &Client, story: &Story, iteration: &Iteration) -> Result<Vec<Item>, Error> {
    let base = download::manifest(client, story.base_of(iteration)).await?;
    let tree = match story.base_of(iteration) == iteration.tree {
        true => base.clone(),
        false => download::manifest(client, iteration.tree).await?,
    };
    let mut items = of_tree(&base, &tree, &Editable::new(&story.bindings.editable_files)?);
    if let Some(results) = iteration.results() {
        let manifest = download::manifest(client, results).await?;
        items.extend(of_folder(&manifest, "results", Place::Results));
    }
    if let Some(artifacts) = iteration.artifacts() {
        let manifest = download::manifest(client, artifacts).await?;
        items.extend(of_folder(&manifest, "artifacts", Place::Artifacts));
    }
    let has_log = iteration.removal(Evidence::Logs).is_none();
    let runs = iteration.attempts.iter().rev().filter(|attempt| has_log && attempt.order.kind == Kind::Run);
    items.extend(runs.take(1).map(|attempt| Item {
        path: "run.log".to_owned(),
        place: Place::Log,
        standing: None,
        size_bytes: attempt.outcome.as_ref().map(|outcome| outcome.log_bytes),
        content: Some(Content::Log { attempt: attempt.order.key.id.number }),
    }));
    Ok(items)
}

/// Refuses a path to evidence whose retention is over, with the day and the rule: it is not unknown, it is
/// gone.
pub fn refuse_removed(iteration: &Iteration, path: &str) -> Result<(), Error> {
    let Ok(path) = TreePath::parse(path) else { return Ok(()) };
    let part = match path.as_str().split('/').next() {
        Some("results") => Evidence::Outputs,
        Some("artifacts") => Evidence::Artifacts,
        Some("run.log") => Evidence::Logs,
        _ => return Ok(()),
    };
    iteration.removal(part).map_or(Ok(()), |refusal| Err(refusal.into()))
}

/// The files of a tree alone, as they are.
pub fn of_tree_alone(tree: &Manifest) -> Vec<Item> {
    tree.entries.iter().map(|(path, node)| item(path.to_string(), Place::Tree, None, Some(node))).collect()
}

fn of_tree(base: &Manifest, tree: &Manifest, editable: &Editable) -> Vec<Item> {
    let standing = |path: &TreePath, node: &Node| match base.entries.get(path) {
        None => Standing::Added,
        Some(before) if before != node => Standing::Changed,
        Some(_) if editable.allows(path) => Standing::Editable,
        Some(_) => Standing::Frozen,
    };
    let present = tree
        .entries
        .iter()
        .map(|(path, node)| item(name_in_tree(path), Place::Tree, Some(standing(path, node)), Some(node)));
    let gone = base.entries.keys().filter(|path| !tree.entries.contains_key(path));
    let gone = gone.map(|path| item(name_in_tree(path), Place::Tree, Some(Standing::Deleted), None));
    let mut items: Vec<Item> = present.chain(gone).collect();
    items.sort_by(|a, b| a.path.cmp(&b.path));
    items
}

fn of_folder(manifest: &Manifest, home: &'static str, place: Place) -> impl Iterator<Item = Item> {
    manifest.entries.iter().map(move |(path, node)| item(format!("{home}/{path}"), place, None, Some(node)))
}

fn item(path: String, place: Place, standing: Option<Standing>, node: Option<&Node>) -> Item {
    let (size_bytes, content) = match node {
        Some(Node::File { digest, executable }) => {
            (Some(digest.size_bytes), Some(Content::Blob { digest: *digest, executable: *executable }))
        }
        Some(Node::Link { target }) => (None, Some(Content::Link { target: target.clone() })),
        None => (None, None),
    };
    Item { path, place, standing, size_bytes, content }
}

/// A file of the tree goes by its own path, unless that is one of ours.
fn name_in_tree(path: &TreePath) -> String {
    let text = path.as_str();
    let is_ours = |home: &str| text == home || text.starts_with(&format!("{home}/"));
    if ["results", "artifacts", "tree", "run.log"].into_iter().any(is_ours) {
        format!("tree/{text}")
    } else {
        text.to_owned()
    }
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// One file.
    File(&'a Item),
    /// A folder: what is in it, each with its path from there.
    Folder(Vec<(String, &'a Item)>),
}

/// Finds a file or folder among the items that are still there. `tree` is the whole tree, and any path in
/// it may be written with that before it.
pub fn find<'a>(items: &'a [Item], path: &str, whose: &str) -> Result<Found<'a>, Error> {
    let missing = |known: Vec<&'a str>| {
        let nearest = nearest::nearest_name(path, known).map(str::to_owned);
        Error::NoFile { path: path.to_owned(), whose: whose.to_owned(), nearest }
    };
    let all = || items.iter().filter(|item| item.content.is_some());
    let known = || all().map(|item| item.path.as_str()).collect();
    let wanted = TreePath::parse(path).map_err(|_| missing(known()))?.to_string();
    if wanted == "tree" {
        let within = all().filter(|item| item.place == Place::Tree);
        return Ok(Found::Folder(within.map(|item| (bare(item).to_owned(), item)).collect()));
    }
    let is_it = |item: &&Item| {
        let is_of_tree =
            item.place == Place::Tree && wanted.strip_prefix("tree/") == Some(item.path.as_str());
        item.path == wanted || is_of_tree
    };
    if let Some(item) = all().find(is_it) {
        return Ok(Found::File(item));
    }
    let below = |item: &'a Item| {
        let of_tree = (item.place == Place::Tree).then(|| wanted.strip_prefix("tree/")).flatten();
        [Some(wanted.as_str()), of_tree]
            .into_iter()
            .flatten()
            .find_map(|folder| Some((item.path.strip_prefix(folder)?.strip_prefix('/')?.to_owned(), item)))
    };
    let within: Vec<(String, &Item)> = all().filter_map(below).collect();
    if within.is_empty() { Err(missing(known())) } else { Ok(Found::Folder(within)) }
}

/// The path of a tree's file within its tree.
fn bare(item: &Item) -> &str {
    item.path.strip_prefix("tree/").unwrap_or(&item.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(files: &[(&str, &str)]) -> Manifest {
        let entry = |(path, content): &(&str, &str)| {
            let node = Node::File { digest: Digest::of(content.as_bytes()), executable: false };
            (TreePath::parse(path).expect("a path"), node)
        };
        Manifest { entries: files.iter().map(entry).collect() }
    }

    fn items() -> Vec<Item> {
        let base = manifest(&[("train.py", "a"), ("data/a.csv", "1"), ("old.py", "x"), ("model.py", "m")]);
        let tree = manifest(&[
            ("train.py", "b"),
            ("data/a.csv", "1"),
            ("new.py", "n"),
            ("model.py", "m"),
            ("results/seed.txt", "7"),
        ]);
        let editable = Editable::new(&["*.py".to_owned()]).expect("patterns");
        let mut items = of_tree(&base, &tree, &editable);
        items.extend(of_folder(&manifest(&[("loss.tsv", "1")]), "results", Place::Results));
        items
    }

    #[test]
    fn p2_a_tree_is_told_against_its_parents() {
        let told: Vec<(String, &str)> =
            items().iter().filter_map(|item| Some((item.path.clone(), item.standing?.as_str()))).collect();
        let want = [
            ("data/a.csv", "frozen"),
            ("model.py", "editable"),
            ("new.py", "added"),
            ("old.py", "deleted"),
            ("train.py", "changed"),
            ("tree/results/seed.txt", "added"),
        ];
        assert_eq!(told, want.map(|(path, standing)| (path.to_owned(), standing)));
    }

    #[test]
    fn a_path_names_a_file_or_a_folder_or_the_nearest_is_told() {
        let items = items();
        let check = |path: &str, want: &[&str]| {
            let found = match find(&items, path, "iteration 2") {
                Ok(Found::File(item)) => vec![item.path.clone()],
                Ok(Found::Folder(within)) => within.into_iter().map(|(path, _)| format!("+{path}")).collect(),
                Err(Error::NoFile { nearest, .. }) => vec![format!("?{}", nearest.unwrap_or_default())],
                Err(other) => vec![other.to_string()],
            };
            assert_eq!(found, want, "{path}");
        };
        check("train.py", &["train.py"]);
        check("./tree/train.py", &["train.py"]);
        check("results/loss.tsv", &["results/loss.tsv"]);
        check("tree/results/seed.txt", &["tree/results/seed.txt"]);
        check("results/", &["+loss.tsv"]);
        check("tree/results", &["+seed.txt"]);
        check("data", &["+a.csv"]);
        check("tree", &["+data/a.csv", "+model.py", "+new.py", "+train.py", "+results/seed.txt"]);
        check("tran.py", &["?train.py"]);
        check("../etc", &["?"]);
    }
}
