//! A project's files as far as they are needed: what git would not ignore, texts up to a bound.

use crate::error::Error;
use ignore::WalkBuilder;
use std::path::{Path, PathBuf};

/// Files that are looked at; a project has fewer that a person wrote.
const FILES_MAX: usize = 5_000;
/// Folders below each other that are looked into.
const DEPTH_MAX: usize = 6;
/// The longest text that is read, bytes: a script that a person wrote is shorter.
const TEXT_MAX_BYTES: u64 = 256 << 10;
/// All texts together, bytes; they are held in memory.
const TEXTS_MAX_BYTES: u64 = 32 << 20;

/// Folders that hold what others wrote, or what runs leave behind.
const NOT_OURS: [&str; 15] = [
    "venv",
    ".venv",
    "node_modules",
    "site-packages",
    "__pycache__",
    ".git",
    "wandb",
    "mlruns",
    "lightning_logs",
    "runs",
    "checkpoints",
    "logs",
    "outputs",
    "sandbox",
    "target",
];

/// Endings of files whose text may say something.
const TEXTS: [&str; 18] = [
    "py", "sh", "bash", "yaml", "yml", "toml", "json", "cfg", "ini", "md", "rst", "txt", "jl", "r", "lua",
    "js", "rs", "mk",
];

/// Whether a folder is a virtual environment of Python, whatever its name.
pub fn is_environment(folder: &Path) -> bool {
    folder.join("pyvenv.cfg").exists()
}

/// A project, read.
#[derive(Debug)]
pub struct Project {
    /// Its folder.
    pub root: PathBuf,
    /// Its files, sorted by path.
    pub files: Vec<File>,
    /// Names at its top, folders that are not ours among them.
    pub top: Vec<String>,
}

/// One file.
#[derive(Debug)]
pub struct File {
    /// Relative to the project, with `/`.
    pub path: String,
    /// Its text, where that is text of a kind that is read.
    pub text: Option<String>,
}

impl File {
    /// Its name without folders.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// What follows the last dot of its name, in lower case.
    pub fn ending(&self) -> String {
        self.name().rsplit_once('.').map_or(String::new(), |(_, ending)| ending.to_lowercase())
    }

    /// Its lines, numbered from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.iter().flat_map(|text| text.lines().enumerate().map(|(index, line)| (index + 1, line)))
    }
}

impl Project {
    /// Reads the project at `root`.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { operation: "read the folder", path: root.to_owned(), source };
        let root = std::fs::canonicalize(root).map_err(failed)?;
        let mut top: Vec<String> = std::fs::read_dir(&root)
            .map_err(failed)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .take(FILES_MAX)
            .collect();
        top.sort();
        let mut walk = WalkBuilder::new(&root);
        walk.ignore(false).require_git(false).follow_links(false).max_depth(Some(DEPTH_MAX));
        walk.sort_by_file_name(|a, b| a.cmp(b));
        walk.filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            entry.depth() == 0
                || !is_folder
                || !(NOT_OURS.contains(&name.as_ref()) || is_environment(entry.path()))
        });
        let (mut files, mut left_bytes) = (Vec::new(), TEXTS_MAX_BYTES);
        // What cannot be read says nothing here; `submit` names it.
        for entry in walk.build().filter_map(Result::ok).take(FILES_MAX) {
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                continue;
            }
            let Some(path) = entry.path().strip_prefix(&root).ok().and_then(Path::to_str) else { continue };
            let mut file = File { path: path.to_owned(), text: None };
            let size = entry.metadata().map_or(u64::MAX, |meta| meta.len());
            let is_text = TEXTS.contains(&file.ending().as_str()) || !file.name().contains('.');
            if is_text && size <= TEXT_MAX_BYTES.min(left_bytes) {
                file.text = std::fs::read(entry.path()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                left_bytes -= file.text.as_ref().map_or(0, |text| text.len() as u64);
            }
            files.push(file);
        }
        Ok(Self { root, files, top })
    }

    /// A file by its path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The README files at the top.
    pub fn readmes(&self) -> impl Iterator<Item = &File> {
        let is_readme =
            |file: &&File| !file.path.contains('/') && file.path.to_lowercase().starts_with("readme");
        self.files.iter().filter(is_readme)
    }
}
