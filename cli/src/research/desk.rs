//! A researcher's folder: one loop at a time, its state, a folder for each turn, and beside those one for the
//! process that contains it, where the command cannot reach it.

use super::state::State;
use crate::error::Error;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The latest so many turns keep their working copy and their evidence; of older ones only what was said and
/// answered stays, which is small. A workspace of 100 MB then takes 1.6 GB, however long the loop runs.
const WHOLE_TURNS: u64 = 16;
/// The longest name.
const NAME_MAX_BYTES: usize = 60;

/// The folder, held.
#[derive(Debug)]
pub struct Desk {
    root: PathBuf,
    _lock: File,
}

/// Whether a text can name a researcher: it becomes a folder.
pub fn parse_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !text.is_empty()
        && text.len() <= NAME_MAX_BYTES
        && !text.starts_with('.')
        && text.chars().all(plain)
    {
        true => Ok(text.to_owned()),
        false => Err(format!("a name has letters, digits, `-`, `_` and `.`, {NAME_MAX_BYTES} at most")),
    }
}

impl Desk {
    /// Where a researcher's folder is when none is named.
    pub fn place(data_dir: &Path, campaign: &str, name: &str) -> PathBuf {
        data_dir.join("research").join(campaign).join(name)
    }

    /// Opens or makes it, and holds it until it is dropped.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        make(&root)?;
        let path = root.join("lock");
        let failed = |source| Error::File { operation: "open", path: path.clone(), source };
        let lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Input {
                message: format!("another `windlass research` is at work in {}", root.display()),
                remedy: "let it go on, or give this one another --name".to_owned(),
            }),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the researcher is at.
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The folder of a turn.
    pub fn turn(&self, number: u64) -> PathBuf {
        self.root.join("turns").join(number.to_string())
    }

    /// The folder of the process that contains a turn.
    pub fn shim(&self, number: u64) -> PathBuf {
        self.root.join("shims").join(number.to_string())
    }

    /// What an iteration has cost.
    pub fn cost(&self, iteration: u32) -> PathBuf {
        self.root.join("costs").join(format!("{iteration}.json"))
    }

    /// Reads the state, or begins one.
    pub fn begin(&self, campaign: &str) -> Result<State, Error> {
        for folder in ["turns", "shims", "costs"] {
            make(&self.root.join(folder))?;
        }
        match State::read(&self.state())? {
            None => Ok(State::new(campaign)),
            Some(state) if state.campaign == campaign => Ok(state),
            Some(state) => Err(Error::Input {
                message: format!("{} belongs to campaign {}", self.root.display(), state.campaign),
                remedy: "give another folder with --dir".to_owned(),
            }),
        }
    }

    /// An empty folder for a turn that begins; what an earlier try left of it goes.
    pub fn clear(&self, number: u64) -> Result<(), Error> {
        for folder in [self.turn(number), self.shim(number)] {
            remove(&folder)?;
            make(&folder)?;
        }
        Ok(())
    }

    /// Takes a turn's folder back from its command, which is dead: a folder again, and ours to write to, whatever that
    /// has made of it.
    pub fn take_back(&self, number: u64) -> Result<(), Error> {
        let folder = self.turn(number);
        if !std::fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
            remove(&folder)?;
            make(&folder)?;
        }
        let ours = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&folder, ours).map_err(|source| Error::File {
            operation: "take back",
            path: folder,
            source,
        })
    }

    /// Takes from turns that are long over what can be had again.
    pub fn prune(&self, latest: u64) -> Result<(), Error> {
        let Some(old) = latest.checked_sub(WHOLE_TURNS) else { return Ok(()) };
        for part in ["work", "evidence", "previous", "tmp"] {
            remove(&self.turn(old).join(part))?;
        }
        remove(&self.shim(old))
    }
}

/// Makes a folder that nobody else may read: what agents say may be anything.
pub fn make(path: &Path) -> Result<(), Error> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(|source| Error::File { operation: "make", path: path.to_owned(), source })
}

/// Writes a file of ours among what a command left: over whatever it has put in its place, and never through a link.
pub fn put(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    remove(path)?;
    let made = File::options().write(true).create_new(true).open(path);
    made.and_then(|mut file| file.write_all(bytes)).map_err(|source| Error::File {
        operation: "write",
        path: path.to_owned(),
        source,
    })
}

/// Removes what is there, whatever a command has made of it: a folder with what is in it, of any mode; a file; a link.
fn remove(path: &Path) -> Result<(), Error> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => windlass_worker::spool::remove_tree(path),
        Ok(_) => std::fs::remove_file(path),
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(problem) => Err(problem),
    };
    removed.map_err(|source| Error::File { operation: "remove", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loop_at_a_time_holds_a_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = Desk::place(dir.path(), "tiny-1", "ada");
        let first = Desk::open(&root).expect("open");
        let report = Desk::open(&root).expect_err("held").to_report();
        assert!(report.message.contains("another `windlass research`"), "{}", report.message);
        drop(first);
        let again = Desk::open(&root).expect("open again");
        again.begin("tiny-1").expect("a state").write(&again.state()).expect("written");
        assert!(again.begin("other-2").is_err(), "a folder belongs to one campaign");
    }

    #[test]
    fn old_turns_keep_what_was_said_and_lose_their_copies() {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::open(dir.path()).expect("open");
        desk.begin("tiny-1").expect("a state");
        for number in [1, 2] {
            desk.clear(number).expect("made");
            std::fs::create_dir(desk.turn(number).join("work")).expect("made");
            std::fs::write(desk.turn(number).join("output.log"), "said").expect("written");
        }
        desk.prune(WHOLE_TURNS + 1).expect("pruned");
        assert!(!desk.turn(1).join("work").exists() && desk.turn(1).join("output.log").exists());
        assert!(desk.turn(2).join("work").exists());
    }

    #[test]
    fn whatever_a_command_makes_of_its_folder_it_is_taken_back_and_written_to_beside_its_links() {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::open(&dir.path().join("desk")).expect("open");
        desk.begin("tiny-1").expect("a state");
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "precious").expect("written");
        let folder = desk.turn(1);
        let messes: [&dyn Fn(); 5] = [
            &|| std::fs::remove_dir_all(&folder).expect("gone"),
            &|| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o0)).expect("closed"),
            &|| std::os::unix::fs::symlink(&victim, folder.join("turn.json")).expect("a link"),
            &|| std::fs::hard_link(&victim, folder.join("turn.json")).expect("a name more"),
            &|| std::fs::create_dir_all(folder.join("turn.json/below")).expect("a folder"),
        ];
        for mess in messes {
            desk.clear(1).expect("made");
            mess();
            desk.take_back(1).expect("ours again");
            put(&folder.join("turn.json"), b"said").expect("written");
            assert_eq!(std::fs::read(folder.join("turn.json")).expect("there"), b"said");
            assert_eq!(std::fs::read(&victim).expect("there"), b"precious");
        }
    }

    #[test]
    fn a_name_is_a_plain_folder_name() {
        for good in ["ada", "gpt-5.codex_2"] {
            assert!(parse_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "..", ".x", "a b", &"x".repeat(61)] {
            assert!(parse_name(bad).is_err(), "{bad}");
        }
    }
}
