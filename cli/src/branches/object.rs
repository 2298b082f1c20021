//! The objects of git as bytes and ids. They are made here and not by `git`, so that a ledger names the same
//! commits where there is no repository.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// Digits of an id in a table.
const SHORT_DIGITS: usize = 7;

/// What names an object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(Vec<u8>);

impl Id {
    /// Of 40 or 64 hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        let digit = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(digit).collect();
        bytes.filter(|bytes| matches!(bytes.len(), 20 | 32)).map(Self)
    }

    /// Its first seven digits, as a row of results.tsv has them.
    pub fn short(&self) -> String {
        self.to_string().chars().take(SHORT_DIGITS).collect()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a repository names its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The usual one.
    Sha1,
    /// `git init --object-format=sha256`.
    Sha256,
}

impl Format {
    /// Of a repository with this object in it.
    pub fn of(id: &Id) -> Self {
        if id.0.len() == 20 { Self::Sha1 } else { Self::Sha256 }
    }

    fn hash(self, kind: &str, bytes: &[u8]) -> Id {
        let head = format!("{kind} {}\0", bytes.len());
        Id(match self {
            Self::Sha1 => Sha1::new().chain_update(head).chain_update(bytes).finalize().to_vec(),
            Self::Sha256 => Sha256::new().chain_update(head).chain_update(bytes).finalize().to_vec(),
        })
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// `blob`, `tree` or `commit`.
    pub kind: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its name.
    pub id: Id,
}

impl Object {
    /// Of these bytes.
    pub fn new(format: Format, kind: &'static str, bytes: Vec<u8>) -> Self {
        let id = format.hash(kind, &bytes);
        Self { kind, bytes, id }
    }
}

/// What stands at a path that is no folder: a file, a link, another repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// As a tree writes it: `100644`, `100755`, `120000`, `160000`.
    pub mode: String,
    /// Its object; of a submodule the commit.
    pub id: Id,
}

impl Leaf {
    /// Whether it is another repository's commit.
    pub fn is_submodule(&self) -> bool {
        self.mode == "160000"
    }
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Leaf),
    Folder(Rc<Folder>),
}

/// A folder. One that is changed is a new one; what it has in common with the old is shared.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    entries: BTreeMap<Vec<u8>, Node>,
    object: OnceCell<Object>,
}

impl Folder {
    /// Of every leaf in it.
    pub fn of(leaves: impl IntoIterator<Item = (Vec<u8>, Leaf)>) -> Self {
        let mut root = Self::default();
        for (path, leaf) in leaves {
            root.put_in_place(&path, leaf);
        }
        root
    }

    fn put_in_place(&mut self, path: &[u8], leaf: Leaf) {
        let (name, rest) = split(path);
        let Some(rest) = rest else {
            self.entries.insert(name.to_vec(), Node::Leaf(leaf));
            return;
        };
        let entry = self.entries.entry(name.to_vec()).or_insert_with(|| Node::Folder(Rc::default()));
        if let Node::Leaf(_) = entry {
            *entry = Node::Folder(Rc::default());
        }
        if let Node::Folder(folder) = entry {
            Rc::make_mut(folder).put_in_place(rest, leaf);
        }
    }

    /// The leaf at a path, or the submodule above it.
    pub fn get(&self, path: &[u8]) -> Option<&Leaf> {
        let (name, rest) = split(path);
        match (self.entries.get(name)?, rest) {
            (Node::Leaf(leaf), None) => Some(leaf),
            (Node::Leaf(leaf), Some(_)) => Some(leaf).filter(|leaf| leaf.is_submodule()),
            (Node::Folder(folder), Some(rest)) => folder.get(rest),
            (Node::Folder(_), None) => None,
        }
    }

    /// This folder with another leaf at a path, or with none. What lies in a submodule is that one's, and stays.
    #[must_use]
    pub fn with(&self, path: &[u8], leaf: Option<Leaf>) -> Self {
        let (name, rest) = split(path);
        let mut entries = self.entries.clone();
        let before = entries.remove(name);
        let after = match (rest, before) {
            (Some(_), Some(Node::Leaf(before))) if before.is_submodule() => Some(Node::Leaf(before)),
            (None, _) => leaf.map(Node::Leaf),
            (Some(_), before @ Some(Node::Leaf(_))) if leaf.is_none() => before,
            (Some(rest), before) => {
                let below = match before {
                    Some(Node::Folder(folder)) => folder.with(rest, leaf),
                    _ => Self::default().with(rest, leaf),
                };
                // Git knows no empty folder.
                (!below.entries.is_empty()).then(|| Node::Folder(Rc::new(below)))
            }
        };
        entries.extend(after.map(|node| (name.to_vec(), node)));
        Self { entries, object: OnceCell::new() }
    }

    /// Its tree.
    pub fn object(&self, format: Format) -> &Object {
        self.object.get_or_init(|| {
            let mut rows: Vec<(Vec<u8>, &str, &[u8], &Id)> = Vec::with_capacity(self.entries.len());
            for (name, node) in &self.entries {
                match node {
                    Node::Leaf(leaf) => rows.push((name.clone(), &leaf.mode, name, &leaf.id)),
                    // Git sorts a folder as if its name ended in a slash.
                    Node::Folder(folder) => {
                        let key = [name.as_slice(), b"/"].concat();
                        rows.push((key, "40000", name, &folder.object(format).id));
                    }
                }
            }
            rows.sort();
            let mut bytes = Vec::new();
            for (_, mode, name, id) in rows {
                bytes.extend_from_slice(mode.as_bytes());
                bytes.push(b' ');
                bytes.extend_from_slice(name);
                bytes.push(0);
                bytes.extend_from_slice(&id.0);
            }
            Object::new(format, "tree", bytes)
        })
    }

    /// Its tree and those below it that `base` does not share, the deepest first.
    pub fn new_trees<'a>(&'a self, base: Option<&Self>, format: Format, found: &mut Vec<&'a Object>) {
        for (name, node) in &self.entries {
            let Node::Folder(folder) = node else { continue };
            let before = match base.and_then(|base| base.entries.get(name)) {
                Some(Node::Folder(before)) if Rc::ptr_eq(before, folder) => continue,
                Some(Node::Folder(before)) => Some(&**before),
                _ => None,
            };
            folder.new_trees(before, format, found);
        }
        found.push(self.object(format));
    }
}

/// The first part of a path, and the rest.
fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|byte| *byte == b'/') {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(mode: &str, text: &str) -> Leaf {
        Leaf { mode: mode.to_owned(), id: Object::new(Format::Sha1, "blob", text.into()).id }
    }

    fn tree(leaves: &[(&str, Leaf)]) -> Folder {
        Folder::of(leaves.iter().map(|(path, leaf)| (path.as_bytes().to_vec(), leaf.clone())))
    }

    #[test]
    fn objects_have_the_names_that_git_gives_them() {
        let blob = |format, text: &str| Object::new(format, "blob", text.into()).id.to_string();
        assert_eq!(blob(Format::Sha1, "hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(blob(Format::Sha1, ""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(
            blob(Format::Sha256, ""),
            "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813"
        );
        let empty = Folder::default().object(Format::Sha1).id.to_string();
        assert_eq!(empty, "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        let id = Id::parse("ce013625030ba8dba906f756967f9e9ca394464a").expect("an id");
        assert_eq!((id.short().as_str(), Format::of(&id)), ("ce01362", Format::Sha1));
        assert_eq!((Id::parse("ce01"), Id::parse("zz"), Id::parse(&"é".repeat(20))), (None, None, None));
    }

    #[test]
    fn a_folder_with_a_change_is_the_folder_that_has_it_from_the_start() {
        let (a, b) = (leaf("100644", "a"), leaf("100755", "b"));
        let module = leaf("160000", "elsewhere");
        let base = tree(&[
            ("a.txt", a.clone()),
            ("a/deep/x", a.clone()),
            ("a/deep/y", a.clone()),
            ("a0", a.clone()),
            ("module", module.clone()),
        ]);
        let check = |path: &str, to: Option<&Leaf>, want: &[(&str, Leaf)]| {
            let made = base.with(path.as_bytes(), to.cloned());
            assert_eq!(made.object(Format::Sha1), tree(want).object(Format::Sha1), "{path}");
        };
        let all = |x: &Leaf, more: &[(&'static str, Leaf)]| {
            let mut all = vec![
                ("a.txt", a.clone()),
                ("a/deep/x", x.clone()),
                ("a/deep/y", a.clone()),
                ("a0", a.clone()),
                ("module", module.clone()),
            ];
            all.extend(more.iter().cloned());
            all
        };
        check("a/deep/x", Some(&b), &all(&b, &[]));
        check("new/file", Some(&b), &all(&a, &[("new/file", b.clone())]));
        check("nothing/here", None, &all(&a, &[]));
        check("module/file", Some(&b), &all(&a, &[]));
        check("a0/below", None, &all(&a, &[]));
        let one = base.with(b"a/deep/x", None);
        assert!(one.get(b"a/deep/x").is_none() && one.get(b"a/deep/y").is_some());
        let none = one.with(b"a/deep/y", None);
        let want = tree(&[("a.txt", a.clone()), ("a0", a.clone()), ("module", module.clone())]);
        assert_eq!(none.object(Format::Sha1), want.object(Format::Sha1), "no empty folder is left");
        assert_eq!(base.get(b"module/any"), Some(&module), "what lies in a submodule is that one's");
        // Only what is new is to be written.
        let changed = base.with(b"a/deep/x", Some(b));
        let mut found = Vec::new();
        changed.new_trees(Some(&base), Format::Sha1, &mut found);
        assert_eq!(found.len(), 3, "a/deep, a and the root");
    }
}
