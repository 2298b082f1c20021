//! The user's repository, by way of the `git` on this machine: it alone knows where objects and references lie,
//! in a linked worktree and in every format. No working file and no index is touched but by [`Repository::check_out`].

use super::{Id, Object};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Ids that are asked about in one call: the answers must fit into a pipe while they are written.
const IDS_MAX: usize = 400;
/// Variables by which a hook or a shell leads git elsewhere than to the folder it is run in.
const ASTRAY: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
];

/// Why a branch was not begun or not kept.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No such program.
    #[error("there is no git here, and `iter_strategy: branches` needs it")]
    NoGit,
    /// No repository, or only its own folder.
    #[error("{} is in no working tree of a git repository", dir.display())]
    NoRepository {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// Another repository than the campaign's.
    #[error("the repository in {} has no commit {head}, from which {campaign} began", dir.display())]
    OtherRepository {
        /// Where.
        dir: PathBuf,
        /// The root.
        head: String,
        /// Whose.
        campaign: String,
    },
    /// A repository without a commit.
    #[error("the repository in {} has no commit yet for a branch to grow from", dir.display())]
    Unborn {
        /// Where.
        dir: PathBuf,
    },
    /// Files that are sent and not as HEAD has them.
    #[error("files that are sent are not as HEAD has them: {}", shown(paths))]
    Dirty {
        /// Which.
        paths: Vec<String>,
    },
    /// An editable file in a submodule.
    #[error("the editable file {path} lies in a submodule, which a commit of this repository cannot change")]
    Submodule {
        /// Which.
        path: String,
    },
    /// The branch or what lies beside it is there already.
    #[error("{reference} is there already")]
    Exists {
        /// Its full name.
        reference: String,
    },
    /// The branch is there and its tip is none of the campaign's commits.
    #[error("{reference} is at {found}, which {campaign} did not make")]
    Foreign {
        /// Its full name.
        reference: String,
        /// Its commit.
        found: String,
        /// Whose it should be.
        campaign: String,
    },
    /// `--checkout` for a campaign without a branch.
    #[error("{campaign} keeps no branch: it was submitted with `iter_strategy: snapshots`")]
    NoBranch {
        /// Which.
        campaign: String,
    },
    /// `--checkout` before anything was kept.
    #[error("{campaign} has kept nothing yet that could be checked out")]
    NothingKept {
        /// Which.
        campaign: String,
    },
    /// Git said no, or said something else than it should.
    #[error("git {command} failed: {said}")]
    Failed {
        /// What it was told.
        command: String,
        /// What it said.
        said: String,
    },
}

/// The first few, and how many more.
fn shown(paths: &[String]) -> String {
    const SHOWN_MAX: usize = 5;
    let first = paths.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(SHOWN_MAX) {
        0 => first,
        rest => format!("{first} and {rest} more"),
    }
}

impl GitError {
    /// What to do.
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoGit => "install git, or write `iter_strategy: snapshots`",
            Self::NoRepository { .. } => {
                "call it in the repository's working tree, or write `iter_strategy: snapshots`"
            }
            Self::OtherRepository { .. } => {
                "call it in the repository that was submitted, or in a clone of it"
            }
            Self::Unborn { .. } => "commit the project first",
            Self::Dirty { .. } => "commit or stash them, so that the branch has what is measured",
            Self::Submodule { .. } => "take it out of `editable_files`, or submit the submodule by itself",
            Self::Exists { .. } => "give another `run_tag`, or remove it if it is of no more use",
            Self::Foreign { .. } => "rename or remove it, then sync again",
            Self::NoBranch { .. } => "leave --checkout out",
            Self::NothingKept { .. } => "wait for its baseline (`windlass wait C 1`)",
            Self::Failed { .. } => return None,
        })
    }
}

/// A repository, as seen from a folder.
#[derive(Clone, Debug)]
pub struct Repository {
    dir: PathBuf,
}

impl Repository {
    /// The one that a folder is in, whether it has a working tree or not.
    pub fn find(dir: &Path) -> Result<Self, GitError> {
        let repository = Self { dir: dir.to_owned() };
        match repository.text(["rev-parse", "--git-dir"]) {
            Ok(_) => Ok(repository),
            Err(GitError::Failed { .. }) => Err(GitError::NoRepository { dir: dir.to_owned() }),
            Err(other) => Err(other),
        }
    }

    /// Whether the folder is among its checked-out files.
    pub fn has_working_tree(&self) -> bool {
        self.text(["rev-parse", "--is-inside-work-tree"]).is_ok_and(|said| said == "true")
    }

    /// The folder's own path in the repository, without a slash at its end.
    pub fn prefix(&self) -> Result<String, GitError> {
        Ok(self.text(["rev-parse", "--show-prefix"])?.trim_end_matches('/').to_owned())
    }

    /// HEAD's commit; none where there is none yet.
    pub fn head(&self) -> Result<Option<String>, GitError> {
        match self.text(["rev-parse", "--verify", "--quiet", "--end-of-options", "HEAD^{commit}"]) {
            Ok(id) => Ok(Some(id)),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Everything in a commit.
    pub fn listing(&self, commit: &str) -> Result<Vec<u8>, GitError> {
        self.run(["ls-tree", "-r", "-z", "--full-tree", commit], &[])
    }

    /// What of the folder's tracked files is not as HEAD has it: the path in the repository, and whether it is gone.
    pub fn changed(&self) -> Result<Vec<(String, bool)>, GitError> {
        let said = self.run(
            [
                "-c",
                "status.renames=false",
                "status",
                "--porcelain=v1",
                "-z",
                "--untracked-files=no",
                "--ignore-submodules=none",
                "--no-renames",
                "--",
                ".",
            ],
            &[],
        )?;
        let rows = said.split(|byte| *byte == 0).filter(|row| row.len() > 3);
        let row = |row: &[u8]| {
            let is_gone = row[..2].contains(&b'D');
            (String::from_utf8_lossy(&row[3..]).into_owned(), is_gone)
        };
        Ok(rows.map(row).collect())
    }

    /// References by these full names, or below these that end in a slash; with the object of each.
    pub fn references(&self, names: &[&str]) -> Result<Vec<(String, String)>, GitError> {
        let mut args = vec!["for-each-ref", "--format=%(objectname) %(refname)"];
        args.extend(names);
        let said = self.text(args)?;
        let pair = |line: &str| line.split_once(' ').map(|(id, name)| (name.to_owned(), id.to_owned()));
        Ok(said.lines().filter_map(pair).collect())
    }

    /// Whether it has a commit of this name.
    pub fn has_commit(&self, id: &Id) -> Result<bool, GitError> {
        Ok(self.absent([id].into_iter())?.is_empty())
    }

    /// Those that it does not have.
    fn absent<'a>(&self, ids: impl Iterator<Item = &'a Id>) -> Result<BTreeSet<Id>, GitError> {
        let ids: Vec<&Id> = ids.collect();
        let mut absent = BTreeSet::new();
        for page in ids.chunks(IDS_MAX) {
            let asked: String = page.iter().map(|id| format!("{id}\n")).collect();
            let said = self.run(["cat-file", "--batch-check=%(objectname)"], asked.as_bytes())?;
            let said = String::from_utf8_lossy(&said).into_owned();
            let missing = said.lines().filter_map(|line| line.strip_suffix(" missing"));
            absent.extend(missing.filter_map(Id::parse));
        }
        Ok(absent)
    }

    /// Writes those that it lacks, in their order, byte for byte: no filter of the user's has a say.
    pub fn write(&self, objects: &[&Object]) -> Result<usize, GitError> {
        let mut absent = self.absent(objects.iter().map(|object| &object.id))?;
        let mut written = 0;
        for object in objects {
            if !absent.remove(&object.id) {
                continue;
            }
            let mut args = vec!["hash-object", "-w", "-t", object.kind, "--stdin"];
            if object.kind == "blob" {
                args.push("--no-filters");
            }
            let said = self.run(args, &object.bytes)?;
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            if said != object.id.to_string() {
                let said = format!("{} is called {said} there", object.id);
                return Err(GitError::Failed { command: "hash-object".to_owned(), said });
            }
            written += 1;
        }
        Ok(written)
    }

    /// Moves references, all or none: each to an id, from the one that it had, if it was there.
    pub fn move_references(&self, moves: &[(String, Id, Option<String>)]) -> Result<(), GitError> {
        if moves.is_empty() {
            return Ok(());
        }
        let line = |(name, to, from): &(String, Id, Option<String>)| match from {
            Some(from) => format!("update {name} {to} {from}\n"),
            None => format!("create {name} {to}\n"),
        };
        let told: String = moves.iter().map(line).collect();
        self.run(["update-ref", "-m", "windlass sync", "--stdin"], told.as_bytes()).map(drop)
    }

    /// The working tree in which a branch is checked out.
    pub fn checked_out_in(&self, branch: &str) -> Result<Option<PathBuf>, GitError> {
        let said = self.text(["worktree", "list", "--porcelain"])?;
        let mut place = None;
        for line in said.lines() {
            if let Some(path) = line.strip_prefix("worktree ") {
                place = Some(PathBuf::from(path));
            } else if line.strip_prefix("branch ") == Some(branch) {
                return Ok(place);
            }
        }
        Ok(None)
    }

    /// Whether HEAD is this branch.
    pub fn is_on(&self, branch: &str) -> bool {
        self.text(["symbolic-ref", "--quiet", "HEAD"]).is_ok_and(|head| head == branch)
    }

    /// Lays the branch's files out at a commit. Git refuses where a change of the user's own would be lost.
    pub fn check_out(&self, branch: &str, at: &Id) -> Result<(), GitError> {
        let quiet = ["-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false"];
        let (short, at) = (branch.trim_start_matches("refs/heads/"), at.to_string());
        let what: &[&str] = match self.is_on(branch) {
            true => &["reset", "--quiet", "--keep", &at],
            false => &["checkout", "--quiet", short, "--"],
        };
        self.run([&quiet[..], what].concat(), &[]).map(drop)
    }

    fn text<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Result<String, GitError> {
        let said = self.run(args, &[])?;
        Ok(String::from_utf8_lossy(&said).trim_end_matches('\n').to_owned())
    }

    fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        args: I,
        input: &[u8],
    ) -> Result<Vec<u8>, GitError> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.dir).args(args);
        for variable in ASTRAY {
            git.env_remove(variable);
        }
        // It refreshes no index in passing, asks nobody and fetches nothing.
        git.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_LAZY_FETCH", "1").env("GIT_TERMINAL_PROMPT", "0");
        git.env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let words = || {
            let args = git.get_args().skip(2).map(|arg| arg.to_string_lossy().into_owned());
            let plain = args.skip_while(|arg| arg == "-c" || arg.contains('=')).take(2);
            plain.collect::<Vec<_>>().join(" ")
        };
        let command = words();
        let failed = |said: String| GitError::Failed { command: command.clone(), said };
        let mut child = git.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound if self.dir.exists() => GitError::NoGit,
            _ => failed(error.to_string()),
        })?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may end before it has read everything; then it says why.
            drop(stdin.write_all(input));
        }
        let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        Err(failed(if said.is_empty() { output.status.to_string() } else { said }))
    }
}
